package io.skep.control;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/** What was worked out for some keys, within a limit of size: what was not used for longest is dropped first. */
final class RecentlyUsed<K, V> {
    private final Map<K, V> values = new LinkedHashMap<>(16, 0.75f, true);
    private final ToLongFunction<V> sizeOf;

    RecentlyUsed(ToLongFunction<V> sizeOf) {
        this.sizeOf = sizeOf;
    }

    @Nullable
    V get(K key) {
        return values.get(key);
    }

    V getOrMake(K key, Function<K, V> make, long sizeMax) {
        V known = values.get(key);
        if (known != null) {
            return known;
        }
        long size = 0;
        for (V value : values.values()) {
            size += sizeOf.applyAsLong(value);
        }
        Iterator<V> oldestFirst = values.values().iterator();
        while (size > sizeMax && oldestFirst.hasNext()) {
            size -= sizeOf.applyAsLong(oldestFirst.next());
            oldestFirst.remove();
        }
        V made = make.apply(key);
        values.put(key, made);
        return made;
    }
}
