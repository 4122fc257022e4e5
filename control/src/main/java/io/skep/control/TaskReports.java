package io.skep.control;

import com.google.protobuf.Timestamp;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CommandResult;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.NodeReport;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What nodes report about their tasks, taken into the state (swarm-wire 3.4). */
final class TaskReports {
    private static final Logger LOG = LoggerFactory.getLogger(TaskReports.class);
    private static final int SHARED_LENGTH_MAX = 64;
    private static final int SHARED_MAX = 1000;

    /** What many statuses say in the same words, so that a million tasks do not keep a million copies. */
    private final Map<String, String> shared = new HashMap<>();

    /**
     * Takes over each status that is not behind the known one. Tasks that are gone are no error. A node that reports
     * about another's task is not heard at all: the manager that took the report refuses such a one, unless the task
     * moved in the same moment.
     */
    CommandResult take(Transaction transaction, Instant now, ReportTaskStatus report) {
        Timestamp appliedAt = Times.timestamp(now);
        String manager = share(report.getManagerId());
        for (NodeReport node : report.getNodesList()) {
            if (reportsOwnTasks(transaction, node)) {
                take(transaction, appliedAt, manager, node);
            }
        }
        return Answers.done();
    }

    private static boolean reportsOwnTasks(Transaction transaction, NodeReport node) {
        for (TaskStatusUpdate update : node.getUpdatesList()) {
            Task task = transaction.state().tasks().get(update.getTaskId());
            if (task != null && !task.getNodeId().equals(node.getNodeId())) {
                LOG.warn("node {} reports about task {}, which is not its own", node.getNodeId(), task.getId());
                return false;
            }
        }
        return true;
    }

    private void take(Transaction transaction, Timestamp appliedAt, String manager, NodeReport node) {
        for (TaskStatusUpdate update : node.getUpdatesList()) {
            Task task = transaction.state().tasks().get(update.getTaskId());
            if (task == null || !update.hasStatus()) {
                continue;
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
