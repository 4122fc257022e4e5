package io.skep.manager;

import io.skep.store.Commit;
import io.skep.store.Store;
import java.util.Comparator;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicLong;

/** Tells when the local state has reached a version. */
final class VersionWatch {
    private static final CompletableFuture<Void> REACHED = CompletableFuture.completedFuture(null);

    private record Wait(long version, long number) implements Comparable<Wait> {
        private static final Comparator<Wait> ORDER =
                Comparator.comparingLong(Wait::version).thenComparingLong(Wait::number);

        @Override
        public int compareTo(Wait other) {
            return ORDER.compare(this, other);
        }
    }

    private final Store store;
    private final ConcurrentSkipListMap<Wait, CompletableFuture<Void>> waiting = new ConcurrentSkipListMap<>();
    private final AtomicLong waits = new AtomicLong();

    VersionWatch(Store store) {
        this.store = store;
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        while (true) {
            Map.Entry<Wait, CompletableFuture<Void>> first = waiting.firstEntry();
            if (first == null || first.getKey().version() > commit.after().version()) {
                return;
            }
            waiting.remove(first.getKey());
            first.getValue().complete(null);
        }
    }

    /**
     * Returns a future that completes once the local state is of that version or a later one, on the thread of the
     * consensus or at once. Who waits no longer cancels it: the version may never come, here.
     */
    CompletableFuture<Void> reached(long version) {
        if (store.state().version() >= version) {
            return REACHED;
        }
        Wait wait = new Wait(version, waits.incrementAndGet());
        CompletableFuture<Void> reached = new CompletableFuture<>();
        waiting.put(wait, reached);
        var _ = reached.whenComplete((done, failure) -> waiting.remove(wait));
        if (store.state().version() >= version) {
            reached.complete(null);
        }
        return reached;
    }
}
