package io.skep.agent;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * The delay before a node calls a manager again: random below a bound that grows from 100 ms to 8 s with each failure
 * (swarm-wire 3.1). Used by one thread.
 */
final class Backoff {
    private static final long FIRST_MILLIS = 100;
    private static final long BOUND_MAX_MILLIS = 8_000;

    private final RandomGenerator random;
    private long boundMillis;

    Backoff(RandomGenerator random) {
        this.random = random;
    }

    /** Begins anew after a success. */
    void reset() {
        boundMillis = 0;
    }

    Duration next() {
        boundMillis = Math.min(FIRST_MILLIS + 2 * boundMillis, BOUND_MAX_MILLIS);
        return Duration.ofMillis(random.nextLong(boundMillis));
    }
}
