package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.engine.EngineEvent;
import io.skep.manager.ClusterAccess;
import io.skep.store.Commit;
import io.skep.store.Event;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The last {@value #PAST_MAX} messages about the cluster and the engine, and those who listen for more.
 *
 * <p>It follows the cluster that the node is a manager of; a node can leave one and join another. When a manager gets
 * the state as a whole, what happened meanwhile is not told. A listener may be {@value #WAITING_MAX} messages behind;
 * then its stream ends. Safe for use by several threads.
 */
final class EventBuffer implements AutoCloseable {
    static final int PAST_MAX = 256;
    static final int WAITING_MAX = 1024;

    private static final Logger LOG = LoggerFactory.getLogger(EventBuffer.class);

    private final Object lock = new Object();
    private final Deque<ClusterEvent> past = new ArrayDeque<>();
    private final Set<Listener> listeners = new LinkedHashSet<>();
    private @Nullable ClusterAccess followed;
    private @Nullable AutoCloseable watch;

    /** Follows the given cluster from now on, or none. */
    void follow(@Nullable ClusterAccess cluster) {
        AutoCloseable former;
        synchronized (lock) {
            if (Objects.equals(followed, cluster)) {
                return;
            }
            former = watch;
            followed = cluster;
            watch = cluster == null ? null : cluster.watch(this::add);
        }
        end(former);
    }

    private static void end(@Nullable AutoCloseable watch) {
        if (watch != null) {
            try {
                watch.close();
            } catch (Exception e) {
                LOG.warn("a watch of the cluster did not close", e);
            }
        }
    }

    private void add(Commit commit) {
        List<ClusterEvent> messages = new ArrayList<>();
        for (Event<?> event : commit.events()) {
            ClusterEvent message = ClusterEvent.of(event, Times.of(Instant.now()));
            if (message != null) {
                messages.add(message);
            }
        }
        if (messages.isEmpty()) {
            return;
        }
        tell(messages);
    }

    /** Tells what happened to a part of the engine. */
    void add(EngineEvent event) {
        tell(List.of(ClusterEvent.of(event)));
    }

    private void tell(List<ClusterEvent> messages) {
        synchronized (lock) {
            for (ClusterEvent message : messages) {
                past.addLast(message);
                if (past.size() > PAST_MAX) {
                    past.removeFirst();
                }
                listeners.forEach(listener -> listener.add(message));
            }
        }
    }

    /** Returns a listener that first gets the past messages. */
    Listener listen() {
        synchronized (lock) {
            Listener listener = new Listener();
            past.forEach(listener::add);
            listeners.add(listener);
            return listener;
        }
    }

    int listeners() {
        synchronized (lock) {
            return listeners.size();
        }
    }

    @Override
    public void close() {
        follow(null);
        List<Listener> open;
        synchronized (lock) {
            open = List.copyOf(listeners);
        }
        open.forEach(Listener::end);
    }

    /** One who reads messages in their order. */
    final class Listener implements AutoCloseable {
        private static final ClusterEvent END =
                new ClusterEvent("", "", "", Map.of(), Timestamp.getDefaultInstance(), "");

        private final BlockingQueue<ClusterEvent> queue = new LinkedBlockingQueue<>(WAITING_MAX);

        private void add(ClusterEvent message) {
            if (!queue.offer(message)) {
                LOG.warn("a stream of events ends: its client is {} messages behind", WAITING_MAX);
                end();
            }
        }

        /** Lets the reader go on at once, to its end. */
        void end() {
            queue.clear();
            if (!queue.offer(END)) {
                LOG.debug("messages came while a stream of events ended");
            }
        }

        /** Returns the next message, or null at the end or after the given time. */
        @Nullable
        ClusterEvent next(long waitMillis) throws InterruptedException {
            ClusterEvent message = queue.poll(waitMillis, TimeUnit.MILLISECONDS);
            return END.equals(message) ? null : message;
        }

        @Override
        public void close() {
            synchronized (lock) {
                listeners.remove(this);
            }
        }
    }
}
