package io.skep.manager;

import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.Node;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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

        synchronized void start() {
            if (!over) {
                add(this);
                check();
            }
        }

        private synchronized void check() {
            if (!over && condition.met(store.state().nodes().get(nodeId))) {
                close();
            }
        }

        @Override
        public synchronized void close() {
            over = true;
            remove(this);
        }
    }

    private final Store store;
    private final Executor executor;
    private final Map<String, Set<Waiter>> waiters = new LinkedHashMap<>();

    /** Makes a watch that calls conditions on the executor. */
    NodeWatch(Store store, Executor executor) {
        this.store = store;
        this.executor = executor;
    }

    Waiter waiter(String nodeId, Condition condition) {
        return new Waiter(nodeId, condition);
    }

    private synchronized void add(Waiter waiter) {
        waiters.computeIfAbsent(waiter.nodeId, id -> new LinkedHashSet<>()).add(waiter);
    }

    private synchronized void remove(Waiter waiter) {
        waiters.computeIfPresent(waiter.nodeId, (id, known) -> {
            known.remove(waiter);
            return known.isEmpty() ? null : known;
        });
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        for (Waiter waiter : concerned(commit)) {
            executor.execute(waiter::check);
        }
    }

    private synchronized List<Waiter> concerned(Commit commit) {
        List<Waiter> found = new ArrayList<>();
        if (waiters.isEmpty()) {
            return found;
        }
        if (commit.reset()) {
            waiters.values().forEach(found::addAll);
            return found;
        }
        for (Event<?> event : commit.events()) {
            Event<Node> changed = event.as(Kind.NODE);
            if (changed != null) {
                found.addAll(waiters.getOrDefault(changed.id(), Set.of()));
            }
        }
        return found;
    }
}
