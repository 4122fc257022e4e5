package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.skep.certs.RootCertificateAuthority;
import io.skep.control.CommandException;
import io.skep.manager.ManagerSettings.Start;
import io.skep.store.Store;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.ConfigSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.InitCluster;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeStatus;
import io.skep.wire.RegisterNode;
import io.skep.wire.RequestCertificate;
import java.time.Duration;
import java.time.Instant;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A whole manager on the thread of the test, in time that the test lets pass. */
class ControlPlaneTest {
    private static final String SELF = "self";

    private final RandomIds ids = new RandomIds();
    private final VirtualTime time = new VirtualTime();
    private final Store store = new Store();
    private final LocalConsensus log = new LocalConsensus(SELF, "127.0.0.1:1", store);
    private final ControlPlane plane = new ControlPlane(
            new ManagerPorts(log, store, ids, time, time.ticker(), time, time, (nodeId, address) -> {
                throw new IllegalStateException(nodeId + " cannot be reached");
            }),
            "cluster",
            "127.0.0.1:1");

    @BeforeEach
    void begin() throws Exception {
        Cluster.Builder cluster = Cluster.newBuilder().setId("cluster");
        cluster.getRootCaBuilder()
                .setCaCert(RootCertificateAuthority.create(Instant.now()).certificatePem());
        plane.start(new Start.Bootstrap(InitCluster.newBuilder()
                .setCluster(cluster)
                .setNode(Node.newBuilder().setId(SELF))
                .build()));
        time.settle();
        assertThat(plane.ready()).isCompleted();
    }

    @Test
    void aCommandIsDoneWithoutTimePassing() {
        CompletableFuture<Executed> answer = plane.execute(config("a"));
        time.settle();
        assertThat(answer).isCompleted();
        assertThat(plane.local().configs().byName("a"))
                .isEqualTo(answer.resultNow().result().getConfig());
    }

    @Test
    void aCommandWaitsForALeaderAndIsDoneOnce() {
        log.depose(false);
        Command command = config("a");
        CompletableFuture<Executed> answer = plane.execute(command);
        CompletableFuture<Executed> again = plane.execute(command);
        time.pass(CommandRouter.PATIENCE.minusMillis(1));
        assertThat(answer).isNotDone();
        log.lead();
        time.settle();
        assertThat(answer).isCompleted();
        assertThat(again.resultNow().result().getConfig().getId())
                .isEqualTo(answer.resultNow().result().getConfig().getId());
    }

    @Test
    void withoutALeaderACommandFailsWhenPatienceEnds() {
        log.depose(false);
        CompletableFuture<Executed> answer = plane.execute(config("a"));
        time.pass(Duration.ofSeconds(1));
        CompletableFuture<?> later = plane.read();
        time.pass(CommandRouter.PATIENCE.minusSeconds(1));
        assertThat(answer.state()).isEqualTo(Future.State.FAILED);
        assertThat(answer.exceptionNow())
                .isInstanceOfSatisfying(
                        CommandException.class, e -> assertThat(e.code()).isEqualTo(CommandException.Code.UNAVAILABLE));
        assertThat(later).isNotDone();
        time.pass(Duration.ofSeconds(1));
        assertThat(later).isCompletedExceptionally();
    }

    @Test
    void anAnswerThatTheLogNeverGivesIsNotWaitedForLonger() {
        log.hold();
        CompletableFuture<Executed> answer = plane.execute(config("a"));
        time.pass(CommandRouter.PATIENCE);
        assertThat(answer).isCompletedExceptionally();
    }

    @Test
    void aSilentNodeIsFoundOutThoughTheClockWasSetBack() {
        execute(command()
                .setRequestCertificate(RequestCertificate.newBuilder()
                        .setCsr(ByteString.copyFromUtf8("request"))
                        .setToken(Objects.requireNonNull(plane.local().cluster())
                                .getRootCa()
                                .getJoinTokens()
                                .getWorker())
                        .setNewNodeId("worker"))
                .build());
        execute(command()
                .setRegisterNode(RegisterNode.newBuilder()
                        .setNodeId("worker")
                        .setManagerId("another")
                        .setDescription(NodeDescription.newBuilder().setHostname("worker")))
                .build());
        assertThat(state("worker")).isEqualTo(NodeStatus.State.READY);
        time.skew = Duration.ofHours(-1);
        time.pass(Duration.ofSeconds(30));
        assertThat(state("worker")).isEqualTo(NodeStatus.State.DOWN);
    }

    @Test
    void whenNothingHappensFewTasksWait() {
        for (int i = 0; i < 1000; i++) {
            execute(config("config" + i));
        }
        time.pass(Duration.ofMinutes(1));
        assertThat(time.tasks()).isLessThan(10);
    }

    @Test
    void aCallThatComesAfterTheEndFailsAtOnce() {
        log.depose(false);
        CompletableFuture<Executed> waiting = plane.execute(config("a"));
        plane.close();
        assertThat(waiting).isCompletedExceptionally();
        assertThat(plane.execute(config("b"))).isCompletedExceptionally();
    }

    private NodeStatus.State state(String nodeId) {
        return Objects.requireNonNull(plane.local().nodes().get(nodeId))
                .getStatus()
                .getState();
    }

    private void execute(Command command) {
        CompletableFuture<Executed> answer = plane.execute(command);
        time.settle();
        assertThat(answer).isCompleted();
    }

    private Command config(String name) {
        ConfigSpec.Builder spec = ConfigSpec.newBuilder().setData(ByteString.copyFromUtf8("data"));
        spec.getAnnotationsBuilder().setName(name);
        return command()
                .setCreateConfig(CreateConfigRequest.newBuilder().setSpec(spec))
                .build();
    }

    private Command.Builder command() {
        return Command.newBuilder().setRequestId(ids.nextId());
    }
}
