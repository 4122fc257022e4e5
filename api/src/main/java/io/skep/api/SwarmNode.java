package io.skep.api;

import io.skep.manager.ClusterAccess;
import io.skep.wire.ClusterSpec;
import io.skep.wire.NodeSpec;
import io.skep.wire.Peer;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * This node's own part in a cluster, as {@code docker swarm init|join|leave|unlock} and {@code docker info} see it.
 * Implemented by the daemon. Methods block the calling thread; a refusal is an {@link ApiException}.
 */
public interface SwarmNode {
    /** The states of a node, in the words of the API (engine-api 3.1, LocalNodeState). */
    enum LocalState {
        INACTIVE,
        PENDING,
        ACTIVE,
        ERROR,
        LOCKED
    }

    /**
     * How this node stands.
     *
     * @param nodeId its id, empty while inactive
     * @param nodeAddress the address it advertises, without port
     * @param controlAvailable whether it is a manager that takes part in the quorum
     * @param error why it is not active, or empty
     * @param remoteManagers the managers it knows
     */
    record Status(
            LocalState state,
            String nodeId,
            String nodeAddress,
            boolean controlAvailable,
            String error,
            List<Peer> remoteManagers) {
        public Status {
            remoteManagers = List.copyOf(remoteManagers);
        }
    }

    /** What {@code POST /swarm/init} asks for (engine-api 3.1, InitRequest). */
    record InitRequest(
            String listenAddress,
            String advertiseAddress,
            String dataPathAddress,
            int dataPathPort,
            boolean forceNewCluster,
            ClusterSpec spec,
            boolean autoLockManagers,
            NodeSpec.Availability availability,
            List<String> defaultAddressPools,
            int subnetSize) {
        public InitRequest {
            defaultAddressPools = List.copyOf(defaultAddressPools);
        }

        /** Without the spec, which may hold the key of the CA. */
        @Override
        public String toString() {
            return "InitRequest[" + advertiseAddress + "]";
        }
    }

    /** What {@code POST /swarm/join} asks for (engine-api 3.1, JoinRequest). */
    record JoinRequest(
            String listenAddress,
            String advertiseAddress,
            String dataPathAddress,
            List<String> remoteAddresses,
            String joinToken,
            NodeSpec.Availability availability) {
        public JoinRequest {
            remoteAddresses = List.copyOf(remoteAddresses);
        }

        /** Without the join token. */
        @Override
        public String toString() {
            return "JoinRequest" + remoteAddresses;
        }
    }

    Status status();

    /** Returns the cluster when this node is a manager that runs, and null otherwise. */
    @Nullable
    ClusterAccess cluster();

    /**
     * Returns the cluster as {@link #cluster} does, but waits for it while the manager of this node is being started.
     *
     * @return null when it is not there in time, and at once when this node is not to be a manager
     */
    @Nullable
    ClusterAccess awaitCluster(Duration patience) throws InterruptedException;

    /** Makes a cluster, or takes over the one it was part of ({@code forceNewCluster}); returns the node id. */
    String init(InitRequest request);

    /** Joins a cluster; returns when the node is part of it, fails after 20 s while the attempt goes on. */
    void join(JoinRequest request);

    void leave(boolean force);

    /** Opens the encrypted state of a locked manager. */
    void unlock(String key);
}
