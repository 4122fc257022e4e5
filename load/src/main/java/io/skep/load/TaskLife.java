package io.skep.load;

import io.skep.wire.TaskState;

/**
 * What an agent does next with a task, as a stock engine does it (swarm-wire 6.1): one state after the other up to the
 * desired one, a stop when that is wished.
 */
final class TaskLife {
    private TaskLife() {}

    /** What takes time on a real machine before a state is reached. */
    enum Work {
        NONE,
        /** Fetching the image and making the container. */
        PREPARE,
        START,
        STOP
    }

    /**
     * One step.
     *
     * @param work to be done first
     * @param next the state that is reached and reported then
     * @param message that a stock engine reports with it
     */
    record Step(Work work, TaskState next, String message) {}

    private static final Step NOTHING = new Step(Work.NONE, TaskState.UNRECOGNIZED, "");

    /** Returns the next step, or one whose state is UNRECOGNIZED when the task is where it should be. */
    static Step next(TaskState state, TaskState desired) {
        if (desired.getNumber() >= TaskState.SHUTDOWN_VALUE) {
            return state.getNumber() >= TaskState.COMPLETE_VALUE
                    ? NOTHING
                    : new Step(Work.STOP, TaskState.SHUTDOWN, "shutdown");
        }
        if (state.getNumber() >= desired.getNumber()) {
            return NOTHING;
        }
        return switch (state) {
            case NEW, PENDING, ASSIGNED -> new Step(Work.NONE, TaskState.ACCEPTED, "accepted");
            case ACCEPTED -> new Step(Work.NONE, TaskState.PREPARING, "preparing");
            case PREPARING -> new Step(Work.PREPARE, TaskState.READY, "prepared");
            case READY -> new Step(Work.NONE, TaskState.STARTING, "starting");
            case STARTING -> new Step(Work.START, TaskState.RUNNING, "started");
            default -> NOTHING;
        };
    }

    static boolean isNothing(Step step) {
        return step.next() == TaskState.UNRECOGNIZED;
    }
}
