package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.Kind;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.GlobalService;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateConfig.FailureAction;
import io.skep.wire.UpdateConfig.UpdateOrder;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.UpdateStatus.UpdateState;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UpdaterTest {
    private static final Duration MONITOR = Duration.ofSeconds(5);

    private final TestCluster cluster = new TestCluster(
            1,
            TestKit.node("n1").build(),
            TestKit.node("n2").build(),
            TestKit.node("n3").build());

    @Test
    void withoutConfigurationOneSlotAfterTheOtherIsStoppedThenStarted() {
        start(4, null);
        cluster.invariant = state -> {
            assertThat(cluster.tasksOf("web-id").stream()
                            .filter(task -> task.getStatus().getState() == TaskState.RUNNING))
                    .hasSizeBetween(3, 4);
        };

        cluster.setImage("web-id", "nginx:2");
        assertThat(updateState()).isEqualTo(UpdateState.UPDATING);
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage()).isEqualTo("update in progress");
        assertThat(replaced()).hasSize(1);
        cluster.work();

        assertThat(images()).containsOnly("nginx:2").hasSize(4);
        assertThat(updateState()).isEqualTo(UpdateState.UPDATING);
        cluster.pass(MONITOR);
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage()).isEqualTo("update completed");
        assertThat(cluster.service("web-id").getUpdateStatus().hasCompletedAt()).isTrue();
    }

    @Test
    void aNewTaskWaitsForTheOldOneToStop() {
        start(1, null);
        cluster.setImage("web-id", "nginx:2");
        Task old = cluster.tasksOf("web-id").getFirst();
        Task young = cluster.tasksOf("web-id").getLast();

        while (cluster.agentsStep(task -> task.getId().equals(young.getId()))) {
            assertThat(cluster.task(young.getId()).getStatus().getStateValue())
                    .isLessThanOrEqualTo(TaskState.READY_VALUE);
        }
        assertThat(cluster.task(young.getId()).getDesiredState()).isEqualTo(TaskState.READY);

        cluster.report(old.getId(), TaskState.SHUTDOWN);
        assertThat(cluster.task(young.getId()).getDesiredState()).isEqualTo(TaskState.RUNNING);
    }

    @Test
    void anOldTaskThatDoesNotStopIsWaitedForAMinute() {
        start(1, null);
        cluster.setImage("web-id", "nginx:2");
        Task young = cluster.tasksOf("web-id").getLast();

        cluster.passWithoutAgents(Duration.ofSeconds(59));
        assertThat(cluster.task(young.getId()).getDesiredState()).isEqualTo(TaskState.READY);
        cluster.passWithoutAgents(Duration.ofSeconds(1));
        assertThat(cluster.task(young.getId()).getDesiredState()).isEqualTo(TaskState.RUNNING);
    }

    @Test
    void startFirstStopsTheOldTaskWhenTheNewOneRuns() {
        start(3, config().setOrder(UpdateOrder.START_FIRST));
        cluster.invariant = state -> assertThat(cluster.tasksOf("web-id").stream()
                        .filter(task -> task.getStatus().getState() == TaskState.RUNNING))
                .hasSizeBetween(3, 4);

        cluster.setImage("web-id", "nginx:2");
        cluster.pass(MONITOR);

        assertThat(images()).containsOnly("nginx:2").hasSize(3);
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
    }

    @Test
    void parallelismAndDelayPaceTheUpdate() {
        start(5, config().setParallelism(2).setDelay(Times.wire(Duration.ofSeconds(10))));

        cluster.setImage("web-id", "nginx:2");
        cluster.work();
        assertThat(replaced()).hasSize(2);
        cluster.pass(Duration.ofMillis(9_999));
        assertThat(replaced()).hasSize(2);
        cluster.pass(Duration.ofMillis(1));
        assertThat(replaced()).hasSize(4);
        cluster.pass(Duration.ofSeconds(10));
        assertThat(replaced()).hasSize(5);
        cluster.pass(Duration.ofMillis(10_999));
        assertThat(updateState()).isEqualTo(UpdateState.UPDATING);
        cluster.pass(Duration.ofMillis(1));
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
    }

    @Test
    void parallelismZeroReplacesAllAtOnce() {
        start(5, config().setParallelism(0));

        cluster.setImage("web-id", "nginx:2");

        assertThat(replaced()).hasSize(5);
    }

    @Test
    void aFailureWithinTheMonitorPausesTheUpdate() {
        start(3, config());
        cluster.failingImages.add("bad");

        cluster.setImage("web-id", "bad");
        cluster.work();

        assertThat(updateState()).isEqualTo(UpdateState.PAUSED);
        Task failed = cluster.tasksOf("web-id").stream()
                .filter(task -> task.getStatus().getState() == TaskState.FAILED)
                .findFirst()
                .orElseThrow();
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage())
                .isEqualTo("update paused due to failure or early termination of task " + failed.getId());
        cluster.pass(Duration.ofSeconds(30));
        assertThat(images()).containsOnly("nginx:1").hasSize(2);

        cluster.setImage("web-id", "nginx:3");
        cluster.pass(Duration.ofSeconds(30));
        assertThat(images()).containsOnly("nginx:3").hasSize(3);
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
    }

    @Test
    void aFailureAfterTheMonitorDoesNotCount() {
        start(2, config().setDelay(Times.wire(Duration.ofSeconds(1))).setMonitor(Times.wire(Duration.ofSeconds(2))));
        cluster.setImage("web-id", "nginx:2");
        cluster.work();
        Task young = replaced().getFirst();
        cluster.pass(Duration.ofMillis(2_001));

        cluster.report(young.getId(), TaskState.FAILED);

        assertThat(updateState()).isEqualTo(UpdateState.UPDATING);
    }

    @Test
    void failuresUpToTheRatioAreTolerated() {
        start(4, config().setParallelism(0).setMaxFailureRatio(0.25f));
        cluster.setImage("web-id", "nginx:2");
        cluster.work();

        List<Task> young = replaced();

        cluster.report(young.get(0).getId(), TaskState.FAILED);
        assertThat(updateState()).isEqualTo(UpdateState.UPDATING);
        cluster.report(young.get(1).getId(), TaskState.FAILED);
        assertThat(updateState()).isEqualTo(UpdateState.PAUSED);
    }

    @Test
    void rollbackReturnsToThePreviousSpec() {
        start(3, config().setFailureAction(FailureAction.ROLLBACK));
        cluster.failingImages.add("bad");

        cluster.setImage("web-id", "bad");
        cluster.work();
        assertThat(updateState()).isEqualTo(UpdateState.ROLLBACK_STARTED);
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage())
                .startsWith("update rolled back due to failure or early termination of task ");
        cluster.pass(Duration.ofSeconds(10));

        assertThat(images()).containsOnly("nginx:1").hasSize(3);
        assertThat(updateState()).isEqualTo(UpdateState.ROLLBACK_COMPLETED);
        assertThat(cluster.service("web-id").hasPreviousSpec()).isFalse();
    }

    @Test
    void aRollbackAtOnceIsNotTakenForDoneByTheTaskThatWasGivenUp() {
        start(1, config().setOrder(UpdateOrder.START_FIRST));
        cluster.setImage("web-id", "nginx:2");
        cluster.setImage("web-id", "nginx:1");
        boolean done = cluster.attempt(Command.newBuilder()
                .setUpdateService(UpdateServiceRequest.newBuilder()
                        .setServiceId("web-id")
                        .setServiceVersion(cluster.service("web-id").getMeta().getVersion())
                        .setRollback(UpdateServiceRequest.Rollback.PREVIOUS)));
        assertThat(done).isTrue();
        cluster.pass(Duration.ofMinutes(1));

        assertThat(images()).containsExactly("nginx:2");
        assertThat(updateState()).isEqualTo(UpdateState.ROLLBACK_COMPLETED);
    }

    @Test
    void whatCannotBeRolledBackIsPausedAndSaysWhy() {
        start(1, config().setFailureAction(FailureAction.ROLLBACK));
        cluster.change(transaction ->
                transaction.put(Kind.NETWORK, TestKit.network("old").build()));
        cluster.update(
                "web-id",
                spec -> spec.getTaskBuilder()
                        .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget("old-id")));
        cluster.pass(Duration.ofMinutes(1));
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
        cluster.failingImages.add("bad");

        cluster.update("web-id", spec -> {
            spec.getTaskBuilder().clearNetworks();
            spec.getTaskBuilder().getContainerBuilder().setImage("bad");
        });
        cluster.change(transaction -> transaction.remove(Kind.NETWORK, "old-id"));
        cluster.work();

        assertThat(updateState()).isEqualTo(UpdateState.PAUSED);
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage())
                .startsWith("update paused due to failure or early termination of task ")
                .endsWith("it cannot be rolled back, as network old-id of the previous spec does not exist any more");
    }

    @Test
    void aRollbackThatFailsIsPausedAndNotRolledBack() {
        start(2, config().setFailureAction(FailureAction.ROLLBACK).setParallelism(1));
        cluster.setImage("web-id", "bad");
        cluster.failingImages.addAll(List.of("bad", "nginx:1"));
        cluster.work();

        assertThat(updateState()).isEqualTo(UpdateState.ROLLBACK_PAUSED);
        assertThat(cluster.service("web-id").getUpdateStatus().getMessage())
                .startsWith("rollback paused due to failure or early termination of task ");
    }

    @Test
    void continueGoesOnWhateverHappens() {
        start(2, config().setFailureAction(FailureAction.CONTINUE));
        cluster.failingImages.add("bad");
        cluster.setImage("web-id", "bad");
        cluster.work();

        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
        assertThat(images()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 5})
    void aNewLeaderTakesNoMoreSlotsInHandWhenNothingIsKeptOfTheOldTasks(long historyLimit) {
        cluster.change(transaction -> {
            Cluster.Builder changed = TestKit.cluster();
            changed.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(historyLimit);
            transaction.put(Kind.CLUSTER, changed.build());
        });
        start(5, config().setParallelism(2));
        // No node is as large as that, so the new tasks wait.
        cluster.update(
                "web-id",
                spec -> spec.getTaskBuilder()
                        .getResourcesBuilder()
                        .getReservationsBuilder()
                        .setNanoCpus(1_000_000_000_000L));

        for (int i = 0; i < 4; i++) {
            cluster.work();
            cluster.pass(Duration.ofSeconds(2));
            assertThat(cluster.running("web-id")).hasSize(3);
            cluster.changeLeader();
        }
    }

    @Test
    void anUpdateOfAGlobalServiceEndsWithoutTheNodesThatWent() {
        Service.Builder service = TestKit.service("web", 1);
        service.getSpecBuilder().setGlobal(GlobalService.getDefaultInstance()).setUpdate(config());
        cluster.create(service);
        cluster.pass(Duration.ofSeconds(1));
        cluster.setImage("web-id", "nginx:2");
        String updated = replaced().getFirst().getNodeId();
        List<String> others =
                Stream.of("n1", "n2", "n3").filter(id -> !id.equals(updated)).toList();
        cluster.setNodeState(others.get(0), NodeStatus.State.DOWN);
        cluster.setAvailability(others.get(1), NodeSpec.Availability.PAUSE);
        cluster.pass(Duration.ofMinutes(1));

        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
        assertThat(cluster.tasksOf("web-id"))
                .filteredOn(task -> !TaskStates.isTerminal(task))
                .allMatch(task -> task.getStatus().getState() == TaskState.RUNNING);
        cluster.setNodeState(others.get(0), NodeStatus.State.READY);
        cluster.setAvailability(others.get(1), NodeSpec.Availability.ACTIVE);
        cluster.pass(Duration.ofMinutes(1));
        assertThat(images()).containsOnly("nginx:2").hasSize(3);
    }

    @Test
    void aNewLeaderKeepsThePace() {
        start(5, config().setParallelism(2));
        cluster.setImage("web-id", "nginx:2");

        for (int i = 0; i < 8; i++) {
            cluster.changeLeader();
            assertThat(cluster.tasksOf("web-id").stream()
                            .filter(task -> task.getStatus().getState() == TaskState.RUNNING
                                    && task.getDesiredState() == TaskState.RUNNING))
                    .hasSizeGreaterThanOrEqualTo(3);
            cluster.agentsStep(task -> true);
        }
        cluster.pass(MONITOR);

        assertThat(images()).containsOnly("nginx:2").hasSize(5);
        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
    }

    @Test
    void aScaleIsNoUpdate() {
        start(2, config());
        cluster.scale("web-id", 4);
        cluster.work();

        assertThat(cluster.service("web-id").hasUpdateStatus()).isFalse();
        assertThat(replaced()).hasSize(2);
        assertThat(images()).hasSize(4);
    }

    @Test
    void tasksOnANodeThatIsDownDoNotHoldUpTheUpdate() {
        start(3, config());
        cluster.setNodeState("n1", NodeStatus.State.DOWN);
        cluster.setImage("web-id", "nginx:2");
        cluster.pass(Duration.ofSeconds(20));

        assertThat(updateState()).isEqualTo(UpdateState.COMPLETED);
        assertThat(images()).containsOnly("nginx:2").hasSize(3);
    }

    private void start(int replicas, UpdateConfig.@Nullable Builder config) {
        Service.Builder service = TestKit.service("web", replicas);
        if (config != null) {
            service.getSpecBuilder().setUpdate(config);
            service.getSpecBuilder().setRollback(config);
        }
        cluster.create(service);
        cluster.pass(Duration.ofSeconds(1));
        cluster.assertRunning("web-id", replicas);
    }

    private static UpdateConfig.Builder config() {
        return UpdateConfig.newBuilder().setParallelism(1);
    }

    private UpdateState updateState() {
        return cluster.service("web-id").getUpdateStatus().getState();
    }

    private List<Task> replaced() {
        return cluster.tasks(task -> task.getSpecVersion().getIndex() > 0);
    }

    private List<String> images() {
        return cluster.running("web-id").stream()
                .map(task -> task.getSpec().getContainer().getImage())
                .toList();
    }
}
