package io.skep.control;

import static io.skep.control.TestKit.MANAGER_TOKEN;
import static io.skep.control.TestKit.WORKER_TOKEN;
import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.skep.control.CommandException.Code;
import io.skep.wire.Certificate;
import io.skep.wire.Command;
import io.skep.wire.CompleteCertificate;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RequestCertificate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CertificateCommandsTest {
    private static final ByteString CSR = ByteString.copyFromUtf8("csr");
    private static final ByteString OTHER_CSR = ByteString.copyFromUtf8("other csr");

    private final TestWorld world = world(node("w1").build());
    private final TestLeader leader = new TestLeader(world, ids(1));

    private static RequestCertificate.Builder join(String token) {
        return RequestCertificate.newBuilder().setCsr(CSR).setToken(token).setNewNodeId("new");
    }

    private Node run(RequestCertificate.Builder request) {
        String id = leader.run(Command.newBuilder().setRequestCertificate(request))
                .getNode()
                .getId();
        return requireNonNull(world.state().nodes().get(id));
    }

    private Node run(CompleteCertificate.Builder completion) {
        String id = leader.run(Command.newBuilder().setCompleteCertificate(completion))
                .getNode()
                .getId();
        return requireNonNull(world.state().nodes().get(id));
    }

    private void assertRefused(RequestCertificate.Builder request, Code code, String text) {
        CommandException refusal = requireNonNull(
                leader.attempt(Command.newBuilder().setRequestCertificate(request))
                        .refusal(),
                "refusal");
        assertThat(refusal.text()).startsWith(text);
        assertThat(refusal.code()).isEqualTo(code);
        assertThat(world.state().nodes().size()).isEqualTo(1);
    }

    @Test
    void theWorkerTokenMakesAWorker() {
        Node made = run(join(WORKER_TOKEN).setAvailability(NodeSpec.Availability.PAUSE));
        assertThat(made.getId()).isEqualTo("new");
        assertThat(made.getRole()).isEqualTo(NodeRole.WORKER);
        assertThat(made.getSpec().getMembership()).isEqualTo(NodeSpec.Membership.ACCEPTED);
        assertThat(made.getSpec().getAvailability()).isEqualTo(NodeSpec.Availability.PAUSE);
        assertThat(made.getCertificate().getCsr()).isEqualTo(CSR);
        assertThat(made.getCertificate().getCn()).isEqualTo("new");
        assertThat(made.getCertificate().getStatus().getState()).isEqualTo(IssuanceStatus.State.PENDING);
    }

    @Test
    void theManagerTokenMakesAManagerOfSkepNodesOnly() {
        assertRefused(
                join(MANAGER_TOKEN),
                Code.FAILED_PRECONDITION,
                "a Docker Engine cannot be a manager of this swarm: only Skep nodes can.");
        Node made = run(join(MANAGER_TOKEN).setSkep(true));
        assertThat(made.getRole()).isEqualTo(NodeRole.MANAGER);
        assertThat(made.getSpec().getDesiredRole()).isEqualTo(NodeRole.MANAGER);
        assertThat(made.getCertificate().getRole()).isEqualTo(NodeRole.MANAGER);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "SWMTKN-1-wrong", "x"})
    void anyOtherTokenIsRefused(String token) {
        assertRefused(
                join(token).setSkep(true),
                Code.INVALID_ARGUMENT,
                "A valid join token is necessary to join this cluster");
    }

    @Test
    void withoutRequestThereIsNothingToSign() {
        assertRefused(
                join(WORKER_TOKEN).clearCsr(), Code.INVALID_ARGUMENT, "a certificate signing request must be given");
    }

    @Test
    void aRepeatedRequestMakesOneNode() {
        Node first = run(join(WORKER_TOKEN));
        assertThat(run(join(WORKER_TOKEN))).isEqualTo(first);
        CommandException refusal = requireNonNull(leader.attempt(Command.newBuilder()
                        .setRequestCertificate(join(WORKER_TOKEN).setCsr(OTHER_CSR)))
                .refusal());
        assertThat(refusal.code()).isEqualTo(Code.ABORTED);
    }

    @Test
    void aKnownNodeRenewsWithoutToken() {
        Node renewing =
                run(RequestCertificate.newBuilder().setCsr(CSR).setNodeId("w1").setToken("ignored"));
        assertThat(renewing.getCertificate().getStatus().getState()).isEqualTo(IssuanceStatus.State.RENEW);
        assertThat(renewing.getCertificate().getCsr()).isEqualTo(CSR);
        assertRefused(
                RequestCertificate.newBuilder().setCsr(CSR).setNodeId("gone"), Code.NOT_FOUND, "node gone not found");
    }

    @Test
    void aSignedCertificateIsKept() {
        run(join(WORKER_TOKEN));
        Certificate issued = Certificate.newBuilder()
                .setCsr(CSR)
                .setCertificate(ByteString.copyFromUtf8("leaf"))
                .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED))
                .build();
        Node signed = run(CompleteCertificate.newBuilder().setNodeId("new").setCertificate(issued));
        assertThat(signed.getCertificate()).isEqualTo(issued);
    }

    @Test
    void aCertificateForAnEarlierRequestIsDropped() {
        run(join(WORKER_TOKEN));
        run(RequestCertificate.newBuilder().setCsr(OTHER_CSR).setNodeId("new"));
        CommandException refusal = requireNonNull(leader.attempt(Command.newBuilder()
                        .setCompleteCertificate(CompleteCertificate.newBuilder()
                                .setNodeId("new")
                                .setCertificate(Certificate.newBuilder().setCsr(CSR))))
                .refusal());
        assertThat(refusal.code()).isEqualTo(Code.ABORTED);
    }
}
