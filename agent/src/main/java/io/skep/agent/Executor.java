package io.skep.agent;

import io.skep.wire.Config;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.PluginDescription;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.io.IOException;
import java.util.List;

/**
 * The port to what runs containers. Called on the serial executor of the agent; methods must return soon.
 *
 * <p>What it runs outlives the agent: after a restart the agent asks for the controllers of its tasks again.
 */
public interface Executor {
    /** Returns why this node takes no tasks at all, in ASCII, or the empty string when it takes them. */
    String unavailable();

    /** Returns the drivers of logs, networks and volumes that tasks may ask for. */
    List<PluginDescription> drivers();

    /** Takes note of the secrets and configs that the tasks of this node may use from now on; replaces those before. */
    void provide(List<Secret> secrets, List<Config> configs);

    /**
     * Makes what runs one task. Begins nothing yet; the task may be new, or run already, or have left things behind.
     *
     * @throws TaskFailure when this node cannot run such a task
     */
    Controller controller(Task task) throws TaskFailure;

    /**
     * Reads the log of a task; one that has none yet, or none that can be read, has no lines.
     *
     * @param sink is told the end, also when that is wished
     * @return ends the reading; may be called at any time
     */
    Runnable logs(Task task, LogSubscriptionOptions options, LogSink sink);

    /** Removes all that tasks left behind: the node is part of its swarm no longer. Waits until that is done. */
    void removeAll() throws IOException, InterruptedException;
}
