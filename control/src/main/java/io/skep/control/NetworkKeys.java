package io.skep.control;

import com.google.protobuf.ByteString;
import io.skep.wire.Cluster;
import io.skep.wire.EncryptionKey;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The keys of the overlay networks: three for gossip and three for encrypted data, each with a Lamport time that no
 * other key had (swarm-wire 7.3). Nodes refuse any other number of keys.
 */
final class NetworkKeys {
    static final List<String> SUBSYSTEMS = List.of("networking:gossip", "networking:ipsec");
    static final int KEYS_PER_SUBSYSTEM = 3;
    private static final int KEY_BYTES = 16;
    private static final int FIRST_TIME_BOUND = 1 << 16;

    private NetworkKeys() {}

    /** Gives a new cluster its keys. */
    static void addFirst(Cluster.Builder cluster, IdSource ids) {
        cluster.setEncryptionKeyLamportClock(ids.nextInt(FIRST_TIME_BOUND));
        for (int i = 0; i < KEYS_PER_SUBSYSTEM; i++) {
            for (String subsystem : SUBSYSTEMS) {
                cluster.addNetworkBootstrapKeys(next(cluster, subsystem, ids));
            }
        }
    }

    /** Returns the cluster with one new key in each subsystem, and without the oldest. */
    static Cluster rotated(Cluster cluster, IdSource ids) {
        Cluster.Builder rotated = cluster.toBuilder();
        List<EncryptionKey> keys = new ArrayList<>(cluster.getNetworkBootstrapKeysList());
        for (String subsystem : SUBSYSTEMS) {
            keys.add(next(rotated, subsystem, ids));
            List<EncryptionKey> own = keys.stream()
                    .filter(key -> key.getSubsystem().equals(subsystem))
                    .sorted(Comparator.comparingLong(EncryptionKey::getLamportTime))
                    .toList();
            keys.removeAll(own.subList(0, Math.max(0, own.size() - KEYS_PER_SUBSYSTEM)));
        }
        return rotated.clearNetworkBootstrapKeys()
                .addAllNetworkBootstrapKeys(keys)
                .build();
    }

    private static EncryptionKey next(Cluster.Builder cluster, String subsystem, IdSource ids) {
        long time = cluster.getEncryptionKeyLamportClock() + 1;
        cluster.setEncryptionKeyLamportClock(time);
        return EncryptionKey.newBuilder()
                .setSubsystem(subsystem)
                .setAlgorithm(EncryptionKey.Algorithm.AES_128_GCM)
                .setKey(ByteString.copyFrom(ids.randomBytes(KEY_BYTES)))
                .setLamportTime(time)
                .build();
    }
}
