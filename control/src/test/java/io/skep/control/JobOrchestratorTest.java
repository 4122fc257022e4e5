package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.Kind;
import io.skep.wire.GlobalJob;
import io.skep.wire.JobStatus;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.Version;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JobOrchestratorTest {
    private final TestCluster cluster =
            new TestCluster(1, TestKit.node("n1").build(), TestKit.node("n2").build());

    @Test
    void runsSoManyTasksAtOnceUntilSoManyAreComplete() {
        cluster.create(job(2, 5));

        assertThat(cluster.tasksOf("job-id")).extracting(Task::getSlot).containsExactly(0L, 1L);
        assertThat(cluster.tasksOf("job-id")).allMatch(task -> task.getDesiredState() == TaskState.COMPLETE);
        cluster.invariant = state ->
                assertThat(cluster.tasks(task -> !TaskStates.isTerminal(task))).hasSizeLessThanOrEqualTo(2);
        cluster.work();

        assertThat(cluster.tasksOf("job-id"))
                .hasSize(5)
                .allMatch(task -> task.getStatus().getState() == TaskState.COMPLETE);
    }

    @Test
    void aFailedTaskIsTriedAgainInItsSlot() {
        cluster.create(job(1, 1));
        cluster.pass(Duration.ZERO);
        cluster.create(job(1, 1).setId("again-id"));
        cluster.report(cluster.tasksOf("again-id").getFirst().getId(), TaskState.FAILED);
        cluster.pass(Duration.ofSeconds(10));

        assertThat(states("again-id")).containsExactlyInAnyOrder(TaskState.FAILED, TaskState.COMPLETE);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 5})
    void aSlotThatMayNotBeRestartedIsGivenUp(long historyLimit) {
        cluster.change(transaction -> {
            var changed = TestKit.cluster();
            changed.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(historyLimit);
            transaction.put(Kind.CLUSTER, changed.build());
        });
        Service.Builder job = job(1, 2);
        job.getSpecBuilder()
                .getTaskBuilder()
                .setRestart(RestartPolicy.newBuilder().setCondition(RestartPolicy.RestartCondition.NONE));
        cluster.failingImages.add("nginx:1");
        cluster.create(job);
        cluster.pass(Duration.ofMinutes(1));

        assertThat(states("job-id")).containsExactly(TaskState.FAILED, TaskState.FAILED);
        List<Task> failed = cluster.tasksOf("job-id");
        cluster.pass(Duration.ofMinutes(1));
        assertThat(cluster.tasksOf("job-id")).isEqualTo(failed);
    }

    @Test
    void anUpdateBeginsAnIterationAndRemovesTheTasksOfTheLast() {
        cluster.create(job(2, 2));
        cluster.work();
        List<String> first = cluster.tasksOf("job-id").stream().map(Task::getId).toList();

        cluster.change(transaction -> {
            Service service = cluster.service("job-id");
            transaction.put(
                    Kind.SERVICE,
                    service.toBuilder()
                            .setSpecVersion(service.getMeta().getVersion())
                            .setJobStatus(JobStatus.newBuilder()
                                    .setJobIteration(Version.newBuilder().setIndex(1)))
                            .build());
        });
        cluster.work();

        assertThat(cluster.tasksOf("job-id"))
                .hasSize(2)
                .noneMatch(task -> first.contains(task.getId()))
                .allMatch(task -> task.getStatus().getState() == TaskState.COMPLETE)
                .allMatch(task -> task.getJobIteration().getIndex() == 1);
    }

    @Test
    void aGlobalJobRunsOnceOnEachNodeAndOnThoseThatComeLater() {
        cluster.setAvailability("n2", Availability.PAUSE);
        Service.Builder job = job(1, 1);
        job.getSpecBuilder().setGlobalJob(GlobalJob.getDefaultInstance());
        cluster.create(job);
        cluster.work();
        assertThat(cluster.tasksOf("job-id")).extracting(Task::getNodeId).containsExactly("n1");

        cluster.setAvailability("n2", Availability.ACTIVE);
        cluster.work();

        assertThat(cluster.tasksOf("job-id"))
                .hasSize(2)
                .allMatch(task -> task.getStatus().getState() == TaskState.COMPLETE);
    }

    @Test
    void aGlobalJobThatFailedWithItsNodeRunsAgainWhenTheNodeIsBack() {
        Service.Builder job = job(1, 1);
        job.getSpecBuilder().setGlobalJob(GlobalJob.getDefaultInstance());
        cluster.create(job);
        String lost =
                cluster.tasks(task -> task.getNodeId().equals("n1")).getFirst().getId();
        cluster.setNodeState("n1", NodeStatus.State.DOWN);
        cluster.report(lost, TaskState.FAILED);
        cluster.setNodeState("n1", NodeStatus.State.READY);
        cluster.pass(Duration.ofSeconds(10));

        assertThat(cluster.tasks(task -> task.getNodeId().equals("n1")).stream()
                        .map(task -> task.getStatus().getState()))
                .containsExactlyInAnyOrder(TaskState.FAILED, TaskState.COMPLETE);
    }

    @Test
    void aGlobalJobIsDoneWhenAnOlderTaskOfItCompletes() {
        Service.Builder job = job(1, 1);
        job.getSpecBuilder().setGlobalJob(GlobalJob.getDefaultInstance());
        cluster.create(job);
        String first =
                cluster.tasks(task -> task.getNodeId().equals("n1")).getFirst().getId();
        cluster.report(first, TaskState.RUNNING);
        for (int i = 0; i < 2; i++) {
            cluster.setNodeState("n1", NodeStatus.State.DOWN);
            cluster.setNodeState("n1", NodeStatus.State.READY);
        }
        assertThat(cluster.tasks(task -> task.getNodeId().equals("n1"))).hasSizeGreaterThan(1);
        cluster.report(first, TaskState.COMPLETE);
        cluster.pass(Duration.ofSeconds(10));

        assertThat(cluster.tasks(task ->
                        task.getNodeId().equals("n1") && task.getStatus().getState() == TaskState.COMPLETE))
                .extracting(Task::getId)
                .containsExactly(first);
    }

    @Test
    void aReplacementIsCalledOffWhenItsPredecessorCompletesAfterAll() {
        cluster.create(job(1, 2));
        String first = cluster.tasksOf("job-id").getFirst().getId();
        cluster.report(first, TaskState.RUNNING);
        cluster.setAvailability(cluster.task(first).getNodeId(), Availability.DRAIN);
        assertThat(cluster.tasksOf("job-id")).hasSize(2);
        cluster.report(first, TaskState.COMPLETE);
        cluster.pass(Duration.ofSeconds(10));

        assertThat(cluster.tasksOf("job-id"))
                .allMatch(task -> task.getStatus().getState() == TaskState.COMPLETE)
                .extracting(Task::getSlot)
                .containsExactlyInAnyOrder(0L, 1L);
    }

    @Test
    void aGlobalJobThatLostItsNodeRunsAgainWhenTheNodeIsBack() {
        Service.Builder job = job(1, 1);
        job.getSpecBuilder().setGlobalJob(GlobalJob.getDefaultInstance());
        cluster.create(job);
        cluster.setNodeState("n1", NodeStatus.State.DOWN);
        cluster.pass(Duration.ofSeconds(10));
        cluster.setNodeState("n1", NodeStatus.State.READY);
        cluster.pass(Duration.ofSeconds(10));

        assertThat(cluster.tasks(task -> task.getNodeId().equals("n1")).stream()
                        .map(task -> task.getStatus().getState()))
                .containsExactlyInAnyOrder(TaskState.SHUTDOWN, TaskState.COMPLETE);
    }

    private List<TaskState> states(String serviceId) {
        return cluster.tasksOf(serviceId).stream()
                .map(task -> task.getStatus().getState())
                .toList();
    }

    private static Service.Builder job(long atOnce, long total) {
        Service.Builder job = TestKit.service("job", 0).setJobStatus(JobStatus.getDefaultInstance());
        job.getSpecBuilder()
                .setReplicatedJob(
                        ReplicatedJob.newBuilder().setMaxConcurrent(atOnce).setTotalCompletions(total));
        return job;
    }
}
