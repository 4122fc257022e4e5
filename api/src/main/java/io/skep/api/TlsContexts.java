package io.skep.api;

import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** TLS as the API serves it: 1.2 or 1.3, with a client certificate demanded when roots for these are given. */
public final class TlsContexts {
    private TlsContexts() {}

    /**
     * Makes a context from what was read from files.
     *
     * @param chain server certificate first
     * @param clientRoots CAs whose client certificates are let in ({@code --tlsverify}), or null when none is asked for
     * @throws SSLException when the key does not fit, or a certificate cannot be used
     */
    public static SslContext server(
            PrivateKey key, List<X509Certificate> chain, @Nullable List<X509Certificate> clientRoots)
            throws SSLException {
        SslContextBuilder builder = SslContextBuilder.forServer(key, chain.toArray(new X509Certificate[0]))
                .sslProvider(SslProvider.JDK)
                .protocols("TLSv1.3", "TLSv1.2");
        if (clientRoots != null) {
            builder.trustManager(clientRoots.toArray(new X509Certificate[0])).clientAuth(ClientAuth.REQUIRE);
        }
        return builder.build();
    }
}
