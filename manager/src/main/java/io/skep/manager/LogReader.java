package io.skep.manager;

import com.google.common.util.concurrent.MoreExecutors;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.skep.control.CommandException;
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
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Someone on this manager who reads logs, and the managers whose nodes send them.
 *
 * <p>Every manager is asked, as any may hold the session of a node that runs a selected task. Without follow the end
 * has come when each manager has named the nodes it asked and each of these is done; nodes that nobody could ask are
 * named in the warning at the end.
 *
 * <p>All that sources say is handled one after the other, in tasks of its own: only these touch what is known, and only
 * they call the reader, who may take its time. Meanwhile at most one message of each source waits.
 */
final class LogReader implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LogReader.class);

    private final SubscriptionMessage subscription;
    private final Consumer<SubscribeLogsMessage> onMessage;
    private final Consumer<String> onEnd;
    private final Executor deliveries;

    // Of the deliveries.
    private final Set<String> missing = new TreeSet<>();
    private final Set<String> serving = new HashSet<>();
    private final Set<String> done = new HashSet<>();
    private final List<String> failures = new ArrayList<>();
    private int silentManagers;

    // Under the lock of this object.
    private final List<Remote> remotes = new ArrayList<>();
    private LogBroker.@Nullable Collection local;
    private volatile boolean ended;

    private LogReader(
            SubscriptionMessage subscription,
            Executor executor,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        this.subscription = subscription;
        this.deliveries = MoreExecutors.newSequentialExecutor(executor);
        this.onMessage = onMessage;
        this.onEnd = onEnd;
    }

    /**
     * Begins to read.
     *
     * @param state in which the selected tasks are looked up
     * @throws CommandException RESOURCE_EXHAUSTED when there are too many readers
     */
    static LogReader start(
            SubscriptionMessage subscription,
            ClusterState state,
            LogBroker broker,
            ManagerPorts ports,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        LogReader reader = new LogReader(subscription, ports.executor(), onMessage, onEnd);
        reader.missing.addAll(LogBroker.nodes(state, subscription.getSelector()));
        for (Task task : LogBroker.tasks(state, subscription.getSelector())) {
            if (task.getNodeId().isEmpty()) {
                reader.failures.add("task " + task.getId() + " has not been scheduled");
            }
        }
        List<Member> others = ports.consensus().members().stream()
                .filter(member -> !member.nodeId().equals(ports.consensus().selfId()))
                .toList();
        reader.silentManagers = 1 + others.size();
        for (Member other : others) {
            reader.collectFrom(other, ports.peers());
        }
        try {
            reader.collectHere(broker);
        } catch (StatusRuntimeException e) {
            reader.end();
            throw new CommandException(
                    CommandException.Code.RESOURCE_EXHAUSTED,
                    String.valueOf(e.getStatus().getDescription()));
        }
        return reader;
    }

    private void collectFrom(Member other, PeerChannels peers) {
        Remote remote = new Remote();
        CollectLogsRequest request =
                CollectLogsRequest.newBuilder().setSubscription(subscription).build();
        synchronized (this) {
            remotes.add(remote);
        }
        try {
            Context.ROOT.run(() -> LogRelayGrpc.newStub(peers.to(other.nodeId(), other.address()))
                    .collect(request, remote));
        } catch (RuntimeException e) {
            remote.onError(e);
        }
    }

    private void collectHere(LogBroker broker) {
        LogBroker.Collection collection = broker.collect(subscription, new Local());
        boolean over;
        synchronized (this) {
            local = collection;
            over = ended;
        }
        if (over) {
            collection.close();
        }
    }

    private void deliver(Runnable what) {
        try {
            deliveries.execute(what);
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: nobody reads logs any more");
        }
    }

    private CompletableFuture<Void> lines(List<LogMessage> messages) {
        CompletableFuture<Void> taken = new CompletableFuture<>();
        deliver(() -> {
            try {
                if (!ended) {
                    onMessage.accept(SubscribeLogsMessage.newBuilder()
                            .addAllMessages(messages)
                            .build());
                }
            } finally {
                taken.complete(null);
            }
        });
        return taken;
    }

    private void serving(Collection<String> nodeIds) {
        deliver(() -> {
            silentManagers--;
            serving.addAll(nodeIds);
            missing.removeAll(nodeIds);
            endIfDone();
        });
    }

    private void done(String nodeId, String failure) {
        deliver(() -> {
            if (!failure.isEmpty()) {
                failures.add(failure);
            }
            done.add(nodeId);
            endIfDone();
        });
    }

    private void endIfDone() {
        if (subscription.getOptions().getFollow() || silentManagers > 0 || !done.containsAll(serving) || !end()) {
            return;
        }
        for (String nodeId : missing) {
            failures.add("node " + nodeId + " is not available");
        }
        onEnd.accept(
                failures.isEmpty()
                        ? ""
                        : "warning: incomplete log stream. some logs could not be retrieved for the following reasons: "
                                + String.join(", ", failures));
    }

    /** Ends what sends lines; returns false when that was done before. */
    private boolean end() {
        List<Remote> open;
        LogBroker.Collection collection;
        synchronized (this) {
            if (ended) {
                return false;
            }
            ended = true;
            open = new ArrayList<>(remotes);
            collection = local;
        }
        open.forEach(Remote::cancel);
        if (collection != null) {
            collection.close();
        }
        return true;
    }

    /** Ends the reading; nothing is called any more when this returns, unless a call is under way. */
    @Override
    public void close() {
        end();
    }

    private final class Local implements LogSink {
        @Override
        public void serving(Collection<String> nodeIds) {
            LogReader.this.serving(nodeIds);
        }

        @Override
        public CompletableFuture<Void> lines(List<LogMessage> messages) {
            return LogReader.this.lines(messages);
        }

        @Override
        public void done(String nodeId, String failure) {
            LogReader.this.done(nodeId, failure);
        }
    }

    /** What another manager relays; one that cannot be reached serves no node. */
    private final class Remote implements ClientResponseObserver<CollectLogsRequest, CollectedLogs> {
        private final Set<String> open = new LinkedHashSet<>();
        private volatile @Nullable ClientCallStreamObserver<CollectLogsRequest> call;
        private boolean spoke;

        @Override
        public void beforeStart(ClientCallStreamObserver<CollectLogsRequest> started) {
            started.disableAutoRequestWithInitial(1);
            call = started;
        }

        private void request() {
            ClientCallStreamObserver<CollectLogsRequest> known = call;
            if (known != null) {
                known.request(1);
            }
        }

        void cancel() {
            ClientCallStreamObserver<CollectLogsRequest> known = call;
            if (known != null) {
                known.cancel("nobody reads any more", null);
            }
        }

        @Override
        public void onNext(CollectedLogs message) {
            if (!spoke) {
                spoke = true;
                open.addAll(message.getServingNodeIdsList());
                serving(message.getServingNodeIdsList());
            }
            if (!message.getDoneNodeId().isEmpty()) {
                open.remove(message.getDoneNodeId());
                done(message.getDoneNodeId(), message.getFailure());
            }
            if (message.getMessagesCount() > 0) {
                var _ = lines(message.getMessagesList()).thenRun(this::request);
            } else {
                request();
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
