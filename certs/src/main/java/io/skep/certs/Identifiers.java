package io.skep.certs;

import java.math.BigInteger;
import java.util.random.RandomGenerator;

/** The ids of objects, sessions and subscriptions: 25 characters of 0-9a-z (swarm-wire 1.4). */
public final class Identifiers {
    private static final int RANDOM_BYTES = 17;
    private static final int LENGTH = 25;

    private Identifiers() {}

    /** A new id of about 129 random bits. */
    public static String next(RandomGenerator random) {
        byte[] bytes = new byte[RANDOM_BYTES];
        random.nextBytes(bytes);
        return of(bytes);
    }

    static String of(byte[] bytes) {
        byte[] topped = bytes.clone();
        // With the top bit set the text is always 27 characters; the first, which is biased by it, is dropped.
        topped[0] |= (byte) 0x80;
        return new BigInteger(1, topped).toString(36).substring(1, LENGTH + 1);
    }
}
