package io.skep.api;

import com.google.protobuf.ByteString;
import io.skep.engine.Container;
import io.skep.engine.Containers;
import io.skep.engine.EngineException;
import io.skep.engine.LogLine;
import io.skep.engine.LogOptions;
import io.skep.engine.OutputStreamKind;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.Resources;
import io.skep.engine.record.RestartPolicy;
import io.skep.engine.record.UpdateContainer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Containers: made, started, watched, ended, removed (engine-api 2.2). */
final class ContainerEndpoints {
    private static final Logger LOG = LoggerFactory.getLogger(ContainerEndpoints.class);
    private static final String NOT_RUNNING = " is not running";

    private final EngineGate gate;

    ContainerEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/containers/json", this::list);
        router.add("POST", "/containers/create", this::create);
        router.add("POST", "/containers/prune", this::prune);
        router.add("GET", "/containers/{id}/json", this::inspect);
        router.add("GET", "/containers/{id}/logs", this::logs);
        router.add("POST", "/containers/{id}/start", this::start);
        router.add("POST", "/containers/{id}/stop", this::stop);
        router.add("POST", "/containers/{id}/restart", this::restart);
        router.add("POST", "/containers/{id}/kill", this::kill);
        router.add("POST", "/containers/{id}/pause", this::pause);
        router.add("POST", "/containers/{id}/unpause", this::unpause);
        router.add("POST", "/containers/{id}/rename", this::rename);
        router.add("POST", "/containers/{id}/update", this::update);
        router.add("POST", "/containers/{id}/resize", this::resize);
        router.add("POST", "/containers/{id}/wait", this::await);
        router.addDuplex("POST", "/containers/{id}/attach", this::attach);
        router.add("DELETE", "/containers/{id}", this::remove);
    }

    private Container container(Call call) {
        return gate.containers().require(call.path("id"));
    }

    // ---- lists

    private Reply list(Call call) {
        Containers containers = gate.containers();
        ContainerFilters filters = new ContainerFilters(
                call.filters(
                        "ancestor",
                        "before",
                        "exited",
                        "expose",
                        "health",
                        "id",
                        "is-task",
                        "isolation",
                        "label",
                        "name",
                        "network",
                        "publish",
                        "since",
                        "status",
                        "volume"),
                containers);
        long limit = number(call, "limit", 0);
        boolean all = call.flag("all") || limit > 0 || filters.wantStopped();
        boolean sizes = call.flag("size");
        List<Container> found = filters.apply(containers.all()).stream()
                .filter(container -> all || isUp(container.record()))
                .limit(limit > 0 ? limit : Long.MAX_VALUE)
                .toList();
        Instant now = Instant.now();
        return Reply.json(JsonOut.array(
                found,
                (out, container) ->
                        ContainerJson.summary(out, container.record(), sizes ? container.size() : null, now)));
    }

    private static boolean isUp(ContainerRecord record) {
        return switch (record.getState().getStatus()) {
            case RUNNING, PAUSED, RESTARTING -> true;
            default -> false;
        };
    }

    private static long number(Call call, String name, long normal) {
        String text = call.query(name);
        if (text.isEmpty()) {
            return normal;
        }
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new ApiException(400, "invalid value for " + name + ": \"" + text + "\" is no number");
        }
    }

    private Reply prune(Call call) throws InterruptedException {
        Filters filters = call.filters("label", "label!", "until");
        Instant until = Instant.MAX;
        for (String text : filters.get("until")) {
            until = Times.parseOrAgo("until", text, Instant.now());
        }
        Containers containers = gate.containers();
        List<String> removed = new ArrayList<>();
        for (Container container : containers.all()) {
            ContainerRecord record = container.record();
            boolean unwanted = !isUp(record)
                    && record.getState().getStatus() != ContainerStatus.REMOVING
                    && Times.instant(record.getCreated()).isBefore(until)
                    && filters.matchesLabels("label", record.getConfig().getLabelsMap())
                    && !(filters.has("label!")
                            && filters.matchesLabels(
                                    "label!", record.getConfig().getLabelsMap()));
            if (unwanted) {
                try {
                    containers.remove(container, false, false);
                    removed.add(container.id());
                } catch (EngineException e) {
                    LOG.debug("container {} is not pruned: {}", container.id(), e.text());
                }
            }
        }
        return Reply.json(JsonOut.object(out -> {
            out.textsOrNull("ContainersDeleted", removed);
            out.number("SpaceReclaimed", 0);
        }));
    }

    // ---- one container

    private Reply create(Call call) {
        CreateContainer asked = RecordJson.read(call, CreateContainer.getDefaultInstance());
        if (call.body().isEmpty() || asked.getConfig().equals(Config.getDefaultInstance())) {
            throw new ApiException(400, "config cannot be empty in order to create a container");
        }
        HostConfig.Builder host = asked.getHostConfig().toBuilder();
        if (call.version().before(1, 25)) {
            host.clearAutoRemove();
        }
        if (call.version().before(1, 40) && host.getIpcMode().isEmpty()) {
            host.setIpcMode("shareable");
        }
        if (host.getResources().hasPidsLimit() && host.getResources().getPidsLimit() <= 0) {
            // No limit is what a container has that names none.
            host.getResourcesBuilder().clearPidsLimit();
        }
        String platform = call.version().before(1, 41) ? "" : call.query("platform");
        Container made = gate.containers()
                .create(
                        call.query("name"),
                        asked.toBuilder().setHostConfig(host).build(),
                        platform);
        return Reply.json(201, JsonOut.object(out -> {
            out.text("Id", made.id());
            out.texts("Warnings", List.of());
        }));
    }

    private Reply inspect(Call call) {
        Container container = container(call);
        ContainerJson.More more = new ContainerJson.More(
                gate.containers().logFile(container),
                gate.execs().of(container),
                call.flag("size") ? container.size() : null);
        return Reply.json(JsonOut.object(out -> ContainerJson.inspect(out, container.record(), more)));
    }

    private Reply start(Call call) {
        container(call).start();
        return Reply.empty(204);
    }

    private Reply stop(Call call) throws InterruptedException {
        container(call).stop(signal(call), timeout(call));
        return Reply.empty(204);
    }

    private Reply restart(Call call) throws InterruptedException {
        container(call).restart(signal(call), timeout(call));
        return Reply.empty(204);
    }

    private static String signal(Call call) {
        return call.version().before(1, 42) ? "" : call.query("signal");
    }

    private static @Nullable Duration timeout(Call call) {
        return call.query("t").isEmpty() ? null : Duration.ofSeconds(number(call, "t", 0));
    }

    private Reply kill(Call call) {
        Container container = container(call);
        try {
            container.kill(call.query("signal"));
        } catch (EngineException e) {
            throw e.kind() == EngineException.Kind.CONFLICT && e.text().endsWith(NOT_RUNNING)
                    ? new ApiException(409, "cannot kill container: " + call.path("id") + ": " + e.text())
                    : e;
        }
        return Reply.empty(204);
    }

    private Reply pause(Call call) {
        container(call).pause();
        return Reply.empty(204);
    }

    private Reply unpause(Call call) {
        container(call).unpause();
        return Reply.empty(204);
    }

    private Reply rename(Call call) {
        gate.containers().rename(container(call), call.query("name"));
        return Reply.empty(204);
    }

    private Reply update(Call call) {
        Container container = container(call);
        UpdateContainer asked = RecordJson.read(call, UpdateContainer.getDefaultInstance());
        RestartPolicy policy = asked.getRestartPolicy().getName().isEmpty() ? null : asked.getRestartPolicy();
        HostConfig host = container.record().getHostConfig();
        if (policy != null && host.getAutoRemove() && !policy.getName().equals("no")) {
            throw new ApiException(
                    409, "Restart policy cannot be updated because AutoRemove is enabled for the container");
        }
        // Lists cannot be changed while a container lives; Docker passes them over as well.
        Resources.Builder changed = asked.getResources().toBuilder();
        changed.getDescriptorForType().getFields().stream()
                .filter(field -> field.isRepeated())
                .forEach(changed::clearField);
        container.update(
                host.getResources().toBuilder().mergeFrom(changed.build()).build(), policy);
        return Reply.json(JsonOut.object(out -> out.nothing("Warnings")));
    }

    private Reply resize(Call call) {
        container(call).resize(size(call, "h"), size(call, "w"));
        return Reply.empty(200);
    }

    /** Returns a size of a terminal. */
    static int size(Call call, String name) {
        String what = name.equals("h") ? "height" : "width";
        try {
            int size = Integer.parseInt(call.query(name));
            if (size >= 0 && size <= 65535) {
                return size;
            }
        } catch (NumberFormatException e) {
            throw new ApiException(400, "invalid resize " + what + " \"" + call.query(name) + "\": invalid syntax");
        }
        throw new ApiException(400, "invalid resize " + what + " \"" + call.query(name) + "\": value out of range");
    }

    private Reply remove(Call call) throws InterruptedException {
        if (call.flag("link")) {
            throw new ApiException(400, "links between containers are not supported by this engine");
        }
        gate.containers().remove(container(call), call.flag("force"), call.flag("v"));
        return Reply.empty(204);
    }

    // ---- what takes its time

    private Reply await(Call call) throws InterruptedException {
        CompletableFuture<Integer> over = container(call).when(call.query("condition"));
        if (call.version().before(1, 30)) {
            return Reply.json(exit(code(over)));
        }
        // The client starts the container when it has the head of this answer.
        return new Reply.Streamed(200, "application/json", out -> {
            CompletableFuture<Integer> awaited = over.copy();
            out.onEnd(() -> awaited.cancel(false));
            try {
                out.write(exit(code(awaited)));
            } catch (CancellationException e) {
                throw new IOException("the client is gone", e);
            }
        });
    }

    private static int code(CompletableFuture<Integer> over) throws InterruptedException {
        try {
            return over.get();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] exit(int code) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        text.writeBytes(JsonOut.object(out -> out.number("StatusCode", code)));
        text.write('\n');
        return text.toByteArray();
    }

    private Reply attach(Call call) {
        Container container = container(call);
        Config config = container.record().getConfig();
        boolean terminal = config.getTty();
        boolean stdin = call.flag("stdin");
        boolean stdout = call.flag("stdout");
        boolean stderr = call.flag("stderr");
        boolean streams = call.flag("stream");
        DetachKeys keys = new DetachKeys(call.query("detachKeys"));
        return new Reply.Duplex(stream -> {
            if (!streams) {
                stream.begin(StreamFrames.type(call, terminal));
                past(call, container, stream, terminal, stdout, stderr);
                return;
            }
            StreamFrames.Listener listener = new StreamFrames.Listener(stream, terminal, stdout, stderr);
            try (Container.Attachment attachment = container.attach(listener)) {
                stream.begin(StreamFrames.type(call, terminal));
                past(call, container, stream, terminal, stdout, stderr);
                CompletableFuture<Void> gone = new CompletableFuture<>();
                stream.onEnd(() -> gone.complete(null));
                Thread feeder = stdin && config.getOpenStdin()
                        ? StreamInput.feed(
                                stream, terminal ? keys : null, attachment::feed, attachment::endOfInput, () -> {
                                    attachment.detached();
                                    gone.complete(null);
                                })
                        : null;
                try {
                    CompletableFuture.anyOf(gone, listener.over()).get();
                } finally {
                    if (feeder != null) {
                        feeder.interrupt();
                    }
                }
            }
        });
    }

    /** Writes what the log holds, if the client asked for it. */
    private static void past(
            Call call, Container container, ResponseStream out, boolean terminal, boolean stdout, boolean stderr)
            throws IOException, InterruptedException {
        if (call.flag("logs")) {
            container
                    .log()
                    .read(
                            new LogOptions(stdout, stderr, false, -1, null, null),
                            new LogWriter(out, terminal, false, false)::line);
        }
    }

    // ---- logs

    private Reply logs(Call call) {
        Container container = container(call);
        boolean stdout = call.flag("stdout");
        boolean stderr = call.flag("stderr");
        if (!stdout && !stderr) {
            throw new ApiException(400, "Bad parameters: you must choose at least one stream");
        }
        LogOptions options = new LogOptions(
                stdout,
                stderr,
                call.flag("follow"),
                tail(call.query("tail")),
                time(call, "since"),
                time(call, "until"));
        boolean terminal = container.record().getConfig().getTty();
        if (container.record().getHostConfig().getLogConfig().getType().equals("none")) {
            throw new ApiException(501, "configured logging driver does not support reading");
        }
        return new Reply.Streamed(200, StreamFrames.type(call, terminal), out -> {
            Thread reader = Thread.currentThread();
            out.onEnd(reader::interrupt);
            LogWriter writer = new LogWriter(out, terminal, call.flag("timestamps"), call.flag("details"));
            try {
                container.log().read(options, writer::line);
            } catch (UncheckedWriteException e) {
                throw e.reason();
            } catch (IOException e) {
                byte[] text = ("Error grabbing logs: " + e.getMessage() + "\n").getBytes(StandardCharsets.UTF_8);
                out.write(StreamFrames.framed(StreamFrames.SYSTEM_ERROR, terminal, text, text.length));
            }
        });
    }

    private static long tail(String text) {
        try {
            return Math.max(-1, Long.parseLong(text));
        } catch (NumberFormatException e) {
            return -1;
        }
    }

    private static @Nullable Instant time(Call call, String name) {
        String text = call.query(name);
        return text.isEmpty() || text.equals("0") ? null : Times.instant(Times.parse(name, text));
    }

    /** The client of a log is gone, which is no failure of the log. */
    private static final class UncheckedWriteException extends RuntimeException {
        private final IOException reason;

        UncheckedWriteException(IOException reason) {
            super(reason);
            this.reason = reason;
        }

        IOException reason() {
            return reason;
        }
    }

    /** Writes lines of a log as the client asked for them. */
    private static final class LogWriter {
        private static final ByteString LINE_END = ByteString.copyFromUtf8("\n");

        private final ResponseStream out;
        private final boolean terminal;
        private final boolean timestamps;
        private final boolean details;
        /** Streams whose last line is not at its end. */
        private final Set<OutputStreamKind> going = EnumSet.noneOf(OutputStreamKind.class);

        LogWriter(ResponseStream out, boolean terminal, boolean timestamps, boolean details) {
            this.out = out;
            this.terminal = terminal;
            this.timestamps = timestamps;
            this.details = details;
        }

        boolean line(LogLine line) throws InterruptedException {
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            boolean begins = !going.contains(line.stream());
            if (timestamps && begins) {
                text.writeBytes((StreamFrames.timestamp(line.time()) + " ").getBytes(StandardCharsets.US_ASCII));
            }
            if (details && begins) {
                text.write(' ');
            }
            text.writeBytes(line.text().toByteArray());
            if (line.text().endsWith(LINE_END)) {
                going.remove(line.stream());
            } else {
                going.add(line.stream());
            }
            try {
                out.write(StreamFrames.framed(line.stream().number(), terminal, text.toByteArray(), text.size()));
            } catch (IOException e) {
                throw new UncheckedWriteException(e);
            }
            return true;
        }
    }
}
