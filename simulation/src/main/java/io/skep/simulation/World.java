package io.skep.simulation;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.grpc.Context;
import io.skep.manager.ManagerSettings.Start;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.InitCluster;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.JoinTokens;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.Peer;
import io.skep.wire.RequestCertificate;
import io.skep.wire.RootCA;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.event.Level;

/**
 * One run: a cluster whose managers, dispatchers and agents are the real ones, in one thread and under virtual time.
 *
 * <p>A run has three parts. The cluster comes together. Then operators and bad luck do what the {@link Plan} says. Then
 * all that was broken is made good, and the cluster has {@link #GOAL_NANOS} to come to what is wanted of it; and
 * nothing may be left of what was. The rules of {@link Invariants} hold all the time.
 */
final class World {
    /** How long the cluster may take to be as it should be, once nothing bad happens any more. */
    static final long GOAL_NANOS = 150_000_000_000L;

    private static final long GOAL_CHECK_NANOS = 1_000_000_000L;
    private static final long REST_NANOS = 20_000_000_000L;
    private static final long JOIN_RETRY_NANOS = 1_000_000_000L;
    private static final int EVENTS_AT_ONCE_MAX = 200_000;

    /**
     * What became of a run.
     *
     * @param violation the rule that was broken, or null
     * @param nanos how long it lasted, in virtual time
     * @param fingerprint equal for equal runs
     * @param summary numbers about it
     */
    record Result(@Nullable Violation violation, long nanos, long events, long fingerprint, String summary) {}

    private final Plan plan;
    private final VirtualTime time = new VirtualTime();
    private final Verdict verdict = new Verdict();
    private final Trace trace;
    private final SimulatedNetwork network;
    private final Quorum quorum;
    private final Invariants invariants;
    private final Operators operators = new Operators(this);
    private final Faults faults = new Faults(this);
    private final Goal goal = new Goal(this);
    private final List<Board> boards = new ArrayList<>();
    private final Random random;
    private boolean calm;

    private World(Plan plan, @Nullable Consumer<String> out) {
        this.plan = plan;
        this.random = random("world");
        this.trace = new Trace(time, out);
        this.network = new SimulatedNetwork(time, random("network"));
        this.quorum = new Quorum(time, network, random("quorum"), trace, verdict);
        this.invariants = new Invariants(verdict, trace, time);
    }

    /** Runs a plan to its end, or to the first broken rule. */
    static Result run(Plan plan, @Nullable Consumer<String> out) {
        World world = new World(plan, out);
        SimulatedLogs.to(world.new Logs());
        try {
            return Context.ROOT.call(world::run);
        } catch (Exception e) {
            throw new IllegalStateException("the simulation of seed " + plan.seed() + " failed", e);
        } finally {
            SimulatedLogs.to(null);
        }
    }

    private Random random(String part) {
        return new Random(plan.seed() * 1_000_003 + part.hashCode());
    }

    Plan plan() {
        return plan;
    }

    VirtualTime time() {
        return time;
    }

    Verdict verdict() {
        return verdict;
    }

    Trace trace() {
        return trace;
    }

    SimulatedNetwork network() {
        return network;
    }

    Quorum quorum() {
        return quorum;
    }

    Invariants invariants() {
        return invariants;
    }

    /** Returns whether nothing bad happens any more. */
    boolean isCalm() {
        return calm;
    }

    List<Board> boards() {
        return boards;
    }

    @Nullable
    Board boardOf(String nodeId) {
        for (Board board : boards) {
            if (nodeId.equals(board.nodeId)) {
                return board;
            }
        }
        return null;
    }

    /** Returns the control planes that take commands. */
    List<Board.ManagerPart> managersThatRun() {
        List<Board.ManagerPart> found = new ArrayList<>();
        for (Board board : boards) {
            Board.ManagerPart manager = board.manager();
            if (manager != null && manager.store.state().cluster() != null) {
                found.add(manager);
            }
        }
        return found;
    }

