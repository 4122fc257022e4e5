package io.skep.api;

import java.nio.file.Path;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * What the daemon says of itself in {@code docker version} and {@code docker info}.
 *
 * @param id stable id of this engine
 * @param hostname name of the machine
 * @param version version of Skep
 * @param commit commit it was built from, or empty
 * @param buildTime RFC 3339, or empty
 * @param dataRoot where the daemon keeps its data
 * @param labels {@code name=value} as configured; asked each time, as the configuration can be reloaded
 * @param debug whether debug logging is on; asked each time
 * @param warnings asked at each {@code docker info}, such as certificates about to expire
 */
public record EngineInfo(
        String id,
        String hostname,
        String version,
        String commit,
        String buildTime,
        Path dataRoot,
        Supplier<List<String>> labels,
        BooleanSupplier debug,
        Supplier<List<String>> warnings) {}
