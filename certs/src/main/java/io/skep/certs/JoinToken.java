package io.skep.certs;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.random.RandomGenerator;

/**
 * What a machine shows to join a swarm: the digest of the root certificate it is to trust, and a secret that says in
 * which role it may come (swarm-wire 1.4).
 *
 * @param digest SHA-256 of the root's PEM bytes, as a number in base 36 of 50 characters
 * @param secret 16 random bytes, as a number in base 36 of 25 characters
 * @param version 1, or 2 for the form that says whether FIPS is demanded
 * @param fips whether the swarm demands FIPS of its nodes; only with version 2
 */
public record JoinToken(String digest, String secret, int version, boolean fips) {
    private static final String PREFIX = "SWMTKN";
    private static final int DIGEST_LENGTH = 50;
    private static final int SECRET_LENGTH = 25;
    private static final int SECRET_BYTES = 16;
    private static final int RADIX = 36;

    /** A new token for a swarm with this root. */
    public static JoinToken generate(TrustRoot root, RandomGenerator random) {
        byte[] secret = new byte[SECRET_BYTES];
        random.nextBytes(secret);
        return new JoinToken(encode(root.sha256(), DIGEST_LENGTH), encode(secret, SECRET_LENGTH), 1, false);
    }

    /** Reads the text form; the message of the failure says what is wrong with it but never repeats it. */
    public static JoinToken parse(String text) throws CredentialException {
        String[] parts = text.split("-", -1);
        if (parts.length < 2 || !parts[0].equals(PREFIX)) {
            throw new CredentialException("not a join token: it starts with SWMTKN-");
        }
        return switch (parts[1]) {
            case "1" -> {
                requireParts(parts, 4);
                yield checked(parts[2], parts[3], 1, false);
            }
            case "2" -> {
                requireParts(parts, 5);
                boolean fips = switch (parts[2]) {
                    case "0" -> false;
                    case "1" -> true;
                    default -> throw new CredentialException("not a join token: its third part is 0 or 1");
                };
                yield checked(parts[3], parts[4], 2, fips);
            }
            default -> throw new CredentialException("this join token is of a version that is not known here");
        };
    }

    private static void requireParts(String[] parts, int count) throws CredentialException {
        if (parts.length != count) {
            throw new CredentialException("not a join token: it has " + parts.length + " parts where " + count
                    + " belong; copy the whole line that `docker swarm join-token` prints");
        }
    }

    private static JoinToken checked(String digest, String secret, int version, boolean fips)
            throws CredentialException {
        if (digest.length() != DIGEST_LENGTH || secret.length() != SECRET_LENGTH) {
            throw new CredentialException("not a join token: it is cut or too long;"
                    + " copy the whole line that `docker swarm join-token` prints");
        }
        if (!isNumber(digest, 256) || !isNumber(secret, SECRET_BYTES * 8)) {
            throw new CredentialException("not a join token: it holds characters that do not belong there");
        }
        return new JoinToken(digest, secret, version, fips);
    }

    private static boolean isNumber(String text, int maximumBits) {
        return text.chars().allMatch(c -> (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
                && new BigInteger(text, RADIX).bitLength() <= maximumBits;
    }

    static String encode(byte[] bytes, int length) {
        String digits = new BigInteger(1, bytes).toString(RADIX);
        return "0".repeat(length - digits.length()) + digits;
    }

    /** Whether a root that was offered is the one this token was made for. */
    public boolean matches(TrustRoot root) {
        return digest.equals(encode(root.sha256(), DIGEST_LENGTH));
    }

    /** Compares a stored token with the text that somebody presents, in a time that does not depend on the texts. */
    public static boolean same(String stored, String presented) {
        return MessageDigest.isEqual(
                stored.getBytes(StandardCharsets.UTF_8), presented.getBytes(StandardCharsets.UTF_8));
    }

    /** The text form. Secret: for the one who asked only, never for a log. */
    public String text() {
        String form = version == 1 ? "1" : fips ? "2-1" : "2-0";
        return PREFIX + "-" + form + "-" + digest + "-" + secret;
    }

    @Override
    public String toString() {
        return PREFIX + "-" + version + "-" + digest + "-(hidden)";
    }
}
