package io.skep.manager;

import com.google.protobuf.Duration;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.control.CommandException;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.store.Store;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.Command;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import io.skep.wire.RegisterNode;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.Task;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import io.skep.wire.UpdateTaskStatusResponse;

/** The RPCs of the dispatcher (swarm-wire section 3). Deprecated ones and those for volumes answer UNIMPLEMENTED. */
final class DispatcherService extends DispatcherGrpc.DispatcherImplBase {
    private final String managerId;
    private final Store store;
    private final Dispatcher dispatcher;
    private final StatusReports statuses;
    private final CommandRouter router;
    private final IdSource ids;

    DispatcherService(
            String managerId,
            Store store,
            Dispatcher dispatcher,
            StatusReports statuses,
            CommandRouter router,
            IdSource ids) {
        this.managerId = managerId;
        this.store = store;
        this.dispatcher = dispatcher;
        this.statuses = statuses;
        this.router = router;
        this.ids = ids;
    }

    @Override
    public void session(SessionRequest request, StreamObserver<SessionMessage> response) {
        ServerCallStreamObserver<SessionMessage> stream = (ServerCallStreamObserver<SessionMessage>) response;
        // Only heartbeats that stay away end a session. With a handler, writing to a stream that is gone is no error.
        stream.setOnCancelHandler(() -> {});
        Caller caller = Caller.current();
        try {
            dispatcher.admit(caller.nodeId(), request.getSessionId());
            requireNode(caller.nodeId());
            router.execute(Command.newBuilder()
                    .setRequestId(ids.nextId())
                    .setRegisterNode(RegisterNode.newBuilder()
                            .setNodeId(caller.nodeId())
                            .setDescription(request.getDescription())
                            .setAddress(caller.address())
                            .setManagerId(managerId)
                            .setWithoutExecutor(SkepNodes.withoutExecutor()))
                    .build());
            dispatcher.open(caller.nodeId(), request.getSessionId()).open(stream);
        } catch (CommandException e) {
            response.onError(Statuses.refusal(e));
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
    }

    private void requireNode(String nodeId) {
        if (store.state().nodes().get(nodeId) == null && router.read().nodes().get(nodeId) == null) {
            throw Status.UNKNOWN
                    .withDescription("node " + nodeId + " is not known to the cluster")
                    .asRuntimeException();
        }
    }

    @Override
    public void heartbeat(HeartbeatRequest request, StreamObserver<HeartbeatResponse> response) {
        try {
            NodeSession session = dispatcher.require(Caller.current().nodeId(), request.getSessionId());
            java.time.Duration period = dispatcher.heartbeat(session);
            response.onNext(HeartbeatResponse.newBuilder()
                    .setPeriod(Duration.newBuilder()
                            .setSeconds(period.getSeconds())
                            .setNanos(period.getNano()))
                    .build());
            response.onCompleted();
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
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
            statuses.add(session, request.getUpdatesList());
            response.onNext(UpdateTaskStatusResponse.getDefaultInstance());
            response.onCompleted();
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
    }
}
