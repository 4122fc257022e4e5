package io.skep.agent;

import io.grpc.Channel;
import io.grpc.Deadline;
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
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.SubscriptionMessage;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One session with one manager, from the registration to its end.
 *
 * <p>All that happens is an {@link Input}, handled on the serial executor one after the other: messages of the three
 * streams, answers to heartbeats and reports, the passing of time. Each stream has at most one input on its way,
 * because the next message is asked for when the last was handled, and so has each kind of call and delay.
 *
 * <p>The end of any stream, or the failure of any call, ends the session (swarm-wire 3.5); the owner builds the next.
 * Whatever arrives afterwards is dropped. Methods are called on the serial executor.
 */
final class Session {
    private static final Logger LOG = LoggerFactory.getLogger(Session.class);

    private static final Duration FIRST_MESSAGE_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration CALL_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration HEARTBEAT_MIN = Duration.ofMillis(100);
    private static final int STATUSES_PER_CALL_MAX = 100;

    /** What a session tells its owner, on the serial executor. */
    interface Listener {
        /** The manager accepted the node; told before the first message. */
        void registered(String sessionId);

        void message(SessionMessage message);

        /** The session is over; told once, as the last. */
        void ended(End end);
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

    private record StatusesWait() implements Input {}

    private record HeartbeatDue() implements Input {}

    private record NotAccepted() implements Input {}

    private record Ended(String what, Status status) implements Input {}

    private final DispatcherGrpc.DispatcherStub dispatcher;
    private final LogBrokerGrpc.LogBrokerStub logBroker;
    private final TaskRunner runner;
    private final Assignments assignments;
    private final StatusQueue statuses;
    private final ScheduledExecutorService serial;
    private final Deadline.Ticker ticker;
    private final Listener listener;

    /** What ends the readings of logs that managers subscribed to, by the id of the subscription. */
    private final Map<String, Runnable> readings = new LinkedHashMap<>();

    private String sessionId = "";
    private @Nullable Stream<SessionRequest, SessionMessage> messages;
    private @Nullable Stream<AssignmentsRequest, AssignmentsMessage> changes;
    private @Nullable Stream<ListenSubscriptionsRequest, SubscriptionMessage> subscriptions;

    /** Until the node is accepted the time it may take, from then on the time of the next heartbeat. */
    private @Nullable Future<?> delay;

    private boolean registered;
    private boolean over;
    private boolean statusesWaitUnderway;
    private boolean reportUnderway;

    Session(
            Channel channel,
            TaskRunner runner,
            Assignments assignments,
            StatusQueue statuses,
            ScheduledExecutorService serial,
            Deadline.Ticker ticker,
            Listener listener) {
        this.dispatcher = DispatcherGrpc.newStub(channel);
        this.logBroker = LogBrokerGrpc.newStub(channel);
        this.runner = runner;
        this.assignments = assignments;
        this.statuses = statuses;
        this.serial = serial;
        this.ticker = ticker;
        this.listener = listener;
    }

    /**
     * Asks the manager to accept this node.
     *
     * @param resume the id of the session before, or empty
     */
    void open(NodeDescription description, String resume) {
        Stream<SessionRequest, SessionMessage> opened = new Stream<>("the session", Message::new);
        messages = opened;
        schedule(new NotAccepted(), FIRST_MESSAGE_TIMEOUT);
        dispatcher.session(
                SessionRequest.newBuilder()
                        .setDescription(description)
                        .setSessionId(resume)
                        .build(),
                opened);
    }

    /** Statuses are to be reported; those that are noted until this step has its turn go in one call. */
    void statusesWait() {
        if (!statusesWaitUnderway) {
            statusesWaitUnderway = true;
            arrive(new StatusesWait());
        }
    }

    /** Ends the session as its owner wishes. */
    void end() {
        finish(Status.OK);
    }

