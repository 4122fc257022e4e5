package io.skep.manager;

import java.time.Duration;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A task that runs after each wake, never beside itself, and not more often than once in an interval. Wakes that come
 * before it runs are one.
 */
final class Pump {
    private static final Logger LOG = LoggerFactory.getLogger(Pump.class);

    private final ManagerPorts ports;
    private final long intervalNanos;
    private final Runnable task;

    private boolean wanted;
    private boolean running;
    private boolean waiting;
    private long lastNanos;

    Pump(ManagerPorts ports, Duration interval, Runnable task) {
        this.ports = ports;
        this.intervalNanos = interval.toNanos();
        this.task = task;
        this.lastNanos = ports.ticker().nanoTime() - intervalNanos;
    }

    /** Runs the task as soon as the interval since its last run has passed. */
    synchronized void wake() {
        wanted = true;
        if (running || waiting) {
            return;
        }
        long delay = lastNanos + intervalNanos - ports.ticker().nanoTime();
        try {
            waiting = true;
            if (delay <= 0) {
                ports.executor().execute(this::run);
            } else {
                var _ = ports.executor().schedule(this::run, delay, TimeUnit.NANOSECONDS);
            }
        } catch (RejectedExecutionException e) {
            waiting = false;
            LOG.debug("stopping: nothing is sent any more");
        }
    }

    /** Runs the task now, whenever it ran last. */
    synchronized void wakeNow() {
        wanted = true;
        lastNanos = ports.ticker().nanoTime() - intervalNanos;
        if (!running) {
            try {
                ports.executor().execute(this::run);
            } catch (RejectedExecutionException e) {
                LOG.debug("stopping: nothing is sent any more");
            }
        }
    }

    private void run() {
        synchronized (this) {
            waiting = false;
            if (!wanted || running) {
                return;
            }
            wanted = false;
            running = true;
        }
        try {
            task.run();
        } catch (RuntimeException e) {
            LOG.error("a message could not be sent", e);
        } finally {
            synchronized (this) {
                running = false;
                lastNanos = ports.ticker().nanoTime();
                if (wanted) {
                    wake();
                }
            }
        }
    }
}
