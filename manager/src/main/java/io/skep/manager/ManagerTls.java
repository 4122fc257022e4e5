package io.skep.manager;

import io.grpc.netty.GrpcSslContexts;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.OpenSsl;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.skep.certs.TlsIdentity;
import javax.net.ssl.SSLException;

/** The TLS of the manager's port and of calls between managers (swarm-wire 1.1). */
final class ManagerTls {
    private static final String[] VERSIONS = {"TLSv1.3", "TLSv1.2"};

    private static final SslProvider PROVIDER = OpenSsl.isAvailable() ? SslProvider.OPENSSL : SslProvider.JDK;

    private ManagerTls() {}

    /** Callers may show no certificate, but one that they show must be good. */
    static SslContext server(TlsIdentity identity) {
        try {
            return GrpcSslContexts.configure(SslContextBuilder.forServer(identity.keyManager()), PROVIDER)
                    .trustManager(identity.clientTrust())
                    .clientAuth(ClientAuth.OPTIONAL)
                    .protocols(VERSIONS)
                    .sessionTimeout(TlsIdentity.SESSION_SECONDS)
                    .build();
        } catch (SSLException e) {
            throw new IllegalStateException("this Java cannot serve TLS with ALPN", e);
        }
    }

    /**
     * For calls to one manager.
     *
     * @param name what the callee's certificate must hold: the node id of a certain manager, or the role of any
     */
    static SslContext client(TlsIdentity identity, String name) {
        try {
            return GrpcSslContexts.configure(SslContextBuilder.forClient(), PROVIDER)
                    .keyManager(identity.keyManager())
                    .trustManager(identity.serverTrust(name))
                    .protocols(VERSIONS)
                    .sessionTimeout(TlsIdentity.SESSION_SECONDS)
                    .build();
        } catch (SSLException e) {
            throw new IllegalStateException("this Java cannot call over TLS with ALPN", e);
        }
    }
}
