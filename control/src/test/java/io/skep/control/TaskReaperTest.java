package io.skep.control;

import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.service;
import static io.skep.control.TestKit.status;
import static io.skep.control.TestKit.world;
import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.Kind;
import io.skep.wire.GlobalService;
import io.skep.wire.JobStatus;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TaskReaperTest {
    private final TestWorld world = world(node("n1").build(), node("n2").build());
    private final TestLeader leader = new TestLeader(world, ids(1));

    private Service put(Service.Builder service) {
        Service built = service.build();
        leader.change(transaction -> transaction.put(Kind.SERVICE, built));
        return built;
    }

    private void put(Task.Builder task) {
        world.pass(Duration.ofMillis(1));
        leader.change(transaction -> transaction.put(Kind.TASK, task.build()));
    }

    private Task.Builder task(Service service, String id, long slot, TaskState state) {
        return TestKit.task(id, service, slot)
                .setNodeId("n1")
                .setDesiredState(TaskState.SHUTDOWN)
                .setStatus(status(state, world.now()));
    }

    private List<String> tasks() {
        List<String> ids = new ArrayList<>();
        world.state().tasks().values().forEach(task -> ids.add(task.getId()));
        ids.sort(null);
        return ids;
    }

    @Test
    void theOldestGoBeyondTheLimitInEachSlot() {
        Service web = put(service("web", 2));
        for (int i = 1; i <= 7; i++) {
            put(task(web, "a" + i, 1, TaskState.FAILED));
            put(task(web, "b" + i, 2, i <= 2 ? TaskState.RUNNING : TaskState.FAILED));
        }
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("a3", "a4", "a5", "a6", "a7", "b1", "b2", "b5", "b6", "b7");
    }

    @Test
    void whatRunsStaysWhateverTheLimit() {
        setLimit(0);
        Service web = put(service("web", 1));
        put(task(web, "failed", 1, TaskState.FAILED));
        put(task(web, "runs", 1, TaskState.RUNNING).setDesiredState(TaskState.RUNNING));
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("runs");
        put(task(web, "runs", 1, TaskState.COMPLETE));
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).isEmpty();
    }

    @ParameterizedTest
    @EnumSource(
            value = TaskState.class,
            names = {"COMPLETE", "FAILED", "REJECTED"})
    void whatFillsItsSlotForGoodIsNotForgotten(TaskState end) {
        setLimit(0);
        Service.Builder once = service("once", 1);
        once.getSpecBuilder()
                .getTaskBuilder()
                .setRestart(RestartPolicy.newBuilder().setCondition(RestartPolicy.RestartCondition.NONE));
        Service service = put(once);
        put(task(service, "earlier", 1, TaskState.SHUTDOWN));
        put(task(service, "ended", 1, end));
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("ended");
    }

    @Test
    void aNegativeLimitKeepsAllUntilItIsLowered() {
        setLimit(-1);
        Service web = put(service("web", 1));
        for (int i = 1; i <= 8; i++) {
            put(task(web, "t" + i, 1, TaskState.FAILED));
        }
        leader.pass(Duration.ofMinutes(1));
        assertThat(tasks()).hasSize(8);
        setLimit(1);
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("t8");
    }

    @Test
    void whoCountsAttemptsKeepsThem() {
        Service.Builder counted = service("web", 1);
        counted.getSpecBuilder()
                .getTaskBuilder()
                .setRestart(RestartPolicy.newBuilder().setMaxAttempts(6));
        Service web = put(counted);
        for (int i = 1; i <= 9; i++) {
            put(task(web, "t" + i, 1, TaskState.FAILED));
        }
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).hasSize(7);
    }

    @Test
    void aGlobalServiceHasAHistoryOnEachNode() {
        setLimit(1);
        Service.Builder global = service("agent", 1);
        global.getSpecBuilder().setGlobal(GlobalService.getDefaultInstance());
        Service agent = put(global);
        put(task(agent, "a1", 0, TaskState.FAILED));
        put(task(agent, "a2", 0, TaskState.FAILED));
        put(task(agent, "b1", 0, TaskState.FAILED).setNodeId("n2"));
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("a2", "b1");
    }

    @Test
    void theWorkOfAJobIsNotForgotten() {
        setLimit(0);
        Service.Builder service = service("job", 1).setJobStatus(JobStatus.getDefaultInstance());
        service.getSpecBuilder().setReplicatedJob(ReplicatedJob.newBuilder().setTotalCompletions(1));
        Service job = put(service);
        put(task(job, "done", 0, TaskState.COMPLETE).setDesiredState(TaskState.COMPLETE));
        put(task(job, "failed", 0, TaskState.FAILED).setDesiredState(TaskState.SHUTDOWN));
        leader.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("done");
    }

    @ParameterizedTest
    @EnumSource(
            value = TaskState.class,
            names = {"UNRECOGNIZED"},
            mode = EnumSource.Mode.EXCLUDE)
    void whatIsToBeRemovedGoesOnceItHasEndedOrNeverBegan(TaskState state) {
        Service web = put(service("web", 1));
        put(task(web, "t", 1, state).setDesiredState(TaskState.REMOVE));
        boolean runs = state.getNumber() >= TaskState.ASSIGNED_VALUE && state.getNumber() <= TaskState.RUNNING_VALUE;
        assertThat(tasks()).hasSize(runs ? 1 : 0);
    }

    @Test
    void aLostTaskOfNobodyGoes() {
        Service web = put(service("web", 1));
        put(task(web, "of-web", 1, TaskState.ORPHANED));
        put(task(web, "of-nobody", 1, TaskState.ORPHANED).clearServiceId());
        assertThat(tasks()).containsExactly("of-web");
    }

    @Test
    void aNewLeaderFindsWhatIsLeft() {
        Service web = put(service("web", 1));
        world.change(transaction -> {
            for (int i = 1; i <= 7; i++) {
                transaction.put(
                        Kind.TASK, task(web, "t" + i, 1, TaskState.FAILED).build());
            }
            transaction.put(
                    Kind.TASK,
                    task(web, "unwanted", 2, TaskState.SHUTDOWN)
                            .setDesiredState(TaskState.REMOVE)
                            .build());
        });
        TestLeader next = new TestLeader(world, ids(2));
        next.pass(TaskReaper.BATCH_DELAY);
        assertThat(tasks()).containsExactly("t3", "t4", "t5", "t6", "t7");
    }

    private void setLimit(long limit) {
        leader.change(transaction -> {
            var cluster = TestKit.cluster();
            cluster.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(limit);
            transaction.put(Kind.CLUSTER, cluster.build());
        });
    }
}
