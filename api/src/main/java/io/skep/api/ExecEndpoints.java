package io.skep.api;

import io.skep.engine.Container;
import io.skep.engine.EngineException;
import io.skep.engine.Exec;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.ExecStart;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;

/** Further processes in containers: {@code docker exec}. */
final class ExecEndpoints {
    private final EngineGate gate;

    ExecEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("POST", "/containers/{id}/exec", this::create);
        router.addDuplex("POST", "/exec/{id}/start", this::start);
        router.add("POST", "/exec/{id}/resize", this::resize);
        router.add("GET", "/exec/{id}/json", this::inspect);
    }

    private Reply create(Call call) {
        Container container = gate.containers().require(call.path("id"));
        ExecConfig config = RecordJson.read(call, ExecConfig.getDefaultInstance());
        // Refuses keys that are none.
        var _ = new DetachKeys(config.getDetachKeys());
        Exec exec = gate.execs().create(container, config);
        return Reply.json(201, JsonOut.object(out -> out.text("Id", exec.id())));
    }

    private Reply start(Call call) {
        Exec exec = gate.execs().require(call.path("id"));
        ExecStart asked = RecordJson.read(call, ExecStart.getDefaultInstance());
        int height = asked.getConsoleSizeCount() == 2 ? asked.getConsoleSize(0) : 0;
        int width = asked.getConsoleSizeCount() == 2 ? asked.getConsoleSize(1) : 0;
        if (asked.getDetach()) {
            exec.start(exec.config().getTty(), height, width);
            return Reply.empty(200);
        }
        return new Reply.Duplex(stream -> {
            boolean terminal = asked.getTty();
            StreamFrames.Listener listener = new StreamFrames.Listener(
                    stream,
                    terminal,
                    exec.config().getAttachStdout(),
                    exec.config().getAttachStderr());
            AutoCloseable listening = exec.listen(listener);
            try {
                stream.begin(StreamFrames.type(call, terminal));
                try {
                    exec.start(terminal, height, width);
                } catch (EngineException e) {
                    // The stream has begun: as with Docker the reason is its text, and the exit code can be asked for.
                    byte[] text = (e.text() + "\r\n").getBytes(StandardCharsets.UTF_8);
                    stream.write(StreamFrames.framed(StreamFrames.STDOUT, terminal, text, text.length));
                    return;
                }
                serve(exec, stream, listener);
            } finally {
                listening.close();
            }
        });
    }

    private static void serve(Exec exec, DuplexStream stream, StreamFrames.Listener listener) throws Exception {
        CompletableFuture<Void> gone = new CompletableFuture<>();
        stream.onEnd(() -> gone.complete(null));
        Thread feeder = exec.config().getAttachStdin()
                ? StreamInput.feed(
                        stream,
                        exec.config().getTty() ? new DetachKeys(exec.config().getDetachKeys()) : null,
                        exec::feed,
                        exec::endOfInput,
                        () -> gone.complete(null))
                : null;
        try {
            // A client asks for the exit code when its stream has ended, so it must be there by then.
            CompletableFuture.anyOf(gone, CompletableFuture.allOf(listener.over(), exec.exit()))
                    .get();
        } finally {
            if (feeder != null) {
                feeder.interrupt();
            }
        }
    }

    private Reply resize(Call call) {
        Exec exec = gate.execs().require(call.path("id"));
        exec.resize(ContainerEndpoints.size(call, "h"), ContainerEndpoints.size(call, "w"));
        return Reply.empty(200);
    }

    private Reply inspect(Call call) {
        return Reply.json(
                RecordJson.object(gate.execs().require(call.path("id")).inspect()));
    }
}
