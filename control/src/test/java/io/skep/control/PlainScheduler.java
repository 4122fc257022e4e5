package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.GenericResource;
import io.skep.wire.Node;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The scheduler in its plain form, which looks at every node for every group of tasks: what {@link Scheduler} decides
 * faster, and is compared with.
 *
 * <p>What tasks take from each node is kept in {@link PlainNodeLoad}s, one task event at a time. The waiting tasks of
 * one version of a service form a group, which is placed together. A group is tried as soon as it gets a task; what
 * could not be placed says why in its status, and is tried again {@value #RETRY_DELAY_MILLIS} ms after a node changed
 * or a task let something go, so that many such changes cost one try. Tasks that belong to a node from the start
 * (global services, attachments) only need its consent.
 *
 * <p>At most {@value #WRITES_PER_STEP_MAX} tasks are placed, or told why not, in one step, which bounds the size of a
 * transaction; the rest follows in the next step, at once.
 */
final class PlainScheduler implements Loop {
    static final int RETRY_DELAY_MILLIS = 50;
    static final int WRITES_PER_STEP_MAX = 2000;
    /** From this many recent failures of a version of a service on, a node is the last choice for it. */
    static final int FAILURES_MAX = 5;

    private static final Duration RETRY_DELAY = Duration.ofMillis(RETRY_DELAY_MILLIS);

    /** Tasks that ask for the same: those of one version of a service, or one task without service. */
    private record Group(String serviceId, Version version, String taskId) {
        static Group of(Task task) {
            String service = task.getServiceId();
            return new Group(service, task.getSpecVersion(), service.isEmpty() ? task.getId() : "");
        }
    }

    private final Map<String, PlainNodeLoad> loads = new LinkedHashMap<>();
    /** Tasks that take something from a node, as they were when they were counted. */
    private final Map<String, Task> counted = new HashMap<>();

    private final Map<Group, Set<String>> waiting = new LinkedHashMap<>();
    private final Set<Group> groupsToTry = new LinkedHashSet<>();
    private final Map<String, Set<String>> boundByNode = new HashMap<>();
    private final Set<String> boundToTry = new LinkedHashSet<>();
    private final Set<String> neverStarted = new LinkedHashSet<>();
    private boolean roomChanged;
    private @Nullable Instant retryAt;
    private long step = -1;
    private int writesLeft;
    private boolean interrupted;

    PlainScheduler(ClusterState state, Instant now) {
        for (Node node : state.nodes().values()) {
            load(node.getId()).setNode(node);
        }
        for (Task task : state.tasks().values()) {
            take(null, task);
            Instant failedAt = Times.instant(task.getMeta().getUpdatedAt());
            if (failed(task)
                    && failedAt.plus(PlainNodeLoad.FAILURES_REMEMBERED_FOR).isAfter(now)) {
                load(task.getNodeId()).fail(task, failedAt);
            }
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Node> node = event.as(Kind.NODE);
        if (node != null) {
            observeNode(node);
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task != null) {
            Task after = task.after();
            take(task.before(), after == null ? gone(task.object()) : after);
            if (after != null && failed(after) && (task.before() == null || !TaskStates.isTerminal(task.before()))) {
                load(after.getNodeId())
                        .fail(after, Times.instant(after.getMeta().getUpdatedAt()));
            }
        }
    }

    private void observeNode(Event<Node> event) {
        PlainNodeLoad load = load(event.id());
        load.setNode(event.after());
        if (load.isEmpty()) {
            loads.remove(event.id());
        }
        if (Nodes.placementChanges(event)) {
            roomChanged = true;
            boundToTry.addAll(boundByNode.getOrDefault(event.id(), Set.of()));
        }
    }

    private static boolean failed(Task task) {
        return !task.getNodeId().isEmpty()
                && switch (task.getStatus().getState()) {
                    case FAILED, REJECTED -> true;
                    default -> false;
                };
    }

    private static Task gone(Task task) {
        return task.toBuilder()
                .setStatus(TaskStatus.newBuilder().setState(TaskState.ORPHANED))
                .build();
    }

    /** Takes note of a task as it is now. */
    private void take(@Nullable Task before, Task task) {
        count(task);
        String id = task.getId();
        TaskState state = task.getStatus().getState();
        boolean waits = state == TaskState.PENDING && TaskStates.isWanted(task);
        boolean waited = before != null && before.getStatus().getState() == TaskState.PENDING;
        if (task.getNodeId().isEmpty()) {
            Group group = Group.of(task);
            if (waits) {
                if (waiting.computeIfAbsent(group, key -> new LinkedHashSet<>()).add(id) || !waited) {
                    groupsToTry.add(group);
                }
            } else {
                stopWaiting(group, id);
            }
        } else {
            if (before != null && before.getNodeId().isEmpty()) {
                stopWaiting(Group.of(before), id);
            }
            if (!waits) {
                remove(boundByNode, task.getNodeId(), id);
            } else if (boundByNode
                            .computeIfAbsent(task.getNodeId(), key -> new LinkedHashSet<>())
                            .add(id)
                    || !waited) {
                boundToTry.add(id);
            }
        }
        if (task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE
                && task.getDesiredState() == TaskState.SHUTDOWN) {
            neverStarted.add(id);
        }
    }

    private void stopWaiting(Group group, String taskId) {
        remove(waiting, group, taskId);
        if (!waiting.containsKey(group)) {
            groupsToTry.remove(group);
        }
    }

    private static <K> void remove(Map<K, Set<String>> sets, K key, String taskId) {
        Set<String> ids = sets.get(key);
        if (ids != null && ids.remove(taskId) && ids.isEmpty()) {
            sets.remove(key);
        }
    }

    private void count(Task task) {
        Task before = counted.get(task.getId());
        boolean takes = takesRoom(task);
        if (before == null && !takes) {
            return;
        }
        if (before != null
                && takes
                && before.getNodeId().equals(task.getNodeId())
                && TaskStates.isWanted(before) == TaskStates.isWanted(task)) {
            return;
        }
        if (before != null) {
            counted.remove(before.getId());
            PlainNodeLoad load = load(before.getNodeId());
            load.remove(before);
            roomChanged = true;
            boundToTry.addAll(boundByNode.getOrDefault(before.getNodeId(), Set.of()));
            if (load.isEmpty()) {
                loads.remove(before.getNodeId());
            }
        }
        if (takes) {
            counted.put(task.getId(), task);
            load(task.getNodeId()).add(task);
        }
    }

    private static boolean takesRoom(Task task) {
        return !task.getNodeId().isEmpty()
                && task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE
                && !TaskStates.isTerminal(task);
    }

    private PlainNodeLoad load(String nodeId) {
        return loads.computeIfAbsent(nodeId, id -> new PlainNodeLoad());
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        if (step != transaction.version()) {
            step = transaction.version();
            writesLeft = WRITES_PER_STEP_MAX;
        }
        for (String id : neverStarted) {
            endNeverStarted(transaction, now, id);
        }
        neverStarted.clear();
        for (String id : boundToTry) {
            confirm(transaction, now, id);
        }
        boundToTry.clear();
        if (roomChanged && !waiting.isEmpty() && retryAt == null) {
            retryAt = now.plus(RETRY_DELAY);
        }
        roomChanged = false;
        if (retryAt != null && !retryAt.isAfter(now)) {
            retryAt = null;
            groupsToTry.addAll(waiting.keySet());
        }
        interrupted = false;
        for (Group group : List.copyOf(groupsToTry)) {
            if (writesLeft == 0) {
                interrupted = true;
                break;
            }
            groupsToTry.remove(group);
            place(transaction, now, group);
        }
        if (interrupted) {
            retryAt = now;
        }
    }

    @Override
    public @Nullable Instant nextWake() {
        return retryAt;
    }

    /** Ends a task that was given up before any node knew of it: nobody else would. */
    private void endNeverStarted(Transaction transaction, Instant now, String taskId) {
        Task task = transaction.state().tasks().get(taskId);
        if (task != null
                && task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE
                && task.getDesiredState() == TaskState.SHUTDOWN) {
            put(transaction, now, task.toBuilder(), TaskState.SHUTDOWN, "shut down before it had a node");
        }
    }

    private void confirm(Transaction transaction, Instant now, String taskId) {
        Task task = transaction.state().tasks().get(taskId);
        if (task == null || task.getStatus().getState() != TaskState.PENDING || !TaskStates.isWanted(task)) {
            return;
        }
        PlainNodeLoad load = loads.get(task.getNodeId());
        PlainNodeFilters filters = new PlainNodeFilters(task);
        if (load == null || load.node() == null || !filters.accept(load)) {
            explain(transaction, now, task, filters.explanation());
            return;
        }
        assign(transaction, now, task, task.getNodeId(), load, "scheduler confirmed task can run on preassigned node");
    }

    private void place(Transaction transaction, Instant now, Group group) {
        List<Task> tasks = new ArrayList<>();
        for (String id : waiting.getOrDefault(group, Set.of())) {
            Task task = transaction.state().tasks().get(id);
            if (task != null) {
                tasks.add(task);
            }
        }
        if (tasks.isEmpty()) {
            return;
        }
        Task sample = tasks.getFirst();
        PlainNodeFilters filters = new PlainNodeFilters(sample);
        PlainPlacementTree tree =
                new PlainPlacementTree(sample.getSpec().getPlacement(), group.serviceId(), order(sample, now));
        for (PlainNodeLoad load : loads.values()) {
            Node node = load.node();
            if (node != null) {
                tree.add(load, node, filters.accept(load));
            }
        }
        for (Task task : tasks) {
            if (writesLeft == 0) {
                groupsToTry.add(group);
                interrupted = true;
                return;
            }
            PlainNodeLoad load = tree.take();
            Node node = load == null ? null : load.node();
            if (load == null || node == null) {
                String why = filters.explanation();
                explain(transaction, now, task, why.isEmpty() ? "no suitable node" : "no suitable node (" + why + ")");
                continue;
            }
            writesLeft--;
            assign(transaction, now, task, node.getId(), load, "scheduler assigned task to node");
            if (filters.accept(load)) {
                tree.giveBack(load, node);
            }
        }
    }

    /** Orders nodes, the best for the task first. */
    private static Comparator<PlainNodeLoad> order(Task task, Instant now) {
        Comparator<PlainNodeLoad> byFailures = Comparator.comparingInt(load -> {
            int count = load.recentFailures(task, now);
            return count < FAILURES_MAX ? 0 : count;
        });
        return byFailures
                .thenComparingInt(load -> load.active(task.getServiceId()))
                .thenComparingInt(PlainNodeLoad::active)
                .thenComparing(load -> load.node() == null ? "" : load.node().getId());
    }

    private void assign(
            Transaction transaction, Instant now, Task task, String nodeId, PlainNodeLoad load, String message) {
        Task.Builder assigned = task.toBuilder().setNodeId(nodeId);
        List<GenericResource> claimed = load.claim(task.getSpec().getResources().getReservations());
        if (claimed != null) {
            assigned.clearAssignedGenericResources().addAllAssignedGenericResources(claimed);
        }
        count(put(transaction, now, assigned, TaskState.ASSIGNED, message));
    }

    private static Task put(Transaction transaction, Instant now, Task.Builder task, TaskState state, String message) {
        return transaction.put(
                Kind.TASK,
                task.setStatus(TaskStatus.newBuilder()
                                .setState(state)
                                .setTimestamp(Times.timestamp(now))
                                .setMessage(message))
                        .build());
    }

    private void explain(Transaction transaction, Instant now, Task task, String why) {
        if (!task.getStatus().getErr().equals(why)) {
            writesLeft = Math.max(0, writesLeft - 1);
            transaction.put(
                    Kind.TASK,
                    task.toBuilder()
                            .setStatus(task.getStatus().toBuilder()
                                    .setTimestamp(Times.timestamp(now))
                                    .setErr(why))
                            .build());
        }
    }
}
