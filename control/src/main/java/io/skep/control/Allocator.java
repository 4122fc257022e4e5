package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** Gives networks, services, tasks and nodes their numbers, subnets, addresses and ports. */
final class Allocator implements Loop {
    Allocator(ClusterState state) {}

    @Override
    public void observe(Event<?> event, ClusterState state) {}

    @Override
    public void act(Transaction transaction, Instant now) {}

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
