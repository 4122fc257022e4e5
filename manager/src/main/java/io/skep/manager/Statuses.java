package io.skep.manager;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.control.CommandException;
import org.jspecify.annotations.Nullable;

/**
 * Refusals of commands as gRPC statuses and back.
 *
 * <p>Between managers a refusal carries a trailer that says so. Any other failure of a call (a lost connection, a
 * leader that lost its office) is no answer, and the caller asks again.
 */
final class Statuses {
    private static final Metadata.Key<String> REFUSED =
            Metadata.Key.of("skep-refused", Metadata.ASCII_STRING_MARSHALLER);

    private Statuses() {}

    /** Returns the status that nodes see. */
    static StatusRuntimeException refusal(CommandException refusal) {
        return status(refusal).asRuntimeException();
    }

    /** Returns the status that tells another manager: this is the answer, do not ask again. */
    static StatusRuntimeException answer(CommandException refusal) {
        Metadata trailers = new Metadata();
        trailers.put(REFUSED, "1");
        return status(refusal).asRuntimeException(trailers);
    }

    /** Returns the refusal that another manager answered with, or null when the failure is no answer. */
    static @Nullable CommandException answerIn(StatusRuntimeException failure) {
        Metadata trailers = failure.getTrailers();
        if (trailers == null || !trailers.containsKey(REFUSED)) {
            return null;
        }
        Status status = failure.getStatus();
        String text = status.getDescription() == null ? "" : status.getDescription();
        for (CommandException.Code code : CommandException.Code.values()) {
            if (code.name().equals(status.getCode().name())) {
                return new CommandException(code, text);
            }
        }
        return new CommandException(CommandException.Code.UNKNOWN, text);
    }

    private static Status status(CommandException refusal) {
        return Status.fromCode(Status.Code.valueOf(refusal.code().name())).withDescription(refusal.text());
    }
}
