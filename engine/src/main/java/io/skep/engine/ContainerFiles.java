package io.skep.engine;

import io.skep.containerd.types.Mount;
import io.skep.engine.Root.Place;
import io.skep.engine.TreeArchive.Status;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.FileChange;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongPredicate;

/**
 * The files of a container as users copy them out and in: of one that runs as it sees them, volumes and all, of one
 * that does not as it would.
 *
 * <p>Whatever links a container puts in the way, they are followed under its root only.
 */
public final class ContainerFiles {
    private static final int CHANGED = 0;
    private static final int ADDED = 1;
    private static final int DELETED = 2;
    private static final long GO_FOLDER = 1L << 31;
    private static final long GO_LINK = 1L << 27;
    private static final long GO_DEVICE = 1L << 26;
    private static final long GO_PIPE = 1L << 25;
    private static final long GO_SOCKET = 1L << 24;
    private static final long GO_SET_USER = 1L << 23;
    private static final long GO_SET_GROUP = 1L << 22;
    private static final long GO_CHARACTER = 1L << 21;
    private static final long GO_STICKY = 1L << 20;

    private final ContainerParts parts;
    private final Container container;

    ContainerFiles(ContainerParts parts, Container container) {
        this.parts = parts;
        this.container = container;
    }

    /**
     * What is at a path.
     *
     * @param name its last part
     * @param mode as Go's os.FileMode has it
     * @param linkTarget where a link leads, as a path of the container; else empty
     */
    public record PathStat(String name, long sizeBytes, long mode, Instant modified, String linkTarget) {}

    /** Does something with the files of a container. */
    @FunctionalInterface
    interface Work<T> {
        T with(Root root) throws IOException;
    }

    /** Takes an archive and what it is of; the archive is written by calling the second. */
    @FunctionalInterface
    public interface Receiver {
        void take(PathStat stat, Source source) throws IOException, InterruptedException;
    }

    /** Writes an archive. */
    @FunctionalInterface
    public interface Source {
        void writeTo(OutputStream out) throws IOException;
    }

    private <T> T at(String path, Work<T> work, boolean readOnly) {
        if (path.isEmpty()) {
            throw EngineException.invalid("missing parameter: path");
        }
        try {
            return container.withRoot(readOnly, true, work);
        } catch (NoSuchFileException | NotDirectoryException e) {
            throw EngineException.notFound("Could not find the file " + path + " in container " + container.id());
        } catch (IOException e) {
            throw EngineException.internal(path + " of container " + container.id() + ": " + e.getMessage(), e);
        }
    }

    private static boolean asFolder(String path) {
        return path.endsWith("/") || path.endsWith("/.");
    }

    public PathStat stat(String path) {
        return at(path, root -> stat(root, path), true);
    }

    private static PathStat stat(Root root, String path) throws IOException {
        try (Place place = root.place(path, asFolder(path))) {
            Status status = Status.of(place.path(), LinkOption.NOFOLLOW_LINKS);
            String clean = Root.clean(path);
            String target = "";
            if (status.isLink()) {
                try {
                    target = root.real(path);
                } catch (NoSuchFileException e) {
                    target = Files.readSymbolicLink(place.path()).toString();
                }
            }
            return new PathStat(
                    clean.isEmpty() ? "/" : clean.substring(clean.lastIndexOf('/') + 1),
                    status.sizeBytes(),
                    goMode(status),
                    status.modified().toInstant(),
                    target);
        }
    }

    private static long goMode(Status status) {
        long mode = status.mode() & 0777;
        mode |= (status.mode() & 04000) != 0 ? GO_SET_USER : 0;
        mode |= (status.mode() & 02000) != 0 ? GO_SET_GROUP : 0;
        mode |= (status.mode() & 01000) != 0 ? GO_STICKY : 0;
        return mode
                | switch (status.kind()) {
                    case 0040000 -> GO_FOLDER;
                    case 0120000 -> GO_LINK;
                    case 0060000 -> GO_DEVICE;
                    case 0020000 -> GO_DEVICE | GO_CHARACTER;
                    case 0010000 -> GO_PIPE;
                    case 0140000 -> GO_SOCKET;
                    default -> 0;
                };
    }

    /** Hands over an archive of what is at a path; its topmost entry has the last part of the path for a name. */
    public void read(String path, Receiver receiver) throws InterruptedException {
        boolean done = at(
                path,
                root -> {
                    PathStat stat = stat(root, path);
                    LongPredicate enters = withoutKernelFiles(root);
                    try (Place place = root.place(path, asFolder(path))) {
                        receiver.take(
                                stat,
                                out -> TreeArchive.write(
                                        place, stat.name().equals("/") ? "." : stat.name(), enters, out));
                        return true;
                    } catch (InterruptedException e) {
                        return false;
                    }
                },
                true);
        if (!done) {
            throw new InterruptedException();
        }
        container.tell("archive-path", Map.of("path", path));
    }

