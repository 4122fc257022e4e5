package io.skep.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor.JavaType;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.skep.engine.record.Empty;
import io.skep.engine.record.Json;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The records of the engine to and from the JSON of the Docker API, after their descriptors and the options of
 * {@code json.proto}: a record that gets a field needs no code here.
 *
 * <p>Reading is as Go reads, in any case of the names and with null for absent, but for one thing: a field that no
 * record has is refused by name unless its value is empty, as to pass it over would give the user less than was asked
 * for without a word. Fields that the version of the client does not know yet are passed over.
 */
final class RecordJson {
    private static final Base64.Encoder BASE64 = Base64.getEncoder();

    private RecordJson() {}

    // ---- writing

    /** Returns the text of a record. */
    static byte[] object(Message message) {
        return JsonOut.object(out -> out.fields(fields(message)));
    }

    /** Returns the text of a list of records. */
    static <T extends Message> byte[] array(Collection<T> messages) {
        return JsonOut.array(messages, (out, message) -> out.fields(fields(message)));
    }

    /** Writes a record as a field of the object that is being written. */
    static void write(JsonOut out, String name, Message message) {
        out.tree(name, value(message));
    }

    /** Returns the fields of a record in the order of its descriptor. */
    static Map<String, @Nullable Object> fields(Message message) {
        Map<String, @Nullable Object> fields = new LinkedHashMap<>();
        for (FieldDescriptor field : message.getDescriptorForType().getFields()) {
            write(fields, message, field);
        }
        return fields;
    }

    private static void write(Map<String, @Nullable Object> fields, Message message, FieldDescriptor field) {
        if (option(field, Json.internal)) {
            return;
        }
        if (option(field, Json.inlined)) {
            fields.putAll(fields((Message) message.getField(field)));
            return;
        }
        Empty empty = field.getOptions().getExtension(Json.empty);
        if (isEmpty(message, field)) {
            switch (empty) {
                case EMPTY_OMITTED -> {}
                case EMPTY_NULL -> fields.put(field.getJsonName(), null);
                default -> fields.put(field.getJsonName(), isAbsent(message, field) ? null : value(message, field));
            }
            return;
        }
        fields.put(field.getJsonName(), value(message, field));
    }

    private static boolean option(
            FieldDescriptor field,
            com.google.protobuf.GeneratedMessage.GeneratedExtension<
                            com.google.protobuf.DescriptorProtos.FieldOptions, Boolean>
                    extension) {
        return field.getOptions().getExtension(extension);
    }

    /** Whether a field is declared optional and is not set. */
    private static boolean isAbsent(Message message, FieldDescriptor field) {
        return field.toProto().getProto3Optional() && !message.hasField(field);
    }

    private static boolean isEmpty(Message message, FieldDescriptor field) {
        if (field.isRepeated()) {
            return message.getRepeatedFieldCount(field) == 0;
        }
        if (field.hasPresence()) {
            return !message.hasField(field);
        }
        return message.getField(field).equals(field.getDefaultValue());
    }

    private static @Nullable Object value(Message message, FieldDescriptor field) {
        if (field.isMapField()) {
            Map<String, @Nullable Object> map = new TreeMap<>();
            for (Object entry : (List<?>) message.getField(field)) {
                Message pair = (Message) entry;
                Descriptor type = pair.getDescriptorForType();
                map.put(
                        String.valueOf(pair.getField(type.findFieldByNumber(1))),
                        scalar(type.findFieldByNumber(2), pair.getField(type.findFieldByNumber(2))));
            }
            return map;
        }
        if (field.isRepeated()) {
            List<?> elements = (List<?>) message.getField(field);
            if (option(field, Json.keySet)) {
                Map<String, @Nullable Object> set = new TreeMap<>();
                elements.forEach(element -> set.put(String.valueOf(element), Map.of()));
                return set;
            }
            List<@Nullable Object> list = new ArrayList<>();
            elements.forEach(element -> list.add(scalar(field, element)));
            return list;
        }
        return scalar(field, message.getField(field));
    }

