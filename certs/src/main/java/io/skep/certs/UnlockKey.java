package io.skep.certs;

import com.google.protobuf.ByteString;
import java.util.Base64;
import java.util.random.RandomGenerator;

/**
 * The key that unlocks a manager after a restart when the swarm is autolocked: 32 random bytes, shown to people as
 * {@code SWMKEY-1-…} (swarm-wire 1.4).
 *
 * @param bytes the raw key, as managers hand it to each other
 */
public record UnlockKey(ByteString bytes) {
    private static final String PREFIX = "SWMKEY-1-";
    private static final int SIZE = 32;

    public UnlockKey {
        if (bytes.size() != SIZE) {
            throw new IllegalArgumentException("an unlock key has " + SIZE + " bytes, not " + bytes.size());
        }
    }

    public static UnlockKey generate(RandomGenerator random) {
        byte[] bytes = new byte[SIZE];
        random.nextBytes(bytes);
        return new UnlockKey(ByteString.copyFrom(bytes));
    }

    /** Reads the text form. */
    public static UnlockKey parse(String text) throws CredentialException {
        if (!text.startsWith(PREFIX)) {
            throw new CredentialException("not an unlock key: it starts with " + PREFIX);
        }
        byte[] bytes;
        try {
            bytes = Base64.getDecoder().decode(text.substring(PREFIX.length()));
        } catch (IllegalArgumentException e) {
            throw new CredentialException("not an unlock key: its last part is not base64", e);
        }
        if (bytes.length != SIZE) {
            throw new CredentialException("not an unlock key: it is cut or too long");
        }
        return new UnlockKey(ByteString.copyFrom(bytes));
    }

    /** The text form. Secret: for the one who asked only, never for a log. */
    public String text() {
        return PREFIX + Base64.getEncoder().withoutPadding().encodeToString(bytes.toByteArray());
    }

    @Override
    public String toString() {
        return PREFIX + "(hidden)";
    }
}
