package io.skep.agent;

import io.grpc.Deadline;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Callable;
import java.util.concurrent.Delayed;
import java.util.concurrent.FutureTask;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.RunnableScheduledFuture;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/** Time that passes only when a test says so, and the steps that are due in it, run on the thread of the test. */
final class VirtualTime extends AbstractExecutorService implements ScheduledExecutorService, InstantSource {
    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

    private final PriorityQueue<Step<?>> steps = new PriorityQueue<>();
    private final Deadline.Ticker ticker = new Deadline.Ticker() {
        @Override
        public long nanoTime() {
            return nanos;
        }
    };
    private long nanos;
    private long stepCount;
    private boolean closed;

    Deadline.Ticker ticker() {
        return ticker;
    }

    @Override
    public Instant instant() {
        return START.plusNanos(nanos);
    }

    /** Runs all that is due until then, at its time. */
    void pass(Duration duration) {
        long end = nanos + duration.toNanos();
        while (!steps.isEmpty() && steps.peek().atNanos <= end) {
            Step<?> step = steps.remove();
            nanos = Math.max(nanos, step.atNanos);
            step.run();
            step.rethrow();
        }
        nanos = end;
    }

    /** Runs all that is due now. */
    void settle() {
        pass(Duration.ZERO);
    }

    /** Returns how many steps wait for their time. */
    int waiting() {
        return (int) steps.stream().filter(step -> !step.isCancelled()).count();
    }

    private <T> Step<T> add(Callable<T> callable, long delayNanos) {
        if (closed) {
            throw new RejectedExecutionException("closed");
        }
        Step<T> step = new Step<>(callable, nanos + Math.max(0, delayNanos), stepCount++);
        steps.add(step);
        return step;
    }

    @Override
    public void execute(Runnable command) {
        var _ = schedule(command, 0, TimeUnit.NANOSECONDS);
    }

    @Override
    public ScheduledFuture<?> schedule(Runnable command, long delay, TimeUnit unit) {
        return add(
                () -> {
                    command.run();
                    return null;
                },
                unit.toNanos(delay));
    }

    @Override
    public <V> ScheduledFuture<V> schedule(Callable<V> callable, long delay, TimeUnit unit) {
        return add(callable, unit.toNanos(delay));
    }

    @Override
    public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long initialDelay, long period, TimeUnit unit) {
        throw new UnsupportedOperationException("the agent gives single steps");
    }

    @Override
    public ScheduledFuture<?> scheduleWithFixedDelay(Runnable command, long initialDelay, long delay, TimeUnit unit) {
        throw new UnsupportedOperationException("the agent gives single steps");
    }

    @Override
    public void shutdown() {
        closed = true;
        steps.clear();
    }

    @Override
    public List<Runnable> shutdownNow() {
        List<Runnable> left = new ArrayList<>(steps);
        shutdown();
        return left;
    }

    @Override
    public boolean isShutdown() {
        return closed;
    }

    @Override
    public boolean isTerminated() {
        return closed;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
        return closed;
    }

    private final class Step<T> extends FutureTask<T> implements RunnableScheduledFuture<T> {
        private final long atNanos;
        private final long number;

        Step(Callable<T> callable, long atNanos, long number) {
            super(callable);
            this.atNanos = atNanos;
            this.number = number;
        }

        void rethrow() {
            if (state() == State.FAILED) {
                throw new AssertionError("a step failed", exceptionNow());
            }
        }

        @Override
        public boolean isPeriodic() {
            return false;
        }

        @Override
        public long getDelay(TimeUnit unit) {
            return unit.convert(atNanos - nanos, TimeUnit.NANOSECONDS);
        }

        @Override
        public int compareTo(Delayed other) {
            Step<?> step = (Step<?>) other;
            int byTime = Long.compare(atNanos, step.atNanos);
            return byTime != 0 ? byTime : Long.compare(number, step.number);
        }

        @Override
        public boolean equals(Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return Long.hashCode(number);
        }
    }
}