    /** Something happened, on any thread. */
    private void arrive(Input input) {
        try {
            serial.execute(() -> handle(input));
        } catch (RejectedExecutionException e) {
            LOG.debug("The agent is closed; dropped {}.", input.getClass().getSimpleName());
        }
    }

    private void schedule(Input input, Duration after) {
        delay = serial.schedule(() -> handle(input), after.toNanos(), TimeUnit.NANOSECONDS);
    }

    private void handle(Input input) {
        if (over) {
            return;
        }
        try {
            react(input);
        } catch (RuntimeException e) {
            LOG.error("A fault of this node ends the session.", e);
            finish(Status.INTERNAL.withDescription("a fault of this node: " + e).withCause(e));
            throw e;
        }
    }

    private void react(Input input) {
        switch (input) {
            case NotAccepted late ->
                finish(Status.DEADLINE_EXCEEDED.withDescription("the manager did not accept the session within 5 s"));
            case Message message -> {
                if (!registered) {
                    registered = true;
                    sessionId = message.message().getSessionId();
                    cancelDelay();
                    listener.registered(sessionId);
                    begin();
                }
                listener.message(message.message());
                next(messages);
            }
            case Changes message -> {
                if (assignments.apply(message.message())) {
                    next(changes);
                } else {
                    finish(Status.DATA_LOSS.withDescription("the manager left out a change of the assignments"));
                }
            }
            case Subscription subscription -> {
                answer(subscription.message());
                next(subscriptions);
            }
            case HeartbeatDue due -> beat();
            case HeartbeatAnswer answer -> {
                com.google.protobuf.Duration period = answer.response().getPeriod();
                Duration wished = Duration.ofSeconds(period.getSeconds(), period.getNanos());
                schedule(new HeartbeatDue(), wished.compareTo(HEARTBEAT_MIN) < 0 ? HEARTBEAT_MIN : wished);
            }
            case StatusesTaken taken -> {
                reportUnderway = false;
                report();
            }
            case StatusesWait wait -> {
                statusesWaitUnderway = false;
                if (registered) {
                    report();
                }
            }
            case Ended ended -> finish(describe(ended));
        }
    }

    private void finish(Status status) {
        if (over) {
            return;
        }
        over = true;
        cancelDelay();
        cancel(messages);
        cancel(changes);
        cancel(subscriptions);
        new ArrayList<>(readings.values()).forEach(Runnable::run);
        readings.clear();
        listener.ended(new End(registered, status));
    }

    private void cancelDelay() {
        if (delay != null) {
            delay.cancel(false);
            delay = null;
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
        dispatcher
                .withDeadline(callDeadline())
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
                .withDeadline(callDeadline())
                .updateTaskStatus(
                        request,
                        new Answer<UpdateTaskStatusResponse>("a status report", response -> new StatusesTaken()));
    }

    private Deadline callDeadline() {
        return Deadline.after(CALL_TIMEOUT.toNanos(), TimeUnit.NANOSECONDS, ticker);
    }

    private void answer(SubscriptionMessage subscription) {
        Runnable known = readings.remove(subscription.getId());
        if (known != null) {
            known.run();
        }
        if (subscription.getClose()) {
            return;
        }
        LogPublication publication = new LogPublication(subscription.getId());
        publication.open(logBroker);
        readings.put(
                subscription.getId(), runner.logs(subscription.getSelector(), subscription.getOptions(), publication));
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
            arrive(toInput.apply(value));
        }

        @Override
        public void onError(Throwable t) {
            arrive(new Ended(what, Status.fromThrowable(t)));
        }

        @Override
        public void onCompleted() {
            arrive(new Ended(what, Status.UNAVAILABLE.withDescription("closed by the manager")));
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
            arrive(toInput.apply(value));
        }

        @Override
        public void onError(Throwable t) {
            arrive(new Ended(what, Status.fromThrowable(t)));
        }

        @Override
        public void onCompleted() {
            // The answer has come before.
        }
    }
}
