package io.skep.engine;

import io.skep.engine.Root.Place;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SecureDirectoryStream;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongPredicate;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/**
 * Trees of files under a {@link Root} as tar archives, both ways: owners, permissions, times, links, devices and the
 * capabilities of files are kept.
 *
 * <p>A container may change the tree meanwhile, and may mean harm. Each folder is therefore held open while it is read,
 * its files are named from it and never followed, a file is opened without waiting and looked at again before it is
 * read; a file that shrinks under the reader is filled up with zeros, as the archive has said its size already.
 */
final class TreeArchive {
    private static final int CHUNK_BYTES = 64 << 10;
    private static final int DEPTH_MAX = 1024;
    private static final String CAPABILITY = "security.capability";
    private static final String CAPABILITY_HEADER = "SCHILY.xattr." + CAPABILITY;

    private static final int KIND_MASK = 0170000;
    private static final int SOCKET = 0140000;
    private static final int LINK = 0120000;
    private static final int FILE = 0100000;
    private static final int BLOCK_DEVICE = 0060000;
    private static final int FOLDER = 0040000;
    private static final int CHARACTER_DEVICE = 0020000;
    private static final int FIFO = 0010000;

    private TreeArchive() {}

    /**
     * What is known of a file, without following a link.
     *
     * @param mode kind and permission bits
     * @param device number of the device that the file stands for
     */
    record Status(
            int mode,
            long uid,
            long gid,
            long sizeBytes,
            FileTime modified,
            long inode,
            long fileSystem,
            int links,
            long device) {
        static Status of(Path path, LinkOption... options) throws IOException {
            Map<String, Object> all =
                    Files.readAttributes(path, "unix:mode,uid,gid,size,lastModifiedTime,ino,dev,nlink,rdev", options);
            return new Status(
                    (int) number(all, "mode"),
                    number(all, "uid"),
                    number(all, "gid"),
                    number(all, "size"),
                    all.get("lastModifiedTime") instanceof FileTime time ? time : FileTime.fromMillis(0),
                    number(all, "ino"),
                    number(all, "dev"),
                    (int) number(all, "nlink"),
                    number(all, "rdev"));
        }

        private static long number(Map<String, Object> all, String name) {
            return all.get(name) instanceof Number number ? number.longValue() & 0xffffffffffffffffL : 0;
        }

        int kind() {
            return mode & KIND_MASK;
        }

        boolean isFolder() {
            return kind() == FOLDER;
        }

        boolean isFile() {
            return kind() == FILE;
        }

        boolean isLink() {
            return kind() == LINK;
        }

        long major() {
            return ((device >>> 8) & 0xfff) | ((device >>> 32) & ~0xfffL);
        }

        long minor() {
            return (device & 0xff) | ((device >>> 12) & ~0xffL);
        }
    }

    // ---- files to archive

    private record Inode(long fileSystem, long number) {}

    /** Writes what is at a place, with all that is in it. */
    private static final class Writer {
        private final TarArchiveOutputStream tar;
        private final Map<Inode, String> linked = new HashMap<>();

        private final LongPredicate enters;

        Writer(TarArchiveOutputStream tar, LongPredicate enters) {
            this.tar = tar;
            this.enters = enters;
        }

        void write(Path path, int folder, String name, String entryName, int depth) throws IOException {
            Status status;
            try {
                status = Status.of(path, LinkOption.NOFOLLOW_LINKS);
            } catch (NoSuchFileException e) {
                // Deleted since its folder was listed.
                return;
            }
            switch (status.kind()) {
                case FOLDER -> folder(status, folder, name, entryName, depth);
                case FILE -> file(status, path, folder, name, entryName);
                case LINK -> {
                    TarArchiveEntry entry = entry(status, entryName, TarConstants.LF_SYMLINK);
                    entry.setLinkName(Files.readSymbolicLink(path).toString());
                    put(entry);
                }
                case CHARACTER_DEVICE, BLOCK_DEVICE -> {
                    TarArchiveEntry entry = entry(
                            status,
                            entryName,
                            status.kind() == BLOCK_DEVICE ? TarConstants.LF_BLK : TarConstants.LF_CHR);
                    entry.setDevMajor((int) status.major());
                    entry.setDevMinor((int) status.minor());
                    put(entry);
                }
                case FIFO -> put(entry(status, entryName, TarConstants.LF_FIFO));
                // A socket is nothing without who listens; archives have no kind for it.
                case SOCKET -> {}
                default -> throw new IOException(entryName + " is of no known kind");
            }
        }

