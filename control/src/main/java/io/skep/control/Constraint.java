package io.skep.control;

import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A placement constraint: what a node must be, or must not be, to run a task (swarm-wire 6.9).
 *
 * @param key what is compared, such as {@code node.labels.zone}; in lower case but for the name of a label
 * @param equal true for {@code ==}, false for {@code !=}
 * @param value what it is compared with, in any case
 */
record Constraint(String key, boolean equal, String value) {
    static final String NODE_LABELS = "node.labels.";
    static final String ENGINE_LABELS = "engine.labels.";

    private static final String ADDRESS = "node.ip";
    private static final Pattern DOTTED = Pattern.compile("\\d{1,3}(\\.\\d{1,3}){3}");

    Constraint {
        // Once, so that it need not be done for each node.
        if (hasPrefix(key, NODE_LABELS)) {
            key = NODE_LABELS + key.substring(NODE_LABELS.length());
        } else if (hasPrefix(key, ENGINE_LABELS)) {
            key = ENGINE_LABELS + key.substring(ENGINE_LABELS.length());
        } else {
            key = key.toLowerCase(Locale.ROOT);
        }
    }

    boolean matches(Node node) {
        if (key.equals(ADDRESS)) {
            return matchesAddress(node.getStatus().getAddr());
        }
        String actual = actual(node);
        return actual != null && value.equalsIgnoreCase(actual) == equal;
    }

    /** Returns whether only nodes whose {@link #actual} value equals that of the constraint match it. */
    boolean namesOneValue() {
        return equal && !key.equals(ADDRESS);
    }

    /** Returns what a node has as the value that is compared, or null if the key names no such value. */
    @Nullable
    String actual(Node node) {
        return switch (key) {
            case "node.id" -> node.getId();
            case "node.hostname" -> node.getDescription().getHostname();
            case "node.role" -> node.getRole() == NodeRole.MANAGER ? "MANAGER" : "WORKER";
            case "node.platform.os" -> node.getDescription().getPlatform().getOs();
            case "node.platform.arch" -> node.getDescription().getPlatform().getArchitecture();
            default -> label(key, node);
        };
    }

    /** Returns the value of the label that a key names, empty if the node lacks it, or null if the key names none. */
    static @Nullable String label(String key, Node node) {
        if (hasPrefix(key, NODE_LABELS)) {
            return labelOf(node.getSpec().getAnnotations().getLabelsMap(), key.substring(NODE_LABELS.length()));
        }
        if (hasPrefix(key, ENGINE_LABELS)) {
            return labelOf(node.getDescription().getEngine().getLabelsMap(), key.substring(ENGINE_LABELS.length()));
        }
        return null;
    }

    private static boolean hasPrefix(String key, String prefix) {
        return key.length() > prefix.length() && key.regionMatches(true, 0, prefix, 0, prefix.length());
    }

    private static String labelOf(Map<String, String> labels, String name) {
        return labels.getOrDefault(name, "");
    }

    private boolean matchesAddress(String nodeAddress) {
        byte[] actual = address(nodeAddress);
        byte[] single = address(value);
        if (single != null) {
            return Arrays.equals(single, actual) == equal;
        }
        int slash = value.indexOf('/');
        byte[] network = slash < 0 ? null : address(value.substring(0, slash));
        int prefixLength = slash < 0 ? -1 : prefixLength(value.substring(slash + 1));
        if (network == null || prefixLength < 0 || prefixLength > network.length * 8) {
            return false;
        }
        return contains(network, prefixLength, actual) == equal;
    }

    private static boolean contains(byte[] network, int prefixLength, byte @Nullable [] address) {
        if (address == null || address.length != network.length) {
            return false;
        }
        for (int bit = 0; bit < prefixLength; bit++) {
            int mask = 0x80 >> (bit % 8);
            if ((network[bit / 8] & mask) != (address[bit / 8] & mask)) {
                return false;
            }
        }
        return true;
    }

    private static int prefixLength(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            return -1;
        }
    }

    private static byte @Nullable [] address(String text) {
        if (text.indexOf(':') < 0 && !DOTTED.matcher(text).matches()) {
            return null;
        }
        try {
            return InetAddress.ofLiteral(text).getAddress();
        } catch (IllegalArgumentException e) {
            return null;
        }
    }
}
