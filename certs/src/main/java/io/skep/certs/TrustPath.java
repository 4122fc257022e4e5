package io.skep.certs;

import java.security.GeneralSecurityException;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateParsingException;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The way from a peer's certificate to a root that is trusted, verified step by step so that a refusal can say what is
 * wrong.
 *
 * <p>The certificates must come in order, each signed by the next, as TLS demands. The way ends at the first that a
 * trusted root has signed or that is one itself; what the peer sends after it is not looked at, so that a peer may send
 * a cross-signed certificate that is no longer needed.
 */
final class TrustPath {
    /** What a certificate must be made for. A certificate that names no purposes is good for each. */
    enum Purpose {
        SERVER("1.3.6.1.5.5.7.3.1", "a server"),
        CLIENT("1.3.6.1.5.5.7.3.2", "a client");

        private static final String ANY = "2.5.29.37.0";
        private final String oid;
        private final String text;

        Purpose(String oid, String text) {
            this.oid = oid;
            this.text = text;
        }
    }

    private static final int DNS_NAME = 2;

    private TrustPath() {}

    /**
     * Verifies a peer's certificates.
     *
     * @return the verified certificates from the leaf to the root; one only if the leaf itself is trusted
     */
    static List<X509Certificate> verify(
            List<X509Certificate> chain, Collection<X509Certificate> roots, Instant now, Purpose purpose)
            throws PeerRefusedException {
        if (chain.isEmpty()) {
            throw new PeerRefusedException(PeerRefusal.MISSING, "it showed no certificate");
        }
        X509Certificate leaf = chain.getFirst();
        List<X509Certificate> path = findRoot(own(chain), roots);
        for (X509Certificate certificate : path) {
            requireInDate(certificate, now);
        }
        X509Certificate root = path.getLast();
        if (path.size() > 1) {
            try {
                PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
                parameters.setRevocationEnabled(false);
                parameters.setDate(Date.from(now));
                parameters.setSigProvider(EllipticSignatures.providerFor(path));
                CertPathValidator.getInstance("PKIX")
                        .validate(
                                CertificateFactory.getInstance("X.509")
                                        .generateCertPath(path.subList(0, path.size() - 1)),
                                parameters);
            } catch (CertPathValidatorException e) {
                throw new PeerRefusedException(
                        PeerRefusal.INVALID, quoted(leaf) + " is not acceptable: " + e.getMessage(), e);
            } catch (GeneralSecurityException e) {
                throw new PeerRefusedException(PeerRefusal.INVALID, quoted(leaf) + " cannot be verified", e);
            }
        }
        requirePurpose(leaf, purpose);
        return path;
    }

    /**
     * The certificates as objects of the JDK's own: they remember that their signature was checked. A TLS library may
     * hand over others, each of which the JDK would read and check anew.
     */
    private static List<X509Certificate> own(List<X509Certificate> chain) throws PeerRefusedException {
        List<X509Certificate> own = new ArrayList<>(chain.size());
        try {
            for (X509Certificate certificate : chain) {
                own.add(Certificates.own(certificate));
            }
            return own;
        } catch (CertificateException e) {
            throw new PeerRefusedException(PeerRefusal.INVALID, "it showed a damaged certificate", e);
        }
    }

    private static List<X509Certificate> findRoot(List<X509Certificate> chain, Collection<X509Certificate> roots)
            throws PeerRefusedException {
        List<X509Certificate> path = new ArrayList<>();
        for (X509Certificate certificate : chain) {
            path.add(certificate);
            if (roots.contains(certificate)) {
                return path;
            }
            for (X509Certificate root : roots) {
                if (isSignedBy(certificate, root)) {
                    path.add(root);
                    return path;
                }
            }
        }
        X509Certificate leaf = chain.getFirst();
        throw new PeerRefusedException(
                PeerRefusal.UNKNOWN_ISSUER,
                quoted(leaf) + " was issued by \""
                        + chain.getLast().getIssuerX500Principal().getName()
                        + "\", which is not an authority that is trusted here");
    }

    static boolean isSignedBy(X509Certificate certificate, X509Certificate issuer) {
        if (!certificate.getIssuerX500Principal().equals(issuer.getSubjectX500Principal())) {
            return false;
        }
        try {
            String provider = EllipticSignatures.providerFor(certificate.getSigAlgName(), issuer.getPublicKey());
            if (provider == null) {
                certificate.verify(issuer.getPublicKey());
            } else {
                certificate.verify(issuer.getPublicKey(), provider);
            }
            return true;
        } catch (GeneralSecurityException e) {
            return false;
        }
    }

    private static void requireInDate(X509Certificate certificate, Instant now) throws PeerRefusedException {
        Instant notAfter = certificate.getNotAfter().toInstant();
        if (now.isAfter(notAfter)) {
            throw new PeerRefusedException(PeerRefusal.EXPIRED, quoted(certificate) + " expired on " + notAfter);
        }
        Instant notBefore = certificate.getNotBefore().toInstant();
        if (now.isBefore(notBefore)) {
            throw new PeerRefusedException(
                    PeerRefusal.NOT_YET_VALID,
                    quoted(certificate) + " is not valid before " + notBefore + " and it is " + now + " here");
        }
    }

    private static void requirePurpose(X509Certificate leaf, Purpose purpose) throws PeerRefusedException {
        @Nullable List<String> usages;
        try {
            usages = leaf.getExtendedKeyUsage();
        } catch (CertificateParsingException e) {
            throw new PeerRefusedException(PeerRefusal.INVALID, quoted(leaf) + " is damaged", e);
        }
        if (usages != null && !usages.contains(purpose.oid) && !usages.contains(Purpose.ANY)) {
            throw new PeerRefusedException(
                    PeerRefusal.WRONG_PURPOSE, quoted(leaf) + " was not made for " + purpose.text);
        }
    }

    /** Fails unless the certificate holds the DNS name, letter by letter; wildcards are not looked at. */
    static void requireName(X509Certificate leaf, String expected) throws PeerRefusedException {
        try {
            Collection<List<?>> names = leaf.getSubjectAlternativeNames();
            if (names != null) {
                for (List<?> name : names) {
                    if (name.get(0).equals(DNS_NAME)
                            && name.get(1).toString().toLowerCase(Locale.ROOT).equals(expected)) {
                        return;
                    }
                }
            }
        } catch (CertificateParsingException e) {
            throw new PeerRefusedException(PeerRefusal.INVALID, quoted(leaf) + " is damaged", e);
        }
        throw new PeerRefusedException(PeerRefusal.WRONG_NAME, quoted(leaf) + " is not one of " + expected);
    }

    private static String quoted(X509Certificate certificate) {
        return "the certificate \"" + Certificates.name(certificate) + "\"";
    }
}
