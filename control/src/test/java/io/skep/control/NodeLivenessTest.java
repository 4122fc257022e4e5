package io.skep.control;

import static io.skep.control.TestKit.description;
import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.service;
import static io.skep.control.TestKit.status;
import static io.skep.control.TestKit.task;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.Kind;
import io.skep.wire.Command;
import io.skep.wire.Node;
import io.skep.wire.NodeStatus;
import io.skep.wire.RegisterNode;
import io.skep.wire.ReportSessions;
import io.skep.wire.TaskState;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

class NodeLivenessTest {
    private static final Duration SECOND = Duration.ofSeconds(1);

    private final TestWorld world = world(node("w1").build(), node("w2").build());
    private TestLeader leader = new TestLeader(world, ids(1));

    private void report(String manager, List<String> live, List<String> lost) {
        leader.run(Command.newBuilder()
                .setReportSessions(ReportSessions.newBuilder()
                        .setManagerId(manager)
                        .addAllNodeIds(live)
                        .addAllLostNodeIds(lost)));
    }

    private void register(String id, String manager) {
        leader.run(Command.newBuilder()
                .setRegisterNode(RegisterNode.newBuilder()
                        .setNodeId(id)
                        .setManagerId(manager)
                        .setDescription(description("host-" + id))));
    }

    private void passWithReports(Duration time, String manager, String... live) {
        for (long i = 0; i < time.toSeconds(); i++) {
            leader.pass(SECOND);
            report(manager, List.of(live), List.of());
        }
    }

    private Node stored(String id) {
        return requireNonNull(world.state().nodes().get(id));
    }

    private NodeStatus.State state(String id) {
        return stored(id).getStatus().getState();
    }

    @Test
    void nodesThatAreReportedLiveOnWithoutChangingTheState() {
        long before = stored("w1").getMeta().getVersion().getIndex();
        passWithReports(Duration.ofMinutes(2), "m1", "w1");
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        assertThat(stored("w1").getMeta().getVersion().getIndex()).isEqualTo(before);
    }

