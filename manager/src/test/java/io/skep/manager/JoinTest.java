package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.certs.JoinToken;
import io.skep.certs.NodeIdentity;
import io.skep.certs.RootCertificateAuthority;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import io.skep.wire.CAGrpc;
import io.skep.wire.GetUnlockKeyRequest;
import io.skep.wire.HealthCheckRequest;
import io.skep.wire.HealthCheckResponse;
import io.skep.wire.HealthGrpc;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.IssueNodeCertificateRequest;
import io.skep.wire.Node;
import io.skep.wire.NodeCertificateStatusRequest;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RemoveNodeRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How nodes come to certificates, and who may call what (swarm-wire 1.5 and section 2). */
class JoinTest {
    private TestCluster cluster;
    private Manager manager;
    private StockWorker worker;

    @BeforeEach
    void start(@TempDir Path directory) throws Exception {
        cluster = new TestCluster(directory, "127.0.0.1", Duration.ofSeconds(5));
        manager = cluster.bootstrap();
        worker = worker();
    }

    @AfterEach
    void stop() {
        worker.close();
        cluster.close();
    }

    private StockWorker worker() {
        return new StockWorker(cluster.address(manager), cluster.root.trustRoot());
    }

    @Test
    void aStockWorkerJoinsCallByCall() throws Exception {
        ByteString root = worker.downloadRoot();
        JoinToken token = JoinToken.parse(TestCluster.workerToken(manager));
        assertThat(token.matches(TrustRoot.parse(root))).isTrue();

        worker.join(TestCluster.workerToken(manager));

        NodeIdentity identity =
                NodeIdentity.of(worker.identity().current().chain().getFirst());
        assertThat(identity).isEqualTo(new NodeIdentity(worker.nodeId(), NodeRole.WORKER, cluster.clusterId));
        Node node = TestCluster.node(manager, worker.nodeId());
        assertThat(node.getRole()).isEqualTo(NodeRole.WORKER);
        assertThat(node.getSpec().getMembership()).isEqualTo(NodeSpec.Membership.ACCEPTED);
        assertThat(node.getCertificate().getStatus().getState()).isEqualTo(IssuanceStatus.State.ISSUED);
    }

    @Test
    void theTokenIsChecked() {
        assertFails(
                () -> worker.join("SWMTKN-1-wrong"),
                Status.Code.INVALID_ARGUMENT,
                "A valid join token is necessary to join this cluster");
    }

    @Test
    void aRequestWithoutCsrIsRefused() {
        assertFails(
                () -> worker.anonymous().issueNodeCertificate(IssueNodeCertificateRequest.getDefaultInstance()),
                Status.Code.INVALID_ARGUMENT,
                "certificate signing request");
    }

    @Test
    void aStockEngineWithTheManagerTokenIsToldWhyItCannotBeOne() {
        String token = TestCluster.managerToken(manager);
        assertFails(() -> worker.join(token), Status.Code.FAILED_PRECONDITION, "only Skep nodes can");
    }

    @Test
    void aSkepNodeWithTheManagerTokenGetsAManagersCertificate() throws Exception {
        worker.asSkep().join(TestCluster.managerToken(manager));
        assertThat(NodeIdentity.of(worker.identity().current().chain().getFirst())
                        .isManager())
                .isTrue();
        assertThat(CAGrpc.newBlockingStub(worker.channel())
                        .getUnlockKey(GetUnlockKeyRequest.getDefaultInstance())
                        .getUnlockKey())
                .isEmpty();
        assertThat(HealthGrpc.newBlockingStub(worker.channel())
                        .check(HealthCheckRequest.newBuilder()
                                .setService("Raft")
                                .build())
                        .getStatus())
                .isEqualTo(HealthCheckResponse.ServingStatus.SERVING);
    }

    @Test
    void renewalNeedsNoTokenAndKeepsTheNode() throws Exception {
        worker.join(TestCluster.workerToken(manager));
        var before = worker.identity().current().chain().getFirst();
        worker.renew();
        assertThat(worker.identity().current().chain().getFirst()).isNotEqualTo(before);
        assertThat(manager.local().nodes().size()).isEqualTo(2);
    }

