package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.Kind;
import io.skep.wire.Cluster;
import io.skep.wire.GlobalService;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.RestartPolicy;
import io.skep.wire.RestartPolicy.RestartCondition;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OrchestrationTest {
    private final TestCluster cluster = new TestCluster(
            1,
            TestKit.node("n1").build(),
            TestKit.node("n2").build(),
            TestKit.node("n3").build());

    @Test
    void aNewServiceHasPlacedTasksInTheStepThatMakesIt() {
        cluster.create(TestKit.service("web", 6));

        assertThat(cluster.tasksOf("web-id")).extracting(Task::getSlot).containsExactly(1L, 2L, 3L, 4L, 5L, 6L);
        assertThat(cluster.tasksOf("web-id")).allSatisfy(task -> {
            assertThat(task.getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
            assertThat(task.getStatus().getMessage()).isEqualTo("scheduler assigned task to node");
            assertThat(task.getDesiredState()).isEqualTo(TaskState.RUNNING);
        });
        assertThat(cluster.tasksOf("web-id").stream().map(Task::getNodeId).distinct())
                .hasSize(3);
        assertThat(cluster.service("web-id").hasUpdateStatus()).isFalse();
        cluster.work();
        cluster.assertRunning("web-id", 6);
    }

    @Test
    void aFailedTaskIsReplacedAfterTheDelay() {
        cluster.create(TestKit.service("web", 1));
        cluster.pass(Duration.ofSeconds(1));
        Task first = cluster.tasksOf("web-id").getFirst();

        cluster.report(first.getId(), TaskState.FAILED);
        cluster.work();

        Task second = cluster.tasksOf("web-id").getLast();
        assertThat(second.getStatus().getState()).isEqualTo(TaskState.READY);
        assertThat(second.getDesiredState()).isEqualTo(TaskState.READY);
        cluster.pass(Duration.ofMillis(4999));
        cluster.assertRunning("web-id", 0);
        cluster.pass(Duration.ofMillis(1));
        cluster.assertRunning("web-id", 1);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1})
    void theDelayBetweenRestartsNeedsNoHistory(long limit) {
        keepHistory(limit);
        cluster.create(TestKit.service("web", 1));
        cluster.pass(Duration.ofSeconds(1));

        cluster.report(cluster.tasksOf("web-id").getFirst().getId(), TaskState.FAILED);
        cluster.pass(Duration.ofMillis(4999));
        cluster.assertRunning("web-id", 0);
        cluster.pass(Duration.ofMillis(1));
        cluster.assertRunning("web-id", 1);

        cluster.pass(TaskReaper.BATCH_DELAY);
        assertThat(cluster.tasksOf("web-id")).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 5})
    void whatRanOnceForAllDoesNotRunAgain(long limit) {
        keepHistory(limit);
        restarted("never", restart(RestartCondition.NONE, 0), GlobalService.getDefaultInstance());
        restarted("once", restart(RestartCondition.NONE, 0), null);
        restarted("until-complete", restart(RestartCondition.ON_FAILURE, 0), null);
        cluster.work();
        cluster.tasks(task -> true).forEach(task -> cluster.report(task.getId(), TaskState.COMPLETE));
        cluster.pass(Duration.ofMinutes(1));
        cluster.changeLeader();
        cluster.scale("once-id", 2);
        cluster.pass(Duration.ofMinutes(1));

        assertThat(cluster.tasksOf("never-id")).hasSize(3).allMatch(TaskStates::isTerminal);
        assertThat(cluster.tasksOf("until-complete-id")).hasSize(1).allMatch(TaskStates::isTerminal);
        assertThat(cluster.tasksOf("once-id").stream().filter(TaskStates::isTerminal))
                .hasSize(1);
        cluster.assertRunning("once-id", 1);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 5})
    void whatFailedTooOftenIsNotTriedAgain(long limit) {
        keepHistory(limit);
        cluster.failingImages.add("nginx:1");
        restarted("web", restart(RestartCondition.ANY, 2), null);
        cluster.pass(Duration.ofMinutes(1));
        cluster.changeLeader();
        cluster.pass(Duration.ofMinutes(1));

        assertThat(cluster.tasksOf("web-id")).hasSize(3).allMatch(TaskStates::isTerminal);
    }

    private void keepHistory(long limit) {
        cluster.change(transaction -> {
            Cluster.Builder changed = TestKit.cluster();
            changed.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(limit);
            transaction.put(Kind.CLUSTER, changed.build());
        });
    }

    private void restarted(String name, RestartPolicy restart, @Nullable GlobalService global) {
        Service.Builder service = TestKit.service(name, 1);
        service.getSpecBuilder().getTaskBuilder().setRestart(restart);
        if (global != null) {
            service.getSpecBuilder().setGlobal(global);
        }
        cluster.create(service);
    }

    private static RestartPolicy restart(RestartCondition condition, long attempts) {
        return RestartPolicy.newBuilder()
                .setCondition(condition)
                .setMaxAttempts(attempts)
                .build();
    }

    @Test
    void drainMovesTasksAtOnceWhenTheOldOnesHaveStopped() {
        cluster.create(TestKit.service("web", 3));
        cluster.work();

        cluster.setAvailability("n1", Availability.DRAIN);
        assertThat(cluster.running("web-id")).hasSize(2);
        cluster.work();

        assertThat(cluster.running("web-id"))
                .hasSize(3)
                .noneMatch(task -> task.getNodeId().equals("n1"));
    }

    @Test
    void tasksOfANodeThatIsDownAreReplaced() {
        cluster.create(TestKit.service("web", 3));
        cluster.work();

        cluster.setNodeState("n2", NodeStatus.State.DOWN);
        cluster.pass(Duration.ofSeconds(5));

        assertThat(cluster.running("web-id").stream()
                        .filter(task -> !task.getNodeId().equals("n2")))
                .hasSize(3);
    }

    @Test
    void scalingDownEmptiesTheMostCrowdedNodesAndScalingUpFillsTheLowestSlots() {
        cluster.create(TestKit.service("web", 7));
        cluster.work();
        cluster.scale("web-id", 3);
        cluster.work();

        assertThat(cluster.running("web-id").stream().map(Task::getNodeId)).containsExactlyInAnyOrder("n1", "n2", "n3");

        cluster.scale("web-id", 5);
        cluster.work();
        assertThat(cluster.running("web-id")).extracting(Task::getSlot).containsExactly(1L, 2L, 3L, 4L, 5L);
    }

    @Test
    void aLargeServiceIsMadeAndRemovedInPartsWhileOthersAreServed() {
        int part = ControlLoop.CHANGES_OF_A_LOOP_MAX;
        cluster.create(TestKit.service("large", 2L * part + part / 2));
        assertThat(cluster.tasksOf("large-id")).hasSize(part);
        cluster.create(TestKit.service("small", 3));
        cluster.step();
        assertThat(cluster.tasksOf("small-id"))
                .hasSize(3)
                .allMatch(task -> task.getStatus().getState() == TaskState.ASSIGNED);
        cluster.work();
        cluster.assertRunning("large-id", 2 * part + part / 2);

        cluster.scale("large-id", part + 5);
        assertThat(cluster.tasksOf("large-id").stream().filter(task -> !TaskStates.isWanted(task)))
                .hasSize(part);
        cluster.work();
        cluster.assertRunning("large-id", part + 5);

        cluster.remove("large-id");
        assertThat(cluster.tasksOf("large-id").stream().filter(TaskStates::isWanted))
                .hasSize(5);
        cluster.work();
        assertThat(cluster.tasksOf("large-id")).isEmpty();
        cluster.assertRunning("small-id", 3);
    }

    /** Another wish, and another leader, in the middle of it. */
    @Test
    void aResizeThatIsInterruptedEndsAtTheLastWish() {
        int part = ControlLoop.CHANGES_OF_A_LOOP_MAX;
        cluster.create(TestKit.service("web", 3L * part));
        cluster.step();
        cluster.scale("web-id", part / 2);
        cluster.changeLeader();
        cluster.scale("web-id", 2L * part + 7);
        cluster.step();
        cluster.changeLeader();
        cluster.pass(Duration.ofSeconds(30));

        cluster.assertRunning("web-id", 2 * part + 7);
        assertThat(cluster.tasks(TaskStates::isWanted)).hasSize(2 * part + 7);
    }

    @Test
    void aRemovedServiceLetsItsTasksGo() {
        cluster.create(TestKit.service("web", 2));
        cluster.work();
        cluster.remove("web-id");

        assertThat(cluster.tasksOf("web-id")).allMatch(task -> task.getDesiredState() == TaskState.REMOVE);
    }
}
