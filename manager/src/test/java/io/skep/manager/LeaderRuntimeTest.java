package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.grpc.Deadline;
import io.skep.certs.RootCertificateAuthority;
import io.skep.control.CommandException;
import io.skep.store.Consensus.Member;
import io.skep.store.Consensus.NotLeaderException;
import io.skep.store.Consensus.OutcomeUnknownException;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.ConfigSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.InitCluster;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.RequestCertificate;
import io.skep.wire.UpdateNodeRequest;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The leader's decisions on a log that the test holds up and takes away. */
class LeaderRuntimeTest {
    private final RandomIds ids = new RandomIds();
    private final Store store = new Store();
    private final LocalConsensus log = new LocalConsensus("self", "127.0.0.1:1", store);
    private final ScheduledExecutorService control = Executors.newSingleThreadScheduledExecutor();
    private final LeaderRuntime runtime = new LeaderRuntime(new ManagerPorts(
            log,
            store,
            ids,
            InstantSource.system(),
            Deadline.getSystemTicker(),
            control,
            control,
            (nodeId, address) -> {
                throw new UnsupportedOperationException("there are no others");
            }));

    @BeforeEach
    void start() throws Exception {
        log.onLeadership(runtime::leadershipChanged);
        store.watch(runtime::committed);
        runtime.leadershipChanged(log.leadership());
        Cluster.Builder cluster = Cluster.newBuilder().setId(ids.nextId());
        cluster.getRootCaBuilder()
                .setCaCert(RootCertificateAuthority.create(Instant.now()).certificatePem());
        run(command()
                .setInitCluster(InitCluster.newBuilder()
                        .setCluster(cluster)
                        .setNode(Node.newBuilder().setId("self")))
                .build());
    }

    @AfterEach
    void stop() {
        runtime.close();
        control.shutdownNow();
    }

    @Test
    void answersOnlyWhenCommitted() throws Exception {
        log.hold();
        CompletableFuture<Executed> answer = runtime.submit(config("a"));
        awaitHeld(1);
        assertThat(answer).isNotDone();
        assertThat(store.state().configs().byName("a")).isNull();
        log.release();
        Executed executed = answer.get(10, TimeUnit.SECONDS);
        assertThat(store.state().version()).isGreaterThanOrEqualTo(executed.version());
        assertThat(executed.result().getConfig())
                .isEqualTo(store.state().configs().byName("a"));
    }

    @Test
    void decidesOnWhatIsNotCommittedYet() throws Exception {
        log.hold();
        CompletableFuture<Executed> first = runtime.submit(config("a"));
        awaitHeld(1);
        CompletableFuture<Executed> second = runtime.submit(config("a"));
        CompletableFuture<Executed> third = runtime.submit(config("b"));
        awaitHeld(2);
        // The refusal rests on an entry that may be lost, so it waits for it as well.
        assertThat(second).isNotDone();
        log.release();
        assertThat(first.get(10, TimeUnit.SECONDS).result().hasConfig()).isTrue();
        assertThat(third.get(10, TimeUnit.SECONDS).result().hasConfig()).isTrue();
        assertThatThrownBy(() -> second.get(10, TimeUnit.SECONDS))
                .cause()
                .isInstanceOfSatisfying(
                        CommandException.class,
                        e -> assertThat(e.code()).isEqualTo(CommandException.Code.ALREADY_EXISTS));
    }

    @Test
    void gathersWhatComesWhileTheLogIsBusy() throws Exception {
        log.hold();
        List<CompletableFuture<Executed>> answers = new ArrayList<>();
        for (int i = 1; i <= 8; i++) {
            answers.add(runtime.submit(config("first" + i)));
            awaitHeld(i);
        }
        long before = store.state().version();
        for (int i = 0; i < 200; i++) {
            answers.add(runtime.submit(config("then" + i)));
        }
        log.release();
        for (CompletableFuture<Executed> answer : answers) {
            answer.get(10, TimeUnit.SECONDS);
        }
        assertThat(store.state().configs().size()).isEqualTo(208);
        // While eight entries were on their way, all others waited, and share the next one.
        assertThat(store.state().version()).isEqualTo(before + 9);
    }

