package io.skep.certs;

import java.net.Socket;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.List;
import java.util.Locale;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * The key and trust managers of one TLS endpoint, whose certificates can be exchanged while it runs.
 *
 * <p>A handshake uses the material that is current when it starts to choose a certificate; connections that stand are
 * not touched. The managers stay the same objects for ever, so an {@code SSLContext} built with them once never needs
 * to be built again. Safe for use by many threads.
 *
 * <p>The JDK asks for a certificate in two steps, first for a name, then for the chain and the key under that name. So
 * that an exchange between the steps cannot pair the chain of one with the key of the other, names are numbered and the
 * previous material stays reachable.
 *
 * <p>A client's trust manager checks the server's name itself, whatever the engine's endpoint identification says.
 */
public final class TlsIdentity {
    /**
     * How long a TLS session may be resumed, in seconds: that is not verified again, so an expired peer lives on so
     * long.
     */
    public static final int SESSION_SECONDS = 300;

    private final InstantSource clock;
    private volatile Generation generation;

    private record Generation(
            long number, TlsMaterial material, @Nullable Generation previous) {}

    public TlsIdentity(TlsMaterial initial, InstantSource clock) {
        this.clock = clock;
        this.generation = new Generation(0, initial, null);
    }

    /** From now on handshakes use this material. */
    public synchronized void replace(TlsMaterial next) {
        Generation old = generation;
        generation = new Generation(old.number + 1, next, new Generation(old.number, old.material, null));
    }

    public TlsMaterial current() {
        return generation.material;
    }

    /** What this endpoint shows, as a server or as a client. */
    public X509ExtendedKeyManager keyManager() {
        return new Keys();
    }

    /** For a server: verifies clients. */
    public X509ExtendedTrustManager clientTrust() {
        return new Trust(TrustPath.Purpose.CLIENT, null);
    }

    /**
     * For a client: verifies servers.
     *
     * @param expectedName DNS name that the server's certificate must hold, in small letters
     */
    public X509ExtendedTrustManager serverTrust(String expectedName) {
        return new Trust(TrustPath.Purpose.SERVER, expectedName.toLowerCase(Locale.ROOT));
    }

    /**
     * For the one call that downloads the root certificate: accepts any server, because what it sends is then compared
     * with the join token's digest. For nothing else.
     */
    public static X509ExtendedTrustManager unverifiedServerTrust() {
        return new Unverified();
    }

    private final class Keys extends X509ExtendedKeyManager {
        private @Nullable String choose(@Nullable String... keyTypes) {
            Generation now = generation;
            PrivateKey key = now.material.privateKey();
            if (key != null) {
                for (String keyType : keyTypes) {
                    if (key.getAlgorithm().equals(keyType)) {
                        return Long.toString(now.number);
                    }
                }
            }
            return null;
        }

        private @Nullable TlsMaterial find(@Nullable String alias) {
            for (Generation candidate = generation; candidate != null; candidate = candidate.previous) {
                if (Long.toString(candidate.number).equals(alias)) {
                    return candidate.material;
                }
            }
            return null;
        }

        @Override
        public @Nullable String chooseEngineServerAlias(
                String keyType, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
            return choose(keyType);
        }

        @Override
        public @Nullable String chooseEngineClientAlias(
                String[] keyTypes, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
            return choose(keyTypes);
        }

        @Override
        public @Nullable String chooseServerAlias(
                String keyType, Principal @Nullable [] issuers, @Nullable Socket socket) {
            return choose(keyType);
        }

        @Override
        public @Nullable String chooseClientAlias(
                String[] keyTypes, Principal @Nullable [] issuers, @Nullable Socket socket) {
            return choose(keyTypes);
        }

        @Override
        public String @Nullable [] getServerAliases(String keyType, Principal @Nullable [] issuers) {
            String alias = choose(keyType);
            return alias == null ? null : new String[] {alias};
        }

        @Override
        public String @Nullable [] getClientAliases(String keyType, Principal @Nullable [] issuers) {
            return getServerAliases(keyType, issuers);
        }

        @Override
        public X509Certificate @Nullable [] getCertificateChain(@Nullable String alias) {
            TlsMaterial material = find(alias);
            return material == null ? null : material.chain().toArray(X509Certificate[]::new);
        }

        @Override
        public @Nullable PrivateKey getPrivateKey(@Nullable String alias) {
            TlsMaterial material = find(alias);
            return material == null ? null : material.privateKey();
        }
    }

    private final class Trust extends X509ExtendedTrustManager {
        private final TrustPath.Purpose purpose;
        private final @Nullable String expectedName;

        private Trust(TrustPath.Purpose purpose, @Nullable String expectedName) {
            this.purpose = purpose;
            this.expectedName = expectedName;
        }

        private void verify(X509Certificate @Nullable [] chain, TrustPath.Purpose asked) throws CertificateException {
            if (asked != purpose) {
                throw new CertificateException("this trust manager verifies the other side of connections");
            }
            List<X509Certificate> certificates = chain == null ? List.of() : List.of(chain);
            TrustPath.verify(certificates, generation.material.roots(), clock.instant(), purpose);
            if (expectedName != null) {
                TrustPath.requireName(certificates.getFirst(), expectedName);
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            verify(chain, TrustPath.Purpose.CLIENT);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, @Nullable Socket socket)
                throws CertificateException {
            verify(chain, TrustPath.Purpose.CLIENT);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, @Nullable SSLEngine engine)
                throws CertificateException {
            verify(chain, TrustPath.Purpose.CLIENT);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            verify(chain, TrustPath.Purpose.SERVER);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, @Nullable Socket socket)
                throws CertificateException {
            verify(chain, TrustPath.Purpose.SERVER);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, @Nullable SSLEngine engine)
                throws CertificateException {
            verify(chain, TrustPath.Purpose.SERVER);
        }

        /**
         * None: a client that is told which issuers are accepted keeps a certificate of another to itself, and the
         * refusal could only say that there was none.
         */
        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    private static final class Unverified extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType) throws CertificateException {
            throw new CertificateException("clients are never accepted unverified");
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, @Nullable Socket socket)
                throws CertificateException {
            checkClientTrusted(chain, authType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String authType, @Nullable SSLEngine engine)
                throws CertificateException {
            checkClientTrusted(chain, authType);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, @Nullable Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String authType, @Nullable SSLEngine engine) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
