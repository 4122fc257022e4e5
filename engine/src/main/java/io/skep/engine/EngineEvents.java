package io.skep.engine;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/** Tells everyone who listens what happens to the parts of the engine; listeners must return at once. */
public final class EngineEvents {
    private final List<Consumer<EngineEvent>> listeners = new CopyOnWriteArrayList<>();

    /** Calls the listener for each event from now on, until the returned object is closed. */
    public AutoCloseable listen(Consumer<EngineEvent> listener) {
        listeners.add(listener);
        return () -> listeners.remove(listener);
    }

    void tell(EngineEvent event) {
        listeners.forEach(each -> each.accept(event));
    }
}