    private Result run() {
        begin();
        for (Deed deed : plan.deeds()) {
            time.at(deed.atNanos(), () -> perform(deed));
        }
        runUntil(plan.faultsEndNanos());
        if (verdict.first() == null) {
            calmDown();
            try {
                reachGoal();
            } catch (Violation e) {
                trace.say("stop", "", e::getMessage);
            }
        }
        Violation violation = verdict.first();
        if (violation != null) {
            trace.say("BROKEN", "", violation::getMessage);
        }
        time.note(invariants.state().version());
        return new Result(
                violation,
                time.nanos(),
                time.happened(),
                time.fingerprint(),
                invariants.commits() + " commits, " + quorum.elections() + " elections, "
                        + operators.acknowledged() + " acknowledged, " + operators.refused() + " refused, "
                        + operators.unanswered() + " unanswered, " + operators.reads() + " reads");
    }

    private void begin() {
        for (int i = 0; i < plan.managers() + plan.workers(); i++) {
            boolean manager = i < plan.managers();
            String name = manager ? "m" + (i + 1) : "w" + (i - plan.managers() + 1);
            Host host = new Host(name, "10.0.0." + (i + 1), random.nextLong(1L << 50));
            network.add(host);
            boards.add(new Board(this, host, random("board " + name), random.nextInt(3) == 0 ? "aarch64" : "x86_64"));
        }
        Board first = boards.getFirst();
        first.bootstrap(new Start.Bootstrap(InitCluster.newBuilder()
                .setCluster(cluster())
                .setNode(Node.newBuilder()
                        .setId("m1")
                        .setSpec(NodeSpec.newBuilder().setDesiredRole(NodeRole.MANAGER))
                        .setDescription(first.description())
                        .setCertificate(Certificate.newBuilder()
                                .setRole(NodeRole.MANAGER)
                                .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED))))
                .build()));
        for (Board board : boards.subList(1, boards.size())) {
            boolean manager = board.name().startsWith("m");
            time.afterNanos(1_000_000_000L + random.nextInt(1_000_000_000), () -> join(board, manager));
        }
    }

    private Cluster cluster() {
        Cluster.Builder cluster = Cluster.newBuilder()
                .setId(Board.CLUSTER_ID)
                .setRootCa(RootCA.newBuilder()
                        .setCaCert(ByteString.copyFromUtf8("root"))
                        .setJoinTokens(JoinTokens.newBuilder()
                                .setWorker("SWMTKN-1-" + "0".repeat(50) + "-" + "w".repeat(25))
                                .setManager("SWMTKN-1-" + "0".repeat(50) + "-" + "m".repeat(25))));
        cluster.getSpecBuilder().getAnnotationsBuilder().setName("default");
        cluster.getSpecBuilder()
                .getDispatcherBuilder()
                .setHeartbeatPeriod(Duration.newBuilder().setSeconds(plan.heartbeatSeconds()));
        cluster.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(random.nextInt(4));
        return cluster.build();
    }

    /** Lets a machine join, however long it takes. */
    private void join(Board board, boolean asManager) {
        if (board.nodeId != null) {
            return;
        }
        List<Board.ManagerPart> managers = managersThatRun();
        int joins = board.joins;
        time.afterNanos(JOIN_RETRY_NANOS, () -> {
            if (board.joins == joins && board.nodeId == null) {
                join(board, asManager);
            }
        });
        if (managers.isEmpty()) {
            return;
        }
        Board.ManagerPart manager = managers.get(random.nextInt(managers.size()));
        var state = manager.store.state();
        Cluster cluster = state.cluster();
        if (cluster == null) {
            return;
        }
        String id = board.name() + (joins == 0 ? "" : "-" + joins);
        var tokens = cluster.getRootCa().getJoinTokens();
        operators.execute(
                manager,
                Command.newBuilder()
                        .setRequestId("join-" + id)
                        .setRequestCertificate(RequestCertificate.newBuilder()
                                .setCsr(ByteString.copyFromUtf8(id))
                                .setToken(asManager ? tokens.getManager() : tokens.getWorker())
                                .setSkep(true)
                                .setNewNodeId(id))
                        .build(),
                "JOIN " + id,
                () -> {
                    if (board.nodeId == null && board.joins == joins) {
                        board.joins++;
                        for (var member : manager.consensus.members()) {
                            board.known.observe(
                                    Peer.newBuilder()
                                            .setNodeId(member.nodeId())
                                            .setAddr(member.address())
                                            .build(),
                                    KNOWN_WEIGHT);
                        }
                        board.joined(id, asManager);
                    }
                });
    }

    private static final long KNOWN_WEIGHT = 10;

    private void perform(Deed deed) {
        if (deed.kind().isFault()) {
            faults.perform(deed);
        } else if (deed.kind() == Deed.Kind.JOIN_NODE) {
            for (Board board : boards) {
                if (isRemoved(board) && !board.isDown()) {
                    trace.say("joins", board.name(), () -> "after it was removed");
                    board.leave();
                    join(board, false);
                    return;
                }
            }
        } else {
            operators.perform(deed);
        }
    }

    private boolean isRemoved(Board board) {
        var cluster = invariants.state().cluster();
        return board.nodeId != null && cluster != null && cluster.containsBlacklistedCertificates(board.nodeId);
    }

    /** Ends all that is bad, but for a worker that may be lost for good. */
    private void calmDown() {
        trace.say("calm", "", () -> "everything is made good");
        calm = true;
        quorum.calm();
        network.mendAll();
        boolean losesOne = random.nextInt(3) == 0;
        for (Board board : boards) {
            board.host.diskDelayNanos = 0;
            board.goOn();
            Node node = board.nodeId == null ? null : invariants.state().nodes().get(board.nodeId);
            if (losesOne
                    && node != null
                    && node.getSpec().getDesiredRole() == NodeRole.WORKER
                    && !board.hasManagerCertificate()) {
                losesOne = false;
                trace.say("fault", board.name(), () -> "is lost for good");
                board.crash(true);
                board.lost = true;
            }
            board.comeBack();
        }
    }

    private void reachGoal() {
        long end = time.nanos() + GOAL_NANOS;
        long restFrom = -1;
        String missing = "";
        while (verdict.first() == null && time.nanos() < end) {
            runUntil(time.nanos() + GOAL_CHECK_NANOS);
            String now = goal.missing();
            if (now == null) {
                restFrom = restFrom < 0 ? time.nanos() : restFrom;
                if (time.nanos() - restFrom >= REST_NANOS) {
                    checkRest();
                    return;
                }
            } else {
                restFrom = -1;
                missing = now;
                String said = now;
                trace.say("missing", "", () -> said);
            }
        }
        if (verdict.first() == null) {
            var _ = verdict.broken(
                    "the wanted state is reached", "after " + GOAL_NANOS / 1_000_000_000L + " s: " + missing);
        }
    }

    private void checkRest() {
        for (Board board : boards) {
            Board.ManagerPart manager = board.manager();
            if (manager != null && verdict.first() == null) {
                invariants.requireInHistory(board.name(), manager.store.state());
                new Leaks(this).check(board.name(), manager);
                if (manager.consensus == quorum.leader()) {
                    new Leaks(this).checkMemory(board.name(), manager);
                }
            }
        }
    }

    private void runUntil(long end) {
        long at = -1;
        int count = 0;
        while (verdict.first() == null && time.step(end)) {
            count = time.nanos() == at ? count + 1 : 0;
            at = time.nanos();
            if (count > EVENTS_AT_ONCE_MAX) {
                var _ = verdict.broken("time goes on", "something happens again and again without time passing");
            }
        }
    }

    private final class Logs implements SimulatedLogs.Sink {
        @Override
        public boolean wants(Level level) {
            return level == Level.ERROR || (trace.isOn() && level.toInt() >= Level.INFO.toInt());
        }

        @Override
        public void logged(Level level, String logger, String text, @Nullable Throwable cause) {
            trace.say("log", "", () -> level + " " + logger + ": " + text);
            if (level == Level.ERROR) {
                verdict.unexpected(new IllegalStateException(logger + " logs an error: " + text, cause));
            }
        }
    }
}
