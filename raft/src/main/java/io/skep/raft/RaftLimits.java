package io.skep.raft;

/**
 * How much a manager keeps, in entries and bytes of the log.
 *
 * @param snapshotEntries a snapshot is taken when this many entries were applied since the last one
 * @param snapshotBytes or when these entries have this many bytes
 * @param trailingEntries how many entries before a snapshot are kept, at most, for members that are behind
 * @param trailingBytes and how many bytes of them
 * @param proposalBytes how much may be proposed and not yet applied
 * @param segmentBytes size at which a new log file is begun
 */
public record RaftLimits(
        int snapshotEntries,
        long snapshotBytes,
        int trailingEntries,
        long trailingBytes,
        long proposalBytes,
        long segmentBytes) {
    public static final RaftLimits DEFAULT = new RaftLimits(20_000, 8 << 20, 5_000, 2 << 20, 32 << 20, 4 << 20);

    public RaftLimits {
        if (snapshotEntries < 1
                || snapshotBytes < 1
                || trailingEntries < 0
                || trailingBytes < 0
                || proposalBytes < 1
                || segmentBytes < 1) {
            throw new IllegalArgumentException("limits must be positive");
        }
    }
}
