package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.RestartPolicy;
import io.skep.wire.RestartPolicy.RestartCondition;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The keeper of the restart policies: it replaces tasks that ended or lost their node, and starts replacements when
 * their time has come (swarm-wire 6.6).
 *
 * <p>A replacement is made at once, so that its node can prepare it, but with the desired state READY. When it may
 * start, and how often its slot was restarted, is read from the tasks of the slot each time it matters: there is no
 * history besides the state, and a new leader goes on where the last one stopped. What is kept here is only which tasks
 * wait, and until when.
 *
 * <p>A replacement starts when the restart delay since its creation is over, unless its predecessor's node is drained
 * or its predecessor was of another version of the service (an update is no restart); and when all tasks of the slot
 * that are to go have stopped, for which it waits a minute at most.
 */
final class RestartSupervisor implements Loop {
    static final Duration DELAY_DEFAULT = Duration.ofSeconds(5);
    static final Duration STOP_WAIT_MAX = Duration.ofMinutes(1);

    private record Waiting(Instant until, String taskId) implements Comparable<Waiting> {
        @Override
        public int compareTo(Waiting other) {
            int byTime = until.compareTo(other.until);
            return byTime != 0 ? byTime : taskId.compareTo(other.taskId);
        }
    }

    private final Slots slots;
    private final Map<String, Instant> waiting = new HashMap<>();
    private final TreeSet<Waiting> byTime = new TreeSet<>();
    private final Set<String> toCheck = new LinkedHashSet<>();
    private boolean nodesChanged;

