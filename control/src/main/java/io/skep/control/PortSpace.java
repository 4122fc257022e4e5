package io.skep.control;

import io.skep.wire.PortConfig;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The ports that the routing mesh publishes, and the services they belong to (swarm-wire 7.1). */
final class PortSpace {
    private static final int DYNAMIC_FIRST = 30000;
    private static final int DYNAMIC_LAST = 32767;

    private record Key(int protocol, int port) {}

    private final Map<Key, String> owners = new HashMap<>();
    private int next = DYNAMIC_FIRST;

    /** Gives a port to a service; returns false if another one has it. */
    boolean claim(PortConfig port, String serviceId) {
        String current = owners.putIfAbsent(key(port), serviceId);
        return current == null || current.equals(serviceId);
    }

    /** Returns the service that has the port, or null. */
    @Nullable
    String owner(PortConfig port) {
        return owners.get(key(port));
    }

    /** Returns whether the service had the port, which is free now. */
    boolean release(PortConfig port, String serviceId) {
        return owners.remove(key(port), serviceId);
    }

    /**
     * Gives a service a free port of the dynamic range.
     *
     * @throws AllocationException when all are taken
     */
    int take(PortConfig.Protocol protocol, String serviceId) throws AllocationException {
        for (int tried = DYNAMIC_FIRST; tried <= DYNAMIC_LAST; tried++) {
            int port = next;
            next = next == DYNAMIC_LAST ? DYNAMIC_FIRST : next + 1;
            if (owners.putIfAbsent(new Key(protocol.getNumber(), port), serviceId) == null) {
                return port;
            }
        }
        throw new AllocationException("all ports from " + DYNAMIC_FIRST + " to " + DYNAMIC_LAST + " are published");
    }

    private static Key key(PortConfig port) {
        return new Key(port.getProtocolValue(), port.getPublishedPort());
    }
}
