package io.skep.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The file that names the daemon's process. One that a dead daemon left behind is taken over. */
final class PidFile implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(PidFile.class);

    private final @Nullable Path path;

    private PidFile(@Nullable Path path) {
        this.path = path;
    }

    static PidFile write(Optional<Path> wanted) throws StartException {
        if (wanted.isEmpty()) {
            return new PidFile(null);
        }
        Path path = wanted.get();
        try {
            long other = read(path);
            if (other >= 0 && isDaemon(other)) {
                throw new StartException("pidfile " + path + " belongs to skepd process " + other
                        + ", which runs; stop that one, or give this one a --pidfile of its own");
            }
            if (path.getParent() != null) {
                Files.createDirectories(path.getParent());
            }
            Files.writeString(path, Long.toString(ProcessHandle.current().pid()));
            return new PidFile(path);
        } catch (IOException e) {
            throw new StartException("pidfile " + path + " cannot be written: " + DataFolder.reason(e), e);
        }
    }

    @Override
    public void close() {
        try {
            if (path != null && read(path) == ProcessHandle.current().pid()) {
                Files.deleteIfExists(path);
            }
        } catch (IOException e) {
            LOG.warn("pidfile {} stays behind", path, e);
        }
    }

    /** Returns the process id in the file, or -1 when there is none. */
    private static long read(Path path) throws IOException {
        try {
            return Long.parseLong(Files.readString(path).strip());
        } catch (NoSuchFileException | NumberFormatException _) {
            return -1;
        }
    }

    /**
     * Whether a process is a daemon. After a reboot the number may be another program's; where the command line of a
     * process cannot be seen, it is taken for a daemon.
     */
    private static boolean isDaemon(long pid) {
        if (pid == ProcessHandle.current().pid()) {
            return false;
        }
        return ProcessHandle.of(pid)
                .filter(ProcessHandle::isAlive)
                .map(process -> process.info().arguments())
                .filter(arguments -> arguments
                        .map(all -> java.util.Arrays.asList(all).contains(Main.class.getName()))
                        .orElse(true))
                .isPresent();
    }
}
