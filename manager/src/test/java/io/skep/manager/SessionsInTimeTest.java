package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.certs.RootCertificateAuthority;
import io.skep.store.Store;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.InitCluster;
import io.skep.wire.Node;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** How long sessions live and how long their reports wait, in time that the test lets pass. */
class SessionsInTimeTest {
    private static final Duration PERIOD = Duration.ofSeconds(5);

    private final RandomIds ids = new RandomIds();
    private final VirtualTime time = new VirtualTime();
    private final Store store = new Store();
    private final LocalConsensus log = new LocalConsensus("self", "127.0.0.1:1", store);
    private final ManagerPorts ports =
            new ManagerPorts(log, store, ids, time, time.ticker(), time, time, (nodeId, address) -> {
                throw new IllegalStateException(nodeId + " cannot be reached");
            });
    private final LeaderRuntime runtime = new LeaderRuntime(ports);
    private final CommandRouter router = new CommandRouter(ports, new VersionWatch(store), runtime);
    private final List<String> lost = new ArrayList<>();
    private final Dispatcher dispatcher = new Dispatcher(ports, List::of, lost::add);
    private final List<NodeSession> dropped = new ArrayList<>();
    private final StatusReports reports = new StatusReports(ports, router, (session, status) -> dropped.add(session));

    @BeforeEach
    void begin() throws Exception {
        runtime.leadershipChanged(log.leadership());
        Cluster.Builder cluster = Cluster.newBuilder().setId("cluster");
        cluster.getRootCaBuilder()
                .setCaCert(RootCertificateAuthority.create(Instant.now()).certificatePem())
                .setCaKey(ByteString.EMPTY);
        CompletableFuture<Executed> begun = router.execute(Command.newBuilder()
                .setRequestId(ids.nextId())
                .setInitCluster(InitCluster.newBuilder()
                        .setCluster(cluster)
                        .setNode(Node.newBuilder().setId("self")))
                .build());
        time.settle();
        assertThat(begun).isCompleted();
    }

    @Test
    void aSessionLivesAsLongAsHeartbeatsCome() {
        NodeSession session = dispatcher.open("node", "");
        for (int i = 0; i < 20; i++) {
            time.pass(dispatcher.heartbeat(session));
        }
        assertThat(dispatcher.liveNodes()).containsExactly("node");
        // The last heartbeat asked for the next one after a period that is drawn by lot, by half a second at most.
        time.pass(PERIOD.multipliedBy(2).minusSeconds(2));
        assertThat(lost).isEmpty();
        time.pass(Duration.ofSeconds(4));
        assertThat(lost).containsExactly("node");
        assertThatThrownBy(() -> dispatcher.require("node", session.id()))
                .isInstanceOfSatisfying(
                        StatusRuntimeException.class,
                        e -> assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.NOT_FOUND));
    }

    @Test
    void oneTimerServesAllSessions() {
        List<NodeSession> sessions = new ArrayList<>();
        int before = time.tasks();
        for (int i = 0; i < 1000; i++) {
            sessions.add(dispatcher.open("node" + i, ""));
            time.pass(Duration.ofMillis(1));
        }
        for (int i = 0; i < 3; i++) {
            sessions.forEach(dispatcher::heartbeat);
            assertThat(time.tasks()).isLessThanOrEqualTo(before + 1);
            time.pass(PERIOD);
        }
        time.pass(PERIOD.multipliedBy(3));
        assertThat(lost).hasSize(1000);
        assertThat(dispatcher.liveNodes()).isEmpty();
        assertThat(time.tasks()).isLessThanOrEqualTo(before);
    }

    @Test
    void aNodeThatReportsTooMuchIsAnsweredWhenThereIsRoom() {
        log.depose(false);
        NodeSession session = dispatcher.open("node", "");
        assertThat(reports.add(session, statuses("a", 10_000))).isCompleted();
        CompletableFuture<Void> later = reports.add(session, statuses("b", 10));
        time.pass(Duration.ofSeconds(1));
        assertThat(later).isNotDone();
        log.lead();
        runtime.leadershipChanged(log.leadership());
        router.leadershipChanged(log.leadership());
        time.pass(Duration.ofSeconds(2));
        assertThat(later).isCompleted();
        assertThat(dropped).isEmpty();
    }

    @Test
    void aNodeThatWaitsTooLongIsRefusedAndOneWhoseReportIsLostStartsOver() {
        log.depose(false);
        NodeSession session = dispatcher.open("node", "");
        assertThat(reports.add(session, statuses("a", 10_000))).isCompleted();
        CompletableFuture<Void> later = reports.add(session, statuses("b", 10));
        time.pass(Duration.ofSeconds(5));
        assertThat(later).isCompletedExceptionally();
        assertThat(Status.fromThrowable(later.exceptionNow()).getCode()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
        assertThat(dropped).isEmpty();
        time.pass(CommandRouter.PATIENCE);
        assertThat(dropped).contains(session);
    }

    private static List<TaskStatusUpdate> statuses(String prefix, int count) {
        List<TaskStatusUpdate> made = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            made.add(TaskStatusUpdate.newBuilder()
                    .setTaskId(prefix + i)
                    .setStatus(TaskStatus.newBuilder().setState(TaskState.RUNNING))
                    .build());
        }
        return made;
    }
}
