package io.skep.manager;

import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.stub.StreamObserver;
import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.wire.CollectLogsRequest;
import io.skep.wire.CollectedLogs;
import io.skep.wire.LogMessage;
import io.skep.wire.LogRelayGrpc;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.SubscriptionMessage;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Someone on this manager who reads logs, and the managers whose nodes send them.
 *
 * <p>Every manager is asked, as any may hold the session of a node that runs a selected task. Without follow the end
 * has come when each manager has named the nodes it asked and each of these is done; nodes that nobody could ask are
 * named in the warning at the end.
 */
final class LogReader implements AutoCloseable {
    private final SubscriptionMessage subscription;
    private final Consumer<SubscribeLogsMessage> onMessage;
    private final Consumer<String> onEnd;
    private final Set<String> missing = new TreeSet<>();
    private final Set<String> serving = new HashSet<>();
    private final Set<String> done = new HashSet<>();
    private final List<String> failures = new ArrayList<>();
    private final Context.CancellableContext calls = Context.ROOT.withCancellation();
    private LogBroker.@Nullable Collection local;
    private final Object delivery = new Object();
    private int silentManagers;
    private volatile boolean ended;

    private LogReader(
            SubscriptionMessage subscription, Consumer<SubscribeLogsMessage> onMessage, Consumer<String> onEnd) {
        this.subscription = subscription;
        this.onMessage = onMessage;
        this.onEnd = onEnd;
    }

    /**
     * Begins to read.
     *
     * @param state in which the selected tasks are looked up
     * @param others the other managers
     */
    static LogReader start(
            SubscriptionMessage subscription,
            ClusterState state,
            LogBroker broker,
            PeerChannels peers,
            List<Member> others,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        LogReader reader = new LogReader(subscription, onMessage, onEnd);
        reader.missing.addAll(LogBroker.nodes(state, subscription.getSelector()));
        for (Task task : LogBroker.tasks(state, subscription.getSelector())) {
            if (task.getNodeId().isEmpty()) {
                reader.failures.add("task " + task.getId() + " has not been scheduled");
            }
        }
        reader.silentManagers = 1 + others.size();
        for (Member other : others) {
            Remote remote = reader.new Remote();
            try {
                Channel channel = peers.to(other.nodeId(), other.address());
                reader.calls.run(() -> LogRelayGrpc.newStub(channel)
                        .collect(
                                CollectLogsRequest.newBuilder()
                                        .setSubscription(subscription)
                                        .build(),
                                remote));
            } catch (RuntimeException e) {
                remote.onError(e);
            }
        }
        reader.collectHere(broker);
        return reader;
    }

    private void collectHere(LogBroker broker) {
        Local sink = new Local();
        LogBroker.Collection collection = broker.collect(subscription, sink);
        boolean over;
        synchronized (this) {
            local = collection;
            over = ended;
        }
        if (over) {
            collection.close();
        }
    }

    private void lines(List<LogMessage> messages) {
        // Not under the lock of the reader: a slow one must be able to end it.
        synchronized (delivery) {
            if (!ended) {
                onMessage.accept(SubscribeLogsMessage.newBuilder()
                        .addAllMessages(messages)
                        .build());
            }
        }
    }

    private synchronized void serving(Collection<String> nodeIds) {
        silentManagers--;
        serving.addAll(nodeIds);
        missing.removeAll(nodeIds);
        endIfDone();
    }

    private synchronized void done(String nodeId, String failure) {
        if (!failure.isEmpty()) {
            failures.add(failure);
        }
        done.add(nodeId);
        endIfDone();
    }

    private void endIfDone() {
        if (ended || subscription.getOptions().getFollow() || silentManagers > 0 || !done.containsAll(serving)) {
            return;
        }
        for (String nodeId : missing) {
            failures.add("node " + nodeId + " is not available");
        }
        end();
        onEnd.accept(
                failures.isEmpty()
                        ? ""
                        : "warning: incomplete log stream. some logs could not be retrieved for the following reasons: "
                                + String.join(", ", failures));
    }

    private void end() {
        ended = true;
        calls.cancel(null);
        if (local != null) {
            local.close();
        }
    }

    /** Ends the reading; nothing is called any more when this returns, unless a call is under way. */
    @Override
    public synchronized void close() {
        if (!ended) {
            end();
        }
    }

    private final class Local implements LogSink {
        @Override
        public void serving(Collection<String> nodeIds) {
            LogReader.this.serving(nodeIds);
        }

        @Override
        public void lines(List<LogMessage> messages) {
            LogReader.this.lines(messages);
        }

        @Override
        public void done(String nodeId, String failure) {
            LogReader.this.done(nodeId, failure);
        }
    }

    /** What another manager relays; one that cannot be reached serves no node. */
    private final class Remote implements StreamObserver<CollectedLogs> {
        private final Set<String> open = new HashSet<>();
        private boolean spoke;

        @Override
        public void onNext(CollectedLogs message) {
            if (!spoke) {
                spoke = true;
                open.addAll(message.getServingNodeIdsList());
                serving(message.getServingNodeIdsList());
            }
            if (message.getMessagesCount() > 0) {
                lines(message.getMessagesList());
            }
            if (!message.getDoneNodeId().isEmpty()) {
                open.remove(message.getDoneNodeId());
                done(message.getDoneNodeId(), message.getFailure());
            }
        }

        @Override
        public void onError(Throwable failure) {
            if (!spoke) {
                spoke = true;
                serving(List.of());
            }
            for (String nodeId : open) {
                done(nodeId, "node " + nodeId + " disconnected unexpectedly");
            }
        }

        @Override
        public void onCompleted() {
            onError(new IllegalStateException("the other manager is stopping"));
        }
    }
}
