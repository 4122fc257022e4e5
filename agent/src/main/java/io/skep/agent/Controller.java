package io.skep.agent;

import io.skep.wire.Task;
import io.skep.wire.TaskStatus;

/**
 * The port to one task on this node: what a {@link TaskManager} has done to it, one operation after the other.
 *
 * <p>Methods are called on the serial executor of the agent, begin the work and return. An operation ends on any
 * thread, with a {@link TaskFailure} when it failed; any other exception counts as a fault that another try does not
 * heal. The next operation begins when the last has ended, but for one that was cancelled and takes more than 30 s to
 * end: then the next may begin beside it.
 *
 * <p>Each operation may be asked for again, by this agent after a temporary failure or by the next after a restart.
 * What is done already is not done twice, and is no failure.
 */
public interface Controller {
    /** Gets all the task needs, up to a container that can be started. The secrets and configs are there. */
    Operation prepare();

    /**
     * Starts the task; ends when it runs, and is healthy where that can be asked. What fails leaves nothing running.
     */
    Operation start();

    /** Ends when the task has ended by itself: with success, or with {@link TaskFailure#exited}. */
    Operation await();

    /** Asks the task to end, and ends it by force after its grace period. */
    Operation shutdown();

    /** Ends the task by force, at once. */
    Operation terminate();

    /** Removes all that the task left. It was stopped before, as far as that was possible. */
    Operation remove();

    /** The task is assigned with other fields than before, other than its desired state; may come at any time. */
    default void update(Task task) {
        // Few changes concern a task that is there already.
    }

    /** Adds what is known of the container and its ports to a status that is about to be reported. */
    default void describe(TaskStatus.Builder status) {
        // Nothing is known of a task without container.
    }
}
