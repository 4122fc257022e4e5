package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.LogAttr;
import io.skep.wire.LogContext;
import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.LogStream;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Service;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.Task;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The logs of services and tasks, gathered from their nodes (engine-api 1.5).
 *
 * <p>Lines wait in a queue of at most {@value #BATCHES_MAX} batches for a client that reads slowly; then the source has
 * to wait.
 */
final class LogEndpoints {
    private static final Logger LOG = LoggerFactory.getLogger(LogEndpoints.class);
    private static final int BATCHES_MAX = 64;

    private final Gate gate;

    LogEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/services/{id}/logs", this::ofService);
        router.add("GET", "/tasks/{id}/logs", this::ofTask);
    }

    private Reply ofService(Call call) {
        LogSubscriptionOptions options = options(call);
        ClusterState state = gate.cluster().read();
        Service service = Lookup.find(state, Kind.SERVICE, call.path("id"));
        boolean tty = service.getSpec().getTask().getContainer().getTty();
        return logs(
                call, LogSelector.newBuilder().addServiceIds(service.getId()).build(), options, tty);
    }

    private Reply ofTask(Call call) {
        LogSubscriptionOptions options = options(call);
        ClusterState state = gate.cluster().read();
        Task task = Lookup.find(state, Kind.TASK, call.path("id"));
        boolean tty = task.getSpec().getContainer().getTty();
        return logs(call, LogSelector.newBuilder().addTaskIds(task.getId()).build(), options, tty);
    }

    private static LogSubscriptionOptions options(Call call) {
        boolean stdout = call.flag("stdout");
        boolean stderr = call.flag("stderr");
        if (!stdout && !stderr) {
            throw new ApiException(400, "Bad parameters: you must choose at least one stream");
        }
        LogSubscriptionOptions.Builder options = LogSubscriptionOptions.newBuilder()
                .setFollow(call.flag("follow"))
                .setTail(tail(call.query("tail")));
        if (stdout) {
            options.addStreams(LogStream.LOG_STREAM_STDOUT);
        }
        if (stderr) {
            options.addStreams(LogStream.LOG_STREAM_STDERR);
        }
        String since = call.query("since");
        if (!since.isEmpty() && !since.equals("0")) {
            options.setSince(Times.parse("since", since));
        }
        return options.build();
    }

    /** Returns the number of last lines as nodes are told it: 0 for all, else -(lines + 1). */
    private static long tail(String text) {
        if (text.isEmpty() || text.equals("all")) {
            return 0;
        }
        try {
            long lines = Long.parseLong(text);
            if (lines < 0) {
                throw new ApiException(400, "error parsing tail value: negative tail values not supported");
            }
            return -lines - 1;
        } catch (NumberFormatException e) {
            throw new ApiException(400, "error parsing tail value: \"" + text + "\" is neither a number nor \"all\"");
        }
    }

    private Reply logs(Call call, LogSelector selector, LogSubscriptionOptions options, boolean tty) {
        ClusterAccess cluster = gate.cluster();
        boolean details = call.flag("details");
        boolean timestamps = call.flag("timestamps");
        return new Reply.Streamed(200, StreamFrames.type(call, tty), out -> {
            BlockingQueue<Batch> queue = new LinkedBlockingQueue<>(BATCHES_MAX);
            Reader reader = new Reader(queue);
            AutoCloseable subscription = cluster.subscribeLogs(selector, options, reader::lines, reader::end);
            try {
                out.onEnd(reader::stop);
                while (true) {
                    switch (queue.take()) {
                        case Lines lines -> out.write(text(lines.message(), tty, timestamps, details));
                        case End end -> {
                            if (!end.warning().isEmpty()) {
                                out.write(framed(
                                        StreamFrames.SYSTEM_ERROR,
                                        tty,
                                        "Error grabbing logs: " + end.warning() + "\n"));
                            }
                            return;
                        }
                    }
                }
            } finally {
                reader.stop();
                close(subscription);
            }
        });
    }

    private static void close(AutoCloseable subscription) {
        try {
            subscription.close();
        } catch (Exception e) {
            LOG.warn("a log subscription did not close", e);
        }
    }

    private static byte[] framed(int stream, boolean tty, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return StreamFrames.framed(stream, tty, bytes, bytes.length);
    }

    private static byte[] text(SubscribeLogsMessage batch, boolean tty, boolean timestamps, boolean details)
            throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (LogMessage message : batch.getMessagesList()) {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            if (timestamps) {
                line.writeBytes((timestamp(message.getTimestamp()) + " ").getBytes(StandardCharsets.UTF_8));
            }
            if (details) {
                line.writeBytes((details(message) + " ").getBytes(StandardCharsets.UTF_8));
            }
            message.getData().writeTo(line);
            int stream = message.getStream() == LogStream.LOG_STREAM_STDERR ? StreamFrames.STDERR : StreamFrames.STDOUT;
            StreamFrames.frame(out, stream, tty, line.toByteArray());
        }
        return out.toByteArray();
    }

    private static String timestamp(Timestamp time) {
        return StreamFrames.timestamp(Times.instant(time));
    }

    private static String details(LogMessage message) {
        Map<String, String> details = new TreeMap<>();
        for (LogAttr attribute : message.getAttrsList()) {
            details.put(attribute.getKey(), attribute.getValue());
        }
        LogContext context = message.getContext();
        details.put("com.docker.swarm.node.id", context.getNodeId());
        details.put("com.docker.swarm.service.id", context.getServiceId());
        details.put("com.docker.swarm.task.id", context.getTaskId());
        StringBuilder text = new StringBuilder();
        details.forEach((key, value) -> {
            if (!text.isEmpty()) {
                text.append(',');
            }
            text.append(escaped(key)).append('=').append(escaped(value));
        });
        return text.toString();
    }

    private static String escaped(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private sealed interface Batch {}

    private record Lines(SubscribeLogsMessage message) implements Batch {}

    private record End(String warning) implements Batch {}

    /** Takes lines from their source; once stopped it takes nothing and lets nobody wait. */
    private static final class Reader {
        private final BlockingQueue<Batch> queue;
        private volatile boolean stopped;

        Reader(BlockingQueue<Batch> queue) {
            this.queue = queue;
        }

        void lines(SubscribeLogsMessage message) {
            put(new Lines(message));
        }

        void end(String warning) {
            put(new End(warning));
        }

        private void put(Batch batch) {
            try {
                if (!stopped) {
                    queue.put(batch);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        /** Makes room for, and wakes, whoever waits on either side. */
        void stop() {
            stopped = true;
            queue.clear();
            if (!queue.offer(new End(""))) {
                LOG.debug("a batch of log lines came while the stream ended");
            }
        }
    }
}
