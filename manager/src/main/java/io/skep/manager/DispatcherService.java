package io.skep.manager;

import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.store.Store;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.Command;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.RegisterNode;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.Task;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import io.skep.wire.UpdateTaskStatusResponse;
import java.util.concurrent.CompletableFuture;

/**
 * The RPCs of the dispatcher (swarm-wire section 3). Deprecated ones and those for volumes answer UNIMPLEMENTED;
 * {@link HeartbeatCalls} takes the heartbeats.
 */
final class DispatcherService extends DispatcherGrpc.DispatcherImplBase {
    private final String managerId;
    private final Store store;
    private final Dispatcher dispatcher;
    private final StatusReports statuses;
    private final CommandRouter router;
    private final IdSource ids;

    DispatcherService(ManagerPorts ports, Dispatcher dispatcher, StatusReports statuses, CommandRouter router) {
        this.managerId = ports.consensus().selfId();
        this.store = ports.store();
        this.dispatcher = dispatcher;
        this.statuses = statuses;
        this.router = router;
        this.ids = ports.ids();
    }

    /** Returns the service with all its methods. */
    ServerServiceDefinition definition() {
        ServerServiceDefinition generated = bindService();
        ServerServiceDefinition.Builder definition = ServerServiceDefinition.builder(generated.getServiceDescriptor());
        for (ServerMethodDefinition<?, ?> method : generated.getMethods()) {
            if (!method.getMethodDescriptor().equals(DispatcherGrpc.getHeartbeatMethod())) {
                definition.addMethod(method);
            }
        }
        return definition
                .addMethod(DispatcherGrpc.getHeartbeatMethod(), new HeartbeatCalls(dispatcher))
                .build();
    }

    @Override
    public void session(SessionRequest request, StreamObserver<SessionMessage> response) {
        NodeSession.MessageStream stream =
                new NodeSession.MessageStream((ServerCallStreamObserver<SessionMessage>) response);
        Caller caller = Caller.current();
        Command register = Command.newBuilder()
                .setRequestId(ids.nextId())
                .setRegisterNode(RegisterNode.newBuilder()
                        .setNodeId(caller.nodeId())
                        .setDescription(request.getDescription())
                        .setAddress(caller.address())
                        .setManagerId(managerId)
                        .setWithoutExecutor(SkepNodes.withoutExecutor()))
                .build();
        try {
            dispatcher.admit(caller.nodeId(), request.getSessionId());
        } catch (StatusRuntimeException e) {
            response.onError(e);
            return;
        }
        var _ = requireNode(caller.nodeId())
                .thenCompose(known -> router.execute(register))
                .thenAccept(executed ->
                        dispatcher.open(caller.nodeId(), request.getSessionId()).open(stream))
                .whenComplete((opened, failure) -> {
                    if (failure != null) {
                        response.onError(Replies.status(failure));
                    }
                });
    }

    private CompletableFuture<Void> requireNode(String nodeId) {
        if (store.state().nodes().get(nodeId) != null) {
            return CompletableFuture.completedFuture(null);
        }
        return router.read().thenAccept(state -> {
            if (state.nodes().get(nodeId) == null) {
                throw Status.UNKNOWN
                        .withDescription("node " + nodeId + " is not known to the cluster")
                        .asRuntimeException();
            }
        });
    }

    @Override
    public void assignments(AssignmentsRequest request, StreamObserver<AssignmentsMessage> response) {
        ServerCallStreamObserver<AssignmentsMessage> stream = (ServerCallStreamObserver<AssignmentsMessage>) response;
        stream.setOnCancelHandler(() -> {});
        try {
            dispatcher
                    .require(Caller.current().nodeId(), request.getSessionId())
                    .openAssignments(stream);
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
    }

    @Override
    public void updateTaskStatus(UpdateTaskStatusRequest request, StreamObserver<UpdateTaskStatusResponse> response) {
        String nodeId = Caller.current().nodeId();
        try {
            NodeSession session = dispatcher.require(nodeId, request.getSessionId());
            ClusterState state = store.state();
            for (TaskStatusUpdate update : request.getUpdatesList()) {
                Task task = state.tasks().get(update.getTaskId());
                if (task != null && !task.getNodeId().equals(nodeId)) {
                    throw Status.PERMISSION_DENIED
                            .withDescription("task " + task.getId() + " is not assigned to node " + nodeId)
                            .asRuntimeException();
                }
            }
            Replies.send(
                    statuses.add(session, request.getUpdatesList()),
                    response,
                    taken -> UpdateTaskStatusResponse.getDefaultInstance());
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
    }
}
