package io.skep.manager;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.function.Supplier;

/** Waits for the state of a manager to become as wanted, commit by commit. */
final class Eventually {
    private static final int PATIENCE_SECONDS = 20;

    private Eventually() {}

    static <T> T get(Manager manager, Supplier<T> value, Predicate<T> wanted) throws Exception {
        CountDownLatch reached = new CountDownLatch(1);
        try (AutoCloseable watch = manager.watch(commit -> {
            if (wanted.test(value.get())) {
                reached.countDown();
            }
        })) {
            if (!wanted.test(value.get()) && !reached.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                throw new AssertionError("not as wanted in time: " + value.get());
            }
        }
        return value.get();
    }
}
