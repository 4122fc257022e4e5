package io.skep.engine;

import com.google.protobuf.Any;
import io.skep.engine.ContainerdTasks.Exit;
import io.skep.engine.ContainerdTasks.Streams;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.ExecInspect;
import io.skep.engine.record.ExecProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One further process in a running container: made, started once, over.
 *
 * <p>It lives in memory only. Should the engine die, the process goes on, what it writes is read and dropped by the
 * next engine ({@link #adopt}), and its exit code is lost: Docker does the same.
 *
 * <p>Threads: any; {@link #lock} guards the step from made to started.
 */
public final class Exec {
    private static final Logger LOG = LoggerFactory.getLogger(Exec.class);
    private static final Duration DRAIN_TIMEOUT = Duration.ofSeconds(2);
    private static final int START_FAILED_CODE = 126;
    private static final int NOT_FOUND_CODE = 127;

    private final ContainerParts parts;
    private final ContainerdTasks tasks;
    private final Container container;
    private final String id;
    private final ExecConfig config;
    private final Output output;
    private final ReentrantLock lock = new ReentrantLock();
    private final CompletableFuture<Integer> exit = new CompletableFuture<>();
    private final List<AutoCloseable> pipes = new ArrayList<>();
    private Pipes.@Nullable Writing input;
    private boolean started;
    private volatile int pid;
    private volatile @Nullable Instant over;

    Exec(ContainerParts parts, Container container, String id, ExecConfig config) {
        this.parts = parts;
        this.tasks = new ContainerdTasks(parts.containerd());
        this.container = container;
        this.id = id;
        this.config = config;
        this.output = new Output(container.record().getName(), null, config.getTty() ? 1 : 2, parts.clock());
    }

    public String id() {
        return id;
    }

    public ExecConfig config() {
        return config;
    }

    public Container container() {
        return container;
    }

    /** Returns what completes with the exit code when the process is over and all it wrote was passed on. */
    public CompletableFuture<Integer> exit() {
        return exit;
    }

    /** Returns whether the process runs now. */
    public boolean isRunning() {
        return pid != 0 && !exit.isDone();
    }

    /** Returns when the process was over, or null when it is not. */
    @Nullable
    Instant over() {
        return over;
    }

    /** Passes on what the process writes; to miss nothing, call it before {@link #start}. */
    public AutoCloseable listen(Output.Listener listener) {
        return output.listen(listener);
    }

    /**
     * Starts the process.
     *
     * @param tty what the caller takes its stream for
     * @param height of the terminal, or 0 for the one that was named when the exec was made
     * @throws EngineException CONFLICT when it was started already or its container does not run
     */
    public void start(boolean tty, int height, int width) {
        container.requireProcesses();
        lock.lock();
        try {
            if (started) {
                throw EngineException.conflict(
                        "Error: Exec command " + id + (exit.isDone() ? " has already run" : " is already running"));
            }
            if (tty != config.getTty()) {
                throw EngineException.invalid("exec " + id + " was made " + (config.getTty() ? "with" : "without")
                        + " a terminal and cannot be started " + (tty ? "with" : "without") + " one");
            }
            started = true;
            launch();
        } finally {
            lock.unlock();
        }
        container.tell("exec_start: " + command(), Map.of("execID", id));
        int rows = height > 0 ? height : size(0);
        int columns = width > 0 ? width : size(1);
        if (config.getTty() && rows > 0 && columns > 0) {
            try {
                tasks.resize(container.id(), id, columns, rows);
            } catch (EngineException e) {
                LOG.debug("the terminal of exec {} keeps its size: {}", id, e.text());
            }
        }
    }

    private int size(int index) {
        return config.getConsoleSizeCount() == 2 ? config.getConsoleSize(index) : 0;
    }

    private void launch() {
        Path folder = folder(parts, container.id(), id);
        try {
            Any process = container.process(config);
            Streams streams = Streams.of(folder, config.getAttachStdin(), config.getTty());
            Files.createDirectories(folder);
            for (String pipe : List.of(streams.stdin(), streams.stdout(), streams.stderr())) {
                if (!pipe.isEmpty()) {
                    LinuxCalls.makeFifo(Path.of(pipe));
                }
            }
            pipes.add(parts.pipes().read(Path.of(streams.stdout()), output.sink(OutputStreamKind.STDOUT)));
            if (!streams.terminal()) {
                pipes.add(parts.pipes().read(Path.of(streams.stderr()), output.sink(OutputStreamKind.STDERR)));
            }
            tasks.exec(container.id(), id, process, streams);
            pid = tasks.start(container.id(), id);
            if (config.getAttachStdin()) {
                input = parts.pipes().write(Path.of(streams.stdin()), Container.INPUT_TIMEOUT);
            }
        } catch (IOException | InterruptedException | RuntimeException e) {
            if (e instanceof InterruptedException) {
                Thread.currentThread().interrupt();
            }
            EngineException failure = e instanceof EngineException known
                    ? known
                    : EngineException.internal("the process cannot be started: " + e.getMessage(), e);
            int code = failure.text().contains("executable file not found")
                            || failure.text().contains("no such file or directory")
                    ? NOT_FOUND_CODE
                    : START_FAILED_CODE;
            // A process that has begun before its input could be opened must not go on alone.
            if (pid != 0) {
                tasks.kill(container.id(), id, Signals.KILL, false);
            }
            finish(code);
            throw failure.kind() == EngineException.Kind.INTERNAL && e instanceof EngineException
                    ? new EngineException(EngineException.Kind.INVALID, failure.text(), failure)
                    : failure;
        }
        parts.executor().execute(this::awaitEnd);
    }

    private void awaitEnd() {
        try {
            Exit ended = tasks.await(container.id(), id);
            try {
                output.drained().get(DRAIN_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                LOG.debug("a process that exec {} left holds its output open", id);
            }
            finish(ended.code());
            container.tell("exec_die", Map.of("execID", id, "exitCode", Integer.toString(ended.code())));
        } catch (InterruptedException e) {
            LOG.debug("the end of exec {} is left to the next engine", id);
        } catch (ExecutionException | RuntimeException e) {
            LOG.error("The end of exec {} could not be dealt with", id, e);
        }
    }

    private void finish(int code) {
        try {
            tasks.deleteExec(container.id(), id);
        } catch (EngineException e) {
            // The shim lets it go with its container at the latest.
            LOG.debug("exec {} could not be taken back: {}", id, e.text());
        }
        lock.lock();
        try {
            for (AutoCloseable pipe : pipes) {
                pipe.close();
            }
            pipes.clear();
            if (input != null) {
                input.close();
            }
            AtomicFiles.deleteTree(folder(parts, container.id(), id));
        } catch (Exception e) {
            LOG.warn("The pipes of exec {} could not be closed: {}", id, e.getMessage());
        } finally {
            lock.unlock();
        }
        over = parts.clock().instant();
        exit.complete(code);
    }

    private static Path folder(ContainerParts parts, String containerId, String execId) {
        return parts.pipeFolder().resolve(containerId).resolve(execId);
    }

    /**
     * Feeds the process.
     *
     * @return false when it does not read any more
     */
    public boolean feed(byte[] bytes, int offset, int length) throws IOException, InterruptedException {
        Pipes.Writing open = input;
        return open != null && open.write(bytes, offset, length);
    }

    /** The client has nothing more to say: the process sees the end of its input. */
    public void endOfInput() {
        Pipes.Writing open = input;
        if (open != null) {
            open.close();
            if (isRunning()) {
                tasks.closeInput(container.id(), id);
            }
        }
    }

    public void resize(int height, int width) {
        if (!isRunning()) {
            throw EngineException.conflict("exec " + id + " is not running");
        }
        tasks.resize(container.id(), id, width, height);
    }

    /** Sends a signal to the process, if it runs. */
    void kill(int signal) {
        if (isRunning()) {
            tasks.kill(container.id(), id, signal, false);
        }
    }

    String command() {
        return String.join(" ", config.getCmdList());
    }

    public ExecInspect inspect() {
        boolean running = isRunning();
        ExecInspect.Builder inspect = ExecInspect.newBuilder()
                .setId(id)
                .setRunning(running)
                .setProcessConfig(ExecProcess.newBuilder()
                        .setTty(config.getTty())
                        .setEntrypoint(config.getCmd(0))
                        .addAllArguments(config.getCmdList().subList(1, config.getCmdCount()))
                        .setPrivileged(config.getPrivileged())
                        .setUser(config.getUser()))
                .setOpenStdin(config.getAttachStdin())
                .setOpenStderr(config.getAttachStderr())
                .setOpenStdout(config.getAttachStdout())
                .setCanRemove(exit.isDone())
                .setContainerId(container.id())
                .setPid(pid);
        if (exit.isDone()) {
            inspect.setExitCode(exit.join());
        }
        return inspect.build();
    }

    /** Reads on what the processes write that a former engine started, so that a full pipe does not hold them up. */
    static void adopt(ContainerParts parts, String containerId) throws IOException {
        ContainerdTasks tasks = new ContainerdTasks(parts.containerd());
        for (String execId : execsOf(parts, containerId)) {
            Path folder = folder(parts, containerId, execId);
            if (tasks.get(containerId, execId).isEmpty()) {
                AtomicFiles.deleteTree(folder);
                continue;
            }
            List<AutoCloseable> pipes = new ArrayList<>();
            for (String stream : List.of("stdout", "stderr")) {
                if (Files.exists(folder.resolve(stream))) {
                    pipes.add(parts.pipes().read(folder.resolve(stream), new Pipes.Sink() {
                        @Override
                        public void take(byte[] bytes, int length) {
                            // Whoever wanted it went with the former engine.
                        }

                        @Override
                        public void end() {
                            // The end of the process is awaited elsewhere.
                        }
                    }));
                }
            }
            parts.executor().execute(() -> {
                try {
                    tasks.await(containerId, execId);
                    tasks.deleteExec(containerId, execId);
                    for (AutoCloseable pipe : pipes) {
                        pipe.close();
                    }
                    AtomicFiles.deleteTree(folder);
                } catch (InterruptedException e) {
                    LOG.debug("the end of exec {} is left to the next engine", execId);
                } catch (Exception e) {
                    LOG.warn("The end of exec {} could not be dealt with: {}", execId, e.getMessage());
                }
            });
        }
    }

    private static List<String> execsOf(ContainerParts parts, String containerId) throws IOException {
        Path folder = parts.pipeFolder().resolve(containerId);
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (var each = Files.list(folder)) {
            return each.filter(Files::isDirectory)
                    .map(path -> path.getFileName().toString())
                    .toList();
        }
    }
}
