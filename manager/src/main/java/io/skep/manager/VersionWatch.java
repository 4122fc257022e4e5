package io.skep.manager;

import io.skep.store.Commit;
import io.skep.store.Store;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListMap;

/** Tells when the local state has reached a version. */
final class VersionWatch {
    private static final CompletableFuture<Void> REACHED = CompletableFuture.completedFuture(null);

    private final Store store;
    private final ConcurrentSkipListMap<Long, CompletableFuture<Void>> waiting = new ConcurrentSkipListMap<>();

    VersionWatch(Store store) {
        this.store = store;
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        while (true) {
            Map.Entry<Long, CompletableFuture<Void>> first = waiting.firstEntry();
            if (first == null || first.getKey() > commit.after().version()) {
                return;
            }
            waiting.remove(first.getKey(), first.getValue());
            first.getValue().complete(null);
        }
    }

    /**
     * Returns a future that completes once the local state is of that version or a later one, on the thread of the
     * consensus or at once. It is shared: do not complete or cancel it.
     */
    CompletableFuture<Void> reached(long version) {
        if (store.state().version() >= version) {
            return REACHED;
        }
        CompletableFuture<Void> reached = waiting.computeIfAbsent(version, key -> new CompletableFuture<>());
        if (store.state().version() >= version && waiting.remove(version, reached)) {
            reached.complete(null);
        }
        return reached;
    }
}
