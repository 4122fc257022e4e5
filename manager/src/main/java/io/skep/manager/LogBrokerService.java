package io.skep.manager;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.wire.ListenSubscriptionsRequest;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.LogMessage;
import io.skep.wire.PublishLogsMessage;
import io.skep.wire.PublishLogsResponse;
import io.skep.wire.SubscriptionMessage;
import org.jspecify.annotations.Nullable;

/** The RPCs through which nodes hear whose lines are wanted, and send them (swarm-wire 4.1). */
final class LogBrokerService extends LogBrokerGrpc.LogBrokerImplBase {
    private final LogBroker broker;

    LogBrokerService(LogBroker broker) {
        this.broker = broker;
    }

    @Override
    public void listenSubscriptions(ListenSubscriptionsRequest request, StreamObserver<SubscriptionMessage> response) {
        ServerCallStreamObserver<SubscriptionMessage> out = (ServerCallStreamObserver<SubscriptionMessage>) response;
        LogBroker.Listener listener = new LogBroker.Listener(Caller.current().nodeId(), out);
        out.setOnCancelHandler(() -> broker.gone(listener));
        broker.listen(listener);
    }

    @Override
    public StreamObserver<PublishLogsMessage> publishLogs(StreamObserver<PublishLogsResponse> response) {
        return new Publication(Caller.current().nodeId(), (ServerCallStreamObserver<PublishLogsResponse>) response);
    }

    /** The lines that one node sends for one subscription: the next ones when the former were taken. */
    private final class Publication implements StreamObserver<PublishLogsMessage> {
        private final String nodeId;
        private final ServerCallStreamObserver<PublishLogsResponse> response;
        private LogBroker.@Nullable Collection collection;
        private String subscriptionId = "";
        private boolean over;

        Publication(String nodeId, ServerCallStreamObserver<PublishLogsResponse> response) {
            this.nodeId = nodeId;
            this.response = response;
            Replies.expectCancellation(response);
            response.disableAutoRequest();
            response.request(1);
        }

        @Override
        public void onNext(PublishLogsMessage message) {
            if (over) {
                return;
            }
            Status refusal = check(message);
            LogBroker.Collection current = collection;
            if (refusal != null || current == null) {
                over = true;
                response.onError((refusal == null ? Status.NOT_FOUND : refusal).asRuntimeException());
                return;
            }
            if (message.getMessagesCount() > 0) {
                var _ = current.sink().lines(message.getMessagesList()).thenRun(() -> response.request(1));
            } else {
                response.request(1);
            }
            if (message.getClose()) {
                finish(current, "");
            }
        }

        private @Nullable Status check(PublishLogsMessage message) {
            if (message.getSubscriptionId().isEmpty()) {
                return Status.INVALID_ARGUMENT.withDescription("log message must have a subscription id");
            }
            if (subscriptionId.isEmpty()) {
                subscriptionId = message.getSubscriptionId();
                collection = broker.find(subscriptionId);
                if (collection == null) {
                    return Status.NOT_FOUND.withDescription("log subscription " + subscriptionId + " not found");
                }
            } else if (!subscriptionId.equals(message.getSubscriptionId())) {
                return Status.INVALID_ARGUMENT.withDescription("a stream of log messages is for one subscription");
            }
            for (LogMessage line : message.getMessagesList()) {
                if (!line.getContext().getNodeId().equals(nodeId)) {
                    return Status.PERMISSION_DENIED.withDescription("a node may send log messages of its own only");
                }
            }
            return null;
        }

        private void finish(LogBroker.Collection current, String failure) {
            if (current.answered(nodeId)) {
                current.sink().done(nodeId, failure);
            }
        }

        @Override
        public void onError(Throwable failure) {
            LogBroker.Collection current = collection;
            if (current != null) {
                finish(current, "node " + nodeId + " disconnected unexpectedly");
            }
        }

        @Override
        public void onCompleted() {
            if (over) {
                return;
            }
            LogBroker.Collection current = collection;
            if (current != null) {
                finish(current, "");
            }
            response.onNext(PublishLogsResponse.getDefaultInstance());
            response.onCompleted();
        }
    }
}
