package io.skep.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import io.avaje.json.stream.BytesJsonWriter;
import io.avaje.json.stream.JsonStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A JSON text as the Docker API writes it.
 *
 * <p>Go decides by field whether an empty value is left out ({@code omitempty}), printed as an empty value, or printed
 * as {@code null}; clients rely on that. So each method here says which: {@code …OrOmit} leaves out the zero value, the
 * plain one never does, and {@code …OrNull} prints {@code null} for a collection without elements, as Go does for one
 * that was never made.
 */
final class JsonOut {
    private static final JsonStream STREAM =
            JsonStream.builder().serializeNulls(true).serializeEmpty(true).build();
    private static final DateTimeFormatter SECONDS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss");
    private static final String ZERO_TIME = "0001-01-01T00:00:00Z";

    private final BytesJsonWriter writer = STREAM.bufferedWriterAsBytes();

    private JsonOut() {}

    /** Returns the text of one object. */
    static byte[] object(Consumer<JsonOut> fields) {
        JsonOut out = new JsonOut();
        out.writer.beginObject();
        fields.accept(out);
        out.writer.endObject();
        return out.writer.result();
    }

    /** Returns the text of an array of objects; an empty one is {@code []}. */
    static <T> byte[] array(Collection<T> items, BiConsumer<JsonOut, T> fields) {
        JsonOut out = new JsonOut();
        out.writer.beginArray();
        for (T item : items) {
            out.writer.beginObject();
            fields.accept(out, item);
            out.writer.endObject();
        }
        out.writer.endArray();
        return out.writer.result();
    }

    /** Returns the text of one string. */
    static byte[] string(String value) {
        JsonOut out = new JsonOut();
        out.writer.value(value);
        return out.writer.result();
    }

    /** Returns the text of a tree as {@link JsonIn} reads them. */
    static String tree(Object tree) {
        JsonOut out = new JsonOut();
        out.writer.jsonValue(tree);
        return new String(out.writer.result(), StandardCharsets.UTF_8);
    }

    void text(String name, String value) {
        writer.name(name);
        writer.value(value);
    }

    void textOrOmit(String name, String value) {
        if (!value.isEmpty()) {
            text(name, value);
        }
    }

    void number(String name, long value) {
        writer.name(name);
        writer.value(value);
    }

    void numberOrOmit(String name, long value) {
        if (value != 0) {
            number(name, value);
        }
    }

    /** Writes the 64 bits as an unsigned number. */
    void unsigned(String name, long value) {
        writer.name(name);
        if (value >= 0) {
            writer.value(value);
        } else {
            writer.value(new BigInteger(Long.toUnsignedString(value)));
        }
    }

    void unsignedOrOmit(String name, long value) {
        if (value != 0) {
            unsigned(name, value);
        }
    }

    /** Writes a 32 bit float with the digits that Go writes for it: the shortest that name it. */
    void ratio(String name, float value) {
        writer.name(name);
        if (value == (long) value) {
            writer.value((long) value);
        } else {
            writer.value(Double.parseDouble(Float.toString(value)));
        }
    }

    void flag(String name, boolean value) {
        writer.name(name);
        writer.value(value);
    }

    void flagOrOmit(String name, boolean value) {
        if (value) {
            flag(name, true);
        }
    }

    void nothing(String name) {
        writer.name(name);
        writer.nullValue();
    }

    void bytesOrOmit(String name, ByteString value) {
        if (!value.isEmpty()) {
            writer.name(name);
            writer.value(value.toByteArray());
        }
    }

    void duration(String name, Duration value) {
        number(name, nanos(value));
    }

    void durationOrOmit(String name, Duration value) {
        numberOrOmit(name, nanos(value));
    }

    void time(String name, Timestamp value) {
        text(name, timeText(value));
    }

    void object(String name, Consumer<JsonOut> fields) {
        writer.name(name);
        writer.beginObject();
        fields.accept(this);
        writer.endObject();
    }

    <T> void array(String name, Collection<T> items, BiConsumer<JsonOut, T> fields) {
        writer.name(name);
        writer.beginArray();
        for (T item : items) {
            writer.beginObject();
            fields.accept(this, item);
            writer.endObject();
        }
        writer.endArray();
    }

    <T> void arrayOrOmit(String name, Collection<T> items, BiConsumer<JsonOut, T> fields) {
        if (!items.isEmpty()) {
            array(name, items, fields);
        }
    }

    <T> void arrayOrNull(String name, Collection<T> items, BiConsumer<JsonOut, T> fields) {
        if (items.isEmpty()) {
            nothing(name);
        } else {
            array(name, items, fields);
        }
    }

    void texts(String name, Collection<String> values) {
        writer.name(name);
        writer.beginArray();
        for (String value : values) {
            writer.value(value);
        }
        writer.endArray();
    }

    void textsOrOmit(String name, Collection<String> values) {
        if (!values.isEmpty()) {
            texts(name, values);
        }
    }

    void textsOrNull(String name, Collection<String> values) {
        if (values.isEmpty()) {
            nothing(name);
        } else {
            texts(name, values);
        }
    }

    /** Writes a map with its keys in order; an empty one is <code>{}</code>. */
    void map(String name, Map<String, String> values) {
        writer.name(name);
        writer.beginObject();
        new TreeMap<>(values).forEach((key, value) -> {
            writer.name(key);
            writer.value(value);
        });
        writer.endObject();
    }

    void mapOrOmit(String name, Map<String, String> values) {
        if (!values.isEmpty()) {
            map(name, values);
        }
    }

    void mapOrNull(String name, Map<String, String> values) {
        if (values.isEmpty()) {
            nothing(name);
        } else {
            map(name, values);
        }
    }

    /** Writes the fields of an object that is a tree. */
    void fields(Map<String, @Nullable Object> object) {
        object.forEach(this::tree);
    }

    /** Writes a value of the tree that {@link JsonIn} reads. */
    void tree(String name, @Nullable Object value) {
        writer.name(name);
        writer.jsonValue(value);
    }

    static long nanos(Duration value) {
        return value.getSeconds() * 1_000_000_000L + value.getNanos();
    }

    /** Returns the time as Go prints it: RFC 3339 in UTC with as many digits of the second as needed. */
    static String timeText(Timestamp value) {
        if (value.getSeconds() == 0 && value.getNanos() == 0) {
            return ZERO_TIME;
        }
        String text = Instant.ofEpochSecond(value.getSeconds())
                .atOffset(ZoneOffset.UTC)
                .format(SECONDS);
        if (value.getNanos() == 0) {
            return text + "Z";
        }
        String digits = String.format("%09d", value.getNanos());
        int end = digits.length();
        while (digits.charAt(end - 1) == '0') {
            end--;
        }
        return text + "." + digits.substring(0, end) + "Z";
    }
}
