package io.skep.store;

import com.google.protobuf.ByteString;
import io.skep.raft.RaftException;
import io.skep.raft.RaftNode;
import io.skep.raft.RaftSettings;
import io.skep.raft.RaftTransport;
import io.skep.raft.ReplicatedState;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Consensus by this project's Raft engine, whose threads and bounds {@link RaftNode} states. */
public final class RaftConsensus implements Consensus {
    private final RaftNode node;

    private RaftConsensus(RaftNode node) {
        this.node = node;
    }

    /**
     * Begins a cluster of which this is the first manager.
     *
     * @throws io.skep.raft.RaftStorageException UNEXPECTED when the directory holds a log
     */
    public static RaftConsensus bootstrap(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus(RaftNode.bootstrap(settings, transport, new Adapter(machine)));
    }

    /**
     * Waits, with an empty log, for a leader that adds this manager; goes on with what it has if it joined before.
     *
     * @throws io.skep.raft.RaftStorageException when the files cannot be used
     */
    public static RaftConsensus join(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus(RaftNode.join(settings, transport, new Adapter(machine)));
    }

    /**
     * Goes on with the log in the directory.
     *
     * @throws io.skep.raft.RaftStorageException when the files cannot be used, UNEXPECTED when there are none
     */
    public static RaftConsensus open(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus(RaftNode.open(settings, transport, new Adapter(machine)));
    }

    /**
     * Goes on with the log in the directory as the only manager. What the others had and this one had not is lost; they
     * are not listened to any more, and have to leave and join again.
     *
     * @throws io.skep.raft.RaftStorageException when not even the beginning of the files can be used, UNEXPECTED when
     *     there are none
     */
    public static RaftConsensus forceNewCluster(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus(RaftNode.forceNew(settings, transport, new Adapter(machine)));
    }

    /** Takes a hint where a manager may be reached, until it says so itself. */
    public void learnAddress(String nodeId, String address) {
        node.learnAddress(nodeId, address);
    }

    /** Writes all files anew with the current key; completes when none that another key opens is left. */
    public CompletableFuture<Void> rewriteWithCurrentKey() {
        return translated(node.rewriteWithCurrentKey());
    }

    /**
     * Completes when this manager's part in the quorum has ended: normally by {@link #close()}, exceptionally when an
     * entry cannot be applied or the engine failed, which only a new start can mend.
     */
    public CompletableFuture<Void> stopped() {
        return node.stopped();
    }

    @Override
    public String selfId() {
        return node.selfId();
    }

    @Override
    public Leadership leadership() {
        return leadership(node.leadership());
    }

    @Override
    public void onLeadership(LeadershipListener listener) {
        node.onLeadership(leadership -> listener.leadershipChanged(leadership(leadership)));
    }

    @Override
    public CompletableFuture<Long> propose(long term, ByteString entry) {
        return translated(node.propose(term, entry));
    }

    @Override
    public CompletableFuture<Void> readBarrier() {
        return translated(node.readBarrier());
    }

    @Override
    public List<Member> members() {
        return node.members().stream()
                .map(member -> new Member(
                        member.nodeId(), member.address(), member.voter(), member.leader(), member.reachable()))
                .toList();
    }

    @Override
    public void onMembers(Runnable listener) {
        node.onMembers(listener);
    }

    @Override
    public CompletableFuture<Void> putMember(String nodeId, String address) {
        return translated(node.putMember(nodeId, address));
    }

    @Override
    public CompletableFuture<Void> removeMember(String nodeId) {
        return translated(node.removeMember(nodeId));
    }

    @Override
    public CompletableFuture<Void> transferLeadership() {
        return translated(node.transferLeadership());
    }

    @Override
    public void close() {
        node.close();
    }

    private static Leadership leadership(RaftNode.Leadership leadership) {
        return new Leadership(leadership.term(), leadership.leaderId(), leadership.ready());
    }

    private static <T> CompletableFuture<T> translated(CompletableFuture<T> future) {
        return future.exceptionallyCompose(failure -> CompletableFuture.failedFuture(translated(failure)));
    }

    private static Throwable translated(Throwable failure) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        if (!(cause instanceof RaftException refused)) {
            return cause;
        }
        String message = String.valueOf(refused.getMessage());
        return switch (refused.kind()) {
            case NOT_LEADER -> new NotLeaderException(message);
            case UNKNOWN -> new OutcomeUnknownException(message);
            case REFUSED -> new RefusedException(message);
        };
    }

    private record Adapter(StateMachine machine) implements ReplicatedState {
        @Override
        public void apply(long index, ByteString entry) {
            machine.apply(index, entry);
        }

        @Override
        public Frozen freeze() {
            return machine.snapshot()::writeTo;
        }

        @Override
        public void restore(InputStream in) throws IOException {
            machine.restore(in);
        }
    }
}
