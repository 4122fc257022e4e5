package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** Replaces the keys of the overlay networks before they grow old (swarm-wire 7.3). */
final class NetworkKeyRotation implements Loop {
    NetworkKeyRotation(ClusterState state, Instant now, IdSource ids) {}

    @Override
    public void observe(Event<?> event, ClusterState state) {}

    @Override
    public void act(Transaction transaction, Instant now) {}

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
