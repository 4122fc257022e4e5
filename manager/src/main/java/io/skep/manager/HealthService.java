package io.skep.manager;

import io.grpc.stub.StreamObserver;
import io.skep.wire.HealthCheckRequest;
import io.skep.wire.HealthCheckResponse;
import io.skep.wire.HealthCheckResponse.ServingStatus;
import io.skep.wire.HealthGrpc;
import java.util.function.BooleanSupplier;

/** Says whether this manager serves: the whole of it, or its part in the consensus (swarm-wire 4.3). */
final class HealthService extends HealthGrpc.HealthImplBase {
    private final BooleanSupplier knowsLeader;

    HealthService(BooleanSupplier knowsLeader) {
        this.knowsLeader = knowsLeader;
    }

    @Override
    public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> response) {
        ServingStatus status = switch (request.getService()) {
            case "", "ControlAPI" -> ServingStatus.SERVING;
            case "Raft" -> knowsLeader.getAsBoolean() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
            default -> ServingStatus.UNKNOWN;
        };
        response.onNext(HealthCheckResponse.newBuilder().setStatus(status).build());
        response.onCompleted();
    }
}
