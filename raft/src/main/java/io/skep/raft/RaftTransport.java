package io.skep.raft;

import io.skep.wire.RaftMessage;

/**
 * Carries messages between managers; the port that the manager's gRPC server fills.
 *
 * <p>Messages may be lost, repeated and overtaken. What it must not do is block, keep more than a bounded number of
 * bytes per peer (it drops the newest instead), or name a sender whose certificate it did not check.
 */
public interface RaftTransport {
    /**
     * Begins to deliver what arrives, until {@link #stop()}. Called once, before the first {@link #send}.
     *
     * @param receiver safe for use by any thread; never blocks
     */
    void start(Receiver receiver);

    /**
     * Sends a message or drops it; never blocks, never throws.
     *
     * @param nodeId the node id that the peer must prove
     * @param address host:port where the peer was last known; another than before replaces a connection to the old one
     */
    void send(String nodeId, String address, RaftMessage message);

    /** Ends delivery and closes the connections. */
    void stop();

    /** Takes what arrives. */
    interface Receiver {
        /** A peer, proved by its certificate to be that node, sent a message. */
        void received(String fromNodeId, RaftMessage message);

        /**
         * A connection with a peer that worked broke, whoever had opened it. When the peer leads, this starts an
         * election almost at once, so it is told at the first sign (reset, end of stream), not after a timeout.
         */
        void disconnected(String nodeId);
    }
}
