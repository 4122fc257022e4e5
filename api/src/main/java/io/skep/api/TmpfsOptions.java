package io.skep.api;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The options of a tmpfs mount, which nodes get as the JSON text of a list of lists: {@code [["noexec"],["uid","1"]]}.
 */
final class TmpfsOptions {
    private TmpfsOptions() {}

    /** Returns the list that the text holds, and null when a foreign manager stored something else there. */
    static @Nullable Object parse(String text) {
        try {
            return JsonIn.parseTree(text.getBytes(StandardCharsets.UTF_8));
        } catch (ApiException e) {
            return null;
        }
    }

    /**
     * Returns the text for nodes.
     *
     * @throws ApiException 400 when it is not a list of lists of strings
     */
    static String text(List<?> options) {
        for (Object option : options) {
            if (!(option instanceof List<?> parts)
                    || parts.isEmpty()
                    || parts.size() > 2
                    || !parts.stream().allMatch(String.class::isInstance)) {
                throw new ApiException(400, "invalid TmpfsOptions: each option is a list of a name and maybe a value");
            }
        }
        return JsonOut.tree(options);
    }
}
