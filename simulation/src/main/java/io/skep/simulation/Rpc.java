package io.skep.simulation;

import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/** What calls consist of on the wire of a simulated connection. */
final class Rpc {
    /** So many messages may be on their way, or wait for the reader, before a stream is not ready for more. */
    static final int WINDOW_MESSAGES = 4;

    private Rpc() {}

    sealed interface RpcFrame extends Connection.Frame {
        int stream();
    }

    /** A call begins; {@code timeoutNanos} is what is left to it, or 0. */
    record Open(int stream, String method, Metadata headers, long timeoutNanos) implements RpcFrame {}

    record Message(int stream, Object message) implements RpcFrame {}

    /** The reader has taken one message more. */
    record Taken(int stream) implements RpcFrame {}

    record HalfClose(int stream) implements RpcFrame {}

    record Cancel(int stream) implements RpcFrame {}

    record Headers(int stream, Metadata headers) implements RpcFrame {}

    record Close(int stream, Status status, Metadata trailers) implements RpcFrame {}

    /** Returns what arrives of metadata: a copy, so that nobody shares it. */
    static Metadata copy(Metadata metadata) {
        Metadata copied = new Metadata();
        copied.merge(metadata);
        return copied;
    }

    /** Returns the status as it arrives: without what cannot travel. */
    static Status travelled(Status status) {
        return status.withCause(null);
    }

    /** Returns a message as it arrives; messages cannot be changed, so only some runs write and read them. */
    static <T> Object carried(MethodDescriptor.@Nullable Marshaller<T> marshaller, T message) {
        if (marshaller == null) {
            return message;
        }
        try (InputStream bytes = marshaller.stream(message)) {
            return marshaller.parse(bytes);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
