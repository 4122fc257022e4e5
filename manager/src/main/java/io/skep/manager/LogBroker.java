package io.skep.manager;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.LogSelector;
import io.skep.wire.SubscriptionMessage;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Brings together who reads logs and the nodes that hold a session here (swarm-wire 4.1).
 *
 * <p>A reader's subscription is told to each node that runs a task it selects, and to nodes that get one later when it
 * follows; a node that comes back hears of it again. The reader may be on this manager or on another one that relays.
 * At most {@value #SUBSCRIPTIONS_MAX} subscriptions are served at a time.
 */
final class LogBroker {
    private static final int SUBSCRIPTIONS_MAX = 1000;

    private final Store store;
    private final Executor executor;
    private final ConcurrentHashMap<String, Listener> listeners = new ConcurrentHashMap<>();
    private final ConcurrentHashMap<String, Collection> collections = new ConcurrentHashMap<>();

    LogBroker(Store store, Executor executor) {
        this.store = store;
        this.executor = executor;
    }

    /** A node's stream of subscriptions. */
    static final class Listener {
        private final String nodeId;
        private final ServerCallStreamObserver<SubscriptionMessage> out;

        Listener(String nodeId, ServerCallStreamObserver<SubscriptionMessage> out) {
            this.nodeId = nodeId;
            this.out = out;
        }

        private void tell(SubscriptionMessage message) {
            synchronized (out) {
                if (!out.isCancelled()) {
                    out.onNext(message);
                }
            }
        }
    }

    /** One subscription, as far as nodes with a session here serve it. */
    final class Collection implements AutoCloseable {
        private final SubscriptionMessage subscription;
        private final LogSink sink;
        private final Set<String> asked = new LinkedHashSet<>();

        private Collection(SubscriptionMessage subscription, LogSink sink) {
            this.subscription = subscription;
            this.sink = sink;
        }

        LogSink sink() {
            return sink;
        }

        private void begin() {
            Set<String> wanted = nodes(store.state(), subscription.getSelector());
            List<Listener> serving = new ArrayList<>();
            for (String nodeId : wanted) {
                Listener listener = listeners.get(nodeId);
                if (listener != null) {
                    serving.add(listener);
                }
            }
            sink.serving(serving.stream().map(listener -> listener.nodeId).toList());
            for (Listener listener : serving) {
                ask(listener);
                if (listeners.get(listener.nodeId) != listener) {
                    lost(listener);
                }
            }
        }

        private void lost(Listener listener) {
            if (answered(listener.nodeId)) {
                sink.done(listener.nodeId, "node " + listener.nodeId + " disconnected unexpectedly");
            }
        }

        private synchronized void ask(Listener listener) {
            if (asked.add(listener.nodeId)) {
                listener.tell(subscription);
            }
        }

        /** Returns whether the node had been asked and had not answered yet. */
        synchronized boolean answered(String nodeId) {
            return asked.remove(nodeId);
        }

        private void askIfSelected(Task task) {
            Listener listener = listeners.get(task.getNodeId());
            if (listener != null && selects(subscription.getSelector(), task)) {
                ask(listener);
            }
        }

        /** Tells the nodes that nobody reads any more. */
        @Override
        public synchronized void close() {
            collections.remove(subscription.getId(), this);
            for (String nodeId : asked) {
                Listener listener = listeners.get(nodeId);
                if (listener != null) {
                    listener.tell(subscription.toBuilder().setClose(true).build());
                }
            }
            asked.clear();
        }
    }

    /** Gathers the lines that a subscription selects until the result is closed. */
    Collection collect(SubscriptionMessage subscription, LogSink sink) {
        Collection made = new Collection(subscription, sink);
        if (collections.size() >= SUBSCRIPTIONS_MAX) {
            throw Status.RESOURCE_EXHAUSTED
                    .withDescription("too many readers of logs: " + SUBSCRIPTIONS_MAX)
                    .asRuntimeException();
        }
        collections.put(subscription.getId(), made);
        made.begin();
        return made;
    }

    @Nullable
    Collection find(String subscriptionId) {
        return collections.get(subscriptionId);
    }

    /** A node listens; it is told at once what is asked of it. */
    void listen(Listener listener) {
        Listener former = listeners.put(listener.nodeId, listener);
        if (former != null) {
            synchronized (former.out) {
                if (!former.out.isCancelled()) {
                    former.out.onError(Status.ABORTED
                            .withDescription("the node listens anew")
                            .asRuntimeException());
                }
            }
        }
        for (Collection collection : collections.values()) {
            if (nodes(store.state(), collection.subscription.getSelector()).contains(listener.nodeId)) {
                collection.ask(listener);
            }
        }
    }

    /** A node stopped listening: what it did not send will not come. */
    void gone(Listener listener) {
        if (!listeners.remove(listener.nodeId, listener)) {
            return;
        }
        for (Collection collection : collections.values()) {
            executor.execute(() -> collection.lost(listener));
        }
    }

    /** Called by the consensus for each commit: nodes that get a task which is followed are asked for it. */
    void committed(Commit commit) {
        if (collections.isEmpty()) {
            return;
        }
        List<Task> started = new ArrayList<>();
        for (Event<?> event : commit.events()) {
            Event<Task> changed = event.as(Kind.TASK);
            Task task = changed == null ? null : changed.after();
            if (task != null && task.getStatus().getState() == TaskState.RUNNING) {
                started.add(task);
            }
        }
        if (started.isEmpty()) {
            return;
        }
        executor.execute(() -> {
            for (Collection collection : collections.values()) {
                if (collection.subscription.getOptions().getFollow()) {
                    started.forEach(collection::askIfSelected);
                }
            }
        });
    }

    /** Returns the nodes that run, or ran, what is selected. */
    static Set<String> nodes(ClusterState state, LogSelector selector) {
        Set<String> found = new LinkedHashSet<>();
        for (Task task : tasks(state, selector)) {
            if (!task.getNodeId().isEmpty()) {
                found.add(task.getNodeId());
            }
        }
        found.addAll(selector.getNodeIdsList());
        return found;
    }

    /** Returns the selected tasks: those named, and those of services that have come as far as running. */
    static List<Task> tasks(ClusterState state, LogSelector selector) {
        List<Task> found = new ArrayList<>();
        for (String taskId : selector.getTaskIdsList()) {
            Task task = state.tasks().get(taskId);
            if (task != null) {
                found.add(task);
            }
        }
        for (String serviceId : selector.getServiceIdsList()) {
            for (Task task : state.tasksOfService(serviceId)) {
                if (task.getStatus().getState().getNumber() >= TaskState.RUNNING_VALUE) {
                    found.add(task);
                }
            }
        }
        return found;
    }

    private static boolean selects(LogSelector selector, Task task) {
        return selector.getTaskIdsList().contains(task.getId())
                || selector.getServiceIdsList().contains(task.getServiceId())
                || selector.getNodeIdsList().contains(task.getNodeId());
    }
}
