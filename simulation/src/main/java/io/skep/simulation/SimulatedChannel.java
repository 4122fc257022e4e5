package io.skep.simulation;

import io.grpc.Attributes;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A gRPC channel over the simulated network: one connection, made when a call needs it and made anew after it broke.
 *
 * <p>All that a listener hears comes as an event of its own, never from within a call to this class, as with a real
 * channel. Calls that begin while there is no connection wait for it; they fail when it cannot be made.
 */
final class SimulatedChannel extends ManagedChannel implements Connection.Receiver {
    private final SimulatedNetwork network;
    private final SimulatedProcess process;
    private final String address;
    private final Supplier<Attributes> caller;
    private final boolean serialised;
    private final Map<Integer, Call<?, ?>> calls = new LinkedHashMap<>();
    private Connection.@Nullable End end;
    private boolean connecting;
    private boolean shutdown;
    private int lastStream;

    SimulatedChannel(
            SimulatedNetwork network,
            SimulatedProcess process,
            String address,
            Supplier<Attributes> caller,
            boolean serialised) {
        this.network = network;
        this.process = process;
        this.address = address;
        this.caller = caller;
        this.serialised = serialised;
    }

    @Override
    public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
        return new Call<>(method, options);
    }

    @Override
    public String authority() {
        return address;
    }

    private void connect() {
        if (connecting || end != null) {
            return;
        }
        connecting = true;
        network.connect(process, address, caller.get(), this::connected, this::failed);
    }

    private void connected(Connection.End made) {
        connecting = false;
        if (shutdown) {
            made.close();
            return;
        }
        end = made;
        made.onReceive(this);
        for (Call<?, ?> call : List.copyOf(calls.values())) {
            call.connected(made);
        }
    }

    private void failed(Status status) {
        connecting = false;
        failAll(status);
    }

    private void failAll(Status status) {
        for (Call<?, ?> call : new ArrayList<>(calls.values())) {
            call.over(status, new Metadata());
        }
    }

    @Override
    public void received(Connection.Frame frame) {
        Rpc.RpcFrame rpc = (Rpc.RpcFrame) frame;
        Call<?, ?> call = calls.get(rpc.stream());
        if (call != null) {
            call.context.run(() -> call.received(rpc));
        }
    }

    @Override
    public void broken(Status reason) {
        end = null;
        failAll(reason);
    }

    @Override
    public ManagedChannel shutdown() {
        return shutdownNow();
    }

    @Override
    public ManagedChannel shutdownNow() {
        if (!shutdown) {
            shutdown = true;
            failAll(Status.UNAVAILABLE.withDescription("Channel shutdownNow invoked"));
            if (end != null) {
                end.close();
                end = null;
            }
        }
        return this;
    }

    @Override
    public boolean isShutdown() {
        return shutdown;
    }

    @Override
    public boolean isTerminated() {
        return shutdown;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
        return shutdown;
    }

    private final class Call<Q, A> extends ClientCall<Q, A> {
        private final MethodDescriptor<Q, A> method;
        private final CallOptions options;
        private final ArrayDeque<Connection.Frame> unsent = new ArrayDeque<>();
        private final ArrayDeque<A> arrived = new ArrayDeque<>();
        private int stream;
        private ClientCall.@Nullable Listener<A> listener;
        private int requested;
        private int unread;
        private boolean linked;
        private boolean closed;
        private @Nullable Status ending;
        private Metadata trailers = new Metadata();
        private VirtualTime.@Nullable Event deadline;
        /** A call ends with the call of a server within which it was begun. */
        private final Context context = Context.current();

        private final Context.CancellationListener cancellation =
                ended -> abandon(Status.CANCELLED.withDescription("the call that this one was a part of is over"));

        Call(MethodDescriptor<Q, A> method, CallOptions options) {
            this.method = method;
            this.options = options;
        }

        @Override
        public void start(Listener<A> responseListener, Metadata headers) {
            listener = responseListener;
            stream = ++lastStream;
            if (shutdown) {
                closed = true;
                tell(() -> responseListener.onClose(
                        Status.UNAVAILABLE.withDescription("Channel shutdown invoked"), new Metadata()));
                return;
            }
            long timeout = 0;
            if (options.getDeadline() != null) {
                timeout = options.getDeadline().timeRemaining(TimeUnit.NANOSECONDS);
                if (timeout <= 0) {
                    closed = true;
                    tell(() -> responseListener.onClose(Status.DEADLINE_EXCEEDED, new Metadata()));
                    return;
                }
                deadline = network.time()
                        .afterNanos(
                                timeout,
                                () -> process.run(
                                        () -> abandon(Status.DEADLINE_EXCEEDED.withDescription("deadline exceeded"))));
            }
            if (context.isCancelled()) {
                closed = true;
                tell(() -> responseListener.onClose(
                        Status.CANCELLED.withDescription("the call that this one is a part of is over"),
                        new Metadata()));
                return;
            }
            context.addListener(cancellation, Runnable::run);
            calls.put(stream, this);
            send(new Rpc.Open(stream, method.getFullMethodName(), Rpc.copy(headers), timeout));
            Connection.End now = end;
            if (now != null) {
                connected(now);
            } else {
                connect();
            }
        }

        private void tell(Runnable what) {
            network.time().afterNanos(0, () -> process.run(() -> context.run(what)));
        }

        private void connected(Connection.End made) {
            linked = true;
            while (!unsent.isEmpty()) {
                made.send(unsent.remove());
            }
            if (listener != null && isReady()) {
                Listener<A> current = listener;
                tell(() -> {
                    if (!closed) {
                        current.onReady();
                    }
                });
            }
        }

        private void send(Connection.Frame frame) {
            Connection.End now = end;
            if (linked && now != null) {
                now.send(frame);
            } else {
                unsent.add(frame);
            }
        }

        @Override
        public void request(int count) {
            requested += count;
            // Even that nothing more comes is told in an event of its own.
            if (!arrived.isEmpty() || ending != null) {
                tell(this::deliver);
            }
        }

        @Override
        public void cancel(@Nullable String message, @Nullable Throwable cause) {
            abandon(Status.CANCELLED.withDescription(message).withCause(cause));
        }

        private void abandon(Status status) {
            if (!closed) {
                send(new Rpc.Cancel(stream));
                over(status, new Metadata());
            }
        }

        /** Ends the call at this side. */
        private void over(Status status, Metadata trailing) {
            if (closed) {
                return;
            }
            closed = true;
            calls.remove(stream);
            context.removeListener(cancellation);
            if (deadline != null) {
                deadline.cancel();
            }
            Listener<A> current = listener;
            if (current != null) {
                tell(() -> current.onClose(status, trailing));
            }
        }

        @Override
        public void halfClose() {
            if (!closed) {
                send(new Rpc.HalfClose(stream));
            }
        }

        @Override
        public void sendMessage(Q message) {
            if (!closed) {
                unread++;
                send(new Rpc.Message(stream, Rpc.carried(serialised ? method.getRequestMarshaller() : null, message)));
            }
        }

        @Override
        public boolean isReady() {
            return linked && !closed && unread < Rpc.WINDOW_MESSAGES;
        }

        @SuppressWarnings("unchecked")
        private void received(Rpc.RpcFrame frame) {
            Listener<A> current = listener;
            if (current == null) {
                return;
            }
            switch (frame) {
                case Rpc.Headers headers -> current.onHeaders(headers.headers());
                case Rpc.Message message -> {
                    arrived.add((A) message.message());
                    deliver();
                }
                case Rpc.Taken taken -> {
                    boolean before = isReady();
                    unread--;
                    if (!before && isReady()) {
                        current.onReady();
                    }
                }
                case Rpc.Close close -> {
                    ending = close.status();
                    trailers = close.trailers();
                    deliver();
                }
                case Rpc.Open open -> throw new IllegalStateException("a server opened a call");
                case Rpc.HalfClose half -> throw new IllegalStateException("a server half closed a call");
                case Rpc.Cancel cancel -> throw new IllegalStateException("a server cancelled a call");
            }
        }

        private void deliver() {
            Listener<A> current = listener;
            while (current != null && !closed && requested > 0 && !arrived.isEmpty()) {
                requested--;
                A message = arrived.remove();
                send(new Rpc.Taken(stream));
                current.onMessage(message);
            }
            if (!closed && arrived.isEmpty() && ending != null) {
                over(ending, trailers);
            }
        }
    }
}
