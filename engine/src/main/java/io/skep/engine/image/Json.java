package io.skep.engine.image;

import io.avaje.json.JsonException;
import io.avaje.json.JsonReader;
import io.avaje.json.stream.BytesJsonWriter;
import io.avaje.json.stream.JsonStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An object of JSON that came from outside: what is absent or null reads as empty, what is of another type is refused
 * by name.
 */
public final class Json {
    private static final int DEPTH_MAX = 32;
    private static final JsonStream STREAM =
            JsonStream.builder().serializeNulls(true).serializeEmpty(true).build();

    private final Map<String, @Nullable Object> fields;

    private Json(Map<String, @Nullable Object> fields) {
        this.fields = fields;
    }

    /**
     * Reads an object.
     *
     * @throws IOException when the text is not one
     */
    public static Json parse(byte[] text) throws IOException {
        return new Json(asObject("the document", tree(text)));
    }

    /** Reads an array of objects. */
    public static List<Json> parseArray(byte[] text) throws IOException {
        List<Json> objects = new ArrayList<>();
        for (Object item : asList("the document", tree(text))) {
            objects.add(new Json(asObject("an item of the document", item)));
        }
        return objects;
    }

    private static @Nullable Object tree(byte[] text) throws IOException {
        try (JsonReader reader = STREAM.reader(text)) {
            return read(reader, 0);
        } catch (JsonException | NumberFormatException | IndexOutOfBoundsException | IllegalStateException e) {
            String reason = e.getMessage() == null ? "it ends too early" : e.getMessage();
            throw new IOException("invalid JSON: " + reason, e);
        }
    }

    private static @Nullable Object read(JsonReader reader, int depth) throws IOException {
        if (depth > DEPTH_MAX) {
            throw new IOException("invalid JSON: nested more than " + DEPTH_MAX + " levels deep");
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
                    throw new IOException("invalid JSON: " + reader.location());
                }
                yield null;
            }
        };
    }

    /** Returns the text of a tree of maps, lists, strings, numbers, booleans and null. */
    public static byte[] write(Object tree) {
        BytesJsonWriter writer = STREAM.bufferedWriterAsBytes();
        writer.jsonValue(tree);
        return writer.result();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, @Nullable Object> asObject(String name, @Nullable Object value) throws IOException {
        if (value == null) {
            return Map.of();
        }
        if (value instanceof Map) {
            return (Map<String, @Nullable Object>) value;
        }
        throw mismatch(name, "an object");
    }

    @SuppressWarnings("unchecked")
    private static List<@Nullable Object> asList(String name, @Nullable Object value) throws IOException {
        if (value == null) {
            return List.of();
        }
        if (value instanceof List) {
            return (List<@Nullable Object>) value;
        }
        throw mismatch(name, "a list");
    }

    private static String asText(String name, @Nullable Object value) throws IOException {
        if (value == null) {
            return "";
        }
        if (value instanceof String text) {
            return text;
        }
        throw mismatch(name, "a text");
    }

    private static IOException mismatch(String name, String wanted) {
        return new IOException("invalid JSON: " + name + " is not " + wanted);
    }

    /** Whether the field is there and not null. */
    public boolean has(String name) {
        return fields.get(name) != null;
    }

    /** Returns a text, the empty one when it is absent. */
    public String text(String name) throws IOException {
        return asText(name, fields.get(name));
    }

    /** Returns a number, 0 when it is absent. */
    public long number(String name) throws IOException {
        Object value = fields.get(name);
        if (value == null) {
            return 0;
        }
        if (value instanceof BigDecimal number) {
            try {
                return number.longValueExact();
            } catch (ArithmeticException e) {
                throw mismatch(name, "a whole number of 64 bits");
            }
        }
        throw mismatch(name, "a number");
    }

    /** Returns a boolean, false when it is absent. */
    public boolean flag(String name) throws IOException {
        Object value = fields.get(name);
        if (value == null) {
            return false;
        }
        if (value instanceof Boolean flag) {
            return flag;
        }
        throw mismatch(name, "true or false");
    }

    /** Returns an object, an empty one when it is absent. */
    public Json object(String name) throws IOException {
        return new Json(asObject(name, fields.get(name)));
    }

    /** Returns an object if it is there. */
    public Optional<Json> optional(String name) throws IOException {
        return has(name) ? Optional.of(object(name)) : Optional.empty();
    }

    /** Returns the objects of a list. */
    public List<Json> objects(String name) throws IOException {
        List<Json> objects = new ArrayList<>();
        for (Object item : asList(name, fields.get(name))) {
            objects.add(new Json(asObject(name, item)));
        }
        return objects;
    }

    /** Returns the texts of a list; a single text counts as a list of one. */
    public List<String> texts(String name) throws IOException {
        Object value = fields.get(name);
        if (value instanceof String text) {
            return List.of(text);
        }
        List<String> texts = new ArrayList<>();
        for (Object item : asList(name, value)) {
            texts.add(asText(name, item));
        }
        return texts;
    }

    /** Returns a map of texts. */
    public Map<String, String> map(String name) throws IOException {
        Map<String, String> map = new LinkedHashMap<>();
        for (Map.Entry<String, @Nullable Object> entry :
                asObject(name, fields.get(name)).entrySet()) {
            map.put(entry.getKey(), asText(name, entry.getValue()));
        }
        return map;
    }

    /** Returns the names of the fields of an object. */
    public List<String> keys(String name) throws IOException {
        return List.copyOf(asObject(name, fields.get(name)).keySet());
    }

    /** Returns a copy of all fields, for one that is much like this. */
    public Map<String, @Nullable Object> copy() {
        return new LinkedHashMap<>(fields);
    }
}
