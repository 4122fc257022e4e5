package io.skep.simulation;

import java.util.List;
import java.util.Random;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Callable;
import java.util.concurrent.Delayed;
import java.util.concurrent.FutureTask;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * An executor of a simulated program: tasks are events. A serial one keeps their order; one of many threads lets some
 * overtake others.
 */
final class SimulatedExecutor extends AbstractExecutorService implements ScheduledExecutorService {
    private static final int LATE_IN = 6;
    private static final int LATE_NANOS = 200_000;

    private final SimulatedProcess process;
    private final @Nullable Random disorder;
    private boolean shutdown;
    private int timers;

    private SimulatedExecutor(SimulatedProcess process, @Nullable Random disorder) {
        this.process = process;
        this.disorder = disorder;
    }

    static SimulatedExecutor serial(SimulatedProcess process) {
        return new SimulatedExecutor(process, null);
    }

    static SimulatedExecutor ofThreads(SimulatedProcess process, Random random) {
        return new SimulatedExecutor(process, random);
    }

    /** Returns how many tasks are planned for later. */
    int timers() {
        return timers;
    }

    private long disorderNanos() {
        return disorder != null && disorder.nextInt(LATE_IN) == 0 ? disorder.nextInt(LATE_NANOS) : 0;
    }

    private void requireOpen() {
        if (shutdown || !process.isAlive()) {
            throw new RejectedExecutionException("the program has ended");
        }
    }

    @Override
    public void execute(Runnable command) {
        requireOpen();
        process.time().afterNanos(disorderNanos(), () -> process.run(command));
    }

    @Override
    public ScheduledFuture<?> schedule(Runnable command, long delay, TimeUnit unit) {
        requireOpen();
        Timer timer = new Timer(command, Math.max(0, unit.toNanos(delay)) + disorderNanos());
        timer.plan();
        return timer;
    }

    @Override
    public <V> ScheduledFuture<V> schedule(Callable<V> callable, long delay, TimeUnit unit) {
        throw new UnsupportedOperationException("delayed tasks have no result");
    }

    @Override
    public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long initialDelay, long period, TimeUnit unit) {
        throw new UnsupportedOperationException("a task that repeats schedules itself anew");
    }

    @Override
    public ScheduledFuture<?> scheduleWithFixedDelay(Runnable command, long initialDelay, long delay, TimeUnit unit) {
        throw new UnsupportedOperationException("a task that repeats schedules itself anew");
    }

    private final class Timer extends FutureTask<@Nullable Void> implements ScheduledFuture<@Nullable Void> {
        private final long dueNanos;
        private VirtualTime.@Nullable Event event;

        Timer(Runnable command, long delayNanos) {
            super(
                    () -> {
                        // What it throws must be seen: a future would keep it to itself.
                        process.run(command);
                    },
                    null);
            this.dueNanos = process.time().nanos() + delayNanos;
        }

        void plan() {
            timers++;
            event = process.time().at(dueNanos, () -> {
                timers--;
                process.run(() -> {
                    if (!shutdown) {
                        run();
                    }
                });
            });
        }

        @Override
        public boolean cancel(boolean mayInterruptIfRunning) {
            boolean cancelled = super.cancel(false);
            if (cancelled && event != null && !event.isCancelled()) {
                event.cancel();
                timers--;
            }
            return cancelled;
        }

        @Override
        public long getDelay(TimeUnit unit) {
            return unit.convert(dueNanos - process.time().nanos(), TimeUnit.NANOSECONDS);
        }

        @Override
        public int compareTo(Delayed other) {
            return Long.compare(getDelay(TimeUnit.NANOSECONDS), other.getDelay(TimeUnit.NANOSECONDS));
        }
    }

    @Override
    public void shutdown() {
        shutdown = true;
    }

    @Override
    public List<Runnable> shutdownNow() {
        shutdown = true;
        return List.of();
    }

    @Override
    public boolean isShutdown() {
        return shutdown;
    }

    @Override
    public boolean isTerminated() {
        return shutdown;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
        return true;
    }
}
