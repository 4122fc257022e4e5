package io.skep.manager;

import io.skep.store.Commit;
import io.skep.store.Store;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Wakes those who wait until the local state has reached a version. */
final class VersionWatch {
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
     * Waits until the local state is of that version or a later one.
     *
     * @param deadline in the time of {@link System#nanoTime()}
     * @throws TimeoutException when it is not there by then
     */
    void await(long version, long deadline) throws TimeoutException {
        while (store.state().version() < version) {
            CompletableFuture<Void> reached = waiting.computeIfAbsent(version, key -> new CompletableFuture<>());
            if (store.state().version() >= version) {
                return;
            }
            try {
                reached.get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (ExecutionException e) {
                throw new IllegalStateException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new TimeoutException("interrupted");
            }
        }
    }
}
