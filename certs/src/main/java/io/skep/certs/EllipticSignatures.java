package io.skep.certs;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.SignatureException;
import java.security.SignatureSpi;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECKey;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.crypto.signers.ECDSASigner;
import org.bouncycastle.crypto.signers.StandardDSAEncoding;
import org.bouncycastle.crypto.util.PrivateKeyFactory;
import org.bouncycastle.crypto.util.PublicKeyFactory;
import org.jspecify.annotations.Nullable;

/**
 * Makes and checks ECDSA signatures on P-256 with Bouncy Castle's arithmetic, as the security provider {@value #NAME}.
 *
 * <p>The JDK's own is made for its optimizing compiler. With the simple one that Skep runs with on small boards it
 * takes four times as long, and a manager makes one signature and checks two for each node that joins. Checking handles
 * no secret, so it does not matter that its time depends on its input. For signing, Bouncy Castle multiplies the base
 * point in a number of steps, and with accesses to memory, that do not depend on the secret number, and inverts that
 * number in constant time.
 *
 * <p>What it works out for a public key is kept for the {@value #KEYS_MAX} keys that were used last: the root's, with
 * which all nodes are checked, is among them.
 *
 * <p>The provider stands behind all others and serves only who names it.
 */
final class EllipticSignatures extends Provider {
    static final String NAME = "SkepEllipticSignatures";
    static final String ALGORITHM = "SHA256withECDSA";

    private static final int CURVE_BITS = 256;
    private static final int KEYS_MAX = 16;
    private static final SecureRandom RANDOM = new SecureRandom();

    /** By their encoding; under the lock of the map. */
    private static final Map<ByteBuffer, ECPublicKeyParameters> KEYS = new LinkedHashMap<>(2 * KEYS_MAX, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<ByteBuffer, ECPublicKeyParameters> eldest) {
            return size() > KEYS_MAX;
        }
    };

    static {
        Security.addProvider(new EllipticSignatures());
    }

    private EllipticSignatures() {
        super(NAME, "1", "ECDSA signatures");
        putService(new Service(this, "Signature", ALGORITHM, Operation.class.getName(), null, null) {
            @Override
            public Object newInstance(@Nullable Object parameter) {
                return new Operation();
            }
        });
    }

    /** Returns the provider to make or check a signature of that algorithm and key with, or null when any will do. */
    static @Nullable String providerFor(String algorithm, Key key) {
        boolean fits = algorithm.equals(ALGORITHM)
                && key instanceof ECKey elliptic
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

    private static ECPublicKeyParameters publicKey(byte[] encoded) throws InvalidKeyException {
        ByteBuffer name = ByteBuffer.wrap(encoded);
        synchronized (KEYS) {
            ECPublicKeyParameters known = KEYS.get(name);
            if (known != null) {
                return known;
            }
        }
        try {
            if (PublicKeyFactory.createKey(encoded) instanceof ECPublicKeyParameters elliptic) {
                synchronized (KEYS) {
                    KEYS.put(name, elliptic);
                }
                return elliptic;
            }
        } catch (IOException | RuntimeException e) {
            throw new InvalidKeyException("the public key is damaged", e);
        }
        throw new InvalidKeyException("not the key of an elliptic curve");
    }

    private static final class Operation extends SignatureSpi {
        private final MessageDigest digest;
        private @Nullable ECPublicKeyParameters key;
        private @Nullable ECPrivateKeyParameters secret;

        Operation() {
            try {
                digest = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("this JDK has no SHA-256", e);
            }
        }

        @Override
        protected void engineInitVerify(PublicKey publicKey) throws InvalidKeyException {
            key = publicKey(publicKey.getEncoded());
            secret = null;
            digest.reset();
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
            try {
                if (PrivateKeyFactory.createKey(privateKey.getEncoded()) instanceof ECPrivateKeyParameters elliptic) {
                    secret = elliptic;
                    key = null;
                    digest.reset();
                    return;
                }
            } catch (IOException | RuntimeException e) {
                throw new InvalidKeyException("the private key is damaged", e);
            }
            throw new InvalidKeyException("not the key of an elliptic curve");
        }

        @Override
        protected byte[] engineSign() throws SignatureException {
            if (secret == null) {
                throw new SignatureException("no key to sign with");
            }
            ECDSASigner signer = new ECDSASigner();
            signer.init(true, new ParametersWithRandom(secret, RANDOM));
            BigInteger[] numbers = signer.generateSignature(digest.digest());
            try {
                return StandardDSAEncoding.INSTANCE.encode(
                        secret.getParameters().getN(), numbers[0], numbers[1]);
            } catch (IOException e) {
                throw new SignatureException("the signature cannot be encoded", e);
            }
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
