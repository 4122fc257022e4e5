package io.skep.api;

import io.netty.handler.ssl.SslContext;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Where the API can be listened to. */
public sealed interface ListenAddress {
    /**
     * A unix socket, mode 0660. A stale socket file is replaced; one that a process still listens on is not.
     *
     * @param group name of the group that owns the socket, or empty to leave it as it is
     */
    record Unix(Path path, String group) implements ListenAddress {}

    /**
     * A TCP port.
     *
     * @param address port 0 takes a free one
     * @param tls asked for each new connection, so that renewed certificates serve at once; null for plain TCP. See
     *     {@link TlsContexts}
     */
    record Tcp(InetSocketAddress address, @Nullable Supplier<SslContext> tls) implements ListenAddress {}

    /**
     * A listening socket that was inherited, as systemd hands them over. Whether it is a unix socket or TCP is found
     * out from the socket.
     *
     * @param fd its number
     * @param tls as of {@link Tcp}, used when it is a TCP socket
     */
    record Descriptor(int fd, @Nullable Supplier<SslContext> tls) implements ListenAddress {}
}
