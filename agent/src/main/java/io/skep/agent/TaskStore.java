package io.skep.agent;

import io.skep.wire.Task;
import io.skep.wire.TaskStatus;
import java.util.List;

/**
 * The port to what a node keeps of its tasks while its agent does not run. What was put before the process ended is
 * there when the next begins. Called on the serial executor of the agent; a method that cannot keep its promise says so
 * in the log, and the agent goes on.
 */
public interface TaskStore {
    /** Returns all tasks, each with the newest status that was put, those first that were put first. */
    List<Task> load();

    /** Keeps a task, with its status, instead of what was known of it. */
    void put(Task task);

    /** Keeps the newest status of a task that is kept. */
    void putStatus(String taskId, TaskStatus status);

    /** Forgets a task. */
    void remove(String taskId);
}
