package io.skep.store;

import com.google.protobuf.Message;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * All objects of one kind, immutable: changing it makes another that shares its parts.
 *
 * @param <T> the message type of its objects
 */
public final class Table<T extends Message> {
    private final Kind<T> kind;
    private final HashTrie<T> byId;
    private final HashTrie<String> idByName;

    private Table(Kind<T> kind, HashTrie<T> byId, HashTrie<String> idByName) {
        this.kind = kind;
        this.byId = byId;
        this.idByName = idByName;
    }

    static <T extends Message> Table<T> empty(Kind<T> kind) {
        return new Table<>(kind, HashTrie.empty(), HashTrie.empty());
    }

    public @Nullable T get(String id) {
        return byId.get(id);
    }

    /** Returns the objects in no particular, but in a repeatable order. */
    public Collection<T> values() {
        return byId.values();
    }

    public int size() {
        return byId.size();
    }

    /** Returns the object of that name; names differ in more than case (SwarmKit, store indexes). */
    public @Nullable T byName(String name) {
        String id = idByName.get(name.toLowerCase(Locale.ROOT));
        return id == null ? null : byId.get(id);
    }

    /** Returns the objects whose id begins so, sorted by id. */
    public List<T> withIdPrefix(String prefix) {
        List<T> found = new ArrayList<>();
        for (T object : byId.values()) {
            if (kind.id(object).startsWith(prefix)) {
                found.add(object);
            }
        }
        found.sort((a, b) -> kind.id(a).compareTo(kind.id(b)));
        return found;
    }

    Table<T> with(T object) {
        String id = kind.id(object);
        T before = byId.get(id);
        HashTrie<String> names = idByName;
        String name = kind.name(object).toLowerCase(Locale.ROOT);
        String nameBefore = before == null ? name : kind.name(before).toLowerCase(Locale.ROOT);
        // Another object may have taken the name already.
        if (!nameBefore.equals(name) && id.equals(names.get(nameBefore))) {
            names = names.without(nameBefore);
        }
        if (!name.isEmpty() && !id.equals(names.get(name))) {
            names = names.with(name, id);
        }
        return new Table<>(kind, byId.with(id, object), names);
    }

    Table<T> without(String id) {
        T before = byId.get(id);
        if (before == null) {
            return this;
        }
        String name = kind.name(before).toLowerCase(Locale.ROOT);
        HashTrie<String> names = id.equals(idByName.get(name)) ? idByName.without(name) : idByName;
        return new Table<>(kind, byId.without(id), names);
    }
}
