package io.skep.store;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.wire.LogEntry;
import io.skep.wire.LogTransaction;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/**
 * The committed state of the cluster on this manager, and those who watch it.
 *
 * <p>Written by the one thread of the consensus; read by anyone without locks through {@link #state()}. Watchers are
 * called on the consensus thread after the state is visible, in the order of the log, and must hand work on at once.
 */
public final class Store implements StateMachine {
    /** Results that wait for their entry at most; a leader has far fewer proposals on their way. */
    private static final int DECIDED_MAX = 64;

    /** An entry with what it leads to when it is applied to the state before. */
    private record Decided(ByteString entry, Commit commit) {}

    private final Queue<Decided> decided = new ConcurrentLinkedQueue<>();
    private final List<Consumer<Commit>> watchers = new CopyOnWriteArrayList<>();
    private volatile ClusterState state = ClusterState.empty();

    public ClusterState state() {
        return state;
    }

    /**
     * Calls the watcher for each commit from now on.
     *
     * @return ends the watch when closed
     */
    public AutoCloseable watch(Consumer<Commit> watcher) {
        watchers.add(watcher);
        return () -> watchers.remove(watcher);
    }

    /**
     * Takes what the leader decided on this manager, before it proposes the entry. When just this entry is applied to
     * just the state on which it was decided, the result is at hand: the leader need not read its own writing, and has
     * each object in memory once. Any other way the log goes, the result is forgotten.
     *
     * @param entry that holds the log of the transaction, and nothing else
     * @param transaction no more changes may be made in it
     */
    public void decided(ByteString entry, Transaction transaction) {
        decided.add(new Decided(entry, transaction.toCommit()));
        while (decided.size() > DECIDED_MAX) {
            decided.poll();
        }
    }

    @Override
    public void apply(long index, ByteString entry) {
        for (Decided next = decided.poll(); next != null; next = decided.poll()) {
            if (next.commit().before() == state && next.entry().equals(entry)) {
                publish(next.commit());
                return;
            }
        }
        LogEntry logged;
        try {
            logged = LogEntry.parseFrom(entry);
        } catch (InvalidProtocolBufferException e) {
            throw new IllegalStateException("entry " + index + " of the log is not an entry of this version", e);
        }
        ClusterState before = state;
        if (logged.getBaseVersion() != before.version()) {
            throw new IllegalStateException("entry " + index + " of the log was decided on version "
                    + logged.getBaseVersion() + ", but the state is at " + before.version());
        }
        ClusterState after = before;
        List<Event<?>> events = new ArrayList<>();
        for (LogTransaction transaction : logged.getTransactionsList()) {
            Transaction replayed = new Transaction(after, logged.getAt());
            replayed.replay(transaction);
            events.addAll(replayed.events());
            after = replayed.commit();
        }
        publish(new Commit(before, after, events, false));
    }

    @Override
    public Snapshot snapshot() {
        ClusterState frozen = state;
        return out -> SnapshotCodec.write(frozen, out);
    }

    @Override
    public void restore(InputStream in) throws IOException {
        ClusterState restored = SnapshotCodec.read(in);
        publish(new Commit(state, restored, List.of(), true));
    }

    private void publish(Commit commit) {
        state = commit.after();
        for (Consumer<Commit> watcher : watchers) {
            watcher.accept(commit);
        }
    }
}
