package io.skep.network;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * A network namespace: that of this process, or one that a file keeps alive.
 *
 * <p>A thread that went to another namespace must never do anything else: each call to {@link #run} has a platform
 * thread of its own, which ends with it. What it opens (sockets, programs) belongs to the namespace for good and may be
 * used by any thread.
 */
public final class NetworkNamespace {
    private static final Path OF_THREAD = Path.of("/proc/thread-self/ns/net");
    private static final Path OF_PROCESS = Path.of("/proc/self/ns/net");

    private final @Nullable Path path;

    private NetworkNamespace(@Nullable Path path) {
        this.path = path;
    }

    /** What is done in a namespace. */
    public interface Work<T> {
        T run() throws IOException;
    }

    /** The namespace this process runs in. */
    public static NetworkNamespace ofProcess() {
        return new NetworkNamespace(null);
    }

    public static NetworkNamespace at(Path path) {
        return new NetworkNamespace(path);
    }

    /** Makes a new namespace, which lives until it is deleted; in it there is only a loopback, which is up. */
    public static NetworkNamespace create(Path path) throws IOException {
        Files.createDirectories(path.toAbsolutePath().getParent());
        Files.deleteIfExists(path);
        Files.createFile(path);
        boolean done = false;
        try {
            inThread(() -> {
                SystemCalls.unshareNetwork();
                SystemCalls.mount(OF_THREAD.toString(), path, SystemCalls.MS_BIND);
                try (Netlink netlink = Netlink.open()) {
                    netlink.up(netlink.require("lo").index());
                }
                return true;
            });
            done = true;
            return new NetworkNamespace(path);
        } finally {
            if (!done) {
                delete(path);
            }
        }
    }

    /** Whether a file keeps a namespace alive, rather than being what is left of one. */
    public static boolean isAt(Path path) {
        try {
            // All files of namespaces are on one device.
            return Files.getAttribute(path, "unix:dev").equals(Files.getAttribute(OF_PROCESS, "unix:dev"));
        } catch (IOException e) {
            return false;
        }
    }

    /** Lets go of a namespace; it ends when no process is in it. It is no error when there is none. */
    public static void delete(Path path) throws IOException {
        try {
            SystemCalls.unmount(path);
        } catch (LinuxException e) {
            if (e.number() != LinuxException.EINVAL && e.number() != LinuxException.ENOENT) {
                throw e;
            }
        }
        try {
            Files.delete(path);
        } catch (NoSuchFileException e) {
            // Gone already.
        }
    }

    /** Returns the file of the namespace, or nothing for that of this process. */
    public @Nullable Path path() {
        return path;
    }

    /** Does something in the namespace, while the caller waits. */
    public <T> T run(Work<T> work) throws IOException {
        Path file = path;
        if (file == null) {
            return work.run();
        }
        return inThread(() -> {
            int descriptor = SystemCalls.open(file);
            try {
                SystemCalls.enterNetwork(descriptor);
            } finally {
                SystemCalls.close(descriptor);
            }
            return work.run();
        });
    }

    private static <T> T inThread(Work<T> work) throws IOException {
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().name("namespace").daemon().start(() -> {
            try {
                result.complete(work.run());
            } catch (Throwable e) {
                result.completeExceptionally(e);
            }
        });
        boolean interrupted = false;
        try {
            // The work is short and half of it is worse than none: an interrupt is kept for later.
            while (true) {
                try {
                    thread.join();
                    return result.get();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException failure -> throw failure;
                case RuntimeException failure -> throw failure;
                case Error failure -> throw failure;
                case null, default -> throw new IllegalStateException(e);
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
