package io.skep.certs;

import java.io.IOException;
import java.math.BigInteger;
import java.security.InvalidKeyException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.Security;
import java.security.SignatureException;
import java.security.SignatureSpi;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.util.List;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.signers.ECDSASigner;
import org.bouncycastle.crypto.signers.StandardDSAEncoding;
import org.bouncycastle.crypto.util.PublicKeyFactory;
import org.jspecify.annotations.Nullable;

/**
 * Checks ECDSA signatures with Bouncy Castle's arithmetic, as the security provider {@value #NAME}.
 *
 * <p>The JDK's own is made for its optimizing compiler. With the simple one that Skep runs with on small boards it
 * takes four times as long, and a manager checks two signatures for each node that joins. Only checking is done here:
 * it handles no secret, so it does not matter that its time depends on its input.
 *
 * <p>The provider stands behind all others and serves only who names it.
 */
final class SignatureChecks extends Provider {
    static final String NAME = "SkepSignatureChecks";
    static final String ALGORITHM = "SHA256withECDSA";

    private static final int CURVE_BITS = 256;

    static {
        Security.addProvider(new SignatureChecks());
    }

    private SignatureChecks() {
        super(NAME, "1", "checks ECDSA signatures");
        putService(new Service(this, "Signature", ALGORITHM, Check.class.getName(), null, null) {
            @Override
            public Object newInstance(@Nullable Object parameter) {
                return new Check();
            }
        });
    }

    /** Returns the provider to check a signature of that algorithm and key with, or null when any will do. */
    static @Nullable String providerFor(String algorithm, PublicKey key) {
        boolean fits = algorithm.equals(ALGORITHM)
                && key instanceof ECPublicKey elliptic
                && elliptic.getParams().getOrder().bitLength() == CURVE_BITS;
        return fits ? NAME : null;
    }

    /** Returns the provider for all signatures of a path that ends at a root, or null. */
    static @Nullable String providerFor(List<X509Certificate> path) {
        for (int i = 0; i + 1 < path.size(); i++) {
            if (providerFor(path.get(i).getSigAlgName(), path.get(i + 1).getPublicKey()) == null) {
                return null;
            }
        }
        return NAME;
    }

    private static final class Check extends SignatureSpi {
        private final MessageDigest digest;
        private @Nullable ECPublicKeyParameters key;

        Check() {
            try {
                digest = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("this JDK has no SHA-256", e);
            }
        }

        @Override
        protected void engineInitVerify(PublicKey publicKey) throws InvalidKeyException {
            try {
                if (PublicKeyFactory.createKey(publicKey.getEncoded()) instanceof ECPublicKeyParameters elliptic) {
                    key = elliptic;
                    digest.reset();
                    return;
                }
            } catch (IOException | RuntimeException e) {
                throw new InvalidKeyException("the public key is damaged", e);
            }
            throw new InvalidKeyException("not a key of an elliptic curve: " + publicKey.getAlgorithm());
        }

        @Override
        protected void engineUpdate(byte b) {
            digest.update(b);
        }

        @Override
        protected void engineUpdate(byte[] bytes, int offset, int length) {
            digest.update(bytes, offset, length);
        }

        @Override
        protected boolean engineVerify(byte[] signature) throws SignatureException {
            if (key == null) {
                throw new SignatureException("no key to check with");
            }
            byte[] hash = digest.digest();
            try {
                BigInteger[] numbers =
                        StandardDSAEncoding.INSTANCE.decode(key.getParameters().getN(), signature);
                ECDSASigner check = new ECDSASigner();
                check.init(false, key);
                return check.verifySignature(hash, numbers[0], numbers[1]);
            } catch (IOException | RuntimeException e) {
                throw new SignatureException("the signature is damaged", e);
            }
        }

        @Override
        protected void engineInitSign(PrivateKey privateKey) throws InvalidKeyException {
            throw new InvalidKeyException("this provider does not sign");
        }

        @Override
        protected byte[] engineSign() throws SignatureException {
            throw new SignatureException("this provider does not sign");
        }

        @Override
        @Deprecated
        protected void engineSetParameter(String name, Object value) {
            throw new UnsupportedOperationException("ECDSA has no parameters");
        }

        @Override
        @Deprecated
        protected Object engineGetParameter(String name) {
            throw new UnsupportedOperationException("ECDSA has no parameters");
        }
    }
}
