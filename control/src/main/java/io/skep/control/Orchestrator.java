package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A loop that gives the services of one mode the tasks they ask for.
 *
 * <p>What ended, or lost its node, is restarted task by task; a service as a whole is only looked at when it, or the
 * set of its slots, changed.
 */
abstract class Orchestrator implements Loop {
    protected final Slots slots;
    protected final RestartSupervisor restarts;
    private final Set<String> servicesToReconcile = new LinkedHashSet<>();
    private final Set<String> tasksToRestart = new LinkedHashSet<>();

    protected Orchestrator(ClusterState state, Slots slots, RestartSupervisor restarts) {
        this.slots = slots;
        this.restarts = restarts;
    }

    /** Takes up what former leaders left; called once, by the constructors of the modes. */
    protected final void resume(ClusterState state) {
        for (Service service : state.services().values()) {
            if (handles(service)) {
                servicesToReconcile.add(service.getId());
            }
        }
        for (Task task : state.tasks().values()) {
            noteEnd(state, task);
        }
    }

    /** Returns whether the service is of the mode of this orchestrator; a mode never changes. */
    protected abstract boolean handles(Service service);

    /** Makes, removes and updates the tasks of a service; returns false if the transaction got full before the end. */
    protected abstract boolean reconcile(Transaction transaction, Instant now, Service service);

    /** Returns whether a task must be replaced. */
    protected boolean mustRestart(ClusterState state, Task task) {
        return task.getDesiredStateValue() <= TaskState.RUNNING_VALUE
                && (TaskStates.isTerminal(task)
                        || (!task.getNodeId().isEmpty()
                                && TaskStates.losesTasks(state.nodes().get(task.getNodeId()))));
    }

    protected void restart(Transaction transaction, Instant now, Service service, Task task) {
        restarts.restart(transaction, now, service, task);
    }

    protected void observeNode(Event<Node> event, ClusterState state) {
        if (TaskStates.losesTasks(event.after())
                && (event.before() == null || !TaskStates.losesTasks(event.before()))) {
            for (Task task : state.tasksOfNode(event.id())) {
                noteEnd(state, task);
            }
        }
    }

    /** Takes note that an empty slot may have to be filled. */
    protected void observeRemoval(Service service, Task task) {
        servicesToReconcile.add(service.getId());
    }

    @Override
    public final void observe(Event<?> event, ClusterState state) {
        Event<Service> service = event.as(Kind.SERVICE);
        if (service != null) {
            observeService(service);
            return;
        }
        Event<Node> node = event.as(Kind.NODE);
        if (node != null) {
            observeNode(node, state);
            return;
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task == null) {
            return;
        }
        Service owner = state.services().get(task.object().getServiceId());
        if (owner == null || !handles(owner)) {
            return;
        }
        if (task.after() != null) {
            noteEnd(state, task.object());
            observeTask(owner, task.object());
        } else if (TaskStates.isWanted(task.object())
                || slots.tasks(state, SlotKey.of(owner, task.object())).isEmpty()) {
            observeRemoval(owner, task.object());
        }
    }

    /** Takes note of a task that was made or changed. */
    protected void observeTask(Service service, Task task) {}

    protected final void reconcileLater(String serviceId) {
        servicesToReconcile.add(serviceId);
    }

    protected void observeService(Event<Service> event) {
        Service before = event.before();
        Service after = event.after();
        if (after != null
                && handles(after)
                && (before == null
                        || !before.getSpecVersion().equals(after.getSpecVersion())
                        || !before.getJobStatus().equals(after.getJobStatus())
                        || !before.getSpec().equals(after.getSpec()))) {
            servicesToReconcile.add(after.getId());
        }
    }

    private void noteEnd(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        if (service != null && handles(service) && mustRestart(state, task)) {
            tasksToRestart.add(task.getId());
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        Iterator<String> tasks = tasksToRestart.iterator();
        while (tasks.hasNext() && !transaction.isFull()) {
            String id = tasks.next();
            tasks.remove();
            restart(transaction, now, id);
        }
        Iterator<String> services = servicesToReconcile.iterator();
        String unfinished = null;
        while (services.hasNext() && unfinished == null && !transaction.isFull()) {
            String id = services.next();
            services.remove();
            Service service = transaction.state().services().get(id);
            if (service != null && !reconcile(transaction, now, service)) {
                unfinished = id;
            }
        }
        if (unfinished != null) {
            // Behind the others, which need not wait for all of a large one.
            servicesToReconcile.add(unfinished);
        }
    }

    private void restart(Transaction transaction, Instant now, String taskId) {
        ClusterState state = transaction.state();
        Task task = state.tasks().get(taskId);
        Service service = task == null ? null : state.services().get(task.getServiceId());
        if (task == null || service == null || !handles(service) || !mustRestart(state, task)) {
            return;
        }
        // A replacement that fails before it was due waits like one that was never made: else an image that
        // cannot be pulled would be tried without any delay. Its start, when due, brings it here again.
        if (TaskStates.isTerminal(task) && restarts.isHeldBack(state, now, service, task)) {
            return;
        }
        restart(transaction, now, service, task);
    }

    @Override
    public final @Nullable Instant nextWake() {
        return null;
    }

    /** Fills a slot, unless the transaction is full; returns whether it did. */
    protected final boolean fill(
            Transaction transaction, Instant now, Service service, SlotKey key, TaskState desired) {
        if (transaction.isFull()) {
            return false;
        }
        boolean free = slots.tasks(transaction.state(), key).stream()
                .allMatch(task -> TaskStates.isStopped(transaction.state(), task));
        slots.create(transaction, now, service, key, free ? desired : TaskState.READY);
        return true;
    }
}
