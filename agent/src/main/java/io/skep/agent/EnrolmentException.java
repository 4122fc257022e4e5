package io.skep.agent;

import io.grpc.Status;
import java.net.ConnectException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A node could not become part of a cluster: the message is for the user, in the words of Docker where it has some. */
public final class EnrolmentException extends Exception {
    private final Status.@Nullable Code code;

    EnrolmentException(String message, @Nullable Throwable cause) {
        super(message, cause);
        this.code = null;
    }

    private EnrolmentException(Status.Code code, String message, Throwable cause) {
        super(message, cause);
        this.code = code;
    }

    /** A call to a manager failed. */
    static EnrolmentException of(String address, Throwable failure) {
        Status status = Status.fromThrowable(failure);
        String text = status.getDescription() == null ? String.valueOf(status.getCode()) : status.getDescription();
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            if (cause instanceof ConnectException) {
                String host = ManagerChannels.parse(address).toString();
                text = "connection error: desc = \"transport: Error while dialing: dial tcp "
                        + host.substring(host.lastIndexOf('/') + 1) + ": connect: connection refused\"";
                break;
            }
            if (cause.getCause() == null && status.getCode() == Status.Code.UNAVAILABLE) {
                text += ": " + cause.getMessage();
            }
        }
        return new EnrolmentException(status.getCode(), text, failure);
    }

    /** Returns the gRPC code when a manager, or the way to it, was the reason; empty when this node refused. */
    public Optional<Status.Code> code() {
        return Optional.ofNullable(code);
    }

    /** Returns whether another try may help. */
    boolean isTransient() {
        return switch (code) {
            case null -> false;
            case INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED, UNIMPLEMENTED -> false;
            default -> true;
        };
    }
}
