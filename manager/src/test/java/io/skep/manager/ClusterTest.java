package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.control.CommandException;
import io.skep.manager.ManagerSettings.Start;
import io.skep.manager.StockWorker.Received;
import io.skep.store.Consensus;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.ConfigSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeStatus;
import io.skep.wire.ReplicatedService;
import io.skep.wire.ServiceSpec;
import io.skep.wire.SessionMessage;
import io.skep.wire.TaskSpec;
import io.skep.wire.UpdateNodeRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Three managers that agree over real connections and files, and what is left when one is lost. */
class ClusterTest {
    private TestCluster cluster;
    private Manager first;
    private Manager second;
    private Manager third;

    @BeforeEach
    void start(@TempDir Path directory) throws Exception {
        cluster = new TestCluster(directory, "127.0.0.1", Duration.ofSeconds(5));
        first = cluster.bootstrap();
        second = cluster.join(first);
        third = cluster.join(second);
    }

    @AfterEach
    void stop() {
        cluster.close();
    }

    @Test
    void anyManagerAnswersWithWhatAnyOtherAcknowledged() {
        List<Manager> managers = List.of(first, second, third);
        for (int i = 0; i < 9; i++) {
            Manager writer = managers.get(i % 3);
            writer.execute(config("c" + i));
            // Whoever wrote sees it at once, all others as soon as they ask for certain.
            assertThat(writer.local().configs().byName("c" + i)).isNotNull();
            assertThat(managers.get((i + 1) % 3).read().configs().byName("c" + i))
                    .isNotNull();
        }
        assertThat(third.members())
                .hasSize(3)
                .allMatch(Consensus.Member::voter)
                .filteredOn(Consensus.Member::leader)
                .hasSize(1);
    }

    @Test
    void refusalsOfTheLeaderReachTheCallerUnchanged() {
        third.execute(config("same"));
        assertThatThrownBy(() -> second.execute(config("same"))).isInstanceOfSatisfying(CommandException.class, e -> {
            assertThat(e.code()).isEqualTo(CommandException.Code.ALREADY_EXISTS);
            assertThat(e.text()).isEqualTo("config same already exists");
        });
    }

    @Test
    void aRequestThatIsRepeatedElsewhereHasOneEffect() {
        Command command = config("once");
        CommandResult made = first.execute(command);
        assertThat(second.execute(command).getConfig().getId())
                .isEqualTo(made.getConfig().getId());
        assertThat(third.execute(command).getConfig().getId())
                .isEqualTo(made.getConfig().getId());
        assertThat(first.read().configs().size()).isEqualTo(1);
    }

    @Test
    void whatWasAcknowledgedIsThereAfterTheLeaderCrashed() throws Exception {
        Manager leader = leader();
        List<Manager> others =
                cluster.running.values().stream().filter(m -> m != leader).toList();
        Set<String> acknowledged = ConcurrentHashMap.newKeySet();
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger afterCrash = new AtomicInteger();
        AtomicBoolean crashed = new AtomicBoolean();
        CountDownLatch busy = new CountDownLatch(60);
        CountDownLatch resumed = new CountDownLatch(60);
        List<CompletableFuture<Void>> writers = new ArrayList<>();
        for (int w = 0; w < 4; w++) {
            int writer = w;
            writers.add(CompletableFuture.runAsync(() -> {
                for (int i = 0; !stop.get(); i++) {
                    String name = "w" + writer + "-" + i;
                    others.get(writer % 2).execute(config(name));
                    acknowledged.add(name);
                    busy.countDown();
                    if (crashed.get()) {
                        afterCrash.incrementAndGet();
                        resumed.countDown();
                    }
                }
            }));
        }
        assertThat(busy.await(30, TimeUnit.SECONDS)).isTrue();
        cluster.crash(leader);
        crashed.set(true);
        assertThat(resumed.await(30, TimeUnit.SECONDS)).isTrue();
        stop.set(true);
        for (CompletableFuture<Void> writer : writers) {
            writer.get(30, TimeUnit.SECONDS);
        }
        assertThat(others.getFirst().read().configs().values().stream()
                        .map(config -> config.getSpec().getAnnotations().getName())
                        .collect(Collectors.toSet()))
                .isEqualTo(acknowledged);
    }

    @Test
    void aSessionOnAFollowerOutlivesTheLeader() throws Exception {
        Manager leader = leader();
        Manager follower = cluster.running.values().stream()
                .filter(m -> m != leader)
                .findFirst()
                .orElseThrow();
        try (StockWorker worker = new StockWorker(cluster.address(follower), cluster.root.trustRoot())) {
            worker.join(TestCluster.workerToken(follower));
            Received<SessionMessage> session = worker.session("");
            SessionMessage message = session.next();
            assertThat(message.getManagersCount()).isEqualTo(3);
            String id = message.getSessionId();
            Received<AssignmentsMessage> assignments = worker.assignments(id);
            assignments.next();

            cluster.crash(leader);
            createService(follower, "web");
            assertThat(assignments.next().getChangesCount()).isEqualTo(1);
            assertThat(worker.heartbeat(id).hasPeriod()).isTrue();
            assertThat(TestCluster.node(follower, worker.nodeId()).getStatus().getState())
                    .isEqualTo(NodeStatus.State.READY);
        }
    }

