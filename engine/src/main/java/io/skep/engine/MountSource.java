package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.MountPoint;
import java.util.List;

/** The port through which a container gets its volumes and binds. */
interface MountSource {
    /**
     * Decides what is mounted where and makes the volumes that are not there, when a container is created.
     *
     * @param container without its mounts yet
     */
    List<MountPoint> create(ContainerRecord container);

    /** Makes the mounts ready before a start; fails when a bind's source is not there. */
    void activate(ContainerRecord container);

    /** Takes back what {@link #activate} did, after the end of a container. */
    void deactivate(ContainerRecord container);

    /**
     * The container is gone.
     *
     * @param anonymousToo whether volumes without a name go with it
     */
    void release(ContainerRecord container, boolean anonymousToo);
}
