package io.skep.daemon;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.Set;
import java.util.UUID;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The folder of a daemon's state, held so that no second daemon can use it. The hold is a lock of the operating system:
 * it ends with the process, however that ends.
 */
final class DataFolder implements AutoCloseable {
    private static final String LOCK_FILE = "skepd.lock";
    private static final String ENGINE_ID_FILE = "engine-id";

    private final Path folder;
    private final FileChannel lockFile;

    private DataFolder(Path folder, FileChannel lockFile) {
        this.folder = folder;
        this.lockFile = lockFile;
    }

    /** Makes the folder if it is missing, for its owner only, and takes hold of it. */
    static DataFolder open(Path folder) throws StartException {
        create(folder, "rwx------", "data-root");
        Path lockPath = folder.resolve(LOCK_FILE);
        FileChannel channel = null;
        try {
            channel = FileChannel.open(
                    lockPath, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            FileLock lock = tryLock(channel);
            if (lock == null) {
                String holder = Files.readString(lockPath).strip();
                channel.close();
                throw new StartException("data-root " + folder + " is in use by another skepd"
                        + (holder.isEmpty() ? "" : " (process " + holder + ")")
                        + "; stop that one, or give this one a --data-root of its own");
            }
            channel.truncate(0);
            String pid = ProcessHandle.current().pid() + "\n";
            channel.write(ByteBuffer.wrap(pid.getBytes(StandardCharsets.US_ASCII)));
            return new DataFolder(folder, channel);
        } catch (IOException e) {
            closeQuietly(channel);
            throw new StartException("data-root " + folder + " cannot be used: " + reason(e), e);
        }
    }

    /** Makes a folder if it is missing, with exactly the given mode where the system has modes. */
    static void create(Path folder, String mode, String key) throws StartException {
        try {
            if (Files.isDirectory(folder)) {
                return;
            }
            if (folder.getParent() != null) {
                Files.createDirectories(folder.getParent());
            }
            Files.createDirectory(folder);
            if (folder.getFileSystem().supportedFileAttributeViews().contains("posix")) {
                Set<PosixFilePermission> permissions = PosixFilePermissions.fromString(mode);
                Files.setPosixFilePermissions(folder, permissions);
            }
        } catch (IOException e) {
            throw new StartException(key + " " + folder + " cannot be made: " + reason(e), e);
        }
    }

    /** Returns the id of this engine, the same as long as the folder lives. */
    String engineId() throws StartException {
        Path file = folder.resolve(ENGINE_ID_FILE);
        try {
            if (Files.exists(file)) {
                return Files.readString(file).strip();
            }
            RandomGenerator random = new SecureRandom();
            String id = new UUID(random.nextLong(), random.nextLong()).toString();
            Files.writeString(file, id);
            return id;
        } catch (IOException e) {
            throw new StartException(file + " cannot be used: " + reason(e), e);
        }
    }

    @Override
    public void close() {
        closeQuietly(lockFile);
    }

    static String reason(IOException e) {
        return switch (e) {
            case AccessDeniedException _ -> "this user may not; run skepd as root or choose another folder";
            case FileAlreadyExistsException _ -> "there is a file of that name";
            default -> String.valueOf(e.getMessage());
        };
    }

    private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException _) {
            return null;
        }
    }

    private static void closeQuietly(@Nullable FileChannel channel) {
        try {
            if (channel != null) {
                channel.close();
            }
        } catch (IOException _) {
            // The descriptor is gone either way, and with it the lock.
        }
    }
}