    private static @Nullable Object scalar(FieldDescriptor field, Object value) {
        return switch (value) {
            case Timestamp time -> JsonOut.timeText(time);
            case Message message -> value(message);
            case ByteString bytes -> BASE64.encodeToString(bytes.toByteArray());
            case String text
            when option(field, Json.verbatim) ->
                text.isEmpty() ? null : JsonIn.parseTree(text.getBytes(StandardCharsets.UTF_8));
            case Integer number when field.getType() == FieldDescriptor.Type.UINT32 -> Integer.toUnsignedLong(number);
            case Long number
            when field.getType() == FieldDescriptor.Type.UINT64 && number < 0 ->
                new BigInteger(Long.toUnsignedString(number));
            default -> value;
        };
    }

    private static Object value(Message message) {
        Descriptor type = message.getDescriptorForType();
        if (type.getOptions().getExtension(Json.asList)) {
            Object list = value(message, type.getFields().getFirst());
            return list == null ? List.of() : list;
        }
        return fields(message);
    }

    // ---- reading

    /**
     * Reads the body of a request.
     *
     * @param empty an instance of the record that is wanted
     * @throws ApiException 400 when a field is of another type, or is not known and not empty
     */
    static <T extends Message> T read(Call call, T empty) {
        return read(call.json().fields(), empty, call.version());
    }

    /** Reads the fields of an object. */
    static <T extends Message> T read(Map<String, @Nullable Object> object, T empty, ApiVersion version) {
        Message.Builder builder = empty.newBuilderForType();
        fill(builder, object, "", version);
        @SuppressWarnings("unchecked")
        T message = (T) builder.build();
        return message;
    }

    private static void fill(
            Message.Builder builder, Map<String, @Nullable Object> object, String path, ApiVersion version) {
        Map<String, @Nullable Object> left = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        left.putAll(object);
        take(builder, left, path, version);
        left.forEach((name, value) -> {
            if (!isNothing(value)) {
                throw new ApiException(400, "field " + path(path, name) + " is not supported by this engine");
            }
        });
    }

    /** Takes the fields that the record has out of an object. */
    private static void take(
            Message.Builder builder, Map<String, @Nullable Object> object, String path, ApiVersion version) {
        for (FieldDescriptor field : builder.getDescriptorForType().getFields()) {
            if (option(field, Json.internal)) {
                continue;
            }
            if (option(field, Json.inlined)) {
                take(builder.getFieldBuilder(field), object, path, version);
                continue;
            }
            Object value = object.remove(field.getJsonName());
            if (value != null && !version.before(1, field.getOptions().getExtension(Json.sinceMinor))) {
                set(builder, field, value, path(path, field.getJsonName()), version);
            }
        }
    }

    private static void set(
            Message.Builder builder, FieldDescriptor field, Object value, String path, ApiVersion version) {
        if (field.isMapField()) {
            FieldDescriptor element = field.getMessageType().findFieldByNumber(2);
            map(value, path).forEach((key, each) -> {
                Message.Builder entry = builder.newBuilderForField(field);
                entry.setField(field.getMessageType().findFieldByNumber(1), key);
                entry.setField(element, element(entry, element, each, path(path, key), version));
                builder.addRepeatedField(field, entry.build());
            });
        } else if (field.isRepeated()) {
            if (option(field, Json.keySet)) {
                map(value, path).keySet().forEach(key -> builder.addRepeatedField(field, key));
            } else if (option(field, Json.orText) && value instanceof String text) {
                builder.addRepeatedField(field, text);
            } else {
                int index = 0;
                for (Object each : list(value, path)) {
                    builder.addRepeatedField(field, element(builder, field, each, path + "[" + index++ + "]", version));
                }
            }
        } else {
            builder.setField(field, element(builder, field, value, path, version));
        }
    }

