package io.skep.daemon;

import io.netty.handler.ssl.SslContext;
import io.skep.api.TlsContexts;
import io.skep.certs.CredentialException;
import io.skep.certs.ExpiryWarnings;
import io.skep.certs.TlsMaterial;
import io.skep.daemon.config.Configuration.Tls;
import io.skep.daemon.config.Configuration.TlsMode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The certificate and key that the API shows on TCP, and the roots of its clients', as they are in the files. When the
 * files change, new connections get the new ones; connections that are there keep what they have. Files that cannot be
 * used leave the old ones in place.
 *
 * <p>The files are compared with what was loaded each time {@link #check()} is called. They are read only once they
 * look the same at two calls: three files are not copied at one instant, and certificates without their key are of no
 * use. Safe for use by several threads.
 */
final class ServerCertificates implements Supplier<SslContext> {
    private static final Logger LOG = LoggerFactory.getLogger(ServerCertificates.class);

    private final Tls tls;
    private final ExpiryWarnings expiry = new ExpiryWarnings();
    private volatile Loaded loaded;
    private List<String> tried;
    private List<String> seen;

    /** What is in use. */
    private record Loaded(TlsMaterial material, SslContext context) {}

    private ServerCertificates(Tls tls) throws CredentialException, SSLException {
        this.tls = tls;
        this.tried = fingerprints();
        this.seen = tried;
        this.loaded = load(tls);
    }

    /** Reads the files for the first time. */
    static ServerCertificates open(Tls tls) throws StartException {
        try {
            return new ServerCertificates(tls);
        } catch (CredentialException | SSLException e) {
            throw new StartException("TLS: " + e.getMessage(), e);
        }
    }

    /** Returns the context for the next connection. */
    @Override
    public SslContext get() {
        return loaded.context();
    }

    /** Takes over files that changed and are at rest since the last call. */
    synchronized void check() {
        List<String> now = fingerprints();
        boolean atRest = now.equals(seen);
        seen = now;
        if (atRest && !now.equals(tried)) {
            reload();
        }
    }

    /** Reads the files now. */
    synchronized void reload() {
        tried = fingerprints();
        try {
            loaded = load(tls);
            LOG.info("TLS certificates reloaded: new connections get {}", loaded.material());
        } catch (CredentialException | SSLException e) {
            LOG.warn("TLS certificates not reloaded, the old ones stay in use: {}", e.getMessage());
        }
    }

    /** Returns which of the certificates in use expire soon, a sentence each. */
    List<String> expiryWarnings(Instant now) {
        return ExpiryWarnings.current(named(), now);
    }

    /** Logs those of the warnings that are new. */
    void logExpiry() {
        expiry.due(named(), Instant.now()).forEach(LOG::warn);
    }

    private Map<String, X509Certificate> named() {
        Map<String, X509Certificate> named = new LinkedHashMap<>();
        TlsMaterial material = loaded.material();
        named.put(
                "the API's server certificate " + tls.certificate(),
                material.chain().getFirst());
        for (X509Certificate root : material.roots()) {
            named.put("the CA certificate " + tls.caCertificates() + " (" + root.getSubjectX500Principal() + ")", root);
        }
        return named;
    }

    private static Loaded load(Tls tls) throws CredentialException, SSLException {
        boolean mutual = tls.mode() == TlsMode.MUTUAL;
        TlsMaterial material = TlsMaterial.load(mutual ? tls.caCertificates() : null, tls.certificate(), tls.key());
        return new Loaded(material, TlsContexts.server(material, mutual));
    }

    /** Returns a text for each file that changes when the file does. */
    private List<String> fingerprints() {
        return Stream.of(tls.caCertificates(), tls.certificate(), tls.key())
                .map(ServerCertificates::fingerprint)
                .toList();
    }

    private static String fingerprint(Path file) {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            return attributes.lastModifiedTime().toInstant() + " " + attributes.size() + " " + attributes.fileKey();
        } catch (IOException _) {
            return "missing";
        }
    }
}
