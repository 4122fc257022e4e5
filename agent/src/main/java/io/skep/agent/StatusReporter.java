package io.skep.agent;

import io.skep.wire.TaskStatus;

/** Takes what became of a task, on its way to the managers. */
@FunctionalInterface
public interface StatusReporter {
    /** Notes the newest status of a task of this node; never blocks. Any thread. */
    void report(String taskId, TaskStatus status);
}
