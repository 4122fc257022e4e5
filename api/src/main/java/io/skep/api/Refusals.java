package io.skep.api;

import io.skep.control.CommandException;
import io.skep.engine.EngineException;

/** How the refusal of a command reaches the client: gRPC code to HTTP status, and text (swarm-wire 8.2). */
final class Refusals {
    private static final String NO_LEADER = "The swarm does not have a leader.";

    private Refusals() {}

    static Reply reply(CommandException refusal) {
        return Reply.error(status(refusal.code()), text(refusal));
    }

    static Reply reply(EngineException refusal) {
        int status = status(refusal.kind());
        return status == 304 ? Reply.empty(status) : Reply.error(status, refusal.text());
    }

    private static int status(EngineException.Kind kind) {
        return switch (kind) {
            case INVALID -> 400;
            case NOT_FOUND -> 404;
            case CONFLICT -> 409;
            case NOT_MODIFIED -> 304;
            case FORBIDDEN -> 403;
            case NOT_IMPLEMENTED -> 501;
            case UNAVAILABLE -> 503;
            case INTERNAL -> 500;
        };
    }

    static int status(CommandException.Code code) {
        return switch (code) {
            case INVALID_ARGUMENT, FAILED_PRECONDITION -> 400;
            case NOT_FOUND -> 404;
            case ALREADY_EXISTS -> 409;
            case PERMISSION_DENIED -> 403;
            case UNIMPLEMENTED -> 501;
            case UNAVAILABLE -> 503;
            case UNKNOWN, ABORTED, RESOURCE_EXHAUSTED -> 500;
        };
    }

    /** Returns the text with the prefix that gRPC gives errors in Go, which scripts look for. */
    static String text(CommandException refusal) {
        // Docker reports a missing leader as an error without code.
        String code = refusal.text().startsWith(NO_LEADER) ? "Unknown" : name(refusal.code());
        return "rpc error: code = " + code + " desc = " + refusal.text();
    }

    private static String name(CommandException.Code code) {
        return switch (code) {
            case UNKNOWN -> "Unknown";
            case INVALID_ARGUMENT -> "InvalidArgument";
            case NOT_FOUND -> "NotFound";
            case ALREADY_EXISTS -> "AlreadyExists";
            case PERMISSION_DENIED -> "PermissionDenied";
            case FAILED_PRECONDITION -> "FailedPrecondition";
            case ABORTED -> "Aborted";
            case UNIMPLEMENTED -> "Unimplemented";
            case RESOURCE_EXHAUSTED -> "ResourceExhausted";
            case UNAVAILABLE -> "Unavailable";
        };
    }
}
