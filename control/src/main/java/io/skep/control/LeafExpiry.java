package io.skep.control;

import io.skep.wire.Cluster;
import io.skep.wire.Node;
import java.io.IOException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;

/** When the certificate of a node ends, and with it the need to refuse it. */
final class LeafExpiry {
    static final Duration CERTIFICATE_EXPIRY_DEFAULT = Duration.ofDays(90);

    private LeafExpiry() {}

    /** Returns the end of the node's certificate, or the latest it may have if it cannot be read. */
    static Instant of(Node node, Cluster cluster, Instant now) {
        if (!node.getCertificate().getCertificate().isEmpty()) {
            try (var in = node.getCertificate().getCertificate().newInput()) {
                X509Certificate leaf = (X509Certificate)
                        CertificateFactory.getInstance("X.509").generateCertificate(in);
                return leaf.getNotAfter().toInstant();
            } catch (CertificateException | IOException e) {
                return latest(cluster, now);
            }
        }
        return latest(cluster, now);
    }

    private static Instant latest(Cluster cluster, Instant now) {
        Duration expiry = Times.duration(cluster.getSpec().getCaConfig().getNodeCertExpiry());
        return now.plus(expiry.isPositive() ? expiry : CERTIFICATE_EXPIRY_DEFAULT);
    }
}
