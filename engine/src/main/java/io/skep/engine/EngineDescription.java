package io.skep.engine;

import java.util.List;
import java.util.Map;

/**
 * What an engine is made of, as users are told.
 *
 * @param ready whether it has started; before that what is known of its programs is empty
 * @param containerdAddress where containerd listens
 * @param containerdVersion as containerd tells it
 * @param containerdCommit as containerd tells it
 * @param namespace of containerd in which the engine's containers are
 * @param snapshotter which keeps the file systems
 * @param logDrivers names of those that can keep what a container writes
 * @param runtimes paths of the programs that run containers, by name
 * @param runtimeVersion of the default runtime
 * @param runtimeCommit of the default runtime, or empty
 */
public record EngineDescription(
        boolean ready,
        String containerdAddress,
        String containerdVersion,
        String containerdCommit,
        String namespace,
        String snapshotter,
        boolean unifiedCgroups,
        List<String> logDrivers,
        Map<String, String> runtimes,
        String defaultRuntime,
        String runtimeVersion,
        String runtimeCommit) {
    public EngineDescription {
        logDrivers = List.copyOf(logDrivers);
        runtimes = Map.copyOf(runtimes);
    }
}
