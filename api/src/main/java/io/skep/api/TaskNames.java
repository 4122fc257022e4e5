package io.skep.api;

import io.skep.wire.Task;

/** Names of tasks, which also are those of their containers. */
final class TaskNames {
    private TaskNames() {}

    /** Returns {@code service.slot.id}, for a task of a global service {@code service.node.id}. */
    static String of(Task task, String serviceName) {
        if (!task.getAnnotations().getName().isEmpty()) {
            return task.getAnnotations().getName();
        }
        String middle = task.getSlot() == 0 ? task.getNodeId() : Long.toUnsignedString(task.getSlot());
        return serviceName + "." + middle + "." + task.getId();
    }
}
