package io.skep.simulation;

import io.skep.control.IdSource;
import java.math.BigInteger;
import java.util.Random;

/** Ids and chance of a simulated manager. */
final class SimulatedIds implements IdSource {
    private static final int LENGTH = 25;
    private static final int BITS = 128;

    private final Random random;

    SimulatedIds(Random random) {
        this.random = random;
    }

    @Override
    public String nextId() {
        String digits = new BigInteger(BITS, random).toString(Character.MAX_RADIX);
        return ("0".repeat(LENGTH) + digits).substring(digits.length());
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
