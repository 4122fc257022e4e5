package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** Questions about the state of a task that several control loops ask (swarm-wire 6.1). */
final class TaskStates {
    private TaskStates() {}

    /** Returns whether the task has ended, in whatever way. */
    static boolean isTerminal(Task task) {
        return task.getStatus().getStateValue() > TaskState.RUNNING_VALUE;
    }

    /** Returns whether the task ended by itself, not because it was told to. */
    static boolean endedByItself(Task task) {
        return switch (task.getStatus().getState()) {
            case COMPLETE, FAILED, REJECTED -> true;
            default -> false;
        };
    }

    /** Returns whether the task is to run, or has completed a job, rather than to go. */
    static boolean isWanted(Task task) {
        return task.getDesiredStateValue() <= TaskState.COMPLETE_VALUE;
    }

    /** Returns whether nothing of the task runs any more, as far as anyone can tell. */
    static boolean isStopped(ClusterState state, Task task) {
        if (isTerminal(task)
                || task.getNodeId().isEmpty()
                || task.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE) {
            return true;
        }
        Node node = state.nodes().get(task.getNodeId());
        return node == null || node.getStatus().getState() == NodeStatus.State.DOWN;
    }

    /** Returns whether a node must not keep its tasks: it is gone, down or drained. */
    static boolean losesTasks(@Nullable Node node) {
        return node == null
                || node.getStatus().getState() == NodeStatus.State.DOWN
                || node.getSpec().getAvailability() == Availability.DRAIN;
    }

    /** Returns when the task came to its present status, by the clock of the managers if they saw it. */
    static Instant statusTime(Task task) {
        return Times.instant(
                task.getStatus().hasAppliedAt()
                        ? task.getStatus().getAppliedAt()
                        : task.getStatus().getTimestamp());
    }

    static Instant createdAt(Task task) {
        return Times.instant(task.getMeta().getCreatedAt());
    }

    static boolean sameVersion(Task a, Task b) {
        return a.getSpecVersion().equals(b.getSpecVersion());
    }

    static boolean isGlobal(Service service) {
        return service.getSpec().hasGlobal() || service.getSpec().hasGlobalJob();
    }

    static boolean isJob(Service service) {
        return service.getSpec().hasReplicatedJob() || service.getSpec().hasGlobalJob();
    }

    /** Wishes for another state of the task; a wish only ever grows. */
    static void desire(Transaction transaction, Task task, TaskState desired) {
        Task current = transaction.state().tasks().get(task.getId());
        if (current != null && current.getDesiredStateValue() < desired.getNumber()) {
            transaction.put(
                    Kind.TASK, current.toBuilder().setDesiredState(desired).build());
        }
    }
}