        private void put(TarArchiveEntry entry) throws IOException {
            tar.putArchiveEntry(entry);
            tar.closeArchiveEntry();
        }

        private static TarArchiveEntry entry(Status status, String name, byte kind) {
            TarArchiveEntry entry = new TarArchiveEntry(name, kind);
            entry.setMode(status.mode() & 07777);
            entry.setIds(0, 0);
            entry.setUserId(status.uid());
            entry.setGroupId(status.gid());
            entry.setLastModifiedTime(status.modified());
            return entry;
        }

        private void folder(Status status, int folder, String name, String entryName, int depth) throws IOException {
            if (depth > DEPTH_MAX) {
                throw new IOException(entryName + " lies more than " + DEPTH_MAX + " folders deep");
            }
            if (!entryName.isEmpty()) {
                put(entry(status, entryName + "/", TarConstants.LF_DIR));
            }
            if (!enters.test(status.fileSystem())) {
                return;
            }
            int fd;
            try {
                fd = LinuxFiles.openUnder(
                        folder,
                        name.isEmpty() ? "." : name,
                        LinuxFiles.O_PATH | LinuxFiles.O_DIRECTORY | LinuxFiles.O_NOFOLLOW);
            } catch (LinuxCalls.Errno e) {
                return;
            }
            try (DirectoryStream<Path> each =
                    Files.newDirectoryStream(Root.path(fd).resolve("."))) {
                List<String> names = new ArrayList<>();
                each.forEach(path -> names.add(path.getFileName().toString()));
                names.sort(null);
                for (String child : names) {
                    write(
                            Root.path(fd).resolve(child),
                            fd,
                            child,
                            entryName.isEmpty() ? child : entryName + "/" + child,
                            depth + 1);
                }
            } finally {
                LinuxCalls.close(fd);
            }
        }

        private void file(Status before, Path path, int folder, String name, String entryName) throws IOException {
            Inode inode = new Inode(before.fileSystem(), before.inode());
            String known = before.links() > 1 ? linked.putIfAbsent(inode, entryName) : null;
            if (known != null) {
                TarArchiveEntry entry = entry(before, entryName, TarConstants.LF_LINK);
                entry.setLinkName(known);
                put(entry);
                return;
            }
            int fd;
            try {
                fd = LinuxFiles.openUnder(
                        folder, name, LinuxCalls.O_RDONLY | LinuxCalls.O_NONBLOCK | LinuxFiles.O_NOFOLLOW);
            } catch (LinuxCalls.Errno e) {
                throw Root.translate(e, entryName);
            }
            try (Arena arena = Arena.ofConfined()) {
                Status status = Status.of(Root.path(fd));
                if (!status.isFile()) {
                    return;
                }
                TarArchiveEntry entry = entry(status, entryName, TarConstants.LF_NORMAL);
                entry.setSize(status.sizeBytes());
                byte[] capability = LinuxFiles.extendedAttribute(path, CAPABILITY);
                if (capability.length > 0) {
                    // PAX headers are text; what the library cannot carry as text it is given byte for byte.
                    entry.addPaxHeader(CAPABILITY_HEADER, new String(capability, StandardCharsets.ISO_8859_1));
                }
                tar.putArchiveEntry(entry);
                MemorySegment chunk = arena.allocate(CHUNK_BYTES);
                byte[] bytes = new byte[CHUNK_BYTES];
                long left = status.sizeBytes();
                while (left > 0) {
                    int length = LinuxCalls.read(fd, chunk.asSlice(0, Math.min(left, CHUNK_BYTES)));
                    if (length <= 0) {
                        Arrays.fill(bytes, (byte) 0);
                        length = (int) Math.min(left, CHUNK_BYTES);
                    } else {
                        MemorySegment.copy(chunk, ValueLayout.JAVA_BYTE, 0, bytes, 0, length);
                    }
                    tar.write(bytes, 0, length);
                    left -= length;
                }
                tar.closeArchiveEntry();
            } finally {
                LinuxCalls.close(fd);
            }
        }
    }

