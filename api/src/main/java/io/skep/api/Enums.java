package io.skep.api;

import com.google.protobuf.ProtocolMessageEnum;
import java.util.Locale;

/** Names of enum values as the API spells them: lower case, and with dashes where the reference has them. */
final class Enums {
    private Enums() {}

    /** Returns the name in lower case; a value that this version does not know is {@code unrecognized}. */
    static String lower(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    static String dashed(Enum<?> value) {
        return lower(value).replace('_', '-');
    }

    /**
     * Reads a name in any case, with dashes or underscores.
     *
     * @param otherwise what the empty text stands for
     * @param refusal text of the error, with {@code %s} where the unknown value stands
     * @throws ApiException 400 when there is no such value
     */
    static <E extends Enum<E> & ProtocolMessageEnum> E parse(String text, E otherwise, String refusal) {
        if (text.isEmpty()) {
            return otherwise;
        }
        String wanted = text.toUpperCase(Locale.ROOT).replace('-', '_');
        for (E value : otherwise.getDeclaringClass().getEnumConstants()) {
            if (value.name().equals(wanted) && !wanted.equals("UNRECOGNIZED")) {
                return value;
            }
        }
        throw new ApiException(400, refusal.replace("%s", text));
    }
}
