package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** The leader's knowledge of which nodes have a live session with some manager. */
final class NodeLiveness implements Loop {
    NodeLiveness(ClusterState state, Instant now) {}

    @Override
    public void observe(Event<?> event, ClusterState state) {}

    @Override
    public void act(Transaction transaction, Instant now) {}

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
