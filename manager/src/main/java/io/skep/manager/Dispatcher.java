package io.skep.manager;

import com.google.protobuf.ByteString;
import io.grpc.Deadline;
import io.grpc.Status;
import io.skep.control.IdSource;
import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.Cluster;
import io.skep.wire.Node;
import io.skep.wire.Task;
import io.skep.wire.WeightedPeer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sessions that nodes hold with this manager, which need not lead (swarm-wire section 3).
 *
 * <p>Sessions are found by node, so a commit costs only the sessions whose node or tasks it changed. A session lives as
 * long as heartbeats come; a stream that breaks does not end it. One timer serves all sessions: it is due when the
 * first of them would end, and as heartbeats move that on, it seldom fires. What becomes of the node is the leader's
 * affair: it hears from the {@link SessionReports} of all managers who is alive and who was lost.
 */
final class Dispatcher implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Dispatcher.class);
    private static final Duration DEFAULT_PERIOD = Duration.ofSeconds(5);
    private static final int JITTER_MILLIS = 500;
    private static final int GRACE_PERIODS = 3;
    private static final Duration REGISTRATION_INTERVAL = Duration.ofSeconds(8);
    private static final int REGISTRATIONS_MAX = 3;

    private static final class Entry {
        final NodeSession session;
        final long registeredNanos;
        final int attempts;

        Entry(NodeSession session, long registeredNanos, int attempts) {
            this.session = session;
            this.registeredNanos = registeredNanos;
            this.attempts = attempts;
        }
    }

    private final Store store;
    private final Supplier<List<WeightedPeer>> managers;
    private final ManagerPorts ports;
    private final IdSource ids;
    private final Deadline.Ticker ticker;
    private final Consumer<String> lost;
    private final ConcurrentHashMap<String, Entry> byNode = new ConcurrentHashMap<>();
    private volatile boolean closed;

    // Under the lock of this object: when sessions are looked through for those that ended.
    private volatile @Nullable ScheduledFuture<?> sweep;
    private volatile long sweepNanos;

    /**
     * Makes a dispatcher.
     *
     * @param managers what nodes are told about where managers are
     * @param lost hears of each node whose heartbeats stayed away
     */
    Dispatcher(ManagerPorts ports, Supplier<List<WeightedPeer>> managers, Consumer<String> lost) {
        this.ports = ports;
        this.store = ports.store();
        this.managers = managers;
        this.ids = ports.ids();
        this.ticker = ports.ticker();
        this.lost = lost;
        this.sweepNanos = ticker.nanoTime();
    }

    /** Returns the ids of the nodes that hold a session here. */
    List<String> liveNodes() {
        return new ArrayList<>(byNode.keySet());
    }

    /**
     * Refuses a node that registers anew too often.
     *
     * @param sessionId the session that the node would resume
     */
    void admit(String nodeId, String sessionId) {
        requireOpen();
        Entry known = byNode.get(nodeId);
        if (known == null || known.session.id().equals(sessionId)) {
            return;
        }
        if (attempts(known) > REGISTRATIONS_MAX) {
            throw Status.UNAVAILABLE
                    .withDescription("node " + nodeId + " exceeded rate limit count of registrations")
                    .asRuntimeException();
        }
    }

    private int attempts(Entry known) {
        boolean soon = ticker.nanoTime() - known.registeredNanos <= REGISTRATION_INTERVAL.toNanos();
        return soon ? known.attempts + 1 : 1;
    }

    /** Returns the session of a node that has registered: the one it resumes, if that is still valid, or a new one. */
    NodeSession open(String nodeId, String sessionId) {
        requireOpen();
        NodeSession[] ended = new NodeSession[1];
        Entry entry = byNode.compute(nodeId, (id, known) -> {
            if (known != null && known.session.id().equals(sessionId)) {
                return known;
            }
            NodeSession made = new NodeSession(nodeId, ids.nextId(), managers, ports);
            made.liveUntil(deadline(heartbeatPeriod()));
            if (known != null) {
                ended[0] = known.session;
            }
            return new Entry(made, ticker.nanoTime(), known == null ? 0 : attempts(known));
        });
        if (ended[0] != null) {
            ended[0].close(invalidSession());
        }
        prolong(entry.session, heartbeatPeriod());
        return entry.session;
    }

    /** Returns the session of that id, or fails as agents expect it (swarm-wire 3.5). */
    NodeSession require(String nodeId, String sessionId) {
        requireOpen();
        Entry known = byNode.get(nodeId);
        if (known == null) {
            throw Status.NOT_FOUND.withDescription("node not registered").asRuntimeException();
        }
        if (!known.session.id().equals(sessionId)) {
            throw invalidSession().asRuntimeException();
        }
        return known.session;
    }

    /** Prolongs a session and returns after what time the next heartbeat should come. */
    Duration heartbeat(NodeSession session) {
        Duration period = heartbeatPeriod().plusMillis((long) ids.nextInt(2 * JITTER_MILLIS + 1) - JITTER_MILLIS);
        if (period.isNegative() || period.isZero()) {
            period = heartbeatPeriod();
        }
        prolong(session, period);
        return period;
    }

    /** Ends all sessions, so that their nodes go to other managers or come again. */
    void endSessions() {
        for (Entry entry : List.copyOf(byNode.values())) {
            drop(entry.session, mustDisconnect());
        }
    }

    /** Ends a session whose node must start over, such as one whose reports were lost. */
    void drop(NodeSession session, Status status) {
        if (byNode.computeIfPresent(session.nodeId(), (id, known) -> known.session == session ? null : known) == null) {
            session.close(status);
        }
    }

    private void prolong(NodeSession session, Duration period) {
        long deadline = deadline(period);
        session.liveUntil(deadline);
        if (sweep == null || sweepNanos - deadline > 0) {
            sweepAt(deadline);
        }
    }

    /** Returns how often nodes are to send a heartbeat. */
    Duration heartbeatPeriod() {
        Cluster cluster = store.state().cluster();
        if (cluster == null || !cluster.getSpec().getDispatcher().hasHeartbeatPeriod()) {
            return DEFAULT_PERIOD;
        }
        var set = cluster.getSpec().getDispatcher().getHeartbeatPeriod();
        Duration period = Duration.ofSeconds(set.getSeconds(), set.getNanos());
        return period.isPositive() ? period : DEFAULT_PERIOD;
    }

    private long deadline(Duration period) {
        return ticker.nanoTime() + GRACE_PERIODS * period.toNanos();
    }

    private synchronized void sweepAt(long deadline) {
        if (sweep != null) {
            if (sweepNanos - deadline <= 0) {
                return;
            }
            sweep.cancel(false);
        }
        try {
            sweep = ports.executor().schedule(this::sweep, deadline - ticker.nanoTime(), TimeUnit.NANOSECONDS);
            sweepNanos = deadline;
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: sessions end anyway");
        }
    }

    /** Ends the sessions whose time is over, and comes again when that of the next one is. */
    private void sweep() {
        synchronized (this) {
            sweep = null;
        }
        long now = ticker.nanoTime();
        long next = now;
        boolean more = false;
        for (Map.Entry<String, Entry> each : byNode.entrySet()) {
            NodeSession session = each.getValue().session;
            long deadline = session.deadlineNanos();
            if (deadline - now > 0) {
                next = more && deadline - next > 0 ? next : deadline;
                more = true;
            } else if (byNode.remove(each.getKey(), each.getValue())) {
                LOG.info("node {} sent no heartbeat in time", session.nodeId());
                lost.accept(session.nodeId());
                session.close(mustDisconnect());
            }
        }
        if (more) {
            sweepAt(next);
        }
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        if (byNode.isEmpty()) {
            return;
        }
        if (commit.reset()) {
            byNode.values().forEach(entry -> entry.session.touchAll(commit));
            return;
        }
        // Gathered first, so that a node hears of all that one commit changed in one message.
        Map<NodeSession, Set<String>> touched = new LinkedHashMap<>();
        for (Event<?> event : commit.events()) {
            Event<Task> task = event.as(Kind.TASK);
            if (task != null) {
                gather(task.before(), task.id(), touched);
                gather(task.after(), task.id(), touched);
                continue;
            }
            Event<Node> node = event.as(Kind.NODE);
            if (node != null) {
                touchNode(node);
                continue;
            }
            Event<Cluster> cluster = event.as(Kind.CLUSTER);
            if (cluster != null && concernsNodes(cluster.before(), cluster.after())) {
                managersChanged();
            }
        }
        touched.forEach(NodeSession::touchTasks);
    }

    private void gather(@Nullable Task task, String taskId, Map<NodeSession, Set<String>> touched) {
        Entry entry = task == null || task.getNodeId().isEmpty() ? null : byNode.get(task.getNodeId());
        if (entry != null) {
            touched.computeIfAbsent(entry.session, session -> new LinkedHashSet<>(2))
                    .add(taskId);
        }
    }

    private void touchNode(Event<Node> node) {
        Entry entry = byNode.get(node.id());
        if (entry == null) {
            return;
        }
        if (node.after() != null) {
            entry.session.touch();
        } else if (byNode.remove(node.id(), entry)) {
            ports.executor()
                    .execute(() -> entry.session.close(Status.PERMISSION_DENIED.withDescription(
                            "Permission denied: node " + node.id() + " was removed from swarm")));
        }
    }

    private static boolean concernsNodes(@Nullable Cluster before, @Nullable Cluster after) {
        return before == null
                || after == null
                || !before.getNetworkBootstrapKeysList().equals(after.getNetworkBootstrapKeysList())
                || !root(before).equals(root(after));
    }

    private static ByteString root(Cluster cluster) {
        return cluster.getRootCa().getCaCert();
    }

    /** Every node is told the managers anew. */
    void managersChanged() {
        byNode.values().forEach(entry -> entry.session.touch());
    }

    private void requireOpen() {
        if (closed) {
            throw Status.ABORTED.withDescription("dispatcher is stopped").asRuntimeException();
        }
    }

    private static Status invalidSession() {
        return Status.INVALID_ARGUMENT.withDescription("session invalid");
    }

    private static Status mustDisconnect() {
        return Status.ABORTED.withDescription("node must disconnect");
    }

    /** Ends all sessions; their nodes go to other managers, of which they are told the newest addresses. */
    @Override
    public void close() {
        closed = true;
        synchronized (this) {
            if (sweep != null) {
                sweep.cancel(false);
            }
        }
        for (Entry entry : byNode.values()) {
            entry.session.sendMessage();
            entry.session.close(mustDisconnect());
        }
        byNode.clear();
    }
}
