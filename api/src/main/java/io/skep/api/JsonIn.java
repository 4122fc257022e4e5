package io.skep.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.avaje.json.JsonException;
import io.avaje.json.JsonReader;
import io.avaje.json.stream.JsonStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * An object of a request's JSON, read as Go reads it: keys match in any case, what is not known is passed over, null is
 * the same as absent, and a value of another type is refused by name.
 */
final class JsonIn {
    /** Deeper nesting than any object of the API has. */
    private static final int DEPTH_MAX = 64;

    private static final JsonStream STREAM = JsonStream.builder().build();

    private final String path;
    private final Map<String, @Nullable Object> fields;

    private JsonIn(String path, Map<String, @Nullable Object> fields) {
        this.path = path;
        this.fields = fields;
    }

    /**
     * Reads an object.
     *
     * @throws ApiException 400 when the text is not one JSON object
     */
    static JsonIn parse(byte[] text) {
        Object tree = parseTree(text);
        return new JsonIn("", asObject("", tree));
    }

    /**
     * Reads any JSON value into maps, lists, strings, decimals, booleans and null.
     *
     * @throws ApiException 400 when the text is not one JSON value
     */
    static @Nullable Object parseTree(byte[] text) {
        int end = text.length;
        while (end > 0 && text[end - 1] <= ' ' && text[end - 1] >= 0) {
            end--;
        }
        byte[] trimmed = end == text.length ? text : Arrays.copyOf(text, end);
        if (trimmed.length == 0) {
            throw new ApiException(400, "got EOF while reading request body");
        }
        try (JsonReader reader = STREAM.reader(trimmed)) {
            Object tree = read(reader, 0);
            requireEnd(reader, trimmed, tree);
            return tree;
        } catch (JsonException | NumberFormatException | IndexOutOfBoundsException | IllegalStateException e) {
            throw new ApiException(400, "invalid JSON: " + e.getMessage());
        }
    }

    private static void requireEnd(JsonReader reader, byte[] text, @Nullable Object tree) {
        char last = (char) (text[text.length - 1] & 0xff);
        boolean closed = tree instanceof Map ? last == '}' : !(tree instanceof List) || last == ']';
        boolean more;
        try {
            more = reader.hasNextElement();
        } catch (JsonException e) {
            more = true;
        }
        if (more || !closed) {
            throw new ApiException(400, "unexpected content after JSON");
        }
    }

    private static @Nullable Object read(JsonReader reader, int depth) {
        if (depth > DEPTH_MAX) {
            throw new ApiException(400, "invalid JSON: nested more than " + DEPTH_MAX + " levels deep");
        }
        return switch (reader.currentToken()) {
            case BEGIN_OBJECT -> {
                Map<String, @Nullable Object> object = new LinkedHashMap<>();
                reader.beginObject();
                while (reader.hasNextField()) {
                    String name = reader.nextField();
                    object.put(name, read(reader, depth + 1));
                }
                reader.endObject();
                yield object;
            }
            case BEGIN_ARRAY -> {
                List<@Nullable Object> array = new ArrayList<>();
                reader.beginArray();
                while (reader.hasNextElement()) {
                    array.add(read(reader, depth + 1));
                }
                reader.endArray();
                yield array;
            }
            case STRING -> reader.readString();
            case NUMBER -> reader.readDecimal();
            case BOOLEAN -> reader.readBoolean();
            case NULL -> {
                if (!reader.isNullValue()) {
                    throw new ApiException(400, "invalid JSON: " + reader.location());
                }
                yield null;
            }
        };
    }

    @SuppressWarnings("unchecked")
    private static Map<String, @Nullable Object> asObject(String path, @Nullable Object value) {
        if (value == null) {
            return new LinkedHashMap<>();
        }
        if (!(value instanceof Map)) {
            throw mismatch(path, value, "object");
        }
        Map<String, @Nullable Object> anyCase = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        anyCase.putAll((Map<String, @Nullable Object>) value);
        return anyCase;
    }

    static ApiException mismatch(String path, Object value, String wanted) {
        String kind = switch (value) {
            case Map<?, ?> map -> "object";
            case List<?> list -> "array";
            case String string -> "string";
            case BigDecimal number -> "number";
            default -> "bool";
        };
        String where = path.isEmpty() ? "the request body" : "field " + path;
        return new ApiException(400, "invalid JSON: " + where + " is of type " + kind + ", not " + wanted);
    }

    private String pathOf(String name) {
        return path.isEmpty() ? name : path + "." + name;
    }

    /** Returns the fields by their names in any case. */
    Map<String, @Nullable Object> fields() {
        return fields;
    }

    boolean has(String name) {
        return fields.get(name) != null;
    }

    /** Returns the text of a field, and the empty one when it is absent. */
    String text(String name) {
        Object value = fields.get(name);
        if (value == null) {
            return "";
        }
        if (value instanceof String text) {
            return text;
        }
        throw mismatch(pathOf(name), value, "string");
    }

    boolean flag(String name) {
        Object value = fields.get(name);
        if (value == null) {
            return false;
        }
        if (value instanceof Boolean flag) {
            return flag;
        }
        throw mismatch(pathOf(name), value, "bool");
    }

