package io.skep.control;

/** A command was refused: the gRPC code that callers act on, and a text for the user (swarm-wire 8.2, 8.5). */
public final class CommandException extends RuntimeException {
    /** Why a command is refused; the names are those of the gRPC status codes. */
    public enum Code {
        UNKNOWN,
        INVALID_ARGUMENT,
        NOT_FOUND,
        ALREADY_EXISTS,
        PERMISSION_DENIED,
        FAILED_PRECONDITION,
        ABORTED,
        UNIMPLEMENTED,
        RESOURCE_EXHAUSTED,
        UNAVAILABLE
    }

    private final Code code;

    public CommandException(Code code, String message) {
        super(message);
        this.code = code;
    }

    public Code code() {
        return code;
    }

    /** Returns the message that the user reads. */
    public String text() {
        String message = getMessage();
        return message == null ? "" : message;
    }
}
