package io.skep.manager;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.control.CommandException;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Answers calls whose outcome comes later, when the method that took them has long returned. */
final class Replies {
    private static final Logger LOG = LoggerFactory.getLogger(Replies.class);

    private Replies() {}

    /**
     * Answers when the outcome is there. Must be called before the method of the service returns.
     *
     * @param answer makes the answer of the outcome; it may throw a status
     */
    static <T, A> void send(CompletableFuture<T> outcome, StreamObserver<A> response, Function<T, A> answer) {
        expectCancellation(response);
        var _ = outcome.whenComplete((value, failure) -> {
            if (failure != null) {
                response.onError(status(failure));
                return;
            }
            A made;
            try {
                made = answer.apply(value);
            } catch (RuntimeException e) {
                response.onError(status(e));
                return;
            }
            response.onNext(made);
            response.onCompleted();
        });
    }

    /** Makes it no error to answer a caller that is gone. Must be called before the method of the service returns. */
    static void expectCancellation(StreamObserver<?> response) {
        ((ServerCallStreamObserver<?>) response).setOnCancelHandler(() -> {});
    }

    /** Returns the status that tells a node why its call failed. */
    static StatusRuntimeException status(Throwable failure) {
        return switch (CommandRouter.cause(failure)) {
            case CommandException refusal -> Statuses.refusal(refusal);
            case StatusRuntimeException status -> status;
            case Throwable other -> {
                LOG.error("a call failed inside this manager", other);
                yield Status.UNKNOWN
                        .withDescription("the call failed inside the manager: " + other)
                        .asRuntimeException();
            }
        };
    }
}
