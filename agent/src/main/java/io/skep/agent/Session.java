package io.skep.agent;

import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import io.skep.wire.ListenSubscriptionsRequest;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.NodeDescription;
import io.skep.wire.PublishLogsMessage;
import io.skep.wire.PublishLogsResponse;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.SubscriptionMessage;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusResponse;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One session with one manager, from the registration to its end.
 *
 * <p>All that happens is put into one queue and handled by the thread that calls {@link #run}: messages of the three
 * streams, answers to heartbeats and reports, the passing of time. Each stream has at most one message in the queue,
 * because the next is asked for when the last was handled; so the queue is bounded by the number of calls.
 *
 * <p>The end of any stream, or the failure of any call, ends the session (swarm-wire 3.5); the caller builds the next.
 */
final class Session {
    private static final Logger LOG = LoggerFactory.getLogger(Session.class);

    private static final Duration FIRST_MESSAGE_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration CALL_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration HEARTBEAT_MIN = Duration.ofMillis(100);
    private static final int STATUSES_PER_CALL_MAX = 100;

    /** What a session tells its owner; called on the thread that runs the session. */
    interface Listener {
        /** The manager accepted the node; told before the first message. */
        void registered(String sessionId);

        void message(SessionMessage message);
    }

    /**
     * How a session ended.
     *
     * @param registered whether the manager had accepted the node
     * @param status why; OK when the owner wished it
     */
    record End(boolean registered, Status status) {}

    private sealed interface Input {}

    private record Message(SessionMessage message) implements Input {}

    private record Changes(AssignmentsMessage message) implements Input {}

    private record Subscription(SubscriptionMessage message) implements Input {}

    private record HeartbeatAnswer(HeartbeatResponse response) implements Input {}

    private record StatusesTaken() implements Input {}

    private record Wake() implements Input {}

    private record Ended(String what, Status status) implements Input {}

    private final DispatcherGrpc.DispatcherStub dispatcher;
    private final LogBrokerGrpc.LogBrokerStub logBroker;
    private final Assignments assignments;
    private final StatusQueue statuses;
    private final Listener listener;
    private final BlockingQueue<Input> inputs = new LinkedBlockingQueue<>();
    private final AtomicBoolean wakePending = new AtomicBoolean();

    private String sessionId = "";
    private @Nullable Stream<SessionRequest, SessionMessage> messages;
    private @Nullable Stream<AssignmentsRequest, AssignmentsMessage> changes;
    private @Nullable Stream<ListenSubscriptionsRequest, SubscriptionMessage> subscriptions;
    private long heartbeatAtNanos;
    private boolean heartbeatUnderway;
    private boolean reportUnderway;

    Session(Channel channel, Assignments assignments, StatusQueue statuses, Listener listener) {
        this.dispatcher = DispatcherGrpc.newStub(channel);
        this.logBroker = LogBrokerGrpc.newStub(channel);
        this.assignments = assignments;
        this.statuses = statuses;
        this.listener = listener;
    }

    /** Lets {@link #run} look for statuses to report. Any thread. */
    void statusesWait() {
        if (wakePending.compareAndSet(false, true)) {
            inputs.add(new Wake());
        }
    }

    /** Lets {@link #run} return soon. Any thread, before or while it runs. */
    void end() {
        inputs.add(new Ended("the node", Status.OK));
    }

    /**
     * Registers and serves until the session ends.
     *
     * @param resume the id of the session before, or empty
     */
    End run(NodeDescription description, String resume) throws InterruptedException {
        Stream<SessionRequest, SessionMessage> opened = new Stream<>("the session", Message::new);
        messages = opened;
        dispatcher.session(
                SessionRequest.newBuilder()
                        .setDescription(description)
                        .setSessionId(resume)
                        .build(),
                opened);
        long openedAtNanos = System.nanoTime();
        boolean registered = false;
        try {
            while (true) {
                long waitNanos = registered
                        ? heartbeatAtNanos - System.nanoTime()
                        : FIRST_MESSAGE_TIMEOUT.toNanos() - (System.nanoTime() - openedAtNanos);
                Input input =
                        heartbeatUnderway ? inputs.take() : inputs.poll(Math.max(0, waitNanos), TimeUnit.NANOSECONDS);
                switch (input) {
                    case null -> {
                        if (!registered) {
                            return new End(
                                    false,
                                    Status.DEADLINE_EXCEEDED.withDescription(
                                            "the manager did not accept the session within 5 s"));
                        }
                        beat();
                    }
                    case Message message -> {
                        if (!registered) {
                            registered = true;
                            sessionId = message.message().getSessionId();
                            listener.registered(sessionId);
                            begin();
                        }
                        listener.message(message.message());
                        opened.next();
                    }
                    case Changes message -> {
                        if (!assignments.apply(message.message())) {
                            return new End(
                                    true,
                                    Status.DATA_LOSS.withDescription(
                                            "the manager left out a change of the assignments"));
                        }
                        next(changes);
                    }
                    case Subscription subscription -> {
                        answer(subscription.message());
                        next(subscriptions);
                    }
                    case HeartbeatAnswer answer -> {
                        heartbeatUnderway = false;
                        com.google.protobuf.Duration period = answer.response().getPeriod();
                        heartbeatAtNanos = System.nanoTime()
                                + Math.max(
                                        HEARTBEAT_MIN.toNanos(),
                                        period.getSeconds() * 1_000_000_000L + period.getNanos());
                    }
                    case StatusesTaken taken -> {
                        reportUnderway = false;
                        report();
                    }
                    case Wake wake -> {
                        wakePending.set(false);
                        if (registered) {
                            report();
                        }
                    }
                    case Ended ended -> {
                        return new End(registered, describe(ended));
                    }
                }
            }
        } finally {
            cancel(messages);
            cancel(changes);
            cancel(subscriptions);
        }
    }

    private void begin() {
        assignments.begin();
        Stream<AssignmentsRequest, AssignmentsMessage> assigned = new Stream<>("the assignments", Changes::new);
        changes = assigned;
        dispatcher.assignments(
                AssignmentsRequest.newBuilder().setSessionId(sessionId).build(), assigned);
        Stream<ListenSubscriptionsRequest, SubscriptionMessage> listening =
                new Stream<>("the log subscriptions", Subscription::new) {
                    @Override
                    public void onError(Throwable t) {
                        if (Status.fromThrowable(t).getCode() == Status.Code.UNIMPLEMENTED) {
                            LOG.info("This manager has no log broker: logs of services are not offered to it.");
                        } else {
                            super.onError(t);
                        }
                    }
                };
        subscriptions = listening;
        logBroker.listenSubscriptions(ListenSubscriptionsRequest.getDefaultInstance(), listening);
        statuses.resendAll();
        report();
        beat();
    }

    private void beat() {
        heartbeatUnderway = true;
        dispatcher
                .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                .heartbeat(
                        HeartbeatRequest.newBuilder().setSessionId(sessionId).build(),
                        new Answer<HeartbeatResponse>("a heartbeat", HeartbeatAnswer::new));
    }

    private void report() {
        if (reportUnderway) {
            return;
        }
        UpdateTaskStatusRequest request = UpdateTaskStatusRequest.newBuilder()
                .setSessionId(sessionId)
                .addAllUpdates(statuses.take(STATUSES_PER_CALL_MAX))
                .build();
        if (request.getUpdatesCount() == 0) {
            return;
        }
        reportUnderway = true;
        dispatcher
                .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                .updateTaskStatus(
                        request,
                        new Answer<UpdateTaskStatusResponse>("a status report", response -> new StatusesTaken()));
    }

    /** Tells a reader of logs that this node has none; without that it would wait for ever (swarm-wire 3.6). */
    private void answer(SubscriptionMessage subscription) {
        if (subscription.getClose() || subscription.getOptions().getFollow()) {
            return;
        }
        StreamObserver<PublishLogsMessage> publisher = logBroker
                .withDeadlineAfter(CALL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                .publishLogs(new StreamObserver<PublishLogsResponse>() {
                    @Override
                    public void onNext(PublishLogsResponse value) {
                        // Carries nothing.
                    }

                    @Override
                    public void onError(Throwable t) {
                        LOG.debug("Log subscription {} was not closed: {}", subscription.getId(), t.getMessage());
                    }

                    @Override
                    public void onCompleted() {
                        // The manager has understood.
                    }
                });
        publisher.onNext(PublishLogsMessage.newBuilder()
                .setSubscriptionId(subscription.getId())
                .setClose(true)
                .build());
        publisher.onCompleted();
    }

    private static Status describe(Ended ended) {
        if (ended.status().isOk()) {
            return ended.status();
        }
        String description = ended.status().getDescription();
        String reason = description == null ? String.valueOf(ended.status().getCode()) : description;
        Throwable cause = ended.status().getCause();
        while (cause != null && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return ended.status()
                .withDescription(ended.what() + " ended: " + reason
                        + (cause == null || cause.getMessage() == null ? "" : " (" + cause.getMessage() + ")"));
    }

    private static void next(@Nullable Stream<?, ?> stream) {
        if (stream != null) {
            stream.next();
        }
    }

    private static void cancel(@Nullable Stream<?, ?> stream) {
        if (stream != null) {
            stream.cancel();
        }
    }

    /** A stream from the manager that hands over one message at a time. */
    private class Stream<Q, R> implements ClientResponseObserver<Q, R> {
        private final String what;
        private final Function<R, Input> toInput;
        private @Nullable ClientCallStreamObserver<Q> call;

        Stream(String what, Function<R, Input> toInput) {
            this.what = what;
            this.toInput = toInput;
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<Q> requestStream) {
            call = requestStream;
            requestStream.disableAutoRequestWithInitial(1);
        }

        void next() {
            if (call != null) {
                call.request(1);
            }
        }

        void cancel() {
            if (call != null) {
                call.cancel("the session is over", null);
            }
        }

        @Override
        public void onNext(R value) {
            inputs.add(toInput.apply(value));
        }

        @Override
        public void onError(Throwable t) {
            inputs.add(new Ended(what, Status.fromThrowable(t)));
        }

        @Override
        public void onCompleted() {
            inputs.add(new Ended(what, Status.UNAVAILABLE.withDescription("closed by the manager")));
        }
    }

    /** The answer to one call. */
    private final class Answer<R> implements StreamObserver<R> {
        private final String what;
        private final Function<R, Input> toInput;

        Answer(String what, Function<R, Input> toInput) {
            this.what = what;
            this.toInput = toInput;
        }

        @Override
        public void onNext(R value) {
            inputs.add(toInput.apply(value));
        }

        @Override
        public void onError(Throwable t) {
            inputs.add(new Ended(what, Status.fromThrowable(t)));
        }

        @Override
        public void onCompleted() {
            // The answer has come before.
        }
    }
}
