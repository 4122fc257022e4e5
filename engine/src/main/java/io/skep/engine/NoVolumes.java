package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.MountPoint;
import java.util.List;

/** Containers without anything mounted into them; who asks for more is refused. */
final class NoVolumes implements MountSource {
    @Override
    public List<MountPoint> create(ContainerRecord container) {
        HostConfig host = container.getHostConfig();
        if (host.getBindsCount() + host.getMountsCount() + host.getVolumesFromCount() + host.getTmpfsCount() > 0) {
            throw EngineException.invalid("mounts are not supported: this engine has no volumes");
        }
        return List.of();
    }

    @Override
    public void activate(ContainerRecord container) {
        // Nothing is mounted.
    }

    @Override
    public void deactivate(ContainerRecord container) {
        // Nothing is mounted.
    }

    @Override
    public void release(ContainerRecord container, boolean anonymousToo) {
        // There are no volumes.
    }
}
