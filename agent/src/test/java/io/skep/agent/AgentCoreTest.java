package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.grpc.Status;
import io.skep.wire.Assignment;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.Config;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import io.skep.wire.NodeDescription;
import io.skep.wire.Peer;
import io.skep.wire.Secret;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusResponse;
import io.skep.wire.WeightedPeer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledExecutorService;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The agent in one thread, under virtual time. */
class AgentCoreTest {
    private static final Peer MANAGER = peer("m1", "10.0.0.1:2377");
    private static final Peer OWN = peer("m2", "127.0.0.1:2377");

    private final VirtualTime time = new VirtualTime();
    private final VirtualTime.Life life = time.life();
    private final ScriptedManager manager = new ScriptedManager(time);
    private final List<String> told = new ArrayList<>();
    private final Tasks tasks = new Tasks();
    private String hostname = "board";
    private @Nullable Peer preferred;
    private List<Peer> heardOf = List.of();
    private final AgentCore agent = agent(1);

    @Test
    void registersOpensItsStreamsAndBeatsAsTheManagerWishes() {
        agent.start();
        time.settle();
        assertThat(manager.last("Session").request(SessionRequest.class).getSessionId())
                .isEmpty();
        accept("s1");
        assertThat(told).containsExactly("registered", "message");
        assertThat(manager.last("Assignments").request(AssignmentsRequest.class).getSessionId())
                .isEqualTo("s1");
        assertThat(manager.all("ListenSubscriptions")).hasSize(1);
        manager.last("Heartbeat").answer(period(Duration.ofSeconds(4)));
        time.pass(Duration.ofMillis(3_999));
        assertThat(manager.all("Heartbeat")).hasSize(1);
        time.pass(Duration.ofMillis(1));
        assertThat(manager.all("Heartbeat")).hasSize(2);
        assertThat(manager.last("Heartbeat").request(HeartbeatRequest.class).getSessionId())
                .isEqualTo("s1");
    }

    @Test
    void takesUpItsTasksOnceAndBeforeAnyManagerIsCalled() {
        agent.start();
        time.settle();
        agent.start();
        time.settle();
        assertThat(tasks.connectionsAtStart).containsExactly(0);
    }

