package io.skep.engine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A folder whose files are named as if it were the root of all: no link, and no {@code ..}, leads out of it, also not
 * one that a container changes at the same moment, because the kernel resolves each name in one step.
 *
 * <p>A place in it is the descriptor of its folder and its last name, which is not followed; as a path of Java's it is
 * {@code /proc/self/fd/FOLDER/NAME}.
 */
final class Root implements AutoCloseable {
    private final int fd;

    private Root(int fd) {
        this.fd = fd;
    }

    static Root of(Path folder) throws IOException {
        return new Root(LinuxCalls.open(folder, LinuxFiles.O_PATH | LinuxFiles.O_DIRECTORY));
    }

    /** Returns the folder that another was opened as. */
    static Path path(int fd) {
        return Path.of("/proc/self/fd", Integer.toString(fd));
    }

    /**
     * One place, whether something is there or not. It must be closed.
     *
     * @param folder descriptor of the folder
     * @param name empty for the root itself
     */
    record Place(int folder, String name) implements AutoCloseable {
        Path path() {
            return name.isEmpty()
                    ? Root.path(folder).resolve(".")
                    : Root.path(folder).resolve(name);
        }

        boolean exists() {
            return Files.exists(path(), LinkOption.NOFOLLOW_LINKS);
        }

        boolean isFolder() {
            return Files.isDirectory(path(), LinkOption.NOFOLLOW_LINKS);
        }

        @Override
        public void close() throws IOException {
            LinuxCalls.close(folder);
        }
    }

    /**
     * Finds the place of a path; the folders on the way must be there.
     *
     * @param follow whether a link at the end is followed, too: there must be a folder then
     */
    Place place(String path, boolean follow) throws IOException {
        String clean = clean(path);
        if (follow || clean.isEmpty()) {
            return new Place(open(clean, LinuxFiles.O_PATH | LinuxFiles.O_DIRECTORY), "");
        }
        int slash = clean.lastIndexOf('/');
        String parent = slash < 0 ? "." : clean.substring(0, slash);
        String name = clean.substring(slash + 1);
        return new Place(open(parent.isEmpty() ? "." : parent, LinuxFiles.O_PATH | LinuxFiles.O_DIRECTORY), name);
    }

    /** Returns the path under this root that a path with links leads to. */
    String real(String path) throws IOException {
        int end = open(clean(path), LinuxFiles.O_PATH);
        try {
            String real = Files.readSymbolicLink(path(end)).toString();
            String root = Files.readSymbolicLink(path(fd)).toString();
            return root.equals("/") || !real.startsWith(root) ? real : real.substring(root.length());
        } finally {
            LinuxCalls.close(end);
        }
    }

    /** Opens what a path names, following links under the root. */
    int open(String path, int flags) throws IOException {
        try {
            return LinuxFiles.openUnder(fd, path.isEmpty() ? "." : path, flags);
        } catch (LinuxCalls.Errno e) {
            throw translate(e, path);
        }
    }

    static IOException translate(LinuxCalls.Errno e, String path) {
        return switch (e.number()) {
            // Links of the kernel's that lead anywhere, and links that lead to each other, lead to nothing here.
            case LinuxFiles.ENOENT, LinuxFiles.EXDEV, LinuxFiles.ELOOP -> new NoSuchFileException(path);
            case LinuxFiles.ENOTDIR -> new NotDirectoryException(path);
            default -> e;
        };
    }

    /** Returns the path without empty parts, {@code .} and what {@code ..} takes back; a path of the root is empty. */
    static String clean(@Nullable String path) {
        Path clean = Path.of("/" + (path == null ? "" : path)).normalize();
        return clean.toString().substring(1);
    }

    @Override
    public void close() throws IOException {
        LinuxCalls.close(fd);
    }
}
