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
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The loop that gives tasks to nodes (swarm-wire 6.10).
 *
 * <p>The waiting tasks of one version of a service form a group, which is placed together. A group is tried as soon as
 * it gets a task; what could not be placed says why in its status, and is tried again {@value #RETRY_DELAY_MILLIS} ms
 * after a node changed or a task let something go, so that many such changes cost one try. Tasks that belong to a node
 * from the start (global services, attachments) only need its consent.
 *
 * <p><b>What is decided</b> is what one gets by asking every node for every group, and taking the best of those that
 * agree: tests hold this class against that plain algorithm. <b>How</b> it is decided avoids to ask every node:
 *
 * <ul>
 *   <li>{@link NodeLoads} know what tasks take from each node, kept one task at a time, and which nodes changed lately.
 *       How many tasks of a service a node has is kept per service, for nodes that have some.
 *   <li>What groups ask of a node regardless of its tasks is the same for many of them ({@link NodeRequirement}). The
 *       nodes that meet it are a {@link NodePool}, made when first asked for and brought up to date, when it is used
 *       again, from the nodes that changed since. In it, {@link NodeTournament}s order nodes by their tasks, so that
 *       the best is found, and its new task counted, in the logarithm of their number. Constraints that name a value
 *       lead to a pool's nodes by the {@link NodeIndex}.
 *   <li>{@link GroupPlacement} handles what differs from service to service: nodes with tasks of this one and nodes on
 *       which it failed, usually few, are taken out of the tournaments for the time.
 *   <li>Why no node takes a task is asked only when none does. {@link Rejections} then keep each node's reason, so that
 *       the next try asks only nodes that changed; groups that ask for the same share it. As long as no node agrees and
 *       the reasons stay the same, a try costs nothing per task.
 * </ul>
 *
 * <p>A task is placed in O(log nodes), and a group costs O(its service's tasks). A requirement that nobody had of late
 * costs O(nodes), and so does the first task that no node takes.
 *
 * <p><b>Bounds.</b> Pools hold at most {@value #POOLED_PER_NODE_MAX} entries per node in all, besides the newest;
 * reasons are kept for {@value #REASONS_MAX} pairs of node and group, besides the newest. The least recently used are
 * dropped. Failures are forgotten after five minutes. Everything else belongs to a node, a service or a task that is
 * there, and goes with it. All of it follows from the state, and is made anew by the constructor.
 */
final class Scheduler implements Loop {
    static final int RETRY_DELAY_MILLIS = 50;
    /** From this many recent failures of a version of a service on, a node is the last choice for it. */
    static final int FAILURES_MAX = 5;

    private static final int POOLED_PER_NODE_MAX = 8;
    private static final int REASONS_MAX = 4_000_000;
    private static final Duration RETRY_DELAY = Duration.ofMillis(RETRY_DELAY_MILLIS);
    private static final String ASSIGNED = "scheduler assigned task to node";
    private static final String CONFIRMED = "scheduler confirmed task can run on preassigned node";

    /** Tasks that ask for the same: those of one version of a service, or one task without service. */
    private record Group(String serviceId, Version version, String taskId) {
        static Group of(Task task) {
            String service = task.getServiceId();
            return new Group(service, task.getSpecVersion(), service.isEmpty() ? task.getId() : "");
        }
    }

    /** The waiting tasks of a group, and why they wait. */
    private static final class Waiting {
        final Map<String, Task> tasks = new LinkedHashMap<>();
        /** What all tasks that waited at the last try give as reason, unless some came or changed since. */
        @Nullable
        String explained;

        void put(Task task) {
            tasks.put(task.getId(), task);
            if (explained != null && !explained.equals(task.getStatus().getErr())) {
                explained = null;
            }
        }
    }

    /** The filters for the task that asked last, which are those for many that ask next. */
    private static final class LastFilters {
        private @Nullable Task task;
        private @Nullable NodeFilters filters;

        NodeFilters of(Task asking) {
            NodeFilters known = filters;
            if (known == null || task == null || !isAlike(task, asking)) {
                known = NodeFilters.of(asking);
                filters = known;
            }
            task = asking;
            return known;
        }

        private static boolean isAlike(Task a, Task b) {
            return a.getServiceId().equals(b.getServiceId())
                    && a.getSpec().equals(b.getSpec())
                    && a.getEndpoint().equals(b.getEndpoint())
                    && a.getLogDriver().equals(b.getLogDriver())
                    && a.getNetworksCount() == 0
                    && b.getNetworksCount() == 0;
        }
    }

    private record Failure(Task task, Instant at) {}

    private final NodeLoads loads = new NodeLoads();
    private final NodeIndex index = new NodeIndex(loads);
    /** For each service the number of its wanted tasks on each node. */
    private final Map<String, SlotCounts> ofService = new HashMap<>();

    private final Failures failures = new Failures();
    private final RecentlyUsed<NodeRequirement, NodePool> pools = new RecentlyUsed<>(NodePool::size);
    private final RecentlyUsed<NodeFilters, Rejections> rejections = new RecentlyUsed<>(Rejections::size);
    private final LastFilters lastFilters = new LastFilters();
    /** Tasks that were counted when they were written, before the event of it came. */
    private final Set<Task> countedAhead = Collections.newSetFromMap(new IdentityHashMap<>());

    private final Map<Group, Waiting> waiting = new LinkedHashMap<>();
    private final Set<Group> groupsToTry = new LinkedHashSet<>();
    private final Map<String, Set<String>> boundByNode = new HashMap<>();
    private final Set<String> boundToTry = new LinkedHashSet<>();
    private final Set<String> neverStarted = new LinkedHashSet<>();
    private boolean roomChanged;
    private @Nullable Instant retryAt;

    Scheduler(ClusterState state, Instant now) {
        for (Node node : state.nodes().values()) {
            setNode(node.getId(), node);
        }
        List<Failure> failed = new ArrayList<>();
        for (Task task : state.tasks().values()) {
            count(null, task);
            take(null, task);
            if (failed(task)) {
                Instant failedAt = Times.instant(task.getMeta().getUpdatedAt());
                if (failedAt.plus(Failures.REMEMBERED_FOR).isAfter(now)) {
                    failed.add(new Failure(task, failedAt));
                }
            }
        }
        failed.sort(Comparator.comparing(Failure::at));
        failed.forEach(failure -> remember(failure.task(), failure.at()));
        roomChanged = false;
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Node> node = event.as(Kind.NODE);
        if (node != null) {
            observeNode(node);
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task != null) {
            observeTask(task.before(), task.after() == null ? gone(task.object()) : task.after());
        }
    }

    private void observeNode(Event<Node> event) {
        if (Nodes.placementChanges(event)) {
            setNode(event.id(), event.after());
            roomChanged = true;
            boundToTry.addAll(boundByNode.getOrDefault(event.id(), Set.of()));
        }
    }

    private void setNode(String id, @Nullable Node node) {
        NodeLoad load = loads.obtain(id);
        load.setNode(node, loads.now());
        loads.changed(load);
    }

    private void observeTask(@Nullable Task before, Task after) {
        if (!countedAhead.remove(after)) {
            count(before, after);
        }
        take(before, after);
        if (failed(after) && (before == null || !TaskStates.isTerminal(before))) {
            remember(after, Times.instant(after.getMeta().getUpdatedAt()));
        }
    }

    private void remember(Task failed, Instant at) {
        NodeLoad load = loads.get(failed.getNodeId());
        if (load != null) {
            failures.add(failed, load, at);
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

    /** Takes note of whether a task waits. */
    private void take(@Nullable Task before, Task task) {
        String id = task.getId();
        boolean waits = task.getStatus().getState() == TaskState.PENDING && TaskStates.isWanted(task);
        boolean waited = before != null && before.getStatus().getState() == TaskState.PENDING;
        if (before != null
                && waited
                && before.getNodeId().isEmpty()
                && (!waits || !task.getNodeId().isEmpty() || !Group.of(before).equals(Group.of(task)))) {
            stopWaiting(Group.of(before), id);
        }
        if (waits && task.getNodeId().isEmpty()) {
            Group group = Group.of(task);
            Waiting tasks = waiting.computeIfAbsent(group, key -> new Waiting());
            if (!tasks.tasks.containsKey(id) || !waited) {
                groupsToTry.add(group);
            }
            tasks.put(task);
        } else if (waits) {
            if (boundByNode
                            .computeIfAbsent(task.getNodeId(), key -> new LinkedHashSet<>())
                            .add(id)
                    || !waited) {
                boundToTry.add(id);
            }
        } else if (!task.getNodeId().isEmpty()) {
            stopWaitingFor(task.getNodeId(), id);
        }
        if (isToEndUnstarted(task)) {
            neverStarted.add(id);
        }
    }

    private static boolean isToEndUnstarted(Task task) {
        return task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE
                && task.getDesiredState() == TaskState.SHUTDOWN;
    }

    private void stopWaiting(Group group, String taskId) {
        Waiting tasks = waiting.get(group);
        if (tasks != null && tasks.tasks.remove(taskId) != null && tasks.tasks.isEmpty()) {
            waiting.remove(group);
            groupsToTry.remove(group);
        }
    }

    private void stopWaitingFor(String nodeId, String taskId) {
        Set<String> bound = boundByNode.get(nodeId);
        if (bound != null && bound.remove(taskId) && bound.isEmpty()) {
            boundByNode.remove(nodeId);
        }
    }

    /** Counts what a task takes from its node now instead of what it took before. */
    private void count(@Nullable Task before, Task after) {
        boolean took = before != null && takesRoom(before);
        boolean takes = takesRoom(after);
        if ((!took && !takes) || (took && takes && before != null && takesTheSame(before, after))) {
            return;
        }
        if (took && before != null) {
            NodeLoad load = loads.obtain(before.getNodeId());
            if (TaskStates.isWanted(before)) {
                countOfService(before.getServiceId(), load, -1);
            }
            load.remove(before);
            loads.changed(load);
            roomChanged = true;
            boundToTry.addAll(boundByNode.getOrDefault(before.getNodeId(), Set.of()));
        }
        if (takes) {
            NodeLoad load = loads.obtain(after.getNodeId());
            load.add(after);
            if (TaskStates.isWanted(after)) {
                countOfService(after.getServiceId(), load, 1);
            }
            loads.changed(load);
        }
    }

    private void countOfService(String serviceId, NodeLoad load, int change) {
        SlotCounts counts = ofService.computeIfAbsent(serviceId, id -> new SlotCounts());
        counts.add(load.slot(), change);
        if (counts.isEmpty()) {
            ofService.remove(serviceId);
        }
    }

    private static boolean takesRoom(Task task) {
        return !task.getNodeId().isEmpty()
                && task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE
                && !TaskStates.isTerminal(task);
    }

    private static boolean takesTheSame(Task before, Task after) {
        return before.getNodeId().equals(after.getNodeId())
                && TaskStates.isWanted(before) == TaskStates.isWanted(after)
                && before.getSpec().equals(after.getSpec())
                && before.getEndpoint().equals(after.getEndpoint())
                && before.getAssignedGenericResourcesList().equals(after.getAssignedGenericResourcesList());
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        failures.expire(now);
        while (!neverStarted.isEmpty() && !transaction.isFull()) {
            endNeverStarted(transaction, now, removeFirst(neverStarted));
        }
        while (!boundToTry.isEmpty() && !transaction.isFull()) {
            confirm(transaction, now, removeFirst(boundToTry));
        }
        if (roomChanged && !waiting.isEmpty() && retryAt == null) {
            retryAt = now.plus(RETRY_DELAY);
        }
        roomChanged = false;
        if (retryAt != null && !retryAt.isAfter(now)) {
            retryAt = null;
            groupsToTry.addAll(waiting.keySet());
        }
        while (!groupsToTry.isEmpty() && !transaction.isFull()) {
            Group group = removeFirst(groupsToTry);
            Waiting tasks = waiting.get(group);
            if (tasks != null && !place(transaction, now, group, tasks)) {
                groupsToTry.add(group);
            }
        }
    }

    private static <T> T removeFirst(Set<T> set) {
        Iterator<T> iterator = set.iterator();
        T first = iterator.next();
        iterator.remove();
        return first;
    }

    @Override
    public @Nullable Instant nextWake() {
        return retryAt;
    }

    /** Returns how much is kept for nodes, services and tasks, besides what has a bound of its own. */
    int kept() {
        return loads.size()
                + ofService.size()
                + failures.size()
                + countedAhead.size()
                + waiting.size()
                + groupsToTry.size()
                + boundByNode.size()
                + boundToTry.size()
                + neverStarted.size();
    }

    /** Ends a task that was given up before any node knew of it: nobody else would. */
    private void endNeverStarted(Transaction transaction, Instant now, String taskId) {
        Task task = transaction.state().tasks().get(taskId);
        if (task != null && isToEndUnstarted(task)) {
            TaskStatus status = status(TaskState.SHUTDOWN, "shut down before it had a node", now);
            transaction.put(Kind.TASK, task.toBuilder().setStatus(status).build());
        }
    }

    private static TaskStatus status(TaskState state, String message, Instant now) {
        return TaskStatus.newBuilder()
                .setState(state)
                .setTimestamp(Times.timestamp(now))
                .setMessage(message)
                .build();
    }

    private void confirm(Transaction transaction, Instant now, String taskId) {
        Task task = transaction.state().tasks().get(taskId);
        if (task == null || task.getStatus().getState() != TaskState.PENDING || !TaskStates.isWanted(task)) {
            return;
        }
        NodeLoad load = loads.get(task.getNodeId());
        if (load == null || load.node() == null) {
            // Who removes the node lets its tasks go.
            explain(transaction, now, task, "");
            return;
        }
        NodeFilter reason = lastFilters.of(task).rejection(load, countOn(load, task));
        if (reason != null) {
            explain(transaction, now, task, reason.explain(1));
            return;
        }
        assign(transaction, task, load, status(TaskState.ASSIGNED, CONFIRMED, now));
    }

    private int countOn(NodeLoad load, Task task) {
        SlotCounts counts = ofService.get(task.getServiceId());
        return counts == null ? 0 : counts.get(load.slot());
    }

    /** Tries to place the tasks of a group; returns false when it had to stop before the last of them. */
    private boolean place(Transaction transaction, Instant now, Group group, Waiting waitingTasks) {
        Task sample = waitingTasks.tasks.values().iterator().next();
        NodeFilters filters = lastFilters.of(sample);
        // Stays the same object while tasks are counted, even if it is empty at first.
        SlotCounts counts = ofService.computeIfAbsent(group.serviceId(), id -> new SlotCounts());
        Rejections rejected = rejections.get(filters);
        boolean done = (rejected != null && !rejected.acceptsAny(counts))
                ? explain(transaction, now, waitingTasks, rejected)
                : place(transaction, now, waitingTasks, filters, counts);
        if (counts.isEmpty()) {
            ofService.remove(group.serviceId());
        }
        return done;
    }

    private boolean place(
            Transaction transaction, Instant now, Waiting waitingTasks, NodeFilters filters, SlotCounts counts) {
        Task sample = waitingTasks.tasks.values().iterator().next();
        NodePool pool = pools.getOrMake(
                filters.requirement(),
                requirement -> new NodePool(requirement, loads, index),
                (long) POOLED_PER_NODE_MAX * loads.size());
        pool.catchUp();
        GroupPlacement placement = new GroupPlacement(pool, loads, filters, counts, failures, sample, now);
        TaskStatus status = status(TaskState.ASSIGNED, ASSIGNED, now);
        boolean done = true;
        boolean full = false;
        for (Task task : waitingTasks.tasks.values()) {
            if (transaction.isFull()) {
                done = false;
                break;
            }
            NodeLoad load = placement.take();
            if (load == null) {
                full = true;
                break;
            }
            assign(transaction, task, load, status);
            placement.giveBack(load);
        }
        placement.end();
        if (full) {
            Rejections rejected = rejections.getOrMake(filters, unknown -> new Rejections(unknown, loads), REASONS_MAX);
            rejected.acceptsAny(counts);
            done = explain(transaction, now, waitingTasks, rejected);
        }
        return done;
    }

    private void assign(Transaction transaction, Task task, NodeLoad load, TaskStatus status) {
        Task.Builder assigned = task.toBuilder().setNodeId(load.nodeId()).setStatus(status);
        List<GenericResource> claimed = load.claim(task.getSpec().getResources().getReservations());
        if (claimed != null) {
            assigned.clearAssignedGenericResources().addAllAssignedGenericResources(claimed);
        }
        Task written = transaction.put(Kind.TASK, assigned.build());
        count(task, written);
        countedAhead.add(written);
    }

    /** Tells the tasks that still wait why; returns false when it had to stop before the last of them. */
    private boolean explain(Transaction transaction, Instant now, Waiting waitingTasks, Rejections rejected) {
        String reasons = rejected.explanation();
        String why = reasons.isEmpty() ? "no suitable node" : "no suitable node (" + reasons + ")";
        if (why.equals(waitingTasks.explained)) {
            return true;
        }
        for (Task task : waitingTasks.tasks.values()) {
            if (transaction.isFull()) {
                return false;
            }
            Task current = transaction.state().tasks().get(task.getId());
            // Those that got a node a moment ago are still in the list.
            if (current != null && current.getNodeId().isEmpty()) {
                explain(transaction, now, current, why);
            }
        }
        waitingTasks.explained = why;
        return true;
    }

    private void explain(Transaction transaction, Instant now, Task task, String why) {
        if (!task.getStatus().getErr().equals(why)) {
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
