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
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.RunnableScheduledFuture;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * Time that passes only when a test says so, and the steps that are due in it, run on the thread of the test. Each
 * process has an executor of its own, and what it was given ends with it.
 */
final class VirtualTime implements InstantSource {
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

    /** Lets something happen in the world, whichever processes run. */
    void after(Duration delay, Runnable effect) {
        steps.add(new Step<>(Executors.callable(effect), nanos + delay.toNanos(), stepCount++));
    }

    Life life() {
        return new Life();
    }

    /** The executor of one life. */
    final class Life extends AbstractExecutorService implements ScheduledExecutorService {
        private final List<Step<?>> given = new ArrayList<>();
        private boolean closed;

        private <T> Step<T> add(Callable<T> callable, long delay, TimeUnit unit) {
            if (closed) {
                throw new RejectedExecutionException("closed");
            }
            Step<T> step = new Step<>(callable, nanos + Math.max(0, unit.toNanos(delay)), stepCount++);
            steps.add(step);
            given.removeIf(Step::isDone);
            given.add(step);
            return step;
        }

        /** Returns how many steps of this process wait for their time. */
        int waiting() {
            given.removeIf(Step::isDone);
            return given.size();
        }

        @Override
        public void execute(Runnable command) {
            var _ = add(Executors.callable(command), 0, TimeUnit.NANOSECONDS);
        }

        @Override
        public ScheduledFuture<?> schedule(Runnable command, long delay, TimeUnit unit) {
            return add(Executors.callable(command), delay, unit);
        }

        @Override
        public <V> ScheduledFuture<V> schedule(Callable<V> callable, long delay, TimeUnit unit) {
            return add(callable, delay, unit);
        }

        @Override
        public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long initialDelay, long period, TimeUnit unit) {
            throw new UnsupportedOperationException("the agent gives single steps");
        }

        @Override
        public ScheduledFuture<?> scheduleWithFixedDelay(
                Runnable command, long initialDelay, long delay, TimeUnit unit) {
            throw new UnsupportedOperationException("the agent gives single steps");
        }

        @Override
        public void shutdown() {
            closed = true;
            given.forEach(step -> step.cancel(false));
        }

        @Override
        public List<Runnable> shutdownNow() {
            shutdown();
            return List.copyOf(given);
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
