package io.skep.simulation;

import io.grpc.Attributes;
import io.skep.agent.AgentCore;
import io.skep.agent.AgentListener;
import io.skep.agent.AgentPorts;
import io.skep.agent.KnownManagers;
import io.skep.agent.ManagerTransport;
import io.skep.agent.OwnManager;
import io.skep.certs.NodeIdentity;
import io.skep.manager.Caller;
import io.skep.manager.ControlPlane;
import io.skep.manager.ManagerPorts;
import io.skep.manager.ManagerSettings.Start;
import io.skep.store.Store;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.EngineDescription;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.Peer;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.Resources;
import io.skep.wire.SessionMessage;
import io.skep.wire.Task;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * One machine of a simulated cluster with the daemon on it: an agent, and a control plane while the node is a manager.
 * What is on its disk outlives the daemon: who it is, which managers it knows, its part of the log.
 */
final class Board {
    static final String CLUSTER_ID = "cluster";
    private static final int PORT = 2377;
    private static final String SKEP_LABEL = "io.skep.version";

    private final World world;
    private final Random random;
    final Host host;
    final KnownManagers known;
    private final String architecture;

    /** Its id in the cluster, or null while it has none. */
    @Nullable
    String nodeId;

    int joins;
    private @Nullable LogDisk disk;
    private @Nullable ManagerPart manager;
    private @Nullable AgentPart agent;

    /** What its certificate says. */
    private boolean hasManagerCertificate;

    /** True while it is off, or its daemon is. */
    private boolean down;

    /** True when it will not come back. */
    boolean lost;

    Board(World world, Host host, Random random, String architecture) {
        this.world = world;
        this.host = host;
        this.random = random;
        this.architecture = architecture;
        this.known = new KnownManagers(random);
    }

    String name() {
        return host.name();
    }

    String managerAddress() {
        return host.address() + ":" + PORT;
    }

    @Nullable
    ManagerPart manager() {
        return manager;
    }

    @Nullable
    AgentPart agent() {
        return agent;
    }

    boolean isDown() {
        return down;
    }

    boolean hasManagerCertificate() {
        return hasManagerCertificate;
    }

    /** The control plane, as it runs. */
    final class ManagerPart {
        final SimulatedProcess process;
        final Store store = new Store();
        final SimulatedConsensus consensus;
        final SimulatedExecutor executor;
        final SimulatedExecutor control;
        final SimulatedServer server;
        final ControlPlane plane;
        private final Map<String, SimulatedChannel> peers = new HashMap<>();

        ManagerPart(String self, LogDisk log) {
            process = new SimulatedProcess(world.time(), host, world.verdict()::unexpected);
            consensus = new SimulatedConsensus(
                    world.quorum(),
                    self,
                    managerAddress(),
                    log,
                    process,
                    new CheckedMachine(name(), store, world.invariants()),
                    world.plan().snapshotEntries());
            executor = SimulatedExecutor.ofThreads(process, random);
            control = SimulatedExecutor.serial(process);
            plane = new ControlPlane(
                    new ManagerPorts(
                            consensus,
                            store,
                            new SimulatedIds(random),
                            process,
                            process.ticker(),
                            executor,
                            control,
                            (nodeIdOfPeer, address) -> peers.computeIfAbsent(
                                    nodeIdOfPeer + " " + address,
                                    key -> new SimulatedChannel(
                                            world.network(),
                                            process,
                                            address,
                                            () -> identity(),
                                            world.plan().serialised()))),
                    CLUSTER_ID,
                    managerAddress());
            server = new SimulatedServer(
                    world.network(), process, plane.services(), world.plan().serialised(), this::sent);
        }

        private void sent(Attributes to, Object message) {
            Caller caller = to.get(Caller.ATTRIBUTE);
            if (message instanceof AssignmentsMessage assignments && caller != null) {
                world.invariants().told(name(), store.state(), caller.identity().nodeId(), assignments);
            }
        }

        String name() {
            return host.name();
        }