    /**
     * Writes an archive of what is at a place.
     *
     * @param name of the topmost entry; empty when only what is in the folder is wanted
     * @param enters whether folders of a file system, by its number, are entered
     */
    static void write(Place place, String name, LongPredicate enters, OutputStream out) throws IOException {
        TarArchiveOutputStream tar = new TarArchiveOutputStream(out, StandardCharsets.UTF_8.name());
        tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
        tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
        tar.setAddPaxHeadersForNonAsciiNames(true);
        new Writer(tar, enters).write(place.path(), place.folder(), place.name(), name, 0);
        tar.finish();
        tar.flush();
    }

    // ---- archive to files

    /**
     * Unpacks an archive.
     *
     * @param root under which every name and link is resolved
     * @param folder path under the root where the archive is unpacked
     * @param keepKinds whether a folder may not take the place of another file, nor the other way round
     */
    static void extract(Root root, String folder, InputStream in, boolean keepKinds) throws IOException {
        TarArchiveInputStream tar = new TarArchiveInputStream(in, StandardCharsets.UTF_8.name());
        Map<String, FileTime> folderTimes = new HashMap<>();
        TarArchiveEntry entry;
        while ((entry = tar.getNextEntry()) != null) {
            String name = Root.clean(entry.getName());
            if (List.of(entry.getName().split("/", -1)).contains("..")) {
                throw EngineException.invalid("the archive has a name that leads up: " + entry.getName());
            }
            String whole = Root.clean(folder + "/" + name);
            makeFolders(root, folder, name);
            try (Place place = root.place(whole, false)) {
                extract(root, folder, place, entry, tar, keepKinds);
            }
            if (entry.isDirectory()) {
                folderTimes.put(whole, entry.getLastModifiedTime());
            }
        }
        for (Map.Entry<String, FileTime> each : folderTimes.entrySet()) {
            try (Place place = root.place(each.getKey(), false)) {
                LinuxFiles.setModified(place.path(), each.getValue().toInstant());
            }
        }
    }

    /** Makes the folders that an archive does not name itself. */
    private static void makeFolders(Root root, String folder, String name) throws IOException {
        int slash = name.lastIndexOf('/');
        if (slash < 0) {
            return;
        }
        String parent = name.substring(0, slash);
        try {
            LinuxCalls.close(root.open(Root.clean(folder + "/" + parent), LinuxFiles.O_PATH));
        } catch (NoSuchFileException e) {
            makeFolders(root, folder, parent);
            try (Place place = root.place(Root.clean(folder + "/" + parent), false)) {
                Files.createDirectory(place.path());
                Files.setAttribute(place.path(), "unix:mode", 0755, LinkOption.NOFOLLOW_LINKS);
            } catch (FileAlreadyExistsException exists) {
                throw EngineException.invalid(
                        "the archive wants a folder " + parent + ", but a link that leads nowhere is in the way");
            }
        }
    }

