package io.skep.engine;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * Something that happened to a part of the engine (engine-api 6).
 *
 * @param type container, image, volume or network
 * @param action what happened, such as start
 * @param id of the part
 * @param attributes what else is told of it, by name
 */
public record EngineEvent(String type, String action, String id, Map<String, String> attributes, Instant time) {
    public EngineEvent {
        attributes = Collections.unmodifiableMap(new TreeMap<>(attributes));
    }
}