        void start(Start start) {
            world.network().listen(managerAddress(), process, server);
            process.run(() -> plane.start(start));
        }

        void end() {
            process.run(plane::close);
            world.network().unlisten(managerAddress(), process);
            consensus.crash(false);
            process.kill();
            world.network().killed(process);
        }
    }

    /** The agent, as it runs. */
    final class AgentPart implements AgentListener, SimulatedRunner.Witness {
        final SimulatedProcess process;
        final SimulatedRunner runner;
        final SimulatedExecutor serial;
        private final AgentCore core;
        private final String self;

        AgentPart(String self) {
            this.self = self;
            process = new SimulatedProcess(world.time(), host, world.verdict()::unexpected);
            runner = new SimulatedRunner(process, random, this, world.verdict(), world::isCalm);
            serial = SimulatedExecutor.serial(process);
            core = new AgentCore(
                    known,
                    new Own(),
                    Board.this::description,
                    runner,
                    this,
                    new AgentPorts(serial, process.ticker(), random, this::open));
        }

        private ManagerTransport.Connection open(String address) {
            return ManagerTransport.Connection.of(new SimulatedChannel(
                    world.network(),
                    process,
                    address,
                    Board.this::identity,
                    world.plan().serialised()));
        }

        void start() {
            process.run(core::start);
        }

        @Override
        public void registered() {
            world.trace().say("session", name(), () -> "registered");
        }

        @Override
        public void message(SessionMessage message) {
            if (message.hasNode()) {
                NodeRole role = message.getNode().getRole();
                boolean other = (role == NodeRole.MANAGER) != hasManagerCertificate;
                if (other && role == message.getNode().getSpec().getDesiredRole()) {
                    world.time().afterNanos(random.nextInt(800_000_000), () -> process.run(this::renewCertificate));
                }
            }
        }

        @Override
        public void disconnected(boolean wasRegistered, io.grpc.Status status) {
            world.trace().say("session", name(), () -> "ended: " + status.getCode() + " " + status.getDescription());
        }

        @Override
        public void assigned(Task task) {
            if (!task.getNodeId().equals(self)) {
                throw world.verdict().broken("placement", name() + " is told to run a task of " + task.getNodeId());
            }
        }

        @Override
        public void starts(Task task) {
            world.invariants().starts(self, task);
        }

        @Override
        public void ends(String taskId) {
            world.invariants().ends(self, taskId);
        }

        @Override
        public void misses(Task task, String dependency) {
            world.invariants().misses(self, task, dependency);
        }

        /** Stands for a new certificate: its role is that of the newest state, however old the word was to get one. */
        private void renewCertificate() {
            Node node = world.invariants().state().nodes().get(self);
            if (node == null || node.getRole() != node.getSpec().getDesiredRole()) {
                return;
            }
            boolean wanted = node.getRole() == NodeRole.MANAGER;
            if (wanted == hasManagerCertificate) {
                return;
            }
            hasManagerCertificate = wanted;
            world.trace().say("role", name(), () -> wanted ? "becomes a manager" : "is a worker from now on");
            if (wanted) {
                disk = new LogDisk();
                startManager();
            } else {
                endManager();
                disk = null;
            }
            core.renewSession();
        }

        void end() {
            process.run(() -> {
                var _ = core.stop();
            });
            runner.crash();
            process.kill();
            world.network().killed(process);
        }
    }

    private Attributes identity() {
        String self = nodeId;
        if (self == null) {
            return Attributes.EMPTY;
        }
        return Attributes.newBuilder()
                .set(
                        Caller.ATTRIBUTE,
                        new Caller(
                                new NodeIdentity(
                                        self, hasManagerCertificate ? NodeRole.MANAGER : NodeRole.WORKER, CLUSTER_ID),
                                host.address()))
                .build();
    }

    private final class Own implements OwnManager {
        @Override
        public @Nullable Peer peer() {
            String self = nodeId;
            return manager == null || self == null
                    ? null
                    : Peer.newBuilder()
                            .setNodeId(self)
                            .setAddr(managerAddress())
                            .build();
        }

