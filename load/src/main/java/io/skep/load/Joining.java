package io.skep.load;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.skep.certs.CertificateRequest;
import io.skep.certs.CredentialException;
import io.skep.certs.JoinToken;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TrustRoot;
import io.skep.wire.CAGrpc;
import io.skep.wire.GetRootCACertificateRequest;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.IssueNodeCertificateRequest;
import io.skep.wire.NodeCAGrpc;
import io.skep.wire.NodeCertificateStatusRequest;
import io.skep.wire.NodeCertificateStatusResponse;
import java.net.InetSocketAddress;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;

/**
 * How one agent gets its certificate, call by call as a stock engine does (swarm-wire 2.1): the root over a connection
 * that trusts nobody, then a request with the token over another, then the wait for the signature.
 */
final class Joining {
    private static final int TRIES_MAX = 20;
    private static final long TRY_DELAY_MILLIS = 2000;
    private static final long CALL_TIMEOUT_MILLIS = 5000;
    private static final long POLL_DELAY_FIRST_MILLIS = 200;
    private static final long POLL_DELAY_MAX_MILLIS = 30_000;

    private final Links links;
    private final InetSocketAddress manager;
    private final JoinToken token;
    private final CertificateRequest request;
    private final RandomGenerator random;
    private final CompletableFuture<NodeCredentials> joined = new CompletableFuture<>();
    private int tries;
    private long pollDelayMillis = POLL_DELAY_FIRST_MILLIS;

    private Joining(
            Links links,
            InetSocketAddress manager,
            JoinToken token,
            CertificateRequest request,
            RandomGenerator random) {
        this.links = links;
        this.manager = manager;
        this.token = token;
        this.request = request;
        this.random = random;
    }

    /** Begins; on the agents' thread, as is the completion. Fails with {@link LoadException}. */
    static CompletableFuture<NodeCredentials> start(
            Links links,
            InetSocketAddress manager,
            JoinToken token,
            CertificateRequest request,
            RandomGenerator random) {
        Joining joining = new Joining(links, manager, token, request, random);
        joining.fetchRoot();
        return joining.joined;
    }

    private void fetchRoot() {
        ManagedChannel channel = links.unverified(manager);
        CAGrpc.newStub(channel)
                .withDeadlineAfter(CALL_TIMEOUT_MILLIS, TimeUnit.MILLISECONDS)
                .getRootCACertificate(
                        GetRootCACertificateRequest.getDefaultInstance(),
                        Answer.once(
                                links.loop(),
                                response -> {
                                    channel.shutdown();
                                    try {
                                        TrustRoot root = TrustRoot.parse(response.getCertificate());
                                        if (!token.matches(root)) {
                                            fail("the manager at " + manager
                                                    + " is not of the cluster that the token was made for");
                                            return;
                                        }
                                        tries = 0;
                                        ask(root);
                                    } catch (CredentialException e) {
                                        fail("the manager at " + manager + " sent " + e.getMessage());
                                    }
                                },
                                status -> retry(channel, status, this::fetchRoot)));
    }

    private void ask(TrustRoot root) {
        ManagedChannel channel = links.anonymous(manager, root);
        NodeCAGrpc.newStub(channel)
                .withDeadlineAfter(CALL_TIMEOUT_MILLIS, TimeUnit.MILLISECONDS)
                .issueNodeCertificate(
                        IssueNodeCertificateRequest.newBuilder()
                                .setCsr(request.pem())
                                .setToken(token.text())
                                .build(),
                        Answer.once(
                                links.loop(),
                                response -> poll(channel, root, response.getNodeId()),
                                status -> retry(channel, status, () -> ask(root))));
    }

    private void poll(ManagedChannel channel, TrustRoot root, String nodeId) {
        NodeCAGrpc.newStub(channel)
                .withDeadlineAfter(CALL_TIMEOUT_MILLIS, TimeUnit.MILLISECONDS)
                .nodeCertificateStatus(
                        NodeCertificateStatusRequest.newBuilder()
                                .setNodeId(nodeId)
                                .build(),
                        Answer.once(
                                links.loop(),
                                response -> {
                                    if (certified(response)) {
                                        channel.shutdown();
                                        accept(root, response);
                                    } else {
                                        pollLater(channel, root, nodeId);
                                    }
                                },
                                status -> {
                                    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
                                        pollLater(channel, root, nodeId);
                                    } else {
                                        retry(channel, status, () -> ask(root));
                                    }
                                }));
    }

    private boolean certified(NodeCertificateStatusResponse response) {
        IssuanceStatus.State state = response.getStatus().getState();
        return (state == IssuanceStatus.State.ISSUED || state == IssuanceStatus.State.ROTATE)
                && response.getCertificate().getCsr().equals(request.pem());
    }

    private void pollLater(ManagedChannel channel, TrustRoot root, String nodeId) {
        later(random.nextLong(pollDelayMillis), () -> poll(channel, root, nodeId));
        pollDelayMillis = Math.min(2 * pollDelayMillis, POLL_DELAY_MAX_MILLIS);
    }

    private void accept(TrustRoot root, NodeCertificateStatusResponse response) {
        try {
            joined.complete(NodeCredentials.accept(
                    root,
                    response.getCertificate().getCertificate(),
                    request,
                    links.clock().instant()));
        } catch (CredentialException e) {
            fail("the manager at " + manager + " sent a certificate that cannot be used: " + e.getMessage());
        }
    }

    private void retry(ManagedChannel channel, Status status, Runnable again) {
        channel.shutdownNow();
        boolean mayPass = switch (status.getCode()) {
            case UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED, RESOURCE_EXHAUSTED, UNKNOWN -> true;
            default -> false;
        };
        if (!mayPass || ++tries == TRIES_MAX) {
            fail("the manager at " + manager + " does not take an agent: " + status.getCode()
                    + (status.getDescription() == null ? "" : ", " + status.getDescription())
                    + (status.getCause() == null ? "" : " (" + status.getCause().getMessage() + ")"));
            return;
        }
        later(TRY_DELAY_MILLIS, again);
    }

    private void later(long delayMillis, Runnable step) {
        var _ = links.loop().schedule(step, delayMillis, TimeUnit.MILLISECONDS);
    }

    private void fail(String reason) {
        joined.completeExceptionally(new LoadException(reason));
    }
}
