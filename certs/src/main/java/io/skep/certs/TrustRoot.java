package io.skep.certs;

import com.google.protobuf.ByteString;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The root certificates that the nodes of a swarm trust, together with the exact bytes they came in: digests and join
 * tokens are made of the bytes, so they are never written anew.
 *
 * <p>Every certificate verifies against itself, is signed with RSA or ECDSA and SHA-256, 384 or 512, and its key is RSA
 * of 2048 bits or more or on P-256, P-384 or P-521 (swarm-wire 1.3).
 */
public final class TrustRoot {
    private static final Set<String> SIGNATURES = Set.of(
            "SHA256WITHRSA", "SHA384WITHRSA", "SHA512WITHRSA", "SHA256WITHECDSA", "SHA384WITHECDSA", "SHA512WITHECDSA");

    private final ByteString pem;
    private final List<X509Certificate> certificates;

    private TrustRoot(ByteString pem, List<X509Certificate> certificates) {
        this.pem = pem;
        this.certificates = certificates;
    }

    /** Reads a bundle of root certificates and checks each; dates are left to {@link #requireInDate}. */
    public static TrustRoot parse(ByteString pem) throws CredentialException {
        return parse(pem, "the root certificate");
    }

    static TrustRoot parse(ByteString pem, String what) throws CredentialException {
        List<X509Certificate> certificates = Certificates.parse(pem, what);
        for (X509Certificate certificate : certificates) {
            String name = what + " " + Certificates.name(certificate);
            String algorithm = certificate.getSigAlgName();
            if (!SIGNATURES.contains(algorithm.toUpperCase(Locale.ROOT))) {
                throw new CredentialException(
                        name + " is signed with " + algorithm + "; use RSA or ECDSA with SHA-256, SHA-384 or SHA-512");
            }
            if (!Certificates.isStrong(certificate.getPublicKey())) {
                throw new CredentialException(
                        name + " has a weak key; use RSA of at least 2048 bits, or ECDSA on P-256, P-384 or P-521");
            }
            try {
                certificate.verify(certificate.getPublicKey());
            } catch (GeneralSecurityException e) {
                throw new CredentialException(name + " is not a root: it is not signed by itself", e);
            }
        }
        return new TrustRoot(pem, certificates);
    }

    /** Fails when one of the certificates is not valid at that time. */
    public void requireInDate(Instant now) throws CredentialException {
        for (X509Certificate certificate : certificates) {
            if (now.isAfter(certificate.getNotAfter().toInstant())) {
                throw new CredentialException("the root certificate " + Certificates.name(certificate) + " expired on "
                        + certificate.getNotAfter().toInstant());
            }
            if (now.isBefore(certificate.getNotBefore().toInstant())) {
                throw new CredentialException("the root certificate " + Certificates.name(certificate)
                        + " is not valid before " + certificate.getNotBefore().toInstant() + " and it is " + now
                        + " here; is this machine's clock right?");
            }
        }
    }

    /** The bytes as they came and as they are served to joining nodes. */
    public ByteString pem() {
        return pem;
    }

    /** At least one. */
    public List<X509Certificate> certificates() {
        return certificates;
    }

    byte[] sha256() {
        try {
            return MessageDigest.getInstance("SHA-256").digest(pem.toByteArray());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this JDK has no SHA-256", e);
        }
    }

    /** {@code sha256:} and 64 hexadecimal digits, over the PEM bytes. */
    public String digest() {
        return "sha256:" + HexFormat.of().formatHex(sha256());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TrustRoot root && pem.equals(root.pem);
    }

    @Override
    public int hashCode() {
        return pem.hashCode();
    }

    @Override
    public String toString() {
        return "TrustRoot[" + digest() + "]";
    }
}
