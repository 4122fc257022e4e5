package io.skep.api;

import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
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
            builder.trustManager(new UnnamedIssuers(trustIn(clientRoots))).clientAuth(ClientAuth.REQUIRE);
        }
        return builder.build();
    }

    private static X509ExtendedTrustManager trustIn(List<X509Certificate> roots) throws SSLException {
        try {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            for (int i = 0; i < roots.size(); i++) {
                store.setCertificateEntry("root" + i, roots.get(i));
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            for (TrustManager manager : factory.getTrustManagers()) {
                if (manager instanceof X509ExtendedTrustManager extended) {
                    return extended;
                }
            }
            throw new SSLException("this Java has no X.509 trust manager");
        } catch (GeneralSecurityException | IOException e) {
            throw new SSLException("the CA certificates cannot be used: " + e.getMessage(), e);
        }
    }

    /**
     * A trust manager that does not tell clients which issuers it accepts. A client that is told, as the docker CLI,
     * does not show a certificate of another issuer at all, and the log could only say that there was none.
     */
    private static final class UnnamedIssuers extends X509ExtendedTrustManager {
        private final X509ExtendedTrustManager judge;

        UnnamedIssuers(X509ExtendedTrustManager judge) {
            this.judge = judge;
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            judge.checkClientTrusted(chain, authType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
                throws CertificateException {
            judge.checkClientTrusted(chain, authType, socket);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
                throws CertificateException {
            judge.checkClientTrusted(chain, authType, engine);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            judge.checkServerTrusted(chain, authType);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
                throws CertificateException {
            judge.checkServerTrusted(chain, authType, socket);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
                throws CertificateException {
            judge.checkServerTrusted(chain, authType, engine);
        }
    }
}
