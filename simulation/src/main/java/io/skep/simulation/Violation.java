package io.skep.simulation;

/** Something happened that must never happen. */
final class Violation extends RuntimeException {
    private final String text;

    Violation(String invariant, String what) {
        this.text = invariant + ": " + what;
    }

    @Override
    public String getMessage() {
        return text;
    }
}
