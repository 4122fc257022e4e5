package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.manager.StockWorker.Received;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EncryptionKey;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedService;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.SessionMessage;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateClusterRequest;
import io.skep.wire.UpdateNodeRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sessions, heartbeats, assignments and reports as a stock agent uses them (swarm-wire section 3). */
class DispatcherTest {
    private static final Duration HEARTBEAT = Duration.ofSeconds(5);
    private static final Duration SHORT_HEARTBEAT = Duration.ofSeconds(1);

    private TestCluster cluster;
    private Manager manager;
    private StockWorker worker;

    @BeforeEach
    void start(@TempDir Path directory) throws Exception {
        cluster = new TestCluster(directory, "127.0.0.1", HEARTBEAT);
        manager = cluster.bootstrap();
        worker = new StockWorker(cluster.address(manager), cluster.root.trustRoot());
        worker.join(TestCluster.workerToken(manager));
    }

    @AfterEach
    void stop() {
        worker.close();
        cluster.close();
    }

    @Test
    void aSessionMakesTheNodeReadyAndEachMessageCarriesEverything() throws Exception {
        Received<SessionMessage> session = worker.session("");
        SessionMessage first = session.next();
        assertComplete(first);
        Node node = TestCluster.node(manager, worker.nodeId());
        assertThat(node.getStatus().getState()).isEqualTo(NodeStatus.State.READY);
        assertThat(node.getStatus().getAddr()).isEqualTo("127.0.0.1");
        assertThat(node.getDescription().getHostname()).isEqualTo("worker");

        setAvailability(NodeSpec.Availability.DRAIN);
        SessionMessage next =
                session.until(message -> message.getNode().getSpec().getAvailability() == NodeSpec.Availability.DRAIN);
        assertComplete(next);
        assertThat(next.getSessionId()).isEqualTo(first.getSessionId());
    }

    private void assertComplete(SessionMessage message) {
        assertThat(message.getSessionId()).hasSize(25);
        assertThat(message.getNode().getId()).isEqualTo(worker.nodeId());
        assertThat(message.getManagersList())
                .allSatisfy(peer -> assertThat(peer.getWeight()).isEqualTo(10))
                .extracting(peer ->
                        peer.getPeer().getNodeId() + "@" + peer.getPeer().getAddr())
                .containsExactly(manager.nodeId() + "@" + cluster.address(manager));
        assertThat(message.getRootCA()).isEqualTo(cluster.root.certificatePem());
        // Stock engines refuse any other number of keys (swarm-wire 7.3).
        assertThat(message.getNetworkBootstrapKeysList().stream()
                        .collect(Collectors.groupingBy(EncryptionKey::getSubsystem, Collectors.counting())))
                .containsOnlyKeys("networking:gossip", "networking:ipsec")
                .allSatisfy((subsystem, count) -> assertThat(count).isEqualTo(3));
    }

    @Test
    void aSessionIsResumedByItsIdAndReplacedWithout() throws Exception {
        Received<SessionMessage> first = worker.session("");
        String id = first.next().getSessionId();
        Received<SessionMessage> resumed = worker.session(id);
        assertThat(resumed.next().getSessionId()).isEqualTo(id);
        assertThat(first.end().getStatus().getCode()).isEqualTo(Status.Code.ABORTED);

        String other = worker.session("").next().getSessionId();
        assertThat(other).isNotEqualTo(id);
        assertThat(resumed.end().getStatus().getDescription()).isEqualTo("session invalid");
        assertFails(() -> worker.heartbeat(id), Status.Code.INVALID_ARGUMENT, "session invalid");
        assertThat(worker.heartbeat(other).hasPeriod()).isTrue();
    }

    @Test
    void withoutASessionNothingIsServed() {
        assertFails(() -> worker.heartbeat("any"), Status.Code.NOT_FOUND, "node not registered");
        assertFails(
                () -> worker.report("any", "task", TaskState.RUNNING), Status.Code.NOT_FOUND, "node not registered");
    }

