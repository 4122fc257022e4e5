package io.skep.daemon.node;

import com.google.protobuf.ByteString;
import io.skep.api.SwarmNode.InitRequest;
import io.skep.certs.CertificateRequest;
import io.skep.certs.CredentialException;
import io.skep.certs.Identifiers;
import io.skep.certs.JoinToken;
import io.skep.certs.NodeCredentials;
import io.skep.certs.NodeIdentity;
import io.skep.certs.RootCertificateAuthority;
import io.skep.certs.UnlockKey;
import io.skep.wire.CAConfig;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.EncryptionKey;
import io.skep.wire.InitCluster;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.JoinTokens;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RootCA;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * What a new cluster begins with: a root certificate, tokens, and its first manager.
 *
 * @param credentials of the first manager
 * @param unlockKey encrypts the keys of managers on disk, or null
 * @param cluster what the manager writes first
 */
record FirstManager(NodeCredentials credentials, @Nullable UnlockKey unlockKey, InitCluster cluster) {
    /** Keys of this subsystem unlock managers (swarm-wire 5.2). */
    static final String UNLOCK_SUBSYSTEM = "swarm-manager";

    private static final String CLUSTER_NAME = "default";

    /**
     * Makes it all.
     *
     * @throws CredentialException when the root certificate that the user gave cannot be used
     */
    static FirstManager create(InitRequest request, Instant now, SecureRandom random) throws CredentialException {
        CAConfig wanted = request.spec().getCaConfig();
        RootCertificateAuthority authority = wanted.getSigningCaCert().isEmpty()
                ? RootCertificateAuthority.create(now)
                : RootCertificateAuthority.load(wanted.getSigningCaCert(), wanted.getSigningCaKey());
        NodeIdentity identity = new NodeIdentity(Identifiers.next(random), NodeRole.MANAGER, Identifiers.next(random));
        CertificateRequest certificateRequest = CertificateRequest.generate();
        Duration validity = wanted.hasNodeCertExpiry()
                ? Duration.ofNanos(wanted.getNodeCertExpiry().getSeconds() * 1_000_000_000L)
                : RootCertificateAuthority.DEFAULT_VALIDITY;
        ByteString chain = authority.sign(certificateRequest.pem(), identity, validity, now);
        NodeCredentials credentials = NodeCredentials.accept(authority.trustRoot(), chain, certificateRequest, now);
        UnlockKey unlockKey = request.autoLockManagers() ? UnlockKey.generate(random) : null;

        ClusterSpec.Builder spec = request.spec().toBuilder();
        spec.getAnnotationsBuilder().setName(CLUSTER_NAME);
        spec.getEncryptionConfigBuilder().setAutoLockManagers(request.autoLockManagers());
        Cluster.Builder cluster = Cluster.newBuilder()
                .setId(identity.clusterId())
                .setSpec(spec)
                .setRootCa(RootCA.newBuilder()
                        .setCaKey(authority.keyPem())
                        .setCaCert(authority.certificatePem())
                        .setCaCertHash(authority.trustRoot().digest())
                        .setJoinTokens(JoinTokens.newBuilder()
                                .setWorker(JoinToken.generate(authority.trustRoot(), random)
                                        .text())
                                .setManager(JoinToken.generate(authority.trustRoot(), random)
                                        .text())))
                .addAllDefaultAddressPool(request.defaultAddressPools())
                .setSubnetSize(request.subnetSize())
                .setVXLANUDPPort(request.dataPathPort());
        if (unlockKey != null) {
            cluster.addUnlockKeys(
                    EncryptionKey.newBuilder().setSubsystem(UNLOCK_SUBSYSTEM).setKey(unlockKey.bytes()));
        }
        Node node = Node.newBuilder()
                .setId(identity.nodeId())
                .setRole(NodeRole.MANAGER)
                .setVXLANUDPPort(request.dataPathPort())
                .setSpec(NodeSpec.newBuilder()
                        .setDesiredRole(NodeRole.MANAGER)
                        .setMembership(NodeSpec.Membership.ACCEPTED)
                        .setAvailability(request.availability()))
                .setCertificate(Certificate.newBuilder()
                        .setRole(NodeRole.MANAGER)
                        .setCn(identity.nodeId())
                        .setCsr(certificateRequest.pem())
                        .setCertificate(chain)
                        .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED)))
                .build();
        return new FirstManager(
                credentials,
                unlockKey,
                InitCluster.newBuilder().setCluster(cluster).setNode(node).build());
    }

    /** Without the keys and tokens. */
    @Override
    public String toString() {
        return "FirstManager[" + credentials + "]";
    }
}
