package io.skep.manager;

import io.grpc.Channel;

/** The port through which a manager calls the others. Methods never block; safe for use by many threads. */
@FunctionalInterface
public interface PeerChannels {
    /**
     * Returns the channel to a manager; calls on it fail while the manager cannot be reached.
     *
     * @param nodeId who must answer, or {@link io.skep.certs.NodeIdentity#MANAGER_NAME} for whichever manager serves at
     *     the address
     * @param address host:port
     */
    Channel to(String nodeId, String address);
}