    @Test
    void doesNotBeatFasterThanTenTimesASecond() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("Heartbeat").answer(period(Duration.ZERO));
        time.pass(Duration.ofMillis(99));
        assertThat(manager.all("Heartbeat")).hasSize(1);
        time.pass(Duration.ofMillis(1));
        assertThat(manager.all("Heartbeat")).hasSize(2);
    }

    @Test
    void goesOnWhenAManagerDoesNotAcceptItInTime() {
        agent.start();
        time.pass(Duration.ofSeconds(5));
        assertThat(told).containsExactly("disconnected DEADLINE_EXCEEDED");
        time.pass(Duration.ofMillis(100));
        assertThat(manager.all("Session")).hasSize(2);
        assertThat(manager.openConnections()).isEqualTo(1);
    }

    @Test
    void endsTheSessionWhenAHeartbeatIsNotAnswered() {
        agent.start();
        time.settle();
        accept("s1");
        ScriptedManager.Call assignments = manager.last("Assignments");
        time.pass(Duration.ofSeconds(5));
        assertThat(told).endsWith("disconnected DEADLINE_EXCEEDED");
        assertThat(assignments.isOver()).isTrue();
        time.pass(Duration.ofMillis(100));
        assertThat(manager.last("Session").request(SessionRequest.class).getSessionId())
                .isEqualTo("s1");
    }

    @Test
    void offersAStaleSessionOnlyOnce() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("Heartbeat").end(Status.INVALID_ARGUMENT.withDescription("session invalid"));
        time.pass(Duration.ofMillis(100));
        assertThat(manager.last("Session").request(SessionRequest.class).getSessionId())
                .isEmpty();
    }

    @Test
    void endsTheSessionWithAnyOfItsStreams() {
        for (String method : List.of("Session", "Assignments", "ListenSubscriptions")) {
            agent.start();
            time.pass(Duration.ofMillis(100));
            accept("s1");
            told.clear();
            manager.last(method).end(Status.OK);
            time.settle();
            assertThat(told).as(method).containsExactly("disconnected UNAVAILABLE");
        }
        time.pass(Duration.ofMillis(100));
        assertThat(manager.openConnections()).isEqualTo(1);
    }

    @Test
    void keepsASessionWithoutLogBroker() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("ListenSubscriptions").end(Status.UNIMPLEMENTED);
        time.settle();
        assertThat(told).containsExactly("registered", "message");
    }

    @Test
    void waitsLongerAfterEachFailureToConnect() {
        manager.unreachable(true);
        agent.start();
        time.pass(Duration.ofMinutes(5));
        // The mean of a delay below 8 s is 4 s.
        assertThat(manager.opened()).hasSizeBetween(50, 110);
        manager.unreachable(false);
        time.pass(Duration.ofSeconds(8));
        accept("s1");
        assertThat(told).endsWith("registered", "message");
        assertThat(life.waiting()).as("of all the tries nothing is left").isZero();
    }

    @Test
    void callsItsOwnManagerAsLongAsThatAnswers() {
        preferred = OWN;
        agent.start();
        time.settle();
        manager.last("Session").end(Status.UNAVAILABLE);
        time.pass(Duration.ofMillis(100));
        manager.last("Session").end(Status.UNAVAILABLE);
        time.pass(Duration.ofMillis(500));
        assertThat(manager.opened()).startsWith(OWN.getAddr(), MANAGER.getAddr(), OWN.getAddr());
    }

    @Test
    void triesWhomItsOwnManagerKnowsWhenThatDoesNotServe() {
        preferred = OWN;
        Peer third = peer("m3", "10.0.0.3:2377");
        heardOf = List.of(third);
        manager.unreachable(true);
        agent.start();
        time.pass(Duration.ofMinutes(5));
        assertThat(manager.opened()).contains(OWN.getAddr(), MANAGER.getAddr(), third.getAddr());
    }

    @Test
    void asksForTheNextMessageOnlyWhenTheLastWasHandled() {
        agent.start();
        time.settle();
        accept("s1");
        ScriptedManager.Call assignments = manager.last("Assignments");
        assignments.send(complete("1", "t1"));
        assignments.send(incremental("1", "2", "t2"));
        assertThat(tasks.reporters.keySet()).containsExactly("t1", "t2");
    }

    @Test
    void opensAnotherSessionWhenAChangeWasLeftOut() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("Assignments").send(complete("1", "t1"));
        manager.last("Assignments").send(incremental("7", "8", "t2"));
        assertThat(told).endsWith("disconnected DATA_LOSS");
    }

    @Test
    void reportsInOneCallWhatIsKnownAtOnceAndEverythingToANewManager() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("Assignments").send(complete("1", "t1", "t2"));
        tasks.report("t1", TaskState.RUNNING);
        tasks.report("t2", TaskState.RUNNING);
        time.settle();
        assertThat(manager.all("UpdateTaskStatus")).hasSize(1);
        assertThat(reported()).containsExactly("t1 RUNNING", "t2 RUNNING");
        tasks.report("t1", TaskState.FAILED);
        time.settle();
        // One call at a time, so that an older status never overtakes a newer one.
        assertThat(manager.all("UpdateTaskStatus")).hasSize(1);
        manager.last("UpdateTaskStatus").answer(UpdateTaskStatusResponse.getDefaultInstance());
        assertThat(reported()).containsExactly("t1 FAILED");
        agent.renewSession();
        time.settle();
        accept("s1");
        assertThat(reported()).containsExactly("t1 FAILED", "t2 RUNNING");
    }

    @Test
    void tellsManagersWhenTheDescriptionOfTheNodeChanged() {
        agent.start();
        time.settle();
        accept("s1");
        agent.refreshDescription();
        time.settle();
        assertThat(manager.all("Session")).hasSize(1);
        hostname = "renamed";
        agent.refreshDescription();
        time.settle();
        assertThat(manager.all("Session")).hasSize(2);
        assertThat(manager.last("Session")
                        .request(SessionRequest.class)
                        .getDescription()
                        .getHostname())
                .isEqualTo("renamed");
        assertThat(told).as("a wished end is no failure").doesNotContain("disconnected OK");
    }

    @Test
    void aFaultEndsTheSessionAndNotTheAgent() {
        agent.start();
        time.settle();
        accept("s1");
        tasks.fault = new IllegalStateException("planted");
        try {
            manager.last("Assignments").send(complete("1", "t1"));
        } catch (AssertionError e) {
            assertThat(e).hasRootCauseMessage("planted");
        }
        tasks.fault = null;
        time.pass(Duration.ofMillis(100));
        assertThat(manager.all("Session")).hasSize(2);
    }

    @Test
    void leavesNothingBehindWhenItIsStopped() {
        agent.start();
        time.settle();
        accept("s1");
        manager.last("Heartbeat").answer(period(Duration.ofSeconds(5)));
        CompletableFuture<Void> stopped = agent.stop();
        time.settle();
        assertThat(stopped).isCompleted();
        int calls = manager.calls().size();
        time.pass(Duration.ofMinutes(1));
        assertThat(manager.calls()).hasSize(calls).allMatch(ScriptedManager.Call::isOver);
        assertThat(manager.openConnections()).isZero();
        assertThat(life.waiting()).isZero();
        agent.start();
        time.pass(Duration.ofMinutes(1));
        assertThat(manager.calls()).hasSize(calls);
    }

    @Test
    void stopsBetweenTwoSessionsToo() {
        manager.unreachable(true);
        agent.start();
        time.pass(Duration.ofSeconds(20));
        CompletableFuture<Void> stopped = agent.stop();
        time.settle();
        assertThat(stopped).isCompleted();
        assertThat(life.waiting()).isZero();
    }

    @Test
    void isStoppedByTheEndOfItsExecutor() {
        agent.start();
        time.settle();
        accept("s1");
        life.shutdown();
        manager.last("Assignments").end(Status.UNAVAILABLE);
        assertThat(agent.stop()).isCompleted();
    }

    @Test
    void theSameChanceLeadsToTheSameSteps() {
        assertThat(unreachableFor(11)).isEqualTo(unreachableFor(11)).isNotEqualTo(unreachableFor(12));
    }

    /** Returns when an agent tried to connect. */
    private static List<String> unreachableFor(long seed) {
        AgentCoreTest run = new AgentCoreTest();
        run.manager.unreachable(true);
        run.agent(seed).start();
        List<String> trace = new ArrayList<>();
        for (int i = 0; i < 1_000; i++) {
            run.time.pass(Duration.ofMillis(10));
            trace.add(run.time.instant() + " " + run.manager.opened().size());
        }
        return trace;
    }

    private AgentCore agent(long seed) {
        Random random = new Random(seed);
        KnownManagers managers = new KnownManagers(random);
        managers.observe(MANAGER, KnownManagers.WEIGHT_GOOD);
        return new AgentCore(
                managers,
                new OwnManager() {
                    @Override
                    public @Nullable Peer peer() {
                        return preferred;
                    }

                    @Override
                    public List<Peer> others() {
                        return heardOf;
                    }
                },
                () -> NodeDescription.newBuilder().setHostname(hostname).build(),
                tasks,
                new Told(),
                new AgentPorts(life, time.ticker(), random, manager));
    }

    private void accept(String sessionId) {
        manager.last("Session")
                .send(SessionMessage.newBuilder()
                        .setSessionId(sessionId)
                        .addManagers(WeightedPeer.newBuilder().setPeer(MANAGER).setWeight(10))
                        .build());
    }

    private List<String> reported() {
        return manager.last("UpdateTaskStatus").request(UpdateTaskStatusRequest.class).getUpdatesList().stream()
                .map(update -> update.getTaskId() + " " + update.getStatus().getState())
                .toList();
    }

    private static HeartbeatResponse period(Duration period) {
        return HeartbeatResponse.newBuilder()
                .setPeriod(com.google.protobuf.Duration.newBuilder()
                        .setSeconds(period.toSeconds())
                        .setNanos(period.toNanosPart()))
                .build();
    }

    private static AssignmentsMessage complete(String resultsIn, String... taskIds) {
        return message(AssignmentsMessage.Type.COMPLETE, "", resultsIn, taskIds);
    }

    private static AssignmentsMessage incremental(String appliesTo, String resultsIn, String... taskIds) {
        return message(AssignmentsMessage.Type.INCREMENTAL, appliesTo, resultsIn, taskIds);
    }

    private static AssignmentsMessage message(
            AssignmentsMessage.Type type, String appliesTo, String resultsIn, String... taskIds) {
        AssignmentsMessage.Builder message = AssignmentsMessage.newBuilder()
                .setType(type)
                .setAppliesTo(appliesTo)
                .setResultsIn(resultsIn);
        for (String id : taskIds) {
            message.addChanges(AssignmentChange.newBuilder()
                    .setAssignment(Assignment.newBuilder()
                            .setTask(Task.newBuilder().setId(id).setDesiredState(TaskState.RUNNING))));
        }
        return message.build();
    }

    private static Peer peer(String id, String address) {
        return Peer.newBuilder().setNodeId(id).setAddr(address).build();
    }

    private final class Told implements AgentListener {
        @Override
        public void registered() {
            told.add("registered");
        }

        @Override
        public void message(SessionMessage message) {
            told.add("message");
        }

        @Override
        public void disconnected(boolean registered, Status status) {
            told.add("disconnected " + status.getCode());
        }
    }

    /** Tasks that do what a test says. */
    private final class Tasks implements TaskRunner {
        private final Map<String, StatusReporter> reporters = new LinkedHashMap<>();
        private final List<Integer> connectionsAtStart = new ArrayList<>();
        private @Nullable RuntimeException fault;

        void report(String taskId, TaskState state) {
            StatusReporter reporter = reporters.get(taskId);
            if (reporter != null) {
                reporter.report(taskId, TaskStatus.newBuilder().setState(state).build());
            }
        }

        @Override
        public String unavailable() {
            return "";
        }

        @Override
        public void start(ScheduledExecutorService serial) {
            connectionsAtStart.add(manager.openConnections());
        }

        @Override
        public void provide(List<Secret> secrets, List<Config> configs) {
            // These tasks use none.
        }

        @Override
        public void assign(Task task, StatusReporter reporter) {
            if (fault != null) {
                throw fault;
            }
            reporters.put(task.getId(), reporter);
        }

        @Override
        public void remove(String taskId) {
            reporters.remove(taskId);
        }
    }
}
