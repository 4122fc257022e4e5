package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CommandResult;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;

/** What nodes report about their tasks, taken into the state (swarm-wire 3.4). */
final class TaskReports {
    private TaskReports() {}

    /**
     * Takes over each status that is not behind the known one. Tasks that are gone are no error.
     *
     * @throws CommandException PERMISSION_DENIED if one of the tasks is another node's
     */
    static CommandResult take(Transaction transaction, Instant now, ReportTaskStatus report) {
        for (ReportTaskStatus.TaskStatusUpdate update : report.getUpdatesList()) {
            Task task = transaction.state().tasks().get(update.getTaskId());
            if (task == null || !update.hasStatus()) {
                continue;
            }
            if (!task.getNodeId().equals(report.getNodeId())) {
                throw new CommandException(
                        Code.PERMISSION_DENIED, "task " + task.getId() + " is not one of node " + report.getNodeId());
            }
            TaskStatus status = update.getStatus();
            boolean known = TaskState.forNumber(status.getStateValue()) != null;
            boolean behind = status.getStateValue() < task.getStatus().getStateValue();
            boolean ahead = status.getStateValue() > task.getStatus().getStateValue();
            if (!known || behind || (!ahead && isSame(status, task.getStatus()))) {
                continue;
            }
            transaction.put(
                    Kind.TASK,
                    task.toBuilder()
                            .setStatus(status.toBuilder()
                                    .setAppliedBy(report.getManagerId())
                                    .setAppliedAt(Times.timestamp(now)))
                            .build());
        }
        return Answers.done();
    }

    private static boolean isSame(TaskStatus reported, TaskStatus stored) {
        return reported.toBuilder()
                .clearAppliedBy()
                .clearAppliedAt()
                .build()
                .equals(stored.toBuilder().clearAppliedBy().clearAppliedAt().build());
    }
}
