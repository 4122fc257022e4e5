package io.skep.store;

import com.google.protobuf.Message;
import org.jspecify.annotations.Nullable;

/**
 * One object that was made (no before), changed, or removed (no after).
 *
 * @param kind the kind of the object
 * @param before the object as it was
 * @param after the object as it is now
 */
public record Event<T extends Message>(
        Kind<T> kind, @Nullable T before, @Nullable T after) {
    public Event {
        if (before == null && after == null) {
            throw new IllegalArgumentException("an event needs an object");
        }
    }

    /** Returns the object as it is, or as it last was. */
    public T object() {
        T object = after != null ? after : before;
        if (object == null) {
            throw new IllegalStateException("an event without object");
        }
        return object;
    }

    public String id() {
        return kind.id(object());
    }

    /** Returns this event if it is of that kind, and null otherwise. */
    @SuppressWarnings("unchecked")
    public <S extends Message> @Nullable Event<S> as(Kind<S> wanted) {
        return kind == wanted ? (Event<S>) this : null;
    }
}
