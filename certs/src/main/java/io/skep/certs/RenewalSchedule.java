package io.skep.certs;

import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.random.RandomGenerator;

/** When a node renews its certificate (swarm-wire 1.3). Pure: time and chance come from the caller. */
public final class RenewalSchedule {
    /** How long to wait before looking again when the certificate cannot be read. */
    public static final Duration UNREADABLE_RETRY = Duration.ofMinutes(5);

    /** How long to wait before a renewal that a manager asked for, or that a change of role needs. */
    public static final Duration FORCED_DELAY = Duration.ofMillis(500);

    private static final Duration BACKOFF_BASE = Duration.ofSeconds(5);
    private static final Duration BACKOFF_MAXIMUM = Duration.ofHours(1);

    private RenewalSchedule() {}

    /**
     * A random instant between one half and four fifths of the certificate's life. It may lie in the past, which means
     * at once.
     */
    public static Instant next(X509Certificate leaf, RandomGenerator random) {
        Instant notBefore = leaf.getNotBefore().toInstant();
        long seconds =
                Duration.between(notBefore, leaf.getNotAfter().toInstant()).toSeconds();
        long earliest = seconds / 2;
        long latest = Math.max(earliest + 1, seconds * 4 / 5);
        return notBefore.plusSeconds(random.nextLong(earliest, latest));
    }

    /**
     * How long to wait after failures, or after an expired certificate could not be replaced: random, below 5 s + 5 s ·
     * 2<sup>failures</sup>, at most an hour.
     *
     * @param failures since the last success, 0 or more
     */
    public static Duration retryDelay(int failures, RandomGenerator random) {
        long factor = 1L << Math.min(failures, 20);
        long bound = Math.min(BACKOFF_BASE.toMillis() * (1 + factor), BACKOFF_MAXIMUM.toMillis());
        return Duration.ofMillis(random.nextLong(bound));
    }
}
