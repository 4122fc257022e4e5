package io.skep.manager;

import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.wire.CollectLogsRequest;
import io.skep.wire.CollectedLogs;
import io.skep.wire.LogMessage;
import io.skep.wire.LogRelayGrpc;
import java.util.Collection;
import java.util.List;

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

    /** Passes lines on as fast as the other manager takes them. */
    private static final class Relay implements LogSink {
        private final ServerCallStreamObserver<CollectedLogs> out;
        private boolean ended;

        Relay(ServerCallStreamObserver<CollectedLogs> out) {
            this.out = out;
            out.setOnReadyHandler(this::wake);
        }

        private synchronized void wake() {
            notifyAll();
        }

        private synchronized void end() {
            ended = true;
            notifyAll();
        }

        private synchronized void send(CollectedLogs message) {
            out.onNext(message);
        }

        @Override
        public void serving(Collection<String> nodeIds) {
            send(CollectedLogs.newBuilder().addAllServingNodeIds(nodeIds).build());
        }

        @Override
        public synchronized void lines(List<LogMessage> messages) {
            try {
                while (!ended && !out.isReady()) {
                    wait();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
            if (!ended) {
                send(CollectedLogs.newBuilder().addAllMessages(messages).build());
            }
        }

        @Override
        public void done(String nodeId, String failure) {
            send(CollectedLogs.newBuilder()
                    .setDoneNodeId(nodeId)
                    .setFailure(failure)
                    .build());
        }
    }
}
