package io.skep.manager;

import io.grpc.Deadline;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Delayed;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * Time that passes only when a test says so, and the tasks that are due in it: on the thread of the test, in the order
 * of their times and then of their coming.
 */
final class VirtualTime extends AbstractExecutorService implements ScheduledExecutorService, InstantSource {
    /** By how much the time of day is off. */
    Duration skew = Duration.ZERO;

    private final PriorityQueue<Due> queue =
            new PriorityQueue<>(Comparator.comparingLong(Due::at).thenComparingLong(Due::number));
    private final Deadline.Ticker ticker = new Deadline.Ticker() {
        @Override
        public long nanoTime() {
            return nanos;
        }
    };
    private long nanos;
    private long number;

    Deadline.Ticker ticker() {
        return ticker;
    }

    @Override
    public Instant instant() {
        return Instant.ofEpochSecond(1_000_000_000).plusNanos(nanos).plus(skew);
    }

    /** Lets time pass and runs all that becomes due. */
    void pass(Duration duration) {
        long end = nanos + duration.toNanos();
        while (!queue.isEmpty() && queue.peek().at() <= end) {
            Due due = queue.remove();
            nanos = Math.max(nanos, due.at());
            due.run();
        }
        nanos = end;
    }

    /** Runs what is due now, and what that leads to. */
    void settle() {
        pass(Duration.ZERO);
    }

    /** Returns how many tasks wait, now or for their time. */
    int tasks() {
        return queue.size();
    }

    private Due add(Runnable task, long at) {
        Due due = new Due(task, at, number++);
        queue.add(due);
        return due;
    }

    @Override
    public void execute(Runnable task) {
        var _ = add(task, nanos);
    }

    @Override
    public ScheduledFuture<?> schedule(Runnable task, long delay, TimeUnit unit) {
        return add(task, nanos + Math.max(0, unit.toNanos(delay)));
    }

    @Override
    public <V> ScheduledFuture<V> schedule(Callable<V> callable, long delay, TimeUnit unit) {
        throw new UnsupportedOperationException();
    }

    @Override
    public ScheduledFuture<?> scheduleAtFixedRate(Runnable command, long initialDelay, long period, TimeUnit unit) {
        throw new UnsupportedOperationException();
    }

    @Override
    public ScheduledFuture<?> scheduleWithFixedDelay(Runnable command, long initialDelay, long delay, TimeUnit unit) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void shutdown() {
        queue.clear();
    }

    @Override
    public List<Runnable> shutdownNow() {
        queue.clear();
        return List.of();
    }

    @Override
    public boolean isShutdown() {
        return false;
    }

    @Override
    public boolean isTerminated() {
        return false;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
        return true;
    }

    private final class Due implements ScheduledFuture<Object> {
        private final Runnable task;
        private final long at;
        private final long number;
        private boolean done;

        Due(Runnable task, long at, long number) {
            this.task = task;
            this.at = at;
            this.number = number;
        }

        long at() {
            return at;
        }

        long number() {
            return number;
        }

        void run() {
            done = true;
            task.run();
        }

        @Override
        public long getDelay(TimeUnit unit) {
            return unit.convert(at - nanos, TimeUnit.NANOSECONDS);
        }

        @Override
        public int compareTo(Delayed other) {
            return Long.compare(getDelay(TimeUnit.NANOSECONDS), other.getDelay(TimeUnit.NANOSECONDS));
        }

        @Override
        public boolean cancel(boolean mayInterrupt) {
            return queue.remove(this);
        }

        @Override
        public boolean isCancelled() {
            return !done && !queue.contains(this);
        }

        @Override
        public boolean isDone() {
            return done || !queue.contains(this);
        }

        @Override
        public Object get() {
            throw new CancellationException("delayed tasks have no result");
        }

        @Override
        public Object get(long timeout, TimeUnit unit) {
            return get();
        }
    }
}
