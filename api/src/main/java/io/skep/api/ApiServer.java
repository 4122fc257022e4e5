package io.skep.api;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFactory;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollRegistration;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.GlobalEventExecutor;
import io.skep.engine.Engine;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipalNotFoundException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The server of the Docker Engine HTTP API, on any number of listeners.
 *
 * <p>One event loop thread moves the bytes of all connections, at most {@value #CONNECTIONS_MAX} of them; each request
 * runs on a virtual thread of its own. Safe for use by several threads.
 */
public final class ApiServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ApiServer.class);
    private static final int CONNECTIONS_MAX = 4096;
    private static final int HEAD_BYTES_MAX = 1 << 18;
    private static final Duration FOLLOW_INTERVAL = Duration.ofSeconds(1);

    private final Router router;
    private final Map<String, String> commonHeaders;
    private final EventBuffer events = new EventBuffer();
    private final SwarmNode node;
    private final AutoCloseable engineEvents;
    private final boolean epoll = Epoll.isAvailable();
    private final EventLoopGroup group;
    private final ChannelGroup listeners = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
    private final ChannelGroup connections = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);

    /**
     * Makes a server that does not listen yet.
     *
     * @param engine what the daemon says of itself
     * @param node this node's part in a cluster
     * @param containers what runs containers here, or null when nothing does
     */
    public ApiServer(EngineInfo engine, SwarmNode node, @Nullable Engine containers) {
        this.node = node;
        this.engineEvents = containers == null ? () -> {} : containers.events().listen(events::add);
        this.router = Routes.of(engine, node, events, containers);
        this.commonHeaders = Map.of(
                "Api-Version",
                ApiVersion.NEWEST.toString(),
                "Docker-Experimental",
                "false",
                "Ostype",
                Host.osType(),
                "Server",
                "Docker/" + engine.version() + " (" + Host.osType() + ")");
        IoHandlerFactory transport = epoll ? EpollIoHandler.newFactory() : NioIoHandler.newFactory();
        this.group = new MultiThreadIoEventLoopGroup(1, new DefaultThreadFactory("api-io", true), transport);
        var _ = group.scheduleWithFixedDelay(this::followCluster, 0, FOLLOW_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    /**
     * Starts to listen and returns where: an {@link InetSocketAddress} with the real port, or the address of the unix
     * socket.
     *
     * @throws IOException when the address cannot be listened to; the message names it and says why
     */
    public SocketAddress listen(ListenAddress address) throws IOException {
        Channel channel = switch (address) {
            case ListenAddress.Unix unix -> listenUnix(unix);
            case ListenAddress.Tcp tcp ->
                started(
                        bootstrap(tcpFactory(), tcp.tls())
                                .option(ChannelOption.SO_REUSEADDR, true)
                                .bind(tcp.address()),
                        "tcp://" + tcp.address().getHostString() + ":"
                                + tcp.address().getPort());
            case ListenAddress.Descriptor descriptor -> adopt(descriptor);
        };
        listeners.add(channel);
        return channel.localAddress() == null ? new DomainSocketAddress("inherited") : channel.localAddress();
    }

    /** Events are kept from the time on at which the node became a manager, whether somebody listens or not. */
    private void followCluster() {
        try {
            events.follow(node.cluster());
        } catch (RuntimeException e) {
            LOG.warn("the events of the cluster cannot be followed, trying again", e);
        }
    }

    private ChannelFactory<ServerChannel> tcpFactory() {
        return epoll ? EpollServerSocketChannel::new : NioServerSocketChannel::new;
    }

    private Channel listenUnix(ListenAddress.Unix unix) throws IOException {
        Path path = unix.path();
        removeStale(path);
        ChannelFuture bound = epoll
                ? bootstrap(EpollServerDomainSocketChannel::new, null).bind(new DomainSocketAddress(path.toString()))
                : bootstrap(NioServerDomainSocketChannel::new, null).bind(UnixDomainSocketAddress.of(path));
        Channel channel = started(bound, "unix://" + path);
        try {
            PosixFileAttributeView view = Files.getFileAttributeView(path, PosixFileAttributeView.class);
            if (view != null) {
                if (!unix.group().isEmpty()) {
                    GroupPrincipal owner = path.getFileSystem()
                            .getUserPrincipalLookupService()
                            .lookupPrincipalByGroupName(unix.group());
                    view.setGroup(owner);
                }
                view.setPermissions(PosixFilePermissions.fromString("rw-rw----"));
            }
        } catch (UserPrincipalNotFoundException e) {
            var _ = channel.close();
            throw new IOException(
                    "unix://" + path + ": there is no group '" + unix.group() + "'; make it, or name another one", e);
        } catch (IOException | RuntimeException e) {
            var _ = channel.close();
            throw new IOException("unix://" + path + ": its group or mode cannot be set: " + e.getMessage(), e);
        }
        return channel;
    }

    /** Removes a socket file that nobody listens on any more. */
    private static void removeStale(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            if (path.getParent() != null) {
                Files.createDirectories(path.getParent());
            }
            return;
        }
        if (Files.isRegularFile(path) || Files.isDirectory(path)) {
            throw new IOException("unix://" + path + ": there is a file or folder of that name; remove it");
        }
        try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            probe.connect(UnixDomainSocketAddress.of(path));
        } catch (ConnectException e) {
            Files.delete(path);
            return;
        } catch (IOException e) {
            LOG.debug("{} is taken for stale: {}", path, e.getMessage());
            Files.delete(path);
            return;
        }
        throw new IOException("unix://" + path + ": another process listens on it; stop that one first");
    }

    private Channel adopt(ListenAddress.Descriptor descriptor) throws IOException {
        String name = "fd://" + descriptor.fd();
        if (!epoll) {
            throw new IOException(name + ": inherited sockets need Linux: " + Epoll.unavailabilityCause());
        }
        boolean unix = Host.isUnixSocket(descriptor.fd());
        ChannelFactory<ServerChannel> factory = unix
                ? () -> new EpollServerDomainSocketChannel(descriptor.fd(), true)
                : () -> new EpollServerSocketChannel(descriptor.fd());
        return started(bootstrap(factory, unix ? null : descriptor.tls()).register(), name);
    }

    private static Channel started(ChannelFuture future, String name) throws IOException {
        future.awaitUninterruptibly();
        if (!future.isSuccess()) {
            Throwable cause = future.cause();
            throw new IOException(name + ": " + (cause == null ? "cannot be listened to" : cause.getMessage()), cause);
        }
        return future.channel();
    }

    private ServerBootstrap bootstrap(
            ChannelFactory<? extends ServerChannel> factory, @Nullable Supplier<SslContext> tls) {
        return new ServerBootstrap()
                .group(group)
                .channelFactory(factory)
                .childOption(ChannelOption.ALLOW_HALF_CLOSURE, true)
                .childHandler(new ChannelInitializer<Channel>() {
                    @Override
                    protected void initChannel(Channel channel) throws IOException {
                        EpollRegistration.keep(channel);
                        accept(channel, tls);
                    }
                });
    }

    private void accept(Channel channel, @Nullable Supplier<SslContext> tls) {
        if (connections.size() >= CONNECTIONS_MAX) {
            LOG.warn("connection of {} refused: there are {} already", channel.remoteAddress(), CONNECTIONS_MAX);
            var _ = channel.close();
            return;
        }
        connections.add(channel);
        if (tls != null) {
            SslContext context;
            try {
                context = tls.get();
            } catch (RuntimeException e) {
                LOG.error("connection of {} refused: no TLS certificate can be used", channel.remoteAddress(), e);
                var _ = channel.close();
                return;
            }
            channel.pipeline()
                    .addLast(new PlainTextGuard())
                    .addLast(context.newHandler(channel.alloc()))
                    .addLast(new HandshakeLog());
        }
        channel.pipeline()
                .addLast(new HttpServerCodec(new HttpDecoderConfig()
                        .setMaxInitialLineLength(HEAD_BYTES_MAX)
                        .setMaxHeaderSize(HEAD_BYTES_MAX)))
                .addLast(new HttpConnection(router, commonHeaders));
    }

    /**
     * Stops: listeners close at once, streams end, running requests get time to finish.
     *
     * @param patience how long requests may go on
     */
    public void close(Duration patience) {
        listeners.close().awaitUninterruptibly();
        for (Channel channel : connections) {
            HttpConnection connection = channel.pipeline().get(HttpConnection.class);
            if (connection == null) {
                var _ = channel.close();
            } else {
                connection.stop(channel);
            }
        }
        if (!connections.newCloseFuture().awaitUninterruptibly(patience.toMillis(), TimeUnit.MILLISECONDS)) {
            LOG.warn(
                    "{} connections are cut: their requests did not end in {} s",
                    connections.size(),
                    patience.toSeconds());
            connections.close().awaitUninterruptibly();
        }
        try {
            engineEvents.close();
        } catch (Exception e) {
            LOG.warn("the events of the engine are still listened to", e);
        }
        events.close();
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
    }

    /** Stops as {@link #close(Duration)} does, with 10 s for running requests. */
    @Override
    public void close() {
        close(Duration.ofSeconds(10));
    }

    /** Tells a client that speaks plain HTTP to the TLS port what is wrong. */
    private static final class PlainTextGuard extends ChannelInboundHandlerAdapter {
        private static final int TLS_HANDSHAKE = 22;

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (message instanceof ByteBuf bytes && bytes.isReadable()) {
                byte first = bytes.getByte(bytes.readerIndex());
                if (first != TLS_HANDSHAKE) {
                    bytes.release();
                    context.pipeline().remove(HandshakeLog.class);
                    LOG.warn(
                            "TLS handshake with {} failed: the client does not speak TLS",
                            context.channel().remoteAddress());
                    context.writeAndFlush(Unpooled.copiedBuffer(
                                    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                                    StandardCharsets.US_ASCII))
                            .addListener(ChannelFutureListener.CLOSE);
                    return;
                }
                context.pipeline().remove(this);
            }
            context.fireChannelRead(message);
        }
    }

    /** Logs handshakes that fail, with who and why. */
    private static final class HandshakeLog extends ChannelInboundHandlerAdapter {
        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) throws Exception {
            if (event instanceof SslHandshakeCompletionEvent handshake) {
                if (handshake.isSuccess()) {
                    context.pipeline().remove(this);
                } else {
                    LOG.warn(
                            "TLS handshake with {} failed: {}",
                            context.channel().remoteAddress(),
                            TlsFailures.reason(handshake.cause()));
                }
            }
            super.userEventTriggered(context, event);
        }
    }
}
