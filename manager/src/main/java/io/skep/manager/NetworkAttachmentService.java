package io.skep.manager;

import io.grpc.stub.StreamObserver;
import io.skep.control.IdSource;
import io.skep.wire.AttachNetwork;
import io.skep.wire.AttachNetworkRequest;
import io.skep.wire.AttachNetworkResponse;
import io.skep.wire.Command;
import io.skep.wire.DetachNetwork;
import io.skep.wire.DetachNetworkRequest;
import io.skep.wire.DetachNetworkResponse;
import io.skep.wire.ResourceAllocatorGrpc;

/** Lets engines attach containers of their own to networks of the cluster (swarm-wire 4.2). */
final class NetworkAttachmentService extends ResourceAllocatorGrpc.ResourceAllocatorImplBase {
    private final CommandRouter router;
    private final IdSource ids;

    NetworkAttachmentService(CommandRouter router, IdSource ids) {
        this.router = router;
        this.ids = ids;
    }

    @Override
    public void attachNetwork(AttachNetworkRequest request, StreamObserver<AttachNetworkResponse> response) {
        Command command = Command.newBuilder()
                .setRequestId(ids.nextId())
                .setAttachNetwork(AttachNetwork.newBuilder()
                        .setNodeId(Caller.current().nodeId())
                        .setRequest(request))
                .build();
        Replies.send(
                router.execute(command),
                response,
                executed -> AttachNetworkResponse.newBuilder()
                        .setAttachmentId(executed.result().getId())
                        .build());
    }

    @Override
    public void detachNetwork(DetachNetworkRequest request, StreamObserver<DetachNetworkResponse> response) {
        Command command = Command.newBuilder()
                .setRequestId(ids.nextId())
                .setDetachNetwork(DetachNetwork.newBuilder()
                        .setNodeId(Caller.current().nodeId())
                        .setRequest(request))
                .build();
        Replies.send(router.execute(command), response, executed -> DetachNetworkResponse.getDefaultInstance());
    }
}
