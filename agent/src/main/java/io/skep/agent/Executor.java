package io.skep.agent;

import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.util.List;

/**
 * The port to what runs containers. Called on the serial executor of the agent; methods must return soon.
 *
 * <p>What it runs outlives the agent: after a restart the agent asks for the controllers of its tasks again.
 */
public interface Executor {
    /** Returns why this node takes no tasks at all, in ASCII, or the empty string when it takes them. */
    String unavailable();

    /** Takes note of the secrets and configs that the tasks of this node may use from now on; replaces those before. */
    void provide(List<Secret> secrets, List<Config> configs);

    /**
     * Makes what runs one task. Begins nothing yet; the task may be new, or run already, or have left things behind.
     *
     * @throws TaskFailure when this node cannot run such a task
     */
    Controller controller(Task task) throws TaskFailure;
}
