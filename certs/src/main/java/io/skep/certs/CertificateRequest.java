package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.util.List;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCSException;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

/**
 * A new key of a node and the request to certify it. The request's subject is empty: who the node is gets decided by
 * the one who signs.
 */
public final class CertificateRequest {
    private final KeyPair keyPair;
    private final ByteString pem;

    private CertificateRequest(KeyPair keyPair, ByteString pem) {
        this.keyPair = keyPair;
        this.pem = pem;
    }

    /** Makes a new ECDSA P-256 key and its request. */
    public static CertificateRequest generate() {
        KeyPair keyPair = PrivateKeys.generateEcdsa();
        try {
            ContentSigner signer = new JcaContentSignerBuilder("SHA256withECDSA").build(keyPair.getPrivate());
            byte[] der = new JcaPKCS10CertificationRequestBuilder(new X500Name(""), keyPair.getPublic())
                    .build(signer)
                    .getEncoded();
            return new CertificateRequest(
                    keyPair, ByteString.copyFromUtf8(new Pem(Pem.CERTIFICATE_REQUEST, der).encode()));
        } catch (OperatorCreationException | IOException e) {
            throw new IllegalStateException("cannot make a certificate request", e);
        }
    }

    /**
     * The key of a request that came from elsewhere, after its signature, which proves that the sender has the private
     * key, and its strength are checked.
     */
    static PublicKey verifiedKey(ByteString pem) throws CredentialException {
        List<Pem> blocks = Pem.parse(pem, "the certificate request");
        Pem block = blocks.getFirst();
        if (!block.type().equals(Pem.CERTIFICATE_REQUEST) && !block.type().equals("NEW CERTIFICATE REQUEST")) {
            throw new CredentialException("the certificate request is a \"" + block.type() + "\"");
        }
        try {
            PKCS10CertificationRequest request =
                    new PKCS10CertificationRequest(block.content().toByteArray());
            PublicKey key = new JcaPKCS10CertificationRequest(request).getPublicKey();
            if (!request.isSignatureValid(verifier(request).build(key))) {
                throw new CredentialException("the certificate request is not signed with its own key");
            }
            if (!Certificates.isStrong(key)) {
                throw new CredentialException("the certificate request has a weak key;"
                        + " use ECDSA on P-256, P-384 or P-521, or RSA of at least 2048 bits");
            }
            return key;
        } catch (IOException
                | GeneralSecurityException
                | OperatorCreationException
                | PKCSException
                | RuntimeException e) {
            throw new CredentialException("the certificate request is damaged", e);
        }
    }

    private static JcaContentVerifierProviderBuilder verifier(PKCS10CertificationRequest request)
            throws GeneralSecurityException {
        JcaContentVerifierProviderBuilder builder = new JcaContentVerifierProviderBuilder();
        boolean usual = request.getSignatureAlgorithm().getAlgorithm().equals(X9ObjectIdentifiers.ecdsa_with_SHA256);
        String provider = usual
                ? EllipticSignatures.providerFor(
                        EllipticSignatures.ALGORITHM, new JcaPKCS10CertificationRequest(request).getPublicKey())
                : null;
        return provider == null ? builder : builder.setProvider(provider);
    }

    /** The request as it is sent. */
    public ByteString pem() {
        return pem;
    }

    public PrivateKey privateKey() {
        return keyPair.getPrivate();
    }

    PublicKey publicKey() {
        return keyPair.getPublic();
    }
}
