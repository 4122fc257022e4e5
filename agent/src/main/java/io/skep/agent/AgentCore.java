package io.skep.agent;

import io.grpc.Status;
import io.skep.wire.NodeDescription;
import io.skep.wire.Peer;
import io.skep.wire.SessionMessage;
import io.skep.wire.TaskStatus;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an agent is but for certificates: it keeps a session with one manager after another, hands what it is assigned
 * to the {@link TaskRunner} and reports what becomes of it. Works with managers of Skep and of Docker alike.
 *
 * <p>Everything happens on the serial executor of its {@link AgentPorts}, one step after the other. No step waits; what
 * comes later (an answer, a delay that is over) is a step of its own. Time, chance and the network come through the
 * ports alone, so the same ports in the same state lead to the same steps: a simulation runs thousands of these in one
 * thread under virtual time, and a process may hold as many on real connections. The public methods may be called by
 * any thread; they only give a step to the executor.
 *
 * <p>At most one session exists, and at most one step is scheduled to make the next.
 */
public final class AgentCore {
    private static final Logger LOG = LoggerFactory.getLogger(AgentCore.class);

    private final KnownManagers managers;
    private final OwnManager ownManager;
    private final Supplier<NodeDescription> description;
    private final TaskRunner runner;
    private final AgentListener listener;
    private final AgentPorts ports;
    private final StatusQueue statuses = new StatusQueue();
    private final Assignments assignments;
    private final Backoff backoff;

    private boolean started;
    private boolean stopped;
    private @Nullable OneSession session;
    private @Nullable Future<?> reconnect;
    private String sessionId = "";
    private boolean preferredFailed;

    /**
     * Prepares an agent.
     *
     * @param managers holds at least one manager; kept up to date
     * @param ownManager is called as long as it answers
     * @param description says what this node is
     */
    public AgentCore(
            KnownManagers managers,
            OwnManager ownManager,
            Supplier<NodeDescription> description,
            TaskRunner runner,
            AgentListener listener,
            AgentPorts ports) {
        this.managers = managers;
        this.ownManager = ownManager;
        this.description = description;
        this.runner = runner;
        this.listener = listener;
        this.ports = ports;
        this.backoff = new Backoff(ports.random());
        this.assignments = new Assignments(runner, this::report, statuses);
    }

    /** Takes up the tasks from before and lets the first session be made; later calls do nothing. */
    public void start() {
        give(() -> {
            if (!started && !stopped) {
                started = true;
                runner.start(ports.serial());
                connect();
            }
        });
    }

    /** Ends the session, so that the next one begins at once and tells the manager what changed. */
    public void renewSession() {
        give(() -> {
            if (session != null) {
                session.inner.end();
            }
        });
    }

    /** Renews the session when the description of the node is not what the manager was told. */
    public void refreshDescription() {
        give(() -> {
            if (session != null && !session.described.equals(description.get())) {
                session.inner.end();
            }
        });
    }

    /**
     * Ends the session for good; tasks are left to their runner.
     *
     * @return completed when nothing follows any more
     */
    public CompletableFuture<Void> stop() {
        CompletableFuture<Void> done = new CompletableFuture<>();
        boolean taken = give(() -> {
            stopped = true;
            if (reconnect != null) {
                reconnect.cancel(false);
                reconnect = null;
            }
            if (session != null) {
                session.inner.end();
            }
            done.complete(null);
        });
        if (!taken) {
            done.complete(null);
        }
        return done;
    }

    /** Gives a step to the executor; returns false when that is closed, and with it the agent. */
    private boolean give(Runnable step) {
        try {
            ports.serial().execute(step);
            return true;
        } catch (RejectedExecutionException e) {
            return false;
        }
    }

    private void report(String taskId, TaskStatus status) {
        give(() -> {
            if (statuses.offer(taskId, status) && session != null) {
                session.inner.statusesWait();
            }
        });
    }

    private void connect() {
        reconnect = null;
        Peer own = ownManager.peer();
        boolean toPreferred = own != null && !preferredFailed;
        if (own != null && preferredFailed) {
            managers.hearOf(ownManager.others());
        }
        Peer manager = toPreferred ? own : managers.pick();
        if (manager == null) {
            ended(null, toPreferred, new Session.End(false, Status.UNAVAILABLE.withDescription("no manager is known")));
            return;
        }
        ManagerTransport.Connection connection;
        try {
            connection = ports.transport().open(manager.getAddr());
        } catch (IOException e) {
            ended(
                    manager,
                    toPreferred,
                    new Session.End(
                            false,
                            Status.UNAVAILABLE.withDescription(e.getMessage()).withCause(e)));
            return;
        }
        OneSession next = new OneSession(manager, toPreferred, connection, description.get());
        session = next;
        next.inner.open(next.described, sessionId);
    }

    /** A session ended, or could not be made; sees to the next one. */
    private void ended(@Nullable Peer manager, boolean toPreferred, Session.End end) {
        if (manager != null) {
            managers.observe(manager, end.status().isOk() ? KnownManagers.WEIGHT_GOOD : KnownManagers.WEIGHT_BAD);
        }
        if (isStale(end.status())) {
            sessionId = "";
        }
        preferredFailed = toPreferred && !end.registered() && !end.status().isOk();
        if (end.registered()) {
            backoff.reset();
        }
        if (stopped) {
            return;
        }
        Duration delay = Duration.ZERO;
        if (!end.status().isOk()) {
            LOG.info(
                    "The session with manager {} ended: {}",
                    manager == null ? "(none)" : manager.getAddr(),
                    end.status().getDescription());
            listener.disconnected(end.registered(), end.status());
            delay = backoff.next();
        }
        reconnect = ports.serial().schedule(this::connect, delay.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** Whether the manager said that it does not know the session, so that its id is worth nothing any more. */
    private static boolean isStale(Status status) {
        return status.getCode() == Status.Code.INVALID_ARGUMENT || status.getCode() == Status.Code.NOT_FOUND;
    }

    /** One session and what it tells. */
    private final class OneSession implements Session.Listener {
        private final Peer manager;
        private final boolean toPreferred;
        private final ManagerTransport.Connection connection;
        private final NodeDescription described;
        private final Session inner;

        OneSession(
                Peer manager, boolean toPreferred, ManagerTransport.Connection connection, NodeDescription described) {
            this.manager = manager;
            this.toPreferred = toPreferred;
            this.connection = connection;
            this.described = described;
            this.inner = new Session(
                    connection.channel(), runner, assignments, statuses, ports.serial(), ports.ticker(), this);
        }

        @Override
        public void registered(String id) {
            sessionId = id;
            backoff.reset();
            listener.registered();
        }

        @Override
        public void message(SessionMessage message) {
            managers.replace(message.getManagersList());
            listener.message(message);
        }

        @Override
        public void ended(Session.End end) {
            session = null;
            connection.close();
            AgentCore.this.ended(manager, toPreferred, end);
        }
    }
}
