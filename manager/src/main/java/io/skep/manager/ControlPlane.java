package io.skep.manager;

import io.grpc.BindableService;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.skep.control.CommandException;
import io.skep.manager.ManagerSettings.Start;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus.Leadership;
import io.skep.wire.Command;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.SubscriptionMessage;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A manager without its sockets, files and keys: what it serves, how it takes commands to the leader, and what it
 * decides while it leads.
 *
 * <p>All that it needs from outside comes through {@link ManagerPorts}. Nothing in here waits, makes a thread, reads a
 * clock or a random source of its own: what is to be done later is given to the executors, and what takes time is a
 * future. So the same classes run on many threads in a {@link Manager}, and in one thread under virtual time where the
 * whole cluster is simulated.
 *
 * <p>Who calls a service is told by the attribute {@link Caller#ATTRIBUTE} of the call.
 */
public final class ControlPlane implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ControlPlane.class);

    private final ManagerPorts ports;
    private final VersionWatch versions;
    private final NodeWatch nodes;
    private final LogBroker logs;
    private final LeaderRuntime runtime;
    private final CommandRouter router;
    private final Dispatcher dispatcher;
    private final SessionReports sessionReports;
    private final StatusReports statuses;
    private final ManagerList managers;
    private final Participation participation;
    private final Authorization authorization;
    private final List<ServerServiceDefinition> services;

    /**
     * Makes a manager that does nothing before it is started.
     *
     * @param clusterId the cluster whose certificates it trusts
     * @param address host:port at which nodes and other managers reach it
     */
    public ControlPlane(ManagerPorts ports, String clusterId, String address) {
        this.ports = ports;
        this.versions = new VersionWatch(ports.store());
        this.nodes = new NodeWatch(ports.store(), ports.executor());
        this.logs = new LogBroker(ports.store(), ports.executor());
        this.runtime = new LeaderRuntime(ports);
        this.router = new CommandRouter(ports, versions, runtime);
        this.managers = new ManagerList(ports, address, this::managersChanged);
        this.dispatcher = new Dispatcher(ports, managers::current, this::lost);
        this.sessionReports =
                new SessionReports(ports, router, dispatcher::liveNodes, dispatcher::heartbeatPeriod, this::unheard);
        this.statuses = new StatusReports(ports, router, dispatcher::drop);
        this.participation = new Participation(ports, router, address);
        this.authorization = new Authorization(clusterId, ports.store()::state);
        this.services = List.of(
                guarded(new RootCertificateService(ports.store()::state)),
                guarded(new NodeCertificateService(ports.store()::state, router, nodes, ports.ids())),
                guarded(new DispatcherService(ports, dispatcher, statuses, router)::definition),
                guarded(new NetworkAttachmentService(router, ports.ids())),
                guarded(new LogBrokerService(logs)),
                guarded(new LogRelayService(logs)),
                guarded(new HealthService(() -> ports.consensus().leadership().leaderId() != null)),
                guarded(new LeaderService(runtime, router, ports.executor())::definition));
    }

    private void managersChanged() {
        dispatcher.managersChanged();
    }

    /**
     * No leader hears of the sessions held here, so their nodes count as lost: they do better with another manager.
     * This one may have been taken out, and even in again, while it was cut off, and nobody tells it then.
     */
    private void unheard() {
        dispatcher.endSessions();
        participation.askAgain();
    }

    private void lost(String nodeId) {
        sessionReports.lost(nodeId);
    }

    /** Lets only those call a service who may. */
    ServerServiceDefinition guarded(BindableService service) {
        return ServerInterceptors.intercept(service, authorization);
    }

    /** Returns what it serves, each service behind its check of the caller. */
    public List<ServerServiceDefinition> services() {
        return services;
    }

    /** Begins to take part in the cluster. */
    public void start(Start start) {
        ports.store().watch(this::committed);
        ports.consensus().onLeadership(changed -> leadershipChanged());
        leadershipChanged();
        ports.consensus().onMembers(managers::check);
        sessionReports.start();
        participation.start(start);
    }

    /** Passes on what is true now: the word of a change may come late, beside the one from the start. */
    private synchronized void leadershipChanged() {
        Leadership leadership = ports.consensus().leadership();
        LOG.debug("leadership: {}", leadership);
        runtime.leadershipChanged(leadership);
        router.leadershipChanged(leadership);
        participation.leadershipChanged(leadership);
    }

    private void committed(Commit commit) {
        versions.committed(commit);
        runtime.committed(commit);
        nodes.committed(commit);
        dispatcher.committed(commit);
        logs.committed(commit);
    }

    /** Completes when it takes part; fails with {@link CommandException} when the cluster does not take it. */
    public CompletableFuture<Void> ready() {
        return participation.ready();
    }

    /**
     * Returns a state that holds every write acknowledged, by any manager, before the call. Fails with
     * {@link CommandException} UNAVAILABLE when no majority answers in time.
     */
    public CompletableFuture<ClusterState> read() {
        return router.read();
    }

    /** Returns the newest state that this manager has. */
    public ClusterState local() {
        return ports.store().state();
    }

    /**
     * Runs a command on the leader, once, across leader changes.
     *
     * @return completed when {@link #local()} holds the effect; fails with {@link CommandException}: why it was
     *     refused, or UNAVAILABLE when there was no leader in time
     */
    public CompletableFuture<Executed> execute(Command command) {
        return router.execute(command);
    }

    /** Returns the ids of the nodes that hold a session here. */
    public List<String> liveNodes() {
        return dispatcher.liveNodes();
    }

    /** Streams log lines as {@link ClusterAccess#subscribeLogs} says. */
    CompletableFuture<AutoCloseable> subscribeLogs(
            LogSelector selector,
            LogSubscriptionOptions options,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        if (selector.equals(LogSelector.getDefaultInstance())) {
            return CompletableFuture.failedFuture(new CommandException(
                    CommandException.Code.INVALID_ARGUMENT, "name a service, a task or a node whose logs are wanted"));
        }
        SubscriptionMessage subscription = SubscriptionMessage.newBuilder()
                .setId(ports.ids().nextId())
                .setSelector(selector)
                .setOptions(options)
                .build();
        return router.read().thenApply(state -> LogReader.start(subscription, state, logs, ports, onMessage, onEnd));
    }

    /** Ends all sessions and calls; the log, the executors and the connections are for their owner to end. */
    @Override
    public void close() {
        participation.close();
        sessionReports.close();
        dispatcher.close();
        router.close();
        runtime.close();
    }
}
