package io.skep.daemon.node;

import io.skep.api.ApiException;
import java.io.IOException;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Which addresses a node listens on and tells others, from what the user said and what the machine has, by Docker's
 * rules: a name is that of an interface, never of a host; without a word the only address of the machine is taken, and
 * several are an error that names them.
 *
 * @param interfaces of the machine that are up, without loopback
 */
record SwarmAddresses(List<Interface> interfaces) {
    static final int PORT_DEFAULT = 2377;

    /** Interfaces that container engines make; their addresses are of no use to other machines. */
    private static final Pattern ENGINE_MADE = Pattern.compile("docker0|docker_gwbridge|br-[0-9a-f]{12}|veth.*");

    /** An interface and its addresses. */
    record Interface(String name, List<InetAddress> addresses) {
        Interface {
            addresses = List.copyOf(addresses);
        }
    }

    /** An IP address and a port. */
    record HostPort(InetAddress host, int port) {
        InetSocketAddress socketAddress() {
            return new InetSocketAddress(host, port);
        }

        @Override
        public String toString() {
            return host instanceof Inet4Address
                    ? host.getHostAddress() + ":" + port
                    : "[" + host.getHostAddress() + "]:" + port;
        }
    }

    SwarmAddresses {
        interfaces = List.copyOf(interfaces);
    }

    static SwarmAddresses ofMachine() {
        try {
            List<Interface> found = new ArrayList<>();
            for (NetworkInterface each : Collections.list(NetworkInterface.getNetworkInterfaces())) {
                if (each.isUp() && !each.isLoopback()) {
                    found.add(new Interface(each.getName(), Collections.list(each.getInetAddresses())));
                }
            }
            return new SwarmAddresses(found);
        } catch (SocketException e) {
            throw new ApiException(500, "the addresses of this machine cannot be read: " + e.getMessage());
        }
    }

    /** Reads where to listen. */
    HostPort listen(String text) {
        if (text.isEmpty()) {
            throw new ApiException(400, "invalid ListenAddr \"\": invalid empty address");
        }
        return parse(text, PORT_DEFAULT)
                .orElseThrow(() -> new ApiException(
                        400, "listen address must be an IP address or network interface (with optional port number)"));
    }

    /**
     * Finds what to advertise.
     *
     * @param text what the user said, or empty
     * @param defaultText what the configuration says, or empty
     * @param listen an address that is no wildcard is advertised when nothing was said
     */
    HostPort advertise(String text, String defaultText, HostPort listen) {
        if (!text.isEmpty()) {
            return parse(text, listen.port())
                    .filter(found -> !found.host().isAnyLocalAddress())
                    .orElseThrow(() -> new ApiException(
                            400,
                            "advertise address must be a non-zero IP address or network interface (with optional port"
                                    + " number)"));
        }
        if (!defaultText.isEmpty()) {
            InetAddress found = host(defaultText)
                    .filter(address -> !address.isAnyLocalAddress())
                    .orElseThrow(() -> new ApiException(
                            400,
                            "default advertise address must be a non-zero IP address or network interface (without a"
                                    + " port number)"));
            return new HostPort(found, listen.port());
        }
        if (!listen.host().isAnyLocalAddress()) {
            return listen;
        }
        return new HostPort(onlyAddress(), listen.port());
    }

    /** Reads where other nodes send the traffic of containers; empty means the advertised address. */
    Optional<InetAddress> dataPath(String text) {
        if (text.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(host(text)
                .filter(address -> !address.isAnyLocalAddress())
                .orElseThrow(() -> new ApiException(
                        400,
                        "data path address must be a non-zero IP address or network interface (without a port"
                                + " number)")));
    }

    /** Returns the address from which this machine reaches another; nothing is sent. */
    static InetAddress towards(InetSocketAddress remote) {
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.connect(remote);
            return socket.getLocalAddress();
        } catch (IOException e) {
            throw new ApiException(503, "this machine has no way to " + remote.getHostString() + ": " + e.getMessage());
        }
    }

