package io.skep.daemon.node;

import io.grpc.Status;
import io.skep.agent.Agent;
import io.skep.agent.AgentListener;
import io.skep.agent.Enrolment;
import io.skep.agent.Executor;
import io.skep.agent.FileTaskStore;
import io.skep.agent.HostDescription;
import io.skep.agent.KnownManagers;
import io.skep.agent.LiveCredentials;
import io.skep.agent.NoExecutor;
import io.skep.agent.OwnManager;
import io.skep.agent.TaskManager;
import io.skep.agent.TaskRunner;
import io.skep.certs.CredentialException;
import io.skep.certs.UnlockKey;
import io.skep.control.CommandException;
import io.skep.daemon.node.SwarmAddresses.HostPort;
import io.skep.daemon.node.SwarmFolder.Setup;
import io.skep.manager.Manager;
import io.skep.manager.ManagerSettings;
import io.skep.manager.ManagerSettings.Start;
import io.skep.raft.RaftStorageException;
import io.skep.raft.RaftStorageException.Reason;
import io.skep.store.Consensus.Member;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.EncryptionKey;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.Peer;
import io.skep.wire.SessionMessage;
import io.skep.wire.UpdateNodeRequest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A node that has a certificate: its agent always runs, its manager as long as the certificate says so.
 *
 * <p>What the node should be is in its certificate (the role) and in the cluster object (whether managers are locked,
 * and with which key). One virtual thread compares that with what the node is and brings it there, whenever one of both
 * changed and every few seconds while something failed. It alone starts and stops the manager once the node runs, so a
 * promotion can follow a demotion at any speed.
 */
