package io.skep.manager;

import io.skep.control.IdSource;
import java.math.BigInteger;
import java.security.SecureRandom;

/** Ids and random bytes that nobody can guess; safe for use by many threads. */
public final class RandomIds implements IdSource {
    private static final int ID_BYTES = 17;
    private static final int ID_CHARACTERS = 25;
    private static final int BASE = 36;

    private final SecureRandom random = new SecureRandom();

    @Override
    public String nextId() {
        while (true) {
            String text = new BigInteger(1, randomBytes(ID_BYTES)).toString(BASE);
            // The first character of the number is far from evenly spread, so it is left out (swarm-wire 1.4).
            if (text.length() > ID_CHARACTERS) {
                return text.substring(1, ID_CHARACTERS + 1);
            }
        }
    }

    @Override
    public byte[] randomBytes(int count) {
        byte[] bytes = new byte[count];
        random.nextBytes(bytes);
        return bytes;
    }

    @Override
    public int nextInt(int bound) {
        return random.nextInt(bound);
    }
}
