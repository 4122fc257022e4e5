package io.skep.certs;

import com.google.protobuf.ByteString;
import java.security.KeyPair;
import java.security.NoSuchAlgorithmException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.interfaces.RSAKey;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.CertIOException;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;

/**
 * The authority behind the Docker API's mutual TLS: it certifies the engines' servers and the people who may command
 * them. It is the user's own, kept in a folder, and has nothing to do with the root of a swarm.
 *
 * <p>Immutable, safe for use by many threads.
 */
final class ApiCertificateAuthority {
    /** The kind of new keys. */
    enum KeyType {
        ECDSA,
        RSA;

        /** As strong as P-256; longer keys take minutes to make on a small board. */
        private static final int RSA_BITS = 3072;

        KeyPair generate() {
            return switch (this) {
                case ECDSA -> PrivateKeys.generateEcdsa();
                case RSA -> PrivateKeys.generateRsa(RSA_BITS);
            };
        }

        static KeyType of(PublicKey key) {
            return key instanceof RSAKey ? RSA : ECDSA;
        }
    }

    /** Certificates begin a little in the past, as clocks differ. */
    private static final Duration BACKDATE = Duration.ofHours(1);

    private final X509Certificate certificate;
    private final PrivateKey key;
    private final SecureRandom random = new SecureRandom();

    private ApiCertificateAuthority(X509Certificate certificate, PrivateKey key) {
        this.certificate = certificate;
        this.key = key;
    }

    static ApiCertificateAuthority create(KeyType keyType, Duration validity, Instant now) throws CredentialException {
        byte[] suffix = new byte[4];
        new SecureRandom().nextBytes(suffix);
        // With a name of its own, a certificate of another folder's authority is recognised in the log.
        X500Name subject = new X500NameBuilder(BCStyle.INSTANCE)
                .addRDN(BCStyle.O, "skep")
                .addRDN(BCStyle.CN, "skep API authority " + HexFormat.of().formatHex(suffix))
                .build();
        KeyPair keyPair = keyType.generate();
        return new ApiCertificateAuthority(
                certifyAuthority(subject, keyPair.getPublic(), keyPair.getPrivate(), validity, now),
                keyPair.getPrivate());
    }

    static ApiCertificateAuthority of(X509Certificate certificate, PrivateKey key, String what)
            throws CredentialException {
        if (!Certificates.isAuthority(certificate)) {
            throw new CredentialException(what + " is not an authority's certificate");
        }
        if (!PrivateKeys.match(certificate.getPublicKey(), key)) {
            throw new CredentialException("the authority's key does not belong to " + what);
        }
        return new ApiCertificateAuthority(certificate, key);
    }

    /** The same key and name with a new time; certificates that were issued stay good. */
    ApiCertificateAuthority renewed(Duration validity, Instant now) throws CredentialException {
        return new ApiCertificateAuthority(
                certifyAuthority(subject(), certificate.getPublicKey(), key, validity, now), key);
    }

    private static X509Certificate certifyAuthority(
            X500Name subject, PublicKey publicKey, PrivateKey privateKey, Duration validity, Instant now)
            throws CredentialException {
        try {
            X509v3CertificateBuilder builder = new X509v3CertificateBuilder(
                    subject,
                    Certificates.serial(new SecureRandom()),
                    Date.from(now.minus(BACKDATE)),
                    Date.from(now.plus(validity)),
                    subject,
                    SubjectPublicKeyInfo.getInstance(publicKey.getEncoded()));
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(true));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
            builder.addExtension(
                    Extension.subjectKeyIdentifier,
                    false,
                    new JcaX509ExtensionUtils().createSubjectKeyIdentifier(publicKey));
            return RootCertificateAuthority.sign(builder, privateKey);
        } catch (NoSuchAlgorithmException | CertIOException e) {
            throw new IllegalStateException("cannot make an authority's certificate", e);
        }
    }

    /**
     * Certifies an engine's server.
     *
     * @param addresses what clients may call it by; at least one
     */
    X509Certificate server(
            String name, List<HostAddress> addresses, PublicKey publicKey, Duration validity, Instant now)
            throws CredentialException {
        List<GeneralName> names = new ArrayList<>();
        for (HostAddress address : addresses) {
            names.add(new GeneralName(address.isIp() ? GeneralName.iPAddress : GeneralName.dNSName, address.text()));
        }
        return leaf(name, names, KeyPurposeId.id_kp_serverAuth, publicKey, validity, now);
    }

    /** Certifies somebody who may command the engines. */
    X509Certificate client(String name, PublicKey publicKey, Duration validity, Instant now)
            throws CredentialException {
        return leaf(name, List.of(), KeyPurposeId.id_kp_clientAuth, publicKey, validity, now);
    }

    private X509Certificate leaf(
            String name,
            List<GeneralName> names,
            KeyPurposeId purpose,
            PublicKey publicKey,
            Duration validity,
            Instant now)
            throws CredentialException {
        Instant end = certificate.getNotAfter().toInstant();
        if (!end.isAfter(now)) {
            throw new CredentialException("the authority expired on " + end + "; renew it first: skep certs renew ca");
        }
        Instant notAfter = now.plus(validity).isAfter(end) ? end : now.plus(validity);
        int usage = publicKey instanceof RSAKey
                ? KeyUsage.digitalSignature | KeyUsage.keyEncipherment
                : KeyUsage.digitalSignature;
        try {
            JcaX509ExtensionUtils extensions = new JcaX509ExtensionUtils();
            X509v3CertificateBuilder builder = new X509v3CertificateBuilder(
                    subject(),
                    Certificates.serial(random),
                    Date.from(now.minus(BACKDATE)),
                    Date.from(notAfter),
                    new X500NameBuilder(BCStyle.INSTANCE)
                            .addRDN(BCStyle.CN, name)
                            .build(),
                    SubjectPublicKeyInfo.getInstance(publicKey.getEncoded()));
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(usage));
            builder.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(purpose));
            builder.addExtension(
                    Extension.subjectKeyIdentifier, false, extensions.createSubjectKeyIdentifier(publicKey));
            builder.addExtension(
                    Extension.authorityKeyIdentifier,
                    false,
                    extensions.createAuthorityKeyIdentifier(certificate.getPublicKey()));
            if (!names.isEmpty()) {
                builder.addExtension(
                        Extension.subjectAlternativeName, false, new GeneralNames(names.toArray(GeneralName[]::new)));
            }
            return RootCertificateAuthority.sign(builder, key);
        } catch (NoSuchAlgorithmException | CertIOException e) {
            throw new IllegalStateException("cannot make a certificate", e);
        }
    }

    /** The common name of a subject. */
    static String commonName(X509Certificate certificate) {
        X500Name subject =
                X500Name.getInstance(certificate.getSubjectX500Principal().getEncoded());
        ASN1ObjectIdentifier type = BCStyle.CN;
        return subject.getRDNs(type).length == 0
                ? Certificates.name(certificate)
                : subject.getRDNs(type)[0].getFirst().getValue().toString();
    }

    private X500Name subject() {
        return X500Name.getInstance(certificate.getSubjectX500Principal().getEncoded());
    }

    X509Certificate certificate() {
        return certificate;
    }

    ByteString certificatePem() {
        return Certificates.encode(List.of(certificate));
    }

    PrivateKey key() {
        return key;
    }
}
