package io.skep.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import java.io.IOException;
import java.util.Map;

/** What a request is answered. */
sealed interface Reply {
    int status();

    /**
     * A whole answer.
     *
     * @param contentType the exact header value, or empty for an answer without body
     * @param headers further headers
     */
    record Whole(int status, String contentType, ByteString body, Map<String, String> headers) implements Reply {}

    /**
     * An answer that is written while it comes into being; status and headers go out at once.
     *
     * @param headers further headers
     * @param body writes it, and returns when it ends
     */
    record Streamed(int status, String contentType, Map<String, String> headers, StreamBody body) implements Reply {
        Streamed(int status, String contentType, StreamBody body) {
            this(status, contentType, Map.of(), body);
        }
    }

    /**
     * The connection becomes a stream in both directions (engine-api 1.6).
     *
     * @param body begins the stream and returns when it is over; what it throws before it began is answered as ever
     */
    record Duplex(DuplexBody body) implements Reply {
        @Override
        public int status() {
            return 101;
        }
    }

    /** Serves a stream in both directions. */
    @FunctionalInterface
    interface DuplexBody {
        void serve(DuplexStream stream) throws Exception;
    }

    /** Writes a streamed answer. */
    @FunctionalInterface
    interface StreamBody {
        void writeTo(ResponseStream out) throws IOException, InterruptedException;
    }

    static Reply json(int status, byte[] body) {
        return new Whole(status, "application/json", UnsafeByteOperations.unsafeWrap(body), Map.of());
    }

    static Reply json(byte[] body) {
        return json(200, body);
    }

    static Reply empty(int status) {
        return new Whole(status, "", ByteString.EMPTY, Map.of());
    }

    static Reply text(String text, Map<String, String> headers) {
        return new Whole(200, "text/plain; charset=utf-8", ByteString.copyFromUtf8(text), headers);
    }

    static Reply error(int status, String message) {
        return json(status, JsonOut.object(out -> out.text("message", message)));
    }
}
