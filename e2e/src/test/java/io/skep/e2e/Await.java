package io.skep.e2e;

import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/** Waits for what another process does, where nothing but asking again tells. */
final class Await {
    private static final Duration PERIOD = Duration.ofMillis(50);

    private Await() {}

    /** Waits until the condition holds; what {@code seen} tells is in the failure. */
    static void until(String what, Duration timeout, Supplier<Boolean> condition, Supplier<String> seen) {
        long end = System.nanoTime() + timeout.toNanos();
        while (!condition.get()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + timeout.toSeconds() + " s: " + what + "; seen: " + seen.get());
            }
            LockSupport.parkNanos(PERIOD.toNanos());
        }
    }

    /** Waits until the supplier gives what is expected. */
    static <T> void untilEquals(String what, Duration timeout, T expected, Supplier<T> actual) {
        until(what, timeout, () -> expected.equals(actual.get()), () -> String.valueOf(actual.get()));
    }
}
