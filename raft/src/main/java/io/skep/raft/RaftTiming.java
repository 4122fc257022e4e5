package io.skep.raft;

/**
 * When managers lose patience with each other, in milliseconds.
 *
 * @param heartbeatMillis how often a leader says that it leads
 * @param leaseMillis for how long after a leader's word a manager refuses to help depose it
 * @param electionMinMillis silence of the leader after which a manager may stand for election
 * @param electionMaxMillis silence after which it surely does; a leader that does not hear from a majority for as long
 *     stops leading
 */
public record RaftTiming(int heartbeatMillis, int leaseMillis, int electionMinMillis, int electionMaxMillis) {
    /** A silent leader is replaced within 1.2 s, and one message per peer and 350 ms is all that idleness costs. */
    public static final RaftTiming DEFAULT = new RaftTiming(350, 600, 750, 1050);

    public RaftTiming {
        if (heartbeatMillis < 1
                || leaseMillis <= heartbeatMillis
                || electionMinMillis <= leaseMillis
                || electionMaxMillis <= electionMinMillis) {
            throw new IllegalArgumentException("heartbeat < lease < shortest < longest election timeout must hold, not "
                    + heartbeatMillis + ", " + leaseMillis + ", " + electionMinMillis + ", " + electionMaxMillis);
        }
    }
}
