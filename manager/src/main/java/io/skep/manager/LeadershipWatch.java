package io.skep.manager;

import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.LeadershipListener;
import java.util.concurrent.CompletableFuture;

/** The newest leadership and a way to wait for the next one. */
final class LeadershipWatch implements LeadershipListener {
    /**
     * A leadership and what comes after it.
     *
     * @param leadership who leads
     * @param changed completed when that is no longer true
     */
    record Seen(Leadership leadership, CompletableFuture<Void> changed) {}

    private volatile Seen seen;

    LeadershipWatch(Leadership first) {
        seen = new Seen(first, new CompletableFuture<>());
    }

    Seen seen() {
        return seen;
    }

    @Override
    public void leadershipChanged(Leadership leadership) {
        Seen before = seen;
        if (before.leadership().equals(leadership)) {
            return;
        }
        seen = new Seen(leadership, new CompletableFuture<>());
        // Those who wait are virtual threads: waking them costs this thread next to nothing.
        before.changed().complete(null);
    }
}
