package io.skep.control;

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
import io.skep.wire.ContainerStatus;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.NodeReport;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class TaskReportsTest {
    private final TestWorld world = world(node("w1").build(), node("w2").build());
    private final TestLeader leader = new TestLeader(world, ids(1));

    TaskReportsTest() {
        var service = service("web", 2).build();
        leader.change(transaction -> {
            transaction.put(Kind.SERVICE, service);
            for (String id : List.of("w1", "w2")) {
                transaction.put(
                        Kind.TASK,
                        task("of-" + id, service, 1)
                                .setNodeId(id)
                                .setStatus(status(TaskState.ASSIGNED, world.now()))
                                .build());
            }
        });
    }

    private static TaskStatusUpdate.Builder update(String taskId, TaskStatus.Builder status) {
        return TaskStatusUpdate.newBuilder().setTaskId(taskId).setStatus(status);
    }

    private static Command.Builder report(String node, TaskStatusUpdate.Builder... updates) {
        return together(of(node, updates));
    }

    private static NodeReport of(String node, TaskStatusUpdate.Builder... updates) {
        NodeReport.Builder report = NodeReport.newBuilder().setNodeId(node);
        for (TaskStatusUpdate.Builder update : updates) {
            report.addUpdates(update);
        }
        return report.build();
    }

    private static Command.Builder together(NodeReport... reports) {
        return Command.newBuilder()
                .setReportTaskStatus(
                        ReportTaskStatus.newBuilder().setManagerId("m1").addAllNodes(List.of(reports)));
    }

    private Task stored(String id) {
        return requireNonNull(world.state().tasks().get(id));
    }

    @Test
    void aReportIsTakenOverAndSignedForByTheManager() {
        TaskStatus.Builder running = status(TaskState.RUNNING, world.now())
                .setContainer(ContainerStatus.newBuilder().setContainerId("c1"));
        leader.run(report("w1", update("of-w1", running)));
        assertThat(stored("of-w1").getStatus())
                .isEqualTo(running.setAppliedBy("m1")
                        .setAppliedAt(Times.timestamp(world.now()))
                        .build());
    }

    @Test
    void theSameReportChangesNothing() {
        Command.Builder report = report("w1", update("of-w1", status(TaskState.RUNNING, world.now())));
        leader.run(report);
        Task before = stored("of-w1");
        world.pass(Duration.ofSeconds(1));
        leader.run(report);
        assertThat(stored("of-w1")).isEqualTo(before);
    }

    @Test
    void moreIsLearntInTheSameState() {
        leader.run(report("w1", update("of-w1", status(TaskState.RUNNING, world.now()))));
        leader.run(report(
                "w1",
                update(
                        "of-w1",
                        status(TaskState.RUNNING, world.now())
                                .setContainer(ContainerStatus.newBuilder().setPid(7)))));
        assertThat(stored("of-w1").getStatus().getContainer().getPid()).isEqualTo(7);
    }

    @Test
    void unknownTasksAndEmptyReportsAreSkipped() {
        leader.run(report(
                "w1",
                update("gone", status(TaskState.RUNNING, world.now())),
                TaskStatusUpdate.newBuilder().setTaskId("of-w1"),
                update("of-w1", status(TaskState.ACCEPTED, world.now()))));
        assertThat(stored("of-w1").getStatus().getState()).isEqualTo(TaskState.ACCEPTED);
    }

    @Test
    void aStateOfANewerEngineIsSkipped() {
        leader.run(report("w1", update("of-w1", TaskStatus.newBuilder().setStateValue(600))));
        assertThat(stored("of-w1").getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
    }

    @Test
    void anotherNodesTaskSpoilsTheWholeReportOfTheNode() {
        leader.run(report(
                "w1",
                update("of-w1", status(TaskState.RUNNING, world.now())),
                update("of-w2", status(TaskState.FAILED, world.now()))));
        assertThat(stored("of-w1").getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
        assertThat(stored("of-w2").getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
    }

    @Test
    void aReportThatIsSpoiltSpoilsNoOther() {
        leader.run(together(
                of("w1", update("of-w2", status(TaskState.FAILED, world.now()))),
                of("w2", update("of-w2", status(TaskState.RUNNING, world.now())))));
        assertThat(stored("of-w2").getStatus().getState()).isEqualTo(TaskState.RUNNING);
    }

    @Property(tries = 50)
    void statesNeverGoBack(@ForAll @Size(max = 10) List<TaskState> states) {
        int highest = stored("of-w1").getStatus().getStateValue();
        for (TaskState state : states) {
            if (state != TaskState.UNRECOGNIZED) {
                leader.run(report("w1", update("of-w1", status(state, world.now()))));
                highest = Math.max(highest, state.getNumber());
            }
            assertThat(stored("of-w1").getStatus().getStateValue()).isEqualTo(highest);
        }
    }
}
