package io.skep.simulation;

import io.grpc.Attributes;
import io.grpc.Status;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The network between simulated hosts: links that are late, slow or dead, one way or both, and the connections over
 * them.
 */
final class SimulatedNetwork {
    /** How long an end that calls hears nothing before it gives up: twice the interval of its pings. */
    static final long PATIENCE_CLIENT_NANOS = 4_000_000_000L;

    /** How long an end that is called hears nothing before it gives up. */
    static final long PATIENCE_SERVER_NANOS = 15_000_000_000L;

    private static final long CONNECT_NANOS = 2_000_000_000L;
    private static final long LATENCY_MIN_NANOS = 100_000;
    private static final int LATENCY_SPREAD_NANOS = 900_000;
    private static final int RARE = 200;
    private static final int RARE_NANOS = 60_000_000;

    /** Takes connections at an address. */
    interface Acceptor {
        void accept(Connection.End end, Attributes caller);
    }

    private record Listening(SimulatedProcess process, Acceptor acceptor) {}

    private record Link(Host from, Host to) {}

    private final VirtualTime time;
    private final Random random;
    private final Map<String, Host> hosts = new HashMap<>();
    private final Map<String, Listening> listening = new HashMap<>();
    private final Set<Link> dead = new HashSet<>();
    private final Map<Link, Long> slow = new HashMap<>();
    private final Set<Connection> connections = new LinkedHashSet<>();

    SimulatedNetwork(VirtualTime time, Random random) {
        this.time = time;
        this.random = random;
    }

    VirtualTime time() {
        return time;
    }

    void add(Host host) {
        hosts.put(host.address(), host);
    }

    /** Returns whether the link carries anything that way. */
    boolean passes(Host from, Host to) {
        return from.up && to.up && (from == to || !dead.contains(new Link(from, to)));
    }

    long latencyNanos(Host from, Host to) {
        if (from == to) {
            return LATENCY_MIN_NANOS / 2;
        }
        long latency = LATENCY_MIN_NANOS + random.nextInt(LATENCY_SPREAD_NANOS);
        if (random.nextInt(RARE) == 0) {
            latency += random.nextInt(RARE_NANOS);
        }
        return latency + slow.getOrDefault(new Link(from, to), 0L);
    }

    /** Lets a link carry nothing more that way. */
    void cut(Host from, Host to) {
        if (from != to && dead.add(new Link(from, to))) {
            suspectAll();
        }
    }

    void mend(Host from, Host to) {
        if (dead.remove(new Link(from, to))) {
            resumeAll();
        }
    }

    /** Makes all links good. */
    void mendAll() {
        dead.clear();
        slow.clear();
        resumeAll();
    }

    void slow(Host from, Host to, long nanos) {
        slow.put(new Link(from, to), nanos);
    }

    /** Lets all connections whose path is broken be noticed as such, each end in its own time. */
    void suspectAll() {
        for (Connection connection : connections) {
            if (!connection.works()) {
                suspect(connection, connection.client);
                suspect(connection, connection.server);
            }
        }
    }

    private void suspect(Connection connection, Connection.End end) {
        int generation = connection.generation;
        long patience = end.patienceNanos / 2 + random.nextLong(end.patienceNanos / 2);
        time.afterNanos(patience, () -> {
            if (end.isOpen() && connection.generation == generation && !connection.works()) {
                end.process().run(() -> end.breakNow(Status.UNAVAILABLE.withDescription("keepalive failed")));
            }
        });
    }

    /** Takes note that links, hosts or programs work again. */
    void resumeAll() {
        for (Connection connection : List.copyOf(connections)) {
            if (connection.works()) {
                connection.generation++;
            }
            connection.resume();
        }
    }

    void ended(Connection connection) {
        if (connection.isOver()) {
            connections.remove(connection);
        }
    }

    int connections() {
        return connections.size();
    }

    /**
     * Breaks one of the connections between two hosts; what is on its way is lost, and the ends notice it by and by.
     */
    void breakOne(Host one, Host other) {
        for (Connection connection : connections) {
            Host client = connection.client.process().host();
            Host server = connection.server.process().host();
            if ((client == one && server == other) || (client == other && server == one)) {
                reset(connection.client);
                reset(connection.server);
                return;
            }
        }
    }

    private void reset(Connection.End end) {
        time.afterNanos(
                random.nextLong(200_000_000L),
                () -> end.process().run(() -> end.breakNow(Status.UNAVAILABLE.withDescription("connection reset"))));
    }

    void listen(String address, SimulatedProcess process, Acceptor acceptor) {
        listening.put(address, new Listening(process, acceptor));
    }

    void unlisten(String address, SimulatedProcess process) {
        Listening known = listening.get(address);
        if (known != null && known.process() == process) {
            listening.remove(address);
        }
    }

    private @Nullable Host hostOf(String address) {
        return hosts.get(address.substring(0, address.lastIndexOf(':')));
    }

    /** Opens a connection; one of both is called, as the program that opens it. */
    void connect(
            SimulatedProcess from,
            String address,
            Attributes caller,
            Consumer<Connection.End> connected,
            Consumer<Status> failed) {
        Host target = hostOf(address);
        if (target == null || !passes(from.host(), target) || !passes(target, from.host())) {
            time.afterNanos(
                    CONNECT_NANOS,
                    () -> from.run(() -> failed.accept(Status.UNAVAILABLE.withDescription("connect timed out"))));
            return;
        }
        long roundTrip = 2 * (latencyNanos(from.host(), target) + latencyNanos(target, from.host()));
        time.afterNanos(roundTrip, () -> {
            Listening there = listening.get(address);
            if (!passes(from.host(), target) || !passes(target, from.host()) || !from.isAlive()) {
                time.afterNanos(
                        CONNECT_NANOS,
                        () -> from.run(() -> failed.accept(Status.UNAVAILABLE.withDescription("connect timed out"))));
            } else if (there == null || !there.process().isAlive()) {
                from.run(() -> failed.accept(Status.UNAVAILABLE.withDescription("connection refused")));
            } else {
                Connection connection = new Connection(this, from, there.process());
                connections.add(connection);
                there.process().run(() -> there.acceptor().accept(connection.server, caller));
                from.run(() -> connected.accept(connection.client));
            }
        });
    }

    /** A program was killed; its host, if it has power, closes its connections. */
    void killed(SimulatedProcess process) {
        for (Connection.End end : List.copyOf(process.connections())) {
            if (process.host().up) {
                end.closedByHost();
            } else {
                end.forget();
            }
        }
        listening.values().removeIf(each -> each.process() == process);
        suspectAll();
    }
}
