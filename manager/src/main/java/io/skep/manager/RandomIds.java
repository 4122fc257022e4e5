package io.skep.manager;

import io.skep.certs.Identifiers;
import io.skep.control.IdSource;
import java.security.SecureRandom;

/** Ids and random bytes that nobody can guess; safe for use by many threads. */
public final class RandomIds implements IdSource {
    private final SecureRandom random = new SecureRandom();

    @Override
    public String nextId() {
        return Identifiers.next(random);
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
