package io.skep.daemon.node;

import io.skep.agent.Enrolment;
import io.skep.agent.Enrolment.Enrolled;
import io.skep.agent.EnrolmentException;
import io.skep.agent.Executor;
import io.skep.agent.KnownManagers;
import io.skep.agent.LiveCredentials;
import io.skep.api.ApiException;
import io.skep.api.SwarmNode;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentialStore;
import io.skep.certs.NodeCredentialStore.Stored;
import io.skep.certs.NodeCredentials;
import io.skep.certs.UnlockKey;
import io.skep.control.CommandException;
import io.skep.daemon.node.SwarmAddresses.HostPort;
import io.skep.daemon.node.SwarmFolder.Setup;
import io.skep.manager.ClusterAccess;
import io.skep.manager.Manager;
import io.skep.manager.ManagerSettings.Start;
import io.skep.store.Consensus.Member;
import io.skep.wire.Peer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of this node: outside of any cluster, on its way into one, locked, or part of one; and the commands that
 * take it from one to the other.
 *
 * <p>Commands exclude each other. The phase is read without a lock, so that {@code docker info} answers while a command
 * runs. An attempt to join has a thread of its own, because it goes on when its caller no longer waits.
 */
public final class NodeRunner implements SwarmNode, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NodeRunner.class);
    private static final Duration COMMAND_PATIENCE = Duration.ofSeconds(20);
    private static final int DATA_PATH_PORT_DEFAULT = 4789;
    private static final int DATA_PATH_PORT_MIN = 1024;
    private static final int DATA_PATH_PORT_MAX = 49_151;

    private sealed interface Phase {
        /** In no cluster; says why when that is not by choice. */
        record Outside(String error) implements Phase {}

        record Joining(Attempt attempt) implements Phase {}

        record Locked() implements Phase {}

        record Inside(RunningNode node) implements Phase {}
    }

    /** An attempt to join, that goes on until it is done or the node is told to leave. */
    private static final class Attempt {
        private final CompletableFuture<Void> done = new CompletableFuture<>();
        private volatile @Nullable Thread thread;

        /** Nobody waits for the outcome any more, so the status has to tell it. */
        private volatile boolean abandoned;

        void awaitEnd(long nanos) throws InterruptedException {
            try {
                done.get(nanos, TimeUnit.NANOSECONDS);
            } catch (TimeoutException | ExecutionException e) {
                LOG.trace("not joined yet", e);
            }
        }
    }

    private final NodeSettings settings;
    private final SwarmFolder folder;
    private final SecureRandom random = new SecureRandom();
    private final ReentrantLock commands = new ReentrantLock();
    private volatile Phase phase = new Phase.Outside("");

    public NodeRunner(NodeSettings settings) {
        this.settings = settings;
        this.folder = new SwarmFolder(settings.dataRoot());
    }

    /**
     * Takes up what the node was when the daemon last ran. Returns at once; whatever stands in the way is in the
     * status.
     */
    public void start() {
        commands.lock();
        try {
            switch (folder.credentials().load(null)) {
                case Stored.Nothing nothing -> phase = new Phase.Outside("");
                case Stored.Locked locked -> {
                    LOG.warn(Refusals.lockedText());
                    phase = new Phase.Locked();
                }
                case Stored.Ready ready -> resume(ready.credentials(), null);
            }
        } catch (IOException | CredentialException e) {
            LOG.error("This node cannot go on as part of its swarm: {}", e.getMessage());
            phase = new Phase.Outside(String.valueOf(e.getMessage()));
        } finally {
            commands.unlock();
        }
    }

    private void resume(NodeCredentials credentials, @Nullable UnlockKey unlockKey)
            throws IOException, CredentialException {
        Setup setup = folder.setup()
                .orElseThrow(() -> new IOException("how this node was set up is not known: skep-state.json is missing"
                        + " in its folder; restore it, or leave the swarm with --force and join again"));
        Whereabouts where = whereabouts(setup);
        KnownManagers known = new KnownManagers(random);
        for (Peer peer : folder.managers()) {
            known.observe(peer, KnownManagers.WEIGHT_GOOD);
        }
        for (String hint : settings.managerHints()) {
            known.observe(Peer.newBuilder().setAddr(hint).build(), KnownManagers.WEIGHT_GOOD);
        }
        RunningNode node = new RunningNode(
                settings,
                folder,
                live(credentials, unlockKey),
                known,
                where.setup(),
                where.listen(),
                where.advertise());
        phase = new Phase.Inside(node);
        // Calls that come now wait for the other managers instead of hearing that this is none.
        node.resumeManager();
        node.run();
    }

    private LiveCredentials live(NodeCredentials credentials, @Nullable UnlockKey unlockKey) {
        return new LiveCredentials(folder.credentials(), credentials, unlockKey, settings.clock());
    }

    private record Whereabouts(Setup setup, HostPort listen, HostPort advertise) {}

    /**
     * Finds the addresses to use now. A machine that no longer has the address it advertised has moved, and advertises
     * the one it has.
     */
    private Whereabouts whereabouts(Setup setup) throws IOException {
        SwarmAddresses addresses = SwarmAddresses.ofMachine();
        HostPort listen = addresses.listen(setup.listenAddress());
        HostPort advertise = addresses.advertise(setup.advertiseAddress(), "", listen);
        boolean moved = setup.advertiseIsLocal() && !SwarmAddresses.isLocal(advertise.host());
        HostPort wildcard = new HostPort(new InetSocketAddress(0).getAddress(), advertise.port());
        try {
            if (!settings.advertiseAddress().isEmpty()) {
                advertise = addresses.advertise(settings.advertiseAddress(), "", wildcard);
            } else if (moved) {
                advertise = addresses.advertise("", settings.defaultAdvertiseAddress(), wildcard);
                LOG.info("This machine has moved from {} to {}.", setup.advertiseAddress(), advertise);
            }
        } catch (ApiException e) {
            LOG.warn(
                    "This node goes on advertising {}, which may be wrong: {}",
                    setup.advertiseAddress(),
                    e.getMessage());
        }
        if (!listen.host().isAnyLocalAddress() && !SwarmAddresses.isLocal(listen.host())) {
            listen = new HostPort(advertise.host(), listen.port());
        }
        Setup now = setup.withAdvertise(advertise.toString(), SwarmAddresses.isLocal(advertise.host()));
        if (!now.equals(setup)) {
            folder.saveSetup(now);
        }
        return new Whereabouts(now, listen, advertise);
    }

    @Override
    public Status status() {
        return switch (phase) {
            case Phase.Outside outside ->
                new Status(
                        outside.error().isEmpty() ? LocalState.INACTIVE : LocalState.ERROR,
                        "",
                        "",
                        false,
                        outside.error(),
                        List.of());
            case Phase.Joining joining -> new Status(LocalState.PENDING, "", "", false, "", List.of());
            case Phase.Locked locked -> new Status(LocalState.LOCKED, "", "", false, Refusals.lockedText(), List.of());
            case Phase.Inside inside -> {
                RunningNode node = inside.node();
                LocalState state = !node.error().isEmpty()
                        ? LocalState.ERROR
                        : node.registered().isDone() || node.managerReady() ? LocalState.ACTIVE : LocalState.PENDING;
                yield new Status(
                        state,
                        node.nodeId(),
                        node.advertisedHost(),
                        node.managerReady(),
                        node.error(),
                        node.remoteManagers());
            }
        };
    }

    @Override
    public @Nullable ClusterAccess cluster() {
        return phase instanceof Phase.Inside inside ? inside.node().manager() : null;
    }

    @Override
    public @Nullable ClusterAccess awaitCluster(Duration patience) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        if (phase instanceof Phase.Joining joining) {
            joining.attempt().awaitEnd(end - System.nanoTime());
        }
        return phase instanceof Phase.Inside inside ? inside.node().awaitManager(end - System.nanoTime()) : null;
    }

    @Override
    public String init(InitRequest request) {
        commands.lock();
        try {
            return switch (phase) {
                case Phase.Outside outside -> found(request);
                case Phase.Inside inside
                when request.forceNewCluster() && inside.node().isManager() -> foundAgain(inside.node(), request);
                case Phase.Locked locked when request.forceNewCluster() -> throw Refusals.locked();
                case Phase.Inside inside -> throw Refusals.alreadyPart();
                case Phase.Joining joining -> throw Refusals.alreadyPart();
                case Phase.Locked locked -> throw Refusals.alreadyPart();
            };
        } finally {
            commands.unlock();
        }
    }

    private String found(InitRequest request) {
        InitRequest complete = withDataPathPort(request);
        SwarmAddresses addresses = SwarmAddresses.ofMachine();
        HostPort listen = addresses.listen(request.listenAddress());
        HostPort advertise =
                addresses.advertise(request.advertiseAddress(), settings.defaultAdvertiseAddress(), listen);
        String dataPath = addresses
                .dataPath(request.dataPathAddress())
                .map(InetAddress::getHostAddress)
                .orElse("");
        RunningNode node = null;
        boolean done = false;
        try {
            folder.delete();
            FirstManager first = FirstManager.create(complete, settings.clock().instant(), random);
            folder.credentials().save(first.credentials(), first.unlockKey());
            Setup setup = new Setup(
                    listen.toString(), advertise.toString(), SwarmAddresses.isLocal(advertise.host()), dataPath, false);
            folder.saveSetup(setup);
            KnownManagers known = new KnownManagers(random);
            known.observe(
                    Peer.newBuilder()
                            .setNodeId(first.credentials().identity().nodeId())
                            .setAddr(advertise.toString())
                            .build(),
                    KnownManagers.WEIGHT_GOOD);
            node = new RunningNode(
                    settings, folder, live(first.credentials(), first.unlockKey()), known, setup, listen, advertise);
            node.startManager(new Start.Bootstrap(first.cluster()));
            if (!node.awaitManagerReady(COMMAND_PATIENCE)) {
                throw new ApiException(500, "the first manager did not begin to work within 20 s; see the log");
            }
            node.run();
            phase = new Phase.Inside(node);
            done = true;
            awaitRegistered(node);
            return node.nodeId();
        } catch (CommandException e) {
            throw Refusals.of(e);
        } catch (CredentialException e) {
            throw new ApiException(400, String.valueOf(e.getMessage()));
        } catch (IOException e) {
            throw managerFailed(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ApiException(500, "the daemon stops");
        } finally {
            if (!done) {
                if (node != null) {
                    node.close();
                }
                deleteFolder();
            }
        }
    }

    private static ApiException managerFailed(IOException e) {
        return new ApiException(500, "manager stopped: " + e.getMessage());
    }

    private static InitRequest withDataPathPort(InitRequest request) {
        int port = request.dataPathPort() == 0 ? DATA_PATH_PORT_DEFAULT : request.dataPathPort();
        if (port < DATA_PATH_PORT_MIN || port > DATA_PATH_PORT_MAX) {
            throw new ApiException(400, "Datapath port number is not in valid range (1024-49151) : " + port);
        }
        return new InitRequest(
                request.listenAddress(),
                request.advertiseAddress(),
                request.dataPathAddress(),
                port,
                request.forceNewCluster(),
                request.spec(),
                request.autoLockManagers(),
                request.availability(),
                request.defaultAddressPools(),
                request.subnetSize());
    }

    /** Makes this manager the only one of its cluster, with all the state that it has. */
    private String foundAgain(RunningNode before, InitRequest request) {
        try {
            Setup setup = folder.setup().orElseThrow(() -> new IOException("skep-state.json is missing"));
            SwarmAddresses addresses = SwarmAddresses.ofMachine();
            HostPort listen = addresses.listen(
                    request.listenAddress().isEmpty() ? setup.listenAddress() : request.listenAddress());
            HostPort advertise = addresses.advertise(
                    request.advertiseAddress().isEmpty() ? setup.advertiseAddress() : request.advertiseAddress(),
                    "",
                    listen);
            UnlockKey unlockKey = before.unlockKey();
            before.close();
            NodeCredentials credentials = switch (folder.credentials().load(unlockKey)) {
                case Stored.Ready ready -> ready.credentials();
                case Stored.Nothing nothing -> throw new IOException("the certificate of this node is gone");
                case Stored.Locked locked -> throw new IOException("the key of this node is locked");
            };
            Setup next = new Setup(
                    listen.toString(),
                    advertise.toString(),
                    SwarmAddresses.isLocal(advertise.host()),
                    setup.dataPathAddress(),
                    true);
            folder.saveSetup(next);
            KnownManagers known = new KnownManagers(random);
            known.observe(
                    Peer.newBuilder()
                            .setNodeId(credentials.identity().nodeId())
                            .setAddr(advertise.toString())
                            .build(),
                    KnownManagers.WEIGHT_GOOD);
            RunningNode node =
                    new RunningNode(settings, folder, live(credentials, unlockKey), known, next, listen, advertise);
            phase = new Phase.Inside(node);
            try {
                node.startManager(new Start.ForceNewCluster());
                if (!node.awaitManagerReady(COMMAND_PATIENCE)) {
                    throw new ApiException(500, "the manager did not begin to work within 20 s; see the log");
                }
            } finally {
                node.run();
            }
            awaitRegistered(node);
            return node.nodeId();
        } catch (CommandException e) {
            throw Refusals.of(e);
        } catch (CredentialException e) {
            throw new ApiException(500, String.valueOf(e.getMessage()));
        } catch (IOException e) {
            throw managerFailed(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ApiException(500, "the daemon stops");
        }
    }

    private static boolean awaitRegistered(RunningNode node) throws InterruptedException {
        try {
            node.registered().get(COMMAND_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException | ExecutionException e) {
            LOG.warn("No manager accepted this node within 20 s; it goes on trying.");
            return false;
        }
    }

    @Override
    public void join(JoinRequest request) {
        Attempt attempt = new Attempt();
        commands.lock();
        try {
            if (!(phase instanceof Phase.Outside)) {
                throw Refusals.alreadyPart();
            }
            if (request.remoteAddresses().isEmpty()) {
                throw new ApiException(400, "at least 1 RemoteAddr is required to join");
            }
            SwarmAddresses addresses = SwarmAddresses.ofMachine();
            HostPort listen = addresses.listen(request.listenAddress().isEmpty() ? "0.0.0.0" : request.listenAddress());
            // Without a word, and listening everywhere, it is the address that the way to the manager leads from.
            Optional<HostPort> advertise = request.advertiseAddress().isEmpty()
                            && settings.defaultAdvertiseAddress().isEmpty()
                            && listen.host().isAnyLocalAddress()
                    ? Optional.empty()
                    : Optional.of(addresses.advertise(
                            request.advertiseAddress(), settings.defaultAdvertiseAddress(), listen));
            String dataPath = addresses
                    .dataPath(request.dataPathAddress())
                    .map(InetAddress::getHostAddress)
                    .orElse("");
            folder.delete();
            phase = new Phase.Joining(attempt);
            attempt.thread = Thread.ofVirtual()
                    .name("node-join")
                    .start(() -> run(attempt, request, listen, advertise, dataPath));
        } catch (IOException e) {
            throw new ApiException(500, "what is left of a former swarm cannot be removed: " + e.getMessage());
        } finally {
            commands.unlock();
        }
        try {
            attempt.done.get(COMMAND_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            attempt.abandoned = true;
            throw Refusals.joinTimeout();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof ApiException refusal) {
                throw refusal;
            }
            throw new ApiException(500, String.valueOf(e.getCause()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ApiException(500, "the daemon stops");
        }
    }

    private void run(
            Attempt attempt, JoinRequest request, HostPort listen, Optional<HostPort> advertise, String dataPath) {
        RunningNode node = null;
        try {
            String remote = request.remoteAddresses().getFirst();
            Enrolment enrolment = new Enrolment(settings.version(), settings.clock(), random);
            Enrolled enrolled = enrolment.enrol(remote, request.joinToken(), request.availability());
            HostPort advertised = advertise.orElseGet(
                    () -> new HostPort(SwarmAddresses.towards(Enrolment.address(remote)), listen.port()));
            node = enter(enrolment, enrolled, remote, listen, advertised, dataPath);
            phase = new Phase.Inside(node);
            awaitRegistered(node);
            attempt.done.complete(null);
        } catch (EnrolmentException e) {
            fail(attempt, node, Refusals.of(e));
        } catch (CommandException e) {
            fail(attempt, node, Refusals.of(e));
        } catch (ApiException e) {
            fail(attempt, node, e);
        } catch (CredentialException | IOException e) {
            fail(attempt, node, new ApiException(500, String.valueOf(e.getMessage())));
        } catch (InterruptedException e) {
            fail(attempt, node, new ApiException(503, "the node was told to leave before it had joined"));
        }
    }

    private RunningNode enter(
            Enrolment enrolment, Enrolled enrolled, String remote, HostPort listen, HostPort advertise, String dataPath)
            throws IOException, CredentialException, InterruptedException {
        NodeCredentials credentials = enrolled.credentials().withKeyEncryptionVersion(enrolled.unlockKeyVersion());
        if (credentials.identity().isManager() && !enrolment.takesManagers(remote, credentials)) {
            throw new ApiException(
                    400, Refusals.managedByDocker(credentials.identity().nodeId()));
        }
        folder.credentials().save(credentials, enrolled.unlockKey());
        Setup setup = new Setup(
                listen.toString(), advertise.toString(), SwarmAddresses.isLocal(advertise.host()), dataPath, false);
        folder.saveSetup(setup);
        KnownManagers known = new KnownManagers(random);
        known.observe(Peer.newBuilder().setAddr(SwarmAddresses.withPort(remote)).build(), KnownManagers.WEIGHT_GOOD);
        folder.saveManagers(known.all());
        RunningNode node = new RunningNode(
                settings, folder, live(credentials, enrolled.unlockKey()), known, setup, listen, advertise);
        if (!node.isManager()) {
            node.run();
            return node;
        }
        boolean done = false;
        try {
            node.startManager(new Start.Join(List.of(SwarmAddresses.withPort(remote))));
            while (!node.awaitManagerReady(COMMAND_PATIENCE)) {
                LOG.info("Still waiting to be taken into the quorum.");
            }
            node.run();
            done = true;
            return node;
        } finally {
            if (!done) {
                node.close();
            }
        }
    }

    private void fail(Attempt attempt, @Nullable RunningNode node, ApiException refusal) {
        LOG.warn("This node could not join: {}", refusal.getMessage());
        if (node != null) {
            node.close();
        }
        deleteFolder();
        if (phase instanceof Phase.Joining joining && joining.attempt() == attempt) {
            phase = new Phase.Outside(attempt.abandoned ? String.valueOf(refusal.getMessage()) : "");
        }
        attempt.done.completeExceptionally(refusal);
    }

    private void deleteFolder() {
        try {
            folder.delete();
        } catch (IOException e) {
            LOG.warn("What is left of the swarm cannot be removed: {}", e.getMessage());
        }
    }

    @Override
    public void leave(boolean force) {
        commands.lock();
        try {
            switch (phase) {
                case Phase.Outside outside -> {
                    if (outside.error().isEmpty()) {
                        throw Refusals.notPart();
                    }
                }
                case Phase.Joining joining -> stop(joining.attempt());
                case Phase.Locked locked -> {
                    if (!force) {
                        throw Refusals.leaveLocked();
                    }
                }
                case Phase.Inside inside -> {
                    if (inside.node().isManager()) {
                        leaveAsManager(inside.node(), force);
                    }
                    inside.node().close();
                }
            }
            removeTasks();
            folder.delete();
            phase = new Phase.Outside("");
        } catch (IOException e) {
            throw new ApiException(500, "what is left of the swarm cannot be removed: " + e.getMessage());
        } finally {
            commands.unlock();
        }
    }

    private void stop(Attempt attempt) {
        Thread thread = attempt.thread;
        if (thread == null) {
            return;
        }
        thread.interrupt();
        try {
            thread.join(COMMAND_PATIENCE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (phase instanceof Phase.Inside inside) {
            inside.node().close();
        }
    }

    /** What runs for a swarm ends with the membership. */
    private void removeTasks() {
        Executor executor = settings.executor();
        if (executor == null) {
            return;
        }
        try {
            executor.removeAll();
        } catch (IOException | RuntimeException e) {
            LOG.error(
                    "Containers of the swarm are left; remove those with the label com.docker.swarm.task: {}",
                    e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void leaveAsManager(RunningNode node, boolean force) {
        if (!force) {
            Manager manager = node.manager();
            if (manager == null || !node.managerReady()) {
                throw Refusals.leavingLostManager();
            }
            List<Member> members = manager.members();
            long reachable = members.stream()
                    .filter(member -> member.leader()
                            || member.reachable()
                            || member.nodeId().equals(node.nodeId()))
                    .count();
            throw Refusals.leavingManager(reachable, members.size() - reachable);
        }
        node.stopAgent();
        node.leaveQuorum();
    }

    @Override
    public void unlock(String key) {
        commands.lock();
        try {
            if (!(phase instanceof Phase.Locked)) {
                throw Refusals.notLocked();
            }
            UnlockKey parsed = UnlockKey.parse(key);
            NodeCredentialStore store = folder.credentials();
            switch (store.load(parsed)) {
                case Stored.Ready ready -> resume(ready.credentials(), parsed);
                case Stored.Locked locked -> throw Refusals.wrongUnlockKey();
                case Stored.Nothing nothing -> throw new ApiException(500, "the certificate of this node is gone");
            }
            if (phase instanceof Phase.Inside inside) {
                awaitRegistered(inside.node());
            }
        } catch (CredentialException e) {
            throw Refusals.wrongUnlockKey();
        } catch (IOException e) {
            throw new ApiException(500, String.valueOf(e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            commands.unlock();
        }
    }

    /** Stops in good order; the node is the same when the daemon starts again. */
    @Override
    public void close() {
        commands.lock();
        try {
            switch (phase) {
                case Phase.Inside inside -> inside.node().close();
                case Phase.Joining joining -> stop(joining.attempt());
                case Phase.Outside outside -> LOG.debug("nothing to stop");
                case Phase.Locked locked -> LOG.debug("nothing to stop");
            }
            phase = new Phase.Outside("");
        } finally {
            commands.unlock();
        }
    }
}
