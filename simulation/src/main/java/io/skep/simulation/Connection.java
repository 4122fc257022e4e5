package io.skep.simulation;

import io.grpc.Status;
import java.util.ArrayDeque;

/**
 * A connection like one of TCP: what one end sends arrives at the other in order, later, and once, or the connection
 * breaks. While a link carries nothing, frames wait for it; each end gives up by itself after a time without a sign of
 * life, so the two ends may see it end at different times, and one of them not at all until it says something.
 */
final class Connection {
    /** What travels. */
    interface Frame {}

    /** Who hears of what arrives at an end. */
    interface Receiver {
        void received(Frame frame);

        /** The connection is over; nothing more is received. */
        void broken(Status reason);
    }

    /** Says that the sender closed the connection in order. */
    private record Fin() implements Frame {}

    private final SimulatedNetwork network;
    final End client;
    final End server;

    /** Changes whenever the path between the ends works again. */
    int generation;

    Connection(SimulatedNetwork network, SimulatedProcess client, SimulatedProcess server) {
        this.network = network;
        this.client = new End(client, SimulatedNetwork.PATIENCE_CLIENT_NANOS);
        this.server = new End(server, SimulatedNetwork.PATIENCE_SERVER_NANOS);
    }

    private End other(End end) {
        return end == client ? server : client;
    }

    boolean isOver() {
        return !client.open && !server.open;
    }

    /** Returns whether a sign of life could pass both ways now. */
    boolean works() {
        return network.passes(client.process.host(), server.process.host())
                && network.passes(server.process.host(), client.process.host())
                && client.answers()
                && server.answers();
    }

    /** Sends what waited, if the link carries it. */
    void resume() {
        client.resume();
        server.resume();
    }

    /** One side of the connection. */
    final class End {
        private final SimulatedProcess process;
        final long patienceNanos;

        /** What was sent and has not arrived, in order. */
        private final ArrayDeque<Frame> underWay = new ArrayDeque<>();

        private Receiver receiver = NOBODY;
        private boolean open = true;

        /** True since something could not pass, until the link works again. */
        private boolean stalled;

        /** How many frames will arrive at a time that is known. */
        private int arrivals;

        private long lastArrivalNanos;

        private End(SimulatedProcess process, long patienceNanos) {
            this.process = process;
            this.patienceNanos = patienceNanos;
            process.connections().add(this);
        }

        Connection connection() {
            return Connection.this;
        }

        SimulatedProcess process() {
            return process;
        }

        SimulatedProcess peer() {
            return other(this).process;
        }

        void onReceive(Receiver to) {
            receiver = to;
        }

        boolean isOpen() {
            return open;
        }

        private boolean answers() {
            return process.isAlive() && !process.isStopped() && process.host().up;
        }

        void send(Frame frame) {
            if (open) {
                underWay.add(frame);
                travel();
            }
        }

        /** Lets every frame that is under way arrive at some time, unless the link carries nothing. */
        private void travel() {
            while (!stalled && arrivals < underWay.size()) {
                lastArrivalNanos = Math.max(
                        lastArrivalNanos, network.time().nanos() + network.latencyNanos(process.host(), peer().host()));
                arrivals++;
                network.time().at(lastArrivalNanos, this::arrive);
            }
        }

        /** Something arrives: whatever was sent first. */
        private void arrive() {
            arrivals--;
            if (stalled || !network.passes(process.host(), peer().host())) {
                stalled = true;
                return;
            }
            Frame frame = underWay.remove();
            if (!process.isAlive() && !(frame instanceof Fin)) {
                return;
            }
            End other = other(this);
            if (!other.open) {
                // The host knows no such connection, and says so.
                reset();
                return;
            }
            other.process.run(() -> other.take(frame));
        }

        private void take(Frame frame) {
            if (!open) {
                return;
            }
            if (frame instanceof Fin) {
                breakNow(Status.UNAVAILABLE.withDescription("the other side closed the connection"));
            } else {
                receiver.received(frame);
            }
        }

        /** Tells this end that the other one knows nothing of the connection. */
        private void reset() {
            network.time().afterNanos(network.latencyNanos(peer().host(), process.host()), () -> {
                if (network.passes(peer().host(), process.host())) {
                    process.run(() -> breakNow(Status.UNAVAILABLE.withDescription("connection reset")));
                }
            });
        }

        private void resume() {
            if (stalled && network.passes(process.host(), peer().host())) {
                stalled = false;
                travel();
            }
        }

        /** Ends it in order; the other end hears of it after all that was sent. */
        void close() {
            if (open) {
                send(new Fin());
                forget();
            }
        }

        /** Ends it at this end, as after a time without a sign of life, and says why here only. */
        void breakNow(Status reason) {
            if (open) {
                forget();
                receiver.broken(reason);
            }
        }

        /** The program that held this end is gone. */
        void forget() {
            open = false;
            process.connections().remove(this);
            network.ended(Connection.this);
        }

        /** The program was killed: its host closes the connection for it. */
        void closedByHost() {
            End other = other(this);
            if (open) {
                forget();
                other.reset();
            }
        }
    }

    private static final Receiver NOBODY = new Receiver() {
        @Override
        public void received(Frame frame) {
            throw new IllegalStateException("nobody listens at this end");
        }

        @Override
        public void broken(Status reason) {
            // Nobody is there to hear of it.
        }
    };
}
