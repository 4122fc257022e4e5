package io.skep.api;

import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The filters of a list: for each key the values asked for. Several values of a key are alternatives, except labels,
 * which must all be there; several keys must all match (swarm-wire 8.3).
 */
record Filters(Map<String, Set<String>> values) {
    /**
     * Reads the {@code filters} parameter in its new ({@code {"k":{"v":true}}}) or old ({@code {"k":["v"]}}) form.
     *
     * @throws ApiException 400 when it is garbled or names a key that is not accepted
     */
    static Filters parse(String json, String... accepted) {
        Map<String, Set<String>> values = new LinkedHashMap<>();
        if (!json.isEmpty()) {
            Object tree;
            try {
                tree = JsonIn.parseTree(json.getBytes(StandardCharsets.UTF_8));
            } catch (ApiException e) {
                throw new ApiException(400, "invalid filter");
            }
            if (!(tree instanceof Map<?, ?> map)) {
                throw new ApiException(400, "invalid filter");
            }
            map.forEach((key, wanted) -> values.put(String.valueOf(key), valuesOf(wanted)));
        }
        List<String> known = List.of(accepted);
        for (String key : values.keySet()) {
            if (!known.contains(key)) {
                throw new ApiException(400, "invalid filter '" + key + "'");
            }
        }
        return new Filters(values);
    }

    private static Set<String> valuesOf(@Nullable Object wanted) {
        Set<String> found = new LinkedHashSet<>();
        switch (wanted) {
            case Map<?, ?> flags -> flags.keySet().forEach(value -> found.add(String.valueOf(value)));
            case List<?> list -> {
                for (Object value : list) {
                    if (!(value instanceof String text)) {
                        throw new ApiException(400, "invalid filter");
                    }
                    found.add(text);
                }
            }
            case null, default -> throw new ApiException(400, "invalid filter");
        }
        return found;
    }

    boolean has(String key) {
        return !get(key).isEmpty();
    }

    Set<String> get(String key) {
        return values.getOrDefault(key, Collections.emptySet());
    }

    /** Returns whether no value is asked for, or one of those asked for begins the given one. */
    boolean matchesPrefix(String key, String value) {
        Set<String> wanted = get(key);
        return wanted.isEmpty() || wanted.stream().anyMatch(value::startsWith);
    }

    /** Returns whether the value holds one of the asked for; {@code ^} and {@code $} hold it to begin or end so. */
    boolean matchesText(String key, String value) {
        Set<String> wanted = get(key);
        return wanted.isEmpty() || wanted.stream().anyMatch(pattern -> holds(value, pattern));
    }

    private static boolean holds(String value, String pattern) {
        boolean atBegin = pattern.startsWith("^");
        boolean atEnd = pattern.endsWith("$");
        String text = pattern.substring(atBegin ? 1 : 0, pattern.length() - (atEnd && pattern.length() > 1 ? 1 : 0));
        if (atBegin && atEnd) {
            return value.equals(text);
        }
        return atBegin ? value.startsWith(text) : atEnd ? value.endsWith(text) : value.contains(text);
    }

    boolean matchesExactly(String key, String value) {
        Set<String> wanted = get(key);
        return wanted.isEmpty() || wanted.contains(value);
    }

    /** Returns whether all asked for labels, each {@code name} or {@code name=value}, are there. */
    boolean matchesLabels(String key, Map<String, String> labels) {
        for (String wanted : get(key)) {
            int equals = wanted.indexOf('=');
            String name = equals < 0 ? wanted : wanted.substring(0, equals);
            String value = labels.get(name);
            if (value == null || (equals >= 0 && !value.equals(wanted.substring(equals + 1)))) {
                return false;
            }
        }
        return true;
    }

    /**
     * Returns the one boolean asked for under a key.
     *
     * @throws ApiException 400 when it is no boolean
     */
    boolean flag(String key) {
        boolean found = false;
        for (String value : get(key)) {
            switch (value) {
                case "1", "true" -> found = true;
                case "0", "false" -> {}
                default -> throw new ApiException(400, "invalid filter '" + key + "=[" + value + "]'");
            }
        }
        return found;
    }
}
