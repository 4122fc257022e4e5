package io.skep.store;

import java.util.List;

/**
 * A step of the committed state.
 *
 * @param before the state as it was
 * @param after the state as it is now
 * @param events what changed, in order; empty when {@code reset}
 * @param reset whether the state was replaced as a whole, by a snapshot from the leader
 */
public record Commit(ClusterState before, ClusterState after, List<Event<?>> events, boolean reset) {
    public Commit {
        events = List.copyOf(events);
    }
}