    RestartSupervisor(ClusterState state, Slots slots) {
        this.slots = slots;
        for (Task task : state.tasks().values()) {
            if (task.getDesiredState() == TaskState.READY) {
                toCheck.add(task.getId());
            }
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Task> task = event.as(Kind.TASK);
        if (task != null) {
            observeTask(task, state);
        }
        Event<Node> node = event.as(Kind.NODE);
        if (node != null && !waiting.isEmpty() && changesTasks(node)) {
            nodesChanged = true;
        }
    }

    private static boolean changesTasks(Event<Node> node) {
        Node before = node.before();
        Node after = node.after();
        return before == null
                || after == null
                || before.getStatus().getState() != after.getStatus().getState()
                || before.getSpec().getAvailability() != after.getSpec().getAvailability();
    }

    private void observeTask(Event<Task> event, ClusterState state) {
        Task after = event.after();
        if (after != null && after.getDesiredState() == TaskState.READY) {
            toCheck.add(after.getId());
        } else {
            stopWaiting(event.id());
        }
        Service service = state.services().get(event.object().getServiceId());
        if (service != null && !waiting.isEmpty()) {
            for (Task other : slots.tasks(state, SlotKey.of(service, event.object()))) {
                if (waiting.containsKey(other.getId())) {
                    toCheck.add(other.getId());
                }
            }
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        while (!byTime.isEmpty() && !byTime.first().until().isAfter(now)) {
            String due = byTime.first().taskId();
            stopWaiting(due);
            toCheck.add(due);
        }
        if (nodesChanged) {
            nodesChanged = false;
            toCheck.addAll(waiting.keySet());
        }
        Iterator<String> ids = toCheck.iterator();
        while (ids.hasNext() && !transaction.isFull()) {
            String id = ids.next();
            ids.remove();
            startOrWait(transaction, now, id);
        }
    }

    private void startOrWait(Transaction transaction, Instant now, String taskId) {
        stopWaiting(taskId);
        Task task = transaction.state().tasks().get(taskId);
        if (task == null || task.getDesiredState() != TaskState.READY) {
            return;
        }
        Service service = transaction.state().services().get(task.getServiceId());
        if (service == null) {
            return;
        }
        if (isDone(transaction.state(), service, task)) {
            TaskStates.desire(transaction, task, TaskState.REMOVE);
            return;
        }
        Instant startAt = startAt(transaction.state(), service, task);
        if (startAt.isAfter(now)) {
            waiting.put(taskId, startAt);
            byTime.add(new Waiting(startAt, taskId));
        } else {
            TaskStates.desire(transaction, task, TaskStates.isJob(service) ? TaskState.COMPLETE : TaskState.RUNNING);
        }
    }

    /** Returns whether the part of a job that a replacement is to do was done by the task before it after all. */
    private boolean isDone(ClusterState state, Service service, Task task) {
        if (!TaskStates.isJob(service)) {
            return false;
        }
        for (Task other : slots.tasks(state, SlotKey.of(service, task))) {
            if (other.getStatus().getState() == TaskState.COMPLETE
                    && other.getJobIteration().equals(task.getJobIteration())) {
                return true;
            }
        }
        return false;
    }

    private void stopWaiting(String taskId) {
        Instant until = waiting.remove(taskId);
        if (until != null) {
            byTime.remove(new Waiting(until, taskId));
        }
    }

    @Override
    public @Nullable Instant nextWake() {
        return byTime.isEmpty() ? null : byTime.first().until();
    }

    /** Gives a task up, and makes its replacement if the restart policy allows one. */
    void restart(Transaction transaction, Instant now, Service service, Task task) {
        boolean replace = mayRestart(transaction.state(), service, task);
        TaskStates.desire(transaction, task, TaskState.SHUTDOWN);
        if (replace) {
            slots.create(transaction, now, service, SlotKey.of(service, task), TaskState.READY);
        }
    }

    /** Returns whether the restart policy allows a replacement of a task that ended, or that must end. */
    boolean mayRestart(ClusterState state, Service service, Task task) {
        RestartPolicy policy = task.getSpec().getRestart();
        RestartCondition condition = task.getSpec().hasRestart() ? policy.getCondition() : RestartCondition.ANY;
        boolean completed = task.getStatus().getState() == TaskState.COMPLETE;
        if (condition == RestartCondition.NONE
                || (completed && (condition != RestartCondition.ANY || TaskStates.isJob(service)))) {
            return false;
        }
        if (policy.getMaxAttempts() == 0 || !TaskStates.endedByItself(task)) {
            return true;
        }
        Duration window = Times.duration(policy.getWindow());
        Instant since =
                window.isZero() ? Instant.MIN : TaskStates.statusTime(task).minus(window);
        long restarts = 0;
        for (Task earlier : slots.tasks(state, SlotKey.of(service, task))) {
            if (!earlier.getId().equals(task.getId())
                    && TaskStates.sameVersion(earlier, task)
                    && TaskStates.endedByItself(earlier)
                    && TaskStates.statusTime(earlier).isAfter(since)) {
                restarts++;
            }
        }
        return restarts < policy.getMaxAttempts();
    }

    /**
     * Returns the tasks of a slot that an orchestrator has to do with: those that are to run, or else the newest one if
     * it fills its slot although it ended, because it may not be restarted.
     */
    List<Task> current(ClusterState state, Service service, List<Task> slot) {
        if (slot.size() == 1 && slot.getFirst().getDesiredStateValue() <= TaskState.RUNNING_VALUE) {
            return slot;
        }
        List<Task> runnable = slot.stream()
                .filter(task -> task.getDesiredStateValue() <= TaskState.RUNNING_VALUE)
                .toList();
        if (!runnable.isEmpty() || slot.isEmpty() || Updater.isRollingBack(service)) {
            return runnable;
        }
        Task newest = slot.getLast();
        return newest.getDesiredState() == TaskState.REMOVE || mayRestart(state, service, newest)
                ? List.of()
                : List.of(newest);
    }

    /** Returns whether a replacement is held back; it is not replaced itself before its own time has come. */
    boolean isHeldBack(ClusterState state, Instant now, Service service, Task task) {
        return task.getDesiredState() == TaskState.READY
                && startAt(state, service, task).isAfter(now);
    }

    private Instant startAt(ClusterState state, Service service, Task task) {
        Instant created = TaskStates.createdAt(task);
        Instant startAt = created;
        Task predecessor = null;
        for (Task other : slots.tasks(state, SlotKey.of(service, task))) {
            if (other.getId().equals(task.getId())) {
                break;
            }
            predecessor = other;
            if (other.getDesiredStateValue() > TaskState.RUNNING_VALUE && !TaskStates.isStopped(state, other)) {
                startAt = created.plus(STOP_WAIT_MAX);
            }
        }
        if (predecessor != null && TaskStates.sameVersion(predecessor, task) && !isDrained(state, predecessor)) {
            Instant delayed = created.plus(delay(task));
            return delayed.isAfter(startAt) ? delayed : startAt;
        }
        return startAt;
    }

    private static boolean isDrained(ClusterState state, Task task) {
        Node node = state.nodes().get(task.getNodeId());
        return node != null && node.getSpec().getAvailability() == Availability.DRAIN;
    }

    private static Duration delay(Task task) {
        RestartPolicy policy = task.getSpec().getRestart();
        return policy.hasDelay() ? Times.duration(policy.getDelay()) : DELAY_DEFAULT;
    }
}