        @Override
        public List<Peer> others() {
            ManagerPart now = manager;
            return now == null
                    ? List.of()
                    : now.consensus.members().stream()
                            .filter(member -> !member.nodeId().equals(nodeId))
                            .map(member -> Peer.newBuilder()
                                    .setNodeId(member.nodeId())
                                    .setAddr(member.address())
                                    .build())
                            .toList();
        }
    }

    NodeDescription description() {
        return NodeDescription.newBuilder()
                .setHostname(name())
                .setPlatform(Platform.newBuilder().setOs("linux").setArchitecture(architecture))
                .setResources(Resources.newBuilder().setNanoCpus(4_000_000_000L).setMemoryBytes(8L << 30))
                .setEngine(EngineDescription.newBuilder()
                        .setEngineVersion("28.0.0")
                        .putLabels(SKEP_LABEL, "1")
                        .addPlugins(PluginDescription.newBuilder()
                                .setType("Network")
                                .setName("overlay"))
                        .addPlugins(
                                PluginDescription.newBuilder().setType("Volume").setName("local")))
                .build();
    }

    /** Begins the cluster as its first manager. */
    void bootstrap(Start.Bootstrap start) {
        nodeId = start.cluster().getNode().getId();
        joins = 1;
        hasManagerCertificate = true;
        disk = new LogDisk();
        ManagerPart made = new ManagerPart(start.cluster().getNode().getId(), disk);
        manager = made;
        made.consensus.bootstrap();
        made.start(start);
        startAgent();
    }

    /** The cluster took it in. */
    void joined(String id, boolean asManager) {
        nodeId = id;
        hasManagerCertificate = asManager;
        disk = asManager ? new LogDisk() : null;
        if (!down) {
            startDaemon();
        }
    }

    private void startDaemon() {
        startManager();
        startAgent();
    }

    private void startAgent() {
        String self = nodeId;
        if (self != null && agent == null) {
            AgentPart made = new AgentPart(self);
            agent = made;
            made.start();
        }
    }

    private void startManager() {
        String self = nodeId;
        LogDisk log = disk;
        if (!hasManagerCertificate || self == null || log == null || manager != null) {
            return;
        }
        ManagerPart made = new ManagerPart(self, log);
        manager = made;
        boolean member = log.members().stream().anyMatch(each -> each.nodeId().equals(self) && each.voter());
        List<String> others = known.all().stream()
                .map(Peer::getAddr)
                .filter(address -> !address.equals(managerAddress()))
                .toList();
        made.start(member || others.isEmpty() ? new Start.Restart() : new Start.Join(others));
    }

    private void endManager() {
        if (manager != null) {
            manager.end();
            manager = null;
        }
    }

    /** The cluster removed the node: nothing of it is left but the machine. */
    void leave() {
        endManager();
        if (agent != null) {
            agent.end();
            agent = null;
        }
        disk = null;
        nodeId = null;
        hasManagerCertificate = false;
    }

    /** Ends the daemon without warning; with the power, what was not synchronised is lost. */
    void crash(boolean power) {
        if (down) {
            return;
        }
        down = true;
        if (power) {
            host.up = false;
        }
        if (manager != null) {
            manager.consensus.crash(power);
            manager.process.kill();
            world.network().killed(manager.process);
            manager = null;
        }
        if (agent != null) {
            agent.runner.crash();
            agent.process.kill();
            world.network().killed(agent.process);
            agent = null;
        }
    }

    void comeBack() {
        if (!down || lost) {
            return;
        }
        down = false;
        host.up = true;
        world.network().resumeAll();
        startDaemon();
    }

    void standStill() {
        host.processes.forEach(SimulatedProcess::stop);
        world.network().suspectAll();
    }

    void goOn() {
        List.copyOf(host.processes).forEach(SimulatedProcess::resume);
        world.network().resumeAll();
    }

    @Override
    public String toString() {
        return name();
    }
}
