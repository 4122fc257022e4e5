package io.skep.engine;

import io.skep.agent.LogSink;
import io.skep.wire.LogContext;
import io.skep.wire.LogMessage;
import io.skep.wire.LogStream;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Task;
import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The log of one task on its way to those who read it; a virtual thread of its own reads and waits for the sink. */
final class TaskLog {
    private static final Logger LOG = LoggerFactory.getLogger(TaskLog.class);

    private final EngineExecutor executor;
    private final Task task;
    private final LogSubscriptionOptions options;
    private final LogSink sink;

    TaskLog(EngineExecutor executor, Task task, LogSubscriptionOptions options, LogSink sink) {
        this.executor = executor;
        this.task = task;
        this.options = options;
        this.sink = sink;
    }

    /** Begins; the returned object ends it. */
    Runnable start() {
        return Thread.ofVirtual().name("task-log-" + task.getId()).start(this::run)::interrupt;
    }

    private void run() {
        try {
            Container container = executor.find(task.getId());
            if (container != null) {
                container.log().read(wanted(), this::pass);
            }
        } catch (InterruptedException e) {
            // Nobody reads any more.
        } catch (IOException | UnsupportedOperationException | EngineException e) {
            LOG.info("the log of task {} cannot be read: {}", task.getId(), e.getMessage());
        } finally {
            sink.ended();
        }
    }

    private LogOptions wanted() {
        List<LogStream> streams = options.getStreamsList();
        long tail = options.getTail();
        Instant since = options.hasSince()
                ? Instant.ofEpochSecond(
                        options.getSince().getSeconds(), options.getSince().getNanos())
                : null;
        return new LogOptions(
                streams.isEmpty() || streams.contains(LogStream.LOG_STREAM_STDOUT),
                streams.isEmpty() || streams.contains(LogStream.LOG_STREAM_STDERR),
                options.getFollow(),
                // Lines from the end are counted down from -1, which is none of them.
                tail < 0 ? -tail - 1 : -1,
                since,
                null);
    }

    private boolean pass(LogLine line) throws InterruptedException {
        try {
            return sink.line(LogMessage.newBuilder()
                            .setContext(LogContext.newBuilder()
                                    .setServiceId(task.getServiceId())
                                    .setNodeId(task.getNodeId())
                                    .setTaskId(task.getId()))
                            .setTimestamp(Times.of(line.time()))
                            .setStream(
                                    line.stream() == OutputStreamKind.STDERR
                                            ? LogStream.LOG_STREAM_STDERR
                                            : LogStream.LOG_STREAM_STDOUT)
                            .setData(line.text())
                            .build())
                    .toCompletableFuture()
                    .get();
        } catch (ExecutionException e) {
            return false;
        }
    }
}
