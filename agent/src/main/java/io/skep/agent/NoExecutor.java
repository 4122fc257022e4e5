package io.skep.agent;

import com.google.protobuf.Timestamp;
import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;

/** The task runner of a node that runs no containers: it rejects each task and says why. */
public final class NoExecutor implements TaskRunner {
    private final String reason;
    private final InstantSource clock;

    /**
     * Makes an executor that refuses.
     *
     * @param reason for users, in ASCII: it travels in a header
     */
    public NoExecutor(String reason, InstantSource clock) {
        this.reason = reason;
        this.clock = clock;
    }

    @Override
    public String unavailable() {
        return reason;
    }

    @Override
    public void provide(List<Secret> secrets, List<Config> configs) {
        // Nothing here uses them.
    }

    @Override
    public void assign(Task task, StatusReporter reporter) {
        if (task.getStatus().getState().getNumber() > TaskState.RUNNING_VALUE) {
            return;
        }
        Instant now = clock.instant();
        reporter.report(
                task.getId(),
                TaskStatus.newBuilder()
                        .setState(TaskState.REJECTED)
                        .setTimestamp(Timestamp.newBuilder()
                                .setSeconds(now.getEpochSecond())
                                .setNanos(now.getNano()))
                        .setMessage("rejected by a node without container engine")
                        .setErr(reason)
                        .build());
    }

    @Override
    public void remove(String taskId) {
        // It never ran.
    }
}
