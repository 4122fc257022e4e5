package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import io.grpc.Context;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.certs.NodeIdentity;
import io.skep.store.Store;
import io.skep.wire.CollectLogsRequest;
import io.skep.wire.CollectedLogs;
import io.skep.wire.LogContext;
import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.NodeRole;
import io.skep.wire.PublishLogsMessage;
import io.skep.wire.PublishLogsResponse;
import io.skep.wire.SubscriptionMessage;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Lines wait at their node, not in the manager, while nobody takes them. */
class LogFlowTest {
    private static final String NODE = "node";

    private final LogBroker broker = new LogBroker(new Store(), Runnable::run);
    private final SubscriptionMessage subscription = SubscriptionMessage.newBuilder()
            .setId("subscription")
            .setSelector(LogSelector.newBuilder().addNodeIds(NODE))
            .build();

    @Test
    void aNodeIsAskedForMoreWhenItsLinesWereTaken() throws Exception {
        Sink sink = new Sink();
        broker.collect(subscription, sink);
        Stream<PublishLogsResponse> answer = new Stream<>();
        Caller node = new Caller(new NodeIdentity(NODE, NodeRole.WORKER, "cluster"), "127.0.0.1");
        StreamObserver<PublishLogsMessage> lines = Context.current()
                .withValue(Caller.KEY, node)
                .call(() -> new LogBrokerService(broker).publishLogs(answer));
        assertThat(answer.requested).isEqualTo(1);
        lines.onNext(PublishLogsMessage.newBuilder()
                .setSubscriptionId(subscription.getId())
                .addMessages(LogMessage.newBuilder()
                        .setContext(LogContext.newBuilder().setNodeId(NODE)))
                .build());
        assertThat(answer.requested).isEqualTo(1);
        sink.taken.complete(null);
        assertThat(answer.requested).isEqualTo(2);
    }

    @Test
    void linesAreTakenWhenTheOtherManagerHasRoom() {
        Stream<CollectedLogs> other = new Stream<>();
        new LogRelayService(broker)
                .collect(
                        CollectLogsRequest.newBuilder()
                                .setSubscription(subscription)
                                .build(),
                        other);
        LogBroker.Collection collection = Objects.requireNonNull(broker.find(subscription.getId()));
        CompletableFuture<Void> taken = collection.sink().lines(List.of(LogMessage.getDefaultInstance()));
        collection.sink().done(NODE, "");
        assertThat(taken).isNotDone();
        assertThat(other.sent).isEmpty();
        other.ready = true;
        other.whenReady.run();
        assertThat(taken).isCompleted();
        assertThat(other.sent).hasSize(3);
        assertThat(other.sent.getLast().getDoneNodeId()).isEqualTo(NODE);
    }

    @Test
    void linesForAManagerThatIsGoneAreDropped() {
        Stream<CollectedLogs> other = new Stream<>();
        new LogRelayService(broker)
                .collect(
                        CollectLogsRequest.newBuilder()
                                .setSubscription(subscription)
                                .build(),
                        other);
        LogBroker.Collection collection = Objects.requireNonNull(broker.find(subscription.getId()));
        CompletableFuture<Void> taken = collection.sink().lines(List.of(LogMessage.getDefaultInstance()));
        other.whenCancelled.run();
        assertThat(taken).isCompleted();
        assertThat(other.sent).isEmpty();
        assertThat(broker.find(subscription.getId())).isNull();
    }

    private static final class Sink implements LogSink {
        private final CompletableFuture<Void> taken = new CompletableFuture<>();

        @Override
        public void serving(Collection<String> nodeIds) {}

        @Override
        public CompletableFuture<Void> lines(List<LogMessage> messages) {
            return taken;
        }

        @Override
        public void done(String nodeId, String failure) {}
    }

    /** The manager's side of a call. */
    private static final class Stream<T> extends ServerCallStreamObserver<T> {
        private final List<T> sent = new ArrayList<>();
        private Runnable whenReady = () -> {};
        private Runnable whenCancelled = () -> {};
        private boolean ready;
        private int requested;

        @Override
        public boolean isCancelled() {
            return false;
        }

        @Override
        public void setOnCancelHandler(Runnable handler) {
            whenCancelled = handler;
        }

        @Override
        public void setCompression(String compression) {}

        @Override
        public boolean isReady() {
            return ready;
        }

        @Override
        public void setOnReadyHandler(Runnable handler) {
            whenReady = handler;
        }

        @Override
        public void disableAutoInboundFlowControl() {}

        @Override
        public void disableAutoRequest() {}

        @Override
        public void request(int count) {
            requested += count;
        }

        @Override
        public void setMessageCompression(boolean enable) {}

        @Override
        public void onNext(T message) {
            sent.add(message);
        }

        @Override
        public void onError(Throwable failure) {}

        @Override
        public void onCompleted() {}
    }
}
