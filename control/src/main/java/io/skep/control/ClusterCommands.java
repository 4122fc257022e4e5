package io.skep.control;

import com.google.protobuf.ByteString;
import io.skep.certs.CredentialException;
import io.skep.certs.JoinToken;
import io.skep.certs.TrustRoot;
import io.skep.certs.UnlockKey;
import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CAConfig;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.CommandResult;
import io.skep.wire.EncryptionKey;
import io.skep.wire.InitCluster;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RootCA;
import io.skep.wire.UpdateClusterRequest;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.random.RandomGenerator;

/** The commands that make the cluster and change its settings (swarm-wire 8.4, 8.5). */
final class ClusterCommands {
    private static final String CLUSTER_NAME = "default";
    private static final Duration CERTIFICATE_EXPIRY_MIN = Duration.ofHours(1);
    private static final int HISTORY_LIMIT_DEFAULT = 5;
    private static final int SNAPSHOT_INTERVAL_DEFAULT = 10_000;
    private static final int SLOW_FOLLOWERS_ENTRIES_DEFAULT = 500;
    private static final int HEARTBEAT_TICK_DEFAULT = 1;
    private static final int ELECTION_TICK_DEFAULT = 10;
    private static final int SUBNET_PREFIX_DEFAULT = 24;
    private static final int SUBNET_PREFIX_MAX = 29;
    private static final String UNLOCK_SUBSYSTEM = "swarm-manager";

    private final IdSource ids;
    private final NetworkCommands networks;
    private final RandomGenerator random;

    ClusterCommands(IdSource ids, NetworkCommands networks) {
        this.ids = ids;
        this.networks = networks;
        this.random = () -> ByteBuffer.wrap(ids.randomBytes(Long.BYTES)).getLong();
    }

    /**
     * Makes the cluster, its first manager and its first networks. What the command leaves out is given its default:
     * settings, join tokens, keys.
     */
    CommandResult init(Transaction transaction, InitCluster command) {
        if (transaction.state().cluster() != null) {
            throw new CommandException(Code.ALREADY_EXISTS, "the cluster is made already");
        }
        Cluster.Builder cluster = command.getCluster().toBuilder();
        cluster.setSpec(withDefaults(cluster.getSpec()));
        checkSpec(cluster.getSpec());
        checkPools(cluster);
        if (cluster.getSubnetSize() == 0) {
            cluster.setSubnetSize(SUBNET_PREFIX_DEFAULT);
        }
        RootCA.Builder root = cluster.getRootCaBuilder();
        if (root.getJoinTokens().getWorker().isEmpty()) {
            root.getJoinTokensBuilder().setWorker(newToken(root.getCaCert()));
        }
        if (root.getJoinTokens().getManager().isEmpty()) {
            root.getJoinTokensBuilder().setManager(newToken(root.getCaCert()));
        }
        if (cluster.getNetworkBootstrapKeysCount() == 0) {
            NetworkKeys.addFirst(cluster, ids);
        }
        setUnlockKeys(cluster, false);
        Cluster made = transaction.put(Kind.CLUSTER, cluster.build());
        Node.Builder node = command.getNode().toBuilder().setRole(NodeRole.MANAGER);
        node.getSpecBuilder().setDesiredRole(NodeRole.MANAGER).setMembership(NodeSpec.Membership.ACCEPTED);
        node.setVXLANUDPPort(made.getVXLANUDPPort());
        transaction.put(Kind.NODE, node.build());
        networks.createFirst(transaction);
        return Answers.of(made);
    }

    CommandResult update(Transaction transaction, UpdateClusterRequest request) {
        if (!request.hasSpec()
                || !request.hasClusterVersion()
                || request.getClusterId().isEmpty()) {
            throw Lookups.invalidArgument();
        }
        Cluster cluster = Lookups.requireCluster(transaction.state());
        if (!cluster.getId().equals(request.getClusterId())) {
            throw new CommandException(Code.NOT_FOUND, "cluster " + request.getClusterId() + " not found");
        }
        ClusterSpec spec = request.getSpec();
        checkSpec(spec);
        requireSameRoot(cluster, spec.getCaConfig());
        Lookups.requireVersion(Kind.CLUSTER, cluster, true, request.getClusterVersion());
        Cluster.Builder updated = cluster.toBuilder().setSpec(spec);
        RootCA.Builder root = updated.getRootCaBuilder();
        if (request.getRotation().getWorkerJoinToken()) {
            root.getJoinTokensBuilder().setWorker(newToken(root.getCaCert()));
        }
        if (request.getRotation().getManagerJoinToken()) {
            root.getJoinTokensBuilder().setManager(newToken(root.getCaCert()));
        }
        setUnlockKeys(updated, request.getRotation().getManagerUnlockKey());
        return Answers.of(transaction.put(Kind.CLUSTER, updated.build()));
    }

