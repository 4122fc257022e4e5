package io.skep.daemon.config;

import java.net.InetAddress;
import java.net.URI;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** An address from {@code hosts}, in its one canonical form, so that equal ones are seen to be equal. */
public sealed interface Host {
    /** A unix socket. */
    record Unix(Path path) implements Host {
        @Override
        public String toString() {
            return "unix://" + path;
        }
    }

    /**
     * A TCP port.
     *
     * @param address a name, or an IP address without brackets
     * @param port 0 to 65535
     */
    record Tcp(String address, int port) implements Host {
        private static final Pattern ADDRESS_LITERAL = Pattern.compile("[0-9.]+|.*:.*");

        /** Whether only this machine can reach it; a name other than localhost counts as reachable. */
        public boolean isLoopback() {
            if (address.equals("localhost")) {
                return true;
            }
            return ADDRESS_LITERAL.matcher(address).matches()
                    && InetAddress.ofLiteral(address).isLoopbackAddress();
        }

        @Override
        public String toString() {
            return "tcp://" + (address.contains(":") ? "[" + address + "]" : address) + ":" + port;
        }
    }

    /**
     * Sockets that the service manager opened.
     *
     * @param which empty for all of them, otherwise a name or a number of a descriptor
     */
    record Inherited(String which) implements Host {
        @Override
        public String toString() {
            return "fd://" + which;
        }
    }

    /** Docker's ports for the API without and with TLS. */
    int PLAIN_PORT = 2375;

    int TLS_PORT = 2376;

    /**
     * Parses an address as dockerd does: without scheme it is TCP, without host it is localhost, without port the usual
     * one.
     *
     * @throws IllegalArgumentException why it is none
     */
    static Host parse(String text, boolean tls, Path defaultSocket) {
        String address = text.strip();
        int colon = address.indexOf("://");
        String scheme = colon < 0 ? "tcp" : address.substring(0, colon);
        String rest = colon < 0 ? address : address.substring(colon + 3);
        return switch (scheme) {
            case "unix" -> new Unix(rest.isEmpty() ? defaultSocket : absolute(rest));
            case "fd" -> new Inherited(rest.equals("*") ? "" : rest);
            case "tcp" -> tcp(rest, tls ? TLS_PORT : PLAIN_PORT);
            case "npipe" ->
                throw new IllegalArgumentException(
                        "Skep does not serve named pipes; use unix:// (it works on Windows, too) or tcp://");
            case "ssh", "http", "https" ->
                throw new IllegalArgumentException(
                        scheme + ":// is for clients only; a daemon takes unix://PATH, tcp://HOST:PORT or fd://");
            default ->
                throw new IllegalArgumentException(
                        "a scheme \"" + scheme + "://\" is unknown; use unix://PATH, tcp://HOST:PORT or fd://");
        };
    }

    private static Path absolute(String text) {
        Path path = Path.of(text);
        if (!path.isAbsolute()) {
            throw new IllegalArgumentException(
                    "the path of a unix socket must be absolute, as in unix:///run/skep.sock");
        }
        return path.normalize();
    }

    private static Host tcp(String rest, int defaultPort) {
        if (rest.indexOf('/') >= 0 || rest.indexOf('@') >= 0) {
            throw new IllegalArgumentException("only HOST:PORT may follow tcp://");
        }
        URI uri;
        try {
            uri = URI.create("tcp://" + (rest.isEmpty() || rest.startsWith(":") ? "localhost" + rest : rest));
        } catch (IllegalArgumentException _) {
            throw new IllegalArgumentException("HOST:PORT is wanted, an IPv6 address in brackets");
        }
        String host = uri.getHost();
        if (host == null || uri.getPort() > 65535) {
            throw new IllegalArgumentException("HOST:PORT is wanted, an IPv6 address in brackets, PORT up to 65535");
        }
        String address = host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
        if (Tcp.ADDRESS_LITERAL.matcher(address).matches() && !isAddress(address)) {
            throw new IllegalArgumentException("\"" + address + "\" is no IP address");
        }
        return new Tcp(address, uri.getPort() < 0 ? defaultPort : uri.getPort());
    }

    private static boolean isAddress(String literal) {
        try {
            InetAddress.ofLiteral(literal);
            return true;
        } catch (IllegalArgumentException _) {
            return false;
        }
    }
}
