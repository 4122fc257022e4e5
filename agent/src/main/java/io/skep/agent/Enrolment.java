package io.skep.agent;

import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.certs.CertificateRequest;
import io.skep.certs.CredentialException;
import io.skep.certs.Identifiers;
import io.skep.certs.JoinToken;
import io.skep.certs.NodeCredentials;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import io.skep.certs.UnlockKey;
import io.skep.wire.ChangeManager;
import io.skep.wire.Command;
import io.skep.wire.ExecuteRequest;
import io.skep.wire.GetUnlockKeyResponse;
import io.skep.wire.LeaderGrpc;
import io.skep.wire.NodeSpec;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How a machine becomes a node: with the address of a manager and a token it gets the cluster's root certificate and
 * its own (swarm-wire 2.1). Writes nothing to disk.
 *
 * <p>Each step is tried up to five times, two seconds apart, as long as another try may help; a token that a manager
 * refuses is not tried again.
 */
public final class Enrolment {
    private static final Logger LOG = LoggerFactory.getLogger(Enrolment.class);
    private static final int TRIES_MAX = 5;
    private static final Duration TRY_DELAY = Duration.ofSeconds(2);

    /**
     * What a new node has got.
     *
     * @param credentials certificate, key and root; the root is the one the token names
     * @param unlockKey encrypts the keys of managers on disk; null for a worker and without autolock
     * @param unlockKeyVersion of the cluster's unlock keys
     */
    public record Enrolled(
            NodeCredentials credentials, @Nullable UnlockKey unlockKey, long unlockKeyVersion) {}

    private interface Step<T> {
        T run(ManagedChannel channel) throws CredentialException, InterruptedException;
    }

    private interface Opener {
        ManagedChannel open() throws SSLException;
    }

    private final ManagerChannels channels;
    private final InstantSource clock;
    private final RandomGenerator random;
    private final Stop stop = new Stop();

    /**
     * Prepares to enrol.
     *
     * @param version of Skep, told to the manager
     */
    public Enrolment(String version, InstantSource clock, RandomGenerator random) {
        this.channels = new ManagerChannels(version, "", clock);
        this.clock = clock;
        this.random = random;
    }

    /**
     * Asks one manager for certificates; blocks until it has them or nothing more helps.
     *
     * @param address host:port of the manager
     * @throws InterruptedException when the thread is interrupted, which ends the attempt
     */
    public Enrolled enrol(String address, String tokenText, NodeSpec.Availability availability)
            throws EnrolmentException, InterruptedException {
        JoinToken token;
        try {
            token = JoinToken.parse(tokenText);
        } catch (CredentialException e) {
            throw new EnrolmentException("invalid join token", e);
        }
        if (token.fips()) {
            throw new EnrolmentException("the cluster demands FIPS of its nodes, which this node does not offer", null);
        }
        TrustRoot root = attempt(address, () -> channels.unverified(address), channel -> {
            ByteString pem = calls(channel).rootCertificate();
            return TrustRoot.parse(pem);
        });
        if (!token.matches(root)) {
            throw new EnrolmentException(
                    "remote CA does not match fingerprint. Expected: "
                            + String.format(Locale.ROOT, "%064x", new BigInteger(token.digest(), 36)),
                    null);
        }
        NodeCredentials credentials = attempt(address, () -> channels.anonymous(address, root), channel -> {
            CertificateRequest request = CertificateRequest.generate();
            ByteString chain = calls(channel).certify(request, tokenText, availability);
            return NodeCredentials.accept(root, chain, request, clock.instant());
        });
        if (!credentials.identity().isManager()) {
            return new Enrolled(credentials, null, 0);
        }
        TlsIdentity identity = new TlsIdentity(TlsMaterial.of(credentials), clock);
        GetUnlockKeyResponse response = attempt(
                address,
                () -> channels.authenticated(address, identity, NodeIdentity.AUTHORITY_NAME),
                channel -> calls(channel).unlockKey());
        ByteString key = response.getUnlockKey();
        return new Enrolled(
                credentials,
                key.isEmpty() ? null : new UnlockKey(key),
                response.getVersion().getIndex());
    }

    /**
     * Reads the address of a manager as users write it: host:port, where without a port 2377 is meant.
     *
     * @throws IllegalArgumentException when the port is none
     */
    public static InetSocketAddress address(String text) {
        return ManagerChannels.parse(text);
    }

    /**
     * Returns whether other managers may form a quorum with the one at an address: all of Skep's do, a Docker Engine
     * does not know the call. One that does not answer is given the benefit of the doubt.
     *
     * @param identity of a manager
     */
    public boolean takesManagers(String address, NodeCredentials identity) {
        ManagedChannel channel;
        try {
            channel = channels.authenticated(
                    address, new TlsIdentity(TlsMaterial.of(identity), clock), NodeIdentity.MANAGER_NAME);
        } catch (SSLException e) {
            throw new IllegalStateException("this JDK has no TLS", e);
        }
        try {
            // A manager without address is refused by every manager that understands the question.
            Command question = Command.newBuilder()
                    .setRequestId(Identifiers.next(random))
                    .setChangeManager(ChangeManager.newBuilder()
                            .setNodeId(identity.identity().nodeId()))
                    .build();
            LeaderGrpc.newBlockingStub(channel)
                    .withDeadlineAfter(TRY_DELAY.toMillis(), TimeUnit.MILLISECONDS)
                    .execute(ExecuteRequest.newBuilder().setCommand(question).build());
            return true;
        } catch (StatusRuntimeException e) {
            return e.getStatus().getCode() != Status.Code.UNIMPLEMENTED;
        } finally {
            channel.shutdownNow();
        }
    }

    private CertificateCalls calls(ManagedChannel channel) {
        return new CertificateCalls(channel, stop, random);
    }

    private <T> T attempt(String address, Opener opener, Step<T> step) throws EnrolmentException, InterruptedException {
        for (int attempt = 1; ; attempt++) {
            EnrolmentException failure;
            try {
                ManagedChannel channel = opener.open();
                try {
                    return step.run(channel);
                } finally {
                    channel.shutdownNow();
                }
            } catch (StatusRuntimeException e) {
                if (Thread.interrupted()) {
                    throw new InterruptedException("the attempt to join was ended");
                }
                failure = EnrolmentException.of(address, e);
            } catch (CredentialException | SSLException e) {
                throw new EnrolmentException("the manager at " + address + " sent " + e.getMessage(), e);
            }
            if (attempt == TRIES_MAX || !failure.isTransient()) {
                throw failure;
            }
            LOG.info("Manager {} did not answer as it should, trying again: {}", address, failure.getMessage());
            stop.await(TRY_DELAY);
        }
    }
}
