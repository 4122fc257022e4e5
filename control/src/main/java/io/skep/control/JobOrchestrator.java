package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The orchestrator of jobs: tasks that end, a number of times or once on each node (swarm-wire 6.5).
 *
 * <p>Each update of a job begins an iteration. Only tasks of the present one count; those of earlier ones go. A slot
 * whose task failed and may not be restarted is given up: it counts as used, so that a failing job comes to an end.
 */
final class JobOrchestrator extends Orchestrator {
    private final Set<String> globalJobs = new LinkedHashSet<>();

    JobOrchestrator(ClusterState state, Slots slots, RestartSupervisor restarts) {
        super(state, slots, restarts);
        for (Service service : state.services().values()) {
            noteGlobal(service);
        }
        resume(state);
    }

    @Override
    protected boolean handles(Service service) {
        return TaskStates.isJob(service);
    }

    private void noteGlobal(Service service) {
        if (service.getSpec().hasGlobalJob()) {
            globalJobs.add(service.getId());
        }
    }

    @Override
    protected void observeService(Event<Service> event) {
        super.observeService(event);
        if (event.after() == null) {
            globalJobs.remove(event.id());
        } else {
            noteGlobal(event.object());
        }
    }

    @Override
    protected void observeNode(Event<Node> event, ClusterState state) {
        super.observeNode(event, state);
        if (Nodes.placementChanges(event)) {
            globalJobs.forEach(this::reconcileLater);
        }
    }

    @Override
    protected void observeTask(Service service, Task task) {
        if (TaskStates.isTerminal(task) || !TaskStates.isWanted(task)) {
            reconcileLater(service.getId());
        }
    }

    @Override
    protected boolean mustRestart(ClusterState state, Task task) {
        if (!TaskStates.isWanted(task) || task.getStatus().getState() == TaskState.COMPLETE) {
            return false;
        }
        return TaskStates.isTerminal(task)
                || (!task.getNodeId().isEmpty()
                        && TaskStates.losesTasks(state.nodes().get(task.getNodeId())));
    }

    @Override
    protected void restart(Transaction transaction, Instant now, Service service, Task task) {
        Node node = transaction.state().nodes().get(task.getNodeId());
        if (!isCurrent(service, task)) {
            TaskStates.desire(transaction, task, TaskState.REMOVE);
        } else if (service.getSpec().hasGlobalJob() && (node == null || TaskStates.losesTasks(node))) {
            TaskStates.desire(transaction, task, TaskState.SHUTDOWN);
        } else {
            super.restart(transaction, now, service, task);
        }
    }

    @Override
    protected boolean reconcile(Transaction transaction, Instant now, Service service) {
        ClusterState state = transaction.state();
        for (SlotKey key : slots.of(service.getId())) {
            if (transaction.isFull()) {
                return false;
            }
            for (Task task : slots.tasks(state, key)) {
                if (!isCurrent(service, task)) {
                    TaskStates.desire(transaction, task, TaskState.REMOVE);
                }
            }
        }
        return service.getSpec().hasGlobalJob()
                ? reconcileGlobal(transaction, now, service)
                : reconcileReplicated(transaction, now, service);
    }

    private static boolean isCurrent(Service service, Task task) {
        return task.getJobIteration().getIndex()
                == service.getJobStatus().getJobIteration().getIndex();
    }

    private boolean reconcileReplicated(Transaction transaction, Instant now, Service service) {
        ReplicatedJob job = service.getSpec().getReplicatedJob();
        Set<Long> used = new HashSet<>();
        long running = 0;
        for (SlotKey key : slots.of(service.getId())) {
            List<Task> current = current(transaction.state(), service, key);
            if (!current.isEmpty()) {
                used.add(key.slot());
                running += isUnderWay(current) ? 1 : 0;
            }
        }
        long missing = Math.min(job.getMaxConcurrent() - running, job.getTotalCompletions() - used.size());
        long number = 0;
        for (long i = 0; i < missing; i++) {
            while (used.contains(number)) {
                number++;
            }
            if (!fill(transaction, now, service, new SlotKey(service.getId(), number, ""), TaskState.COMPLETE)) {
                return false;
            }
            used.add(number);
        }
        return true;
    }

    private boolean reconcileGlobal(Transaction transaction, Instant now, Service service) {
        List<Constraint> constraints =
                Constraints.of(service.getSpec().getTask().getPlacement());
        for (Node node : transaction.state().nodes().values()) {
            SlotKey key = new SlotKey(service.getId(), 0, node.getId());
            boolean fits = node.getStatus().getState() == NodeStatus.State.READY
                    && node.getSpec().getAvailability() == Availability.ACTIVE
                    && Constraints.match(constraints, node);
            List<Task> current = current(transaction.state(), service, key);
            // An older task may have come to its end after a newer one was made, and then nothing is left to do.
            boolean done = current.stream().anyMatch(task -> task.getStatus().getState() == TaskState.COMPLETE);
            boolean open = current.isEmpty() || (!done && mayTryAgain(transaction.state(), service, current.getLast()));
            if (fits && open && !fill(transaction, now, service, key, TaskState.COMPLETE)) {
                return false;
            }
        }
        return true;
    }

    /**
     * Returns whether a task that was to stop, as its node was lost or drained, is to be done again: when it was
     * stopped, or failed meanwhile as it may.
     */
    private boolean mayTryAgain(ClusterState state, Service service, Task task) {
        return !TaskStates.isWanted(task)
                && (!TaskStates.endedByItself(task) || restarts.mayRestart(state, service, task));
    }

    private List<Task> current(ClusterState state, Service service, SlotKey key) {
        List<Task> current = new ArrayList<>();
        for (Task task : slots.tasks(state, key)) {
            if (isCurrent(service, task) && task.getDesiredState() != TaskState.REMOVE) {
                current.add(task);
            }
        }
        return current;
    }

    private static boolean isUnderWay(List<Task> current) {
        return current.stream()
                .anyMatch(task -> TaskStates.isWanted(task) && task.getStatus().getState() != TaskState.COMPLETE);
    }
}
