package io.skep.e2e;

import org.jspecify.annotations.Nullable;

/**
 * What one client asked of one register, and what it heard. A register is an object of the cluster, known by its name:
 * absent, or there with a value. Each value is written by one operation only and begins with the <em>incarnation</em>,
 * the part up to the first dot, which all values of an object share from its creation to its removal.
 *
 * @param client who asked
 * @param manager number of the manager that was asked
 * @param expected of a swap, the value to be replaced; of a removal, the incarnation; else empty
 * @param value what a creation or a swap writes, or what a read saw; empty when the register is absent
 * @param version of a read, the version that came with the value; else 0
 * @param begin when it was asked, in nanoseconds of a clock of the whole history
 * @param end when the answer came; of no meaning when the outcome is unknown
 */
record Operation(
        int client,
        int manager,
        Action action,
        String expected,
        String value,
        long version,
        long begin,
        long end,
        Outcome outcome) {
    static final String ABSENT = "";

    /** What was asked for. */
    enum Action {
        CREATE,
        READ,
        SWAP,
        REMOVE
    }

    /** What the client knows afterwards. */
    enum Outcome {
        /** It happened. */
        DONE,
        /** It was refused because of the state of the register: there already, another value, or not there. */
        REFUSED,
        /** It may have happened, may happen at any later time, or never. */
        UNKNOWN
    }

    static String incarnation(String value) {
        int dot = value.indexOf('.');
        return dot < 0 ? value : value.substring(0, dot);
    }

    /**
     * Returns the state of the register after this operation took effect in the given state, or null when it cannot
     * have had its outcome there. An operation whose outcome is unknown is asked only whether it had its effect.
     */
    @Nullable
    String apply(String state) {
        boolean holds = switch (action) {
            case CREATE -> state.isEmpty();
            case READ -> state.equals(value);
            case SWAP -> state.equals(expected);
            case REMOVE -> !state.isEmpty() && incarnation(state).equals(expected);
        };
        boolean refused = outcome == Outcome.REFUSED;
        if (holds == refused) {
            return null;
        }
        return switch (action) {
            case READ -> state;
            case CREATE, SWAP -> refused ? state : value;
            case REMOVE -> refused ? state : ABSENT;
        };
    }

    /** One line of a history: begin and end in microseconds, who, where, what, outcome. */
    @Override
    public String toString() {
        String asked = switch (action) {
            case CREATE -> "create " + value;
            case READ -> "read " + (value.isEmpty() ? "nothing" : value + " version " + version);
            case SWAP -> "swap " + expected + " for " + value;
            case REMOVE -> "remove " + expected;
        };
        return "%10d %10s  client %d at manager %d  %s  %s"
                .formatted(
                        begin / 1000,
                        outcome == Outcome.UNKNOWN ? "-" : String.valueOf(end / 1000),
                        client,
                        manager,
                        outcome,
                        asked);
    }
}
