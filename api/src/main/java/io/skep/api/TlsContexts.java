package io.skep.api;

import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import java.time.InstantSource;
import javax.net.ssl.SSLException;

/** TLS as the API serves it: 1.2 or 1.3, with a client certificate demanded where clients are verified. */
public final class TlsContexts {
    private TlsContexts() {}

    /**
     * Makes a context from what was read from files.
     *
     * @param material with the server's certificate and key
     * @param verifyClients whether clients must show a certificate of one of the roots ({@code --tlsverify})
     * @throws SSLException when the key does not fit, or a certificate cannot be used
     */
    public static SslContext server(TlsMaterial material, boolean verifyClients) throws SSLException {
        TlsIdentity identity = new TlsIdentity(material, InstantSource.system());
        SslContextBuilder builder = SslContextBuilder.forServer(identity.keyManager())
                .sslProvider(SslProvider.JDK)
                .protocols("TLSv1.3", "TLSv1.2")
                .sessionTimeout(TlsIdentity.SESSION_SECONDS);
        if (verifyClients) {
            builder.trustManager(identity.clientTrust()).clientAuth(ClientAuth.REQUIRE);
        }
        return builder.build();
    }
}
