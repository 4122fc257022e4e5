package io.skep.agent;

import com.google.protobuf.ByteString;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.certs.CertificateRequest;
import io.skep.wire.CAGrpc;
import io.skep.wire.GetRootCACertificateRequest;
import io.skep.wire.GetUnlockKeyRequest;
import io.skep.wire.GetUnlockKeyResponse;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.IssueNodeCertificateRequest;
import io.skep.wire.NodeCAGrpc;
import io.skep.wire.NodeCertificateStatusRequest;
import io.skep.wire.NodeCertificateStatusResponse;
import io.skep.wire.NodeSpec;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;

/** The calls by which a node gets certificates from one manager, each with the deadline of swarm-wire 2. */
final class CertificateCalls {
    private static final Duration CALL_TIMEOUT = Duration.ofSeconds(5);
    private static final long POLL_DELAY_FIRST_MILLIS = 200;
    private static final long POLL_DELAY_MAX_MILLIS = 30_000;

    private final Channel channel;
    private final Stop stop;
    private final RandomGenerator random;

    CertificateCalls(Channel channel, Stop stop, RandomGenerator random) {
        this.channel = channel;
        this.stop = stop;
        this.random = random;
    }

    /** Returns the root certificate as the manager serves it; nothing vouches for it yet. */
    ByteString rootCertificate() {
        return CAGrpc.newBlockingStub(channel)
                .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                .getRootCACertificate(GetRootCACertificateRequest.getDefaultInstance())
                .getCertificate();
    }

    /** Returns the key that unlocks managers, empty when the cluster has none. */
    GetUnlockKeyResponse unlockKey() {
        try {
            return CAGrpc.newBlockingStub(channel)
                    .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                    .getUnlockKey(GetUnlockKeyRequest.getDefaultInstance());
        } catch (StatusRuntimeException e) {
            if (e.getStatus().getCode() == Status.Code.UNIMPLEMENTED) {
                return GetUnlockKeyResponse.getDefaultInstance();
            }
            throw e;
        }
    }

    /**
     * Hands in a request and waits until it is certified.
     *
     * @param token the join token of a new node; empty for a node that proves itself with its certificate
     * @return the certificate and its intermediates
     * @throws StatusRuntimeException when the manager refuses or is lost
     */
    ByteString certify(CertificateRequest request, String token, NodeSpec.Availability availability)
            throws InterruptedException {
        String nodeId = NodeCAGrpc.newBlockingStub(channel)
                .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                .issueNodeCertificate(IssueNodeCertificateRequest.newBuilder()
                        .setCsr(request.pem())
                        .setToken(token)
                        .setAvailability(availability)
                        .build())
                .getNodeId();
        long delayMillis = POLL_DELAY_FIRST_MILLIS;
        while (true) {
            try {
                NodeCertificateStatusResponse response = NodeCAGrpc.newBlockingStub(channel)
                        .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                        .nodeCertificateStatus(NodeCertificateStatusRequest.newBuilder()
                                .setNodeId(nodeId)
                                .build());
                IssuanceStatus.State state = response.getStatus().getState();
                boolean certified = state == IssuanceStatus.State.ISSUED || state == IssuanceStatus.State.ROTATE;
                if (certified && response.getCertificate().getCsr().equals(request.pem())) {
                    return response.getCertificate().getCertificate();
                }
            } catch (StatusRuntimeException e) {
                if (e.getStatus().getCode() != Status.Code.DEADLINE_EXCEEDED) {
                    throw e;
                }
            }
            if (stop.await(Duration.ofMillis(random.nextLong(delayMillis)))) {
                throw new InterruptedException("the node stops");
            }
            delayMillis = Math.min(2 * delayMillis, POLL_DELAY_MAX_MILLIS);
        }
    }
}
