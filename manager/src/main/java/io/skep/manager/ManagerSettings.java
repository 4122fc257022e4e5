package io.skep.manager;

import io.skep.certs.TlsIdentity;
import io.skep.raft.KeyRing;
import io.skep.raft.RaftTiming;
import io.skep.wire.InitCluster;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;

/**
 * What a manager is started with.
 *
 * @param identity the node's certificate, as a server and as a client; it says node id and cluster id, and may be
 *     exchanged while the manager runs
 * @param listenAddress where it serves nodes and other managers
 * @param advertiseAddress host:port at which these reach it
 * @param raftDirectory where the log is kept
 * @param raftKeys what the log is encrypted with
 * @param start how the log begins
 * @param raftTiming when managers lose patience with each other
 */
public record ManagerSettings(
        TlsIdentity identity,
        InetSocketAddress listenAddress,
        String advertiseAddress,
        Path raftDirectory,
        KeyRing raftKeys,
        Start start,
        RaftTiming raftTiming) {
    /** Settings with the usual patience between managers. */
    public ManagerSettings(
            TlsIdentity identity,
            InetSocketAddress listenAddress,
            String advertiseAddress,
            Path raftDirectory,
            KeyRing raftKeys,
            Start start) {
        this(identity, listenAddress, advertiseAddress, raftDirectory, raftKeys, start, RaftTiming.DEFAULT);
    }

    /** How the log of a manager begins. */
    public sealed interface Start {
        /**
         * The first manager of a new cluster.
         *
         * @param cluster the cluster and this node, as they are written first
         */
        record Bootstrap(InitCluster cluster) implements Start {}

        /**
         * A new manager of a cluster that runs. It asks to be a member until it is one; after that, and after a
         * restart, it goes on by itself.
         *
         * @param addresses host:port of managers to ask, one after the other
         */
        record Join(List<String> addresses) implements Start {
            public Join {
                addresses = List.copyOf(addresses);
                if (addresses.isEmpty()) {
                    throw new IllegalArgumentException("a manager that joins needs another one to ask");
                }
            }
        }

        /** Goes on with the log that is there. */
        record Restart() implements Start {}

        /** Goes on with the log that is there as the only manager; the others are forgotten. */
        record ForceNewCluster() implements Start {}
    }
}
