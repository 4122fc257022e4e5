package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import io.skep.control.CommandException;
import io.skep.manager.StockWorker.Received;
import io.skep.wire.ListenSubscriptionsRequest;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.LogContext;
import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.PublishLogsMessage;
import io.skep.wire.PublishLogsResponse;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.SubscriptionMessage;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reading logs of a node through a manager that does not hold its session (swarm-wire 4.1). */
class LogsTest {
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private final BlockingQueue<String> ends = new LinkedBlockingQueue<>();
    private TestCluster cluster;
    private Manager reading;
    private StockWorker worker;
    private Received<SubscriptionMessage> subscriptions;

    @BeforeEach
    void start(@TempDir Path directory) throws Exception {
        cluster = new TestCluster(directory, "127.0.0.1", Duration.ofSeconds(5));
        reading = cluster.bootstrap();
        Manager holding = cluster.join(reading);
        worker = new StockWorker(cluster.address(holding), cluster.root.trustRoot());
        worker.join(TestCluster.workerToken(holding));
        worker.session("").next();
        subscriptions = new Received<>();
        LogBrokerGrpc.newStub(worker.channel())
                .listenSubscriptions(ListenSubscriptionsRequest.getDefaultInstance(), subscriptions.observer());
        // An answer on the same connection shows that the listening has begun.
        assertThat(publish("unknown").end().getStatus().getCode()).isEqualTo(Status.Code.NOT_FOUND);
    }

    @AfterEach
    void stop() {
        worker.close();
        cluster.close();
    }

    @Test
    void linesComeThroughTheManagerThatHoldsTheSession() throws Exception {
        read(false);
        String id = subscriptions.next().getId();
        Received<PublishLogsResponse> published = new Received<>();
        StreamObserver<PublishLogsMessage> out =
                LogBrokerGrpc.newStub(worker.channel()).publishLogs(published.observer());
        out.onNext(line(id, worker.nodeId(), "one\n"));
        out.onNext(line(id, worker.nodeId(), "two\n"));
        out.onNext(PublishLogsMessage.newBuilder()
                .setSubscriptionId(id)
                .setClose(true)
                .build());
        out.onCompleted();
        assertThat(lines.poll(10, TimeUnit.SECONDS)).isEqualTo("one\n");
        assertThat(lines.poll(10, TimeUnit.SECONDS)).isEqualTo("two\n");
        assertThat(ends.poll(10, TimeUnit.SECONDS)).isEmpty();
        assertThat(published.next()).isNotNull();
    }

    @Test
    void aReaderThatGoesEndsTheSubscription() throws Exception {
        AutoCloseable reader = read(true);
        SubscriptionMessage asked = subscriptions.next();
        assertThat(asked.getOptions().getFollow()).isTrue();
        reader.close();
        SubscriptionMessage closed = subscriptions.next();
        assertThat(closed.getId()).isEqualTo(asked.getId());
        assertThat(closed.getClose()).isTrue();
    }

    @Test
    void aNodeThatGoesIsNamedAtTheEnd() throws Exception {
        read(false);
        subscriptions.next();
        subscriptions.cancel();
        assertThat(ends.poll(10, TimeUnit.SECONDS))
                .startsWith("warning: incomplete log stream.")
                .contains("node " + worker.nodeId() + " disconnected unexpectedly");
    }

    @Test
    void aNodeSendsLinesOfItsOwnOnly() throws Exception {
        read(false);
        Received<PublishLogsResponse> published = new Received<>();
        StreamObserver<PublishLogsMessage> out =
                LogBrokerGrpc.newStub(worker.channel()).publishLogs(published.observer());
        out.onNext(line(subscriptions.next().getId(), "another-node", "forged\n"));
        assertThat(published.end().getStatus().getCode()).isEqualTo(Status.Code.PERMISSION_DENIED);
    }

    @Test
    void anEmptySelectionIsRefused() {
        assertThatThrownBy(() -> reading.subscribeLogs(
                        LogSelector.getDefaultInstance(),
                        LogSubscriptionOptions.getDefaultInstance(),
                        message -> {},
                        ends::add))
                .isInstanceOfSatisfying(
                        CommandException.class,
                        e -> assertThat(e.code()).isEqualTo(CommandException.Code.INVALID_ARGUMENT));
    }

    private Received<PublishLogsResponse> publish(String subscriptionId) {
        Received<PublishLogsResponse> published = new Received<>();
        LogBrokerGrpc.newStub(worker.channel())
                .publishLogs(published.observer())
                .onNext(PublishLogsMessage.newBuilder()
                        .setSubscriptionId(subscriptionId)
                        .build());
        return published;
    }

    private AutoCloseable read(boolean follow) {
        return reading.subscribeLogs(
                LogSelector.newBuilder().addNodeIds(worker.nodeId()).build(),
                LogSubscriptionOptions.newBuilder().setFollow(follow).build(),
                this::take,
                ends::add);
    }

    private void take(SubscribeLogsMessage message) {
        message.getMessagesList().forEach(line -> lines.add(line.getData().toStringUtf8()));
    }

    private static PublishLogsMessage line(String subscriptionId, String nodeId, String text) {
        return PublishLogsMessage.newBuilder()
                .setSubscriptionId(subscriptionId)
                .addMessages(LogMessage.newBuilder()
                        .setContext(LogContext.newBuilder().setNodeId(nodeId))
                        .setData(ByteString.copyFromUtf8(text)))
                .build();
    }
}
