package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.ByteArrayInputStream;
import java.math.BigInteger;
import java.security.PublicKey;
import java.security.cert.CertificateEncodingException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECKey;
import java.security.interfaces.RSAKey;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** What all certificates here have in common: PEM, serial numbers, and the keys that are good enough. */
final class Certificates {
    private static final Set<Integer> CURVE_BITS = Set.of(256, 384, 521);

    private Certificates() {}

    /**
     * The certificates of a PEM text in their order; other blocks are passed over.
     *
     * @return never empty
     */
    static List<X509Certificate> parse(ByteString pem, String what) throws CredentialException {
        List<X509Certificate> certificates = new ArrayList<>();
        for (Pem block : Pem.parse(pem, what)) {
            if (block.type().equals(Pem.CERTIFICATE)) {
                certificates.add(fromDer(block.content().toByteArray(), what));
            }
        }
        if (certificates.isEmpty()) {
            throw new CredentialException(what + " holds no certificate");
        }
        return List.copyOf(certificates);
    }

    static X509Certificate fromDer(byte[] der, String what) throws CredentialException {
        try {
            return (X509Certificate)
                    CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
        } catch (CertificateException e) {
            throw new CredentialException(what + " holds a damaged certificate", e);
        }
    }

    /** The same certificate as an object of the JDK's own. */
    static X509Certificate own(X509Certificate certificate) throws CertificateException {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(certificate.getEncoded()));
    }

    static ByteString encode(List<X509Certificate> chain) {
        StringBuilder text = new StringBuilder();
        for (X509Certificate certificate : chain) {
            try {
                text.append(new Pem(Pem.CERTIFICATE, certificate.getEncoded()).encode());
            } catch (CertificateEncodingException e) {
                throw new IllegalStateException("a parsed certificate has no encoding", e);
            }
        }
        return ByteString.copyFromUtf8(text.toString());
    }

    /** A serial number of 20 random bytes whose top bit is clear, so that it is positive. */
    static BigInteger serial(Random random) {
        byte[] bytes = new byte[20];
        random.nextBytes(bytes);
        bytes[0] &= 0x7f;
        return new BigInteger(1, bytes);
    }

    /** Whether a key is RSA of at least 2048 bits, or on P-256, P-384 or P-521 (swarm-wire 1.3). */
    static boolean isStrong(PublicKey key) {
        if (key instanceof RSAKey rsa) {
            return rsa.getModulus().bitLength() >= 2048;
        }
        return key instanceof ECKey ec
                && CURVE_BITS.contains(ec.getParams().getCurve().getField().getFieldSize());
    }

    static boolean isAuthority(X509Certificate certificate) {
        return certificate.getBasicConstraints() >= 0;
    }

    /** How messages name a certificate. */
    static String name(X509Certificate certificate) {
        return certificate.getSubjectX500Principal().getName();
    }
}
