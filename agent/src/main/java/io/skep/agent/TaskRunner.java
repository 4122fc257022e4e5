package io.skep.agent;

import io.skep.wire.Config;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ScheduledExecutorService;

/**
 * The port to what becomes of the tasks that a node is assigned. Called on the serial executor of the agent, in the
 * order of the assignments; methods must hand the work on and return.
 */
public interface TaskRunner {
    /** Returns why this node takes no tasks at all, in ASCII, or the empty string when it takes them. */
    String unavailable();

    /**
     * Called once, before all that follows, when the agent starts: takes up the tasks that it has from before.
     *
     * @param serial what all other calls come on; the runner may give it its own steps
     */
    default void start(ScheduledExecutorService serial) {
        // Nothing is left from before.
    }

    /** Takes note of the secrets and configs that the tasks of this node may use from now on; replaces those before. */
    void provide(List<Secret> secrets, List<Config> configs);

    /** A task is assigned, or its assignment changed: its desired state never goes back. */
    void assign(Task task, StatusReporter reporter);

    /** A task is no longer wanted here: it is stopped and all it left is removed. */
    void remove(String taskId);

    /**
     * Reads the logs of the tasks of this node that are selected.
     *
     * @param sink is told the end, also when that is wished
     * @return ends the reading; may be called at any time on the serial executor
     */
    default Runnable logs(LogSelector selector, LogSubscriptionOptions options, LogSink sink) {
        // Without the end a reader of logs would wait for ever (swarm-wire 3.6).
        sink.ended();
        return () -> {};
    }

    /** A manager has listed all tasks of this node: every other that is left from before is to be removed, too. */
    default void retain(Set<String> taskIds) {
        // Nothing is left from before.
    }
}
