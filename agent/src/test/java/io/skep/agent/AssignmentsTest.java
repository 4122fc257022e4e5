package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Assignment;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentChange.AssignmentAction;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class AssignmentsTest {
    private final Recorder executor = new Recorder();
    private final StatusQueue statuses = new StatusQueue();
    private final Assignments assignments = new Assignments(executor, statuses::offer, statuses);

    @Test
    void appliesSecretsBeforeTheTasksThatUseThem() {
        assertThat(assignments.apply(complete("1", task("t1", TaskState.RUNNING), secret("s1"))))
                .isTrue();
        assertThat(executor.calls).containsExactly("provide s1", "assign t1 RUNNING");
    }

    @Test
    void aCompleteListReplacesWhatWasAssigned() {
        assignments.apply(complete("1", task("t1", TaskState.RUNNING), secret("s1")));
        assignments.begin();
        executor.calls.clear();
        assignments.apply(complete("1", task("t2", TaskState.RUNNING), config("c1")));
        assertThat(executor.calls).containsExactly("provide c1", "assign t2 RUNNING", "remove t1");
    }

    @Test
    void onlyACompleteListSaysWhichTasksFromBeforeMayStay() {
        assignments.apply(complete("1", task("t1", TaskState.RUNNING), secret("s1")));
        assignments.apply(incremental("1", "2", task("t2", TaskState.RUNNING)));
        assertThat(executor.retained).containsExactly(Set.of("t1"));
    }

    @Test
    void anIncrementChangesOnlyWhatItLists() {
        assignments.apply(complete("1", task("t1", TaskState.RUNNING), task("t2", TaskState.RUNNING)));
        executor.calls.clear();
        assertThat(assignments.apply(incremental("1", "2", removed("t1"), task("t3", TaskState.RUNNING))))
                .isTrue();
        assertThat(executor.calls).containsExactly("remove t1", "assign t3 RUNNING");
    }

    @Test
    void noticesAMissingMessage() {
        assignments.apply(complete("1"));
        assignments.apply(incremental("1", "2"));
        assertThat(assignments.apply(incremental("3", "4", task("t1", TaskState.RUNNING))))
                .isFalse();
        assertThat(executor.calls).containsExactly("provide");
    }

    @Test
    void doesNotTakeBackADesiredState() {
        assignments.apply(complete("1", task("t1", TaskState.SHUTDOWN)));
        executor.calls.clear();
        assignments.apply(incremental("1", "2", task("t1", TaskState.RUNNING)));
        assertThat(executor.calls).isEmpty();
    }

    @Test
    void reportsOnlyTasksThatAreAssigned() {
        assignments.apply(complete("1", task("t1", TaskState.RUNNING)));
        assertThat(statuses.offer("t1", status(TaskState.PREPARING))).isTrue();
        assertThat(statuses.offer("t9", status(TaskState.PREPARING))).isFalse();
        assignments.apply(incremental("1", "2", removed("t1")));
        assertThat(statuses.offer("t1", status(TaskState.RUNNING))).isFalse();
        assertThat(statuses.take(10)).isEmpty();
    }

    @Test
    void sendsTheNewestStatusOfATaskAndAllOfThemToANewManager() {
        assignments.apply(complete("1", task("t1", TaskState.RUNNING), task("t2", TaskState.RUNNING)));
        statuses.offer("t1", status(TaskState.PREPARING));
        statuses.offer("t2", status(TaskState.PREPARING));
        statuses.offer("t1", status(TaskState.RUNNING));
        assertThat(statuses.offer("t1", status(TaskState.STARTING))).isFalse();
        List<TaskStatusUpdate> first = statuses.take(1);
        assertThat(first).singleElement().satisfies(update -> {
            assertThat(update.getTaskId()).isEqualTo("t1");
            assertThat(update.getStatus().getState()).isEqualTo(TaskState.RUNNING);
        });
        assertThat(statuses.take(10)).hasSize(1);
        assertThat(statuses.take(10)).isEmpty();
        statuses.resendAll();
        assertThat(statuses.take(10)).hasSize(2);
    }

    @Test
    void aNodeWithoutExecutorRejectsWhatStillRunsAndSaysWhy() {
        Assignments refusing = new Assignments(
                new NoExecutor("no container engine here", Clock.systemUTC()), statuses::offer, statuses);
        Task finished = Task.newBuilder()
                .setId("done")
                .setStatus(status(TaskState.FAILED))
                .build();
        refusing.apply(complete(
                "1",
                task("t1", TaskState.RUNNING),
                AssignmentChange.newBuilder()
                        .setAssignment(Assignment.newBuilder().setTask(finished))
                        .build()));
        assertThat(statuses.take(10)).singleElement().satisfies(update -> {
            assertThat(update.getTaskId()).isEqualTo("t1");
            assertThat(update.getStatus().getState()).isEqualTo(TaskState.REJECTED);
            assertThat(update.getStatus().getErr()).isEqualTo("no container engine here");
        });
    }

    private static TaskStatus status(TaskState state) {
        return TaskStatus.newBuilder().setState(state).build();
    }

    private static AssignmentsMessage complete(String resultsIn, AssignmentChange... changes) {
        return AssignmentsMessage.newBuilder()
                .setType(AssignmentsMessage.Type.COMPLETE)
                .setResultsIn(resultsIn)
                .addAllChanges(List.of(changes))
                .build();
    }

    private static AssignmentsMessage incremental(String appliesTo, String resultsIn, AssignmentChange... changes) {
        return AssignmentsMessage.newBuilder()
                .setType(AssignmentsMessage.Type.INCREMENTAL)
                .setAppliesTo(appliesTo)
                .setResultsIn(resultsIn)
                .addAllChanges(List.of(changes))
                .build();
    }

    private static AssignmentChange task(String id, TaskState desired) {
        return AssignmentChange.newBuilder()
                .setAssignment(Assignment.newBuilder()
                        .setTask(Task.newBuilder()
                                .setId(id)
                                .setDesiredState(desired)
                                .setStatus(status(TaskState.ASSIGNED))))
                .build();
    }

    private static AssignmentChange removed(String taskId) {
        return AssignmentChange.newBuilder()
                .setAction(AssignmentAction.REMOVE)
                .setAssignment(Assignment.newBuilder().setTask(Task.newBuilder().setId(taskId)))
                .build();
    }

    private static AssignmentChange secret(String id) {
        return AssignmentChange.newBuilder()
                .setAssignment(
                        Assignment.newBuilder().setSecret(Secret.newBuilder().setId(id)))
                .build();
    }

    private static AssignmentChange config(String id) {
        return AssignmentChange.newBuilder()
                .setAssignment(
                        Assignment.newBuilder().setConfig(Config.newBuilder().setId(id)))
                .build();
    }

    private static final class Recorder implements TaskRunner {
        private final List<String> calls = new ArrayList<>();
        private final List<Set<String>> retained = new ArrayList<>();

        @Override
        public String unavailable() {
            return "";
        }

        @Override
        public void provide(List<Secret> secrets, List<Config> configs) {
            StringBuilder call = new StringBuilder("provide");
            secrets.forEach(secret -> call.append(' ').append(secret.getId()));
            configs.forEach(config -> call.append(' ').append(config.getId()));
            calls.add(call.toString());
        }

        @Override
        public void assign(Task task, StatusReporter reporter) {
            calls.add("assign " + task.getId() + " " + task.getDesiredState());
        }

        @Override
        public void remove(String taskId) {
            calls.add("remove " + taskId);
        }

        @Override
        public void retain(Set<String> taskIds) {
            retained.add(taskIds);
        }
    }
}
