package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A part of the leader that keeps one aspect of the cluster as it should be.
 *
 * <p>It sees each change exactly once, those it made itself included, and acts afterwards; this repeats until nobody
 * changes anything.
 */
interface Loop {
    /**
     * Takes note of a change.
     *
     * @param state the state with all changes so far, so at least with this one
     */
    void observe(Event<?> event, ClusterState state);

    /** Changes what is to be changed now. */
    void act(Transaction transaction, Instant now);

    /** Returns when it must act again even if nothing changes, or null. */
    @Nullable
    Instant nextWake();
}
