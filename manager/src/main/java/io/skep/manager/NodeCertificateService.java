package io.skep.manager;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.IssueNodeCertificateRequest;
import io.skep.wire.IssueNodeCertificateResponse;
import io.skep.wire.Node;
import io.skep.wire.NodeCAGrpc;
import io.skep.wire.NodeCertificateStatusRequest;
import io.skep.wire.NodeCertificateStatusResponse;
import io.skep.wire.RequestCertificate;
import java.util.function.Supplier;

/** Takes requests for node certificates and tells how they fare (swarm-wire 2.2 and 2.3). */
final class NodeCertificateService extends NodeCAGrpc.NodeCAImplBase {
    private final Supplier<ClusterState> state;
    private final CommandRouter router;
    private final NodeWatch nodes;
    private final IdSource ids;

    NodeCertificateService(Supplier<ClusterState> state, CommandRouter router, NodeWatch nodes, IdSource ids) {
        this.state = state;
        this.router = router;
        this.nodes = nodes;
        this.ids = ids;
    }

    @Override
    public void issueNodeCertificate(
            IssueNodeCertificateRequest request, StreamObserver<IssueNodeCertificateResponse> response) {
        if (request.getCsr().isEmpty()) {
            response.onError(Status.INVALID_ARGUMENT
                    .withDescription("the request for a node certificate holds no certificate signing request")
                    .asRuntimeException());
            return;
        }
        if (state.get().cluster() == null) {
            response.onError(RootCertificateService.notReady().asRuntimeException());
            return;
        }
        RequestCertificate.Builder asked = RequestCertificate.newBuilder()
                .setCsr(request.getCsr())
                .setAvailability(request.getAvailability())
                .setSkep(SkepNodes.isCaller());
        Caller caller = Caller.KEY.get();
        if (caller != null) {
            asked.setNodeId(caller.nodeId());
        } else {
            asked.setToken(request.getToken()).setNewNodeId(ids.nextId());
        }
        Command command = Command.newBuilder()
                .setRequestId(ids.nextId())
                .setRequestCertificate(asked)
                .build();
        Replies.send(router.execute(command), response, executed -> {
            CommandResult result = executed.result();
            String nodeId = result.hasNode() ? result.getNode().getId() : result.getId();
            Node node = state.get().nodes().get(nodeId);
            return IssueNodeCertificateResponse.newBuilder()
                    .setNodeId(nodeId)
                    .setNodeMembership(
                            (node == null ? result.getNode() : node).getSpec().getMembership())
                    .build();
        });
    }

    /** Answers at once when the state is final, and otherwise when it becomes so; the caller ends the wait. */
    @Override
    public void nodeCertificateStatus(
            NodeCertificateStatusRequest request, StreamObserver<NodeCertificateStatusResponse> response) {
        if (request.getNodeId().isEmpty()) {
            response.onError(Status.INVALID_ARGUMENT
                    .withDescription("the node whose certificate is asked for is not named")
                    .asRuntimeException());
            return;
        }
        NodeWatch.Waiter waiter = nodes.waiter(request.getNodeId(), node -> {
            if (node == null) {
                response.onError(Status.NOT_FOUND
                        .withDescription("node " + request.getNodeId() + " not found")
                        .asRuntimeException());
                return true;
            }
            if (!isFinal(node.getCertificate().getStatus().getState())) {
                return false;
            }
            response.onNext(NodeCertificateStatusResponse.newBuilder()
                    .setStatus(node.getCertificate().getStatus())
                    .setCertificate(node.getCertificate())
                    .build());
            response.onCompleted();
            return true;
        });
        ((ServerCallStreamObserver<NodeCertificateStatusResponse>) response).setOnCancelHandler(waiter::close);
        if (state.get().nodes().get(request.getNodeId()) != null) {
            waiter.start();
            return;
        }
        // The request may have gone to another manager, which is ahead of this one.
        var _ = router.read().whenComplete((read, failure) -> {
            if (failure == null) {
                waiter.start();
            } else {
                response.onError(Replies.status(failure));
            }
        });
    }

    private static boolean isFinal(IssuanceStatus.State state) {
        return switch (state) {
            case ISSUED, FAILED, ROTATE -> true;
            case UNKNOWN, RENEW, PENDING, UNRECOGNIZED -> false;
        };
    }
}
