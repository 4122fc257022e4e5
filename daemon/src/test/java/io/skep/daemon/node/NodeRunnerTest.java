package io.skep.daemon.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.api.ApiException;
import io.skep.api.SwarmNode.InitRequest;
import io.skep.api.SwarmNode.LocalState;
import io.skep.api.SwarmNode.Status;
import io.skep.certs.UnlockKey;
import io.skep.manager.ClusterAccess;
import io.skep.wire.ClusterSpec;
import io.skep.wire.Command;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.KeyRotation;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Whole nodes, with their managers, logs and certificates, on the loopback addresses of this machine. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class NodeRunnerTest {
    @TempDir
    Path root;

    private Hosts hosts;

    @BeforeEach
    void prepare() throws IOException {
        hosts = new Hosts(root);
    }

    @AfterEach
    void end() {
        hosts.close();
    }

    @Test
    void anInactiveNodeSaysSo() {
        NodeRunner node = hosts.start(1);
        assertThat(node.status().state()).isEqualTo(LocalState.INACTIVE);
        assertThat(node.cluster()).isNull();
        assertThatThrownBy(() -> node.leave(false)).hasMessage("This node is not part of a swarm");
        assertThatThrownBy(() -> node.unlock("SWMKEY-1-x")).hasMessage("swarm is not locked");
    }

    @Test
    void theFirstManagerIsReadyWhenInitReturns() {
        NodeRunner node = hosts.start(1);
        String id = hosts.init(1, false);
        Status status = node.status();
        assertThat(status.state()).isEqualTo(LocalState.ACTIVE);
        assertThat(status.nodeId()).isEqualTo(id);
        assertThat(status.nodeAddress()).isEqualTo("127.0.0.11");
        assertThat(status.controlAvailable()).isTrue();
        assertThat(status.remoteManagers())
                .singleElement()
                .satisfies(peer -> assertThat(peer.getAddr()).isEqualTo(hosts.address(1)));
        Node self = hosts.nodeObject(1, 1);
        assertThat(self.getStatus().getState()).isEqualTo(NodeStatus.State.READY);
        assertThat(self.getSpec().getAvailability()).isEqualTo(NodeSpec.Availability.DRAIN);
        assertThat(self.getStatus().getMessage()).contains("no containers in this test");
        assertThat(hosts.tokens(1).getWorker()).startsWith("SWMTKN-1-");
        assertThatThrownBy(() -> hosts.init(1, false)).hasMessageStartingWith("This node is already part of a swarm.");
        assertThatThrownBy(() -> node.leave(false)).hasMessageContaining("Removing the last manager erases");
    }

    @Test
    void aTakenPortLeavesNothingBehind() {
        hosts.start(1);
        hosts.init(1, false);
        NodeRunner second = hosts.start(2);
        assertThatThrownBy(() -> second.init(new InitRequest(
                        hosts.address(1),
                        "",
                        "",
                        0,
                        false,
                        ClusterSpec.getDefaultInstance(),
                        false,
                        NodeSpec.Availability.ACTIVE,
                        List.of(),
                        0)))
                .isInstanceOf(ApiException.class)
                .hasMessageStartingWith("manager stopped: ");
        assertThat(second.status().state()).isEqualTo(LocalState.INACTIVE);
        assertThat(hosts.swarmFolder(2)).doesNotExist();
    }

    @Test
    void nodesJoinInTheRoleOfTheirToken() throws Exception {
        hosts.formManagers(3);
        hosts.start(4);
        hosts.join(4, 2, hosts.tokens(3).getWorker());
        assertThat(hosts.voters(3)).isEqualTo(3);
        assertThat(hosts.node(4).status())
                .returns(LocalState.ACTIVE, Status::state)
                .returns(false, Status::controlAvailable);
        assertThat(hosts.node(4).cluster()).isNull();
        Hosts.await(
                "all nodes are ready",
                () -> hosts.tryRead(2).nodes().values().stream()
                                .filter(node -> node.getStatus().getState() == NodeStatus.State.READY)
                                .count()
                        == 4);
        Hosts.await(
                "the worker knows all managers",
                () -> hosts.node(4).status().remoteManagers().size() == 3);
        assertThat(hosts.nodeObject(1, 4).getRole()).isEqualTo(NodeRole.WORKER);
        hosts.node(4).leave(false);
        assertThat(hosts.node(4).status().state()).isEqualTo(LocalState.INACTIVE);
        assertThat(hosts.swarmFolder(4)).doesNotExist();
    }

    @Test
    void everythingIsThereAfterAllNodesRestart() throws Exception {
        hosts.formManagers(3);
        createConfig(2, "kept");
        String id = hosts.node(2).status().nodeId();
        for (int host = 1; host <= 3; host++) {
            hosts.stop(host);
        }
        for (int host = 1; host <= 3; host++) {
            hosts.start(host);
        }
        Hosts.await("a leader", () -> hosts.tryRead(3).version() > 0);
        assertThat(hosts.node(2).status().nodeId()).isEqualTo(id);
        assertThat(configExists(1, "kept")).isTrue();
        createConfig(3, "new");
        Hosts.await(
                "all are ready again",
                () -> hosts.tryRead(2).nodes().values().stream()
                        .allMatch(node -> node.getStatus().getState() == NodeStatus.State.READY));
    }

    @Test
    void whoAsksWaitsForTheManagerToStart() throws Exception {
        hosts.start(1);
        hosts.init(1, false);
        hosts.stop(1);
        NodeRunner node;
        FutureTask<@Nullable ClusterAccess> asked;
        try (ServerSocket taken = hosts.occupy(1)) {
            node = hosts.start(1);
            assertThat(node.cluster()).isNull();
            assertThat(taken.isBound()).isTrue();
            assertThat(node.awaitCluster(Duration.ofMillis(1))).isNull();
            asked = new FutureTask<>(() -> node.awaitCluster(Hosts.SOON));
            Thread.ofVirtual().start(asked);
        }
        assertThat(asked.get()).isNotNull().isEqualTo(node.cluster());
        hosts.stop(1);
        assertThat(node.awaitCluster(Hosts.SOON)).isNull();
    }

    @Test
    void nobodyWaitsForAManagerWhoseLogIsDamaged() throws Exception {
        hosts.start(1);
        hosts.init(1, false);
        hosts.stop(1);
        Path log = hosts.swarmFolder(1).resolve("raft/log-000000000001");
        byte[] bytes = Files.readAllBytes(log);
        bytes[0] ^= 1;
        Files.write(log, bytes);
        NodeRunner node = hosts.start(1);
        assertThat(node.awaitCluster(Duration.ofDays(1))).isNull();
        assertThat(node.status().state()).isEqualTo(LocalState.ERROR);
        assertThat(node.status().error()).contains("log-000000000001 is damaged");
    }

    @Test
    void theOthersGoOnWithoutTheLeader() throws Exception {
        hosts.formManagers(3);
        int leader = hosts.leader(1);
        int other = leader == 1 ? 2 : 1;
        String id = hosts.node(leader).status().nodeId();
        hosts.stop(leader);
        createConfig(other, "written");
        assertThat(configExists(other, "written")).isTrue();
        Hosts.await("the lost manager is down", () -> {
            Node lost = hosts.tryRead(other).nodes().get(id);
            return lost != null && lost.getStatus().getState() == NodeStatus.State.DOWN;
        });
        hosts.start(leader);
        Hosts.await("the lost manager is back", () -> {
            Node lost = hosts.tryRead(leader).nodes().get(id);
            return lost != null && lost.getStatus().getState() == NodeStatus.State.READY;
        });
        assertThat(configExists(leader, "written")).isTrue();
    }

    @Test
    void aWorkerIsPromotedAndDemotedWhileItRuns() throws Exception {
        hosts.start(1);
        hosts.init(1, false);
        hosts.start(2);
        hosts.join(2, 1, hosts.tokens(1).getWorker());
        hosts.setRole(1, 2, NodeRole.MANAGER);
        Hosts.await("host 2 is a manager", () -> hosts.node(2).status().controlAvailable());
        assertThat(hosts.voters(1)).isEqualTo(2);
        createConfig(2, "by-the-new-manager");
        hosts.setRole(2, 2, NodeRole.WORKER);
        Hosts.await("host 2 is a worker", () -> hosts.node(2).cluster() == null);
        Hosts.await("its log is gone", () -> !Files.exists(hosts.swarmFolder(2).resolve("raft")));
        assertThat(hosts.voters(1)).isEqualTo(1);
        assertThat(configExists(1, "by-the-new-manager")).isTrue();
        hosts.setRole(1, 2, NodeRole.MANAGER);
        Hosts.await("host 2 is a manager again", () -> hosts.node(2).status().controlAvailable());
    }

    @Test
    void aLeavingManagerIsTakenOutOfTheQuorum() throws Exception {
        hosts.formManagers(3);
        assertThatThrownBy(() -> hosts.node(2).leave(false))
                .isInstanceOf(ApiException.class)
                .hasMessage("You are attempting to leave the swarm on a node that is participating as a manager. The"
                        + " only way to restore a swarm that has lost consensus is to reinitialize it with"
                        + " `--force-new-cluster`. Use `--force` to suppress this message.");
        int leader = hosts.leader(1);
        int other = leader == 1 ? 2 : 1;
        hosts.node(leader).leave(true);
        assertThat(hosts.node(leader).status().state()).isEqualTo(LocalState.INACTIVE);
        Hosts.await("two managers are left", () -> hosts.voters(other) == 2);
        createConfig(other, "afterwards");
        hosts.start(leader);
        hosts.join(leader, other, hosts.tokens(other).getManager());
        assertThat(hosts.voters(other)).isEqualTo(3);
    }

    @Test
    void wrongAndRotatedTokensAreRefused() {
        hosts.start(1);
        hosts.init(1, false);
        String old = hosts.tokens(1).getWorker();
        hosts.updateCluster(
                1, false, KeyRotation.newBuilder().setWorkerJoinToken(true).build());
        hosts.start(2);
        assertThatThrownBy(() -> hosts.join(2, 1, old))
                .isInstanceOfSatisfying(
                        ApiException.class,
                        refusal -> assertThat(refusal.status()).isEqualTo(400))
                .hasMessage("rpc error: code = InvalidArgument desc = A valid join token is necessary to join this"
                        + " cluster");
        assertThatThrownBy(() -> hosts.join(2, 1, "nonsense")).hasMessage("invalid join token");
        assertThat(hosts.node(2).status().state()).isEqualTo(LocalState.INACTIVE);
        hosts.join(2, 1, hosts.tokens(1).getWorker());
        assertThat(hosts.node(2).status().state()).isEqualTo(LocalState.ACTIVE);
    }

    @Test
    void aManagerThatIsNotThereIsNamed() {
        hosts.start(1);
        hosts.init(1, false);
        hosts.start(2);
        assertThatThrownBy(() -> hosts.join(2, 9, hosts.tokens(1).getWorker()))
                .isInstanceOfSatisfying(
                        ApiException.class,
                        refusal -> assertThat(refusal.status()).isEqualTo(503))
                .hasMessage("rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while"
                        + " dialing: dial tcp " + hosts.address(9) + ": connect: connection refused\"");
    }

    @Test
    void aLockedManagerNeedsItsKeyAfterARestart() throws Exception {
        hosts.start(1);
        hosts.init(1, true);
        createConfig(1, "secretive");
        String key = unlockKey(1);
        assertThat(keyFile(1)).contains("ENCRYPTED PRIVATE KEY");
        hosts.stop(1);
        NodeRunner locked = hosts.start(1);
        assertThat(locked.status().state()).isEqualTo(LocalState.LOCKED);
        assertThatThrownBy(() -> locked.leave(false)).hasMessageStartingWith("Swarm is encrypted and locked.");
        assertThatThrownBy(() -> locked.unlock(wrongKey()))
                .isInstanceOfSatisfying(
                        ApiException.class,
                        refusal -> assertThat(refusal.status()).isEqualTo(401))
                .hasMessage("swarm could not be unlocked: invalid key provided");
        locked.unlock(key);
        assertThat(configExists(1, "secretive")).isTrue();
        assertThatThrownBy(() -> locked.unlock(key)).hasMessage("swarm is not locked");
    }

    @Test
    void aManagerThatStopsRightAfterARotationOpensWithTheNewKeyOnly() throws Exception {
        hosts.start(1);
        hosts.init(1, true);
        String key = unlockKey(1);
        for (int i = 0; i < 3; i++) {
            hosts.updateCluster(
                    1, true, KeyRotation.newBuilder().setManagerUnlockKey(true).build());
            String next = unlockKey(1);
            hosts.stop(1);
            NodeRunner restarted = hosts.start(1);
            String before = key;
            assertThatThrownBy(() -> restarted.unlock(before))
                    .hasMessage("swarm could not be unlocked: invalid key provided");
            restarted.unlock(next);
            key = next;
        }
    }

    @Test
    void lockingIsTurnedOnAndOffAndItsKeyRotatedWhileManagersRun() throws Exception {
        hosts.formManagers(2);
        assertThat(keyFile(2)).doesNotContain("ENCRYPTED");
        hosts.updateCluster(1, true, KeyRotation.getDefaultInstance());
        Hosts.await("both are locked", () -> encrypted(1) && encrypted(2));
        String before = unlockKey(1);
        hosts.updateCluster(
                1, true, KeyRotation.newBuilder().setManagerUnlockKey(true).build());
        assertThat(unlockKey(1)).isNotEqualTo(before);
        String after = unlockKey(1);
        Hosts.await(
                "the log of host 2 has one key",
                () -> keyFile(2).contains("raft-dek") && !keyFile(2).contains("raft-dek-previous"));
        Hosts.await("the old key no longer opens host 2", () -> {
            hosts.stop(2);
            NodeRunner restarted = hosts.start(2);
            try {
                restarted.unlock(before);
                return false;
            } catch (ApiException e) {
                return restarted.status().state() == LocalState.LOCKED;
            }
        });
        hosts.node(2).unlock(after);
        Hosts.await("host 2 is back", () -> hosts.node(2).status().controlAvailable());
        hosts.updateCluster(2, false, KeyRotation.getDefaultInstance());
        Hosts.await("both are unlocked", () -> !encrypted(1) && !encrypted(2));
    }

    @Test
    void aNewClusterIsForcedFromOneManagerOfThree() throws Exception {
        hosts.formManagers(3);
        createConfig(1, "survives");
        String id = hosts.node(3).status().nodeId();
        hosts.stop(1);
        hosts.stop(2);
        assertThat(hosts.forceNewCluster(3)).isEqualTo(id);
        assertThat(hosts.voters(3)).isEqualTo(1);
        assertThat(configExists(3, "survives")).isTrue();
        createConfig(3, "and goes on");
        hosts.start(4);
        hosts.join(4, 3, hosts.tokens(3).getManager());
        assertThat(hosts.voters(4)).isEqualTo(2);
    }

    @Test
    void managersFindEachOtherAfterAllMoved() throws Exception {
        hosts.formManagers(3);
        createConfig(1, "before");
        for (int host = 1; host <= 3; host++) {
            hosts.stop(host);
        }
        String[] hints = {hosts.address(11), hosts.address(12), hosts.address(13)};
        for (int host = 1; host <= 3; host++) {
            moveListener(host);
            hosts.start(host, hosts.address(host + 10), hints);
        }
        Hosts.await("a leader", () -> configExists(2, "before"));
        Hosts.await(
                "the new addresses are known",
                () -> hosts.cluster(1).members().stream()
                        .allMatch(member -> Arrays.asList(hints).contains(member.address())));
    }

    /** The machine has another address now: what was listened on is gone. */
    private void moveListener(int host) throws IOException {
        Path file = hosts.swarmFolder(host).resolve("skep-state.json");
        Files.writeString(
                file,
                Files.readString(file)
                        .replace(
                                "\"listen_address\":\"" + hosts.address(host),
                                "\"listen_address\":\"" + hosts.address(host + 10)));
    }

    private void createConfig(int asked, String name) {
        CreateConfigRequest.Builder request = CreateConfigRequest.newBuilder();
        request.getSpecBuilder().setData(ByteString.copyFromUtf8("x"));
        request.getSpecBuilder().getAnnotationsBuilder().setName(name.replace(' ', '-'));
        hosts.execute(asked, Command.newBuilder().setCreateConfig(request));
    }

    private boolean configExists(int asked, String name) {
        return hosts.tryRead(asked).configs().values().stream()
                .anyMatch(config -> config.getSpec().getAnnotations().getName().equals(name));
    }

    private String unlockKey(int asked) {
        return new UnlockKey(hosts.clusterObject(asked).getUnlockKeys(0).getKey()).text();
    }

    private static String wrongKey() {
        return UnlockKey.generate(new Random(1)).text();
    }

    private boolean encrypted(int host) {
        return keyFile(host).contains("ENCRYPTED");
    }

    private String keyFile(int host) {
        try {
            return Files.readString(hosts.swarmFolder(host).resolve("certificates/swarm-node.key"));
        } catch (IOException e) {
            return "";
        }
    }
}