    private static ClusterSpec withDefaults(ClusterSpec given) {
        ClusterSpec.Builder spec = given.toBuilder();
        if (spec.getAnnotations().getName().isEmpty()) {
            spec.getAnnotationsBuilder().setName(CLUSTER_NAME);
        }
        if (!spec.hasOrchestration()) {
            spec.getOrchestrationBuilder().setTaskHistoryRetentionLimit(HISTORY_LIMIT_DEFAULT);
        }
        if (!spec.hasRaft()) {
            spec.getRaftBuilder()
                    .setSnapshotInterval(SNAPSHOT_INTERVAL_DEFAULT)
                    .setLogEntriesForSlowFollowers(SLOW_FOLLOWERS_ENTRIES_DEFAULT)
                    .setHeartbeatTick(HEARTBEAT_TICK_DEFAULT)
                    .setElectionTick(ELECTION_TICK_DEFAULT);
        }
        if (!spec.getDispatcher().hasHeartbeatPeriod()) {
            spec.getDispatcherBuilder().setHeartbeatPeriod(Times.wire(NodeLiveness.HEARTBEAT_PERIOD_DEFAULT));
        }
        if (!spec.getCaConfig().hasNodeCertExpiry()) {
            spec.getCaConfigBuilder().setNodeCertExpiry(Times.wire(LeafExpiry.CERTIFICATE_EXPIRY_DEFAULT));
        }
        return spec.build();
    }

    private static void checkSpec(ClusterSpec spec) {
        if (!spec.getAnnotations().getName().equals(CLUSTER_NAME)) {
            throw invalid("swarm spec must be named \"" + CLUSTER_NAME + "\"");
        }
        Duration heartbeat = Times.duration(spec.getDispatcher().getHeartbeatPeriod());
        if (heartbeat.isNegative()) {
            throw invalid("heartbeat time period cannot be a negative duration");
        }
        Duration expiry = Times.duration(spec.getCaConfig().getNodeCertExpiry());
        if (spec.getCaConfig().hasNodeCertExpiry() && expiry.compareTo(CERTIFICATE_EXPIRY_MIN) < 0) {
            throw invalid("minimum certificate expiry time is: 1h0m0s");
        }
        if (spec.getCaConfig().getExternalCasCount() > 0) {
            throw new CommandException(Code.UNIMPLEMENTED, "external certificate authorities are not supported");
        }
    }

    private static void checkPools(Cluster.Builder cluster) {
        int prefix = cluster.getSubnetSize();
        if (prefix > SUBNET_PREFIX_MAX) {
            throw invalid(
                    "subnet size " + prefix + " is too small for a network: it may be up to " + SUBNET_PREFIX_MAX);
        }
        for (String text : cluster.getDefaultAddressPoolList()) {
            Subnet pool;
            try {
                pool = Subnet.parse(text);
            } catch (IllegalArgumentException e) {
                throw invalid("invalid default address pool: " + e.getMessage());
            }
            if (!pool.isIpv4() || (prefix != 0 && pool.prefix() > prefix)) {
                throw invalid("invalid default address pool " + text + ": it must be an IPv4 subnet with room for"
                        + " subnets of size " + prefix);
            }
        }
    }

    /** Readers never see the certificate and key, so an update that does not name them changes nothing. */
    private static void requireSameRoot(Cluster cluster, CAConfig wanted) {
        boolean otherCertificate = !wanted.getSigningCaCert().isEmpty()
                && !wanted.getSigningCaCert().equals(cluster.getRootCa().getCaCert());
        boolean otherKey = !wanted.getSigningCaKey().isEmpty()
                && !wanted.getSigningCaKey().equals(cluster.getRootCa().getCaKey());
        boolean forced = wanted.getForceRotate() != cluster.getRootCa().getLastForcedRotation();
        if (otherCertificate || otherKey || forced) {
            throw new CommandException(Code.UNIMPLEMENTED, "root CA rotation is not supported");
        }
    }

    private void setUnlockKeys(Cluster.Builder cluster, boolean rotate) {
        boolean locked = cluster.getSpec().getEncryptionConfig().getAutoLockManagers();
        if (!locked) {
            cluster.clearUnlockKeys();
        } else if (rotate || cluster.getUnlockKeysCount() == 0) {
            cluster.clearUnlockKeys()
                    .addUnlockKeys(EncryptionKey.newBuilder()
                            .setSubsystem(UNLOCK_SUBSYSTEM)
                            .setAlgorithm(EncryptionKey.Algorithm.AES_128_GCM)
                            .setKey(UnlockKey.generate(random).bytes()));
        }
    }

    private String newToken(ByteString rootPem) {
        try {
            return JoinToken.generate(TrustRoot.parse(rootPem), random).text();
        } catch (CredentialException e) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION, "no join token can be made for this cluster: " + e.getMessage());
        }
    }

    private static CommandException invalid(String text) {
        return new CommandException(Code.INVALID_ARGUMENT, text);
    }
}