    /** Returns the address of a manager with the port that is meant without one. */
    static String withPort(String address) {
        boolean hasPort = address.startsWith("[")
                ? !address.endsWith("]")
                : address.indexOf(':') >= 0 && address.indexOf(':') == address.lastIndexOf(':');
        if (hasPort) {
            return address;
        }
        boolean bare = address.indexOf(':') >= 0 && !address.startsWith("[");
        return (bare ? "[" + address + "]" : address) + ":" + PORT_DEFAULT;
    }

    /** Returns whether the machine has this address. */
    static boolean isLocal(InetAddress address) {
        try {
            return address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null;
        } catch (SocketException e) {
            return false;
        }
    }

    private InetAddress onlyAddress() {
        String interfaceName = "";
        InetAddress only = null;
        for (Interface each : interfaces) {
            if (ENGINE_MADE.matcher(each.name()).matches()) {
                continue;
            }
            List<InetAddress> usable = usable(each);
            if (usable.size() > 1) {
                throw new ApiException(
                        400,
                        "could not choose an IP address to advertise since this system has multiple addresses on"
                                + " interface " + each.name() + " ("
                                + usable.get(0).getHostAddress() + " and "
                                + usable.get(1).getHostAddress() + ")");
            }
            if (usable.isEmpty()) {
                continue;
            }
            if (only != null) {
                throw new ApiException(
                        400,
                        "could not choose an IP address to advertise since this system has multiple addresses on"
                                + " different interfaces (" + only.getHostAddress() + " on " + interfaceName + " and "
                                + usable.get(0).getHostAddress() + " on " + each.name() + ")");
            }
            only = usable.get(0);
            interfaceName = each.name();
        }
        if (only == null) {
            throw new ApiException(400, "could not find the system's IP address - specify one with --advertise-addr");
        }
        return only;
    }

    /** The addresses that count: those of IPv4, and without any of them the global ones of IPv6. */
    private static List<InetAddress> usable(Interface each) {
        List<InetAddress> old = each.addresses().stream()
                .filter(address -> address instanceof Inet4Address)
                .toList();
        if (!old.isEmpty()) {
            return old;
        }
        return each.addresses().stream()
                .filter(address -> !address.isLinkLocalAddress() && !address.isLoopbackAddress())
                .toList();
    }

    private Optional<HostPort> parse(String text, int portDefault) {
        int colon = text.lastIndexOf(':');
        boolean bracketed = text.startsWith("[");
        boolean single = colon >= 0 && text.indexOf(':') == colon;
        boolean hasPort = single || (bracketed && colon > 0 && text.charAt(colon - 1) == ']');
        String name = hasPort ? text.substring(0, colon) : text;
        if (bracketed && name.endsWith("]")) {
            name = name.substring(1, name.length() - 1);
        }
        int port = portDefault;
        if (hasPort) {
            try {
                port = Integer.parseInt(text.substring(colon + 1));
            } catch (NumberFormatException e) {
                return Optional.empty();
            }
            if (port < 0 || port > 65_535) {
                return Optional.empty();
            }
        }
        int chosen = port;
        return host(name).map(host -> new HostPort(host, chosen));
    }

    private Optional<InetAddress> host(String text) {
        Optional<InetAddress> literal = literal(text);
        if (literal.isPresent()) {
            return literal;
        }
        for (Interface each : interfaces) {
            if (each.name().equals(text)) {
                List<InetAddress> usable = usable(each);
                return usable.size() == 1 ? Optional.of(usable.get(0)) : Optional.empty();
            }
        }
        return Optional.empty();
    }

    /** Reads an IP address; a host name is none, and is never looked up. */
    private static Optional<InetAddress> literal(String text) {
        boolean looksLikeAddress =
                text.contains(":") || (!text.isEmpty() && text.chars().allMatch(c -> c == '.' || Character.isDigit(c)));
        if (!looksLikeAddress) {
            return Optional.empty();
        }
        try {
            return Optional.of(InetAddress.getByName(text));
        } catch (UnknownHostException e) {
            return Optional.empty();
        }
    }
}
