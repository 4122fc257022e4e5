package io.skep.manager;

import io.grpc.Context;
import io.skep.certs.NodeIdentity;

/**
 * Who is at the other end of a connection, as its verified certificate says.
 *
 * @param identity what the certificate says
 * @param address IP address that the connection comes from, without port
 */
record Caller(NodeIdentity identity, String address) {
    /** The caller of the current RPC; absent when an open method is called without certificate. */
    static final Context.Key<Caller> KEY = Context.key("caller");

    String nodeId() {
        return identity.nodeId();
    }

    /** Returns the caller of the current RPC, which {@link Authorization} let pass. */
    static Caller current() {
        Caller caller = KEY.get();
        if (caller == null) {
            throw new IllegalStateException("this method must not be open to callers without certificate");
        }
        return caller;
    }
}