    @Test
    void aDamagedRequestFailsForGood() {
        var issued = worker.anonymous()
                .issueNodeCertificate(IssueNodeCertificateRequest.newBuilder()
                        .setCsr(ByteString.copyFromUtf8("no certificate request"))
                        .setToken(TestCluster.workerToken(manager))
                        .build());
        var status = worker.anonymous()
                .nodeCertificateStatus(NodeCertificateStatusRequest.newBuilder()
                        .setNodeId(issued.getNodeId())
                        .build());
        assertThat(status.getStatus().getState()).isEqualTo(IssuanceStatus.State.FAILED);
        assertThat(status.getStatus().getErr()).contains("certificate request");
    }

    @Test
    void nobodyAsksForTheCertificateOfAnUnknownNode() {
        assertFails(
                () -> worker.anonymous()
                        .nodeCertificateStatus(NodeCertificateStatusRequest.newBuilder()
                                .setNodeId("nobody")
                                .build()),
                Status.Code.NOT_FOUND,
                "nobody");
    }

    @Test
    void callsThatAreNotOpenNeedACertificate() {
        assertFails(
                () -> CAGrpc.newBlockingStub(worker.anonymous().getChannel())
                        .getUnlockKey(GetUnlockKeyRequest.getDefaultInstance()),
                Status.Code.PERMISSION_DENIED,
                "no client certificates in request");
    }

    @Test
    void workersMayNotCallWhatIsForManagers() throws Exception {
        worker.join(TestCluster.workerToken(manager));
        assertFails(
                () -> CAGrpc.newBlockingStub(worker.channel()).getUnlockKey(GetUnlockKeyRequest.getDefaultInstance()),
                Status.Code.PERMISSION_DENIED,
                "unauthorized peer role: swarm-worker");
    }

    @Test
    void aCertificateOfAnotherRootEndsTheHandshake() throws Exception {
        RootCertificateAuthority foreign = RootCertificateAuthority.create(Instant.now());
        var stranger = TestCluster.identity(
                foreign, new NodeIdentity(TestCluster.IDS.nextId(), NodeRole.WORKER, cluster.clusterId));
        stranger.replace(new TlsMaterial(
                cluster.root.trustRoot().certificates(),
                stranger.current().chain(),
                stranger.current().privateKey()));
        worker.with("stranger", stranger);
        assertThatThrownBy(() -> worker.heartbeat("any"))
                .isInstanceOfSatisfying(
                        StatusRuntimeException.class,
                        e -> assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.UNAVAILABLE));
    }

    @Test
    void aCertificateOfAnotherClusterIsRefused() throws Exception {
        worker.with(
                "guest",
                TestCluster.identity(cluster.root, new NodeIdentity("guest", NodeRole.WORKER, "another-cluster")));
        assertFails(
                () -> worker.heartbeat("any"),
                Status.Code.PERMISSION_DENIED,
                "remote certificate not part of organization: " + cluster.clusterId);
    }

    @Test
    void aRemovedNodeIsRefused() throws Exception {
        worker.join(TestCluster.workerToken(manager));
        manager.execute(TestCluster.command()
                .setRemoveNode(RemoveNodeRequest.newBuilder()
                        .setNodeId(worker.nodeId())
                        .setForce(true))
                .build());
        assertFails(
                () -> worker.heartbeat("any"),
                Status.Code.PERMISSION_DENIED,
                "node " + worker.nodeId() + " was removed from swarm");
        // Its old certificate is worth nothing: it is asked for a token like anyone else.
        assertFails(
                () -> worker.renew(),
                Status.Code.INVALID_ARGUMENT,
                "A valid join token is necessary to join this cluster");
    }

    private static void assertFails(ThrowingCallable call, Status.Code code, String text) {
        assertThatThrownBy(call).isInstanceOfSatisfying(StatusRuntimeException.class, e -> {
            assertThat(e.getStatus().getCode()).isEqualTo(code);
            assertThat(e.getStatus().getDescription()).contains(text);
        });
    }
}
