package io.skep.daemon;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;

/** The user's wish that the daemon ends, and how urgent it is: the first signal asks, the second insists. */
final class StopSignal {
    private final CountDownLatch asked = new CountDownLatch(1);
    private final AtomicReference<Thread> stopper = new AtomicReference<>();
    private volatile boolean insisted;

    /** Takes a signal. */
    void raise() {
        if (asked.getCount() == 0) {
            insisted = true;
            Thread waiting = stopper.get();
            if (waiting != null) {
                waiting.interrupt();
            }
        }
        asked.countDown();
    }

    void await() throws InterruptedException {
        asked.await();
    }

    /** How the end came. */
    enum End {
        CLEAN,
        TIMEOUT,
        INSISTED
    }

    /**
     * Runs the clean end, and gives it up when it takes too long or a second signal comes.
     *
     * @param limit none waits for ever
     */
    End run(Runnable cleanEnd, Optional<Duration> limit) {
        Thread worker = Thread.ofPlatform().daemon().name("stop").unstarted(cleanEnd);
        stopper.set(Thread.currentThread());
        try {
            if (insisted) {
                return End.INSISTED;
            }
            worker.start();
            long millis = limit.map(Duration::toMillis).orElse(Long.MAX_VALUE);
            return worker.join(Duration.ofMillis(millis)) ? End.CLEAN : End.TIMEOUT;
        } catch (InterruptedException _) {
            return End.INSISTED;
        } finally {
            stopper.set(null);
        }
    }
}
