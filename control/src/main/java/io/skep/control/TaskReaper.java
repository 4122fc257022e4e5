package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** Removes tasks that only history needs, beyond the limit the cluster keeps. */
final class TaskReaper implements Loop {
    TaskReaper(ClusterState state) {}

    @Override
    public void observe(Event<?> event, ClusterState state) {}

    @Override
    public void act(Transaction transaction, Instant now) {}

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