    /** Returns a signed 64 bit number, 0 when absent. */
    long number(String name) {
        return integer(name, BigInteger.valueOf(Long.MIN_VALUE), BigInteger.valueOf(Long.MAX_VALUE));
    }

    /** Returns the bits of an unsigned 64 bit number, 0 when absent. */
    long unsigned(String name) {
        return integer(name, BigInteger.ZERO, BigInteger.TWO.pow(64).subtract(BigInteger.ONE));
    }

    /** Returns the bits of an unsigned 32 bit number, 0 when absent. */
    int unsigned32(String name) {
        return (int) integer(name, BigInteger.ZERO, BigInteger.TWO.pow(32).subtract(BigInteger.ONE));
    }

    int number32(String name) {
        return (int) integer(name, BigInteger.valueOf(Integer.MIN_VALUE), BigInteger.valueOf(Integer.MAX_VALUE));
    }

    private long integer(String name, BigInteger least, BigInteger most) {
        Object value = fields.get(name);
        if (value == null) {
            return 0;
        }
        if (!(value instanceof BigDecimal decimal)) {
            throw mismatch(pathOf(name), value, "number");
        }
        // A huge exponent would make a number of as many digits.
        if ((decimal.scale() > 0 && decimal.stripTrailingZeros().scale() > 0) || decimal.scale() < -20) {
            throw new ApiException(400, "invalid JSON: field " + pathOf(name) + " is not a whole number in range");
        }
        BigInteger integer = decimal.toBigInteger();
        if (integer.compareTo(least) < 0 || integer.compareTo(most) > 0) {
            throw new ApiException(
                    400,
                    "invalid JSON: field " + pathOf(name) + " is out of range (" + integer + "); it takes " + least
                            + " to " + most);
        }
        return integer.longValue();
    }

    float ratio(String name) {
        Object value = fields.get(name);
        if (value == null) {
            return 0;
        }
        if (value instanceof BigDecimal decimal) {
            return decimal.floatValue();
        }
        throw mismatch(pathOf(name), value, "number");
    }

    /** Returns a duration given in nanoseconds, zero when absent. */
    Duration duration(String name) {
        long nanos = number(name);
        return Duration.newBuilder()
                .setSeconds(nanos / 1_000_000_000L)
                .setNanos((int) (nanos % 1_000_000_000L))
                .build();
    }

    /** Returns bytes given in base64, none when absent. */
    ByteString bytes(String name) {
        String text = text(name);
        try {
            return ByteString.copyFrom(Base64.getDecoder().decode(text.getBytes(StandardCharsets.ISO_8859_1)));
        } catch (IllegalArgumentException e) {
            throw new ApiException(400, "invalid JSON: field " + pathOf(name) + " is not base64");
        }
    }

    /** Returns an object, or null when it is absent or null. */
    @Nullable
    JsonIn objectOrNull(String name) {
        Object value = fields.get(name);
        return value == null ? null : new JsonIn(pathOf(name), asObject(pathOf(name), value));
    }

    /** Returns an object, an empty one when it is absent. */
    JsonIn object(String name) {
        return new JsonIn(pathOf(name), asObject(pathOf(name), fields.get(name)));
    }

    /** Calls the reader with the object if it is there. */
    void ifObject(String name, Consumer<JsonIn> reader) {
        JsonIn object = objectOrNull(name);
        if (object != null) {
            reader.accept(object);
        }
    }

    List<JsonIn> objects(String name) {
        List<JsonIn> objects = new ArrayList<>();
        int index = 0;
        for (Object element : list(name)) {
            String where = pathOf(name) + "[" + index++ + "]";
            objects.add(new JsonIn(where, asObject(where, element)));
        }
        return objects;
    }

    List<String> texts(String name) {
        List<String> texts = new ArrayList<>();
        for (Object element : list(name)) {
            if (element == null) {
                texts.add("");
            } else if (element instanceof String text) {
                texts.add(text);
            } else {
                throw mismatch(pathOf(name), element, "array of strings");
            }
        }
        return texts;
    }

    /** Returns a map of strings; its keys keep their case. */
    @SuppressWarnings("unchecked")
    Map<String, String> map(String name) {
        Object value = fields.get(name);
        if (value == null) {
            return Map.of();
        }
        if (!(value instanceof Map)) {
            throw mismatch(pathOf(name), value, "map of strings");
        }
        Map<String, String> map = new LinkedHashMap<>();
        ((Map<String, @Nullable Object>) value).forEach((key, element) -> {
            if (element == null) {
                map.put(key, "");
            } else if (element instanceof String text) {
                map.put(key, text);
            } else {
                throw mismatch(pathOf(name) + "." + key, element, "string");
            }
        });
        return map;
    }

    /** Returns the field as the tree it was read into. */
    @Nullable
    Object tree(String name) {
        return fields.get(name);
    }

    String lowerText(String name) {
        return text(name).toLowerCase(Locale.ROOT);
    }

    @SuppressWarnings("unchecked")
    private List<@Nullable Object> list(String name) {
        Object value = fields.get(name);
        if (value == null) {
            return Collections.emptyList();
        }
        if (!(value instanceof List)) {
            throw mismatch(pathOf(name), value, "array");
        }
        return (List<@Nullable Object>) value;
    }
}
