package io.skep.agent;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Managers whose every answer is written in a test. Answers come at once; a deadline passes in virtual time. */
final class ScriptedManager implements ManagerTransport {
    private final VirtualTime time;
    private final List<Call> calls = new ArrayList<>();
    private final List<String> opened = new ArrayList<>();
    private int openConnections;
    private boolean unreachable;

    ScriptedManager(VirtualTime time) {
        this.time = time;
    }

    /** Returns all calls so far. */
    List<Call> calls() {
        return calls;
    }

    /** Returns the newest call of a method. */
    Call last(String method) {
        return all(method).getLast();
    }

    List<Call> all(String method) {
        return calls.stream().filter(call -> call.method.equals(method)).toList();
    }

    List<String> opened() {
        return opened;
    }

    int openConnections() {
        return openConnections;
    }

    void unreachable(boolean is) {
        unreachable = is;
    }

    @Override
    public Connection open(String address) throws IOException {
        opened.add(address);
        if (unreachable) {
            throw new IOException("no way to " + address);
        }
        openConnections++;
        List<Call> own = new ArrayList<>();
        return new Connection() {
            @Override
            public Channel channel() {
                return new Channel() {
                    @Override
                    public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
                        Call call = new Call(String.valueOf(method.getBareMethodName()), options.getDeadline());
                        calls.add(call);
                        own.add(call);
                        return new Side<>(call);
                    }

                    @Override
                    public String authority() {
                        return address;
                    }
                };
            }

            @Override
            public void close() {
                openConnections--;
                own.forEach(call -> call.end(Status.UNAVAILABLE.withDescription("closed by the node")));
            }
        };
    }

    /** One call as the manager sees it. */
    final class Call {
        private final String method;
        private final @Nullable Deadline deadline;
        private ClientCall.@Nullable Listener<Object> listener;
        private @Nullable Object request;
        private int wanted;
        private boolean over;

        private Call(String method, @Nullable Deadline deadline) {
            this.method = method;
            this.deadline = deadline;
        }

        <T> T request(Class<T> type) {
            return type.cast(Objects.requireNonNull(request, method));
        }

        boolean isOver() {
            return over;
        }

        /** Sends a message; the agent must have asked for it. */
        void send(Object message) {
            if (over) {
                return;
            }
            if (wanted == 0) {
                throw new AssertionError(method + ": the agent did not ask for another message");
            }
            wanted--;
            if (listener != null) {
                listener.onMessage(message);
            }
            time.settle();
        }

        /** Sends the one answer of a call. */
        void answer(Object message) {
            send(message);
            end(Status.OK);
        }

        void end(Status status) {
            if (!over) {
                over = true;
                if (listener != null) {
                    listener.onClose(status, new Metadata());
                }
            }
        }
    }

    /** One call as the agent sees it. */
    private final class Side<Q, R> extends ClientCall<Q, R> {
        private final Call call;

        Side(Call call) {
            this.call = call;
        }

        @Override
        @SuppressWarnings("unchecked")
        public void start(Listener<R> listener, Metadata headers) {
            call.listener = (Listener<Object>) listener;
            if (call.deadline != null) {
                time.after(
                        Duration.ofNanos(call.deadline.timeRemaining(TimeUnit.NANOSECONDS)),
                        () -> call.end(Status.DEADLINE_EXCEEDED.withDescription("no answer in time")));
            }
        }

        @Override
        public void request(int count) {
            call.wanted += count;
        }

        @Override
        public void cancel(@Nullable String message, @Nullable Throwable cause) {
            call.end(Status.CANCELLED.withDescription(message));
        }

        @Override
        public void halfClose() {
            // The request is complete.
        }

        @Override
        public void sendMessage(Q message) {
            call.request = message;
        }
    }
}
