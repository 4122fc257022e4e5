package io.skep.simulation;

/**
 * Something that is done to the cluster in a run: by an operator, or by bad luck.
 *
 * @param atNanos when
 * @param kind what
 * @param seed decides the rest: to whom, how much, how long. So a run in which other deeds are left out still does the
 *     same here
 */
record Deed(long atNanos, Kind kind, long seed) {
    /** What can be done, and how often it is, beside the others. */
    enum Kind {
        CREATE_SERVICE(8),
        UPDATE_SERVICE(8),
        SCALE_SERVICE(6),
        REMOVE_SERVICE(2),
        ROLL_BACK_SERVICE(2),
        SET_AVAILABILITY(4),
        LABEL_NODE(2),
        PROMOTE(2),
        DEMOTE(2),
        REMOVE_NODE(1),
        JOIN_NODE(2),
        CREATE_NETWORK(1),
        REMOVE_NETWORK(1),
        CREATE_SECRET(2),
        REMOVE_SECRET(1),
        CREATE_CONFIG(1),
        REMOVE_CONFIG(1),
        CHANGE_CLUSTER(1),
        READ(8),
        KILL(3, true),
        POWER_OFF(4, true),
        STAND_STILL(3, true),
        CUT(4, true),
        CUT_ONE_WAY(3, true),
        ISOLATE(4, true),
        BREAK_CONNECTIONS(4, true),
        SLOW_LINK(2, true),
        SLOW_DISK(2, true),
        CLOCK_JUMP(2, true),
        LOSE_OFFICE(8, true),
        HAND_OVER(2, true);

        private final int weight;
        private final boolean fault;

        Kind(int weight) {
            this(weight, false);
        }

        Kind(int weight, boolean fault) {
            this.weight = weight;
            this.fault = fault;
        }

        int weight() {
            return weight;
        }

        boolean isFault() {
            return fault;
        }
    }
}
