package io.skep.store;

import com.google.protobuf.ByteString;
import io.skep.raft.RaftSettings;
import io.skep.raft.RaftTransport;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Consensus by the Raft engine of this project. */
@SuppressWarnings("DoNotCallSuggester")
public final class RaftConsensus implements Consensus {
    private RaftConsensus() {}

    /**
     * Begins a cluster of which this is the first manager.
     *
     * @throws io.skep.raft.RaftStorageException UNEXPECTED when the directory holds a log
     */
    public static RaftConsensus bootstrap(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus();
    }

    /**
     * Waits, with an empty log, for a leader that adds this manager; goes on with what it has if it joined before.
     *
     * @throws io.skep.raft.RaftStorageException when the files cannot be used
     */
    public static RaftConsensus join(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus();
    }

    /**
     * Goes on with the log in the directory.
     *
     * @throws io.skep.raft.RaftStorageException when the files cannot be used, UNEXPECTED when there are none
     */
    public static RaftConsensus open(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus();
    }

    /**
     * Goes on with the log in the directory as the only manager. What the others did not have from, or did not tell,
     * this one is lost; they are not listened to any more.
     *
     * @throws io.skep.raft.RaftStorageException when the files cannot be used, UNEXPECTED when there are none
     */
    public static RaftConsensus forceNewCluster(RaftSettings settings, RaftTransport transport, StateMachine machine)
            throws IOException {
        return new RaftConsensus();
    }

    /** Takes a hint where a manager may be reached, until it says so itself. */
    public void learnAddress(String nodeId, String address) {
        throw new UnsupportedOperationException();
    }

    /** Writes all files anew with the current key; completes when none that another key opens is left. */
    public CompletableFuture<Void> rewriteWithCurrentKey() {
        throw new UnsupportedOperationException();
    }

    @Override
    public String selfId() {
        throw new UnsupportedOperationException();
    }

    @Override
    public Leadership leadership() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void onLeadership(LeadershipListener listener) {
        throw new UnsupportedOperationException();
    }

    @Override
    public CompletableFuture<Long> propose(long term, ByteString entry) {
        throw new UnsupportedOperationException();
    }

    @Override
    public CompletableFuture<Void> readBarrier() {
        throw new UnsupportedOperationException();
    }

    @Override
    public List<Member> members() {
        throw new UnsupportedOperationException();
    }

    @Override
    public CompletableFuture<Void> putMember(String nodeId, String address) {
        throw new UnsupportedOperationException();
    }

    @Override
    public CompletableFuture<Void> removeMember(String nodeId) {
        throw new UnsupportedOperationException();
    }

    @Override
    public CompletableFuture<Void> transferLeadership() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
}
