package io.skep.network;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The ports of the host that containers have published. Each is held by a socket of the engine, so that no other
 * program takes it, and what another program has is not taken from it.
 *
 * <p>Threads: any.
 */
public final class PortReservations {
    private static final Path EPHEMERAL = Path.of("/proc/sys/net/ipv4/ip_local_port_range");
    private static final int EPHEMERAL_FIRST = 49153;
    private static final int EPHEMERAL_LAST = 65535;

    private final NetworkNamespace host;
    private final List<Held> held = new ArrayList<>();
    private int next;

    public PortReservations(NetworkNamespace host) {
        this.host = host;
    }

    /** A port that is held until it is closed. */
    public final class Held implements AutoCloseable {
        private final String protocol;
        private final InetSocketAddress address;
        private int descriptor;

        private Held(String protocol, InetSocketAddress address, int descriptor) {
            this.protocol = protocol;
            this.address = address;
            this.descriptor = descriptor;
        }

        public String protocol() {
            return protocol;
        }

        public InetSocketAddress address() {
            return address;
        }

        /** Gives away the socket, to one who will close it. */
        int giveSocket() {
            synchronized (held) {
                int given = descriptor;
                descriptor = -1;
                return given;
            }
        }

        @Override
        public void close() throws IOException {
            synchronized (held) {
                held.remove(this);
                if (descriptor >= 0) {
                    int closing = descriptor;
                    descriptor = -1;
                    SystemCalls.close(closing);
                }
            }
        }
    }

    /** The port is not to be had. */
    public static final class PortTakenException extends IOException {
        private final boolean byEngine;

        private PortTakenException(String message, boolean byEngine) {
            super(message);
            this.byEngine = byEngine;
        }

        /** Whether another container of this engine has it. */
        public boolean byEngine() {
            return byEngine;
        }
    }

    /**
     * Holds the first port of a range that can be had, at all these addresses.
     *
     * @param first 0 for any that is free
     */
    public List<Held> hold(String protocol, List<InetAddress> addresses, int first, int last) throws IOException {
        if (first != 0) {
            PortTakenException failure = null;
            for (int port = first; port <= last; port++) {
                try {
                    return holdAll(protocol, addresses, port);
                } catch (PortTakenException e) {
                    failure = failure == null ? e : failure;
                }
            }
            throw failure == null ? new IOException("no port from " + first + " to " + last) : failure;
        }
        int[] range = host.run(PortReservations::ephemeral);
        int count = range[1] - range[0] + 1;
        for (int tried = 0; tried < count; tried++) {
            int port;
            synchronized (held) {
                port = range[0] + Math.floorMod(next++, count);
            }
            try {
                return holdAll(protocol, addresses, port);
            } catch (PortTakenException e) {
                // The next one.
            }
        }
        throw new PortTakenException("all ports from " + range[0] + " to " + range[1] + " are in use", true);
    }

    private static int[] ephemeral() throws IOException {
        if (Files.exists(EPHEMERAL)) {
            String[] words = KernelFiles.read(EPHEMERAL).split("\\s+", -1);
            return new int[] {Integer.parseInt(words[0]), Integer.parseInt(words[1])};
        }
        return new int[] {EPHEMERAL_FIRST, EPHEMERAL_LAST};
    }

    private List<Held> holdAll(String protocol, List<InetAddress> addresses, int port) throws IOException {
        List<Held> all = new ArrayList<>();
        boolean done = false;
        try {
            for (InetAddress address : addresses) {
                all.add(hold(protocol, new InetSocketAddress(address, port)));
            }
            done = true;
            return all;
        } finally {
            if (!done) {
                for (Held each : all) {
                    each.close();
                }
            }
        }
    }

    private Held hold(String protocol, InetSocketAddress address) throws IOException {
        synchronized (held) {
            for (Held other : held) {
                if (other.protocol.equals(protocol) && overlap(other.address, address)) {
                    throw new PortTakenException(
                            "Bind for " + text(address) + " failed: port is already allocated", true);
                }
            }
            int descriptor;
            try {
                descriptor = host.run(() -> switch (protocol) {
                    case "tcp" -> SystemCalls.boundSocket(address, SystemCalls.SOCK_STREAM, 0);
                    case "udp" -> SystemCalls.boundSocket(address, SystemCalls.SOCK_DGRAM, 0);
                    default -> SystemCalls.boundSocket(address, SystemCalls.SOCK_STREAM, SystemCalls.IPPROTO_SCTP);
                });
            } catch (LinuxException e) {
                switch (e.number()) {
                    case LinuxException.EADDRINUSE ->
                        throw new PortTakenException(
                                "failed to bind host port " + text(address) + "/" + protocol
                                        + ": address already in use",
                                false);
                    case LinuxException.EADDRNOTAVAIL ->
                        throw new IOException("failed to bind host port " + text(address) + "/" + protocol
                                + ": cannot assign requested address");
                    case LinuxException.EPROTONOSUPPORT, LinuxException.ESOCKTNOSUPPORT -> {
                        if (!protocol.equals("sctp")) {
                            throw e;
                        }
                        // The host itself has no SCTP, so no program of it can take the port.
                        descriptor = -1;
                    }
                    default -> throw e;
                }
            }
            Held made = new Held(protocol, address, descriptor);
            held.add(made);
            return made;
        }
    }

    private static boolean overlap(InetSocketAddress one, InetSocketAddress other) {
        InetAddress first = one.getAddress();
        InetAddress second = other.getAddress();
        return one.getPort() == other.getPort()
                && first.getAddress().length == second.getAddress().length
                && (first.equals(second) || first.isAnyLocalAddress() || second.isAnyLocalAddress());
    }

    private static String text(InetSocketAddress address) {
        String ip = Subnet.text(address.getAddress());
        return (address.getAddress().getAddress().length == 4 ? ip : "[" + ip + "]") + ":" + address.getPort();
    }
}