final class RunningNode implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RunningNode.class);
    private static final Duration RETRY = Duration.ofSeconds(5);
    private static final Duration HINT_PERIOD = Duration.ofSeconds(2);
    private static final Duration LEAVE_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration REWRITE_TIMEOUT = Duration.ofMinutes(1);
    private static final int LEAVE_TRIES_MAX = 5;

    private final NodeSettings settings;
    private final SwarmFolder folder;
    private final LiveCredentials credentials;
    private final KnownManagers known;
    private final HostPort listen;
    private final HostPort advertise;
    private final SecureRandom random = new SecureRandom();
    private final CompletableFuture<Void> registered = new CompletableFuture<>();
    private final BlockingQueue<Boolean> wakes = new ArrayBlockingQueue<>(1);
    private final CountDownLatch stop = new CountDownLatch(1);
    private final ReentrantLock managerLock = new ReentrantLock();
    private final Condition managerChanged = managerLock.newCondition();
    private final Thread reconciler;
    private final List<Thread> helpers = new ArrayList<>();
    private final @Nullable FileTaskStore tasks;
    private @Nullable Agent agent;
    private Setup setup;
    private List<Peer> savedManagers = List.of();
    private volatile @Nullable Manager manager;
    private volatile boolean managerReady;
    private volatile @Nullable Manager refused;
    private volatile String error = "";
    private volatile boolean logDamaged;

    RunningNode(
            NodeSettings settings,
            SwarmFolder folder,
            LiveCredentials credentials,
            KnownManagers known,
            Setup setup,
            HostPort listen,
            HostPort advertise)
            throws IOException {
        this.tasks = settings.executor() == null ? null : new FileTaskStore(folder.tasks());
        this.settings = settings;
        this.folder = folder;
        this.credentials = credentials;
        this.known = known;
        this.setup = setup;
        this.listen = listen;
        this.advertise = advertise;
        this.reconciler = Thread.ofVirtual().name("node-role").unstarted(this::reconcileForEver);
    }

    /**
     * Starts the manager, as the first step of a node that is one.
     *
     * @throws IOException when its port is taken or its log cannot be read
     * @throws RaftStorageException when its log is damaged
     */
    void startManager(Start start) throws IOException, CredentialException {
        if (!credentials.current().secrets().containsKey(RaftKeys.CURRENT)) {
            credentials.change(current -> RaftKeys.withNewKey(current, random));
        }
        Manager started = Manager.start(new ManagerSettings(
                credentials.tls(),
                listen.socketAddress(),
                advertise.toString(),
                folder.raft(),
                new RaftKeys(credentials),
                start));
        managerReady = false;
        setManager(started);
        started.watch(commit -> {
            if (commit.reset()
                    || !Objects.equals(commit.before().cluster(), commit.after().cluster())) {
                wakes.offer(true);
            }
        });
        help("node-manager-ready", () -> awaitManager(started));
        help("node-manager-hints", () -> followHints(started));
    }

    /** Starts the manager of a node that was one before; what stands in the way is tried again later. */
    void resumeManager() {
        if (!isManager() || !setup.managerJoined()) {
            return;
        }
        try {
            startManager(new Start.Restart());
        } catch (IOException | CredentialException e) {
            noteFailure(e);
            LOG.error("The manager of this node cannot be started, trying again: {}", e.getMessage());
        }
    }

    /**
     * Waits until the manager takes part in the cluster.
     *
     * @return false when it does not yet
     * @throws CommandException why the cluster does not take it
     */
    boolean awaitManagerReady(Duration patience) throws InterruptedException, IOException {
        Manager now = manager;
        if (now == null || !now.awaitReady(patience)) {
            return false;
        }
        managerIsReady(now);
        return true;
    }

    /** Starts the agent and follows changes from now on. */
    void run() {
        agent = new Agent(
                settings.version(),
                credentials,
                known,
                new Own(),
                this::describe,
                taskRunner(),
                new FromAgent(),
                settings.clock(),
                random);
        credentials.watch(changed -> {
            signalManagerChanged();
            wakes.offer(true);
        });
        reconciler.start();
        wakes.offer(true);
    }

    private TaskRunner taskRunner() {
        Executor executor = settings.executor();
        return executor == null || tasks == null
                ? new NoExecutor(settings.withoutExecutor(), settings.clock())
                : new TaskManager(executor, tasks, settings.clock());
    }

    /** Completed once a manager accepted this node's agent. */
    CompletableFuture<Void> registered() {
        return registered;
    }

    String nodeId() {
        return credentials.current().identity().nodeId();
    }

    boolean isManager() {
        return credentials.current().identity().isManager();
    }

    @Nullable
    Manager manager() {
        return manager;
    }

    /**
     * Waits for the manager, as long as this node is to be one and its log can be read.
     *
     * @return null when there is none in time, or there is to be none
     */
    @Nullable
    Manager awaitManager(long nanos) throws InterruptedException {
        managerLock.lock();
        try {
            long left = nanos;
            while (manager == null && isManager() && !logDamaged && stop.getCount() > 0 && left > 0) {
                left = managerChanged.awaitNanos(left);
            }
            return manager;
        } finally {
            managerLock.unlock();
        }
    }

    /** Takes note of why there is no manager. A damaged log does not mend itself, so nobody has to wait for that. */
    private void noteFailure(Exception e) {
        error = String.valueOf(e.getMessage());
        logDamaged = e instanceof RaftStorageException storage && storage.reason() == Reason.DAMAGED;
        signalManagerChanged();
    }

    private void setManager(@Nullable Manager next) {
        manager = next;
        logDamaged = logDamaged && next == null;
        signalManagerChanged();
    }

    private void signalManagerChanged() {
        managerLock.lock();
        try {
            managerChanged.signalAll();
        } finally {
            managerLock.unlock();
        }
    }

    boolean managerReady() {
        return managerReady;
    }

    String advertisedHost() {
        return advertise.host().getHostAddress();
    }

    String error() {
        return error;
    }

    @Nullable
    UnlockKey unlockKey() {
        return credentials.unlockKey();
    }

    List<Peer> remoteManagers() {
        Manager now = manager;
        if (now == null) {
            return known.all();
        }
        List<Peer> peers = new ArrayList<>();
        for (Member member : now.members()) {
            peers.add(Peer.newBuilder()
                    .setNodeId(member.nodeId())
                    .setAddr(member.address())
                    .build());
        }
        return peers;
    }

    /** Asks the others to go on without this manager, as far as that can be had; never fails. */
    void leaveQuorum() {
        Manager now = manager;
        if (now == null || now.members().size() < 2) {
            return;
        }
        CompletableFuture<Void> left = new CompletableFuture<>();
        Thread thread = Thread.ofVirtual().name("node-leave").start(() -> {
            try {
                demote(now);
                left.complete(null);
            } catch (CommandException e) {
                left.completeExceptionally(e);
            }
        });
        try {
            left.get(LEAVE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            awaitRemoval(now);
        } catch (ExecutionException e) {
            LOG.warn("The other managers were not told that this one leaves: {}", e.getCause());
        } catch (TimeoutException e) {
            thread.interrupt();
            LOG.warn("The other managers did not take this one out in time; demote it there.");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void demote(Manager now) {
        for (int attempt = 1; ; attempt++) {
            Node self = now.read().nodes().get(nodeId());
            if (self == null) {
                return;
            }
            NodeSpec spec =
                    self.getSpec().toBuilder().setDesiredRole(NodeRole.WORKER).build();
            try {
                now.execute(Command.newBuilder()
                        .setRequestId(UUID.randomUUID().toString())
                        .setUpdateNode(UpdateNodeRequest.newBuilder()
                                .setNodeId(self.getId())
                                .setNodeVersion(self.getMeta().getVersion())
                                .setSpec(spec))
                        .build());
                return;
            } catch (CommandException e) {
                // The node may have changed between the two calls, for its agent has just gone.
                if (attempt == LEAVE_TRIES_MAX || e.code() != CommandException.Code.UNKNOWN) {
                    throw e;
                }
            }
        }
    }

    private void awaitRemoval(Manager now) throws InterruptedException {
        long end = System.nanoTime() + LEAVE_TIMEOUT.toNanos();
        while (System.nanoTime() < end) {
            if (now.members().stream().noneMatch(member -> member.nodeId().equals(nodeId()))) {
                return;
            }
            if (stop.await(50, TimeUnit.MILLISECONDS)) {
                return;
            }
        }
    }

    /** Ends the agent, so that nothing happens any more but what the caller does. */
    void stopAgent() {
        if (agent != null) {
            agent.close();
        }
    }

    /** Ends everything; a manager that leads hands over first. */
    @Override
    public void close() {
        stop.countDown();
        stopAgent();
        reconciler.interrupt();
        synchronized (helpers) {
            helpers.forEach(Thread::interrupt);
        }
        try {
            reconciler.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Manager now = manager;
        if (now != null) {
            followLastUnlockKey(now);
            // Requests are answered until the leadership is handed over.
            now.close();
        }
        setManager(null);
        try {
            if (tasks != null) {
                tasks.close();
            }
        } catch (IOException e) {
            LOG.warn("The tasks of this node could not be closed: {}", e.getMessage());
        }
    }

    /** Who was told a new unlock key must not find that the old one still opens the files. */
    private void followLastUnlockKey(Manager now) {
        try {
            if (isManager()) {
                followUnlockKey(now);
            }
        } catch (IOException | CredentialException | ExecutionException | TimeoutException e) {
            LOG.error("The keys of this manager are still encrypted as before: {}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void help(String name, Helper helper) {
        Thread thread = Thread.ofVirtual().name(name).unstarted(() -> {
            try {
                helper.run();
            } catch (InterruptedException e) {
                // The node is closed.
            }
        });
        synchronized (helpers) {
            helpers.removeIf(old -> !old.isAlive() && old.getState() == Thread.State.TERMINATED);
            helpers.add(thread);
        }
        thread.start();
    }

    private interface Helper {
        void run() throws InterruptedException;
    }

    private void awaitManager(Manager started) throws InterruptedException {
        try {
            while (manager == started && !started.awaitReady(RETRY)) {
                LOG.info("The manager of this node waits for the others.");
            }
            if (manager == started) {
                managerIsReady(started);
                wakes.offer(true);
            }
        } catch (CommandException e) {
            refused = started;
            error = "the cluster does not take this node as a manager: " + e.text();
            wakes.offer(true);
        } catch (IOException e) {
            LOG.warn("The state of this node cannot be saved: {}", e.getMessage());
        }
    }

    private synchronized void managerIsReady(Manager ready) throws IOException {
        if (manager != ready || managerReady) {
            return;
        }
        if (!setup.managerJoined()) {
            setup = setup.withManagerJoined(true);
            folder.saveSetup(setup);
        }
        managerReady = true;
        error = "";
    }

    /**
     * Looks who answers at the addresses that the configuration names and those that this node remembers, until the
     * manager has found the others. Only who answers is believed: what is remembered may be older than the log.
     */
    private void followHints(Manager started) throws InterruptedException {
        ManagerProbe probe = new ManagerProbe(credentials.tls());
        while (manager == started && !managerReady && !stop.await(HINT_PERIOD.toMillis(), TimeUnit.MILLISECONDS)) {
            List<String> hints = new ArrayList<>(settings.managerHints());
            known.all().forEach(peer -> hints.add(peer.getAddr()));
            for (String hint : hints) {
                try {
                    InetSocketAddress address = Enrolment.address(hint);
                    String found = probe.nodeId(address);
                    if (!found.equals(nodeId())) {
                        started.learnAddress(found, hint);
                    }
                } catch (IOException e) {
                    LOG.debug("no manager at {}: {}", hint, e.getMessage());
                }
            }
        }
    }

    /** The manager of this node, for its agent. */
    private final class Own implements OwnManager {
        @Override
        public @Nullable Peer peer() {
            if (manager == null) {
                return null;
            }
            HostPort reachable = advertise;
            if (!SwarmAddresses.isLocal(advertise.host())) {
                InetAddress local =
                        listen.host().isAnyLocalAddress() ? InetAddress.getLoopbackAddress() : listen.host();
                reachable = new HostPort(local, listen.port());
            }
            return Peer.newBuilder()
                    .setNodeId(nodeId())
                    .setAddr(reachable.toString())
                    .build();
        }

        @Override
        public List<Peer> others() {
            return remoteManagers().stream()
                    .filter(peer -> !peer.getNodeId().equals(nodeId()))
                    .toList();
        }
    }

    private NodeDescription describe() {
        Map<String, String> labels = new HashMap<>(settings.labels().get());
        labels.put(HostDescription.LABEL_VERSION, settings.version());
        Executor executor = settings.executor();
        return new HostDescription(
                        settings.version(),
                        labels,
                        settings.genericResources(),
                        executor == null ? List.of() : executor.drivers())
                .get();
    }

    private void reconcileForEver() {
        boolean failed = false;
        try {
            while (stop.getCount() > 0) {
                if (failed) {
                    if (stop.await(RETRY.toMillis(), TimeUnit.MILLISECONDS)) {
                        return;
                    }
                } else {
                    wakes.take();
                }
                try {
                    reconcile();
                    failed = false;
                } catch (IOException | CredentialException | ExecutionException e) {
                    failed = true;
                    noteFailure(e);
                    LOG.error("This node cannot become what it should be, trying again: {}", e.getMessage());
                } catch (TimeoutException e) {
                    failed = true;
                    LOG.error("The log was not written anew with another key in time, trying again.");
                }
            }
        } catch (InterruptedException e) {
            // The node is closed.
        }
    }

    private void reconcile()
            throws IOException, CredentialException, InterruptedException, ExecutionException, TimeoutException {
        Manager now = manager;
        if (now != null && now == refused) {
            refused = null;
            setManager(null);
            now.close();
            if (isManager()) {
                throw new IOException(error);
            }
            return;
        }
        if (isManager()) {
            if (now == null) {
                becomeManager();
            } else {
                followUnlockKey(now);
            }
        } else if (now != null) {
            becomeWorker(now);
        }
    }

    private void becomeManager() throws IOException, CredentialException {
        LOG.info("This node is now to be a manager.");
        if (setup.managerJoined()) {
            startManager(new Start.Restart());
            return;
        }
        List<String> others = new ArrayList<>();
        for (Peer peer : known.all()) {
            if (!peer.getNodeId().equals(nodeId())) {
                others.add(peer.getAddr());
            }
        }
        if (others.isEmpty()) {
            throw new IOException("no other manager is known");
        }
        if (!new Enrolment(settings.version(), settings.clock(), random)
                .takesManagers(others.getFirst(), credentials.current())) {
            throw new IOException(Refusals.managedByDocker(nodeId()));
        }
        folder.deleteRaft();
        startManager(new Start.Join(others));
    }

    private void becomeWorker(Manager now) throws IOException, CredentialException {
        LOG.info("This node is a manager no longer.");
        setManager(null);
        managerReady = false;
        now.close();
        setup = setup.withManagerJoined(false);
        folder.saveSetup(setup);
        folder.deleteRaft();
        credentials.change(RaftKeys::withoutKeys);
        credentials.lockWith(null, 0);
        error = "";
    }

    /**
     * Encrypts the keys on disk as the cluster wants it. Only a cluster object newer than the one that the files follow
     * counts: after a restart the log is replayed, and with it what was wanted long ago. With a new unlock key the log
     * gets a new key too, because who read the old files has the old one.
     */
    private void followUnlockKey(Manager now)
            throws IOException, CredentialException, InterruptedException, ExecutionException, TimeoutException {
        Cluster cluster = now.local().cluster();
        if (cluster == null) {
            return;
        }
        long version = cluster.getMeta().getVersion().getIndex();
        UnlockKey wanted = null;
        for (EncryptionKey key : cluster.getUnlockKeysList()) {
            if (key.getSubsystem().equals(FirstManager.UNLOCK_SUBSYSTEM)) {
                wanted = new UnlockKey(key.getKey());
            }
        }
        if (version > credentials.current().keyEncryptionVersion()
                && !Objects.equals(wanted, credentials.unlockKey())) {
            credentials.lockWith(wanted, version);
            LOG.info(wanted == null ? "This manager is no longer locked." : "This manager is locked with a new key.");
            if (wanted != null && !credentials.current().secrets().containsKey(RaftKeys.PREVIOUS)) {
                credentials.change(current -> RaftKeys.withNewKey(current, random));
            }
        }
        if (credentials.current().secrets().containsKey(RaftKeys.PREVIOUS)) {
            now.rewriteLogWithCurrentKey().get(REWRITE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            credentials.change(RaftKeys::withoutPreviousKey);
        }
    }

    private synchronized void saveManagers() {
        List<Peer> now = known.all();
        if (now.equals(savedManagers)) {
            return;
        }
        try {
            folder.saveManagers(now);
            savedManagers = now;
        } catch (IOException e) {
            LOG.warn("The addresses of the managers cannot be saved: {}", e.getMessage());
        }
    }

    /** What the agent tells. */
    private final class FromAgent implements AgentListener {
        @Override
        public void registered() {
            registered.complete(null);
        }

        @Override
        public void message(SessionMessage message) {
            saveManagers();
        }

        @Override
        public void disconnected(boolean wasRegistered, Status status) {
            LOG.debug("session ended: {}", status);
        }
    }
}
