package io.skep.engine;

import io.skep.engine.image.RegistrySettings;
import java.nio.file.Path;
import java.util.Map;

/**
 * What the engine is told.
 *
 * @param dataRoot folder of the daemon; the engine keeps everything under {@code engine} in it, a containerd of its own
 *     under {@code containerd}
 * @param execRoot where files are that end with the machine
 * @param containerd socket of a containerd that is there; empty for one that the engine starts
 * @param runtimes paths of the programs that run containers, by the name users give
 * @param defaultRuntime name of the one that is used unless a user says otherwise
 * @param cgroupParent where the cgroups of containers are made; empty for the default
 * @param registries how images are fetched and sent
 * @param networks what networks are like where nobody says
 */
public record EngineSettings(
        Path dataRoot,
        Path execRoot,
        String containerd,
        Map<String, String> runtimes,
        String defaultRuntime,
        String cgroupParent,
        RegistrySettings registries,
        NetworkSettings networks) {
    public EngineSettings {
        runtimes = Map.copyOf(runtimes);
    }
}
