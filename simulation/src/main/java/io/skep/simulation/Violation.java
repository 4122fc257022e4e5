package io.skep.simulation;

/** Something happened that must never happen. */
final class Violation extends RuntimeException {
    private final String invariant;

    Violation(String invariant, String what) {
        super(invariant + ": " + what);
        this.invariant = invariant;
    }

    /** Returns the name of the rule that was broken. */
    String invariant() {
        return invariant;
    }
}
