package io.skep.agent;

import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.Channel;
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
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.SupportedCipherSuiteFilter;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.InstantSource;
import javax.net.ssl.SSLException;

/**
 * Opens connections to managers. What is verified of a manager depends on how far the node has come (swarm-wire 1.2);
 * the address that is dialled is never checked, a manager is known by its certificate.
 *
 * <p>TLS is done in the socket channel, below gRPC, which is therefore told that the connection is plain. gRPC's own
 * TLS ends every connection whose server selects no application protocol, and a Docker Engine 20.10 selects none from
 * the moment it has renewed its own certificate. No byte leaves the channel outside of TLS: the handler is there before
 * the channel connects.
 *
 * <p>Answers come on the network thread: whoever makes a call that does not block hands them on at once.
 */
public final class ManagerChannels {
    /** Tells a manager that the node is one of Skep, and which version. */
    static final Metadata.Key<String> SKEP_NODE = Metadata.Key.of("skep-node", Metadata.ASCII_STRING_MARSHALLER);

    /** Tells a manager why the node takes no tasks; absent from nodes that do. */
    static final Metadata.Key<String> SKEP_WITHOUT_EXECUTOR =
            Metadata.Key.of("skep-without-executor", Metadata.ASCII_STRING_MARSHALLER);

    private static final int PORT_DEFAULT = 2377;
    private static final int MESSAGE_BYTES_MAX = Integer.MAX_VALUE;

    /** One thread for all connections of this process: an agent has one or two. */
    private static final EventLoopGroup LOOP = new MultiThreadIoEventLoopGroup(
            1, new DefaultThreadFactory("agent-network", true), NioIoHandler.newFactory());

    private final Metadata metadata = new Metadata();
    private final InstantSource clock;

    /**
     * Opens channels for a node.
     *
     * @param version of Skep that managers are told this node has
     * @param withoutExecutor why the node takes no tasks, or empty
     */
    public ManagerChannels(String version, String withoutExecutor, InstantSource clock) {
        this.clock = clock;
        metadata.put(SKEP_NODE, version);
        if (!withoutExecutor.isEmpty()) {
            metadata.put(SKEP_WITHOUT_EXECUTOR, withoutExecutor);
        }
    }

    /** Leads to managers of the own cluster, and proves there who this node is. */
    public ManagerTransport transport(TlsIdentity identity) {
        return address -> {
            try {
                return ManagerTransport.Connection.of(authenticated(address, identity, NodeIdentity.MANAGER_NAME));
            } catch (IllegalArgumentException e) {
                throw new IOException(address + " is no address of a manager", e);
            }
        };
    }

    /** Trusts whoever answers: only for a root certificate that is checked against a token afterwards. */
    ManagedChannel unverified(String address) throws SSLException {
        return open(
                address,
                NodeIdentity.AUTHORITY_NAME,
                tls().trustManager(TlsIdentity.unverifiedServerTrust()).build());
    }

    /** Trusts a manager of the root, and shows no certificate. */
    ManagedChannel anonymous(String address, TrustRoot root) throws SSLException {
        TlsIdentity identity = new TlsIdentity(TlsMaterial.anonymous(root), clock);
        return open(
                address,
                NodeIdentity.AUTHORITY_NAME,
                tls().trustManager(identity.serverTrust(NodeIdentity.AUTHORITY_NAME))
                        .build());
    }

    /**
     * Trusts a manager of the own cluster, and proves who this node is.
     *
     * @param name DNS name that the manager's certificate must hold
     */
    ManagedChannel authenticated(String address, TlsIdentity identity, String name) throws SSLException {
        return open(
                address,
                name,
                tls().trustManager(identity.serverTrust(name))
                        .keyManager(identity.keyManager())
                        .build());
    }

    private static SslContextBuilder tls() {
        return SslContextBuilder.forClient()
                .sslProvider(SslProvider.JDK)
                .ciphers(Http2SecurityUtil.CIPHERS, SupportedCipherSuiteFilter.INSTANCE)
                .applicationProtocolConfig(new ApplicationProtocolConfig(
                        ApplicationProtocolConfig.Protocol.ALPN,
                        ApplicationProtocolConfig.SelectorFailureBehavior.NO_ADVERTISE,
                        ApplicationProtocolConfig.SelectedListenerFailureBehavior.ACCEPT,
                        ApplicationProtocolNames.HTTP_2));
    }

    private ManagedChannel open(String address, String name, SslContext tls) {
        InetSocketAddress target = parse(address);
        return NettyChannelBuilder.forAddress(target)
                .overrideAuthority(name)
                .usePlaintext()
                .eventLoopGroup(LOOP)
                .channelFactory(() -> secured(tls, name, target.getPort()))
                .intercept(MetadataUtils.newAttachHeadersInterceptor(metadata))
                .maxInboundMessageSize(MESSAGE_BYTES_MAX)
                .disableRetry()
                .directExecutor()
                .build();
    }

    private static Channel secured(SslContext tls, String name, int port) {
        NioSocketChannel channel = new NioSocketChannel();
        SslHandler handler = tls.newHandler(channel.alloc(), name, port);
        channel.pipeline().addLast(handler);
        return channel;
    }

    /** Reads host:port; without port 2377 is meant. A host name is looked up now. */
    static InetSocketAddress parse(String address) {
        int colon = address.lastIndexOf(':');
        boolean hasPort = colon >= 0
                && (address.indexOf(':') == colon || (address.startsWith("[") && address.charAt(colon - 1) == ']'));
        String host = hasPort ? address.substring(0, colon) : address;
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        return new InetSocketAddress(host, hasPort ? Integer.parseInt(address.substring(colon + 1)) : PORT_DEFAULT);
    }
}
