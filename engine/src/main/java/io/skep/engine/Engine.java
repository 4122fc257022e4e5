package io.skep.engine;

import com.google.protobuf.Empty;
import io.grpc.StatusRuntimeException;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.skep.containerd.version.VersionResponse;
import io.skep.engine.image.Registries;
import io.skep.network.NetworkNamespace;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine of this node: containers on containerd, and all they need.
 *
 * <p>It starts in the background, so that the daemon serves its API at once: containerd is started or waited for, the
 * records are read, and the containers that run are taken over. Whoever asks for a part meanwhile waits for up to
 * {@link #START_PATIENCE}. A containerd that goes away later is no end: the connection is made again by itself, and
 * calls fail until it is there.
 *
 * <p>Closing leaves containers running, as their shims need no engine; the next engine on the same folders takes them
 * over.
 *
 * <p>Threads: any. Work that may block is done on virtual threads of {@link #executor}; {@code engine-timer} only says
 * when something is due, {@code engine-io} moves the bytes of the connection to containerd.
 */
public final class Engine implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Engine.class);
    private static final String NAMESPACE = "skep";
    private static final String CGROUP_PARENT = "/skep";
    private static final Duration START_PATIENCE = Duration.ofSeconds(60);
    private static final Duration CONTAINERD_PATIENCE = Duration.ofSeconds(10);

    /** What there is once the engine has started. */
    private record Started(
            ContainerParts parts,
            Containers containers,
            Images images,
            Execs execs,
            Volumes volumes,
            Networks networks,
            LocalNetworking networking) {}

    private final EngineSettings settings;
    private final EngineEvents events = new EngineEvents();
    private final @Nullable ContainerdProcess process;
    private final String socket;
    private final EventLoopGroup loops = new MultiThreadIoEventLoopGroup(
            1, new DefaultThreadFactory("engine-io", true), EpollIoHandler.newFactory());
    private final Containerd containerd;
    private final ExecutorService executor = Executors.newThreadPerTaskExecutor(
            Thread.ofVirtual().name("engine-", 0).factory());
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("engine-timer").factory());
    private final Pipes pipes;
    private final Runtimes runtimes;
    private final Host host = Host.probe();
    private volatile VersionResponse version = VersionResponse.getDefaultInstance();
    private volatile RuntimeVersion runtimeVersion = new RuntimeVersion("", "");
    private final CompletableFuture<Started> started = new CompletableFuture<>();

    /**
     * Begins to start an engine.
     *
     * @throws EngineException UNAVAILABLE when this machine has not what an engine needs, with the way out
     */
    public Engine(EngineSettings settings) throws IOException {
        this.settings = settings;
        requireLinux();
        runtimes = new Runtimes(settings.runtimes(), settings.defaultRuntime());
        for (String program : settings.runtimes().values()) {
            if (program(program).isEmpty()) {
                LOG.warn("the runtime {} is not there: containers that need it cannot be started", program);
            }
        }
        if (settings.containerd().isEmpty()) {
            String command = program("containerd")
                    .orElseThrow(() -> new EngineException(
                            EngineException.Kind.UNAVAILABLE,
                            "there is no containerd on this machine: install it, or name the socket of one with the key"
                                    + " containerd"));
            process = new ContainerdProcess(command, settings.dataRoot(), settings.execRoot());
            socket = process.socket().toString();
        } else {
            process = null;
            socket = settings.containerd().startsWith("unix://")
                    ? settings.containerd().substring("unix://".length())
                    : settings.containerd();
            if (!Files.exists(Path.of(socket))) {
                throw new EngineException(
                        EngineException.Kind.UNAVAILABLE,
                        "there is no containerd at " + socket + ": start it, or take the key containerd out so that"
                                + " skepd starts one of its own");
            }
        }
        containerd = new Containerd(Path.of(socket), NAMESPACE, loops);
        pipes = new Pipes(executor);
        executor.execute(this::start);
    }

    private static void requireLinux() {
        if (!Epoll.isAvailable()) {
            throw new EngineException(
                    EngineException.Kind.UNAVAILABLE, "an engine needs Linux: " + Epoll.unavailabilityCause());
        }
    }

    /** Returns where a program is: a path is taken as it is, a name is looked for. */
    static Optional<String> program(String name) {
        if (name.indexOf('/') >= 0) {
            return Files.isExecutable(Path.of(name)) ? Optional.of(name) : Optional.empty();
        }
        String path = System.getenv().getOrDefault("PATH", "") + File.pathSeparator + "/usr/sbin:/usr/local/sbin:/sbin";
        for (String folder : path.split(File.pathSeparator, -1)) {
            Path file = Path.of(folder, name);
            if (!folder.isEmpty() && Files.isExecutable(file) && !Files.isDirectory(file)) {
                return Optional.of(file.toString());
            }
        }
        return Optional.empty();
    }

    private void start() {
        try {
            awaitContainerd();
            runtimeVersion = RuntimeVersion.of(settings.runtimes().getOrDefault(settings.defaultRuntime(), "runc"));
            Started made = make();
            made.containers().recover();
            started.complete(made);
            LOG.info(
                    "the engine is ready: {} containers",
                    made.containers().all().size());
        } catch (InterruptedException e) {
            started.completeExceptionally(
                    new EngineException(EngineException.Kind.UNAVAILABLE, "the engine is stopping", e));
        } catch (IOException | RuntimeException e) {
            LOG.error("the engine cannot be started", e);
            started.completeExceptionally(new EngineException(
                    EngineException.Kind.UNAVAILABLE, "the engine could not be started: " + e.getMessage(), e));
        }
    }

    private void awaitContainerd() throws InterruptedException {
        while (true) {
            try {
                version = containerd
                        .version()
                        .withWaitForReady()
                        .withDeadlineAfter(CONTAINERD_PATIENCE)
                        .version(Empty.getDefaultInstance());
                LOG.info("containerd {} at {}", version.getVersion(), socket);
                return;
            } catch (StatusRuntimeException e) {
                if (Thread.interrupted() || executor.isShutdown()) {
                    throw new InterruptedException();
                }
                LOG.warn(
                        "containerd at {} does not answer, still waiting: {}",
                        socket,
                        e.getStatus().getDescription());
            }
        }
    }

    /** Puts the parts together. */
    private Started make() throws IOException {
        Path root = settings.dataRoot().resolve("engine");
        Layers layers = new Layers(containerd, Layers.usableSnapshotter(containerd));
        ContainerFolder folder = new ContainerFolder(root.resolve("containers"));
        ImageStore store = new ImageStore(containerd, layers, InstantSource.system());
        Volumes volumes = new Volumes(root.resolve("volumes"), InstantSource.system(), events::tell);
        Networks networks = new Networks(
                root.resolve("networks"),
                settings.execRoot(),
                NetworkNamespace.ofProcess(),
                settings.networks(),
                InstantSource.system(),
                events::tell);
        LocalNetworking networking = new LocalNetworking(
                networks,
                settings.execRoot().resolve("netns"),
                new NetworkFiles(folder, settings.networks()),
                executor);
        ContainerParts parts = new ContainerParts(
                containerd,
                layers,
                pipes,
                folder,
                settings.execRoot().resolve("pipes"),
                networking,
                new VolumeMounts(volumes, settings.execRoot().resolve("mounts"), executor),
                runtimes,
                host,
                settings.cgroupParent().isEmpty() ? CGROUP_PARENT : settings.cgroupParent(),
                InstantSource.system(),
                executor,
                timer,
                events::tell);
        Containers containers = new Containers(parts, store, new LogDrivers(folder));
        Images images = new Images(
                store,
                containers::imageUsers,
                new Registries(settings.registries(), System.getenv()),
                InstantSource.system(),
                events::tell);
        return new Started(parts, containers, images, new Execs(parts), volumes, networks, networking);
    }

    private Started started() {
        try {
            return started.get(START_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof EngineException failure
                    ? new EngineException(failure.kind(), failure.text(), failure)
                    : new EngineException(EngineException.Kind.INTERNAL, String.valueOf(e.getMessage()), e);
        } catch (TimeoutException e) {
            throw new EngineException(
                    EngineException.Kind.UNAVAILABLE,
                    "the engine is being started: containerd at " + socket + " does not answer yet",
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new EngineException(EngineException.Kind.UNAVAILABLE, "the engine is stopping", e);
        }
    }

    /** Returns what happens to the parts of the engine. */
    public EngineEvents events() {
        return events;
    }

    /** Returns the containers; waits for the engine to start. */
    public Containers containers() {
        return started().containers();
    }

    /** Returns the images; waits for the engine to start. */
    public Images images() {
        return started().images();
    }

    /** Returns the further processes in containers; waits for the engine to start. */
    public Execs execs() {
        return started().execs();
    }

    /** Returns the volumes; waits for the engine to start. */
    public Volumes volumes() {
        return started().volumes();
    }

    /** Returns the networks of this host; waits for the engine to start. */
    public Networks networks() {
        return started().networks();
    }

    /** Returns what the engine is made of, as far as it is known by now. */
    public EngineDescription description() {
        Started now = started.isDone() && !started.isCompletedExceptionally() ? started.join() : null;
        return new EngineDescription(
                now != null,
                socket,
                version.getVersion(),
                version.getRevision(),
                NAMESPACE,
                now == null ? "" : now.parts().layers().snapshotter(),
                host.unifiedCgroups(),
                LogDrivers.NAMES,
                settings.runtimes(),
                settings.defaultRuntime(),
                runtimeVersion.version(),
                runtimeVersion.commit());
    }

    /** Lets go of everything; containers run on. */
    @Override
    public void close() {
        closeNetworks();
        executor.shutdownNow();
        timer.shutdownNow();
        containerd.close();
        pipes.close();
        if (process != null) {
            process.close();
        }
        loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
    }

    private void closeNetworks() {
        if (!started.isDone() || started.isCompletedExceptionally()) {
            return;
        }
        try {
            started.join().networking().close();
        } catch (IOException e) {
            LOG.warn("The networks cannot be taken back as a whole: {}", e.getMessage());
        }
    }
}
