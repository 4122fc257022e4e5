package io.skep.agent;

import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentials;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TrustRoot;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeTLSInfo;
import io.skep.wire.Peer;
import io.skep.wire.SessionMessage;
import io.skep.wire.TaskStatus;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The worker's side of a node: it keeps a session with one manager after another, runs what it is assigned and keeps
 * its certificate valid, until it is closed. Works with managers of Skep and of Docker alike.
 *
 * <p>Three virtual threads: one runs session after session and all that they bring, one renews the certificate, one
 * looks every 20 s whether the description of the node changed.
 */
public final class Agent implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Agent.class);
    private static final Duration DESCRIPTION_PERIOD = Duration.ofSeconds(20);
    private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(5);

    /** What an agent tells its owner; called on its own threads, must return soon. */
    public interface Listener {
        /** A manager accepted this node. */
        void registered();

        /** A manager sent the node, the managers and the keys as they are now. */
        void message(SessionMessage message);

        /**
         * A session ended or could not be made; the next one is on its way.
         *
         * @param registered whether the manager had accepted the node
         */
        void disconnected(boolean registered, Status status);
    }

    private final LiveCredentials credentials;
    private final KnownManagers managers;
    private final Supplier<NodeDescription> description;
    private final Supplier<@Nullable Peer> preferred;
    private final Listener listener;
    private final InstantSource clock;
    private final ManagerChannels channels;
    private final CertificateRenewal renewal;
    private final StatusQueue statuses = new StatusQueue();
    private final Assignments assignments;
    private final Backoff backoff;
    private final Stop stop = new Stop();
    private final Thread sessions;
    private final Thread renewals;
    private final Thread descriptions;
    private final Object sessionLock = new Object();
    private @Nullable Session session;
    private NodeDescription sentDescription = NodeDescription.getDefaultInstance();

    /**
     * Starts the agent.
     *
     * @param version of Skep, told to managers
     * @param managers holds at least one manager; kept up to date
     * @param preferred the manager to call as long as it answers, such as the one on this node, or null
     * @param description says what this node is; the agent adds what it trusts
     */
    public Agent(
            String version,
            LiveCredentials credentials,
            KnownManagers managers,
            Supplier<@Nullable Peer> preferred,
            Supplier<NodeDescription> description,
            Executor executor,
            Listener listener,
            InstantSource clock,
            RandomGenerator random) {
        this.credentials = credentials;
        this.managers = managers;
        this.preferred = preferred;
        this.description = description;
        this.listener = listener;
        this.clock = clock;
        this.channels = new ManagerChannels(version, executor.unavailable(), clock);
        this.renewal = new CertificateRenewal(credentials, managers, channels, clock, random);
        this.backoff = new Backoff(random);
        this.assignments = new Assignments(executor, this::report, statuses);
        credentials.watch(changed -> renewSession());
        sessions = Thread.ofVirtual().name("agent-sessions").start(() -> guarded(this::runSessions));
        renewals = Thread.ofVirtual().name("agent-renewals").start(() -> guarded(renewal::run));
        descriptions = Thread.ofVirtual().name("agent-descriptions").start(() -> guarded(this::watchDescription));
    }

    private interface Loop {
        void run() throws InterruptedException;
    }

    private static void guarded(Loop loop) {
        try {
            loop.run();
        } catch (InterruptedException e) {
            // The agent is closed.
        }
    }

    private void report(String taskId, TaskStatus status) {
        if (statuses.offer(taskId, status)) {
            synchronized (sessionLock) {
                if (session != null) {
                    session.statusesWait();
                }
            }
        }
    }

    /** Ends the session so that the next one tells the manager what changed. */
    private void renewSession() {
        synchronized (sessionLock) {
            if (session != null) {
                session.end();
            }
        }
    }

    private void runSessions() throws InterruptedException {
        String sessionId = "";
        boolean preferredFailed = false;
        while (!stop.isWished()) {
            Peer own = preferred.get();
            boolean toPreferred = own != null && !preferredFailed;
            Peer manager = toPreferred ? own : managers.pick();
            Session.End end;
            if (manager == null) {
                end = new Session.End(false, Status.UNAVAILABLE.withDescription("no manager is known"));
            } else {
                OneSession one = new OneSession();
                end = runSession(manager, sessionId, one);
                sessionId = one.sessionId.isEmpty() ? sessionId : one.sessionId;
                managers.observe(manager, end.status().isOk() ? KnownManagers.WEIGHT_GOOD : KnownManagers.WEIGHT_BAD);
                if (isStale(end.status())) {
                    sessionId = "";
                }
            }
            preferredFailed = toPreferred && !end.registered() && !end.status().isOk();
            if (end.registered()) {
                backoff.reset();
            }
            if (stop.isWished()) {
                return;
            }
            if (end.status().isOk()) {
                continue;
            }
            LOG.info(
                    "The session with manager {} ended: {}",
                    manager == null ? "(none)" : manager.getAddr(),
                    end.status().getDescription());
            listener.disconnected(end.registered(), end.status());
            stop.await(backoff.next());
        }
    }

    /** Whether the manager said that it does not know the session, so that its id is worth nothing any more. */
    private static boolean isStale(Status status) {
        return status.getCode() == Status.Code.INVALID_ARGUMENT || status.getCode() == Status.Code.NOT_FOUND;
    }

    private Session.End runSession(Peer manager, String resume, Session.Listener one) throws InterruptedException {
        ManagedChannel channel;
        try {
            channel = channels.authenticated(manager.getAddr(), credentials.tls(), NodeIdentity.MANAGER_NAME);
        } catch (SSLException | IllegalArgumentException e) {
            return new Session.End(
                    false, Status.UNAVAILABLE.withDescription(e.getMessage()).withCause(e));
        }
        try {
            Session next = new Session(channel, assignments, statuses, one);
            NodeDescription described = describe();
            synchronized (sessionLock) {
                session = next;
                sentDescription = described;
            }
            return next.run(described, resume);
        } finally {
            synchronized (sessionLock) {
                session = null;
            }
            channel.shutdownNow();
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

    private void watchDescription() throws InterruptedException {
        while (!stop.await(DESCRIPTION_PERIOD)) {
            NodeDescription now = describe();
            synchronized (sessionLock) {
                if (session != null && !now.equals(sentDescription)) {
                    session.end();
                }
            }
        }
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

    /** Ends the session and all threads; tasks are left to the executor. Waits up to 5 s. */
    @Override
    public void close() {
        stop.wish();
        for (Thread thread : new Thread[] {sessions, renewals, descriptions}) {
            thread.interrupt();
        }
        try {
            sessions.join(CLOSE_TIMEOUT);
            renewals.join(CLOSE_TIMEOUT);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** What one session told. */
    private final class OneSession implements Session.Listener {
        private String sessionId = "";

        @Override
        public void registered(String id) {
            sessionId = id;
            backoff.reset();
            listener.registered();
        }

        @Override
        public void message(SessionMessage message) {
            managers.replace(message.getManagersList());
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
    }
}
