package io.skep.engine;

import io.grpc.ClientInterceptor;
import io.skep.containerd.leases.CreateRequest;
import io.skep.containerd.types.Descriptor;
import io.skep.engine.ImageSource.Image;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.HostConfig;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * The parts of an engine around a real containerd, with one image made of busybox and without networks; it can be
 * started again on the same folders, as after a crash.
 */
final class TestEngine implements AutoCloseable {
    static final LogOptions ALL = new LogOptions(true, true, false, -1, null, null);
    static final LogOptions FOLLOW = new LogOptions(true, true, true, -1, null, null);

    final ContainerdFixture fixture = new ContainerdFixture();
    final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
    final EngineEvents listeners = new EngineEvents();
    private final Image image;
    private final Networkings networkings;
    Life life;

    /** An engine's life. */
    final class Life implements AutoCloseable {
        final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
        final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        final Pipes pipes = new Pipes(executor);
        final ContainerParts parts;
        final Containers containers;
        final Execs execs;
        final Networking networking;
        final Volumes volumes;

        Life() throws IOException {
            ContainerFolder folder = new ContainerFolder(fixture.folder.resolve("containers"));
            networking = networkings.make(folder, executor, events::add);
            volumes = new Volumes(fixture.folder.resolve("volumes"), InstantSource.system(), events::add);
            parts = new ContainerParts(
                    fixture.containerd,
                    new Layers(fixture.containerd, "overlayfs"),
                    pipes,
                    folder,
                    fixture.folder.resolve("pipes"),
                    networking,
                    new VolumeMounts(volumes, fixture.folder.resolve("mounts"), executor),
                    new Runtimes(Map.of("runc", "runc"), "runc"),
                    Host.probe(),
                    "/skep-test",
                    InstantSource.system(),
                    executor,
                    timer,
                    this::tell);
            containers = new Containers(parts, (reference, platform) -> image, new LogDrivers(folder));
            execs = new Execs(parts);
        }

        private void tell(EngineEvent event) {
            events.add(event);
            listeners.tell(event);
        }

        /** Goes away without a word, as a killed process does; threads end with their pipes. */
        @Override
        public void close() {
            pipes.close();
            timer.shutdownNow();
            executor.shutdownNow();
        }
    }

    private static final class NoNetworks implements Networking {
        @Override
        public void check(ContainerRecord container) {
            // Every container has a loopback.
        }

        @Override
        public Attached attach(ContainerRecord container) {
            return new Attached("", Map.of(), List.of());
        }

        @Override
        public void detach(ContainerRecord container) {
            // Nothing was made.
        }
    }

    /** Makes the networks of one life of an engine. */
    interface Networkings {
        Networking make(ContainerFolder folder, ExecutorService executor, Consumer<EngineEvent> events)
                throws IOException;
    }

    /** @param imageConfig what the image says of its containers */
    TestEngine(Config imageConfig) throws Exception {
        this(imageConfig, (folder, executor, events) -> new NoNetworks());
    }

    TestEngine(Config imageConfig, Networkings networkings) throws Exception {
        this.networkings = networkings;
        fixture.containerd
                .leases()
                .create(CreateRequest.newBuilder().setId("image").build());
        ClientInterceptor lease = Containerd.under("image");
        byte[] layer = layer();
        Descriptor descriptor = Descriptor.newBuilder()
                .setMediaType("application/vnd.oci.image.layer.v1.tar")
                .setDigest(Digests.of(layer))
                .setSize(layer.length)
                .build();
        new Contents(fixture.containerd)
                .write("l", descriptor.getDigest(), 0, layer.length, new ByteArrayInputStream(layer), Map.of(), lease);
        String chain = new Layers(fixture.containerd, "overlayfs")
                .unpack(List.of(descriptor), List.of(descriptor.getDigest()), lease);
        image = new Image("sha256:1", "sha256:2", imageConfig, chain, "linux/amd64");
        life = new Life();
    }

    TestEngine() throws Exception {
        this(Config.newBuilder().addCmd("sh").build());
    }

    private static byte[] layer() throws IOException {
        Tar tar = new Tar().directory("bin").executable("bin/busybox", Files.readAllBytes(Path.of("/bin/busybox")));
        for (String name : List.of(
                "sh", "cat", "sleep", "echo", "id", "kill", "head", "yes", "true", "ls", "stty", "mount", "grep",
                "touch", "test", "ps", "dd", "mkdir", "ln", "rm", "stat", "tr", "df", "unshare", "chmod", "nproc",
                "find")) {
            tar.link("bin/" + name, "busybox");
        }
        return tar.directory("etc")
                .directory("home")
                .directory("tmp")
                .directory("data")
                .file("data/seed", "from the image\n")
                .directory("data/deep")
                .file("data/deep/er", "deeper\n")
                .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nbee:x:1234:2345::/home:/bin/sh\n")
                .file("etc/group", "root:x:0:\nhive:x:2345:\nswarm:x:3456:root,bee\n")
                .bytes();
    }

    Containers containers() {
        return life.containers;
    }

    /** Kills the engine, so to speak. */
    void die() {
        life.close();
    }

    /** Starts the next engine on the same folders. */
    void rise() throws Exception {
        life = new Life();
        life.containers.recover();
    }

    /** Kills the engine and starts the next at once. */
    void startAgain() throws Exception {
        die();
        rise();
    }

    static CreateContainer asked(HostConfig host, Config config) {
        return CreateContainer.newBuilder()
                .setHostConfig(host)
                .setConfig(config.toBuilder().setImage("bb"))
                .build();
    }

    static CreateContainer asked(HostConfig host, String... command) {
        return asked(host, Config.newBuilder().addAllCmd(Arrays.asList(command)).build());
    }

    static CreateContainer asked(String... command) {
        return asked(HostConfig.getDefaultInstance(), command);
    }

    /** Runs a container to its end and returns the lines it wrote. */
    List<String> run(CreateContainer asked) throws Exception {
        Container container = life.containers.create("", asked, "");
        try {
            CompletableFuture<Integer> exit = container.when("next-exit");
            container.start();
            exit.get(60, TimeUnit.SECONDS);
            return log(container);
        } finally {
            life.containers.remove(container, true, true);
        }
    }

    /** Makes and starts a container that runs for ever. */
    Container sleeper(HostConfig host) {
        Container container = life.containers.create("", asked(host, "sleep", "100000"), "");
        container.start();
        return container;
    }

    static List<String> log(Container container) throws Exception {
        return log(container, ALL);
    }

    static List<String> log(Container container, LogOptions options) throws Exception {
        List<String> lines = new ArrayList<>();
        container
                .log()
                .read(options, line -> lines.add(line.text().toStringUtf8().strip()));
        return lines;
    }

    static void awaitLine(Container container, String wanted) throws Exception {
        container.log().read(FOLLOW, line -> !line.text().toStringUtf8().strip().equals(wanted));
    }

    /** Takes events until one is as wanted. */
    EngineEvent awaitEvent(Predicate<EngineEvent> wanted) throws InterruptedException {
        while (true) {
            EngineEvent event = events.poll(60, TimeUnit.SECONDS);
            if (event == null) {
                throw new AssertionError("no such event came");
            }
            if (wanted.test(event)) {
                return event;
            }
        }
    }

    /** Removes all containers. */
    void clear() throws InterruptedException {
        for (Container container : life.containers.all()) {
            life.containers.remove(container, true, true);
        }
        events.clear();
    }

    @Override
    public void close() throws IOException {
        life.close();
        fixture.close();
    }
}
