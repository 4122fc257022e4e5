package io.skep.manager;

import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.Node;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/** Those who wait for a node to change, by node: a commit costs nothing for the others. */
final class NodeWatch {
    /** Decides on each state of the node whether the wait is over. */
    @FunctionalInterface
    interface Condition {
        /** Called by one thread at a time, with null when there is no such node. */
        boolean met(@Nullable Node node);
    }

    /** One wait, from {@link #start} until its condition is met or it is closed. */
    final class Waiter implements AutoCloseable {
        private final String nodeId;
        private final Condition condition;
        private boolean over;

        private Waiter(String nodeId, Condition condition) {
            this.nodeId = nodeId;
            this.condition = condition;
        }

        void start() {
            waiters.compute(nodeId, (id, known) -> {
                Set<Waiter> set = known == null ? ConcurrentHashMap.newKeySet() : known;
                set.add(this);
                return set;
            });
            check();
        }

        private synchronized void check() {
            if (!over && condition.met(store.state().nodes().get(nodeId))) {
                close();
            }
        }

        @Override
        public synchronized void close() {
            over = true;
            waiters.computeIfPresent(nodeId, (id, known) -> {
                known.remove(this);
                return known.isEmpty() ? null : known;
            });
        }
    }

    private final Store store;
    private final Executor executor;
    private final ConcurrentHashMap<String, Set<Waiter>> waiters = new ConcurrentHashMap<>();

    /** Makes a watch that calls conditions on the executor. */
    NodeWatch(Store store, Executor executor) {
        this.store = store;
        this.executor = executor;
    }

    Waiter waiter(String nodeId, Condition condition) {
        return new Waiter(nodeId, condition);
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        if (waiters.isEmpty()) {
            return;
        }
        if (commit.reset()) {
            waiters.values().forEach(this::wake);
            return;
        }
        for (Event<?> event : commit.events()) {
            Event<Node> changed = event.as(Kind.NODE);
            if (changed != null) {
                wake(waiters.getOrDefault(changed.id(), Set.of()));
            }
        }
    }

    private void wake(Set<Waiter> set) {
        for (Waiter waiter : set) {
            executor.execute(waiter::check);
        }
    }
}
