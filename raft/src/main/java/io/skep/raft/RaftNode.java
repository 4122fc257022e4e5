package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.raft.Effect.Apply;
import io.skep.raft.Effect.Completed;
import io.skep.raft.Effect.DiskEffect;
import io.skep.raft.Effect.Failed;
import io.skep.raft.Effect.LeadershipChanged;
import io.skep.raft.Effect.MachineEffect;
import io.skep.raft.Effect.Note;
import io.skep.raft.Effect.Restore;
import io.skep.raft.Effect.Send;
import io.skep.raft.Effect.TakeSnapshot;
import io.skep.raft.RaftException.Kind;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import io.skep.wire.RaftMessage;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One manager's part in the agreement on a log: the door of this room.
 *
 * <p>Threads, all waiting without polling while there is nothing to do:
 *
 * <ul>
 *   <li><b>events</b> owns the {@link RaftCore}: it takes what arrived, as a batch, and the time, and hands out the
 *       effects. It never waits for anything but its inbox and the one next deadline.
 *   <li><b>disk</b> does what is to be written or read, in order; writes that gathered while it was busy share a sync.
 *   <li><b>state</b> feeds the state machine, completes futures and calls listeners, in the order of the log, so that a
 *       slow state machine delays no heartbeat.
 *   <li>a <b>snapshot</b> is written by a thread that lives as long as that takes.
 * </ul>
 *
 * <p>Bounds: messages that wait for the events thread by number and bytes (more are dropped, as a network may),
 * proposals by {@link RaftLimits#proposalBytes()}, the rest by the core. A batch holds at most {@link #BATCH_MAX}
 * inputs, and the log gets one write for all of them.
 */
public final class RaftNode implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RaftNode.class);
    private static final int BATCH_MAX = 1024;
    private static final int INBOX_MESSAGES_MAX = 8192;
    private static final long INBOX_BYTES_MAX = 32 << 20;
    private static final int CLOSE_MILLIS = 1500;

    /**
     * Who leads.
     *
     * @param term the newest term that this manager knows
     * @param leaderId node id of its leader, or null while there is none
     * @param ready whether this manager leads and has applied every entry of former terms
     */
    public record Leadership(long term, @Nullable String leaderId, boolean ready) {}

    /**
     * A member as this manager knows it.
     *
     * @param reachable whether the leader hears from it; without a leader, whether this manager does
     */
    public record Member(String nodeId, String address, boolean voter, boolean leader, boolean reachable) {}

    private record Waiting(CompletableFuture<Long> future, long bytes) {}

    private final String selfId;
    private final RaftLimits limits;
    private final RaftTransport transport;
    private final ReplicatedState state;
    private final Disk disk;
    private final SnapshotFiles snapshots;
    private final DiskWorker worker;
    private final RaftCore core;
    private final long startNanos = System.nanoTime();

    private final BlockingQueue<Input> inbox = new LinkedBlockingQueue<>();
    private final AtomicLong inboxMessages = new AtomicLong();
    private final AtomicLong inboxBytes = new AtomicLong();
    private final BlockingQueue<List<DiskEffect>> diskWork = new LinkedBlockingQueue<>();
    private final BlockingQueue<Runnable> stateWork = new LinkedBlockingQueue<>();
    private final Map<Long, Waiting> waiting = new ConcurrentHashMap<>();
    private final AtomicLong tickets = new AtomicLong();
    private final AtomicLong proposedBytes = new AtomicLong();
    private final Object proposing = new Object();
    private long refusedTerm = -1;
    private final List<Consumer<Leadership>> listeners = new CopyOnWriteArrayList<>();
    private final List<Runnable> memberListeners = new CopyOnWriteArrayList<>();
    private final CompletableFuture<Void> stopped = new CompletableFuture<>();
    private final List<Thread> threads = new ArrayList<>();
    private volatile Leadership leadership = new Leadership(0, null, false);
    private volatile List<Member> members = List.of();
    private volatile boolean stopping;
    /** Of the thread of the state machine alone. */
    private boolean stateEnds;

    private RaftNode(RaftSettings settings, RaftTransport transport, ReplicatedState state, RaftFiles.Opened opened) {
        this.selfId = settings.selfId();
        this.limits = settings.limits();
        this.transport = transport;
        this.state = state;
        this.disk = opened.disk();
        this.snapshots = opened.snapshots();
        this.worker = new DiskWorker(opened.logFiles(), opened.snapshots());
        this.core = new RaftCore(
                settings.selfId(),
                settings.address(),
                settings.timing(),
                settings.limits(),
                new Random(),
                opened.hardState(),
                opened.log(),
                opened.snapshot(),
                now());
    }

    /** Begins a log of which this is the only member; see {@link RaftFiles#bootstrap}. */
    public static RaftNode bootstrap(RaftSettings settings, RaftTransport transport, ReplicatedState state)
            throws IOException {
        return start(settings, transport, state, RaftFiles::bootstrap);
    }

    /** Waits with an empty log for a leader, or goes on with the log that is there. */
    public static RaftNode join(RaftSettings settings, RaftTransport transport, ReplicatedState state)
            throws IOException {
        return start(settings, transport, state, RaftFiles::join);
    }

    /** Goes on with the log that is there. */
    public static RaftNode open(RaftSettings settings, RaftTransport transport, ReplicatedState state)
            throws IOException {
        return start(settings, transport, state, RaftFiles::open);
    }

    /** Goes on with the log that is there as its only member. */
    public static RaftNode forceNew(RaftSettings settings, RaftTransport transport, ReplicatedState state)
            throws IOException {
        return start(settings, transport, state, RaftFiles::forceNew);
    }

    @FunctionalInterface
    private interface Opener {
        RaftFiles.Opened open(Disk disk, RaftSettings settings) throws IOException;
    }

    private static RaftNode start(RaftSettings settings, RaftTransport transport, ReplicatedState state, Opener opener)
            throws IOException {
        Disk disk = new FileDisk(settings.directory());
        try {
            RaftFiles.Opened opened = opener.open(disk, settings);
            opened.notes().forEach(LOG::warn);
            if (opened.snapshot().getIndex() > 0) {
                try (SnapshotFiles.Reader reader =
                        opened.snapshots().read(opened.snapshot().getIndex())) {
                    state.restore(reader);
                }
            }
            RaftNode node = new RaftNode(settings, transport, state, opened);
            node.run();
            return node;
        } catch (IOException | RuntimeException e) {
            disk.close();
            throw e;
        }
    }

    private void run() {
        publishMembers();
        threads.add(new Thread(() -> guard(this::events), "raft-events"));
        threads.add(new Thread(() -> guard(this::disk), "raft-disk"));
        threads.add(new Thread(() -> guard(this::state), "raft-state"));
        for (Thread thread : threads) {
            thread.setDaemon(true);
            thread.start();
        }
        transport.start(new RaftTransport.Receiver() {
            @Override
            public void received(String fromNodeId, RaftMessage message) {
                enqueue(fromNodeId, message);
            }

            @Override
            public void disconnected(String nodeId) {
                inbox.add(new Input.Disconnected(nodeId));
            }
        });
    }

    public String selfId() {
        return selfId;
    }

    public Leadership leadership() {
        return leadership;
    }

    /** Calls the listener now, on the thread of the state machine, and at each change. */
    public void onLeadership(Consumer<Leadership> listener) {
        stateWork.add(() -> {
            listeners.add(listener);
            listener.accept(leadership);
        });
    }

    public List<Member> members() {
        return members;
    }

    /** Calls the listener after each change of {@link #members()}, and once at first. */
    public void onMembers(Runnable listener) {
        stateWork.add(() -> {
            memberListeners.add(listener);
            listener.run();
        });
    }

    /** Completes when this manager's part has ended: normally by {@link #close()}, else with the reason. */
    public CompletableFuture<Void> stopped() {
        return stopped.copy();
    }

    /**
     * Appends an entry; completes with its index once it is applied here. Fails with a {@link RaftException}.
     *
     * @param term the term in which the caller believes to lead
     */
    public CompletableFuture<Long> propose(long term, ByteString entry) {
        synchronized (proposing) {
            if (term == refusedTerm) {
                return CompletableFuture.failedFuture(
                        new RaftException(Kind.NOT_LEADER, "leadership of term " + term + " was given up"));
            }
            long bytes = proposedBytes.addAndGet(entry.size());
            if (bytes > limits.proposalBytes()) {
                proposedBytes.addAndGet(-entry.size());
                // Later entries may build on this one, so none of this term may follow it.
                refusedTerm = term;
                String reason = "more than " + limits.proposalBytes() + " bytes of entries wait to be committed";
                inbox.add(new Input.GiveUp(reason));
                return CompletableFuture.failedFuture(new RaftException(Kind.NOT_LEADER, reason));
            }
            return request(entry.size(), ticket -> new Input.Propose(ticket, term, entry));
        }
    }

    /** Completes when everything that was committed anywhere before the call is applied here. */
    public CompletableFuture<Void> readBarrier() {
        return request(0, Input.Read::new).thenApply(index -> null);
    }

    public CompletableFuture<Void> putMember(String nodeId, String address) {
        return request(0, ticket -> new Input.PutMember(ticket, nodeId, address))
                .thenApply(index -> null);
    }

    public CompletableFuture<Void> removeMember(String nodeId) {
        return request(0, ticket -> new Input.RemoveMember(ticket, nodeId)).thenApply(index -> null);
    }

    public CompletableFuture<Void> transferLeadership() {
        return request(0, Input.Transfer::new).thenApply(index -> null);
    }

    /** Writes all files anew with the current key; completes when none that another key opens is left. */
    public CompletableFuture<Void> rewriteWithCurrentKey() {
        return request(0, Input.Rewrite::new).thenApply(index -> null);
    }

    /** Takes a hint where a member may be reached, until it says so itself. */
    public void learnAddress(String nodeId, String address) {
        inbox.add(new Input.LearnAddress(nodeId, address));
    }

    /** Hands leadership over if this manager leads and another can be reached, within 1.5 s, and ends. */
    @Override
    public void close() {
        if (!stopping && selfId.equals(leadership.leaderId()) && members.size() > 1) {
            try {
                transferLeadership().get(CLOSE_MILLIS, TimeUnit.MILLISECONDS);
            } catch (ExecutionException | TimeoutException e) {
                LOG.info("leadership was not handed over: {}", e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        stop();
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive() && thread != Thread.currentThread()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private CompletableFuture<Long> request(long bytes, LongFunction<Input> input) {
        long ticket = tickets.incrementAndGet();
        CompletableFuture<Long> future = new CompletableFuture<>();
        waiting.put(ticket, new Waiting(future, bytes));
        inbox.add(input.apply(ticket));
        if (stopping) {
            // The events thread may have ended before it saw the request.
            settle(ticket, 0, closed());
        }
        return future;
    }

    private static RaftException closed() {
        return new RaftException(Kind.UNKNOWN, "this manager stops");
    }

    private void settle(long ticket, long index, @Nullable RaftException failure) {
        Waiting request = waiting.remove(ticket);
        if (request == null) {
            return;
        }
        proposedBytes.addAndGet(-request.bytes());
        if (failure == null) {
            request.future().complete(index);
        } else {
            request.future().completeExceptionally(failure);
        }
    }

    private void enqueue(String from, RaftMessage message) {
        long bytes = message.getSerializedSize();
        if (inboxMessages.get() < INBOX_MESSAGES_MAX && inboxBytes.get() < INBOX_BYTES_MAX && !stopping) {
            inboxMessages.incrementAndGet();
            inboxBytes.addAndGet(bytes);
            inbox.add(new Input.Received(from, message));
        }
    }

    private long now() {
        return (System.nanoTime() - startNanos) / 1_000_000;
    }

    private void guard(Loop loop) {
        try {
            loop.run();
        } catch (InterruptedException e) {
            fail(new IllegalStateException("a thread of the log was interrupted", e));
        } catch (IOException | RuntimeException | Error e) {
            fail(e);
        }
    }

    @FunctionalInterface
    private interface Loop {
        void run() throws InterruptedException, IOException;
    }

    private void fail(Throwable reason) {
        LOG.error("this manager ends its part in the log", reason);
        stopped.completeExceptionally(reason);
        stop();
    }

    /** Lets all threads end after what they are doing; the disk thread first writes what it was given. */
    void stop() {
        stopping = true;
        // Any input wakes the events thread.
        inbox.add(new Input.Applied(0));
    }

    private void events() throws InterruptedException {
        List<Input> batch = new ArrayList<>();
        try {
            while (!stopping) {
                long wait = core.deadline() - now();
                Input first = wait <= 0 ? inbox.poll() : inbox.poll(wait, TimeUnit.MILLISECONDS);
                batch.clear();
                if (first != null) {
                    batch.add(first);
                    inbox.drainTo(batch, BATCH_MAX - 1);
                }
                for (Input input : batch) {
                    if (input instanceof Input.Received received) {
                        inboxMessages.decrementAndGet();
                        inboxBytes.addAndGet(-received.message().getSerializedSize());
                    }
                }
                perform(core.step(now(), batch));
            }
        } finally {
            stopping = true;
            diskWork.add(List.of());
            stateWork.add(() -> stateEnds = true);
        }
    }

    private void perform(List<Effect> effects) {
        List<DiskEffect> forDisk = new ArrayList<>();
        for (Effect effect : effects) {
            if (effect instanceof DiskEffect work) {
                forDisk.add(work);
            }
        }
        if (!forDisk.isEmpty()) {
            diskWork.add(forDisk);
        }
        for (Effect effect : effects) {
            switch (effect) {
                case Send send -> transport.send(send.to(), send.address(), send.message());
                case Note note -> {
                    if (note.warning()) {
                        LOG.warn(note.text());
                    } else {
                        LOG.info(note.text());
                    }
                }
                case MachineEffect work -> stateWork.add(() -> perform(work));
                case DiskEffect work -> {
                    // Handed over above, so that the disk works while messages are sent.
                }
            }
        }
        publishMembers();
    }

    private void publishMembers() {
        List<Member> newMembers = core.views().stream()
                .map(view -> new Member(view.nodeId(), view.address(), view.voter(), view.leader(), view.reachable()))
                .toList();
        if (!newMembers.equals(members)) {
            members = newMembers;
            stateWork.add(() -> memberListeners.forEach(Runnable::run));
        }
    }

    private void disk() throws InterruptedException, IOException {
        List<List<DiskEffect>> taken = new ArrayList<>();
        try {
            boolean end = false;
            while (!end) {
                taken.clear();
                taken.add(diskWork.take());
                diskWork.drainTo(taken);
                List<DiskEffect> effects = new ArrayList<>();
                for (List<DiskEffect> work : taken) {
                    effects.addAll(work);
                    end |= work.isEmpty();
                }
                inbox.addAll(worker.perform(effects));
            }
        } finally {
            try {
                worker.close();
            } finally {
                disk.close();
            }
        }
    }

    private void state() throws InterruptedException {
        try {
            while (!stateEnds) {
                stateWork.take().run();
            }
        } catch (RuntimeException | Error e) {
            stopped.completeExceptionally(e);
            throw e;
        } finally {
            // Makes request() settle what comes from now on.
            stopping = true;
            tell(new Leadership(leadership.term(), null, false));
            transport.stop();
            for (long ticket : List.copyOf(waiting.keySet())) {
                settle(ticket, 0, closed());
            }
            stopped.complete(null);
        }
    }

    private void perform(MachineEffect effect) {
        switch (effect) {
            case Apply apply -> {
                for (RaftEntry entry : apply.entries()) {
                    if (entry.getType() == RaftEntryType.RAFT_ENTRY_TYPE_DATA) {
                        state.apply(entry.getIndex(), entry.getData());
                    }
                }
                inbox.add(new Input.Applied(apply.entries().getLast().getIndex()));
            }
            case Restore restore -> {
                try (SnapshotFiles.Reader reader = snapshots.read(restore.index())) {
                    state.restore(reader);
                } catch (IOException e) {
                    throw new IllegalStateException("the snapshot of the leader cannot be taken over", e);
                }
                inbox.add(new Input.Applied(restore.index()));
            }
            case TakeSnapshot take -> {
                ReplicatedState.Frozen frozen = state.freeze();
                Thread writer = new Thread(() -> write(take, frozen), "raft-snapshot");
                writer.setDaemon(true);
                writer.start();
            }
            case Completed completed -> settle(completed.ticket(), completed.index(), null);
            case Failed failed -> settle(failed.ticket(), 0, new RaftException(failed.kind(), failed.reason()));
            case LeadershipChanged changed -> tell(new Leadership(changed.term(), changed.leader(), changed.ready()));
        }
    }

    private void write(TakeSnapshot take, ReplicatedState.Frozen frozen) {
        try {
            snapshots.write(take.meta(), frozen::writeTo);
            inbox.add(new Input.SnapshotTaken(take.meta()));
        } catch (IOException | RuntimeException e) {
            LOG.debug("snapshot at index {} failed", take.meta().getIndex(), e);
            inbox.add(new Input.SnapshotFailed(
                    take.meta().getIndex(), Objects.requireNonNullElse(e.getMessage(), e.toString())));
        }
    }

    private void tell(Leadership newLeadership) {
        leadership = newLeadership;
        for (Consumer<Leadership> listener : listeners) {
            listener.accept(newLeadership);
        }
    }
}
