package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A part of the control loop that keeps one aspect of the state as it should be.
 *
 * <p>A loop hears of every change exactly once, in order, its own changes included, and before each of its turns. What
 * it remembers between turns must follow from the state: its constructor reads it from there when a leader begins.
 * Turns are repeated within a step until no loop changes anything, so a turn without news must change nothing.
 *
 * <p>A loop that may have to change many objects at once stops when {@link Transaction#isFull()}, keeps what is left
 * for its next turn, and need not ask for that.
 */
interface Loop {
    /**
     * Takes note of a change.
     *
     * @param state the state by now, which may hold later changes as well
     */
    void observe(Event<?> event, ClusterState state);

    /** Changes what must be changed. */
    void act(Transaction transaction, Instant now);

    /** Returns when this loop must have a turn at the latest, even if nothing happens, or null if only news matter. */
    @Nullable
    Instant nextWake();
}
