package io.skep.load;

import java.util.Arrays;

/** Durations of one kind of event, all of them kept, so that percentiles are exact. Not safe for several threads. */
final class Latencies {
    private long[] nanos = new long[64];
    private int count;
    private boolean sorted = true;

    void add(long durationNanos) {
        if (count == nanos.length) {
            nanos = Arrays.copyOf(nanos, 2 * count);
        }
        nanos[count++] = durationNanos;
        sorted = false;
    }

    int count() {
        return count;
    }

    /**
     * Returns the smallest duration that so many percent of all do not exceed, in milliseconds; not a number when there
     * are none.
     */
    double percentileMillis(double percent) {
        if (count == 0) {
            return Double.NaN;
        }
        if (!sorted) {
            Arrays.sort(nanos, 0, count);
            sorted = true;
        }
        int rank = (int) Math.ceil(percent / 100 * count);
        return nanos[Math.min(count, Math.max(1, rank)) - 1] / 1e6;
    }
}
