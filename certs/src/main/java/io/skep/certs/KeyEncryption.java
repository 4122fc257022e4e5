package io.skep.certs;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Optional;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.KDF;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.HKDFParameterSpec;

/**
 * Authenticated encryption under an unlock key.
 *
 * <p>For each purpose a key of its own is derived from the unlock key with HKDF-SHA256, whose info is the purpose's
 * name; AES-256-GCM then seals with a random nonce of 12 bytes and a tag of 16. The unlock key is 32 random bytes, so
 * no password hashing is needed. Key files are written a few times a year, far from the 2<sup>32</sup> messages a key
 * may seal with random nonces.
 */
final class KeyEncryption {
    static final int NONCE_SIZE = 12;
    static final int TAG_SIZE = 16;

    private KeyEncryption() {}

    /**
     * Encrypts and authenticates.
     *
     * @param context is not encrypted but must be the same again when opened
     * @return ciphertext and tag
     */
    static ByteString seal(UnlockKey key, String purpose, byte[] nonce, byte[] plain, byte[] context) {
        try {
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            cipher.init(Cipher.ENCRYPT_MODE, derive(key, purpose), new GCMParameterSpec(TAG_SIZE * 8, nonce));
            cipher.updateAAD(context);
            return ByteString.copyFrom(cipher.doFinal(plain));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK cannot seal with AES-256-GCM", e);
        }
    }

    /** The plain bytes, or empty if the key is another one or anything was changed. */
    static Optional<byte[]> open(UnlockKey key, String purpose, byte[] nonce, byte[] sealed, byte[] context) {
        if (sealed.length < TAG_SIZE || nonce.length != NONCE_SIZE) {
            return Optional.empty();
        }
        try {
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            cipher.init(Cipher.DECRYPT_MODE, derive(key, purpose), new GCMParameterSpec(TAG_SIZE * 8, nonce));
            cipher.updateAAD(context);
            return Optional.of(cipher.doFinal(sealed));
        } catch (AEADBadTagException e) {
            return Optional.empty();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK cannot open AES-256-GCM", e);
        }
    }

    static byte[] nonce(SecureRandom random) {
        byte[] nonce = new byte[NONCE_SIZE];
        random.nextBytes(nonce);
        return nonce;
    }

    private static SecretKey derive(UnlockKey key, String purpose) throws GeneralSecurityException {
        return KDF.getInstance("HKDF-SHA256")
                .deriveKey(
                        "AES",
                        HKDFParameterSpec.ofExtract()
                                .addIKM(key.bytes().toByteArray())
                                .thenExpand(("skep " + purpose).getBytes(StandardCharsets.UTF_8), 32));
    }
}
