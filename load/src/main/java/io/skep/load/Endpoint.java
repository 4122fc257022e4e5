package io.skep.load;

import java.net.InetSocketAddress;

/** The address of a manager as users write it: host:port, where without a port 2377 is meant. */
final class Endpoint {
    private static final int PORT_DEFAULT = 2377;

    private Endpoint() {}

    static InetSocketAddress parse(String text) {
        int colon = text.lastIndexOf(':');
        boolean hasPort =
                colon >= 0 && (text.indexOf(':') == colon || (text.startsWith("[") && text.charAt(colon - 1) == ']'));
        String host = hasPort ? text.substring(0, colon) : text;
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        if (host.isEmpty()) {
            throw new IllegalArgumentException("'" + text + "' names no host; an address is HOST or HOST:PORT");
        }
        int port = PORT_DEFAULT;
        if (hasPort) {
            try {
                port = Integer.parseInt(text.substring(colon + 1));
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(
                        "'" + text.substring(colon + 1) + "' in '" + text + "' is no port; an address is HOST:PORT", e);
            }
            if (port < 1 || port > 65535) {
                throw new IllegalArgumentException("the port of '" + text + "' is not in 1 to 65535");
            }
        }
        InetSocketAddress address = new InetSocketAddress(host, port);
        if (address.isUnresolved()) {
            throw new IllegalArgumentException("the host '" + host + "' is not known");
        }
        return address;
    }
}
