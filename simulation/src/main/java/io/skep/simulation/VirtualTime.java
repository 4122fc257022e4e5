package io.skep.simulation;

import java.time.Duration;
import java.time.Instant;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * The time of a simulation: all that is going to happen, in order. Nothing else runs code, so a run is decided by its
 * seed alone. Time passes only between events.
 *
 * <p>Events of the same moment happen in the order in which they were planned. A fingerprint of all that happened tells
 * whether two runs were the same.
 */
final class VirtualTime {
    static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

    /** Something that is going to happen, unless it is cancelled. */
    static final class Event implements Comparable<Event> {
        private final long at;
        private final long order;
        private @Nullable Runnable what;

        private Event(long at, long order, Runnable what) {
            this.at = at;
            this.order = order;
            this.what = what;
        }

        void cancel() {
            what = null;
        }

        boolean isCancelled() {
            return what == null;
        }

        @Override
        public int compareTo(Event other) {
            int byTime = Long.compare(at, other.at);
            return byTime == 0 ? Long.compare(order, other.order) : byTime;
        }
    }

    private final PriorityQueue<Event> queue = new PriorityQueue<>();
    private long now;
    private long order;
    private long happened;
    private long fingerprint = 0x9E3779B97F4A7C15L;

    /** Returns the nanoseconds since the simulation began. */
    long nanos() {
        return now;
    }

    Instant instant() {
        return START.plusNanos(now);
    }

    Event after(Duration delay, Runnable what) {
        return afterNanos(delay.toNanos(), what);
    }

    Event afterNanos(long delayNanos, Runnable what) {
        return at(now + Math.max(0, delayNanos), what);
    }

    Event at(long nanos, Runnable what) {
        Event event = new Event(Math.max(now, nanos), order++, what);
        queue.add(event);
        return event;
    }

    /** Lets the next event happen; returns false when there is none before the end. */
    boolean step(long endNanos) {
        while (true) {
            Event next = queue.peek();
            if (next == null || next.at > endNanos) {
                now = Math.max(now, endNanos);
                return false;
            }
            queue.remove();
            Runnable what = next.what;
            if (what != null) {
                now = next.at;
                happened++;
                note(next.at);
                note(next.order);
                next.what = null;
                what.run();
                return true;
            }
        }
    }

    /** Makes something part of the fingerprint. */
    void note(long value) {
        long mixed = (fingerprint ^ value) * 0xBF58476D1CE4E5B9L;
        fingerprint = mixed ^ (mixed >>> 31);
    }

    long fingerprint() {
        return fingerprint;
    }

    /** Returns how many events happened. */
    long happened() {
        return happened;
    }
}
