package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import java.time.Duration;
import java.time.Instant;

/**
 * Replaces the keys of the overlay networks before they grow old (swarm-wire 7.3). The time until the next rotation
 * begins again with each leader.
 */
final class NetworkKeyRotation implements Loop {
    static final Duration PERIOD = Duration.ofHours(12);

    private final IdSource ids;
    private Instant next;

    NetworkKeyRotation(Instant now, IdSource ids) {
        this.ids = ids;
        this.next = now.plus(PERIOD);
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {}

    @Override
    public void act(Transaction transaction, Instant now) {
        if (now.isBefore(next)) {
            return;
        }
        next = now.plus(PERIOD);
        Cluster cluster = transaction.state().cluster();
        if (cluster != null) {
            transaction.put(Kind.CLUSTER, NetworkKeys.rotated(cluster, ids));
        }
    }

    @Override
    public Instant nextWake() {
        return next;
    }
}
