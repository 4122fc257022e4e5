package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftHardState;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftMessage;
import io.skep.wire.RaftSnapshotMeta;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What the core wants done. */
sealed interface Effect {
    record Send(String to, String address, RaftMessage message) implements Effect {}

    /** A line for the operator. */
    record Note(boolean warning, String text) implements Effect {}

    /** Work for the disk, to be done in the order of its issue. */
    sealed interface DiskEffect extends Effect {}

    /**
     * A write, answered by Persisted once it is on stable storage, together with others if it may be.
     *
     * @param epoch after a write of an epoch failed, all later ones of the epoch are to be left undone
     */
    record Persist(long sequence, long epoch, @Nullable RaftHardState hardState, List<RaftEntry> entries)
            implements DiskEffect {}

    /** Log entries up to an index, and all snapshots but these, may be deleted. */
    record Compact(long upTo, Set<Long> snapshots) implements DiskEffect {}

    record ReadChunk(String peer, long index, int chunk) implements DiskEffect {}

    /** The last chunk makes the snapshot last, and the log begin anew behind it. */
    record WriteChunk(RaftSnapshotMeta meta, int chunk, ByteString data, boolean last) implements DiskEffect {}

    record Rewrite(long ticket, RaftLogStart start, List<RaftEntry> entries) implements DiskEffect {}

    /** Work for the state machine and its users, to be done in the order of its issue. */
    sealed interface MachineEffect extends Effect {}

    /** Entries to apply, answered by Applied. */
    record Apply(List<RaftEntry> entries) implements MachineEffect {}

    /** The state is to be replaced by that of a snapshot, answered by Applied. */
    record Restore(long index) implements MachineEffect {}

    /** The state as it is now is to be kept, answered by SnapshotTaken or SnapshotFailed. */
    record TakeSnapshot(RaftSnapshotMeta meta) implements MachineEffect {}

    record Completed(long ticket, long index) implements MachineEffect {}

    record Failed(long ticket, RaftException.Kind kind, String reason) implements MachineEffect {}

    record LeadershipChanged(long term, @Nullable String leader, boolean ready) implements MachineEffect {}
}
