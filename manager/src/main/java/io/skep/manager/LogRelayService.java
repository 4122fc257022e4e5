package io.skep.manager;

import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.wire.CollectLogsRequest;
import io.skep.wire.CollectedLogs;
import io.skep.wire.LogMessage;
import io.skep.wire.LogRelayGrpc;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Gathers log lines for readers on other managers. */
final class LogRelayService extends LogRelayGrpc.LogRelayImplBase {
    private final LogBroker broker;

    LogRelayService(LogBroker broker) {
        this.broker = broker;
    }

    @Override
    public void collect(CollectLogsRequest request, StreamObserver<CollectedLogs> response) {
        Relay relay = new Relay((ServerCallStreamObserver<CollectedLogs>) response);
        try {
            LogBroker.Collection collection = broker.collect(request.getSubscription(), relay);
            relay.out.setOnCancelHandler(() -> {
                relay.end();
                collection.close();
            });
        } catch (StatusRuntimeException e) {
            response.onError(e);
        }
    }

    /**
     * Passes lines on as fast as the other manager takes them. What waits is at most one message of lines for each node
     * that sends some.
     */
    private static final class Relay implements LogSink {
        private record Item(CollectedLogs message, CompletableFuture<Void> sent) {}

        private final ServerCallStreamObserver<CollectedLogs> out;
        private final ArrayDeque<Item> queue = new ArrayDeque<>();
        private boolean ended;

        Relay(ServerCallStreamObserver<CollectedLogs> out) {
            this.out = out;
            out.setOnReadyHandler(this::flush);
        }

        private void flush() {
            List<Item> sent = new ArrayList<>();
            synchronized (this) {
                while (!queue.isEmpty() && (ended || out.isReady())) {
                    Item item = queue.remove();
                    if (!ended) {
                        out.onNext(item.message());
                    }
                    sent.add(item);
                }
            }
            sent.forEach(item -> item.sent().complete(null));
        }

        private void end() {
            synchronized (this) {
                ended = true;
            }
            flush();
        }

        private CompletableFuture<Void> send(CollectedLogs.Builder message) {
            Item item = new Item(message.build(), new CompletableFuture<>());
            synchronized (this) {
                queue.add(item);
            }
            flush();
            return item.sent();
        }

        @Override
        public void serving(Collection<String> nodeIds) {
            var _ = send(CollectedLogs.newBuilder().addAllServingNodeIds(nodeIds));
        }

        @Override
        public CompletableFuture<Void> lines(List<LogMessage> messages) {
            return send(CollectedLogs.newBuilder().addAllMessages(messages));
        }

        @Override
        public void done(String nodeId, String failure) {
            var _ = send(CollectedLogs.newBuilder().setDoneNodeId(nodeId).setFailure(failure));
        }
    }
}
