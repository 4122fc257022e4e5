package io.skep.engine;

import io.skep.containerd.types.Mount;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;

/**
 * The file system of a container that does not run, mounted for a moment where nobody looks. What a killed engine left
 * mounted the next one takes away.
 */
final class MountedRoot implements AutoCloseable {
    private final Path target;
    private final Root root;

    private MountedRoot(Path target, Root root) {
        this.target = target;
        this.root = root;
    }

    /**
     * Mounts a file system.
     *
     * @param folder where such mounts are made
     */
    static MountedRoot of(Path folder, List<Mount> rootfs, boolean readOnly) throws IOException {
        Path target = folder.resolve(UUID.randomUUID().toString());
        Files.createDirectories(target);
        try {
            Mountings.mount(rootfs, target, readOnly);
            LinuxFiles.mount("none", target, "", LinuxFiles.MS_REC | LinuxFiles.MS_PRIVATE, "");
            return new MountedRoot(target, Root.of(target));
        } catch (IOException e) {
            LinuxFiles.unmount(target, LinuxFiles.MNT_DETACH);
            Files.deleteIfExists(target);
            throw e;
        }
    }

    /** Takes away what was left mounted. */
    static void clear(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return;
        }
        try (DirectoryStream<Path> each = Files.newDirectoryStream(folder)) {
            for (Path left : each) {
                LinuxFiles.unmount(left, LinuxFiles.MNT_DETACH);
                Files.deleteIfExists(left);
            }
        }
    }

    Root root() {
        return root;
    }

    /**
     * Mounts a folder or a file of the host, as it is in the container; nothing when the container has no such place.
     */
    void bind(Path source, String destination, boolean readOnly) throws IOException {
        try {
            mount(source.toString(), destination, LinuxFiles.MS_BIND | LinuxFiles.MS_REC);
            if (readOnly) {
                // What was opened before the mount lies below it: the place is looked up again.
                mount("none", destination, LinuxFiles.MS_BIND | LinuxFiles.MS_REMOUNT | LinuxFiles.MS_RDONLY);
            }
        } catch (NoSuchFileException e) {
            // The runtime makes it when the container starts.
        }
    }

    private void mount(String source, String destination, long flags) throws IOException {
        int place = root.open(Root.clean(destination), LinuxFiles.O_PATH);
        try {
            LinuxFiles.mount(source, Root.path(place), "", flags, "");
        } finally {
            LinuxCalls.close(place);
        }
    }

    @Override
    public void close() throws IOException {
        root.close();
        LinuxFiles.unmount(target, LinuxFiles.MNT_DETACH);
        Files.deleteIfExists(target);
    }
}
