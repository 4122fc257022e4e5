package io.skep.control;

import static io.skep.control.TestKit.START;
import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.name;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.skep.certs.CredentialException;
import io.skep.certs.JoinToken;
import io.skep.certs.RootCertificateAuthority;
import io.skep.certs.TrustRoot;
import io.skep.control.CommandException.Code;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.Command;
import io.skep.wire.EncryptionKey;
import io.skep.wire.ExternalCA;
import io.skep.wire.InitCluster;
import io.skep.wire.JoinTokens;
import io.skep.wire.KeyRotation;
import io.skep.wire.Network;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.RootCA;
import io.skep.wire.UpdateClusterRequest;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class ClusterCommandsTest {
    private static final ByteString ROOT =
            RootCertificateAuthority.create(START).trustRoot().pem();

    private final TestWorld world = new TestWorld();
    private final TestLeader leader = new TestLeader(world, ids(1));

    private static Command.Builder init(Cluster.Builder cluster) {
        cluster.setId("c1").getRootCaBuilder().setCaCert(ROOT);
        return Command.newBuilder()
                .setInitCluster(InitCluster.newBuilder()
                        .setCluster(cluster)
                        .setNode(Node.newBuilder().setId("m1")));
    }

    private Cluster cluster() {
        return requireNonNull(world.state().cluster());
    }

    private Command.Builder update(ClusterSpec.Builder spec) {
        return Command.newBuilder()
                .setUpdateCluster(UpdateClusterRequest.newBuilder()
                        .setClusterId("c1")
                        .setClusterVersion(cluster().getMeta().getVersion())
                        .setSpec(spec));
    }

    private void rotate(KeyRotation.Builder rotation) {
        Command.Builder command = update(cluster().getSpec().toBuilder());
        command.getUpdateClusterBuilder().setRotation(rotation);
        leader.run(command);
    }

    private void assertRefused(Command.Builder command, Code code, String text) {
        CommandException refusal = requireNonNull(leader.attempt(command).refusal(), "refusal");
        assertThat(refusal.text()).isEqualTo(text);
        assertThat(refusal.code()).isEqualTo(code);
    }

    @Test
    void aNewClusterHasDefaults() {
        leader.run(init(Cluster.newBuilder()));
        ClusterSpec spec = cluster().getSpec();
        assertThat(spec.getAnnotations().getName()).isEqualTo("default");
        assertThat(spec.getOrchestration().getTaskHistoryRetentionLimit()).isEqualTo(5);
        assertThat(spec.getDispatcher().getHeartbeatPeriod().getSeconds()).isEqualTo(5);
        assertThat(Times.duration(spec.getCaConfig().getNodeCertExpiry())).isEqualTo(Duration.ofDays(90));
        assertThat(spec.getRaft().getSnapshotInterval()).isEqualTo(10_000);
        assertThat(spec.getRaft().getElectionTick()).isEqualTo(10);
        assertThat(cluster().getSubnetSize()).isEqualTo(24);
        assertThat(cluster().getUnlockKeysList()).isEmpty();
        Node first = requireNonNull(world.state().nodes().get("m1"));
        assertThat(first.getRole()).isEqualTo(NodeRole.MANAGER);
        assertThat(first.getSpec().getDesiredRole()).isEqualTo(NodeRole.MANAGER);
        assertThat(first.getAttachments(0).getNetwork().getSpec().getIngress()).isTrue();
    }

    @Test
    void aNewClusterHasThreeNetworks() {
        leader.run(init(Cluster.newBuilder()));
        Set<String> names = world.state().networks().values().stream()
                .map(network -> network.getSpec().getAnnotations().getName())
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(names).containsExactly("bridge", "host", "ingress");
        Network host = requireNonNull(world.state().networks().byName("host"));
        assertThat(host.getSpec().getAnnotations().getLabelsMap()).containsEntry("com.docker.swarm.predefined", "true");
        assertThat(host.getSpec().getDriverConfig().getName()).isEqualTo("host");
    }

    @Test
    void theTokensAreOfTheRootAndOneForEachRole() throws CredentialException {
        leader.run(init(Cluster.newBuilder()));
        JoinTokens tokens = cluster().getRootCa().getJoinTokens();
        assertThat(JoinToken.parse(tokens.getWorker()).matches(TrustRoot.parse(ROOT)))
                .isTrue();
        assertThat(JoinToken.parse(tokens.getManager()).matches(TrustRoot.parse(ROOT)))
                .isTrue();
        assertThat(tokens.getWorker()).isNotEqualTo(tokens.getManager());
    }

    @Test
    void whatTheFirstManagerChoseIsKept() {
        Cluster.Builder chosen = Cluster.newBuilder()
                .addDefaultAddressPool("172.30.0.0/16")
                .setSubnetSize(28)
                .setVXLANUDPPort(4790);
        chosen.getSpecBuilder().getEncryptionConfigBuilder().setAutoLockManagers(true);
        chosen.getRootCaBuilder().getJoinTokensBuilder().setWorker("w").setManager("m");
        leader.run(init(chosen));
        assertThat(cluster().getSubnetSize()).isEqualTo(28);
        assertThat(requireNonNull(world.state().nodes().get("m1")).getVXLANUDPPort())
                .isEqualTo(4790);
        assertThat(requireNonNull(world.state().networks().byName("ingress"))
                        .getIpam()
                        .getConfigs(0)
                        .getSubnet())
                .isEqualTo("172.30.0.0/28");
        assertThat(cluster().getUnlockKeysList()).hasSize(1);
        assertThat(cluster().getUnlockKeys(0).getKey().size()).isEqualTo(32);
        assertThat(cluster().getRootCa().getJoinTokens().getWorker()).isEqualTo("w");
    }

    @Test
    void aClusterIsMadeOnce() {
        leader.run(init(Cluster.newBuilder()));
        assertRefused(init(Cluster.newBuilder()), Code.ALREADY_EXISTS, "the cluster is made already");
    }

    @Test
    void poolsMustHoldTheirSubnets() {
        assertRefused(
                init(Cluster.newBuilder().addDefaultAddressPool("10.0.0.0/28").setSubnetSize(24)),
                Code.INVALID_ARGUMENT,
                "invalid default address pool 10.0.0.0/28: it must be an IPv4 subnet with room for subnets of size 24");
        assertRefused(
                init(Cluster.newBuilder().setSubnetSize(30)),
                Code.INVALID_ARGUMENT,
                "subnet size 30 is too small for a network: it may be up to 29");
        assertThat(world.state().cluster()).isNull();
        assertThat(world.state().networks().size()).isZero();
    }

    @Test
    void theAnswerHoldsNoSecret() {
        Cluster answered = leader.run(init(Cluster.newBuilder())).getCluster();
        assertThat(answered.getId()).isEqualTo("c1");
        assertThat(answered.hasRootCa()).isFalse();
        assertThat(answered.getNetworkBootstrapKeysList()).isEmpty();
    }

    @Test
    void tokensRotateOneByOne() {
        leader.run(init(Cluster.newBuilder()));
        JoinTokens before = cluster().getRootCa().getJoinTokens();
        rotate(KeyRotation.newBuilder().setWorkerJoinToken(true));
        JoinTokens after = cluster().getRootCa().getJoinTokens();
        assertThat(after.getWorker()).isNotEqualTo(before.getWorker());
        assertThat(after.getManager()).isEqualTo(before.getManager());
        rotate(KeyRotation.newBuilder().setManagerJoinToken(true));
        assertThat(cluster().getRootCa().getJoinTokens().getWorker()).isEqualTo(after.getWorker());
        assertThat(cluster().getRootCa().getJoinTokens().getManager()).isNotEqualTo(after.getManager());
    }

    @Test
    void unlockKeysComeAndGoWithAutolock() {
        leader.run(init(Cluster.newBuilder()));
        ClusterSpec.Builder locked = cluster().getSpec().toBuilder();
        locked.getEncryptionConfigBuilder().setAutoLockManagers(true);
        leader.run(update(locked));
        ByteString key = cluster().getUnlockKeys(0).getKey();
        leader.run(update(locked));
        assertThat(cluster().getUnlockKeys(0).getKey()).isEqualTo(key);
        rotate(KeyRotation.newBuilder().setManagerUnlockKey(true));
        assertThat(cluster().getUnlockKeys(0).getKey()).isNotEqualTo(key);
        locked.getEncryptionConfigBuilder().setAutoLockManagers(false);
        leader.run(update(locked));
        assertThat(cluster().getUnlockKeysList()).isEmpty();
    }

    @Test
    void settingsAreChecked() {
        leader.run(init(Cluster.newBuilder()));
        ClusterSpec.Builder shortLived = cluster().getSpec().toBuilder();
        shortLived.getCaConfigBuilder().setNodeCertExpiry(Times.wire(Duration.ofMinutes(59)));
        assertRefused(update(shortLived), Code.INVALID_ARGUMENT, "minimum certificate expiry time is: 1h0m0s");
        assertRefused(
                update(cluster().getSpec().toBuilder().setAnnotations(name("other"))),
                Code.INVALID_ARGUMENT,
                "swarm spec must be named \"default\"");
        ClusterSpec.Builder forced = cluster().getSpec().toBuilder();
        forced.getCaConfigBuilder().setForceRotate(1);
        assertRefused(update(forced), Code.UNIMPLEMENTED, "root CA rotation is not supported");
        ClusterSpec.Builder external = cluster().getSpec().toBuilder();
        external.getCaConfigBuilder().addExternalCas(ExternalCA.getDefaultInstance());
        assertRefused(update(external), Code.UNIMPLEMENTED, "external certificate authorities are not supported");
    }

    @Test
    void anUpdateIsOfTheNewestVersionOfThisCluster() {
        leader.run(init(Cluster.newBuilder()));
        Command.Builder update = update(cluster().getSpec().toBuilder());
        leader.run(update);
        assertRefused(update, Code.UNKNOWN, "update out of sequence");
        update.getUpdateClusterBuilder().setClusterId("c2");
        assertRefused(update, Code.NOT_FOUND, "cluster c2 not found");
    }

    @Test
    void eachSubsystemHasThreeKeysWhateverTheTime() {
        leader.run(init(Cluster.newBuilder().setRootCa(RootCA.newBuilder().setCaCert(ROOT))));
        List<EncryptionKey> before = cluster().getNetworkBootstrapKeysList();
        assertKeys();
        leader.pass(NetworkKeyRotation.PERIOD.plusSeconds(1));
        assertKeys();
        List<EncryptionKey> after = cluster().getNetworkBootstrapKeysList();
        for (String subsystem : NetworkKeys.SUBSYSTEMS) {
            List<EncryptionKey> old = of(subsystem, before);
            List<EncryptionKey> now = of(subsystem, after);
            assertThat(now.subList(0, 2)).isEqualTo(old.subList(1, 3));
            assertThat(now.get(2).getKey()).isNotIn(old.stream().map(EncryptionKey::getKey));
        }
    }

    private void assertKeys() {
        List<EncryptionKey> keys = cluster().getNetworkBootstrapKeysList();
        for (String subsystem : NetworkKeys.SUBSYSTEMS) {
            assertThat(of(subsystem, keys))
                    .hasSize(3)
                    .allMatch(key -> key.getKey().size() == 16);
        }
        assertThat(keys).extracting(EncryptionKey::getLamportTime).doesNotHaveDuplicates();
        assertThat(keys)
                .extracting(EncryptionKey::getLamportTime)
                .allMatch(time -> time <= cluster().getEncryptionKeyLamportClock());
    }

    private static List<EncryptionKey> of(String subsystem, List<EncryptionKey> keys) {
        return keys.stream().filter(key -> key.getSubsystem().equals(subsystem)).toList();
    }
}
