package io.skep.manager;

import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Takes the heartbeats of nodes (swarm-wire 3.2), which are nearly all that an idle manager of many nodes does.
 *
 * <p>The answer is known when the request is there, so this does without what the generated code of a method has for
 * answers that come later: no observer, no context of the call, no second look at who calls.
 */
final class HeartbeatCalls implements ServerCallHandler<HeartbeatRequest, HeartbeatResponse> {
    private final Dispatcher dispatcher;

    HeartbeatCalls(Dispatcher dispatcher) {
        this.dispatcher = dispatcher;
    }

    @Override
    public ServerCall.Listener<HeartbeatRequest> startCall(
            ServerCall<HeartbeatRequest, HeartbeatResponse> call, Metadata headers) {
        // One more than there may be, so that another is noticed.
        call.request(2);
        return new ServerCall.Listener<>() {
            private @Nullable HeartbeatRequest request;
            private boolean over;

            @Override
            public void onMessage(HeartbeatRequest message) {
                if (request != null) {
                    end(Status.INTERNAL.withDescription("a heartbeat has one request, and this one has two"));
                }
                request = message;
            }

            @Override
            public void onHalfClose() {
                if (over) {
                    return;
                }
                if (request == null) {
                    end(Status.INTERNAL.withDescription("a heartbeat has one request, and this one has none"));
                    return;
                }
                HeartbeatResponse response;
                try {
                    response = answer(Caller.of(call), request);
                } catch (StatusRuntimeException e) {
                    end(e.getStatus());
                    return;
                }
                call.sendHeaders(new Metadata());
                call.sendMessage(response);
                end(Status.OK);
            }

            private void end(Status status) {
                if (!over) {
                    over = true;
                    call.close(status, new Metadata());
                }
            }
        };
    }

    private HeartbeatResponse answer(Caller caller, HeartbeatRequest request) {
        Duration period = dispatcher.heartbeat(dispatcher.require(caller.nodeId(), request.getSessionId()));
        return HeartbeatResponse.newBuilder()
                .setPeriod(com.google.protobuf.Duration.newBuilder()
                        .setSeconds(period.getSeconds())
                        .setNanos(period.getNano()))
                .build();
    }
}
