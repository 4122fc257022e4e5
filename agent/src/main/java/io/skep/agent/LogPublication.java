package io.skep.agent;

import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.LogMessage;
import io.skep.wire.PublishLogsMessage;
import io.skep.wire.PublishLogsResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The lines of one log subscription on their way to the manager that asked for them.
 *
 * <p>No line is kept here but those that the connection takes: a reader waits until it takes more. Safe for use by many
 * threads.
 */
final class LogPublication implements LogSink, ClientResponseObserver<PublishLogsMessage, PublishLogsResponse> {
    private static final Logger LOG = LoggerFactory.getLogger(LogPublication.class);

    private final String subscriptionId;
    private @Nullable ClientCallStreamObserver<PublishLogsMessage> call;
    private @Nullable CompletableFuture<Boolean> ready;
    private boolean over;

    LogPublication(String subscriptionId) {
        this.subscriptionId = subscriptionId;
    }

    /** Opens the stream to the manager. */
    void open(LogBrokerGrpc.LogBrokerStub broker) {
        var _ = broker.publishLogs(this);
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<PublishLogsMessage> stream) {
        synchronized (this) {
            call = stream;
        }
        stream.setOnReadyHandler(this::takesMore);
    }

    private void takesMore() {
        CompletableFuture<Boolean> waiting;
        synchronized (this) {
            if (!over && (call == null || !call.isReady())) {
                return;
            }
            waiting = ready;
            ready = null;
        }
        if (waiting != null) {
            waiting.complete(!isOver());
        }
    }

    private synchronized boolean isOver() {
        return over;
    }

    @Override
    public synchronized CompletionStage<Boolean> line(LogMessage message) {
        if (over || call == null) {
            return CompletableFuture.completedFuture(false);
        }
        call.onNext(PublishLogsMessage.newBuilder()
                .setSubscriptionId(subscriptionId)
                .addMessages(message)
                .build());
        if (call.isReady()) {
            return CompletableFuture.completedFuture(true);
        }
        if (ready == null) {
            ready = new CompletableFuture<>();
        }
        return ready;
    }

    @Override
    public void ended() {
        synchronized (this) {
            if (!over && call != null) {
                call.onNext(PublishLogsMessage.newBuilder()
                        .setSubscriptionId(subscriptionId)
                        .setClose(true)
                        .build());
                call.onCompleted();
            }
            over = true;
        }
        takesMore();
    }

    @Override
    public void onNext(PublishLogsResponse value) {
        // Carries nothing.
    }

    @Override
    public void onError(Throwable t) {
        LOG.debug("Log subscription {} ended: {}", subscriptionId, t.getMessage());
        stop();
    }

    @Override
    public void onCompleted() {
        stop();
    }

    private void stop() {
        synchronized (this) {
            over = true;
        }
        takesMore();
    }
}
