package io.skep.control;

import com.google.protobuf.Timestamp;
import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CommandResult;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;

/** What nodes report about their tasks, taken into the state (swarm-wire 3.4). */
final class TaskReports {
    private static final int SHARED_LENGTH_MAX = 64;
    private static final int SHARED_MAX = 1000;

    /** What many statuses say in the same words, so that a million tasks do not keep a million copies. */
    private final Map<String, String> shared = new HashMap<>();

    /**
     * Takes over each status that is not behind the known one. Tasks that are gone are no error.
     *
     * @throws CommandException PERMISSION_DENIED if one of the tasks is another node's
     */
    CommandResult take(Transaction transaction, Instant now, ReportTaskStatus report) {
        Timestamp appliedAt = Times.timestamp(now);
        String manager = share(report.getManagerId());
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
                                    .setMessage(share(status.getMessage()))
                                    .setAppliedBy(manager)
                                    .setAppliedAt(appliedAt))
                            .build());
        }
        return Answers.done();
    }

    private String share(String words) {
        if (words.length() > SHARED_LENGTH_MAX) {
            return words;
        }
        if (shared.size() >= SHARED_MAX) {
            shared.clear();
        }
        String known = shared.putIfAbsent(words, words);
        return known == null ? words : known;
    }

    private static boolean isSame(TaskStatus reported, TaskStatus stored) {
        return reported.toBuilder()
                .clearAppliedBy()
                .clearAppliedAt()
                .build()
                .equals(stored.toBuilder().clearAppliedBy().clearAppliedAt().build());
    }
}
