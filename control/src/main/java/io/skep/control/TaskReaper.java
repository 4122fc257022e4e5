package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Removes tasks that only history needs, beyond the limit that the cluster keeps (swarm-wire 6.7).
 *
 * <p>Tasks that are to be removed, and have ended or never begun, go at once. History is looked through in batches, as
 * that takes a pass over all tasks of a service: {@link #BATCH_DELAY} after the first change, or at once when
 * {@link #BATCH_MAX} slots wait.
 */
final class TaskReaper implements Loop {
    static final Duration BATCH_DELAY = Duration.ofMillis(250);
    static final int BATCH_MAX = 1000;

    private final Set<String> toRemove = new LinkedHashSet<>();
    private final Set<SlotKey> dirty = new HashSet<>();
    private @Nullable Instant due;
    private boolean historyLimitChanged;

    TaskReaper(ClusterState state) {
        for (Task task : state.tasks().values()) {
            consider(task, state);
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Task> task = event.as(Kind.TASK);
        if (task != null && task.after() != null) {
            consider(task.object(), state);
        }
        Event<Cluster> cluster = event.as(Kind.CLUSTER);
        if (cluster != null && cluster.after() != null && cluster.before() != null) {
            historyLimitChanged |= historyLimit(cluster.object()) != historyLimit(cluster.before());
        }
    }

    private void consider(Task task, ClusterState state) {
        if (isRemovable(task, state)) {
            toRemove.add(task.getId());
        }
        Service service = state.services().get(task.getServiceId());
        boolean isNew = task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE;
        if (service != null && (TaskStates.isTerminal(task) || isNew)) {
            dirty.add(SlotKey.of(service, task));
        }
    }

    private static boolean isRemovable(Task task, ClusterState state) {
        int reached = task.getStatus().getStateValue();
        boolean unwanted = task.getDesiredStateValue() == TaskState.REMOVE_VALUE
                && (reached < TaskState.ASSIGNED_VALUE || reached >= TaskState.COMPLETE_VALUE);
        boolean lost = reached == TaskState.ORPHANED_VALUE
                && (task.getServiceId().isEmpty() || state.services().get(task.getServiceId()) == null);
        return unwanted || lost;
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        for (String id : toRemove) {
            Task task = transaction.state().tasks().get(id);
            if (task != null && isRemovable(task, transaction.state())) {
                transaction.remove(Kind.TASK, id);
            }
        }
        toRemove.clear();
        if (historyLimitChanged) {
            historyLimitChanged = false;
            for (Task task : transaction.state().tasks().values()) {
                consider(task, transaction.state());
            }
        }
        if (dirty.isEmpty()) {
            due = null;
        } else if (due == null && dirty.size() < BATCH_MAX) {
            due = now.plus(BATCH_DELAY);
        } else if (dirty.size() >= BATCH_MAX || (due != null && !now.isBefore(due))) {
            due = null;
            trimHistory(transaction);
        }
    }

    @Override
    public @Nullable Instant nextWake() {
        return due;
    }

    private void trimHistory(Transaction transaction) {
        Cluster cluster = transaction.state().cluster();
        if (cluster == null) {
            return;
        }
        Map<String, Set<SlotKey>> slotsByService = new HashMap<>();
        dirty.forEach(slot -> slotsByService
                .computeIfAbsent(slot.serviceId(), id -> new HashSet<>())
                .add(slot));
        dirty.clear();
        slotsByService.forEach((serviceId, slots) -> {
            Service service = transaction.state().services().get(serviceId);
            if (service == null) {
                return;
            }
            long limit = limit(service, cluster);
            if (limit >= 0) {
                tasksBySlot(transaction.state(), service, slots)
                        .values()
                        .forEach(tasks -> trim(transaction, service, tasks, limit));
            }
        });
    }

    private static Map<SlotKey, List<Task>> tasksBySlot(ClusterState state, Service service, Set<SlotKey> slots) {
        Map<SlotKey, List<Task>> tasksBySlot = new HashMap<>();
        for (Task task : state.tasksOfService(service.getId())) {
            SlotKey slot = SlotKey.of(service, task);
            if (slots.contains(slot)) {
                tasksBySlot.computeIfAbsent(slot, key -> new ArrayList<>()).add(task);
            }
        }
        return tasksBySlot;
    }

    private static void trim(Transaction transaction, Service service, List<Task> tasks, long limit) {
        long surplus = tasks.size() - limit;
        if (surplus <= 0) {
            return;
        }
        tasks.sort(Comparator.comparing(TaskStates::createdAt)
                .thenComparing(TaskStates::statusTime)
                .thenComparing(Task::getId));
        for (Task task : tasks) {
            if (surplus <= 0) {
                return;
            }
            boolean neverBegan =
                    task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE && !TaskStates.isWanted(task);
            if ((TaskStates.isTerminal(task) && !isWorkDone(task, service)) || neverBegan) {
                transaction.remove(Kind.TASK, task.getId());
                surplus--;
            }
        }
    }

    /** Returns whether the task is what a job counts as done: without it the job would begin again. */
    private static boolean isWorkDone(Task task, Service service) {
        return TaskStates.isJob(service)
                && task.getStatus().getState() == TaskState.COMPLETE
                && task.getJobIteration().getIndex()
                        == service.getJobStatus().getJobIteration().getIndex();
    }

    /** Returns how many tasks of a slot are kept, or a negative number for all. */
    private static long limit(Service service, Cluster cluster) {
        long attempts = service.getSpec().getTask().getRestart().getMaxAttempts();
        return attempts > 0 ? attempts + 1 : historyLimit(cluster);
    }

    private static long historyLimit(Cluster cluster) {
        return cluster.getSpec().getOrchestration().getTaskHistoryRetentionLimit();
    }
}
