package io.skep.api;

import io.skep.engine.Output;
import io.skep.engine.OutputStreamKind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.concurrent.CompletableFuture;

/** How the output of containers is put on a connection (engine-api 1.5). */
final class StreamFrames {
    static final int STDOUT = 1;
    static final int STDERR = 2;
    static final int SYSTEM_ERROR = 3;

    private static final DateTimeFormatter NANOS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSSSSS'Z'");
    private static final int HEADER_BYTES = 8;

    private StreamFrames() {}

    /** Returns the content type of output. */
    static String type(Call call, boolean terminal) {
        return terminal || call.version().before(1, 42)
                ? "application/vnd.docker.raw-stream"
                : "application/vnd.docker.multiplexed-stream";
    }

    /** Returns a time as lines of a log have it. */
    static String timestamp(Instant time) {
        return time.atOffset(ZoneOffset.UTC).format(NANOS);
    }

    /** Adds bytes of a stream; a terminal has one stream and no frames. */
    static void frame(ByteArrayOutputStream out, int stream, boolean terminal, byte[] payload) {
        out.writeBytes(framed(stream, terminal, payload, payload.length));
    }

    static byte[] framed(int stream, boolean terminal, byte[] payload, int length) {
        ByteBuffer framed = ByteBuffer.allocate(length + (terminal ? 0 : HEADER_BYTES));
        if (!terminal) {
            framed.put((byte) stream).putInt(4, length).position(HEADER_BYTES);
        }
        return framed.put(payload, 0, length).array();
    }

    /** Passes on what a process writes, as far as the client asked for it. */
    static final class Listener implements Output.Listener {
        private final ResponseStream out;
        private final boolean terminal;
        private final boolean stdout;
        private final boolean stderr;
        private final CompletableFuture<Void> over = new CompletableFuture<>();

        Listener(ResponseStream out, boolean terminal, boolean stdout, boolean stderr) {
            this.out = out;
            this.terminal = terminal;
            this.stdout = stdout;
            this.stderr = stderr;
        }

        /** Returns what completes when nothing more comes. */
        CompletableFuture<Void> over() {
            return over;
        }

        @Override
        public void bytes(OutputStreamKind stream, byte[] bytes, int length) throws IOException, InterruptedException {
            if (stream == OutputStreamKind.STDOUT ? stdout : stderr) {
                try {
                    out.write(framed(stream.number(), terminal, bytes, length));
                } catch (IOException e) {
                    over.complete(null);
                    throw e;
                }
            }
        }

        @Override
        public void end() {
            over.complete(null);
        }
    }
}
