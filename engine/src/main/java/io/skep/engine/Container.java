package io.skep.engine;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.FieldMask;
import io.grpc.StatusRuntimeException;
import io.skep.containerd.containers.CreateContainerRequest;
import io.skep.containerd.containers.DeleteContainerRequest;
import io.skep.containerd.containers.UpdateContainerRequest;
import io.skep.containerd.types.Mount;
import io.skep.engine.ContainerdTasks.Exit;
import io.skep.engine.ContainerdTasks.Streams;
import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.OciSpecification.Surroundings;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStats;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.HealthRecord;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.ProcessList;
import io.skep.engine.record.Resources;
import io.skep.engine.record.RestartPolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One container, from its creation to its removal, through any number of runs.
 *
 * <p>What is so is in the {@link ContainerRecord}, which is replaced as a whole and is on the disk before anyone hears
 * of a change. That a container is supposed to run is written before it is started, and that it ended before anybody is
 * told: so whenever the engine dies, the next one knows which containers to look for, and finds out from containerd
 * what became of them ({@link #recover}).
 *
 * <p>Each start makes a {@link Run}. A virtual thread waits for its end, however it comes, and does what follows: it
 * takes back the network and the mounts, writes down how the run ended, and starts the next if the restart policy says
 * so, after a pause that doubles from 100 ms up to a minute and begins anew after a run of 10 s.
 *
 * <p>Threads: any; those that change something hold {@link #lock}, also while containerd works, so changes of one
 * container come one after the other. Waiting for an end is done without it.
 */
public final class Container {
    private static final Logger LOG = LoggerFactory.getLogger(Container.class);
    private static final Duration STOP_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration KILL_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration DRAIN_TIMEOUT = Duration.ofSeconds(3);
    static final Duration INPUT_TIMEOUT = Duration.ofSeconds(2);
    private static final Duration RESTART_PAUSE_MIN = Duration.ofMillis(100);
    private static final Duration RESTART_PAUSE_MAX = Duration.ofMinutes(1);
    private static final Duration STEADY_RUN = Duration.ofSeconds(10);
    private static final int NOT_FOUND_CODE = 127;
    private static final int NOT_EXECUTABLE_CODE = 126;
    private static final int START_FAILED_CODE = 128;

    /** One run of the container. */
    private static final class Run {
        final Output output;
        final CompletableFuture<Exit> exit = new CompletableFuture<>();
        final List<AutoCloseable> pipes = new ArrayList<>();
        /** Null inside for a container without input. */
        final CompletableFuture<Pipes.@Nullable Writing> input = new CompletableFuture<>();

        Run(Output output) {
            this.output = output;
        }
    }

    private final ContainerParts parts;
    private final ContainerdTasks tasks;
    private final ContainerLog log;
    private final Consumer<Container> whenGone;
    private final ReentrantLock lock = new ReentrantLock();
    private volatile ContainerRecord record;
    private volatile @Nullable Run run;
    private Duration restartPause = RESTART_PAUSE_MIN;
    private @Nullable Future<?> restart;
    private @Nullable HealthMonitor health;
    private final List<Attachment> waiting = new ArrayList<>();
    private CompletableFuture<Integer> notRunning = new CompletableFuture<>();
    private CompletableFuture<Integer> nextExit = new CompletableFuture<>();
    private final CompletableFuture<Integer> removed = new CompletableFuture<>();

    /** @param whenGone called once, when nothing is left of the container */
    Container(ContainerParts parts, ContainerRecord record, ContainerLog log, Consumer<Container> whenGone) {
        this.parts = parts;
        this.tasks = new ContainerdTasks(parts.containerd());
        this.record = record;
        this.log = log;
        this.whenGone = whenGone;
    }

    public String id() {
        return record.getId();
    }

    /** Returns all that is known of the container at the moment. */
    public ContainerRecord record() {
        return record;
    }

    public ContainerLog log() {
        return log;
    }

    private ContainerStatus status() {
        return record.getState().getStatus();
    }

    boolean isRunning() {
        return status() == ContainerStatus.RUNNING || status() == ContainerStatus.PAUSED;
    }

    // ---- creation and removal

    /** Makes the file system that the container writes, and its place in containerd. */
    void create(ImageSource.Image image) throws IOException {
        ContainerRecord made = record;
        try {
            parts.containerd()
                    .containers()
                    .create(CreateContainerRequest.newBuilder()
                            .setContainer(io.skep.containerd.containers.Container.newBuilder()
                                    .setId(made.getId())
                                    .setImage(made.getConfig().getImage())
                                    .setRuntime(parts.runtimes()
                                            .of(made.getHostConfig().getRuntime()))
                                    .setSnapshotter(made.getSnapshotter())
                                    // Named before it is made, so that the collector finds it in use at once.
                                    .setSnapshotKey(made.getId())
                                    .setSpec(Any.newBuilder()
                                            .setTypeUrl("types.containerd.io/opencontainers/runtime-spec/1/Spec")
                                            .setValue(ByteString.copyFromUtf8("{}"))))
                            .build());
            parts.mounts().populate(made, parts.layers().prepare(made.getId(), image.chainId()));
            parts.folder().save(made);
        } catch (StatusRuntimeException e) {
            forgetInContainerd();
            throw EngineException.internal(
                    "the file system of the container cannot be made: "
                            + e.getStatus().getDescription(),
                    e);
        } catch (IOException | RuntimeException e) {
            forgetInContainerd();
            throw e;
        }
        tell("create", Map.of());
    }

    private void forgetInContainerd() {
        parts.layers().remove(id());
        DeleteContainerRequest request =
                DeleteContainerRequest.newBuilder().setId(id()).build();
        var _ = Containerd.found(() -> parts.containerd().containers().delete(request));
    }

    /**
     * Removes the container.
     *
     * @param force whether one that runs is killed
     * @param volumes whether its volumes without a name go with it
     */
    void remove(boolean force, boolean volumes) throws InterruptedException {
        lock.lock();
        try {
            if (status() == ContainerStatus.REMOVING) {
                throw EngineException.conflict("removal of container " + id() + " is already in progress");
            }
            if (isRunning() || status() == ContainerStatus.RESTARTING) {
                if (!force) {
                    throw EngineException.conflict("cannot remove container \"/" + record.getName()
                            + "\": container is " + word(status())
                            + (status() == ContainerStatus.PAUSED
                                    ? " and must be unpaused first"
                                    : ": stop the container before removing or force remove"));
                }
            }
        } finally {
            lock.unlock();
        }
        if (isRunning() || status() == ContainerStatus.RESTARTING) {
            stop(Signals.KILL, Duration.ZERO);
        }
        lock.lock();
        try {
            if (isRunning()) {
                throw EngineException.conflict(
                        "cannot remove container \"/" + record.getName() + "\": it was started again meanwhile");
            }
            cancelRestart();
            try {
                change(state -> state.setStatus(ContainerStatus.REMOVING));
                leaveNetworks();
                parts.mounts().release(record, volumes);
                forgetInContainerd();
                log.close();
                parts.folder().delete(id());
            } catch (IOException | RuntimeException e) {
                change(state -> state.setStatus(ContainerStatus.DEAD).setError(String.valueOf(e.getMessage())));
                throw EngineException.internal(
                        "container " + id() + " could not be removed as a whole, try again: " + e.getMessage(), e);
            }
        } finally {
            lock.unlock();
        }
        List<Attachment> left;
        lock.lock();
        try {
            left = List.copyOf(waiting);
            waiting.clear();
        } finally {
            lock.unlock();
        }
        left.forEach(attachment -> attachment.listener.end());
        whenGone.accept(this);
        tell("destroy", Map.of());
        removed.complete(record.getState().getExitCode());
    }

    // ---- start

    /**
     * Starts the container for its user. One that was to be removed after its end is also removed when it cannot be
     * started.
     */
    public void start() {
        EngineException failure = null;
        lock.lock();
        try {
            switch (status()) {
                case RUNNING -> throw EngineException.notModified("container " + id() + " is running already");
                case PAUSED -> throw EngineException.conflict("cannot start a paused container, try unpause instead");
                case REMOVING, DEAD ->
                    throw EngineException.conflict("container is marked for removal and cannot be started");
                default -> {
                    cancelRestart();
                    restartPause = RESTART_PAUSE_MIN;
                    change(state -> state.setStoppedByUser(false).setRestartCount(0));
                    try {
                        launch();
                    } catch (EngineException e) {
                        failure = e;
                    }
                }
            }
        } finally {
            lock.unlock();
        }
        if (failure != null) {
            if (record.getHostConfig().getAutoRemove()) {
                parts.executor().execute(this::removeByItself);
            }
            throw failure;
        }
    }

    private void removeByItself() {
        try {
            remove(false, true);
        } catch (InterruptedException e) {
            LOG.debug("container {} is left to the next engine", record.getName());
        } catch (EngineException e) {
            if (e.kind() == EngineException.Kind.CONFLICT) {
                LOG.debug("container {} is removed by someone else: {}", record.getName(), e.text());
            } else {
                LOG.warn("Container {} could not be removed after its end: {}", record.getName(), e.text());
            }
        }
    }

    private void cancelRestart() {
        if (restart != null) {
            restart.cancel(false);
            restart = null;
        }
    }

    /** Makes a run. Called under the lock; when it fails nothing is left of it but the reason. */
    private void launch() {
        ContainerStatus before = status() == ContainerStatus.RESTARTING ? ContainerStatus.EXITED : status();
        change(state -> state.setSupposedToRun(true));
        Run made = null;
        try {
            Networking.Attached network = parts.networking().attach(record);
            record = record.toBuilder()
                    .clearEndpoints()
                    .putAllEndpoints(network.endpoints())
                    .putAllPorts(network.ports())
                    .setSandboxKey(network.namespace())
                    .build();
            List<Mounted> mounts = new ArrayList<>(network.files());
            mounts.addAll(SharedMemory.activate(sharedMemory(), record));
            mounts.addAll(parts.mounts().activate(record));
            List<Mount> rootfs = parts.layers().mounts(id());
            Surroundings surroundings = surroundings(record.getConfig().getUser(), network.namespace(), mounts, rootfs);
            updateSpecification(surroundings);
            Streams streams = openStreams();
            made = openRun(streams);
            for (Attachment attachment : waiting) {
                attachment.join(made);
            }
            waiting.clear();
            log.begun();
            int pid = tasks.create(id(), rootfs, streams);
            openInput(made, streams, INPUT_TIMEOUT);
            int started = tasks.start(id(), "");
            Instant now = parts.clock().instant();
            change(state -> state.setStatus(ContainerStatus.RUNNING)
                    .setPid(started == 0 ? pid : started)
                    .setExitCode(0)
                    .setError("")
                    .setOomKilled(false)
                    .setStartedAt(Times.of(now)));
            if (notRunning.isDone()) {
                notRunning = new CompletableFuture<>();
            }
            run = made;
            awaitEnd(made);
            health = HealthMonitor.of(parts, this);
            if (health != null) {
                change(state -> state.setHealth(HealthMonitor.begun(state.getHealth())));
                health.start();
            }
        } catch (IOException | RuntimeException e) {
            EngineException failure = startFailure(e);
            int code = startFailureCode(failure.text());
            if (made != null) {
                closePipes(made);
            }
            tasks.kill(id(), "", Signals.KILL, true);
            tasks.delete(id());
            parts.mounts().deactivate(record);
            SharedMemory.deactivate(sharedMemory(), record);
            leaveNetworks();
            log.ended();
            change(state -> state.setStatus(before)
                    .setSupposedToRun(false)
                    .setPid(0)
                    .setExitCode(code)
                    .setError(failure.text()));
            throw failure;
        }
        tell("start", Map.of());
    }

    private static EngineException startFailure(Exception e) {
        if (!(e instanceof EngineException failure)) {
            return EngineException.internal("the container cannot be started: " + e.getMessage(), e);
        }
        return startFailureCode(failure.text()) == START_FAILED_CODE
                ? failure
                : new EngineException(EngineException.Kind.INVALID, failure.text(), failure);
    }

    /** Returns the exit code that tells a shell why a program did not start. */
    private static int startFailureCode(String text) {
        if (text.contains("executable file not found") || text.contains("no such file or directory")) {
            return NOT_FOUND_CODE;
        }
        return text.contains("permission denied") || text.contains("is a directory") || text.contains("not a directory")
                ? NOT_EXECUTABLE_CODE
                : START_FAILED_CODE;
    }

    private Surroundings surroundings(String user, String networkNamespace, List<Mounted> mounts, List<Mount> rootfs) {
        HostConfig host = record.getHostConfig();
        ContainerUser found = ContainerUser.find(user, host.getGroupAddList(), new RootFiles(rootfs));
        String parent = host.getResources().getCgroupParent();
        return new Surroundings(
                id(),
                found.uid(),
                found.gid(),
                found.groups(),
                networkNamespace,
                (parent.isEmpty() ? parts.cgroupParent() : parent) + "/" + id(),
                parts.host().unifiedCgroups(),
                mounts,
                parts.host().capabilities(),
                joined(host),
                Devices.of(host),
                host.getInit() ? parts.host().init() : "");
    }

    /** Returns the namespaces of other containers that this one joins. */
    private Map<String, String> joined(HostConfig host) {
        Map<String, String> joined = new HashMap<>();
        Map.of("pid", host.getPidMode(), "ipc", host.getIpcMode()).forEach((kind, mode) -> {
            if (mode.startsWith(HostConfigRules.JOINED)) {
                String other = mode.substring(HostConfigRules.JOINED.length());
                joined.put(kind, "/proc/" + pidOf(other, kind) + "/ns/" + kind);
            }
        });
        return joined;
    }

    private int pidOf(String other, String kind) {
        return tasks.get(other, "")
                .filter(process -> process.getStatus() == io.skep.containerd.tasktypes.Status.RUNNING)
                .orElseThrow(() -> EngineException.conflict(
                        "cannot join " + kind + " namespace of a non running container: " + other))
                .getPid();
    }

    private void updateSpecification(Surroundings surroundings) {
        parts.containerd()
                .containers()
                .update(UpdateContainerRequest.newBuilder()
                        .setContainer(io.skep.containerd.containers.Container.newBuilder()
                                .setId(id())
                                .setSpec(OciSpecification.of(record.getConfig(), record.getHostConfig(), surroundings)))
                        .setUpdateMask(FieldMask.newBuilder().addPaths("spec"))
                        .build());
    }

    // ---- pipes

    private Path sharedMemory() {
        return parts.pipeFolder().resolveSibling("shm");
    }

    private Path pipeFolder() {
        return parts.pipeFolder().resolve(id());
    }

    private Streams openStreams() throws IOException {
        Config config = record.getConfig();
        Path folder = pipeFolder();
        AtomicFiles.deleteTree(folder);
        Files.createDirectories(folder);
        Streams streams = Streams.of(folder, config.getOpenStdin(), config.getTty());
        for (String pipe : List.of(streams.stdin(), streams.stdout(), streams.stderr())) {
            if (!pipe.isEmpty()) {
                LinuxCalls.makeFifo(Path.of(pipe));
            }
        }
        return streams;
    }

    private Run openRun(Streams streams) throws IOException {
        Run made = new Run(new Output(record.getName(), log, streams.terminal() ? 1 : 2, parts.clock()));
        try {
            made.pipes.add(parts.pipes().read(Path.of(streams.stdout()), made.output.sink(OutputStreamKind.STDOUT)));
            if (!streams.terminal()) {
                made.pipes.add(
                        parts.pipes().read(Path.of(streams.stderr()), made.output.sink(OutputStreamKind.STDERR)));
            }
        } catch (IOException e) {
            closePipes(made);
            throw e;
        }
        return made;
    }

    /** Opens the input once the shim reads it: before that nobody is at the other end. */
    private void openInput(Run made, Streams streams, Duration patience) throws IOException {
        if (streams.stdin().isEmpty()) {
            made.input.complete(null);
            return;
        }
        try {
            made.input.complete(parts.pipes().write(Path.of(streams.stdin()), patience));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("the engine is stopping", e);
        }
    }

    private void closePipes(Run made) {
        try {
            for (AutoCloseable pipe : made.pipes) {
                pipe.close();
            }
            made.input.complete(null);
            Pipes.Writing input = made.input.getNow(null);
            if (input != null) {
                input.close();
            }
            AtomicFiles.deleteTree(pipeFolder());
        } catch (Exception e) {
            LOG.warn("The pipes of container {} could not be closed: {}", record.getName(), e.getMessage());
        }
    }

    // ---- end

    private void awaitEnd(Run ending) {
        parts.executor().execute(() -> {
            try {
                ended(ending, tasks.await(id(), ""));
            } catch (InterruptedException e) {
                LOG.debug("the end of container {} is left to the next engine", record.getName());
            } catch (RuntimeException e) {
                LOG.error("The end of container {} could not be dealt with", record.getName(), e);
            }
        });
    }

    private void ended(Run ending, Exit exit) throws InterruptedException {
        try {
            // A process that outlives the first one may hold the pipes open: it is killed with the task.
            ending.output.drained().get(DRAIN_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            LOG.debug("something in container {} holds its output open", record.getName());
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
        boolean again;
        boolean remove;
        lock.lock();
        try {
            if (run != ending) {
                return;
            }
            tasks.delete(id());
            closePipes(ending);
            log.ended();
            parts.mounts().deactivate(record);
            SharedMemory.deactivate(sharedMemory(), record);
            leaveNetworks();
            run = null;
            if (health != null) {
                health.stop();
                health = null;
            }
            Instant at = exit.at().equals(Instant.EPOCH) ? parts.clock().instant() : exit.at();
            Duration lasted = Duration.between(Times.of(record.getState().getStartedAt()), at);
            again = mustRestart(exit.code());
            remove = !again && record.getHostConfig().getAutoRemove();
            change(state -> state.setStatus(again ? ContainerStatus.RESTARTING : ContainerStatus.EXITED)
                    .setSupposedToRun(again)
                    .setPid(0)
                    .setExitCode(exit.code())
                    .setFinishedAt(Times.of(at))
                    .setRestartCount(state.getRestartCount() + (again ? 1 : 0)));
            if (again) {
                restartPause = lasted.compareTo(STEADY_RUN) >= 0 ? RESTART_PAUSE_MIN : restartPause;
                restartLater();
            }
        } finally {
            lock.unlock();
        }
        tell("die", Map.of("exitCode", Integer.toString(exit.code())));
        ending.exit.complete(exit);
        CompletableFuture<Integer> awaited;
        lock.lock();
        try {
            awaited = nextExit;
            nextExit = new CompletableFuture<>();
        } finally {
            lock.unlock();
        }
        awaited.complete(exit.code());
        if (!again) {
            notRunning.complete(exit.code());
        }
        if (remove) {
            removeByItself();
        }
    }

    private boolean mustRestart(int code) {
        ContainerState state = record.getState();
        RestartPolicy policy = record.getHostConfig().getRestartPolicy();
        if (state.getStoppedByUser()) {
            return false;
        }
        return switch (policy.getName()) {
            case "always", "unless-stopped" -> true;
            case "on-failure" ->
                code != 0
                        && (policy.getMaximumRetryCount() == 0
                                || state.getRestartCount() < policy.getMaximumRetryCount());
            default -> false;
        };
    }

    private void restartLater() {
        Duration pause = restartPause;
        restartPause =
                pause.multipliedBy(2).compareTo(RESTART_PAUSE_MAX) < 0 ? pause.multipliedBy(2) : RESTART_PAUSE_MAX;
        restart = parts.timer()
                .schedule(() -> parts.executor().execute(this::restartNow), pause.toMillis(), TimeUnit.MILLISECONDS);
    }

    private void restartNow() {
        lock.lock();
        try {
            if (status() != ContainerStatus.RESTARTING) {
                return;
            }
            try {
                launch();
            } catch (EngineException e) {
                LOG.warn("Container {} could not be started again: {}", record.getName(), e.text());
                if (mustRestart(record.getState().getExitCode())) {
                    change(state -> state.setStatus(ContainerStatus.RESTARTING)
                            .setSupposedToRun(true)
                            .setRestartCount(state.getRestartCount() + 1));
                    restartLater();
                } else {
                    notRunning.complete(record.getState().getExitCode());
                }
            }
        } finally {
            lock.unlock();
        }
    }

    // ---- what users do with a container that runs

    /** Stops the container as its configuration says, or as the user says. */
    public void stop(String signal, @Nullable Duration timeout) throws InterruptedException {
        if (!isRunning() && status() != ContainerStatus.RESTARTING) {
            throw EngineException.notModified("container " + id() + " is stopped already");
        }
        Config config = record.getConfig();
        Duration patience = timeout != null
                ? timeout
                : config.hasStopTimeout() ? Duration.ofSeconds(config.getStopTimeout()) : STOP_TIMEOUT;
        String asked = signal.isEmpty() ? config.getStopSignal() : signal;
        stop(Signals.number(asked, Signals.TERM), patience);
    }

    /** @param patience until the container is killed; negative for ever */
    private void stop(int signal, Duration patience) throws InterruptedException {
        Run current;
        lock.lock();
        try {
            change(state -> state.setStoppedByUser(true));
            if (status() == ContainerStatus.RESTARTING) {
                cancelRestart();
                change(state -> state.setStatus(ContainerStatus.EXITED).setSupposedToRun(false));
                notRunning.complete(record.getState().getExitCode());
                return;
            }
            current = run;
            if (current == null) {
                return;
            }
            tasks.kill(id(), "", signal, false);
            thaw();
        } finally {
            lock.unlock();
        }
        tell("kill", Map.of("signal", Integer.toString(signal)));
        if (signal == Signals.KILL || !awaitExit(current, patience)) {
            killAll(current);
            if (!awaitExit(current, KILL_TIMEOUT)) {
                throw new EngineException(
                        EngineException.Kind.INTERNAL,
                        "container " + id() + " did not end within " + KILL_TIMEOUT.toSeconds()
                                + " s of being killed: the kernel holds a process of it back");
            }
        }
        tell("stop", Map.of());
    }

    /** Kills every process of a run; under the lock, so that its end is not dealt with at the same time. */
    private void killAll(Run ending) {
        lock.lock();
        try {
            if (run == ending) {
                tasks.kill(id(), "", Signals.KILL, true);
            }
        } finally {
            lock.unlock();
        }
    }

    private static boolean awaitExit(Run ending, Duration timeout) throws InterruptedException {
        try {
            if (timeout.isNegative()) {
                ending.exit.get();
            } else {
                ending.exit.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
            }
            return true;
        } catch (TimeoutException e) {
            return false;
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Stops the container, if it runs, and starts it. */
    public void restart(String signal, @Nullable Duration timeout) throws InterruptedException {
        if (isRunning() || status() == ContainerStatus.RESTARTING) {
            stop(signal, timeout);
        }
        start();
        tell("restart", Map.of());
    }

    /** Sends a signal. */
    public void kill(String signal) {
        int number = Signals.number(signal, Signals.KILL);
        lock.lock();
        try {
            requireRunning();
            if (number == Signals.KILL || number == Signals.TERM) {
                change(state -> state.setStoppedByUser(true));
            }
            if (!tasks.kill(id(), "", number, false)) {
                throw notRunningFailure();
            }
            if (number == Signals.KILL) {
                thaw();
            }
        } finally {
            lock.unlock();
        }
        tell("kill", Map.of("signal", Integer.toString(number)));
    }

    /** Lets a paused container take the signal it was sent; the runtime may have done so itself. */
    private void thaw() {
        if (status() != ContainerStatus.PAUSED) {
            return;
        }
        try {
            tasks.resume(id());
        } catch (EngineException e) {
            if (!e.text().contains("not paused") && !e.text().contains("stopped container")) {
                throw e;
            }
        }
    }

    private void requireRunning() {
        if (!isRunning()) {
            throw notRunningFailure();
        }
    }

    private EngineException notRunningFailure() {
        return EngineException.conflict("container " + id() + " is not running");
    }

    public void pause() {
        lock.lock();
        try {
            requireRunning();
            if (status() == ContainerStatus.PAUSED) {
                throw EngineException.conflict("Container " + id() + " is already paused");
            }
            tasks.pause(id());
            change(state -> state.setStatus(ContainerStatus.PAUSED));
        } finally {
            lock.unlock();
        }
        tell("pause", Map.of());
    }

    public void unpause() {
        lock.lock();
        try {
            if (status() != ContainerStatus.PAUSED) {
                throw EngineException.conflict("Container " + id() + " is not paused");
            }
            tasks.resume(id());
            change(state -> state.setStatus(ContainerStatus.RUNNING));
        } finally {
            lock.unlock();
        }
        tell("unpause", Map.of());
    }

    void rename(String name) {
        String before;
        lock.lock();
        try {
            before = record.getName();
            save(record.toBuilder().setName(name).build());
            parts.networking().renamed(record);
        } finally {
            lock.unlock();
        }
        tell("rename", Map.of("oldName", "/" + before));
    }

    /** Changes what the container may use, at once if it runs. */
    public void update(Resources resources, @Nullable RestartPolicy policy) {
        HostConfigRules.check(resources, parts.host().unifiedCgroups());
        lock.lock();
        try {
            if (isRunning()) {
                tasks.update(
                        id(), OciSpecification.resources(resources, parts.host().unifiedCgroups()));
            }
            HostConfig.Builder host = record.getHostConfig().toBuilder().setResources(resources);
            if (policy != null) {
                host.setRestartPolicy(policy);
            }
            save(record.toBuilder().setHostConfig(host).build());
        } finally {
            lock.unlock();
        }
        tell("update", Map.of());
    }

    public void resize(int height, int width) {
        requireRunning();
        tasks.resize(id(), "", width, height);
        tell("resize", Map.of("height", Integer.toString(height), "width", Integer.toString(width)));
    }

    /**
     * Returns what completes with the exit code when the condition holds.
     *
     * @param condition not-running, next-exit or removed
     */
    public CompletableFuture<Integer> when(String condition) {
        lock.lock();
        try {
            return switch (condition) {
                case "", "not-running" ->
                    isRunning() || status() == ContainerStatus.RESTARTING
                            ? notRunning
                            : CompletableFuture.completedFuture(
                                    record.getState().getExitCode());
                case "next-exit" -> nextExit;
                case "removed" -> removed;
                default -> throw EngineException.invalid("invalid condition: \"" + condition + "\"");
            };
        } finally {
            lock.unlock();
        }
    }

    /**
     * How much a container takes on the disk.
     *
     * @param own bytes that it has written itself
     * @param all these and those of its image
     */
    public record Size(long own, long all) {}

    /** Returns how much the container takes on the disk; it is counted anew each time. */
    public Size size() {
        long own = parts.layers().sizeBytes(id());
        long all = own;
        String below = parts.layers().parent(id());
        while (!below.isEmpty()) {
            all += parts.layers().sizeBytes(below);
            below = parts.layers().parent(below);
        }
        return new Size(own, all);
    }

    // ---- attached clients

    /** A client at the streams of one run: the one that is under way or, when there is none, the next one. */
    public final class Attachment implements AutoCloseable {
        private final Output.Listener listener;
        private final CompletableFuture<@Nullable Run> joined = new CompletableFuture<>();
        private @Nullable AutoCloseable listening;
        private boolean closed;

        private Attachment(Output.Listener listener) {
            this.listener = listener;
        }

        private synchronized void join(Run next) {
            if (!closed) {
                listening = next.output.listen(listener);
                joined.complete(next);
            }
        }

        /**
         * Feeds the container; waits until it runs.
         *
         * @return false when it does not read any more
         */
        public boolean feed(byte[] bytes, int offset, int length) throws IOException, InterruptedException {
            Pipes.Writing input = input();
            return input != null && input.write(bytes, offset, length);
        }

        private Pipes.@Nullable Writing input() throws InterruptedException {
            try {
                Run fed = joined.get();
                return fed == null ? null : fed.input.get();
            } catch (ExecutionException e) {
                throw new IllegalStateException(e);
            }
        }

        /** The client has nothing more to say: with StdinOnce the container sees the end of its input. */
        public void endOfInput() throws InterruptedException {
            Pipes.Writing input = record.getConfig().getStdinOnce() ? input() : null;
            if (input != null) {
                input.close();
                tasks.closeInput(id(), "");
            }
        }

        /** The client left by its detach keys. */
        public void detached() {
            tell("detach", Map.of());
        }

        /** Ends what the client hears; one that waits to feed the container waits no more. */
        @Override
        public void close() throws Exception {
            AutoCloseable open;
            synchronized (this) {
                closed = true;
                open = listening;
            }
            lock.lock();
            try {
                waiting.remove(this);
            } finally {
                lock.unlock();
            }
            joined.complete(null);
            if (open != null) {
                open.close();
            }
        }
    }

    /** Lets a client hear and feed the run that is under way or the next one, until it ends. */
    public Attachment attach(Output.Listener listener) {
        Attachment attachment = new Attachment(listener);
        lock.lock();
        try {
            switch (status()) {
                case PAUSED ->
                    throw EngineException.conflict(
                            "container " + id() + " is paused, unpause the container before attach");
                case RESTARTING ->
                    throw EngineException.conflict(
                            "container " + id() + " is restarting, wait until the container is running");
                case REMOVING, DEAD ->
                    throw EngineException.conflict("container is marked for removal and cannot be attached to");
                default -> {}
            }
            Run current = run;
            if (current == null) {
                waiting.add(attachment);
            } else {
                attachment.join(current);
            }
        } finally {
            lock.unlock();
        }
        tell("attach", Map.of());
        return attachment;
    }

    // ---- files, processes and figures

    /** Returns the files, to be copied out and in. */
    public ContainerFiles files() {
        return new ContainerFiles(parts, this);
    }

    /**
     * Does something with the files; a container that does not run is not started meanwhile.
     *
     * @param withVolumes whether those of a container that does not run have their volumes in their places
     */
    <T> T withRoot(boolean readOnly, boolean withVolumes, ContainerFiles.Work<T> work) throws IOException {
        Root running;
        lock.lock();
        try {
            if (!isRunning()) {
                try (MountedRoot mounted =
                        parts.mounts().open(record, parts.layers().mounts(id()), readOnly, withVolumes)) {
                    return work.with(mounted.root());
                }
            }
            running =
                    Root.of(Path.of("/proc", Integer.toString(record.getState().getPid()), "root"));
            // Had it ended before, its pid could have been that of another.
            if (tasks.get(id(), "")
                    .filter(process -> process.getStatus() != io.skep.containerd.tasktypes.Status.STOPPED)
                    .isEmpty()) {
                running.close();
                throw EngineException.conflict("container " + id() + " is just ending");
            }
        } finally {
            lock.unlock();
        }
        try (running) {
            return work.with(running);
        }
    }

    /**
     * Returns the processes.
     *
     * @param arguments of ps; empty for {@code -ef}
     */
    public ProcessList processes(String arguments) throws InterruptedException {
        requireRunning();
        ProcessList list = ProcessTable.of(arguments, new HashSet<>(tasks.pids(id())));
        tell("top", Map.of());
        return list;
    }

    /**
     * Returns what the container uses now; one that does not run uses nothing.
     *
     * @param before the last sample, or null
     */
    public ContainerStats statistics(@Nullable ContainerStats before) {
        return ContainerStatistics.sample(record, before, parts.clock().instant());
    }

    // ---- further processes

    /** Refuses to make or start a further process in a container that cannot have one now. */
    void requireProcesses() {
        switch (status()) {
            case RUNNING -> {}
            case PAUSED ->
                throw EngineException.conflict("Container " + id() + " is paused, unpause the container before exec");
            case RESTARTING ->
                throw EngineException.conflict(
                        "Container " + id() + " is restarting, wait until the container is running");
            default -> throw notRunningFailure();
        }
    }

    /** Keeps what a probe found; it is written to the disk when it says something new. */
    void noteHealth(UnaryOperator<HealthRecord> change) {
        String now;
        lock.lock();
        try {
            HealthRecord before = record.getState().getHealth();
            HealthRecord after = change.apply(before);
            now = before.getStatus().equals(after.getStatus()) ? "" : after.getStatus();
            ContainerRecord changed = record.toBuilder()
                    .setState(record.getState().toBuilder().setHealth(after))
                    .build();
            if (now.isEmpty()) {
                record = changed;
            } else {
                save(changed);
            }
        } finally {
            lock.unlock();
        }
        if (!now.isEmpty()) {
            tell("health_status: " + now, Map.of());
        }
    }

    /** Returns what the runtime is told of a further process. */
    Any process(ExecConfig asked) {
        Config.Builder config = record.getConfig().toBuilder()
                .clearEntrypoint()
                .clearCmd()
                .addAllCmd(asked.getCmdList())
                .setTty(asked.getTty())
                .clearEnv()
                .addAllEnv(ContainerDefaults.environment(record.getConfig().getEnvList(), asked.getEnvList()));
        if (!asked.getWorkingDir().isEmpty()) {
            config.setWorkingDir(asked.getWorkingDir());
        }
        String user = asked.getUser().isEmpty() ? record.getConfig().getUser() : asked.getUser();
        Surroundings surroundings =
                surroundings(user, "", List.of(), parts.layers().mounts(id()));
        return OciSpecification.process(config.build(), record.getHostConfig(), surroundings, asked.getPrivileged());
    }

    // ---- after a restart of the engine

    /** Finds out what became of a container that was supposed to run, and goes on with it. */
    void recover() {
        lock.lock();
        try {
            if (status() == ContainerStatus.REMOVING) {
                change(state -> state.setStatus(ContainerStatus.DEAD));
                return;
            }
            if (!record.getState().getSupposedToRun()) {
                return;
            }
            boolean known = tasks.get(id(), "").isPresent();
            if (known) {
                takeOver();
                return;
            }
        } catch (IOException | RuntimeException e) {
            LOG.error("Container {} could not be taken over", record.getName(), e);
            return;
        } finally {
            lock.unlock();
        }
        lost();
    }

    private void takeOver() throws IOException {
        Config config = record.getConfig();
        Streams streams = Streams.of(pipeFolder(), config.getOpenStdin(), config.getTty());
        Run made = openRun(streams);
        log.begun();
        try {
            openInput(made, streams, Duration.ZERO);
        } catch (LinuxCalls.Errno e) {
            made.input.complete(null);
            LOG.debug("container {} reads no input any more", record.getName());
        }
        if (!isRunning()) {
            change(state -> state.setStatus(ContainerStatus.RUNNING));
        }
        run = made;
        parts.mounts().resume(record);
        awaitEnd(made);
        health = HealthMonitor.of(parts, this);
        if (health != null) {
            health.start();
        }
        Exec.adopt(parts, id());
    }

    /** The machine was off, or somebody ended the container behind the engine's back. */
    private void lost() {
        lock.lock();
        try {
            parts.mounts().deactivate(record);
            SharedMemory.deactivate(sharedMemory(), record);
            leaveNetworks();
            Instant now = parts.clock().instant();
            boolean again = mustRestart(255);
            change(state -> state.setStatus(again ? ContainerStatus.RESTARTING : ContainerStatus.EXITED)
                    .setSupposedToRun(again)
                    .setPid(0)
                    .setExitCode(255)
                    .setFinishedAt(Times.of(now)));
            if (again) {
                restart = parts.timer()
                        .schedule(() -> parts.executor().execute(this::restartNow), 0, TimeUnit.MILLISECONDS);
            }
        } finally {
            lock.unlock();
        }
    }

    // ---- networks

    /** Takes back the container's place in its networks; what it was asked for stays. */
    private void leaveNetworks() {
        parts.networking().detach(record);
        ContainerRecord.Builder left = record.toBuilder().clearPorts().clearSandboxKey();
        record.getEndpointsMap()
                .forEach((network, settings) -> left.putEndpoints(network, LocalNetworking.asked(settings)));
        record = left.build();
    }

    /** Puts the container in one more network, at once if it runs. */
    public void connect(String network, EndpointSettings asked) {
        lock.lock();
        try {
            refuseIfGoing();
            Map.Entry<String, EndpointSettings> place = parts.networking().connect(record, network, asked);
            save(record.toBuilder()
                    .putEndpoints(place.getKey(), place.getValue())
                    .clearPorts()
                    .putAllPorts(parts.networking().ports(id()))
                    .build());
        } finally {
            lock.unlock();
        }
    }

    /** Takes the container out of a network, at once if it runs. */
    public void disconnect(String network) {
        lock.lock();
        try {
            refuseIfGoing();
            String name = parts.networking().disconnect(record, network);
            save(record.toBuilder()
                    .removeEndpoints(name)
                    .clearPorts()
                    .putAllPorts(parts.networking().ports(id()))
                    .build());
        } finally {
            lock.unlock();
        }
    }

    private void refuseIfGoing() {
        if (status() == ContainerStatus.REMOVING || status() == ContainerStatus.DEAD) {
            throw EngineException.conflict("container " + id()
                    + " is marked for removal and cannot be connected or disconnected to the network");
        }
    }

    // ---- the record

    /** Changes the state, on disk first. Called under the lock. */
    private void change(UnaryOperator<ContainerState.Builder> change) {
        save(record.toBuilder()
                .setState(change.apply(record.getState().toBuilder()))
                .build());
    }

    private void save(ContainerRecord changed) {
        try {
            parts.folder().save(changed);
        } catch (IOException e) {
            // The state in memory stays true; should the engine die now, the next one asks containerd.
            LOG.error("The record of container {} cannot be written: {}", changed.getName(), e.getMessage());
        }
        record = changed;
    }

    /** Tells of something that happened to the container. */
    void tell(String action, Map<String, String> more) {
        Map<String, String> attributes = new HashMap<>(record.getConfig().getLabelsMap());
        attributes.put("image", record.getConfig().getImage());
        attributes.put("name", record.getName());
        attributes.putAll(more);
        parts.events()
                .accept(new EngineEvent(
                        "container", action, id(), attributes, parts.clock().instant()));
    }

    /** Returns the word that users know a status by. */
    public static String word(ContainerStatus status) {
        return switch (status) {
            case CREATED, UNRECOGNIZED -> "created";
            case RUNNING -> "running";
            case PAUSED -> "paused";
            case RESTARTING -> "restarting";
            case REMOVING -> "removing";
            case EXITED -> "exited";
            case DEAD -> "dead";
        };
    }
}
