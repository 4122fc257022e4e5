package io.skep.agent;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The wish that something ends, which those that wait between two tries look at. Safe for use by many threads. */
final class Stop {
    private final CountDownLatch wished = new CountDownLatch(1);

    void wish() {
        wished.countDown();
    }

    boolean isWished() {
        return wished.getCount() == 0;
    }

    /** Waits that long, or until the end is wished; returns whether it is. */
    boolean await(Duration duration) throws InterruptedException {
        return wished.await(duration.toNanos(), TimeUnit.NANOSECONDS);
    }
}
