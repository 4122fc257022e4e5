package io.skep.manager;

import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import io.skep.store.ClusterState;
import io.skep.wire.CAGrpc;
import io.skep.wire.Cluster;
import io.skep.wire.EncryptionKey;
import io.skep.wire.GetRootCACertificateRequest;
import io.skep.wire.GetRootCACertificateResponse;
import io.skep.wire.GetUnlockKeyRequest;
import io.skep.wire.GetUnlockKeyResponse;
import java.util.function.Supplier;

/** Hands out the root certificate to anyone and the unlock key to managers (swarm-wire 2.1). */
final class RootCertificateService extends CAGrpc.CAImplBase {
    /** The unlock keys of a cluster carry this subsystem, those of its networks others. */
    private static final String UNLOCK_SUBSYSTEM = "swarm-manager";

    private final Supplier<ClusterState> state;

    RootCertificateService(Supplier<ClusterState> state) {
        this.state = state;
    }

    @Override
    public void getRootCACertificate(
            GetRootCACertificateRequest request, StreamObserver<GetRootCACertificateResponse> response) {
        Cluster cluster = state.get().cluster();
        if (cluster == null) {
            response.onError(notReady().asRuntimeException());
            return;
        }
        response.onNext(GetRootCACertificateResponse.newBuilder()
                .setCertificate(cluster.getRootCa().getCaCert())
                .build());
        response.onCompleted();
    }

    @Override
    public void getUnlockKey(GetUnlockKeyRequest request, StreamObserver<GetUnlockKeyResponse> response) {
        Cluster cluster = state.get().cluster();
        if (cluster == null) {
            response.onError(notReady().asRuntimeException());
            return;
        }
        GetUnlockKeyResponse.Builder answer = GetUnlockKeyResponse.newBuilder();
        answer.setVersion(cluster.getMeta().getVersion());
        for (EncryptionKey key : cluster.getUnlockKeysList()) {
            if (key.getSubsystem().equals(UNLOCK_SUBSYSTEM)) {
                answer.setUnlockKey(key.getKey());
            }
        }
        response.onNext(answer.build());
        response.onCompleted();
    }

    static Status notReady() {
        return Status.ABORTED.withDescription("this manager has not received the cluster's state yet");
    }
}