    private static Object element(
            Message.Builder holder, FieldDescriptor field, @Nullable Object value, String path, ApiVersion version) {
        if (field.getJavaType() == JavaType.MESSAGE) {
            return message(holder.newBuilderForField(field), value, path, version);
        }
        if (option(field, Json.verbatim)) {
            return value == null ? "" : JsonOut.tree(value);
        }
        if (value == null) {
            return field.getType() == FieldDescriptor.Type.BYTES ? ByteString.EMPTY : zero(field);
        }
        return switch (field.getType()) {
            case STRING -> require(String.class, value, path, "string");
            case BOOL -> require(Boolean.class, value, path, "bool");
            case INT32, SINT32 -> (int) whole(value, path, Integer.MIN_VALUE, BigInteger.valueOf(Integer.MAX_VALUE));
            case UINT32 -> (int) whole(value, path, 0, BigInteger.TWO.pow(32).subtract(BigInteger.ONE));
            case INT64, SINT64 -> whole(value, path, Long.MIN_VALUE, BigInteger.valueOf(Long.MAX_VALUE));
            case UINT64 -> whole(value, path, 0, BigInteger.TWO.pow(64).subtract(BigInteger.ONE));
            case DOUBLE -> require(BigDecimal.class, value, path, "number").doubleValue();
            case BYTES -> bytes(value, path);
            default -> throw new IllegalStateException("no JSON for " + field.getFullName());
        };
    }

    private static Object zero(FieldDescriptor field) {
        return switch (field.getJavaType()) {
            case STRING -> "";
            case BOOLEAN -> false;
            case INT -> 0;
            case LONG -> 0L;
            case DOUBLE -> 0.0;
            default -> throw new IllegalStateException("no JSON for " + field.getFullName());
        };
    }

    private static Message message(Message.Builder builder, @Nullable Object value, String path, ApiVersion version) {
        if (value == null) {
            return builder.build();
        }
        Descriptor type = builder.getDescriptorForType();
        if (type.getFullName().equals(Timestamp.getDescriptor().getFullName())) {
            return Times.parse(path, require(String.class, value, path, "string"));
        }
        if (type.getOptions().getExtension(Json.asList)) {
            set(builder, type.getFields().getFirst(), value, path, version);
        } else {
            fill(builder, map(value, path), path, version);
        }
        return builder.build();
    }

    private static ByteString bytes(Object value, String path) {
        String text = require(String.class, value, path, "string");
        try {
            return ByteString.copyFrom(Base64.getDecoder().decode(text.getBytes(StandardCharsets.ISO_8859_1)));
        } catch (IllegalArgumentException e) {
            throw new ApiException(400, "invalid JSON: field " + path + " is not base64");
        }
    }

    private static long whole(Object value, String path, long least, BigInteger most) {
        BigDecimal number = require(BigDecimal.class, value, path, "number");
        // A huge exponent would make a number of as many digits.
        if ((number.scale() > 0 && number.stripTrailingZeros().scale() > 0) || number.scale() < -20) {
            throw new ApiException(400, "invalid JSON: field " + path + " is not a whole number in range");
        }
        BigInteger whole = number.toBigInteger();
        if (whole.compareTo(BigInteger.valueOf(least)) < 0 || whole.compareTo(most) > 0) {
            throw new ApiException(
                    400,
                    "invalid JSON: field " + path + " is out of range (" + whole + "); it takes " + least + " to "
                            + most);
        }
        return whole.longValue();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, @Nullable Object> map(Object value, String path) {
        return require(Map.class, value, path, "object");
    }

    @SuppressWarnings("unchecked")
    private static List<@Nullable Object> list(Object value, String path) {
        return require(List.class, value, path, "array");
    }

    private static <T> T require(Class<T> type, Object value, String path, String wanted) {
        if (!type.isInstance(value)) {
            throw JsonIn.mismatch(path, value, wanted);
        }
        return type.cast(value);
    }

    private static String path(String path, String name) {
        return path.isEmpty() ? name : path + "." + name;
    }

    /** Whether a value asks for nothing: Go's clients send zero values of fields that nobody set. */
    private static boolean isNothing(@Nullable Object value) {
        return switch (value) {
            case null -> true;
            case Boolean flag -> !flag;
            case String text -> text.isEmpty();
            case BigDecimal number -> number.signum() == 0;
            case Map<?, ?> map -> map.values().stream().allMatch(RecordJson::isNothing);
            case List<?> list -> list.stream().allMatch(RecordJson::isNothing);
            default -> false;
        };
    }
}