    @Test
    void aNewLeaderWaitsTwiceAsLong() {
        leader.pass(Duration.ofSeconds(29));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.UNKNOWN);
        leader.pass(Duration.ofSeconds(2));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
        assertThat(stored("w1").getStatus().getMessage()).isEqualTo("heartbeat failure");
    }

    @Test
    void aNodeThatNoManagerSpeaksOfIsUnknownBeforeItIsDown() {
        leader.pass(Duration.ofSeconds(9));
        report("m1", List.of("w1"), List.of());
        assertThat(state("w2")).isEqualTo(NodeStatus.State.READY);
        leader.pass(Duration.ofSeconds(2));
        assertThat(state("w2")).isEqualTo(NodeStatus.State.UNKNOWN);
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        leader.pass(Duration.ofSeconds(9));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.UNKNOWN);
        assertThat(stored("w1").getStatus().getMessage()).isEqualTo("no manager has a session with the node");
        register("w1", "m2");
        report("m1", List.of("w2"), List.of());
        assertThat(List.of(state("w1"), state("w2"))).containsOnly(NodeStatus.State.READY);
        assertThat(stored("w2").getStatus().getMessage()).isEmpty();
        leader.pass(Duration.ofSeconds(16));
        assertThat(List.of(state("w1"), state("w2"))).containsOnly(NodeStatus.State.DOWN);
    }

    @Test
    void aLostNodeIsDownAtOnceAndTheOthersAreNot() {
        report("m1", List.of("w1", "w2"), List.of());
        report("m1", List.of("w2"), List.of("w1"));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
        assertThat(state("w2")).isEqualTo(NodeStatus.State.READY);
    }

    @Test
    void aNodeMayMoveToAnotherManagerWhenItsOwnDies() {
        report("m1", List.of("w1", "w2"), List.of());
        passWithReports(Duration.ofSeconds(30), "m2", "w2");
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
        assertThat(state("w2")).isEqualTo(NodeStatus.State.READY);
    }

    @Test
    void whatTheFormerManagerLosesIsNotLost() {
        report("m1", List.of("w1"), List.of());
        leader.pass(SECOND);
        register("w1", "m2");
        report("m1", List.of(), List.of("w1"));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        report("m2", List.of(), List.of("w1"));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
    }

    @Test
    void aNodeThatIsDownComesBackByReportOrRegistration() {
        report("m1", List.of(), List.of("w1", "w2"));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
        report("m1", List.of("w1"), List.of());
        register("w2", "m2");
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        assertThat(stored("w1").getStatus().getMessage()).isEmpty();
        assertThat(state("w2")).isEqualTo(NodeStatus.State.READY);
    }

    @Test
    void aNodeThatNeverRegisteredIsNeitherUpNorDown() {
        leader.change(transaction -> transaction.put(
                Kind.NODE, node("new").clearDescription().clearStatus().build()));
        leader.pass(Duration.ofMinutes(5));
        report("m1", List.of("new", "stranger"), List.of("stranger"));
        assertThat(state("new")).isEqualTo(NodeStatus.State.UNKNOWN);
    }

    @Test
    void aLeaderThatStoodStillBlamesNobody() {
        report("m1", List.of("w1", "w2"), List.of());
        world.pass(Duration.ofHours(1));
        leader.step();
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        leader.pass(Duration.ofSeconds(16));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
    }

    @Test
    void theHeartbeatOfTheClusterSetsTheGrace() {
        leader.change(transaction -> {
            var cluster = TestKit.cluster();
            cluster.getSpecBuilder().getDispatcherBuilder().setHeartbeatPeriod(Times.wire(Duration.ofSeconds(20)));
            transaction.put(Kind.CLUSTER, cluster.build());
        });
        report("m1", List.of("w1"), List.of());
        leader.pass(Duration.ofSeconds(39));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.READY);
        leader.pass(Duration.ofSeconds(20));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.UNKNOWN);
        leader.pass(Duration.ofSeconds(2));
        assertThat(state("w1")).isEqualTo(NodeStatus.State.DOWN);
    }

    @Test
    void tasksOfANodeThatStaysDownAreGivenUp() {
        var service = service("web", 2).build();
        leader.change(transaction -> {
            transaction.put(Kind.SERVICE, service);
            for (TaskState state : List.of(TaskState.RUNNING, TaskState.COMPLETE)) {
                transaction.put(
                        Kind.TASK,
                        task(state.name(), service, state.getNumber())
                                .setNodeId("w1")
                                .setStatus(status(state, world.now()))
                                .build());
            }
        });
        report("m1", List.of(), List.of("w1"));
        leader.pass(NodeLiveness.ORPHANED_AFTER.minusSeconds(1));
        assertThat(taskState("RUNNING")).isEqualTo(TaskState.RUNNING);
        leader.pass(Duration.ofSeconds(2));
        assertThat(taskState("RUNNING")).isEqualTo(TaskState.ORPHANED);
        assertThat(taskState("COMPLETE")).isEqualTo(TaskState.COMPLETE);
    }

    @Test
    void aNodeThatCameBackKeepsItsTasks() {
        putRunning();
        report("m1", List.of(), List.of("w1"));
        leader.pass(Duration.ofHours(23));
        report("m1", List.of("w1"), List.of());
        report("m1", List.of(), List.of("w1"));
        leader.pass(Duration.ofHours(2));
        assertThat(taskState("t")).isEqualTo(TaskState.RUNNING);
    }

    @Test
    void aNewLeaderCountsTheTimeDownAnew() {
        putRunning();
        report("m1", List.of(), List.of("w1"));
        leader.pass(Duration.ofHours(23));
        leader = new TestLeader(world, ids(2));
        leader.pass(Duration.ofHours(23));
        assertThat(taskState("t")).isEqualTo(TaskState.RUNNING);
        leader.pass(Duration.ofHours(2));
        assertThat(taskState("t")).isEqualTo(TaskState.ORPHANED);
    }

    private void putRunning() {
        var service = service("web", 1).build();
        leader.change(transaction -> {
            transaction.put(Kind.SERVICE, service);
            transaction.put(
                    Kind.TASK,
                    task("t", service, 1)
                            .setNodeId("w1")
                            .setStatus(status(TaskState.RUNNING, world.now()))
                            .build());
        });
    }

    private TaskState taskState(String id) {
        return requireNonNull(world.state().tasks().get(id)).getStatus().getState();
    }
}