    @Test
    void aNodeThatIsNotKnownGetsNoSession() throws Exception {
        var identity = cluster.identity("nobody", NodeRole.WORKER);
        try (StockWorker stranger = new StockWorker(cluster.address(manager), cluster.root.trustRoot())) {
            stranger.with("nobody", identity);
            assertThat(stranger.session("").end().getStatus().getCode()).isEqualTo(Status.Code.UNKNOWN);
        }
    }

    @Test
    void tooManyNewSessionsAreRefused() throws Exception {
        for (int i = 0; i < 4; i++) {
            worker.session("").next();
        }
        StatusRuntimeException refused = worker.session("").end();
        assertThat(refused.getStatus().getCode()).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(refused.getStatus().getDescription())
                .isEqualTo("node " + worker.nodeId() + " exceeded rate limit count of registrations");
    }

    @Test
    void heartbeatsKeepTheNodeUpAndTheirAbsenceBringsItDown() throws Exception {
        setHeartbeat(SHORT_HEARTBEAT);
        Received<SessionMessage> session = worker.session("");
        String id = session.next().getSessionId();
        var period = worker.heartbeat(id).getPeriod();
        assertThat(Duration.ofSeconds(period.getSeconds(), period.getNanos()))
                .isBetween(SHORT_HEARTBEAT.minusMillis(500), SHORT_HEARTBEAT.plusMillis(500));
        // No more heartbeats: the session ends after three periods, and the leader is told at once.
        StatusRuntimeException end = session.end();
        assertThat(end.getStatus().getCode()).isEqualTo(Status.Code.ABORTED);
        assertThat(end.getStatus().getDescription()).isEqualTo("node must disconnect");
        Node down = Eventually.get(
                manager,
                () -> TestCluster.node(manager, worker.nodeId()),
                node -> node.getStatus().getState() == NodeStatus.State.DOWN);
        assertThat(down.getStatus().getMessage()).isEqualTo("heartbeat failure");
        assertFails(() -> worker.heartbeat(id), Status.Code.NOT_FOUND, "node not registered");

        worker.session(id).next();
        assertThat(TestCluster.node(manager, worker.nodeId()).getStatus().getState())
                .isEqualTo(NodeStatus.State.READY);
    }

    @Test
    void aRemovedNodeLosesItsSession() throws Exception {
        Received<SessionMessage> session = worker.session("");
        session.next();
        manager.execute(TestCluster.command()
                .setRemoveNode(RemoveNodeRequest.newBuilder()
                        .setNodeId(worker.nodeId())
                        .setForce(true))
                .build());
        StatusRuntimeException end = session.end();
        assertThat(end.getStatus().getCode()).isEqualTo(Status.Code.PERMISSION_DENIED);
        assertThat(end.getStatus().getDescription()).contains("was removed from swarm");
    }

