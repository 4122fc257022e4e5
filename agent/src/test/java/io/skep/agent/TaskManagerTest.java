package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TaskManagerTest {
    private static final Duration LONG = Duration.ofSeconds(1);

    private final VirtualTime time = new VirtualTime();
    private final FakeContainers containers = new FakeContainers(time, 1);
    private final MemoryTaskStore store = new MemoryTaskStore();
    private final List<TaskStatus> reported = new ArrayList<>();
    private VirtualTime.Life life = time.life();
    private TaskManager manager = started();

    @Test
    void walksATaskToRunningAndWaitsForItsEnd() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assertThat(containers.calls()).containsExactly("prepare t", "start t", "await t");
        assertThat(reported()).containsExactly("PREPARING preparing", "STARTING starting", "RUNNING started");
        assertThat(reported.getLast().getContainer().getContainerId()).isEqualTo("container of t");
        assertThat(reported.getLast().getTimestamp().getSeconds())
                .isBetween(time.instant().getEpochSecond() - 1, time.instant().getEpochSecond());
        containers.exit("t", 0);
        time.settle();
        assertThat(reported()).endsWith("COMPLETE finished");
    }

    @Test
    void tellsTheExitCodeOfATaskThatFailed() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        containers.exit("t", 3);
        time.settle();
        assertThat(reported.getLast().getState()).isEqualTo(TaskState.FAILED);
        assertThat(reported.getLast().getErr()).isEqualTo("task: non-zero exit (3)");
    }

    @Test
    void holdsATaskThatIsOnlyToBeReady() {
        assign(task("t", TaskState.READY));
        time.pass(Duration.ofHours(1));
        assertThat(reported()).endsWith("READY prepared");
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assertThat(reported()).endsWith("RUNNING started");
    }

    @Test
    void rejectsWhatFailsBeforeItStarts() {
        containers.faults(new FakeContainers.Faults(0, 100, 0, 0, Duration.ofMillis(10)));
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assertThat(reported.getLast().getState()).isEqualTo(TaskState.REJECTED);
        assertThat(reported.getLast().getErr()).isEqualTo("broken");
    }

    @Test
    void rejectsWhatItsExecutorDoesNotTake() {
        assign(task("t", TaskState.RUNNING).toBuilder().setServiceId("refused").build());
        time.pass(LONG);
        assertThat(reported.getLast().getState()).isEqualTo(TaskState.REJECTED);
        assertThat(reported.getLast().getErr()).isEqualTo("not on this node");
    }

    @Test
    void triesAgainEachSecondWhatFailedForNow() {
        containers.faults(new FakeContainers.Faults(100, 0, 0, 0, Duration.ofMillis(1)));
        assign(task("t", TaskState.RUNNING));
        time.pass(Duration.ofSeconds(10));
        assertThat(containers.calls()).hasSize(10).containsOnly("prepare t");
        containers.faults(FakeContainers.Faults.NONE);
        time.pass(Duration.ofSeconds(2));
        assertThat(reported()).endsWith("RUNNING started");
    }

    @Test
    void stopsWhatIsWished() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(LONG);
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
        assertThat(containers.container("t").running()).isFalse();
        assertThat(containers.calls()).endsWith("shutdown t");
        assertThat(life.waiting()).isZero();
    }

    @Test
    void asksNothingOfTheExecutorForATaskThatNeverBegan() {
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(LONG);
        assertThat(reported()).containsExactly("SHUTDOWN shutdown");
        assertThat(containers.calls()).isEmpty();
        manager.remove("t");
        assertThat(store.load()).isEmpty();
    }

    @Test
    void cancelsAnOperationThatStandsAgainstTheWish() {
        containers.faults(new FakeContainers.Faults(0, 0, 0, 100, LONG));
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        containers.faults(FakeContainers.Faults.NONE);
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(LONG);
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
    }

    @Test
    void overtakesAnOperationThatDoesNotEnd() {
        containers.faults(new FakeContainers.Faults(0, 0, 100, 100, LONG));
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        containers.faults(FakeContainers.Faults.NONE);
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(Duration.ofSeconds(29));
        assertThat(containers.calls()).containsExactly("prepare t");
        time.pass(Duration.ofSeconds(2));
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
    }

    @Test
    void endsByForceWhatDoesNotEndGently() {
        assign(withGrace(task("t", TaskState.RUNNING), 5));
        time.pass(LONG);
        containers.faults(new FakeContainers.Faults(0, 0, 0, 100, LONG));
        assign(withGrace(task("t", TaskState.SHUTDOWN), 5));
        time.pass(Duration.ofSeconds(34));
        assertThat(containers.calls()).endsWith("shutdown t");
        time.pass(Duration.ofSeconds(3));
        assertThat(containers.calls()).endsWith("terminate t");
        time.pass(Duration.ofMinutes(2));
        containers.faults(FakeContainers.Faults.NONE);
        time.pass(Duration.ofMinutes(2));
        assertThat(containers.calls()).endsWith("terminate t", "terminate t", "terminate t");
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
        assertThat(life.waiting()).isZero();
    }

    @Test
    void beginsARemovalAnewThatDoesNotEnd() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(LONG);
        containers.faults(new FakeContainers.Faults(0, 0, 100, 100, LONG));
        manager.remove("t");
        time.pass(Duration.ofMinutes(1));
        containers.faults(FakeContainers.Faults.NONE);
        assertThat(store.load()).hasSize(1);
        time.pass(Duration.ofMinutes(2));
        assertThat(store.load()).isEmpty();
        assertThat(life.waiting()).isZero();
    }

    @Test
    void endsByForceWhatCannotBeEndedGently() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        containers.faults(new FakeContainers.Faults(0, 100, 0, 0, LONG));
        assign(task("t", TaskState.SHUTDOWN));
        time.pass(Duration.ofSeconds(3));
        assertThat(containers.calls()).endsWith("shutdown t", "terminate t");
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
        assertThat(life.waiting()).isZero();
    }

    @Test
    void goesOnWithARunningTaskAfterARestart() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        containers.calls().clear();
        reported.clear();
        manager = started();
        time.pass(LONG);
        assertThat(containers.calls()).containsExactly("await t");
        containers.exit("t", 1);
        time.settle();
        assertThat(reported).as("no manager has been heard yet").isEmpty();
        assign(task("t", TaskState.RUNNING));
        assertThat(reported()).containsExactly("FAILED started");
    }

    @Test
    void theOwnStatusCountsForATaskThatIsKnown() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        manager = started();
        reported.clear();
        assign(task("t", TaskState.RUNNING).toBuilder()
                .setStatus(status(TaskState.REJECTED))
                .build());
        time.pass(LONG);
        assertThat(reported()).containsExactly("RUNNING started");
        assign(task("t", TaskState.SHUTDOWN).toBuilder()
                .setStatus(status(TaskState.REJECTED))
                .build());
        time.pass(LONG);
        assertThat(containers.container("t").running()).isFalse();
    }

    @Test
    void theStatusOfTheManagerCountsForATaskThatIsNot() {
        assign(task("t", TaskState.RUNNING).toBuilder()
                .setStatus(status(TaskState.RUNNING))
                .build());
        time.pass(LONG);
        assertThat(containers.calls()).containsExactly("await t");
        assertThat(reported.getLast().getErr()).isEqualTo("no such container");
        assertThat(reported.getLast().getState()).isEqualTo(TaskState.FAILED);
    }

    @Test
    void aTaskThatWasStartingIsStartedOnlyOnce() {
        assign(task("t", TaskState.RUNNING));
        while (reported.isEmpty() || reported.getLast().getState() != TaskState.STARTING) {
            time.pass(Duration.ofMillis(1));
        }
        // The container starts, but the agent ends before it hears of it.
        manager = started();
        time.pass(LONG);
        assertThat(containers.calls()).containsSubsequence("start t", "start t");
        assertThat(containers.container("t").starts()).isEqualTo(1);
        assertThat(store.load())
                .singleElement()
                .satisfies(kept -> assertThat(kept.getStatus().getState()).isEqualTo(TaskState.RUNNING));
    }

    @Test
    void preparesNothingBeforeItsSecretsAndConfigsAreThere() {
        Task task = withDependencies(task("t", TaskState.RUNNING));
        assign(task);
        time.pass(LONG);
        manager.provide(List.of(secret("s")), List.of());
        time.pass(LONG);
        assertThat(containers.calls()).isEmpty();
        manager.provide(List.of(secret("s")), List.of(config("c")));
        time.pass(LONG);
        assertThat(reported()).endsWith("RUNNING started");
        assertThat(life.waiting()).isZero();
    }

    @Test
    void aSecretMayBeACopyForTheTaskAlone() {
        manager.provide(List.of(secret("s.t")), List.of());
        Task task = task("t", TaskState.RUNNING);
        assertThat(manager.missing(withDependencies(task))).isEqualTo("config of c");
        assertThat(manager.missing(
                        withDependencies(task.toBuilder().setId("other").build())))
                .isEqualTo("secret of s");
    }

    @Test
    void rejectsATaskWhoseSecretsDoNotCome() {
        assign(withDependencies(task("t", TaskState.RUNNING)));
        time.pass(Duration.ofSeconds(31));
        assertThat(reported.getLast().getState()).isEqualTo(TaskState.REJECTED);
        assertThat(reported.getLast().getErr()).isEqualTo("secret of s was not sent to this node");
    }

    @Test
    void aResumedTaskWaitsForItsSecretsUntilAManagerIsHeard() {
        assign(withDependencies(task("t", TaskState.RUNNING)));
        time.pass(LONG);
        manager = started();
        time.pass(Duration.ofDays(1));
        manager.provide(List.of(secret("s")), List.of(config("c")));
        assign(withDependencies(task("t", TaskState.RUNNING)));
        time.pass(LONG);
        assertThat(reported()).endsWith("RUNNING started");
    }

    @Test
    void stopsRemovesAndForgetsWhatIsNoLongerAssigned() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        reported.clear();
        manager.remove("t");
        time.pass(LONG);
        assertThat(containers.calls()).endsWith("shutdown t", "remove t");
        assertThat(containers.containers()).isEmpty();
        assertThat(store.load()).isEmpty();
        assertThat(reported).as("nobody asks for it any more").isEmpty();
        assertThat(life.waiting()).isZero();
    }

    @Test
    void removesUntilThatSucceeds() {
        assign(task("t", TaskState.SHUTDOWN).toBuilder()
                .setStatus(status(TaskState.FAILED))
                .build());
        containers.faults(new FakeContainers.Faults(0, 100, 0, 0, Duration.ofMillis(1)));
        manager.remove("t");
        time.pass(Duration.ofMinutes(10));
        assertThat(containers.calls()).hasSizeBetween(12, 18).containsOnly("remove t");
        assertThat(store.load()).hasSize(1);
        containers.faults(FakeContainers.Faults.NONE);
        time.pass(Duration.ofMinutes(2));
        assertThat(store.load()).isEmpty();
    }

    @Test
    void goesOnWithARemovalAfterARestart() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        manager.remove("t");
        manager = started();
        time.pass(LONG);
        assertThat(containers.container("t").running()).isFalse();
        manager.retain(new LinkedHashSet<>());
        time.pass(LONG);
        assertThat(containers.containers()).isEmpty();
        assertThat(store.load()).isEmpty();
    }

    @Test
    void removesWhatACompleteListLeavesOut() {
        assign(task("t", TaskState.RUNNING));
        assign(task("u", TaskState.RUNNING));
        time.pass(LONG);
        manager = started();
        manager.retain(new LinkedHashSet<>(Set.of("u")));
        time.pass(LONG);
        assertThat(containers.containers().keySet()).containsExactly("u");
    }

    @Test
    void aTaskThatComesBackWhileItLeavesIsReportedAsStopped() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        manager.remove("t");
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
        manager.remove("t");
        time.pass(LONG);
        assertThat(store.load()).isEmpty();
    }

    @Test
    void aWishIsNotTakenBack() {
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assign(task("t", TaskState.SHUTDOWN));
        assign(task("t", TaskState.RUNNING));
        time.pass(LONG);
        assertThat(reported()).endsWith("SHUTDOWN shutdown");
    }

    private TaskManager started() {
        life.shutdown();
        life = time.life();
        TaskManager next = new TaskManager(containers.executor(), store, time);
        next.start(life);
        return next;
    }

    private void assign(Task task) {
        manager.assign(task, (id, status) -> reported.add(status));
    }

    private List<String> reported() {
        return reported.stream()
                .map(status -> status.getState() + " " + status.getMessage())
                .toList();
    }

    private static TaskStatus status(TaskState state) {
        return TaskStatus.newBuilder().setState(state).build();
    }

    static Task task(String id, TaskState desired) {
        return Task.newBuilder()
                .setId(id)
                .setDesiredState(desired)
                .setStatus(status(TaskState.ASSIGNED))
                .build();
    }

    private static Task withGrace(Task task, long seconds) {
        return task.toBuilder()
                .setSpec(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder()
                                .setStopGracePeriod(com.google.protobuf.Duration.newBuilder()
                                        .setSeconds(seconds))))
                .build();
    }

    static Task withDependencies(Task task) {
        return task.toBuilder()
                .setSpec(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder()
                                .addSecrets(SecretReference.newBuilder()
                                        .setSecretId("s")
                                        .setSecretName("of s"))
                                .addConfigs(ConfigReference.newBuilder()
                                        .setConfigId("c")
                                        .setConfigName("of c"))))
                .build();
    }

    static Secret secret(String id) {
        return Secret.newBuilder().setId(id).build();
    }

    static Config config(String id) {
        return Config.newBuilder().setId(id).build();
    }
}
