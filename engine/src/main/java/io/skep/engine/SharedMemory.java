package io.skep.engine;

import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.HostConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The {@code /dev/shm} of containers that share it with others: a tmpfs on the host while its owner runs. */
final class SharedMemory {
    private static final Logger LOG = LoggerFactory.getLogger(SharedMemory.class);

    private SharedMemory() {}

    /** Returns what is mounted at {@code /dev/shm}; nothing for a container that shares none. */
    static List<Mounted> activate(Path folder, ContainerRecord container) throws IOException {
        HostConfig host = container.getHostConfig();
        if (host.getIpcMode().equals("shareable")) {
            Path own = folder.resolve(container.getId());
            Files.createDirectories(own);
            LinuxFiles.unmount(own, LinuxFiles.MNT_DETACH);
            Mountings.mount(
                    "shm",
                    own,
                    "tmpfs",
                    List.of("nosuid", "noexec", "nodev", "mode=1777", "size=" + host.getShmSize()));
            return bind(own);
        }
        if (host.getIpcMode().startsWith(HostConfigRules.JOINED)) {
            Path others = folder.resolve(host.getIpcMode().substring(HostConfigRules.JOINED.length()));
            if (!Files.isDirectory(others)) {
                throw EngineException.conflict(
                        "cannot join IPC of a container that is not shareable: make it with" + " --ipc shareable");
            }
            return bind(others);
        }
        return List.of();
    }

    private static List<Mounted> bind(Path source) {
        return List.of(new Mounted("/dev/shm", "bind", source.toString(), List.of("rbind", "rprivate")));
    }

    static void deactivate(Path folder, ContainerRecord container) {
        if (!container.getHostConfig().getIpcMode().equals("shareable")) {
            return;
        }
        try {
            LinuxFiles.unmount(folder.resolve(container.getId()), LinuxFiles.MNT_DETACH);
            Files.deleteIfExists(folder.resolve(container.getId()));
        } catch (IOException e) {
            LOG.warn("The shared memory of container {} is left: {}", container.getName(), e.getMessage());
        }
    }
}
