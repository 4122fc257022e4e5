package io.skep.agent;

import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.skep.certs.CertificateRequest;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentials;
import io.skep.certs.NodeIdentity;
import io.skep.certs.RenewalSchedule;
import io.skep.certs.TrustRoot;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.Peer;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the certificate of this node valid and of the right role (swarm-wire 2.4, 2.5).
 *
 * <p>Renews at a random point between a half and four fifths of its life, at once when it has expired, and half a
 * second after a manager asked for it or gave the node another role. While another role is expected, a certificate of
 * the old one counts as a failure; failures are repeated after a growing delay for ever.
 *
 * <p>One virtual thread runs {@link #run}; the other methods may be called by any thread.
 */
final class CertificateRenewal {
    private static final Logger LOG = LoggerFactory.getLogger(CertificateRenewal.class);

    private final LiveCredentials credentials;
    private final KnownManagers managers;
    private final ManagerChannels channels;
    private final InstantSource clock;
    private final RandomGenerator random;
    private final Stop stop = new Stop();
    private final BlockingQueue<Boolean> wakes = new ArrayBlockingQueue<>(1);
    private volatile boolean forced;
    private volatile @Nullable NodeRole expectedRole;

    CertificateRenewal(
            LiveCredentials credentials,
            KnownManagers managers,
            ManagerChannels channels,
            InstantSource clock,
            RandomGenerator random) {
        this.credentials = credentials;
        this.managers = managers;
        this.channels = channels;
        this.clock = clock;
        this.random = random;
    }

    /** A manager wants the certificate renewed. */
    void force() {
        forced = true;
        wakes.offer(true);
    }

    /** A manager gave the node this role; does nothing when the certificate says so already. */
    void expect(NodeRole role) {
        if (role == credentials.current().identity().role()) {
            expectedRole = null;
        } else {
            expectedRole = role;
            wakes.offer(true);
        }
    }

    /** Renews until the thread is interrupted. */
    void run() throws InterruptedException {
        int failures = 0;
        while (true) {
            if (failures == 0) {
                awaitDue(RenewalSchedule.next(credentials.current().leaf(), random));
            } else {
                stop.await(RenewalSchedule.retryDelay(failures, random));
            }
            try {
                renew();
                failures = 0;
            } catch (StatusRuntimeException | CredentialException | IOException e) {
                LOG.warn("The certificate of this node could not be renewed: {}", e.getMessage());
                failures++;
            }
        }
    }

    private void awaitDue(Instant due) throws InterruptedException {
        while (!forced && expectedRole == null && clock.instant().isBefore(due)) {
            wakes.poll(Duration.between(clock.instant(), due).toMillis() + 1, TimeUnit.MILLISECONDS);
        }
        if (forced || expectedRole != null) {
            stop.await(RenewalSchedule.FORCED_DELAY);
        }
    }

    private void renew() throws CredentialException, IOException, InterruptedException {
        Peer manager = managers.pick();
        if (manager == null) {
            throw new CredentialException("no manager is known");
        }
        CertificateRequest request = CertificateRequest.generate();
        ManagedChannel channel = open(manager);
        try {
            CertificateCalls calls = new CertificateCalls(channel, stop, random);
            ByteString chain = calls.certify(request, "", NodeSpec.Availability.ACTIVE);
            install(calls, chain, request);
            managers.observe(manager, KnownManagers.WEIGHT_GOOD);
        } catch (StatusRuntimeException e) {
            managers.observe(manager, KnownManagers.WEIGHT_BAD);
            throw e;
        } finally {
            channel.shutdownNow();
        }
        forced = false;
        NodeRole role = credentials.current().identity().role();
        NodeRole expected = expectedRole;
        if (expected != null && expected != role) {
            throw new CredentialException(
                    "the new certificate has the role " + role + ", but " + expected + " is wanted of this node");
        }
        expectedRole = null;
        LOG.info(
                "The certificate of this node was renewed, valid until {}.",
                credentials.current().leaf().getNotAfter().toInstant());
    }

    private ManagedChannel open(Peer manager) throws SSLException {
        return channels.authenticated(manager.getAddr(), credentials.tls(), NodeIdentity.MANAGER_NAME);
    }

    /**
     * Takes the new certificate. One that leads to another root comes from a cluster that changed its root while this
     * node was away: then the root is asked for over the connection that the old one still vouches for.
     */
    private void install(CertificateCalls calls, ByteString chain, CertificateRequest request)
            throws CredentialException, IOException {
        Instant now = clock.instant();
        try {
            credentials.change(current -> current.renewed(chain, request, now));
        } catch (CredentialException e) {
            TrustRoot root = TrustRoot.parse(calls.rootCertificate());
            if (root.equals(credentials.current().root())) {
                throw e;
            }
            credentials.change(current -> {
                NodeCredentials accepted = NodeCredentials.accept(root, chain, request, now);
                return new NodeCredentials(
                        root,
                        accepted.identity(),
                        accepted.chain(),
                        accepted.privateKey(),
                        current.keyEncryptionVersion(),
                        current.secrets());
            });
        }
    }
}
