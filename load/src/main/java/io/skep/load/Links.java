package io.skep.load;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.Channel;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http2.Http2SecurityUtil;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolNames;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SupportedCipherSuiteFilter;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import java.net.InetSocketAddress;
import java.time.InstantSource;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;

/**
 * The connections of all agents, on one thread: that of {@link #loop}, on which every answer arrives.
 *
 * <p>Each connection has a TLS context of its own, as if it came from a machine of its own: none resumes the session of
 * another, so a manager pays for every handshake. As in the room {@code agent}, TLS is below gRPC: its own would end
 * connections to a Docker Engine 20.10 that has renewed its certificate.
 */
final class Links implements AutoCloseable {
    private static final int WINDOW_BYTES = 65_535;

    private final EventLoopGroup group = new MultiThreadIoEventLoopGroup(
            1, new DefaultThreadFactory("load-network", true), NioIoHandler.newFactory());
    private final EventLoop loop = group.next();
    private final InstantSource clock = InstantSource.system();

    EventLoop loop() {
        return loop;
    }

    InstantSource clock() {
        return clock;
    }

    /** Trusts whoever answers: only for the root certificate, which is compared with the token. */
    ManagedChannel unverified(InetSocketAddress manager) {
        return open(manager, NodeIdentity.AUTHORITY_NAME, tls().trustManager(TlsIdentity.unverifiedServerTrust()));
    }

    /** Trusts a manager of the root, and shows no certificate. */
    ManagedChannel anonymous(InetSocketAddress manager, TrustRoot root) {
        TlsIdentity identity = new TlsIdentity(TlsMaterial.anonymous(root), clock);
        return open(
                manager,
                NodeIdentity.AUTHORITY_NAME,
                tls().trustManager(identity.serverTrust(NodeIdentity.AUTHORITY_NAME)));
    }

    /** Trusts a manager of the own cluster, and proves who the agent is. */
    ManagedChannel authenticated(InetSocketAddress manager, TlsIdentity identity) {
        return open(
                manager,
                NodeIdentity.MANAGER_NAME,
                tls().trustManager(identity.serverTrust(NodeIdentity.MANAGER_NAME))
                        .keyManager(identity.keyManager()));
    }

    private static SslContextBuilder tls() {
        return SslContextBuilder.forClient()
                .ciphers(Http2SecurityUtil.CIPHERS, SupportedCipherSuiteFilter.INSTANCE)
                .applicationProtocolConfig(new ApplicationProtocolConfig(
                        ApplicationProtocolConfig.Protocol.ALPN,
                        ApplicationProtocolConfig.SelectorFailureBehavior.NO_ADVERTISE,
                        ApplicationProtocolConfig.SelectedListenerFailureBehavior.ACCEPT,
                        ApplicationProtocolNames.HTTP_2));
    }

    private ManagedChannel open(InetSocketAddress manager, String name, SslContextBuilder builder) {
        SslContext tls;
        try {
            tls = builder.build();
        } catch (SSLException e) {
            throw new IllegalStateException("this JDK has no TLS", e);
        }
        return NettyChannelBuilder.forAddress(manager)
                .overrideAuthority(name)
                .usePlaintext()
                .eventLoopGroup(group)
                .channelFactory(() -> secured(tls, name, manager.getPort()))
                .directExecutor()
                .flowControlWindow(WINDOW_BYTES)
                .maxInboundMessageSize(Integer.MAX_VALUE)
                .disableRetry()
                .build();
    }

    private static Channel secured(SslContext tls, String name, int port) {
        NioSocketChannel channel = new NioSocketChannel();
        SslHandler handler = tls.newHandler(channel.alloc(), name, port);
        handler.setHandshakeTimeoutMillis(TimeUnit.MINUTES.toMillis(1));
        channel.pipeline().addLast(handler);
        return channel;
    }

    @Override
    public void close() {
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(5, TimeUnit.SECONDS);
    }
}
