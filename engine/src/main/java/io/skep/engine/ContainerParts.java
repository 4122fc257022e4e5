package io.skep.engine;

import java.nio.file.Path;
import java.time.InstantSource;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ScheduledExecutorService;
import java.util.function.Consumer;

/**
 * What every container needs of the engine.
 *
 * @param pipeFolder where named pipes are made; it ends with the machine
 * @param runtimes the programs that run containers, by name
 * @param cgroupParent where cgroups are made for containers that name no parent
 * @param executor virtual threads
 * @param timer must not be held up
 * @param events hears what happens; must return at once
 */
record ContainerParts(
        Containerd containerd,
        Layers layers,
        Pipes pipes,
        ContainerFolder folder,
        Path pipeFolder,
        Networking networking,
        MountSource mounts,
        Runtimes runtimes,
        Host host,
        String cgroupParent,
        InstantSource clock,
        ExecutorService executor,
        ScheduledExecutorService timer,
        Consumer<EngineEvent> events) {}
