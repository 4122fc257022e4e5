package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import io.skep.wire.CommandResult;
import io.skep.wire.Node;
import io.skep.wire.NodeStatus;
import io.skep.wire.ReportSessions;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The leader's knowledge of which nodes have a live session with some manager.
 *
 * <p>Managers report their sessions every second, which changes nothing in the state; only a node that was lost, or
 * comes back, does. A node is down when the last manager that knew it says that it missed its heartbeats, or when no
 * manager has reported it for {@link #GRACE_PERIODS} heartbeats. A node whose manager died has that time to appear at
 * another one. A new leader knows nothing yet, so it grants twice that time.
 *
 * <p>Before that, when no manager has spoken of a node for {@link #DOUBTED_PERIODS} heartbeats, its state is unknown:
 * it keeps its tasks, and gets no new ones.
 *
 * <p>A node may stand in the lists of two managers for a while, after it changed from one to the other: it counts as
 * lost only when the last of them has lost it.
 *
 * <p>A leader that itself stood still (a paused machine, a long collection) has heard nobody: it grants the time anew
 * when it sees that it did not act for {@link #STALLED_PERIODS} heartbeats.
 *
 * <p>The tasks of a node that was down for {@link #ORPHANED_AFTER} are given up (swarm-wire 3.2). That time begins
 * again with each leader.
 */
final class NodeLiveness implements Loop {
    static final int GRACE_PERIODS = 3;
    static final int FIRST_GRACE_PERIODS = 6;
    static final int DOUBTED_PERIODS = 2;
    static final int STALLED_PERIODS = 2;
    static final Duration HEARTBEAT_PERIOD_DEFAULT = Duration.ofSeconds(5);
    static final Duration ORPHANED_AFTER = Duration.ofHours(24);
    private static final String DOWN_MESSAGE = "heartbeat failure";
    private static final String UNKNOWN_MESSAGE = "no manager has a session with the node";

    /** Stands for the manager of a session that this leader has not heard of yet. */
    private static final String UNKNOWN_MANAGER = "";

    /** For each node that is not down: until when the word of each manager that it lives counts. */
    private final Map<String, Map<String, Instant>> deadlines = new HashMap<>();

    /** Nodes whose tasks are not given up yet; the one that is down longest comes first. */
    private final Map<String, Instant> downSince = new LinkedHashMap<>();

    private final List<String> justDown = new ArrayList<>();
    private Duration heartbeatPeriod = HEARTBEAT_PERIOD_DEFAULT;
    private Instant lastAct;

    /** No deadline is before this; it is made exact only when it has come. */
    private Instant nextCheck = Instant.MAX;

    NodeLiveness(ClusterState state, Instant now) {
        lastAct = now;
        Cluster cluster = state.cluster();
        if (cluster != null) {
            setPeriod(cluster);
        }
        for (Node node : state.nodes().values()) {
            if (isDown(node)) {
                downSince.put(node.getId(), now);
            } else if (hasRegistered(node)) {
                extend(node.getId(), UNKNOWN_MANAGER, now, FIRST_GRACE_PERIODS);
            }
        }
    }

    /** Takes note of a new session. */
    void registered(String nodeId, String managerId, Instant now) {
        extend(nodeId, managerId, now, GRACE_PERIODS);
    }

    /** Takes the report of a manager; nodes that are lost or back change in the transaction. */
    CommandResult report(Transaction transaction, Instant now, ReportSessions report) {
        String manager = report.getManagerId();
        for (String id : report.getNodeIdsList()) {
            Node node = transaction.state().nodes().get(id);
            if (node == null || !hasRegistered(node)) {
                continue;
            }
            extend(id, manager, now, GRACE_PERIODS);
            if (node.getStatus().getState() != NodeStatus.State.READY) {
                setState(transaction, node, NodeStatus.State.READY, NodeCommands.withoutExecutor(node));
            }
        }
        for (String id : report.getLostNodeIdsList()) {
            Map<String, Instant> sessions = deadlines.get(id);
            if (sessions == null) {
                continue;
            }
            sessions.remove(manager);
            sessions.remove(UNKNOWN_MANAGER);
            if (sessions.isEmpty()) {
                down(transaction, id);
            }
        }
        return Answers.done();
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Cluster> cluster = event.as(Kind.CLUSTER);
        if (cluster != null && cluster.after() != null) {
            setPeriod(cluster.object());
        }
        Event<Node> node = event.as(Kind.NODE);
        if (node == null) {
            return;
        }
        Node after = node.after();
        if (after == null) {
            deadlines.remove(node.id());
        }
        if (after != null && isDown(after)) {
            if (!downSince.containsKey(node.id())) {
                justDown.add(node.id());
            }
        } else {
            downSince.remove(node.id());
            justDown.remove(node.id());
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        justDown.forEach(id -> downSince.putIfAbsent(id, now));
        justDown.clear();
        if (now.isAfter(lastAct.plus(heartbeatPeriod.multipliedBy(STALLED_PERIODS)))) {
            Instant granted = now.plus(heartbeatPeriod.multipliedBy(GRACE_PERIODS));
            for (Map<String, Instant> sessions : deadlines.values()) {
                sessions.replaceAll((manager, deadline) -> later(deadline, granted));
            }
        }
        lastAct = now;
        if (!now.isBefore(nextCheck)) {
            expire(transaction, now);
        }
        while (!downSince.isEmpty()) {
            Map.Entry<String, Instant> longest = downSince.entrySet().iterator().next();
            if (now.isBefore(longest.getValue().plus(ORPHANED_AFTER))) {
                return;
            }
            downSince.remove(longest.getKey());
            giveUpTasks(transaction, longest.getKey(), now);
        }
    }

    /**
     * Wakes at least once in a heartbeat while there are sessions, so that only a leader that stood still acts late.
     */
    @Override
    public @Nullable Instant nextWake() {
        Instant wake = Instant.MAX;
        if (!deadlines.isEmpty()) {
            wake = earlier(nextCheck, lastAct.plus(heartbeatPeriod));
        }
        if (!downSince.isEmpty()) {
            wake = earlier(wake, downSince.values().iterator().next().plus(ORPHANED_AFTER));
        }
        return wake.equals(Instant.MAX) ? null : wake;
    }

    private void expire(Transaction transaction, Instant now) {
        nextCheck = Instant.MAX;
        for (String id : List.copyOf(deadlines.keySet())) {
            Map<String, Instant> sessions = deadlines.getOrDefault(id, Map.of());
            sessions.values().removeIf(deadline -> !now.isBefore(deadline));
            if (sessions.isEmpty()) {
                down(transaction, id);
                continue;
            }
            Instant doubted = Instant.MIN;
            for (Map.Entry<String, Instant> session : sessions.entrySet()) {
                doubted = later(doubted, doubtedAt(session.getKey(), session.getValue()));
                nextCheck = earlier(nextCheck, session.getValue());
            }
            if (now.isBefore(doubted)) {
                nextCheck = earlier(nextCheck, doubted);
            } else {
                doubt(transaction, id);
            }
        }
    }

    /** Returns when the word of a manager that a node lives is too old to give the node more to do. */
    private Instant doubtedAt(String managerId, Instant deadline) {
        int granted = managerId.equals(UNKNOWN_MANAGER) ? FIRST_GRACE_PERIODS : GRACE_PERIODS;
        return deadline.minus(heartbeatPeriod.multipliedBy(granted - DOUBTED_PERIODS));
    }

    private static void doubt(Transaction transaction, String id) {
        Node node = transaction.state().nodes().get(id);
        if (node != null && node.getStatus().getState() == NodeStatus.State.READY) {
            setState(transaction, node, NodeStatus.State.UNKNOWN, UNKNOWN_MESSAGE);
        }
    }

    private void down(Transaction transaction, String id) {
        deadlines.remove(id);
        Node node = transaction.state().nodes().get(id);
        if (node != null && !isDown(node)) {
            setState(transaction, node, NodeStatus.State.DOWN, DOWN_MESSAGE);
        }
    }

    private static void giveUpTasks(Transaction transaction, String nodeId, Instant now) {
        for (Task task : transaction.state().tasksOfNode(nodeId)) {
            int state = task.getStatus().getStateValue();
            if (state >= TaskState.ASSIGNED_VALUE && state <= TaskState.RUNNING_VALUE) {
                transaction.put(Kind.TASK, orphaned(task, now, "the node of the task was down for too long"));
            }
        }
    }

    /** Returns the task as one of which nobody will hear again. */
    static Task orphaned(Task task, Instant now, String message) {
        return task.toBuilder()
                .setStatus(TaskStatus.newBuilder()
                        .setState(TaskState.ORPHANED)
                        .setTimestamp(Times.timestamp(now))
                        .setMessage(message))
                .build();
    }

    private static void setState(Transaction transaction, Node node, NodeStatus.State state, String message) {
        transaction.put(
                Kind.NODE,
                node.toBuilder()
                        .setStatus(node.getStatus().toBuilder().setState(state).setMessage(message))
                        .build());
    }

    private void extend(String nodeId, String managerId, Instant now, int periods) {
        Map<String, Instant> sessions = deadlines.computeIfAbsent(nodeId, id -> new HashMap<>());
        Instant deadline = now.plus(heartbeatPeriod.multipliedBy(periods));
        sessions.put(managerId, deadline);
        nextCheck = earlier(nextCheck, doubtedAt(managerId, deadline));
    }

    private static Instant later(Instant one, Instant other) {
        return one.isAfter(other) ? one : other;
    }

    private static Instant earlier(Instant one, Instant other) {
        return one.isBefore(other) ? one : other;
    }

    private void setPeriod(Cluster cluster) {
        Duration period = Times.duration(cluster.getSpec().getDispatcher().getHeartbeatPeriod());
        heartbeatPeriod = period.isPositive() ? period : HEARTBEAT_PERIOD_DEFAULT;
    }

    private static boolean isDown(Node node) {
        return node.getStatus().getState() == NodeStatus.State.DOWN;
    }

    private static boolean hasRegistered(Node node) {
        return node.hasDescription();
    }
}
