package io.skep.manager;

import io.grpc.Attributes;
import io.grpc.Context;
import io.grpc.ServerCall;
import io.skep.certs.NodeIdentity;
import org.jspecify.annotations.Nullable;

/**
 * Who is at the other end of a connection, as its verified certificate says.
 *
 * @param identity what the certificate says
 * @param address IP address that the connection comes from, without port
 */
public record Caller(NodeIdentity identity, String address) {
    /** Where a connection, and with it each call, says who is at its other end; absent without certificate. */
    public static final Attributes.Key<Caller> ATTRIBUTE = Attributes.Key.create("caller");

    /** The caller of the current RPC; absent when an open method is called without certificate. */
    static final Context.Key<Caller> KEY = Context.key("caller");

    String nodeId() {
        return identity.nodeId();
    }

    /** Returns the caller of a call, which {@link Authorization} let pass. */
    static Caller of(ServerCall<?, ?> call) {
        return required(call.getAttributes().get(ATTRIBUTE));
    }

    /** Returns the caller of the current RPC, which {@link Authorization} let pass. */
    static Caller current() {
        return required(KEY.get());
    }

    private static Caller required(@Nullable Caller caller) {
        if (caller == null) {
            throw new IllegalStateException("this method must not be open to callers without certificate");
        }
        return caller;
    }
}
