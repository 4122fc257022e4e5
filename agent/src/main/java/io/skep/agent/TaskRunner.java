package io.skep.agent;

import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.util.List;

/**
 * The port to what becomes of the tasks that a node is assigned. Called on the serial executor of the agent, in the
 * order of the assignments; methods must hand the work on and return.
 */
public interface TaskRunner {
    /** Returns why this node takes no tasks at all, in ASCII, or the empty string when it takes them. */
    String unavailable();

    /** Takes note of the secrets and configs that the tasks of this node may use from now on; replaces those before. */
    void provide(List<Secret> secrets, List<Config> configs);

    /** A task is assigned, or its assignment changed: its desired state never goes back. */
    void assign(Task task, StatusReporter reporter);

    /** A task is no longer wanted here: it is stopped and all it left is removed. */
    void remove(String taskId);
}
