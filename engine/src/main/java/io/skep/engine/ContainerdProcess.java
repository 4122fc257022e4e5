package io.skep.engine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A containerd that the engine starts for itself and starts again when it dies.
 *
 * <p>It lives under the engine's folders and has a socket of its own, so that it meets no other containerd of the host.
 * It is left running when the engine is killed, as are the containers: the next engine finds its pid and takes it over.
 * A clean stop of the engine ends it; containers do not notice, they belong to their shims.
 */
final class ContainerdProcess implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ContainerdProcess.class);
    private static final Duration RESTART_PAUSE_MIN = Duration.ofMillis(200);
    private static final Duration RESTART_PAUSE_MAX = Duration.ofSeconds(10);
    private static final Duration HEALTHY_AFTER = Duration.ofSeconds(30);
    private static final Duration STOP_TIMEOUT = Duration.ofSeconds(10);

    private final String command;
    private final Path folder;
    private final Path socket;
    private final Thread supervisor;
    private volatile @Nullable ProcessHandle running;
    private volatile boolean closed;

    /**
     * Starts containerd, or takes over the one that a killed engine left.
     *
     * @param command the program
     * @param data where images and snapshots are kept
     * @param runtime where sockets and what else ends with the machine are kept
     */
    ContainerdProcess(String command, Path data, Path runtime) throws IOException {
        this.command = command;
        this.folder = runtime.resolve("containerd");
        this.socket = folder.resolve("containerd.sock");
        Files.createDirectories(folder);
        Files.createDirectories(data.resolve("containerd"));
        write("containerd.toml", configuration(data.resolve("containerd"), folder, socket));
        ProcessHandle left = leftover();
        running = left == null ? start() : left;
        supervisor = Thread.ofVirtual().name("engine-containerd").start(this::supervise);
    }

    Path socket() {
        return socket;
    }

    static String configuration(Path root, Path state, Path socket) {
        return """
                version = 2
                root = "%s"
                state = "%s"
                disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.restart"]
                oom_score = -500

                [grpc]
                  address = "%s"

                [ttrpc]
                  address = "%s.ttrpc"

                [debug]
                  level = "warn"
                """.formatted(root, state.resolve("state"), socket, socket);
    }

    /** Returns the containerd of a former engine, if it lives. */
    private @Nullable ProcessHandle leftover() throws IOException {
        Path pidFile = folder.resolve("containerd.pid");
        if (!Files.exists(pidFile)) {
            return null;
        }
        try {
            long pid = Long.parseLong(Files.readString(pidFile).strip());
            // A pid may have been given to another program since.
            byte[] line = Files.readAllBytes(Path.of("/proc", Long.toString(pid), "cmdline"));
            if (new String(line, StandardCharsets.UTF_8)
                    .contains(folder.resolve("containerd.toml").toString())) {
                LOG.info("Taking over the containerd with pid {} that was left running", pid);
                return ProcessHandle.of(pid).orElse(null);
            }
        } catch (NumberFormatException | IOException e) {
            LOG.debug("no containerd was left running: {}", e.getMessage());
        }
        return null;
    }

    private ProcessHandle start() throws IOException {
        Process process = new ProcessBuilder(
                        command, "--config", folder.resolve("containerd.toml").toString())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        folder.resolve("containerd.log").toFile()))
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .start();
        write("containerd.pid", Long.toString(process.pid()));
        return process.toHandle();
    }

    private void supervise() {
        Duration pause = RESTART_PAUSE_MIN;
        try {
            while (!closed) {
                ProcessHandle now = running;
                long startedNanos = System.nanoTime();
                if (now != null) {
                    now.onExit().join();
                }
                if (closed) {
                    return;
                }
                boolean healthy = System.nanoTime() - startedNanos > HEALTHY_AFTER.toNanos();
                pause = healthy ? RESTART_PAUSE_MIN : min(pause.multipliedBy(2), RESTART_PAUSE_MAX);
                LOG.warn(
                        "containerd ended and is started again in {} ms; its last words are in {}",
                        pause.toMillis(),
                        folder.resolve("containerd.log"));
                Thread.sleep(pause);
                synchronized (this) {
                    if (!closed) {
                        running = start();
                    }
                }
            }
        } catch (InterruptedException e) {
            LOG.debug("containerd is not watched any more");
        } catch (IOException e) {
            LOG.error("containerd cannot be started: {}", e.getMessage());
        }
    }

    private void write(String name, String text) throws IOException {
        AtomicFiles.write(folder.resolve(name), text.getBytes(StandardCharsets.UTF_8));
    }

    private static Duration min(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }

    /** Ends containerd; waits up to 10 s before it is killed. */
    @Override
    public void close() {
        ProcessHandle now;
        synchronized (this) {
            closed = true;
            now = running;
        }
        supervisor.interrupt();
        if (now == null) {
            return;
        }
        now.destroy();
        try {
            now.onExit()
                    .orTimeout(STOP_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
                    .join();
        } catch (CompletionException e) {
            LOG.warn("containerd does not end and is killed");
            now.destroyForcibly();
        }
    }
}
