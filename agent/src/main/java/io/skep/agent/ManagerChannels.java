package io.skep.agent;

import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.handler.ssl.SslContext;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import java.net.InetSocketAddress;
import java.time.InstantSource;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;

/**
 * Opens connections to managers. What is verified of a manager depends on how far the node has come (swarm-wire 1.2);
 * the address that is dialled is never checked, a manager is known by its certificate.
 */
final class ManagerChannels {
    /** Tells a manager that the node is one of Skep, and which version. */
    static final Metadata.Key<String> SKEP_NODE = Metadata.Key.of("skep-node", Metadata.ASCII_STRING_MARSHALLER);

    private static final int PORT_DEFAULT = 2377;
    private static final int MESSAGE_BYTES_MAX = Integer.MAX_VALUE;
    private static final long KEEP_ALIVE_SECONDS = 10;

    private final String version;
    private final InstantSource clock;

    /**
     * Opens channels for a node.
     *
     * @param version of Skep that managers are told this node has
     */
    ManagerChannels(String version, InstantSource clock) {
        this.version = version;
        this.clock = clock;
    }

    /** Trusts whoever answers: only for a root certificate that is checked against a token afterwards. */
    ManagedChannel unverified(String address) throws SSLException {
        return open(
                address,
                NodeIdentity.AUTHORITY_NAME,
                GrpcSslContexts.forClient()
                        .trustManager(TlsIdentity.unverifiedServerTrust())
                        .build());
    }

    /** Trusts a manager of the root, and shows no certificate. */
    ManagedChannel anonymous(String address, TrustRoot root) throws SSLException {
        TlsIdentity identity = new TlsIdentity(TlsMaterial.anonymous(root), clock);
        return open(
                address,
                NodeIdentity.AUTHORITY_NAME,
                GrpcSslContexts.forClient()
                        .trustManager(identity.serverTrust(NodeIdentity.AUTHORITY_NAME))
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
                GrpcSslContexts.forClient()
                        .trustManager(identity.serverTrust(name))
                        .keyManager(identity.keyManager())
                        .build());
    }

    private ManagedChannel open(String address, String name, SslContext tls) {
        Metadata metadata = new Metadata();
        metadata.put(SKEP_NODE, version);
        return NettyChannelBuilder.forAddress(parse(address))
                .overrideAuthority(name)
                .sslContext(tls)
                .intercept(MetadataUtils.newAttachHeadersInterceptor(metadata))
                .maxInboundMessageSize(MESSAGE_BYTES_MAX)
                .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
                .keepAliveTimeout(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
                .disableRetry()
                .build();
    }

    /** Reads host:port; without port 2377 is meant. A host name is looked up now. */
    static InetSocketAddress parse(String address) {
        int colon = address.lastIndexOf(':');
        boolean hasPort = colon >= 0 && (address.indexOf(':') == colon || (address.startsWith("[") && address.charAt(colon - 1) == ']'));
        String host = hasPort ? address.substring(0, colon) : address;
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        return new InetSocketAddress(host, hasPort ? Integer.parseInt(address.substring(colon + 1)) : PORT_DEFAULT);
    }
}
