package io.skep.simulation;

import org.jspecify.annotations.Nullable;

/** The first thing in a run that must never happen, wherever it was noticed. */
final class Verdict {
    private @Nullable Violation first;

    /** Takes note of a broken rule; the exception only ends what is under way. */
    Violation broken(String invariant, String what) {
        Violation violation = new Violation(invariant, what);
        if (first == null) {
            first = violation;
        }
        return violation;
    }

    /** Takes note of an exception that nobody expected. */
    void unexpected(Throwable failure) {
        if (first == null) {
            first = failure instanceof Violation violation
                    ? violation
                    : new Violation("no unexpected failure", String.valueOf(failure));
            if (first != failure) {
                first.initCause(failure);
            }
        }
    }

    @Nullable
    Violation first() {
        return first;
    }
}
