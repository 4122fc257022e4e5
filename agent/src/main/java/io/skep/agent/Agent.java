package io.skep.agent;

import com.google.protobuf.ByteString;
import io.grpc.Deadline;
import io.grpc.Status;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TrustRoot;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeTLSInfo;
import io.skep.wire.SessionMessage;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The worker's side of a node: an {@link AgentCore} on real time and real connections, whose certificate is kept valid,
 * until it is closed.
 *
 * <p>Two virtual threads: one is the serial executor of the core, on which every 20 s also the description of the node
 * is looked at; one renews the certificate.
 */
public final class Agent implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Agent.class);
    private static final Duration DESCRIPTION_PERIOD = Duration.ofSeconds(20);
    private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(5);

    private final LiveCredentials credentials;
    private final Supplier<NodeDescription> description;
    private final AgentListener listener;
    private final InstantSource clock;
    private final CertificateRenewal renewal;
    private final ScheduledThreadPoolExecutor serial;
    private final AgentCore core;
    private final Thread renewals;

    /**
     * Starts the agent.
     *
     * @param version of Skep, told to managers
     * @param managers holds at least one manager; kept up to date
     * @param ownManager is called as long as it answers
     * @param description says what this node is; the agent adds what it trusts
     */
    public Agent(
            String version,
            LiveCredentials credentials,
            KnownManagers managers,
            OwnManager ownManager,
            Supplier<NodeDescription> description,
            TaskRunner runner,
            AgentListener listener,
            InstantSource clock,
            RandomGenerator random) {
        this.credentials = credentials;
        this.description = description;
        this.listener = listener;
        this.clock = clock;
        ManagerChannels channels = new ManagerChannels(version, runner.unavailable(), clock);
        renewal = new CertificateRenewal(credentials, managers, channels, clock, random);
        serial = new ScheduledThreadPoolExecutor(
                1, Thread.ofVirtual().name("agent").factory());
        serial.setRemoveOnCancelPolicy(true);
        core = new AgentCore(
                managers,
                ownManager,
                this::describe,
                runner,
                new FromCore(),
                new AgentPorts(serial, Deadline.getSystemTicker(), random, channels.transport(credentials.tls())));
        credentials.watch(changed -> core.renewSession());
        core.start();
        var _ = serial.scheduleWithFixedDelay(
                core::refreshDescription,
                DESCRIPTION_PERIOD.toMillis(),
                DESCRIPTION_PERIOD.toMillis(),
                TimeUnit.MILLISECONDS);
        renewals = Thread.ofVirtual().name("agent-renewals").start(this::renew);
    }

    private void renew() {
        try {
            renewal.run();
        } catch (InterruptedException e) {
            // The agent is closed.
        }
    }

    private NodeDescription describe() {
        NodeCredentials now = credentials.current();
        return description.get().toBuilder()
                .setTlsInfo(NodeTLSInfo.newBuilder()
                        .setTrustRoot(now.root().pem())
                        .setCertIssuerSubject(now.issuerSubject())
                        .setCertIssuerPublicKey(now.issuerPublicKey()))
                .build();
    }

    /** Takes over a root that a manager announces, as long as the own certificate leads to it. */
    private void updateRoot(ByteString pem) {
        NodeCredentials now = credentials.current();
        if (pem.isEmpty() || pem.equals(now.root().pem())) {
            return;
        }
        try {
            TrustRoot root = TrustRoot.parse(pem);
            credentials.change(current -> current.withRoot(root, clock.instant()));
        } catch (CredentialException | IOException e) {
            LOG.warn("The cluster has a new root certificate that cannot be used here yet: {}", e.getMessage());
        }
    }

    /** Ends the session and all threads; tasks are left to their runner. Waits up to 5 s. */
    @Override
    public void close() {
        renewals.interrupt();
        try {
            core.stop().get(CLOSE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            renewals.join(CLOSE_TIMEOUT);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException e) {
            throw new IllegalStateException("the agent did not end", e.getCause());
        } catch (TimeoutException e) {
            LOG.warn("The agent does not end in time; it is interrupted.");
        } finally {
            serial.shutdownNow();
        }
    }

    /** What the core tells. */
    private final class FromCore implements AgentListener {
        @Override
        public void registered() {
            listener.registered();
        }

        @Override
        public void message(SessionMessage message) {
            if (message.hasNode()) {
                NodeRole role = message.getNode().getRole();
                // Until the role in effect has followed the desired one, a renewal would only bring the old role again.
                if (role == message.getNode().getSpec().getDesiredRole()) {
                    renewal.expect(role);
                }
                if (message.getNode().getCertificate().getStatus().getState() == IssuanceStatus.State.ROTATE) {
                    renewal.force();
                }
            }
            updateRoot(message.getRootCA());
            listener.message(message);
        }

        @Override
        public void disconnected(boolean registered, Status status) {
            listener.disconnected(registered, status);
        }
    }
}
