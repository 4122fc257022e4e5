package io.skep.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.skep.wire.CAConfig;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.DispatcherConfig;
import io.skep.wire.EncryptionConfig;
import io.skep.wire.ExternalCA;
import io.skep.wire.NodeTLSInfo;
import io.skep.wire.OrchestrationConfig;
import io.skep.wire.RaftConfig;
import io.skep.wire.TaskDefaults;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;

/**
 * The cluster to JSON, and its settings from JSON. Keys of the CA, unlock keys and network keys are never written
 * (swarm-wire 8.6).
 */
final class ClusterJson {
    private static final ClusterSpec DEFAULTS = ClusterSpec.newBuilder()
            .setOrchestration(OrchestrationConfig.newBuilder().setTaskHistoryRetentionLimit(5))
            .setRaft(RaftConfig.newBuilder()
                    .setSnapshotInterval(10_000)
                    .setLogEntriesForSlowFollowers(500)
                    .setHeartbeatTick(1)
                    .setElectionTick(10))
            .setDispatcher(DispatcherConfig.newBuilder()
                    .setHeartbeatPeriod(Duration.newBuilder().setSeconds(5)))
            .setCaConfig(CAConfig.newBuilder()
                    .setNodeCertExpiry(Duration.newBuilder().setSeconds(90L * 24 * 3600)))
            .setTaskDefaults(TaskDefaults.getDefaultInstance())
            .setEncryptionConfig(EncryptionConfig.getDefaultInstance())
            .build();
    private static final int SUBNET_SIZE_DEFAULT = 24;
    private static final int DATA_PATH_PORT_DEFAULT = 4789;

    private ClusterJson() {}

    /** Writes what {@code GET /swarm} answers. */
    static void writeSwarm(JsonOut out, Cluster cluster) {
        writeInfo(out, cluster);
        out.object("JoinTokens", tokens -> {
            tokens.text("Worker", cluster.getRootCa().getJoinTokens().getWorker());
            tokens.text("Manager", cluster.getRootCa().getJoinTokens().getManager());
        });
    }

    /** Writes what {@code docker info} shows of the cluster: all but the join tokens. */
    static void writeInfo(JsonOut out, Cluster cluster) {
        out.text("ID", cluster.getId());
        CommonJson.meta(out, cluster.getMeta());
        out.object("Spec", spec -> spec(spec, cluster.getSpec()));
        out.object("TLSInfo", info -> CommonJson.tlsInfo(info, tlsInfo(cluster)));
        out.flag("RootRotationInProgress", cluster.getRootCa().hasRootRotation());
        out.textsOrNull("DefaultAddrPool", cluster.getDefaultAddressPoolList());
        out.number("SubnetSize", cluster.getSubnetSize() == 0 ? SUBNET_SIZE_DEFAULT : cluster.getSubnetSize());
        out.number("DataPathPort", cluster.getVXLANUDPPort() == 0 ? DATA_PATH_PORT_DEFAULT : cluster.getVXLANUDPPort());
    }

