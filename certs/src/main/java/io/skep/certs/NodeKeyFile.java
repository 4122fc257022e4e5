package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.bouncycastle.asn1.cms.GCMParameters;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.EncryptedPrivateKeyInfo;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.jspecify.annotations.Nullable;

/**
 * The form of {@code swarm-node.key}: one PEM block with the header {@code kek-version} and one header per further
 * secret.
 *
 * <p>Without an unlock key the block is a PKCS#8 {@code PRIVATE KEY} and the secrets are base64. With one it is a
 * PKCS#8 {@code ENCRYPTED PRIVATE KEY} whose algorithm is id-aes256-GCM (RFC 5084) with a key derived from the unlock
 * key, and each secret is base64 of nonce and sealed bytes; type and headers are authenticated together with the key,
 * so a header cannot be exchanged for one of an older file. See {@link KeyEncryption}.
 */
record NodeKeyFile(PrivateKey key, long keyEncryptionVersion, Map<String, ByteString> secrets) {
    static final String VERSION_HEADER = "kek-version";

    private static final String KEY_PURPOSE = "swarm-node.key";

    String encode(@Nullable UnlockKey unlockKey, SecureRandom random) {
        Map<String, String> headers = new HashMap<>();
        headers.put(VERSION_HEADER, Long.toString(keyEncryptionVersion));
        for (Map.Entry<String, ByteString> secret : secrets.entrySet()) {
            String name = secret.getKey();
            if (name.equals(VERSION_HEADER)) {
                throw new IllegalArgumentException(VERSION_HEADER + " is not the name of a secret");
            }
            ByteString stored = secret.getValue();
            if (unlockKey != null) {
                byte[] nonce = KeyEncryption.nonce(random);
                stored = ByteString.copyFrom(nonce)
                        .concat(KeyEncryption.seal(
                                unlockKey, secretPurpose(name), nonce, stored.toByteArray(), new byte[0]));
            }
            headers.put(name, Base64.getEncoder().encodeToString(stored.toByteArray()));
        }
        if (unlockKey == null) {
            return new Pem(Pem.PRIVATE_KEY, headers, ByteString.copyFrom(key.getEncoded())).encode();
        }
        byte[] nonce = KeyEncryption.nonce(random);
        Pem envelope = new Pem(Pem.ENCRYPTED_PRIVATE_KEY, headers, ByteString.EMPTY);
        ByteString sealed = KeyEncryption.seal(unlockKey, KEY_PURPOSE, nonce, key.getEncoded(), context(envelope));
        try {
            byte[] info = new EncryptedPrivateKeyInfo(
                            new AlgorithmIdentifier(
                                    NISTObjectIdentifiers.id_aes256_GCM,
                                    new GCMParameters(nonce, KeyEncryption.TAG_SIZE)),
                            sealed.toByteArray())
                    .getEncoded();
            return new Pem(Pem.ENCRYPTED_PRIVATE_KEY, headers, ByteString.copyFrom(info)).encode();
        } catch (IOException e) {
            throw new IllegalStateException("cannot encode an encrypted key", e);
        }
    }

    /**
     * Reads the file's text.
     *
     * @param unlockKey null when none is known
     * @return empty when the key is encrypted and the unlock key missing or not the right one
     */
    static Optional<NodeKeyFile> decode(ByteString text, String what, @Nullable UnlockKey unlockKey)
            throws CredentialException {
        Pem block = Pem.parse(text, what).getFirst();
        return switch (block.type()) {
            case Pem.PRIVATE_KEY -> Optional.of(of(block, what, PrivateKeys.parse(text, what, null), null));
            case Pem.ENCRYPTED_PRIVATE_KEY -> unlockKey == null ? Optional.empty() : unlock(block, what, unlockKey);
            default -> throw new CredentialException(what + " holds a \"" + block.type() + "\", not a node's key");
        };
    }

    private static Optional<NodeKeyFile> unlock(Pem block, String what, UnlockKey unlockKey)
            throws CredentialException {
        byte[] nonce;
        byte[] sealed;
        try {
            EncryptedPrivateKeyInfo info =
                    EncryptedPrivateKeyInfo.getInstance(block.content().toByteArray());
            if (!info.getEncryptionAlgorithm().getAlgorithm().equals(NISTObjectIdentifiers.id_aes256_GCM)) {
                throw new CredentialException(what + " is not encrypted with an unlock key");
            }
            nonce = GCMParameters.getInstance(info.getEncryptionAlgorithm().getParameters())
                    .getNonce();
            sealed = info.getEncryptedData();
        } catch (RuntimeException e) {
            throw new CredentialException(what + " is damaged", e);
        }
        Optional<byte[]> opened = KeyEncryption.open(unlockKey, KEY_PURPOSE, nonce, sealed, context(block));
        if (opened.isEmpty()) {
            return Optional.empty();
        }
        ByteString plain = ByteString.copyFromUtf8(new Pem(Pem.PRIVATE_KEY, opened.get()).encode());
        return Optional.of(of(block, what, PrivateKeys.parse(plain, what, null), unlockKey));
    }

    private static NodeKeyFile of(Pem block, String what, PrivateKey key, @Nullable UnlockKey unlockKey)
            throws CredentialException {
        Map<String, ByteString> secrets = new HashMap<>();
        long version = 0;
        for (Map.Entry<String, String> header : block.headers().entrySet()) {
            String name = header.getKey();
            try {
                if (name.equals(VERSION_HEADER)) {
                    version = Long.parseLong(header.getValue());
                    continue;
                }
                byte[] stored = Base64.getDecoder().decode(header.getValue());
                secrets.put(name, unlockKey == null ? ByteString.copyFrom(stored) : open(unlockKey, name, stored));
            } catch (IllegalArgumentException e) {
                throw new CredentialException(what + ": the header " + name + " is damaged", e);
            }
        }
        return new NodeKeyFile(key, version, Map.copyOf(secrets));
    }

    private static ByteString open(UnlockKey unlockKey, String name, byte[] stored) {
        if (stored.length < KeyEncryption.NONCE_SIZE) {
            throw new IllegalArgumentException("too short");
        }
        ByteString bytes = ByteString.copyFrom(stored);
        return KeyEncryption.open(
                        unlockKey,
                        secretPurpose(name),
                        bytes.substring(0, KeyEncryption.NONCE_SIZE).toByteArray(),
                        bytes.substring(KeyEncryption.NONCE_SIZE).toByteArray(),
                        new byte[0])
                .map(ByteString::copyFrom)
                .orElseThrow(() -> new IllegalArgumentException("sealed with another key"));
    }

    private static String secretPurpose(String name) {
        return "secret " + name;
    }

    private static byte[] context(Pem block) {
        return (block.type() + "\n" + block.encodeHeaders()).getBytes(StandardCharsets.US_ASCII);
    }

    /** Without the keys. */
    @Override
    public String toString() {
        return "NodeKeyFile[" + keyEncryptionVersion + ", " + secrets.keySet() + "]";
    }
}
