package io.skep.manager;

import com.google.protobuf.ByteString;
import io.skep.store.Consensus;
import io.skep.store.StateMachine;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A log without other managers, which a test can hold up and depose. Applies entries on the thread that lets them. */
final class LocalConsensus implements Consensus {
    private record Held(ByteString entry, CompletableFuture<Long> outcome) {}

    private final StateMachine machine;
    private final List<LeadershipListener> listeners = new CopyOnWriteArrayList<>();
    private final ArrayDeque<Held> held = new ArrayDeque<>();
    private final String selfId;
    private Leadership leadership;
    private boolean holding;
    private boolean superseded;
    private final CompletableFuture<Void> confirmation = new CompletableFuture<>();
    private final CountDownLatch readWaits = new CountDownLatch(1);
    private long index;
    final List<String> removed = new ArrayList<>();
    List<Member> members;

    LocalConsensus(String selfId, String address, StateMachine machine) {
        this.machine = machine;
        this.selfId = selfId;
        this.leadership = new Leadership(1, selfId, true);
        this.members = List.of(new Member(selfId, address, true, true, true));
    }

    @Override
    public String selfId() {
        return selfId;
    }

    @Override
    public synchronized Leadership leadership() {
        return leadership;
    }

    @Override
    public void onLeadership(LeadershipListener listener) {
        listeners.add(listener);
    }

    @Override
    public synchronized CompletableFuture<Long> propose(long term, ByteString entry) {
        if (!leadership.ready() || term != leadership.term()) {
            return CompletableFuture.failedFuture(new NotLeaderException("not in term " + term));
        }
        Held proposed = new Held(entry, new CompletableFuture<>());
        held.add(proposed);
        notifyAll();
        if (!holding) {
            apply();
        }
        return proposed.outcome();
    }

    private void apply() {
        while (!held.isEmpty()) {
            Held next = held.remove();
            machine.apply(++index, next.entry());
            next.outcome().complete(index);
        }
    }

    /** Keeps what is proposed from now on. */
    synchronized void hold() {
        holding = true;
    }

    /** Waits until so many entries are kept; false when that takes too long. */
    synchronized boolean awaitHeld(int count) throws InterruptedException {
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (held.size() < count) {
            long left = (deadline - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                return false;
            }
            wait(left);
        }
        return true;
    }

    /** Commits what was kept, and what comes. */
    synchronized void release() {
        holding = false;
        apply();
    }

    /** Another leader takes over; what was kept is lost, or committed without its proposers hearing of it. */
    void depose(boolean commitKept) {
        Leadership now;
        List<Held> lost;
        synchronized (this) {
            lost = new ArrayList<>(held);
            held.clear();
            if (commitKept) {
                lost.forEach(entry -> machine.apply(++index, entry.entry()));
            }
            holding = false;
            leadership = new Leadership(leadership.term() + 1, null, false);
            now = leadership;
        }
        lost.forEach(entry -> entry.outcome().completeExceptionally(new OutcomeUnknownException("deposed")));
        listeners.forEach(listener -> listener.leadershipChanged(now));
    }

    void lead() {
        Leadership now;
        synchronized (this) {
            leadership = new Leadership(leadership.term() + 1, selfId, true);
            now = leadership;
        }
        listeners.forEach(listener -> listener.leadershipChanged(now));
    }

    /** Another leader took over, of which this manager, as after a pause, is yet to hear. */
    synchronized void supersede() {
        superseded = true;
    }

    /** Waits until a read waits to be confirmed after {@link #supersede}; false when that takes too long. */
    boolean awaitRead() throws InterruptedException {
        return readWaits.await(10, TimeUnit.SECONDS);
    }

    /** It hears of the other leader, which confirms the reads that waited. */
    void noticeSuperseded() {
        depose(false);
        confirmation.complete(null);
    }

    @Override
    public synchronized CompletableFuture<Void> readBarrier() {
        if (superseded) {
            readWaits.countDown();
            return confirmation;
        }
        return leadership().ready()
                ? CompletableFuture.completedFuture(null)
                : CompletableFuture.failedFuture(new NotLeaderException("no leader"));
    }

    @Override
    public List<Member> members() {
        return members;
    }

    @Override
    public void onMembers(Runnable listener) {
        listener.run();
    }

    @Override
    public CompletableFuture<Void> putMember(String nodeId, String address) {
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public CompletableFuture<Void> removeMember(String nodeId) {
        removed.add(nodeId);
        members = members.stream()
                .filter(member -> !member.nodeId().equals(nodeId))
                .toList();
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public CompletableFuture<Void> transferLeadership() {
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public void close() {}
}
