package io.skep.manager;

import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallExecutorSupplier;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeIdentity;
import io.skep.control.CommandException;
import io.skep.control.IdSource;
import io.skep.manager.LeaderRuntime.Executed;
import io.skep.manager.ManagerSettings.Start;
import io.skep.raft.RaftLimits;
import io.skep.raft.RaftSettings;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.Member;
import io.skep.store.RaftConsensus;
import io.skep.store.Store;
import io.skep.wire.ChangeManager;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.LeaderGrpc;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Peer;
import io.skep.wire.RaftGrpc;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.SubscriptionMessage;
import io.skep.wire.WeightedPeer;
import java.io.IOException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A manager: it serves nodes and other managers on one port, keeps the replicated state, and decides while it leads.
 *
 * <p>What nodes ask (certificates, sessions, reports) any manager answers from its own copy of the state; what changes
 * the state goes to the leader as a command. So a node notices a change of leadership only when it was the leader that
 * held its session.
 */
public final class Manager implements ClusterAccess, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Manager.class);
    private static final int INBOUND_BYTES_MAX = 4 << 20;
    private static final int WEIGHT = 10;
    private static final Duration HANDOVER = Duration.ofSeconds(3);
    private static final Duration JOIN_ATTEMPT = Duration.ofSeconds(10);
    private static final Duration JOIN_PAUSE = Duration.ofSeconds(1);

    private final ManagerSettings settings;
    private final NodeIdentity self;
    private final IdSource ids = new RandomIds();
    private final Store store = new Store();
    private final EventLoopGroup eventLoops;
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("skep-timer").daemon().factory());
    private final PeerChannels peers;
    private final GrpcRaftTransport transport;
    private final RaftConsensus consensus;
    private final VersionWatch versions = new VersionWatch(store);
    private final NodeWatch nodes = new NodeWatch(store, executor);
    private final LogBroker logs = new LogBroker(store, executor);
    private final LeadershipWatch leaderships;
    private final LeaderRuntime runtime;
    private final CommandRouter router;
    private final CertificateSigner signer;
    private final Dispatcher dispatcher;
    private final SessionReports sessionReports;
    private final Server server;
    private final CompletableFuture<Void> ready = new CompletableFuture<>();
    private List<WeightedPeer> toldManagers = List.of();
    private volatile boolean closed;

    private Manager(ManagerSettings settings, NodeIdentity self) throws IOException {
        InstantSource clock = InstantSource.system();
        this.settings = settings;
        this.self = self;
        this.eventLoops = new MultiThreadIoEventLoopGroup(
                2, new DefaultThreadFactory("skep-net", true), NioIoHandler.newFactory());
        this.peers = new PeerChannels(settings.identity(), eventLoops, executor);
        this.transport = new GrpcRaftTransport(peers);
        this.consensus = openLog();
        this.leaderships = new LeadershipWatch(consensus.leadership());
        this.runtime = new LeaderRuntime(consensus, store, ids, clock);
        this.router = new CommandRouter(consensus, store, leaderships, versions, runtime, peers);
        this.signer = new CertificateSigner(store, runtime, ids, clock);
        this.sessionReports = new SessionReports(self.nodeId(), router, ids, this::liveNodes, this::heartbeatPeriod);
        this.dispatcher = new Dispatcher(store, this::currentManagers, ids, executor, timer, sessionReports);
        StatusReports statuses = new StatusReports(self.nodeId(), router, ids, executor, timer, dispatcher::drop);
        Authorization authorization = new Authorization(self.clusterId(), store::state);
        this.server = NettyServerBuilder.forAddress(settings.listenAddress())
                .channelType(NioServerSocketChannel.class)
                .bossEventLoopGroup(eventLoops)
                .workerEventLoopGroup(eventLoops)
                .sslContext(ManagerTls.server(settings.identity()))
                .maxInboundMessageSize(INBOUND_BYTES_MAX)
                .permitKeepAliveTime(1, TimeUnit.SECONDS)
                .permitKeepAliveWithoutCalls(true)
                .keepAliveTime(10, TimeUnit.SECONDS)
                .keepAliveTimeout(5, TimeUnit.SECONDS)
                .executor(executor)
                .callExecutor(new RaftOnEventLoop())
                .addTransportFilter(authorization)
                .intercept(LeaderService.READ_FORWARDED)
                .intercept(authorization)
                .addService(new RootCertificateService(store::state))
                .addService(new NodeCertificateService(store::state, router, nodes, ids))
                .addService(new DispatcherService(self.nodeId(), store, dispatcher, statuses, router, ids))
                .addService(new NetworkAttachmentService(router, ids))
                .addService(new LogBrokerService(logs))
                .addService(new LogRelayService(logs))
                .addService(new HealthService(() -> consensus.leadership().leaderId() != null))
                .addService(new LeaderService(runtime, router))
                .addService(transport)
                .build();
    }

    /**
     * Starts a manager. It serves when this returns; {@link #awaitReady} tells when it has a leader and the state.
     *
     * @throws io.skep.raft.RaftStorageException when the log cannot be used
     * @throws IOException when the port is taken or the log cannot be read
     */
    public static Manager start(ManagerSettings settings) throws IOException {
        NodeIdentity self;
        try {
            List<X509Certificate> chain = settings.identity().current().chain();
            if (chain.isEmpty()) {
                throw new IllegalArgumentException("a manager needs a certificate");
            }
            self = NodeIdentity.of(chain.getFirst());
        } catch (CredentialException e) {
            throw new IllegalArgumentException("a manager needs the certificate of a node", e);
        }
        Manager manager = new Manager(settings, self);
        try {
            manager.begin();
            return manager;
        } catch (IOException | RuntimeException e) {
            manager.end();
            throw e;
        }
    }

    private RaftConsensus openLog() throws IOException {
        RaftSettings raft = new RaftSettings(
                self.nodeId(),
                settings.advertiseAddress(),
                settings.raftDirectory(),
                settings.raftKeys(),
                settings.raftTiming(),
                RaftLimits.DEFAULT);
        try {
            return switch (settings.start()) {
                case Start.Bootstrap bootstrap -> RaftConsensus.bootstrap(raft, transport, store);
                case Start.Join join -> RaftConsensus.join(raft, transport, store);
                case Start.Restart restart -> RaftConsensus.open(raft, transport, store);
                case Start.ForceNewCluster force -> RaftConsensus.forceNewCluster(raft, transport, store);
            };
        } catch (IOException | RuntimeException e) {
            var _ = eventLoops.shutdownGracefully(0, 1, TimeUnit.SECONDS);
            timer.shutdownNow();
            executor.shutdownNow();
            throw e;
        }
    }

    private void begin() throws IOException {
        server.start();
        store.watch(this::committed);
        runtime.start();
        consensus.onLeadership(this::leadershipChanged);
        leadershipChanged(consensus.leadership());
        sessionReports.start();
        consensus.onMembers(this::checkManagers);
        executor.execute(this::becomeReady);
    }

    private void leadershipChanged(Leadership leadership) {
        LOG.debug("leadership: {}", leadership);
        leaderships.leadershipChanged(leadership);
        runtime.leadershipChanged(leadership);
        signer.leadershipChanged(leadership);
    }

    private void committed(Commit commit) {
        versions.committed(commit);
        runtime.committed(commit);
        nodes.committed(commit);
        dispatcher.committed(commit);
        logs.committed(commit);
        signer.committed(commit);
    }

    /** Takes part in the cluster: begins it, joins it, or tells it the new address. */
    private void becomeReady() {
        try {
            switch (settings.start()) {
                case Start.Bootstrap bootstrap -> {
                    router.execute(Command.newBuilder()
                            .setRequestId(ids.nextId())
                            .setInitCluster(bootstrap.cluster())
                            .build());
                    ready.complete(null);
                }
                case Start.Join join -> {
                    join(join.addresses());
                    ready.complete(null);
                }
                case Start.Restart restart -> tellAddress();
                case Start.ForceNewCluster force -> tellAddress();
            }
        } catch (CommandException e) {
            LOG.warn("this manager cannot take part in the cluster: {}", e.text());
            ready.completeExceptionally(e);
        } catch (InterruptedException e) {
            LOG.debug("stopped before taking part in the cluster");
        }
    }

    private Command tellManager() {
        return Command.newBuilder()
                .setRequestId(ids.nextId())
                .setChangeManager(
                        ChangeManager.newBuilder().setNodeId(self.nodeId()).setAddress(settings.advertiseAddress()))
                .build();
    }

    private void join(List<String> addresses) throws InterruptedException {
        while (!closed && !isMember()) {
            for (String address : addresses) {
                var channel = peers.toAny(address);
                try {
                    CommandRouter.ask(
                                    LeaderGrpc.newFutureStub(channel),
                                    tellManager(),
                                    System.nanoTime() + JOIN_ATTEMPT.toNanos())
                            .get();
                    return;
                } catch (ExecutionException e) {
                    if (e.getCause() instanceof CommandException refusal
                            && refusal.code() != CommandException.Code.UNAVAILABLE) {
                        throw refusal;
                    }
                    LOG.info("manager {} did not let this one join: {}", address, String.valueOf(e.getCause()));
                } finally {
                    channel.shutdownNow();
                }
            }
            rest(JOIN_PAUSE);
        }
    }

    private boolean isMember() {
        for (Member member : consensus.members()) {
            if (member.nodeId().equals(self.nodeId()) && member.voter()) {
                return true;
            }
        }
        return false;
    }

    /** Waits for a leader; a manager that moved tells it where it is now. */
    private void tellAddress() throws InterruptedException {
        while (!closed) {
            try {
                router.read();
                ready.complete(null);
                for (Member member : consensus.members()) {
                    if (member.nodeId().equals(self.nodeId())
                            && !member.address().equals(settings.advertiseAddress())) {
                        router.execute(tellManager());
                    }
                }
                return;
            } catch (CommandException e) {
                LOG.info("waiting for the other managers: {}", e.text());
                rest(JOIN_PAUSE);
            }
        }
    }

    private void rest(Duration duration) throws InterruptedException {
        try {
            leaderships.seen().changed().get(duration.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            LOG.trace("no other leader yet");
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private List<WeightedPeer> currentManagers() {
        List<WeightedPeer> now = new ArrayList<>();
        for (Member member : consensus.members()) {
            if (!member.address().isEmpty()) {
                now.add(weighted(member.nodeId(), member.address()));
            }
        }
        if (now.isEmpty()) {
            // A list without any would leave nodes without a manager for good (swarm-wire 3.1).
            now.add(weighted(self.nodeId(), settings.advertiseAddress()));
        }
        return now;
    }

    /**
     * Tells nodes about managers that came, went or moved: at once, since a node that loses its session finds another
     * manager only by what it was told before. Called by the consensus.
     */
    private void checkManagers() {
        List<WeightedPeer> now = currentManagers();
        if (!now.equals(toldManagers)) {
            toldManagers = now;
            dispatcher.managersChanged();
        }
    }

    private static WeightedPeer weighted(String nodeId, String address) {
        return WeightedPeer.newBuilder()
                .setPeer(Peer.newBuilder().setNodeId(nodeId).setAddr(address))
                .setWeight(WEIGHT)
                .build();
    }

    private List<String> liveNodes() {
        return dispatcher.liveNodes();
    }

    private Duration heartbeatPeriod() {
        return dispatcher.heartbeatPeriod();
    }

    /** Returns the node id of this manager. */
    public String nodeId() {
        return self.nodeId();
    }

    /** Returns the port that it serves on. */
    public int port() {
        return server.getPort();
    }

    /** Returns who leads, as far as this manager knows. */
    public Leadership leadership() {
        return consensus.leadership();
    }

    /**
     * Completes when this manager takes no part in the cluster any more: normally when it was closed, exceptionally
     * when its log failed, which only a new start can mend.
     */
    public CompletableFuture<Void> stopped() {
        return consensus.stopped();
    }

    /** Takes a hint where another manager may be reached. */
    public void learnAddress(String nodeId, String address) {
        consensus.learnAddress(nodeId, address);
    }

    /** Writes the log anew with the current key; completes when nothing is left that another key opens. */
    public CompletableFuture<Void> rewriteLogWithCurrentKey() {
        return consensus.rewriteWithCurrentKey();
    }

    /**
     * Waits until this manager takes part in the cluster.
     *
     * @return false when that is not so in time; it goes on trying
     * @throws CommandException why the cluster does not take it
     */
    public boolean awaitReady(Duration patience) throws InterruptedException {
        try {
            ready.get(patience.toNanos(), TimeUnit.NANOSECONDS);
            return true;
        } catch (TimeoutException e) {
            return false;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof CommandException refusal) {
                throw refusal;
            }
            throw new IllegalStateException(e);
        }
    }

    @Override
    public ClusterState read() {
        return router.read();
    }

    @Override
    public ClusterState local() {
        return store.state();
    }

    @Override
    public CommandResult execute(Command command) {
        Executed executed = router.execute(command);
        return executed.result();
    }

    @Override
    public List<Member> members() {
        return consensus.members();
    }

    @Override
    public AutoCloseable watch(Consumer<Commit> watcher) {
        return store.watch(watcher);
    }

    @Override
    public AutoCloseable subscribeLogs(
            LogSelector selector,
            LogSubscriptionOptions options,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        if (selector.equals(LogSelector.getDefaultInstance())) {
            throw new CommandException(
                    CommandException.Code.INVALID_ARGUMENT, "name a service, a task or a node whose logs are wanted");
        }
        ClusterState state = router.read();
        List<Member> others = consensus.members().stream()
                .filter(member -> !member.nodeId().equals(self.nodeId()))
                .toList();
        return LogReader.start(
                SubscriptionMessage.newBuilder()
                        .setId(ids.nextId())
                        .setSelector(selector)
                        .setOptions(options)
                        .build(),
                state,
                logs,
                peers,
                others,
                onMessage,
                onEnd);
    }

    /** Stops in good order: leadership goes to another manager first, if there is one to take it. */
    @Override
    public void close() {
        if (consensus.leadership().ready() && consensus.members().size() > 1) {
            try {
                consensus.transferLeadership().get(HANDOVER.toNanos(), TimeUnit.NANOSECONDS);
            } catch (ExecutionException | TimeoutException e) {
                LOG.warn("leadership could not be handed over: {}", e.toString());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        end();
    }

    /** Stops at once, as a crash would. */
    void end() {
        closed = true;
        sessionReports.close();
        dispatcher.close();
        server.shutdownNow();
        signer.close();
        runtime.close();
        consensus.close();
        peers.close();
        timer.shutdownNow();
        executor.shutdownNow();
        eventLoops.shutdownGracefully(0, 2, TimeUnit.SECONDS).awaitUninterruptibly(5, TimeUnit.SECONDS);
    }

    /**
     * Messages of the consensus are few, small and never wait, so they skip the hop to another thread; all else runs on
     * virtual threads.
     */
    private final class RaftOnEventLoop implements ServerCallExecutorSupplier {
        @Override
        public <Q, A> @Nullable Executor getExecutor(ServerCall<Q, A> call, Metadata headers) {
            return RaftGrpc.SERVICE_NAME.equals(call.getMethodDescriptor().getServiceName()) ? Runnable::run : executor;
        }
    }
}
