package io.skep.e2e;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * One engine's HTTP API over its unix socket, one connection per request, with a limit of time that holds whatever the
 * engine does: a stopped process accepts connections and never answers.
 */
final class SocketApi {
    private static final ScheduledExecutorService CLOCK = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().factory());

    private final Path socket;

    SocketApi(Path socket) {
        this.socket = socket;
    }

    /** Status and body of an answer. */
    record Answer(int status, String body) {}

    /** The request did not leave this process. */
    static final class NotSentException extends IOException {
        private static final long serialVersionUID = 1;

        private NotSentException(IOException cause) {
            super(cause);
        }
    }

    /**
     * Sends a request.
     *
     * @throws NotSentException when the engine cannot have seen it
     * @throws IOException when there was no complete answer in time
     */
    Answer send(String method, String path, String body, Duration patience) throws IOException {
        try (SocketChannel channel = SocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
            Future<?> limit = CLOCK.schedule(() -> close(channel), patience.toNanos(), TimeUnit.NANOSECONDS);
            try {
                try {
                    channel.connect(UnixDomainSocketAddress.of(socket));
                } catch (IOException e) {
                    throw new NotSentException(e);
                }
                byte[] content = body.getBytes(StandardCharsets.UTF_8);
                String head = method + " /v1.41" + path + " HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
                        + (content.length == 0 ? "" : "Content-Type: application/json\r\n") + "Content-Length: "
                        + content.length + "\r\n\r\n";
                write(channel, head.getBytes(StandardCharsets.UTF_8));
                write(channel, content);
                return parse(readAll(channel));
            } finally {
                limit.cancel(false);
            }
        }
    }

    private static void close(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static void write(SocketChannel channel, byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    private static String readAll(SocketChannel channel) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        ByteBuffer buffer = ByteBuffer.allocate(16 << 10);
        while (channel.read(buffer) >= 0) {
            all.write(buffer.array(), 0, buffer.position());
            buffer.clear();
        }
        return all.toString(StandardCharsets.UTF_8);
    }

    /** The connection ends with the answer; a body that was cut short must not pass for a whole one. */
    private static Answer parse(String text) throws IOException {
        int blank = text.indexOf("\r\n\r\n");
        if (blank < 0 || !text.startsWith("HTTP/1.1 ")) {
            throw new IOException("no answer, but: " + text);
        }
        String head = text.substring(0, blank).toLowerCase(java.util.Locale.ROOT);
        String rest = text.substring(blank + 4);
        int status = Integer.parseInt(text.substring(9, 12));
        if (head.contains("\r\ntransfer-encoding: chunked")) {
            return new Answer(status, unchunked(rest));
        }
        int length = head.indexOf("\r\ncontent-length: ");
        if (length >= 0) {
            String number = head.substring(length + 18).lines().findFirst().orElse("");
            if (rest.getBytes(StandardCharsets.UTF_8).length < Integer.parseInt(number.strip())) {
                throw new IOException("the answer was cut short");
            }
        }
        return new Answer(status, rest);
    }

    private static String unchunked(String chunks) throws IOException {
        StringBuilder body = new StringBuilder();
        byte[] bytes = chunks.getBytes(StandardCharsets.UTF_8);
        int at = 0;
        while (true) {
            int line = at;
            while (line < bytes.length && bytes[line] != '\r') {
                line++;
            }
            if (line >= bytes.length) {
                throw new IOException("the answer was cut short");
            }
            int size = Integer.parseInt(new String(bytes, at, line - at, StandardCharsets.US_ASCII), 16);
            if (size == 0) {
                return body.toString();
            }
            if (line + 2 + size > bytes.length) {
                throw new IOException("the answer was cut short");
            }
            body.append(new String(bytes, line + 2, size, StandardCharsets.UTF_8));
            at = line + 2 + size + 2;
        }
    }
}