    private static NodeTLSInfo tlsInfo(Cluster cluster) {
        ByteString trusted = cluster.getRootCa().getCaCert();
        ByteString issuer = cluster.getRootCa().hasRootRotation()
                ? cluster.getRootCa().getRootRotation().getCaCert()
                : trusted;
        NodeTLSInfo.Builder info = NodeTLSInfo.newBuilder().setTrustRoot(trusted);
        try {
            X509Certificate certificate =
                    (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(issuer.newInput());
            info.setCertIssuerSubject(ByteString.copyFrom(
                            certificate.getSubjectX500Principal().getEncoded()))
                    .setCertIssuerPublicKey(
                            ByteString.copyFrom(certificate.getPublicKey().getEncoded()));
        } catch (CertificateException e) {
            // An external root that Java cannot read is shown as text only.
            return info.build();
        }
        return info.build();
    }

    private static void spec(JsonOut out, ClusterSpec spec) {
        CommonJson.annotations(out, spec.getAnnotations());
        out.object(
                "Orchestration",
                orchestration -> orchestration.number(
                        "TaskHistoryRetentionLimit", spec.getOrchestration().getTaskHistoryRetentionLimit()));
        out.object("Raft", raft -> {
            raft.unsignedOrOmit("SnapshotInterval", spec.getRaft().getSnapshotInterval());
            raft.unsigned("KeepOldSnapshots", spec.getRaft().getKeepOldSnapshots());
            raft.unsignedOrOmit("LogEntriesForSlowFollowers", spec.getRaft().getLogEntriesForSlowFollowers());
            raft.number("ElectionTick", Integer.toUnsignedLong(spec.getRaft().getElectionTick()));
            raft.number("HeartbeatTick", Integer.toUnsignedLong(spec.getRaft().getHeartbeatTick()));
        });
        out.object(
                "Dispatcher",
                dispatcher -> dispatcher.durationOrOmit(
                        "HeartbeatPeriod", spec.getDispatcher().getHeartbeatPeriod()));
        out.object("CAConfig", ca -> ca(ca, spec.getCaConfig()));
        out.object("TaskDefaults", defaults -> {
            if (spec.getTaskDefaults().hasLogDriver()) {
                defaults.object(
                        "LogDriver",
                        driver ->
                                CommonJson.driver(driver, spec.getTaskDefaults().getLogDriver()));
            }
        });
        out.object(
                "EncryptionConfig",
                encryption -> encryption.flag(
                        "AutoLockManagers", spec.getEncryptionConfig().getAutoLockManagers()));
    }

    private static void ca(JsonOut out, CAConfig config) {
        out.durationOrOmit("NodeCertExpiry", config.getNodeCertExpiry());
        out.arrayOrOmit("ExternalCAs", config.getExternalCasList(), (item, external) -> {
            item.text("Protocol", Enums.lower(external.getProtocol()));
            item.text("URL", external.getUrl());
            item.mapOrOmit("Options", external.getOptionsMap());
            item.text("CACert", external.getCaCert().toStringUtf8());
        });
        out.textOrOmit("SigningCACert", config.getSigningCaCert().toStringUtf8());
        out.unsignedOrOmit("ForceRotate", config.getForceRotate());
    }

    /**
     * Reads the settings of a cluster; what is absent or zero gets its default.
     *
     * @throws ApiException 400 when a value is unknown
     */
    static ClusterSpec readSpec(JsonIn in) {
        ClusterSpec.Builder spec = DEFAULTS.toBuilder().setAnnotations(CommonJson.annotations(in));
        if (spec.getAnnotations().getName().isEmpty()) {
            spec.getAnnotationsBuilder().setName("default");
        }
        JsonIn orchestration = in.object("Orchestration");
        if (orchestration.has("TaskHistoryRetentionLimit")) {
            spec.getOrchestrationBuilder()
                    .setTaskHistoryRetentionLimit(orchestration.number("TaskHistoryRetentionLimit"));
        }
        JsonIn raft = in.object("Raft");
        if (raft.unsigned("SnapshotInterval") != 0) {
            spec.getRaftBuilder().setSnapshotInterval(raft.unsigned("SnapshotInterval"));
        }
        spec.getRaftBuilder().setKeepOldSnapshots(raft.unsigned("KeepOldSnapshots"));
        if (raft.unsigned("LogEntriesForSlowFollowers") != 0) {
            spec.getRaftBuilder().setLogEntriesForSlowFollowers(raft.unsigned("LogEntriesForSlowFollowers"));
        }
        if (raft.number("ElectionTick") != 0) {
            spec.getRaftBuilder().setElectionTick(raft.unsigned32("ElectionTick"));
        }
        if (raft.number("HeartbeatTick") != 0) {
            spec.getRaftBuilder().setHeartbeatTick(raft.unsigned32("HeartbeatTick"));
        }
        JsonIn dispatcher = in.object("Dispatcher");
        if (dispatcher.number("HeartbeatPeriod") != 0) {
            spec.getDispatcherBuilder().setHeartbeatPeriod(dispatcher.duration("HeartbeatPeriod"));
        }
        readCa(in.object("CAConfig"), spec.getCaConfigBuilder());
        in.object("TaskDefaults")
                .ifObject("LogDriver", driver -> spec.getTaskDefaultsBuilder().setLogDriver(CommonJson.driver(driver)));
        spec.getEncryptionConfigBuilder()
                .setAutoLockManagers(in.object("EncryptionConfig").flag("AutoLockManagers"));
        return spec.build();
    }

    private static void readCa(JsonIn in, CAConfig.Builder config) {
        if (in.number("NodeCertExpiry") != 0) {
            config.setNodeCertExpiry(in.duration("NodeCertExpiry"));
        }
        config.setSigningCaCert(ByteString.copyFromUtf8(in.text("SigningCACert")))
                .setSigningCaKey(ByteString.copyFromUtf8(in.text("SigningCAKey")))
                .setForceRotate(in.unsigned("ForceRotate"));
        for (JsonIn external : in.objects("ExternalCAs")) {
            config.addExternalCas(ExternalCA.newBuilder()
                    .setProtocol(Enums.parse(
                            external.text("Protocol"), ExternalCA.CAProtocol.CFSSL, "invalid protocol: \"%s\""))
                    .setUrl(external.text("URL"))
                    .putAllOptions(external.map("Options"))
                    .setCaCert(ByteString.copyFromUtf8(external.text("CACert"))));
        }
    }
}
