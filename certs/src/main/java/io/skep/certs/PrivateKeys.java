package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.interfaces.ECKey;
import java.security.interfaces.RSAKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.EncryptedPrivateKeyInfo;
import javax.crypto.SecretKey;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.PBEParameterSpec;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.edec.EdECObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RSAPrivateKey;
import org.bouncycastle.asn1.sec.ECPrivateKey;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.openssl.PEMException;
import org.bouncycastle.openssl.bc.BcPEMDecryptorProvider;
import org.jspecify.annotations.Nullable;

/** The forms of private keys that stand in PEM files, those that openssl writes among them. */
final class PrivateKeys {
    /** Rounds of PBKDF2 with HMAC-SHA512 for keys under a passphrase (OWASP's figure of 2023). */
    private static final int PASSPHRASE_ROUNDS = 210_000;

    private static final String PASSPHRASE_SCHEME = "PBEWithHmacSHA512AndAES_256";

    private PrivateKeys() {}

    static KeyPair generateEcdsa() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec("secp256r1"));
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no ECDSA P-256", e);
        }
    }

    static KeyPair generateRsa(int bits) {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(bits);
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no RSA", e);
        }
    }

    /** PKCS#8, not encrypted. */
    static String encode(PrivateKey key) {
        return new Pem(Pem.PRIVATE_KEY, key.getEncoded()).encode();
    }

    /**
     * PKCS#8 encrypted with PBES2: AES-256-CBC under a key from PBKDF2 with HMAC-SHA512. {@code openssl pkey} reads it.
     */
    static String encode(PrivateKey key, char[] passphrase, SecureRandom random) {
        byte[] salt = new byte[16];
        random.nextBytes(salt);
        byte[] iv = new byte[16];
        random.nextBytes(iv);
        try {
            PBEKeySpec spec = new PBEKeySpec(passphrase);
            SecretKey secret = SecretKeyFactory.getInstance(PASSPHRASE_SCHEME).generateSecret(spec);
            Cipher cipher = Cipher.getInstance(PASSPHRASE_SCHEME);
            cipher.init(
                    Cipher.ENCRYPT_MODE,
                    secret,
                    new PBEParameterSpec(salt, PASSPHRASE_ROUNDS, new IvParameterSpec(iv)));
            byte[] encrypted = cipher.doFinal(key.getEncoded());
            spec.clearPassword();
            // The JDK's own class for this structure does not know the identifier of its own algorithm.
            byte[] info = new org.bouncycastle.asn1.pkcs.EncryptedPrivateKeyInfo(
                            new AlgorithmIdentifier(
                                    PKCSObjectIdentifiers.id_PBES2,
                                    ASN1Primitive.fromByteArray(
                                            cipher.getParameters().getEncoded())),
                            encrypted)
                    .getEncoded();
            return new Pem(Pem.ENCRYPTED_PRIVATE_KEY, info).encode();
        } catch (GeneralSecurityException | IOException e) {
            throw new IllegalStateException("cannot encrypt a private key", e);
        }
    }

    /**
     * Reads the first private key of a PEM text: PKCS#8, PKCS#8 under a passphrase, PKCS#1, SEC 1, and the last two
     * under a passphrase in openssl's older way.
     *
     * @param what names the text in errors
     * @param passphrase null when none is known
     */
    static PrivateKey parse(ByteString text, String what, char @Nullable [] passphrase) throws CredentialException {
        return decode(firstKey(Pem.parse(text, what), what), what, passphrase);
    }

    /** Whether the first private key of a PEM text needs a passphrase. */
    static boolean isEncrypted(ByteString text, String what) throws CredentialException {
        Pem block = firstKey(Pem.parse(text, what), what);
        return block.type().equals(Pem.ENCRYPTED_PRIVATE_KEY) || block.headers().containsKey("DEK-Info");
    }

    private static Pem firstKey(List<Pem> blocks, String what) throws CredentialException {
        for (Pem block : blocks) {
            if (block.type().endsWith(Pem.PRIVATE_KEY)) {
                return block;
            }
        }
        throw new CredentialException(
                what + " holds no private key, only: " + blocks.getFirst().type());
    }

    private static PrivateKey decode(Pem block, String what, char @Nullable [] passphrase) throws CredentialException {
        byte[] content = block.content().toByteArray();
        boolean encrypted = block.type().equals(Pem.ENCRYPTED_PRIVATE_KEY)
                || block.headers().containsKey("DEK-Info");
        if (encrypted && passphrase == null) {
            throw new CredentialException(what + " is encrypted; its passphrase is needed");
        }
        try {
            if (encrypted && !block.type().equals(Pem.ENCRYPTED_PRIVATE_KEY)) {
                content = decryptOpenssl(block, content, what, passphrase);
            }
            return switch (block.type()) {
                case Pem.PRIVATE_KEY -> fromInfo(PrivateKeyInfo.getInstance(content), what);
                case Pem.ENCRYPTED_PRIVATE_KEY ->
                    fromInfo(PrivateKeyInfo.getInstance(decryptInfo(content, what, passphrase)), what);
                case "RSA PRIVATE KEY" ->
                    fromInfo(
                            new PrivateKeyInfo(
                                    new AlgorithmIdentifier(PKCSObjectIdentifiers.rsaEncryption, DERNull.INSTANCE),
                                    RSAPrivateKey.getInstance(content)),
                            what);
                case "EC PRIVATE KEY" -> {
                    ECPrivateKey key = ECPrivateKey.getInstance(content);
                    yield fromInfo(
                            new PrivateKeyInfo(
                                    new AlgorithmIdentifier(
                                            X9ObjectIdentifiers.id_ecPublicKey, key.getParametersObject()),
                                    key),
                            what);
                }
                default ->
                    throw new CredentialException(what + " holds a \"" + block.type()
                            + "\", which is not supported; convert it with: openssl pkcs8 -topk8 -nodes");
            };
        } catch (IOException | GeneralSecurityException | RuntimeException e) {
            // One wrong passphrase in 256 passes the padding's check and shows only here.
            throw encrypted
                    ? wrongPassphrase(what, e)
                    : new CredentialException(what + " holds a damaged or unsupported private key", e);
        }
    }

    private static CredentialException wrongPassphrase(String what, Exception cause) {
        return new CredentialException(
                what + " cannot be decrypted: the passphrase is wrong, or the file is damaged", cause);
    }

    private static byte[] decryptOpenssl(Pem block, byte[] content, String what, char @Nullable [] passphrase)
            throws CredentialException {
        String[] info = block.headers().getOrDefault("DEK-Info", "").split(",", -1);
        if (info.length != 2) {
            throw new CredentialException(what + ": the header DEK-Info is damaged");
        }
        try {
            return new BcPEMDecryptorProvider(passphrase)
                    .get(info[0])
                    .decrypt(content, HexFormat.of().parseHex(info[1]));
        } catch (PEMException e) {
            throw wrongPassphrase(what, e);
        }
    }

    private static byte[] decryptInfo(byte[] content, String what, char @Nullable [] passphrase)
            throws CredentialException, IOException {
        EncryptedPrivateKeyInfo info = new EncryptedPrivateKeyInfo(content);
        try {
            AlgorithmParameters parameters = info.getAlgParameters();
            // For PBES2 the parameters' text, not the algorithm's name, says which cipher and which hash.
            String algorithm = parameters == null || !info.getAlgName().equals("PBES2")
                    ? info.getAlgName()
                    : parameters.toString();
            SecretKey secret = SecretKeyFactory.getInstance(algorithm).generateSecret(new PBEKeySpec(passphrase));
            Cipher cipher = Cipher.getInstance(algorithm);
            cipher.init(Cipher.DECRYPT_MODE, secret, parameters);
            return cipher.doFinal(info.getEncryptedData());
        } catch (BadPaddingException | InvalidKeySpecException e) {
            throw wrongPassphrase(what, e);
        } catch (GeneralSecurityException e) {
            throw new CredentialException(what + " is encrypted in a way that is not supported", e);
        }
    }

    private static final Map<String, String> FACTORIES = Map.of(
            PKCSObjectIdentifiers.rsaEncryption.getId(), "RSA",
            X9ObjectIdentifiers.id_ecPublicKey.getId(), "EC",
            EdECObjectIdentifiers.id_Ed25519.getId(), "Ed25519");

    private static PrivateKey fromInfo(PrivateKeyInfo info, String what)
            throws CredentialException, GeneralSecurityException, IOException {
        String oid = info.getPrivateKeyAlgorithm().getAlgorithm().getId();
        String factory = FACTORIES.get(oid);
        if (factory == null) {
            throw new CredentialException(
                    what + " holds a key of the unsupported algorithm " + oid + "; use ECDSA, RSA or Ed25519");
        }
        return KeyFactory.getInstance(factory).generatePrivate(new PKCS8EncodedKeySpec(info.getEncoded()));
    }

    /** The signature algorithm to use with a key: SHA-256, or more where the curve is longer. */
    static String signatureAlgorithm(Key key) throws CredentialException {
        if (key instanceof ECKey ec) {
            int bits = ec.getParams().getOrder().bitLength();
            return bits <= 256 ? "SHA256withECDSA" : bits <= 384 ? "SHA384withECDSA" : "SHA512withECDSA";
        }
        if (key instanceof RSAKey) {
            return "SHA256withRSA";
        }
        if (key.getAlgorithm().equals("EdDSA")) {
            return "Ed25519";
        }
        throw new CredentialException("keys of the algorithm " + key.getAlgorithm() + " cannot sign");
    }

    static boolean match(PublicKey publicKey, PrivateKey privateKey) {
        try {
            byte[] probe = "does this key belong to that one?".getBytes(StandardCharsets.US_ASCII);
            Signature signer = Signature.getInstance(signatureAlgorithm(privateKey));
            signer.initSign(privateKey);
            signer.update(probe);
            Signature verifier = Signature.getInstance(signatureAlgorithm(publicKey));
            verifier.initVerify(publicKey);
            verifier.update(probe);
            return verifier.verify(signer.sign());
        } catch (GeneralSecurityException | CredentialException e) {
            return false;
        }
    }
}
