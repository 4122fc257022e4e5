package io.skep.agent;

/** Why an operation on a task failed; the message is for users. */
public final class TaskFailure extends Exception {
    private final boolean temporary;

    private TaskFailure(String message, boolean temporary) {
        super(message);
        this.temporary = temporary;
    }

    /** Another try would not help: the task has failed. */
    public static TaskFailure fatal(String message) {
        return new TaskFailure(message, false);
    }

    /** Another try may help. */
    public static TaskFailure temporary(String message) {
        return new TaskFailure(message, true);
    }

    /**
     * The task ended with an exit code other than 0.
     *
     * @param reason more about it, or empty
     */
    public static TaskFailure exited(int exitCode, String reason) {
        return new TaskFailure(
                "task: non-zero exit (" + exitCode + ")" + (reason.isEmpty() ? "" : ": " + reason), false);
    }

    public boolean isTemporary() {
        return temporary;
    }
}
