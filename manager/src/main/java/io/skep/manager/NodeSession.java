package io.skep.manager;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Cluster;
import io.skep.wire.Node;
import io.skep.wire.SessionMessage;
import io.skep.wire.WeightedPeer;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One node's session with this manager: until when it counts as alive, and the streams that it keeps open.
 *
 * <p>Nothing is queued here. A change only marks what has to be told; the message is made of the newest state when the
 * stream can take it. So a node that does not read costs the names of what changed, and never memory without bound.
 */
final class NodeSession {
    private static final Duration BATCH = Duration.ofMillis(100);
    private static final int BATCH_CHANGES = 100;

    private final String nodeId;
    private final String id;
    private final Supplier<List<WeightedPeer>> managers;
    private final ManagerPorts ports;
    private final Pump messages;

    private volatile long deadlineNanos;
    private volatile @Nullable MessageStream stream;
    private volatile @Nullable AssignmentStream assignments;

    NodeSession(String nodeId, String id, Supplier<List<WeightedPeer>> managers, ManagerPorts ports) {
        this.nodeId = nodeId;
        this.id = id;
        this.managers = managers;
        this.ports = ports;
        this.messages = new Pump(ports, Duration.ZERO, this::sendMessage);
    }

    String nodeId() {
        return nodeId;
    }

    String id() {
        return id;
    }

    /** Returns until when the session lives, in the time of the ticker. */
    long deadlineNanos() {
        return deadlineNanos;
    }

    void liveUntil(long nanos) {
        deadlineNanos = nanos;
    }

    /** Takes the stream of session messages and sends the first one; a former stream ends. */
    void open(MessageStream next) {
        MessageStream former = stream;
        stream = next;
        if (former != null) {
            end(former.observer, Status.ABORTED.withDescription("the node opened its session anew"));
        }
        next.whenReady = messages::wake;
        messages.wake();
    }

    /** Begins to tell the node what to run; a former stream ends. */
    void openAssignments(ServerCallStreamObserver<AssignmentsMessage> observer) {
        AssignmentStream former = assignments;
        AssignmentStream next = new AssignmentStream(observer);
        assignments = next;
        if (former != null) {
            end(former.observer, Status.ABORTED.withDescription("the node asked for its assignments anew"));
        }
        observer.setOnReadyHandler(next.pump::wake);
        next.pump.wake();
    }

    /** The node, the managers, the keys or the root may have changed. */
    void touch() {
        messages.wake();
    }

    /** These tasks of the node changed. */
    void touchTasks(Set<String> taskIds) {
        AssignmentStream current = assignments;
        if (current != null) {
            current.touch(taskIds);
        }
    }

    /** The state was replaced as a whole. */
    void touchAll(Commit commit) {
        messages.wake();
        AssignmentStream current = assignments;
        if (current != null) {
            Set<String> all = new LinkedHashSet<>();
            commit.before().tasksOfNode(nodeId).forEach(task -> all.add(task.getId()));
            commit.after().tasksOfNode(nodeId).forEach(task -> all.add(task.getId()));
            current.touch(all);
        }
    }

    /** Ends all streams. */
    void close(Status status) {
        MessageStream session = stream;
        AssignmentStream told = assignments;
        stream = null;
        assignments = null;
        if (session != null) {
            end(session.observer, status);
        }
        if (told != null) {
            end(told.observer, status);
        }
    }

    /** Sends what the node has to know now, unless it is what was sent last. */
    void sendMessage() {
        MessageStream current = stream;
        if (current == null || current.observer.isCancelled() || !current.observer.isReady()) {
            return;
        }
        ClusterState state = ports.store().state();
        Node node = state.nodes().get(nodeId);
        Cluster cluster = state.cluster();
        if (node == null || cluster == null) {
            return;
        }
        SessionMessage message = SessionMessage.newBuilder()
                .setSessionId(id)
                .setNode(node)
                .addAllManagers(managers.get())
                .addAllNetworkBootstrapKeys(cluster.getNetworkBootstrapKeysList())
                .setRootCA(cluster.getRootCa().getCaCert())
                .build();
        synchronized (current.observer) {
            if (stream == current && !message.equals(current.last)) {
                current.last = message;
                current.observer.onNext(message);
            }
        }
    }

    private static void end(ServerCallStreamObserver<?> observer, Status status) {
        synchronized (observer) {
            if (!observer.isCancelled()) {
                observer.onError(status.asRuntimeException());
            }
        }
    }

    /** One stream of session messages, and the last one that went out on it. */
    static final class MessageStream {
        private final ServerCallStreamObserver<SessionMessage> observer;
        private volatile Runnable whenReady = () -> {};
        private @Nullable SessionMessage last;

        /** Must be made before the method of the service returns. */
        MessageStream(ServerCallStreamObserver<SessionMessage> observer) {
            this.observer = observer;
            observer.setOnReadyHandler(() -> whenReady.run());
            // Only heartbeats that stay away end a session. With a handler, writing to a stream that is gone is no
            // error.
            observer.setOnCancelHandler(() -> {});
        }
    }

    /** One stream of assignments: a complete list first, then changes, each numbered after the one before. */
    private final class AssignmentStream {
        private final ServerCallStreamObserver<AssignmentsMessage> observer;
        private final AssignmentSet set = new AssignmentSet(nodeId);
        private final Pump pump = new Pump(ports, BATCH, this::send);
        private Set<String> touched = new LinkedHashSet<>();
        private long sent;

        AssignmentStream(ServerCallStreamObserver<AssignmentsMessage> observer) {
            this.observer = observer;
        }

        void touch(Set<String> taskIds) {
            boolean full;
            synchronized (this) {
                int before = touched.size();
                touched.addAll(taskIds);
                full = before < BATCH_CHANGES && touched.size() >= BATCH_CHANGES;
            }
            if (full) {
                pump.wakeNow();
            } else {
                pump.wake();
            }
        }

        private void send() {
            if (observer.isCancelled() || !observer.isReady()) {
                return;
            }
            Set<String> ids;
            synchronized (this) {
                ids = touched;
                touched = new LinkedHashSet<>();
            }
            // Read after the marks were taken: whatever marks from here on is sent again, and nothing is missed.
            ClusterState state = ports.store().state();
            List<AssignmentChange> changes = sent == 0 ? set.complete(state) : set.changes(state, ids);
            if (sent > 0 && changes.isEmpty()) {
                return;
            }
            AssignmentsMessage message = AssignmentsMessage.newBuilder()
                    .setType(sent == 0 ? AssignmentsMessage.Type.COMPLETE : AssignmentsMessage.Type.INCREMENTAL)
                    .setAppliesTo(sent == 0 ? "" : Long.toString(sent))
                    .setResultsIn(Long.toString(sent + 1))
                    .addAllChanges(changes)
                    .build();
            synchronized (observer) {
                if (assignments == this && !observer.isCancelled()) {
                    sent++;
                    observer.onNext(message);
                }
            }
        }
    }
}