    private static void extract(
            Root root, String folder, Place place, TarArchiveEntry entry, TarArchiveInputStream tar, boolean keepKinds)
            throws IOException {
        Path path = place.path();
        if (place.name().isEmpty()) {
            // The folder itself: it keeps what it is.
            return;
        }
        if (place.exists()) {
            boolean isFolder = place.isFolder();
            if (keepKinds && isFolder && !entry.isDirectory()) {
                throw EngineException.invalid("cannot overwrite directory \"" + place.name()
                        + "\" with non-directory \"" + entry.getName() + "\"");
            }
            if (keepKinds && !isFolder && entry.isDirectory()) {
                throw EngineException.invalid("cannot overwrite non-directory \"" + place.name()
                        + "\" with directory \"" + entry.getName() + "\"");
            }
            if (!(isFolder && entry.isDirectory())) {
                delete(place);
            }
        }
        int mode = entry.getMode() & 07777;
        if (entry.isDirectory()) {
            try {
                Files.createDirectory(path);
            } catch (FileAlreadyExistsException e) {
                // It gets the owner and the permissions of the archive.
            }
        } else if (entry.isSymbolicLink()) {
            Files.createSymbolicLink(path, Path.of(entry.getLinkName()));
        } else if (entry.isLink()) {
            try (Place target = root.place(Root.clean(folder + "/" + entry.getLinkName()), false)) {
                Files.createLink(path, target.path());
            }
            return;
        } else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
            LinuxFiles.makeNode(
                    path,
                    (entry.isBlockDevice() ? BLOCK_DEVICE : CHARACTER_DEVICE) | mode,
                    entry.getDevMajor(),
                    entry.getDevMinor());
        } else if (entry.isFIFO()) {
            LinuxFiles.makeNode(path, FIFO | mode, 0, 0);
        } else if (entry.isFile()) {
            try (OutputStream out = Channels.newOutputStream(Files.newByteChannel(
                    path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
                tar.transferTo(out);
            }
        } else {
            throw EngineException.invalid(
                    entry.getName() + " of the archive is of a kind that cannot be unpacked: " + entry.getLinkFlag());
        }
        own(place, entry, mode);
    }

    private static void own(Place place, TarArchiveEntry entry, int mode) throws IOException {
        Path path = place.path();
        Files.setAttribute(path, "unix:uid", (int) entry.getLongUserId(), LinkOption.NOFOLLOW_LINKS);
        Files.setAttribute(path, "unix:gid", (int) entry.getLongGroupId(), LinkOption.NOFOLLOW_LINKS);
        if (!entry.isSymbolicLink()) {
            // After the owner: a change of owner takes the set-user-id bit away. By a descriptor, as chmod follows
            // links
            // and a container could have put one here meanwhile.
            int fd = LinuxFiles.openUnder(place.folder(), place.name(), LinuxFiles.O_PATH | LinuxFiles.O_NOFOLLOW);
            try {
                if (!Status.of(Root.path(fd)).isLink()) {
                    Files.setAttribute(Root.path(fd), "unix:mode", mode);
                }
            } finally {
                LinuxCalls.close(fd);
            }
            String capability = entry.getExtraPaxHeader(CAPABILITY_HEADER);
            if (capability != null && entry.isFile()) {
                LinuxFiles.setExtendedAttribute(path, CAPABILITY, capability.getBytes(StandardCharsets.ISO_8859_1));
            }
        }
        LinuxFiles.setModified(path, entry.getLastModifiedTime().toInstant());
    }

    /** Deletes what is at a place with all that is in it; no link is followed, also not one that just came. */
    private static void delete(Place place) throws IOException {
        try (DirectoryStream<Path> folder =
                Files.newDirectoryStream(Root.path(place.folder()).resolve("."))) {
            if (!(folder instanceof SecureDirectoryStream<Path> secure)) {
                throw new IOException("this system cannot delete a folder that is changed at the same time");
            }
            delete(secure, Path.of(place.name()));
        }
    }

    private static void delete(SecureDirectoryStream<Path> folder, Path name) throws IOException {
        boolean isFolder = folder.getFileAttributeView(name, BasicFileAttributeView.class, LinkOption.NOFOLLOW_LINKS)
                .readAttributes()
                .isDirectory();
        if (!isFolder) {
            folder.deleteFile(name);
            return;
        }
        try (SecureDirectoryStream<Path> in = folder.newDirectoryStream(name, LinkOption.NOFOLLOW_LINKS)) {
            for (Path each : in) {
                delete(in, each.getFileName());
            }
        }
        folder.deleteDirectory(name);
    }
}
