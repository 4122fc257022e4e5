package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.NoSuchAlgorithmException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Date;
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
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * The root certificate authority of a swarm: the trusted root and a key that signs node certificates (swarm-wire 1.3).
 *
 * <p>Outside of a rotation the root and the signer are the same certificate. While the root is being rotated
 * ({@link #rotatingTo}) the old root is still what nodes trust, the new key signs, and the certificate of the new key
 * signed by the old one travels with every leaf as an intermediate.
 *
 * <p>Immutable, safe for use by many threads.
 */
public final class RootCertificateAuthority {
    /** How long a node certificate is valid unless the cluster's specification says otherwise. */
    public static final Duration DEFAULT_VALIDITY = Duration.ofDays(90);

    /** The shortest validity; anything below means the default. */
    public static final Duration MINIMUM_VALIDITY = Duration.ofHours(1);

    private static final Duration ROOT_VALIDITY = Duration.ofDays(7300);
    private static final Duration ROOT_BACKDATE = Duration.ofMinutes(5);
    private static final Duration LEAF_BACKDATE = Duration.ofHours(1);
    private static final X500Name ROOT_SUBJECT = new X500NameBuilder(BCStyle.INSTANCE)
            .addRDN(BCStyle.CN, NodeIdentity.AUTHORITY_NAME)
            .build();

    private final TrustRoot trustRoot;
    private final X509Certificate signer;
    private final PrivateKey signerKey;
    private final ByteString signerKeyPem;
    private final List<X509Certificate> intermediates;
    private final SecureRandom random = new SecureRandom();

    private RootCertificateAuthority(
            TrustRoot trustRoot,
            X509Certificate signer,
            PrivateKey signerKey,
            ByteString signerKeyPem,
            List<X509Certificate> intermediates) {
        this.trustRoot = trustRoot;
        this.signer = signer;
        this.signerKey = signerKey;
        this.signerKeyPem = signerKeyPem;
        this.intermediates = intermediates;
    }

    /** Makes a new root with a new key. */
    public static RootCertificateAuthority create(Instant now) {
        KeyPair keyPair = PrivateKeys.generateEcdsa();
        Instant notBefore = now.plusSeconds(30).truncatedTo(ChronoUnit.MINUTES).minus(ROOT_BACKDATE);
        try {
            X509v3CertificateBuilder builder = new X509v3CertificateBuilder(
                    ROOT_SUBJECT,
                    Certificates.serial(new SecureRandom()),
                    Date.from(notBefore),
                    Date.from(notBefore.plus(ROOT_VALIDITY)),
                    ROOT_SUBJECT,
                    SubjectPublicKeyInfo.getInstance(keyPair.getPublic().getEncoded()));
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(true));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
            builder.addExtension(
                    Extension.subjectKeyIdentifier,
                    false,
                    new JcaX509ExtensionUtils().createSubjectKeyIdentifier(keyPair.getPublic()));
            X509Certificate certificate = sign(builder, keyPair.getPrivate());
            return load(
                    Certificates.encode(List.of(certificate)),
                    ByteString.copyFromUtf8(PrivateKeys.encode(keyPair.getPrivate())));
        } catch (IOException | NoSuchAlgorithmException | CredentialException e) {
            throw new IllegalStateException("cannot make a root certificate", e);
        }
    }

    /**
     * Takes a root that exists, made here, by another manager or by the user.
     *
     * @param certificatePem the bundle that nodes trust; one of its certificates belongs to the key
     * @param keyPem PKCS#8, PKCS#1 or SEC 1
     */
    public static RootCertificateAuthority load(ByteString certificatePem, ByteString keyPem)
            throws CredentialException {
        TrustRoot root = TrustRoot.parse(certificatePem);
        PrivateKey key = PrivateKeys.parse(keyPem, "the root's key", null);
        for (X509Certificate certificate : root.certificates()) {
            if (PrivateKeys.match(certificate.getPublicKey(), key)) {
                return new RootCertificateAuthority(root, certificate, key, keyPem, List.of());
            }
        }
        throw new CredentialException("the root's key does not belong to the root certificate");
    }

    /**
     * Signs for a root that is being introduced, while this one is still trusted.
     *
     * @param next the new root with its key
     * @param crossSignedPem the new root's certificate signed by this one, from {@link #crossSign}
     */
    public RootCertificateAuthority rotatingTo(RootCertificateAuthority next, ByteString crossSignedPem)
            throws CredentialException {
        List<X509Certificate> crossSigned = Certificates.parse(crossSignedPem, "the cross-signed certificate");
        if (!crossSigned.getFirst().getPublicKey().equals(next.signer.getPublicKey())) {
            throw new CredentialException("the cross-signed certificate is not of the new root");
        }
        return new RootCertificateAuthority(trustRoot, next.signer, next.signerKey, next.signerKeyPem, crossSigned);
    }

    /**
     * Certifies another root's key with this root's: same subject, validity and extensions, so that whatever the new
     * key signs is also trusted by those who know only the old root.
     *
     * @param next the new root's PEM; its first certificate is meant
     * @return PEM of the one certificate
     */
    public ByteString crossSign(TrustRoot next) throws CredentialException {
        try {
            X509CertificateHolder template =
                    new JcaX509CertificateHolder(next.certificates().getFirst());
            X509v3CertificateBuilder builder = new X509v3CertificateBuilder(
                    X500Name.getInstance(signer.getSubjectX500Principal().getEncoded()),
                    template.getSerialNumber(),
                    template.getNotBefore(),
                    template.getNotAfter(),
                    template.getSubject(),
                    template.getSubjectPublicKeyInfo());
            for (Object oid : template.getExtensionOIDs()) {
                if (!oid.equals(Extension.authorityKeyIdentifier)) {
                    builder.addExtension(template.getExtension((ASN1ObjectIdentifier) oid));
                }
            }
            builder.addExtension(
                    Extension.authorityKeyIdentifier,
                    false,
                    new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(signer.getPublicKey()));
            return Certificates.encode(List.of(sign(builder, signerKey)));
        } catch (GeneralSecurityException | CertIOException e) {
            throw new CredentialException("the new root cannot be signed by the old one", e);
        }
    }

    /**
     * Certifies a node's key. Of the request only its key is used.
     *
     * @param requestPem the node's certificate request
     * @param identity who the node is
     * @param validity from now on; below {@link #MINIMUM_VALIDITY} the default is taken
     * @return the PEM chain that the node is given: its certificate and the intermediates
     * @throws CredentialException when the request is damaged, forged or its key weak: it will never be signed
     */
    public ByteString sign(ByteString requestPem, NodeIdentity identity, Duration validity, Instant now)
            throws CredentialException {
        PublicKey key = CertificateRequest.verifiedKey(requestPem);
        Duration lifetime = validity.compareTo(MINIMUM_VALIDITY) < 0 ? DEFAULT_VALIDITY : validity;
        X500Name subject = new X500NameBuilder(BCStyle.INSTANCE)
                .addRDN(BCStyle.O, identity.clusterId())
                .addRDN(BCStyle.OU, identity.roleName())
                .addRDN(BCStyle.CN, identity.nodeId())
                .build();
        List<GeneralName> names = new ArrayList<>();
        names.add(new GeneralName(GeneralName.dNSName, identity.roleName()));
        names.add(new GeneralName(GeneralName.dNSName, identity.nodeId()));
        if (identity.isManager()) {
            names.add(new GeneralName(GeneralName.dNSName, NodeIdentity.AUTHORITY_NAME));
        }
        try {
            X509v3CertificateBuilder builder = new X509v3CertificateBuilder(
                    X500Name.getInstance(signer.getSubjectX500Principal().getEncoded()),
                    Certificates.serial(random),
                    Date.from(now.minus(LEAF_BACKDATE)),
                    Date.from(now.plus(lifetime)),
                    subject,
                    SubjectPublicKeyInfo.getInstance(key.getEncoded()));
            JcaX509ExtensionUtils extensions = new JcaX509ExtensionUtils();
            builder.addExtension(
                    Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature | KeyUsage.keyEncipherment));
            builder.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(new KeyPurposeId[] {
                KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth
            }));
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false));
            builder.addExtension(Extension.subjectKeyIdentifier, false, extensions.createSubjectKeyIdentifier(key));
            builder.addExtension(
                    Extension.authorityKeyIdentifier,
                    false,
                    extensions.createAuthorityKeyIdentifier(signer.getPublicKey()));
            builder.addExtension(
                    Extension.subjectAlternativeName, false, new GeneralNames(names.toArray(GeneralName[]::new)));
            List<X509Certificate> chain = new ArrayList<>();
            chain.add(sign(builder, signerKey));
            chain.addAll(intermediates);
            return Certificates.encode(chain);
        } catch (NoSuchAlgorithmException | CertIOException e) {
            throw new IllegalStateException("cannot make a node certificate", e);
        }
    }

    static X509Certificate sign(X509v3CertificateBuilder builder, PrivateKey key) throws CredentialException {
        try {
            String algorithm = PrivateKeys.signatureAlgorithm(key);
            JcaContentSignerBuilder signer = new JcaContentSignerBuilder(algorithm);
            String provider = EllipticSignatures.providerFor(algorithm, key);
            if (provider != null) {
                signer.setProvider(provider);
            }
            byte[] der = builder.build(signer.build(key)).getEncoded();
            return Certificates.fromDer(der, "the new certificate");
        } catch (OperatorCreationException | IOException e) {
            throw new CredentialException("the authority's key cannot sign", e);
        }
    }

    /** What nodes trust: the old root while the root is being rotated. */
    public TrustRoot trustRoot() {
        return trustRoot;
    }

    public ByteString certificatePem() {
        return trustRoot.pem();
    }

    /** The key that signs, as it was given. Secret. */
    public ByteString keyPem() {
        return signerKeyPem;
    }

    /** DER of the subject that stands as issuer in new node certificates. */
    public ByteString issuerSubject() {
        return ByteString.copyFrom(signer.getSubjectX500Principal().getEncoded());
    }

    /** DER of the key that verifies new node certificates. */
    public ByteString issuerPublicKey() {
        return ByteString.copyFrom(signer.getPublicKey().getEncoded());
    }
}