    @Test
    void assignmentsComeCompleteFirstAndThenAsAChain() throws Exception {
        String session = worker.session("").next().getSessionId();
        Received<AssignmentsMessage> assignments = worker.assignments(session);
        AssignmentsMessage complete = assignments.next();
        assertThat(complete.getType()).isEqualTo(AssignmentsMessage.Type.COMPLETE);
        assertThat(complete.getAppliesTo()).isEmpty();
        assertThat(complete.getResultsIn()).isEqualTo("1");
        assertThat(complete.getChangesList()).isEmpty();

        Service service = createService("web", 2);
        AssignmentsMessage assigned = assignments.next();
        assertThat(assigned.getType()).isEqualTo(AssignmentsMessage.Type.INCREMENTAL);
        assertThat(assigned.getAppliesTo()).isEqualTo("1");
        assertThat(assigned.getResultsIn()).isEqualTo("2");
        List<Task> tasks = assigned.getChangesList().stream()
                .map(change -> change.getAssignment().getTask())
                .toList();
        assertThat(tasks).hasSize(2).allSatisfy(task -> {
            assertThat(task.getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
            assertThat(task.getSpec().getContainer().getImage()).isEqualTo("bb:latest");
        });

        worker.report(session, tasks.getFirst().getId(), TaskState.RUNNING);
        Task running = Eventually.get(
                manager,
                () -> task(tasks.getFirst().getId()),
                task -> task.getStatus().getState() == TaskState.RUNNING);
        assertThat(running.getStatus().getAppliedBy()).isEqualTo(manager.nodeId());
        // A state never goes back.
        worker.report(session, running.getId(), TaskState.PREPARING);
        worker.report(session, tasks.getLast().getId(), TaskState.RUNNING);
        Eventually.get(
                manager,
                () -> task(tasks.getLast().getId()),
                task -> task.getStatus().getState() == TaskState.RUNNING);
        assertThat(task(running.getId()).getStatus().getState()).isEqualTo(TaskState.RUNNING);

        manager.execute(TestCluster.command()
                .setRemoveService(RemoveServiceRequest.newBuilder().setServiceId(service.getId()))
                .build());
        String last = "2";
        boolean gone = false;
        while (!gone) {
            AssignmentsMessage message = assignments.next();
            assertThat(message.getAppliesTo()).isEqualTo(last);
            last = message.getResultsIn();
            for (AssignmentChange change : message.getChangesList()) {
                gone |= change.getAction() == AssignmentChange.AssignmentAction.REMOVE
                        || change.getAssignment().getTask().getDesiredState().getNumber()
                                > TaskState.RUNNING.getNumber();
            }
        }
    }

    @Test
    void aNewStreamOfAssignmentsBeginsWithAllOfThem() throws Exception {
        String session = worker.session("").next().getSessionId();
        Received<AssignmentsMessage> first = worker.assignments(session);
        first.next();
        createService("web", 2);
        first.next();
        AssignmentsMessage complete = worker.assignments(session).next();
        assertThat(complete.getType()).isEqualTo(AssignmentsMessage.Type.COMPLETE);
        assertThat(complete.getChangesList()).hasSize(2);
    }

    @Test
    void nobodyReportsTasksOfOtherNodes() throws Exception {
        String session = worker.session("").next().getSessionId();
        createService("web", 1);
        Task task = worker.assignments(session)
                .until(message -> message.getChangesCount() > 0)
                .getChanges(0)
                .getAssignment()
                .getTask();
        try (StockWorker other = new StockWorker(cluster.address(manager), cluster.root.trustRoot())) {
            other.join(TestCluster.workerToken(manager));
            String otherSession = other.session("").next().getSessionId();
            assertFails(
                    () -> other.report(otherSession, task.getId(), TaskState.FAILED),
                    Status.Code.PERMISSION_DENIED,
                    task.getId());
            // One that nobody knows is passed over.
            other.report(otherSession, "unknown-task", TaskState.FAILED);
        }
    }

    private Task task(String id) {
        return Objects.requireNonNull(manager.local().tasks().get(id));
    }

    private Service createService(String name, int replicas) {
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setReplicated(ReplicatedService.newBuilder().setReplicas(replicas))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder().setImage("bb:latest")));
        spec.getAnnotationsBuilder().setName(name);
        return manager.execute(TestCluster.command()
                        .setCreateService(CreateServiceRequest.newBuilder().setSpec(spec))
                        .build())
                .getService();
    }

    private void setAvailability(NodeSpec.Availability availability) {
        Node node = TestCluster.node(manager, worker.nodeId());
        manager.execute(TestCluster.command()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(node.getId())
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(node.getSpec().toBuilder().setAvailability(availability)))
                .build());
    }

    private void setHeartbeat(Duration period) {
        Cluster cluster = Objects.requireNonNull(manager.local().cluster());
        ClusterSpec.Builder spec = cluster.getSpec().toBuilder();
        spec.getDispatcherBuilder().getHeartbeatPeriodBuilder().setSeconds(period.toSeconds());
        manager.execute(TestCluster.command()
                .setUpdateCluster(UpdateClusterRequest.newBuilder()
                        .setClusterId(cluster.getId())
                        .setClusterVersion(cluster.getMeta().getVersion())
                        .setSpec(spec))
                .build());
    }

    private static void assertFails(ThrowingCallable call, Status.Code code, String text) {
        assertThatThrownBy(call).isInstanceOfSatisfying(StatusRuntimeException.class, e -> {
            assertThat(e.getStatus().getCode()).isEqualTo(code);
            assertThat(e.getStatus().getDescription()).contains(text);
        });
    }
}
