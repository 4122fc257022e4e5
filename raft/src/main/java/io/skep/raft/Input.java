package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.wire.RaftMessage;
import io.skep.wire.RaftSnapshotMeta;

/** What happens to a manager: from peers, from its users (each with a ticket that the answer names), from its disk. */
sealed interface Input {
    record Received(String from, RaftMessage message) implements Input {}

    record Disconnected(String nodeId) implements Input {}

    record LearnAddress(String nodeId, String address) implements Input {}

    record Propose(long ticket, long term, ByteString data) implements Input {}

    record Read(long ticket) implements Input {}

    record PutMember(long ticket, String nodeId, String address) implements Input {}

    record RemoveMember(long ticket, String nodeId) implements Input {}

    record Transfer(long ticket) implements Input {}

    /** Leadership is to be given up at once, because this manager cannot do its part. */
    record GiveUp(String reason) implements Input {}

    /** All files are to be written anew with the current key. */
    record Rewrite(long ticket) implements Input {}

    /** All writes up to a number are on stable storage. */
    record Persisted(long sequence) implements Input {}

    /** A write failed, and with it all later ones of its epoch. */
    record PersistFailed(long epoch, String reason) implements Input {}

    /** The state machine has taken in all entries up to an index. */
    record Applied(long index) implements Input {}

    record SnapshotTaken(RaftSnapshotMeta meta) implements Input {}

    record SnapshotFailed(long index, String reason) implements Input {}

    /** A chunk of a snapshot was read that a peer is to get. */
    record ChunkRead(String peer, RaftSnapshotMeta meta, int chunk, ByteString data, boolean last) implements Input {}

    record ChunkReadFailed(String peer, long index, String reason) implements Input {}

    /** A chunk that a leader sent was written; the last one only after the whole snapshot is on stable storage. */
    record ChunkWritten(RaftSnapshotMeta meta, int chunk, boolean last) implements Input {}

    record ChunkWriteFailed(RaftSnapshotMeta meta, String reason) implements Input {}

    record Rewritten(long ticket) implements Input {}

    record RewriteFailed(long ticket, String reason) implements Input {}

    /** Files that are not needed any more could not be deleted. */
    record CompactionFailed(String reason) implements Input {}
}
