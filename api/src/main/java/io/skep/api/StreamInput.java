package io.skep.api;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Feeds a process with what a client sends. */
final class StreamInput {
    private static final Logger LOG = LoggerFactory.getLogger(StreamInput.class);

    private StreamInput() {}

    /** A client that is gone has ended its input as well. */
    private static byte @Nullable [] next(DuplexStream stream) throws InterruptedException {
        try {
            return stream.read();
        } catch (IOException e) {
            LOG.debug("a client is gone: {}", e.getMessage());
            return null;
        }
    }

    /** Takes input. */
    @FunctionalInterface
    interface Sink {
        /** Takes bytes; false when the process reads no more. */
        boolean feed(byte[] bytes, int offset, int length) throws IOException, InterruptedException;
    }

    /** Tells a process that no more comes. */
    @FunctionalInterface
    interface End {
        void run() throws InterruptedException;
    }

    /**
     * Starts to feed; interrupting the returned thread ends it.
     *
     * @param keys by which the client can leave a terminal, or null when the process has none
     * @param leaves called when it left
     */
    static Thread feed(DuplexStream stream, @Nullable DetachKeys keys, Sink sink, End end, Runnable leaves) {
        return Thread.ofVirtual().name("api-stdin").start(() -> {
            try {
                byte[] piece = next(stream);
                while (piece != null) {
                    byte[] bytes = keys == null ? piece : keys.pass(piece);
                    boolean reads = sink.feed(bytes, 0, bytes.length);
                    if (keys != null && keys.left()) {
                        leaves.run();
                        return;
                    }
                    if (!reads) {
                        return;
                    }
                    piece = next(stream);
                }
                if (keys == null) {
                    end.run();
                } else {
                    // A terminal has no end that a client could pass on: it leaves, and whoever comes next goes on.
                    leaves.run();
                }
            } catch (InterruptedException | IOException e) {
                LOG.debug("input of a client ended: {}", e.toString());
            } catch (RuntimeException e) {
                LOG.warn("input of a client could not be passed on", e);
            }
        });
    }
}
