package io.skep.agent;

import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionStage;

/**
 * The logs of all tasks of this node that somebody wants to read, as one stream (swarm-wire 4.1). With {@code follow}
 * it takes in the tasks that begin to run later, and ends only when it is told to. Runs on the serial executor; bounded
 * by the tasks of the node.
 */
final class LogReading {
    private final TaskManager manager;
    private final LogSelector selector;
    private final LogSubscriptionOptions options;
    private final LogSink sink;

    /** What ends the reading of each task that was begun; a task is read once. */
    private final Map<String, Runnable> begun = new LinkedHashMap<>();

    private int unfinished;
    private boolean over;

    LogReading(TaskManager manager, LogSelector selector, LogSubscriptionOptions options, LogSink sink) {
        this.manager = manager;
        this.selector = selector;
        this.options = options;
        this.sink = sink;
    }

    /** Begins with the tasks there are. */
    void start(List<Task> tasks) {
        unfinished++;
        tasks.forEach(this::consider);
        finished();
    }

    boolean isOver() {
        return over;
    }

    /** A task is there, or has begun to run. */
    void consider(Task task) {
        if (over || begun.containsKey(task.getId()) || !isWanted(task)) {
            return;
        }
        unfinished++;
        begun.put(task.getId(), () -> {});
        begun.put(task.getId(), manager.executor().logs(task, options, new LogSink() {
            @Override
            public CompletionStage<Boolean> line(LogMessage message) {
                return sink.line(message);
            }

            @Override
            public void ended() {
                manager.give(LogReading.this::finished);
            }
        }));
    }

    private boolean isWanted(Task task) {
        return selector.getTaskIdsList().contains(task.getId())
                || selector.getServiceIdsList().contains(task.getServiceId())
                || selector.getNodeIdsList().contains(task.getNodeId());
    }

    private void finished() {
        unfinished--;
        if (unfinished == 0 && !options.getFollow()) {
            end();
        }
    }

    /** Ends it, if that has not come by itself. */
    void end() {
        if (over) {
            return;
        }
        over = true;
        new ArrayList<>(begun.values()).forEach(Runnable::run);
        sink.ended();
    }
}
