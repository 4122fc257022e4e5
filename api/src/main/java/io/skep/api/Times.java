package io.skep.api;

import com.google.protobuf.Timestamp;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Points in time as parameters of requests (engine-api 1.3). */
final class Times {
    private static final Pattern AGO_PART = Pattern.compile("(\\d{1,9}(?:\\.\\d{1,9})?)(h|ms|m|s|us)");
    private static final Pattern AGO = Pattern.compile("(?:" + AGO_PART + "){1,5}");

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

    /**
     * Reads what {@link #parse} reads, or how long ago it was, in Go's words: 1h30m.
     *
     * @throws ApiException 400 when it is none of them
     */
    static Instant parseOrAgo(String name, String text, Instant now) {
        Matcher whole = AGO.matcher(text);
        if (text.isEmpty() || !whole.matches()) {
            return instant(parse(name, text));
        }
        Duration ago = Duration.ZERO;
        Matcher part = AGO_PART.matcher(text);
        while (part.find()) {
            BigDecimal nanos = new BigDecimal(part.group(1)).multiply(BigDecimal.valueOf(nanos(part.group(2))));
            ago = ago.plusNanos(nanos.longValue());
        }
        return now.minus(ago);
    }

    private static long nanos(String unit) {
        return switch (unit) {
            case "h" -> 3_600_000_000_000L;
            case "m" -> 60_000_000_000L;
            case "s" -> 1_000_000_000L;
            case "ms" -> 1_000_000L;
            default -> 1_000L;
        };
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
