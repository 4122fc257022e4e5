package io.skep.manager;

import io.grpc.Deadline;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeIdentity;
import io.skep.control.CommandException;
import io.skep.control.IdSource;
import io.skep.manager.ManagerSettings.Start;
import io.skep.raft.RaftLimits;
import io.skep.raft.RaftSettings;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.Member;
import io.skep.store.RaftConsensus;
import io.skep.store.Store;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.SubscribeLogsMessage;
import java.io.IOException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
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

    /** A fixed window: one that adapts measures the way to the node with a ping for every call. */
    private static final int WINDOW_BYTES = 1 << 20;

    private static final NetworkTransport NETWORK = NetworkTransport.best();
    private static final Duration HANDOVER = Duration.ofSeconds(3);

    private final ManagerSettings settings;
    private final NodeIdentity self;
    private final Store store = new Store();
    private final EventLoopGroup eventLoops;
    private final VirtualThreads executor = new VirtualThreads("skep-timer");
    private final ScheduledThreadPoolExecutor control = new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().name("skep-control").daemon().factory());
    private final NettyPeers peers;
    private final GrpcRaftTransport transport;
    private final RaftConsensus consensus;
    private final ControlPlane plane;
    private final CertificateSigner signer;
    private final Server server;

    private Manager(ManagerSettings settings, NodeIdentity self) throws IOException {
        this.settings = settings;
        this.self = self;
        this.eventLoops = NETWORK.eventLoops(2, "skep-net");
        this.peers = new NettyPeers(settings.identity(), eventLoops, executor);
        this.transport = new GrpcRaftTransport(peers);
        this.consensus = openLog();
        IdSource ids = new RandomIds();
        InstantSource clock = InstantSource.system();
        control.setRemoveOnCancelPolicy(true);
        this.plane = new ControlPlane(
                new ManagerPorts(consensus, store, ids, clock, Deadline.getSystemTicker(), executor, control, peers),
                self.clusterId(),
                settings.advertiseAddress());
        this.signer = new CertificateSigner(consensus, store, plane::execute, ids, clock);
        this.server = NettyServerBuilder.forAddress(settings.listenAddress())
                .channelType(NETWORK.serverChannel())
                .bossEventLoopGroup(eventLoops)
                .workerEventLoopGroup(eventLoops)
                .sslContext(ManagerTls.server(settings.identity()))
                .maxInboundMessageSize(INBOUND_BYTES_MAX)
                .flowControlWindow(WINDOW_BYTES)
                .permitKeepAliveTime(1, TimeUnit.SECONDS)
                .permitKeepAliveWithoutCalls(true)
                .keepAliveTime(10, TimeUnit.SECONDS)
                .keepAliveTimeout(5, TimeUnit.SECONDS)
                .directExecutor()
                .addTransportFilter(new CallerFilter())
                .addServices(plane.services())
                .addService(plane.guarded(transport))
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
            executor.shutdownNow();
            throw e;
        }
    }

    private void begin() throws IOException {
        server.start();
        store.watch(signer::committed);
        consensus.onLeadership(changed -> signer.leadershipChanged());
        signer.leadershipChanged();
        var _ = plane.ready().whenComplete((ready, failure) -> peers.forget(NodeIdentity.MANAGER_NAME));
        plane.start(settings.start());
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
            plane.ready().get(patience.toNanos(), TimeUnit.NANOSECONDS);
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
        return await(plane.read());
    }

    @Override
    public ClusterState local() {
        return plane.local();
    }

    @Override
    public CommandResult execute(Command command) {
        return await(plane.execute(command)).result();
    }

    private static <T> T await(CompletableFuture<T> answer) {
        try {
            return answer.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof CommandException refusal) {
                throw refusal;
            }
            throw new IllegalStateException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw CommandRouter.stopping();
        }
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
        return await(plane.subscribeLogs(selector, options, onMessage, onEnd));
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
        plane.close();
        server.shutdownNow();
        signer.close();
        control.shutdownNow();
        consensus.close();
        peers.close();
        executor.shutdownNow();
        eventLoops.shutdownGracefully(0, 2, TimeUnit.SECONDS).awaitUninterruptibly(5, TimeUnit.SECONDS);
    }
}
