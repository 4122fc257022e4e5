package io.skep.api;

import com.google.protobuf.Timestamp;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;

/** Points in time as parameters of requests (engine-api 1.3). */
final class Times {
    private Times() {}

    /**
     * Reads seconds since 1970, maybe with a fraction, or RFC 3339.
     *
     * @throws ApiException 400 when it is neither
     */
    static Timestamp parse(String name, String text) {
        try {
            int dot = text.indexOf('.');
            String seconds = dot < 0 ? text : text.substring(0, dot);
            if (seconds.matches("-?[0-9]+")) {
                String fraction = dot < 0 ? "" : text.substring(dot + 1);
                if (!fraction.matches("[0-9]{0,9}")) {
                    throw new NumberFormatException("fraction");
                }
                int nanos = fraction.isEmpty() ? 0 : Integer.parseInt((fraction + "00000000").substring(0, 9));
                return Timestamp.newBuilder()
                        .setSeconds(Long.parseLong(seconds))
                        .setNanos(nanos)
                        .build();
            }
            return of(OffsetDateTime.parse(text).toInstant());
        } catch (DateTimeException | NumberFormatException e) {
            throw new ApiException(
                    400, "invalid value for " + name + ": \"" + text + "\" is neither seconds since 1970 nor RFC 3339");
        }
    }

    static Timestamp of(Instant instant) {
        return Timestamp.newBuilder()
                .setSeconds(instant.getEpochSecond())
                .setNanos(instant.getNano())
                .build();
    }

    static Instant instant(Timestamp time) {
        return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    }

    static int compare(Timestamp a, Timestamp b) {
        return a.getSeconds() != b.getSeconds()
                ? Long.compare(a.getSeconds(), b.getSeconds())
                : Integer.compare(a.getNanos(), b.getNanos());
    }
}
