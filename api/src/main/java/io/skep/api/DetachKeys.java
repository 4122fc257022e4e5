package io.skep.api;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * The keys by which a client leaves a terminal without ending it, found in what it types.
 *
 * <p>Keys that began the sequence and did not go on with it are typed in after all.
 */
final class DetachKeys {
    private static final String NORMAL = "ctrl-p,ctrl-q";

    private final byte[] keys;
    private int matched;
    private boolean left;

    /**
     * Reads keys as users write them.
     *
     * @param text such as {@code ctrl-a,x}; empty for the default
     * @throws ApiException 400 when it is no list of keys
     */
    DetachKeys(String text) {
        List<Byte> codes = new ArrayList<>();
        for (String key : (text.isEmpty() ? NORMAL : text).split(",", -1)) {
            codes.add(code(key, text));
        }
        keys = new byte[codes.size()];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = codes.get(i);
        }
    }

    private static byte code(String key, String text) {
        if (key.length() == 1 && key.charAt(0) < 128) {
            return (byte) key.charAt(0);
        }
        String lower = key.toLowerCase(Locale.ROOT);
        if (lower.startsWith("ctrl-") && lower.length() == 6) {
            char letter = lower.charAt(5);
            if (letter >= 'a' && letter <= 'z') {
                return (byte) (letter - 'a' + 1);
            }
            int index = "@[\\]^_".indexOf(letter);
            if (index >= 0) {
                return (byte) (index == 0 ? 0 : 26 + index);
            }
        }
        throw new ApiException(400, "Invalid detach keys (" + text + ") provided: unknown character: '" + key + "'");
    }

    /** Returns whether the keys were typed: the client leaves. */
    boolean left() {
        return left;
    }

    /** Returns what is to be passed on of bytes that were typed. */
    byte[] pass(byte[] typed) {
        byte[] passed = new byte[matched + typed.length];
        int length = 0;
        for (byte each : typed) {
            if (each != keys[matched]) {
                System.arraycopy(keys, 0, passed, length, matched);
                length += matched;
                matched = 0;
            }
            if (each == keys[matched]) {
                matched++;
                if (matched == keys.length) {
                    left = true;
                    break;
                }
            } else {
                passed[length++] = each;
            }
        }
        return Arrays.copyOf(passed, length);
    }
}
