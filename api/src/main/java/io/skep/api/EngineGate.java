package io.skep.api;

import io.skep.engine.Containers;
import io.skep.engine.Engine;
import io.skep.engine.Execs;
import org.jspecify.annotations.Nullable;

/** The way from endpoints to the engine: open on a node that runs containers, else closed with the reason. */
final class EngineGate {
    private final @Nullable Engine engine;

    EngineGate(@Nullable Engine engine) {
        this.engine = engine;
    }

    /**
     * Returns the engine.
     *
     * @throws ApiException 503 when this node has none
     */
    Engine engine() {
        if (engine == null) {
            throw new ApiException(
                    503,
                    "This node runs no containers: its engine is none, or it has no containerd; the log of skepd says"
                            + " which.");
        }
        return engine;
    }

    @Nullable
    Engine engineOrNull() {
        return engine;
    }

    Containers containers() {
        return engine().containers();
    }

    Execs execs() {
        return engine().execs();
    }
}
