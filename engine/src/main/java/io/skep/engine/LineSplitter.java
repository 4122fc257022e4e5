package io.skep.engine;

import com.google.protobuf.ByteString;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;

/**
 * Cuts the bytes of one stream into lines. A line longer than {@value #LINE_BYTES_MAX} bytes comes in pieces, of which
 * only the last has a line end. Not safe for use by several threads.
 */
final class LineSplitter {
    static final int LINE_BYTES_MAX = 16 << 10;

    private final OutputStreamKind stream;
    private final InstantSource clock;
    private final byte[] begun = new byte[LINE_BYTES_MAX];
    private int begunLength;

    LineSplitter(OutputStreamKind stream, InstantSource clock) {
        this.stream = stream;
        this.clock = clock;
    }

    /** Returns the lines that these bytes complete. */
    List<LogLine> take(byte[] bytes, int length) {
        Instant now = clock.instant();
        List<LogLine> lines = new ArrayList<>();
        int at = 0;
        while (at < length) {
            int end = at;
            int limit = Math.min(length, at + LINE_BYTES_MAX - begunLength);
            while (end < limit && bytes[end] != '\n') {
                end++;
            }
            boolean whole = end < limit;
            int until = whole ? end + 1 : end;
            if (whole || until - at + begunLength == LINE_BYTES_MAX) {
                lines.add(new LogLine(stream, now, joined(bytes, at, until)));
                begunLength = 0;
            } else {
                System.arraycopy(bytes, at, begun, begunLength, until - at);
                begunLength += until - at;
            }
            at = until;
        }
        return lines;
    }

    /** Returns what is left of a line that was not ended. */
    List<LogLine> end() {
        if (begunLength == 0) {
            return List.of();
        }
        LogLine line = new LogLine(stream, clock.instant(), ByteString.copyFrom(begun, 0, begunLength));
        begunLength = 0;
        return List.of(line);
    }

    private ByteString joined(byte[] bytes, int from, int to) {
        ByteString rest = ByteString.copyFrom(bytes, from, to - from);
        return begunLength == 0
                ? rest
                : ByteString.copyFrom(begun, 0, begunLength).concat(rest);
    }
}