    /** What the kernel shows in /proc, /sys and /dev are no files of the container. */
    private static LongPredicate withoutKernelFiles(Root root) throws IOException {
        Set<Long> hollow = new HashSet<>();
        for (String folder : List.of("proc", "sys", "dev")) {
            try (Place place = root.place(folder, false)) {
                hollow.add(Status.of(place.path(), LinkOption.NOFOLLOW_LINKS).fileSystem());
            } catch (NoSuchFileException | NotDirectoryException e) {
                // Then there is nothing to leave out.
            }
        }
        try (Place place = root.place("", true)) {
            hollow.remove(Status.of(place.path()).fileSystem());
        }
        return fileSystem -> !hollow.contains(fileSystem);
    }

    /**
     * Unpacks an archive in a folder of the container.
     *
     * @param keepKinds whether a folder may not take the place of another file, nor the other way round
     */
    public void write(String path, InputStream archive, boolean keepKinds) {
        if (container.record().getHostConfig().getReadonlyRootfs() && !isUnderWritableMount(path)) {
            throw new EngineException(EngineException.Kind.FORBIDDEN, "container rootfs is marked read-only");
        }
        at(
                path,
                root -> {
                    int folder = root.open(Root.clean(path), LinuxFiles.O_PATH);
                    try {
                        if (!Files.isDirectory(Root.path(folder))) {
                            throw EngineException.invalid("extraction point is not a directory");
                        }
                    } finally {
                        LinuxCalls.close(folder);
                    }
                    TreeArchive.extract(root, Root.clean(path), archive, keepKinds);
                    return true;
                },
                false);
        container.tell("extract-to-dir", Map.of("path", path));
    }

    private boolean isUnderWritableMount(String path) {
        Path wanted = Path.of("/" + Root.clean(path));
        return container.record().getMountsList().stream()
                .anyMatch(point -> point.getWritable() && wanted.startsWith(point.getDestination()));
    }

    /** Writes an archive of the container's own file system, without volumes and what the kernel shows. */
    public void export(OutputStream out) throws IOException {
        container.withRoot(true, false, root -> {
            try (Place place = root.place("", true)) {
                long own = Status.of(place.path()).fileSystem();
                TreeArchive.write(place, "", fileSystem -> fileSystem == own, out);
            }
            return true;
        });
        container.tell("export", Map.of());
    }

    // ---- changes

    /** Returns what the container has changed of its image's files. */
    public List<FileChange> changes() {
        if (container.record().getState().getStatus() == ContainerStatus.DEAD) {
            throw EngineException.conflict("container " + container.id() + " is dead");
        }
        Path upper = null;
        List<Path> lower = new ArrayList<>();
        for (Mount mount : parts.layers().mounts(container.id())) {
            for (String option : mount.getOptionsList()) {
                if (option.startsWith("upperdir=")) {
                    upper = Path.of(option.substring("upperdir=".length()));
                } else if (option.startsWith("lowerdir=")) {
                    for (String each : option.substring("lowerdir=".length()).split(":", -1)) {
                        lower.add(Path.of(each));
                    }
                }
            }
        }
        if (upper == null) {
            throw new EngineException(
                    EngineException.Kind.NOT_IMPLEMENTED,
                    "the changes of a container can be told with the snapshotter overlayfs only");
        }
        List<FileChange> changes = new ArrayList<>();
        try {
            collect(upper, lower, Path.of("/"), changes);
        } catch (IOException e) {
            throw EngineException.internal("the changes cannot be read: " + e.getMessage(), e);
        }
        return changes;
    }

    private static void collect(Path upper, List<Path> lower, Path at, List<FileChange> changes) throws IOException {
        Path folder = under(upper, at);
        List<Path> names = new ArrayList<>();
        try (DirectoryStream<Path> each = Files.newDirectoryStream(folder)) {
            each.forEach(names::add);
        }
        names.sort(null);
        for (Path file : names) {
            Path name = at.resolve(file.getFileName());
            Status status = Status.of(file, LinkOption.NOFOLLOW_LINKS);
            boolean wasThere = isThere(lower, name);
            boolean whiteout = status.kind() == 0020000 && status.device() == 0;
            if (whiteout && !wasThere) {
                continue;
            }
            changes.add(FileChange.newBuilder()
                    .setPath(name.toString())
                    .setKind(whiteout ? DELETED : wasThere ? CHANGED : ADDED)
                    .build());
            if (status.isFolder()) {
                collect(upper, lower, name, changes);
            }
        }
    }

    private static Path under(Path layer, Path at) {
        return layer.resolve(at.toString().substring(1));
    }

    private static boolean isThere(List<Path> lower, Path name) throws IOException {
        for (Path layer : lower) {
            try {
                Status status = Status.of(under(layer, name), LinkOption.NOFOLLOW_LINKS);
                return status.kind() != 0020000 || status.device() != 0;
            } catch (NoSuchFileException e) {
                // Maybe in the next layer.
            } catch (FileSystemException e) {
                return false;
            }
        }
        return false;
    }
}
