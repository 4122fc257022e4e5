package io.skep.simulation;

import io.grpc.Attributes;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * A gRPC server over the simulated network, which runs real services: streams, flow control, cancellation, deadlines,
 * metadata, and who calls.
 *
 * <p>What a listener of a call hears comes as an event of its own, one after the other, in the context of the call.
 */
final class SimulatedServer implements SimulatedNetwork.Acceptor {
    private final SimulatedNetwork network;
    private final SimulatedProcess process;
    private final boolean serialised;
    private final BiConsumer<Attributes, Object> observer;
    private final Map<String, ServerMethodDefinition<?, ?>> methods = new HashMap<>();
    private int openCalls;

    /**
     * Makes it.
     *
     * @param observer is shown each message that is sent, and to whom
     */
    SimulatedServer(
            SimulatedNetwork network,
            SimulatedProcess process,
            List<ServerServiceDefinition> services,
            boolean serialised,
            BiConsumer<Attributes, Object> observer) {
        this.network = network;
        this.process = process;
        this.serialised = serialised;
        this.observer = observer;
        for (ServerServiceDefinition service : services) {
            for (ServerMethodDefinition<?, ?> method : service.getMethods()) {
                methods.put(method.getMethodDescriptor().getFullMethodName(), method);
            }
        }
    }

    /** Returns how many calls are under way. */
    int openCalls() {
        return openCalls;
    }

    @Override
    public void accept(Connection.End end, Attributes caller) {
        end.onReceive(new Link(end, caller));
    }

    /** The server's side of one connection. */
    private final class Link implements Connection.Receiver {
        private final Connection.End end;
        private final Attributes caller;
        private final Map<Integer, Call<?, ?>> calls = new LinkedHashMap<>();

        Link(Connection.End end, Attributes caller) {
            this.end = end;
            this.caller = caller;
        }

        @Override
        public void received(Connection.Frame frame) {
            Rpc.RpcFrame rpc = (Rpc.RpcFrame) frame;
            if (rpc instanceof Rpc.Open open) {
                ServerMethodDefinition<?, ?> method = methods.get(open.method());
                if (method == null) {
                    end.send(new Rpc.Close(
                            open.stream(),
                            Status.UNIMPLEMENTED.withDescription("Method not found: " + open.method()),
                            new Metadata()));
                } else {
                    begin(open, method);
                }
                return;
            }
            Call<?, ?> call = calls.get(rpc.stream());
            if (call != null) {
                call.received(rpc);
            }
        }

        private <Q, A> void begin(Rpc.Open open, ServerMethodDefinition<Q, A> method) {
            Call<Q, A> call = new Call<>(this, open, method.getMethodDescriptor());
            calls.put(open.stream(), call);
            openCalls++;
            call.inContext(() -> call.listener = method.getServerCallHandler().startCall(call, open.headers()));
            call.inContext(() -> {
                if (call.listener != null && call.isReady()) {
                    call.listener.onReady();
                }
            });
        }

        @Override
        public void broken(Status reason) {
            for (Call<?, ?> call : new ArrayList<>(calls.values())) {
                call.cancelled();
            }
        }
    }

    private final class Call<Q, A> extends ServerCall<Q, A> {
        private final Link link;
        private final int stream;
        private final MethodDescriptor<Q, A> method;
        private final Context.CancellableContext context = Context.ROOT.withCancellation();
        private final ArrayDeque<Q> arrived = new ArrayDeque<>();
        private ServerCall.@Nullable Listener<Q> listener;
        private VirtualTime.@Nullable Event deadline;
        private int requested;
        private int unread;
        private boolean halfClosed;
        private boolean halfCloseTold;
        private boolean cancelled;
        private boolean closed;

        Call(Link link, Rpc.Open open, MethodDescriptor<Q, A> method) {
            this.link = link;
            this.stream = open.stream();
            this.method = method;
            if (open.timeoutNanos() > 0) {
                deadline = network.time().afterNanos(open.timeoutNanos(), () -> process.run(this::cancelled));
            }
        }

        private void inContext(Runnable what) {
            Context before = context.attach();
            try {
                what.run();
            } finally {
                context.detach(before);
            }
        }

        private void tell(Runnable what) {
            network.time().afterNanos(0, () -> process.run(() -> inContext(what)));
        }

        @Override
        public void request(int count) {
            requested += count;
            tell(this::deliver);
        }

        private void deliver() {
            ServerCall.Listener<Q> current = listener;
            while (current != null && !cancelled && requested > 0 && !arrived.isEmpty()) {
                requested--;
                link.end.send(new Rpc.Taken(stream));
                current.onMessage(arrived.remove());
            }
            if (current != null && !cancelled && halfClosed && arrived.isEmpty() && !halfCloseTold) {
                halfCloseTold = true;
                current.onHalfClose();
            }
        }

        @SuppressWarnings("unchecked")
        private void received(Rpc.RpcFrame frame) {
            switch (frame) {
                case Rpc.Message message -> {
                    arrived.add((Q) message.message());
                    inContext(this::deliver);
                }
                case Rpc.HalfClose half -> {
                    halfClosed = true;
                    inContext(this::deliver);
                }
                case Rpc.Taken taken -> {
                    boolean before = isReady();
                    unread--;
                    ServerCall.Listener<Q> current = listener;
                    if (!before && isReady() && current != null) {
                        inContext(current::onReady);
                    }
                }
                case Rpc.Cancel cancel -> cancelled();
                case Rpc.Open open -> throw new IllegalStateException("a call was opened twice");
                case Rpc.Headers headers -> throw new IllegalStateException("a client sent headers twice");
                case Rpc.Close close -> throw new IllegalStateException("a client closed a call");
            }
        }

        /** The client, its connection or the deadline ended the call. */
        private void cancelled() {
            if (closed || cancelled) {
                return;
            }
            cancelled = true;
            forget();
            context.cancel(null);
            ServerCall.Listener<Q> current = listener;
            if (current != null) {
                tell(current::onCancel);
            }
        }

        private void forget() {
            openCalls--;
            link.calls.remove(stream);
            if (deadline != null) {
                deadline.cancel();
            }
        }

        @Override
        public void sendHeaders(Metadata headers) {
            if (!cancelled) {
                link.end.send(new Rpc.Headers(stream, Rpc.copy(headers)));
            }
        }

        @Override
        public void sendMessage(A message) {
            if (closed) {
                throw new IllegalStateException("call already closed");
            }
            if (!cancelled) {
                unread++;
                observer.accept(link.caller, message);
                link.end.send(new Rpc.Message(
                        stream, Rpc.carried(serialised ? method.getResponseMarshaller() : null, message)));
            }
        }

        @Override
        public void close(Status status, Metadata trailers) {
            if (closed) {
                throw new IllegalStateException("call already closed");
            }
            if (cancelled) {
                closed = true;
                return;
            }
            closed = true;
            forget();
            link.end.send(new Rpc.Close(stream, Rpc.travelled(status), Rpc.copy(trailers)));
            ServerCall.Listener<Q> current = listener;
            tell(() -> {
                if (current != null) {
                    current.onComplete();
                }
                context.cancel(null);
            });
        }

        @Override
        public boolean isReady() {
            return !closed && !cancelled && unread < Rpc.WINDOW_MESSAGES;
        }

        @Override
        public boolean isCancelled() {
            return cancelled;
        }

        @Override
        public MethodDescriptor<Q, A> getMethodDescriptor() {
            return method;
        }

        @Override
        public Attributes getAttributes() {
            return link.caller;
        }
    }
}
