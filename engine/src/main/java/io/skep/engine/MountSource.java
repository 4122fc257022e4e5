package io.skep.engine;

import io.skep.containerd.types.Mount;
import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.MountPoint;
import java.io.IOException;
import java.util.List;
import java.util.function.Function;

/** The port through which a container gets its volumes and binds. */
interface MountSource {
    /** A container was there before this engine started: what it uses is in use. */
    void remember(ContainerRecord container);

    /**
     * Decides what is mounted where and makes the volumes that are not there, when a container is created.
     *
     * @param container without its mounts yet
     * @param others finds the containers whose volumes it shares
     */
    List<MountPoint> create(ContainerRecord container, Function<String, ContainerRecord> others);

    /**
     * Fills volumes that are empty with what the image has in their place.
     *
     * @param rootfs how the container's file system is mounted
     */
    void populate(ContainerRecord container, List<Mount> rootfs) throws IOException;

    /**
     * Makes the mounts ready before a start; fails when a bind's source is not there.
     *
     * @return what the runtime mounts, in this order
     */
    List<Mounted> activate(ContainerRecord container);

    /**
     * Opens the file system of a container that does not run.
     *
     * @param rootfs how it is mounted
     * @param withVolumes whether volumes and folders of the host are in their places
     */
    MountedRoot open(ContainerRecord container, List<Mount> rootfs, boolean readOnly, boolean withVolumes)
            throws IOException;

    /** A container that a former engine started goes on. */
    void resume(ContainerRecord container);

    /** Takes back what {@link #activate} did, after the end of a container. */
    void deactivate(ContainerRecord container);

    /**
     * The container is gone.
     *
     * @param anonymousToo whether volumes without a name go with it
     */
    void release(ContainerRecord container, boolean anonymousToo);
}
