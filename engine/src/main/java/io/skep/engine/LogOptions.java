package io.skep.engine;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Which lines of a log are wanted.
 *
 * @param follow whether to wait for more, until the container ends
 * @param tail how many of the last lines, or -1 for all
 * @param since the first time wanted, or null
 * @param until the last time wanted, or null
 */
public record LogOptions(
        boolean stdout,
        boolean stderr,
        boolean follow,
        long tail,
        @Nullable Instant since,
        @Nullable Instant until) {

    boolean wants(LogLine line) {
        return (line.stream() == OutputStreamKind.STDOUT ? stdout : stderr)
                && (since == null || !line.time().isBefore(since))
                && !isPast(line);
    }

    boolean isPast(LogLine line) {
        return until != null && line.time().isAfter(until);
    }
}
