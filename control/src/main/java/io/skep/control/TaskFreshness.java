package io.skep.control;

import io.skep.wire.ContainerSpec;
import io.skep.wire.Node;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import org.jspecify.annotations.Nullable;

/** The test whether a task is what its service now asks for (swarm-wire 6.2). */
public final class TaskFreshness {
    private TaskFreshness() {}

    /**
     * Returns whether a task must be replaced to become what its service asks for.
     *
     * @param node the node of the task, or null if it has none: a change of nothing but the placement needs no
     *     replacement as long as that node fits
     */
    public static boolean isDirty(Service service, Task task, @Nullable Node node) {
        if (service.hasSpecVersion()
                && task.hasSpecVersion()
                && service.getSpecVersion().equals(task.getSpecVersion())) {
            return false;
        }
        if (task.hasEndpoint()
                && !service.getSpec().getEndpoint().equals(task.getEndpoint().getSpec())) {
            return true;
        }
        TaskSpec wanted = wanted(service, task);
        if (wanted.equals(task.getSpec())) {
            return false;
        }
        if (wanted.getPlacement().equals(task.getSpec().getPlacement())) {
            return true;
        }
        TaskSpec.Builder elsewhere = wanted.toBuilder().clearPlacement();
        if (task.getSpec().hasPlacement()) {
            elsewhere.setPlacement(task.getSpec().getPlacement());
        }
        return !elsewhere.build().equals(task.getSpec())
                || node == null
                || !Constraints.match(Constraints.of(wanted.getPlacement()), node);
    }

    /** Returns the spec that the service asks for, with the pull options of a task that has its image already. */
    private static TaskSpec wanted(Service service, Task task) {
        TaskSpec wanted = service.getSpec().getTask();
        boolean hasImage = task.getStatus().getStateValue() >= TaskState.READY_VALUE
                && task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE
                && task.getDesiredStateValue() <= TaskState.RUNNING_VALUE;
        if (!hasImage || !wanted.hasContainer() || !task.getSpec().hasContainer()) {
            return wanted;
        }
        ContainerSpec running = task.getSpec().getContainer();
        if (running.getPullOptions().equals(wanted.getContainer().getPullOptions())
                && running.hasPullOptions() == wanted.getContainer().hasPullOptions()) {
            return wanted;
        }
        ContainerSpec.Builder container = wanted.getContainer().toBuilder().clearPullOptions();
        if (running.hasPullOptions()) {
            container.setPullOptions(running.getPullOptions());
        }
        return wanted.toBuilder().setContainer(container).build();
    }
}
