package io.skep.manager;

import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.skep.control.CommandException;
import io.skep.wire.Command;
import io.skep.wire.ExecuteRequest;
import io.skep.wire.ExecuteResponse;
import io.skep.wire.LeaderGrpc;
import java.util.concurrent.Executor;

/**
 * Takes commands from other managers. One that came from a manager goes no further when this one does not lead: the
 * sender knows better by then. One that came straight from a node that is about to be a manager is taken to the leader.
 */
final class LeaderService extends LeaderGrpc.LeaderImplBase {
    private static final Metadata.Key<String> FORWARDED_KEY =
            Metadata.Key.of("skep-forwarded", Metadata.ASCII_STRING_MARSHALLER);
    private static final Context.Key<Boolean> IS_FORWARDED = Context.key("skep-forwarded");

    /** Marks the calls that a manager makes to the one that it takes for the leader. */
    static final ClientInterceptor FORWARDED = MetadataUtils.newAttachHeadersInterceptor(forwardedHeaders());

    /** Reads that mark. */
    private static final ServerInterceptor READ_FORWARDED = new ServerInterceptor() {
        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
            return Contexts.interceptCall(
                    Context.current().withValue(IS_FORWARDED, headers.containsKey(FORWARDED_KEY)), call, headers, next);
        }
    };

    private final LeaderRuntime runtime;
    private final CommandRouter router;
    private final Executor executor;

    LeaderService(LeaderRuntime runtime, CommandRouter router, Executor executor) {
        this.runtime = runtime;
        this.router = router;
        this.executor = executor;
    }

    private static Metadata forwardedHeaders() {
        Metadata headers = new Metadata();
        headers.put(FORWARDED_KEY, "1");
        return headers;
    }

    /** Returns the service, which knows of each call whether a manager passed it on. */
    ServerServiceDefinition definition() {
        return ServerInterceptors.intercept(this, READ_FORWARDED);
    }

    @Override
    public void execute(ExecuteRequest request, StreamObserver<ExecuteResponse> response) {
        boolean forwarded = Boolean.TRUE.equals(IS_FORWARDED.get());
        Command command = request.getCommand();
        Replies.expectCancellation(response);
        var _ = (forwarded ? runtime.submit(command) : router.execute(command))
                .whenCompleteAsync(
                        (executed, failure) -> {
                            if (failure == null) {
                                response.onNext(ExecuteResponse.newBuilder()
                                        .setResult(executed.result())
                                        .setVersion(executed.version())
                                        .build());
                                response.onCompleted();
                            } else {
                                response.onError(answer(CommandRouter.cause(failure)));
                            }
                        },
                        executor);
    }

    private static StatusRuntimeException answer(Throwable failure) {
        if (failure instanceof CommandException refusal) {
            return Statuses.answer(refusal);
        }
        // No answer: the sender looks for the next leader.
        return Status.FAILED_PRECONDITION.withDescription(failure.toString()).asRuntimeException();
    }
}