    @Test
    void nodesLearnOfManagersThatComeAndGo() throws Exception {
        try (StockWorker worker = new StockWorker(cluster.address(first), cluster.root.trustRoot())) {
            worker.join(TestCluster.workerToken(first));
            Received<SessionMessage> session = worker.session("");
            assertThat(session.next().getManagersCount()).isEqualTo(3);
            demote(second.nodeId());
            SessionMessage message = session.until(next -> next.getManagersCount() == 2);
            assertThat(message.getManagersList())
                    .extracting(peer -> peer.getPeer().getNodeId())
                    .containsExactlyInAnyOrder(first.nodeId(), third.nodeId());
        }
    }

    @Test
    void aDemotedLeaderHandsOverLeavesAndBecomesAWorker() throws Exception {
        Manager leader = leader();
        Manager other = cluster.running.values().stream()
                .filter(m -> m != leader)
                .findFirst()
                .orElseThrow();
        demote(leader.nodeId());
        Node demoted = Eventually.get(
                other, () -> TestCluster.node(other, leader.nodeId()), node -> node.getRole() == NodeRole.WORKER);
        assertThat(demoted.getSpec().getDesiredRole()).isEqualTo(NodeRole.WORKER);
        assertThat(other.members()).extracting(Consensus.Member::nodeId).doesNotContain(leader.nodeId());
        other.execute(config("still-writable"));
    }

    @Test
    void aManagerComesBackOnAnotherAddress() throws Exception {
        Manager moved = cluster.running.values().stream()
                .filter(m -> m != leader())
                .findFirst()
                .orElseThrow();
        TestCluster.Member before = cluster.member(moved);
        cluster.crash(moved);
        TestCluster.Member after = new TestCluster.Member(
                before.nodeId(), before.identity(), "127.0.0.1:" + TestCluster.freePort(), before.directory());
        Manager back = cluster.start(after, new Start.Restart());
        Manager leader = leader();
        // Telling the new address is a write of the log; what follows it in the log comes after it everywhere.
        while (!addresses(leader).contains(after.address())) {
            leader.execute(config("tick" + TestCluster.IDS.nextId()));
        }
        back.execute(config("from-there"));
        assertThat(leader.read().configs().byName("from-there")).isNotNull();
    }

    @Test
    void aManagerThatStopsHasToldItsNodesWhereTheOthersMovedTo() throws Exception {
        TestCluster.Member before = cluster.member(third);
        try (StockWorker worker = new StockWorker(cluster.address(second), cluster.root.trustRoot())) {
            worker.join(TestCluster.workerToken(second));
            Received<SessionMessage> session = worker.session("");
            cluster.crash(third);
            TestCluster.Member after = new TestCluster.Member(
                    before.nodeId(), before.identity(), "127.0.0.1:" + TestCluster.freePort(), before.directory());
            cluster.start(after, new Start.Restart());
            while (!addresses(second).contains(after.address())) {
                first.execute(config("tick" + TestCluster.IDS.nextId()));
            }
            cluster.running.remove(second.nodeId());
            second.close();
            SessionMessage last = session.last();
            assertThat(last.getManagersList())
                    .extracting(peer -> peer.getPeer().getAddr())
                    .contains(after.address());
        }
    }

    @Test
    void allManagersStopAndStartAgain() throws Exception {
        first.execute(config("kept"));
        List<TestCluster.Member> all = List.of(cluster.member(first), cluster.member(second), cluster.member(third));
        List.of(first, second, third).forEach(cluster::crash);
        List<CompletableFuture<Manager>> starting = new ArrayList<>();
        for (TestCluster.Member member : all) {
            starting.add(cluster.startLater(member, new Start.Restart()));
        }
        for (CompletableFuture<Manager> each : starting) {
            assertThat(each.get(30, TimeUnit.SECONDS).read().configs().byName("kept"))
                    .isNotNull();
        }
    }

    @Test
    void aManagerThatClosesHandsOver() throws Exception {
        Manager leader = leader();
        cluster.running.remove(leader.nodeId());
        leader.close();
        Manager other = cluster.running.values().iterator().next();
        other.execute(config("after"));
        assertThat(other.leadership().leaderId()).isNotEqualTo(leader.nodeId());
    }

    private static List<String> addresses(Manager manager) {
        return manager.members().stream().map(Consensus.Member::address).toList();
    }

    private Manager leader() {
        Manager any = cluster.running.values().iterator().next();
        any.read();
        String id = any.leadership().leaderId();
        Manager leader = id == null ? null : cluster.running.get(id);
        if (leader == null) {
            throw new AssertionError("no leader after a read");
        }
        return leader;
    }

    private void demote(String nodeId) {
        Manager any = cluster.running.values().iterator().next();
        any.read();
        Node node = TestCluster.node(any, nodeId);
        any.execute(TestCluster.command()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(nodeId)
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(node.getSpec().toBuilder().setDesiredRole(NodeRole.WORKER)))
                .build());
    }

    private static void createService(Manager manager, String name) {
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setReplicated(ReplicatedService.newBuilder().setReplicas(1))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder().setImage("bb:latest")));
        spec.getAnnotationsBuilder().setName(name);
        manager.execute(TestCluster.command()
                .setCreateService(CreateServiceRequest.newBuilder().setSpec(spec))
                .build());
    }

    private static Command config(String name) {
        ConfigSpec.Builder spec = ConfigSpec.newBuilder().setData(ByteString.copyFromUtf8("data"));
        spec.getAnnotationsBuilder().setName(name);
        return TestCluster.command()
                .setCreateConfig(CreateConfigRequest.newBuilder().setSpec(spec))
                .build();
    }
}
