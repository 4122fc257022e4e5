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
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Removes tasks that only history needs, beyond the limit that the cluster keeps (swarm-wire 6.7).
 *
 * <p>Tasks that are to be removed, and have ended or never begun, go at once. History is looked through in batches:
 * {@link #BATCH_DELAY} after the first change, or at once when {@link #BATCH_MAX} slots wait.
 *
 * <p>Two kinds of tasks stay, however low the limit, as others decide by them. One that ended and may not be restarted
 * fills its slot: without it the slot would be taken for one that lacks a task (swarm-wire 6.3). And one whose
 * replacement waits tells until when: without it there would be no delay between restarts.
 */
final class TaskReaper implements Loop {
    static final Duration BATCH_DELAY = Duration.ofMillis(250);
    static final int BATCH_MAX = 1000;

    private final Slots slots;
    private final RestartSupervisor restarts;
    private final Set<String> toRemove = new LinkedHashSet<>();
    private final Set<SlotKey> dirty = new HashSet<>();
    private @Nullable Instant due;
    private boolean historyLimitChanged;

    TaskReaper(ClusterState state, Slots slots, RestartSupervisor restarts) {
        this.slots = slots;
        this.restarts = restarts;
        for (Task task : state.tasks().values()) {
            consider(task, state);
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Task> task = event.as(Kind.TASK);
        if (task != null && task.after() != null) {
            // One that has not been placed yet matters when it comes, and again when it is given up.
            boolean waits = task.before() != null
                    && TaskStates.isWanted(task.object())
                    && !TaskStates.isTerminal(task.object());
            if (!waits) {
                consider(task.object(), state);
            }
            considerStart(task, state);
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

    /** What a replacement waited for may go when it starts. */
    private void considerStart(Event<Task> event, ClusterState state) {
        Task before = event.before();
        Service service = state.services().get(event.object().getServiceId());
        if (service != null
                && before != null
                && before.getDesiredState() == TaskState.READY
                && event.object().getDesiredState() != TaskState.READY) {
            dirty.add(SlotKey.of(service, event.object()));
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
        Iterator<String> ids = toRemove.iterator();
        while (ids.hasNext() && !transaction.isFull()) {
            Task task = transaction.state().tasks().get(ids.next());
            ids.remove();
            if (task != null && isRemovable(task, transaction.state())) {
                transaction.remove(Kind.TASK, task.getId());
            }
        }
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
        Iterator<SlotKey> keys = dirty.iterator();
        while (keys.hasNext() && !transaction.isFull()) {
            SlotKey key = keys.next();
            keys.remove();
            Service service = transaction.state().services().get(key.serviceId());
            long limit = service == null ? -1 : limit(service, cluster);
            if (service != null && limit >= 0 && slots.size(key) > limit) {
                trim(transaction, service, slots.tasks(transaction.state(), key), limit);
            }
        }
    }

    private void trim(Transaction transaction, Service service, List<Task> tasks, long limit) {
        List<Task> filling = restarts.current(transaction.state(), service, tasks);
        long surplus = tasks.size() - limit;
        for (int i = 0; i < tasks.size() && surplus > 0; i++) {
            Task task = tasks.get(i);
            boolean awaited = i + 1 < tasks.size() && tasks.get(i + 1).getDesiredState() == TaskState.READY;
            if (!awaited && !filling.contains(task) && isHistory(task, service)) {
                transaction.remove(Kind.TASK, task.getId());
                surplus--;
            }
        }
    }

    private static boolean isHistory(Task task, Service service) {
        boolean neverBegan = task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE && !TaskStates.isWanted(task);
        return neverBegan || (TaskStates.isTerminal(task) && !isWorkDone(task, service));
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