    @Test
    void aRequestThatWasCommittedUnheardHasOneEffectWhenRepeated() throws Exception {
        Command command = config("a");
        log.hold();
        CompletableFuture<Executed> lost = runtime.submit(command);
        awaitHeld(1);
        log.depose(true);
        assertThatThrownBy(() -> lost.get(10, TimeUnit.SECONDS)).cause().isInstanceOf(OutcomeUnknownException.class);
        assertThatThrownBy(() -> runtime.submit(command).get(10, TimeUnit.SECONDS))
                .cause()
                .isInstanceOf(NotLeaderException.class);
        log.lead();
        Executed repeated = run(command);
        assertThat(repeated.result().getConfig().getId())
                .isEqualTo(Objects.requireNonNull(store.state().configs().byName("a"))
                        .getId());
        assertThat(store.state().configs().size()).isEqualTo(1);
    }

    @Test
    void aLeaderThatWasReplacedUnawaresRefusesNothing() throws Exception {
        run(config("a"));
        log.supersede();
        CompletableFuture<Executed> refused = runtime.submit(config("a"));
        // The new leader may have removed the config meanwhile.
        assertThat(log.awaitRead()).isTrue();
        assertThat(refused).isNotDone();
        log.noticeSuperseded();
        assertThatThrownBy(() -> refused.get(10, TimeUnit.SECONDS)).cause().isInstanceOf(NotLeaderException.class);
    }

    @Test
    void aRequestThatWasLostIsDoneWhenRepeated() throws Exception {
        Command command = config("a");
        log.hold();
        CompletableFuture<Executed> lost = runtime.submit(command);
        CompletableFuture<Executed> after = runtime.submit(config("b"));
        awaitHeld(1);
        log.depose(false);
        assertThatThrownBy(() -> lost.get(10, TimeUnit.SECONDS)).isInstanceOf(ExecutionException.class);
        assertThatThrownBy(() -> after.get(10, TimeUnit.SECONDS)).isInstanceOf(ExecutionException.class);
        log.lead();
        assertThat(run(command).result().getConfig().getSpec().getAnnotations().getName())
                .isEqualTo("a");
        assertThat(store.state().configs().byName("b")).isNull();
    }

    @Test
    void aDemotedManagerLeavesTheLogBeforeItsRoleChanges() throws Exception {
        addManager("other");
        log.members = List.of(member("self", true), member("other", true), member("third", true));
        CountDownLatch flipped = new CountDownLatch(1);
        store.watch(commit -> {
            Node node = commit.after().nodes().get("other");
            if (node != null && node.getRole() == NodeRole.WORKER) {
                assertThat(log.removed).containsExactly("other");
                flipped.countDown();
            }
        });
        run(demote("other"));
        assertThat(flipped.await(10, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void aDemotionThatWouldLoseTheQuorumIsRefused() throws Exception {
        addManager("other");
        log.members = List.of(member("self", true), member("other", true), member("third", false));
        assertThatThrownBy(() -> run(demote("other"))).cause().isInstanceOfSatisfying(CommandException.class, e -> {
            assertThat(e.code()).isEqualTo(CommandException.Code.FAILED_PRECONDITION);
            assertThat(e.text()).isEqualTo("can't remove member from the raft: this would result in a loss of quorum");
        });
        assertThat(Objects.requireNonNull(store.state().nodes().get("other")).getRole())
                .isEqualTo(NodeRole.MANAGER);
    }

    private static Member member(String id, boolean reachable) {
        return new Member(id, "127.0.0.1:2", true, id.equals("self"), reachable);
    }

    private void addManager(String id) throws Exception {
        var root = Objects.requireNonNull(store.state().cluster()).getRootCa();
        run(command()
                .setRequestCertificate(RequestCertificate.newBuilder()
                        .setCsr(ByteString.copyFromUtf8("request"))
                        .setToken(root.getJoinTokens().getManager())
                        .setSkep(true)
                        .setNewNodeId(id))
                .build());
    }

    private Command demote(String id) {
        Node node = Objects.requireNonNull(store.state().table(Kind.NODE).get(id));
        return command()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(id)
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(node.getSpec().toBuilder().setDesiredRole(NodeRole.WORKER)))
                .build();
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

    private Executed run(Command command) throws Exception {
        return runtime.submit(command).get(10, TimeUnit.SECONDS);
    }

    private void awaitHeld(int count) throws InterruptedException {
        assertThat(log.awaitHeld(count)).isTrue();
    }
}
