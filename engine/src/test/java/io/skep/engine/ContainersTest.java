package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.grpc.ClientInterceptor;
import io.skep.containerd.leases.CreateRequest;
import io.skep.containerd.types.Descriptor;
import io.skep.engine.ImageSource.Image;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.LogConfig;
import io.skep.engine.record.RestartPolicy;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
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
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Containers against a real containerd; networks and volumes have tests of their own. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ContainersTest {
    private static final LogOptions ALL = new LogOptions(true, true, false, -1, null, null);
    private static final LogOptions FOLLOW = new LogOptions(true, true, true, -1, null, null);

    private ContainerdFixture fixture;
    private Image image;
    private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();

    /** An engine's life: a second one on the same folders is an engine that was started again. */
    private final class Life implements AutoCloseable {
        final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
        final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        final Pipes pipes;
        final Containers containers;

        Life() throws IOException {
            pipes = new Pipes(executor);
            ContainerFolder folder = new ContainerFolder(fixture.folder.resolve("containers"));
            ContainerParts parts = new ContainerParts(
                    fixture.containerd,
                    new Layers(fixture.containerd, "overlayfs"),
                    pipes,
                    folder,
                    fixture.folder.resolve("pipes"),
                    new NoNetworks(),
                    new VolumeMounts(
                            new Volumes(fixture.folder.resolve("volumes"), InstantSource.system(), events::add),
                            fixture.folder.resolve("mounts"),
                            executor),
                    new Runtimes(Map.of("runc", "runc"), "runc"),
                    Host.probe(),
                    "/skep-test",
                    InstantSource.system(),
                    executor,
                    timer,
                    events::add);
            containers = new Containers(parts, (reference, platform) -> image, new LogDrivers(folder));
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

    private Life life;

    @BeforeAll
    void startContainerd() throws Exception {
        fixture = new ContainerdFixture();
        fixture.containerd
                .leases()
                .create(CreateRequest.newBuilder().setId("image").build());
        ClientInterceptor lease = Containerd.under("image");
        Tar tar = new Tar().directory("bin").executable("bin/busybox", Files.readAllBytes(Path.of("/bin/busybox")));
        for (String name : List.of("sh", "cat", "sleep", "echo", "id", "kill", "head", "yes", "true")) {
            tar.link("bin/" + name, "busybox");
        }
        tar.directory("etc")
                .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nbee:x:1234:2345::/home:/bin/sh\n")
                .file("etc/group", "root:x:0:\nhive:x:2345:\nswarm:x:3456:root,bee\n");
        byte[] layer = tar.bytes();
        Descriptor descriptor = Descriptor.newBuilder()
                .setMediaType("application/vnd.oci.image.layer.v1.tar")
                .setDigest(Digests.of(layer))
                .setSize(layer.length)
                .build();
        new Contents(fixture.containerd)
                .write("l", descriptor.getDigest(), 0, layer.length, new ByteArrayInputStream(layer), Map.of(), lease);
        String chain = new Layers(fixture.containerd, "overlayfs")
                .unpack(List.of(descriptor), List.of(descriptor.getDigest()), lease);
        image = new Image(
                "sha256:1",
                "sha256:2",
                Config.newBuilder()
                        .addCmd("sh")
                        .addEnv("A=image")
                        .addEnv("B=image")
                        .build(),
                chain,
                "linux/amd64");
    }

    @AfterAll
    void stopContainerd() throws IOException {
        fixture.close();
    }

    @BeforeEach
    void begin() throws IOException {
        life = new Life();
    }

    @AfterEach
    void end() throws InterruptedException {
        for (Container container : life.containers.all()) {
            life.containers.remove(container, true, true);
        }
        life.close();
    }

    private static CreateContainer command(String... command) {
        return CreateContainer.newBuilder()
                .setConfig(Config.newBuilder().setImage("bb").addAllCmd(Arrays.asList(command)))
                .build();
    }

    private static CreateContainer restarting(String policy, int times, String... command) {
        return command(command).toBuilder()
                .setHostConfig(HostConfig.newBuilder()
                        .setRestartPolicy(
                                RestartPolicy.newBuilder().setName(policy).setMaximumRetryCount(times)))
                .build();
    }

    private static List<String> log(Container container, LogOptions options) throws Exception {
        List<String> lines = new ArrayList<>();
        container
                .log()
                .read(options, line -> lines.add(line.text().toStringUtf8().strip()));
        return lines;
    }

    private static int await(CompletableFuture<Integer> exit) throws Exception {
        return exit.get(60, TimeUnit.SECONDS);
    }

    private static ContainerStatus status(Container container) {
        return container.record().getState().getStatus();
    }

    @Test
    void aContainerRunsEndsAndRunsAgainOnTheSameFiles() throws Exception {
        Container container = life.containers.create(
                "twice", command("sh", "-c", "echo run >> /runs; cat /runs; echo $A $B; exit 3"), "");
        assertThat(life.containers.require("/twice")).isSameAs(container);
        assertThat(life.containers.require(container.id().substring(0, 5))).isSameAs(container);
        CompletableFuture<Integer> exit = container.when("next-exit");
        container.start();
        assertThat(await(exit)).isEqualTo(3);
        assertThat(log(container, ALL)).containsExactly("run", "image image");
        assertThat(container.record().getState().getExitCode()).isEqualTo(3);
        exit = container.when("next-exit");
        container.start();
        await(exit);
        assertThat(log(container, ALL)).containsExactly("run", "image image", "run", "run", "image image");
        assertThat(status(container)).isEqualTo(ContainerStatus.EXITED);
        life.containers.remove(container, false, false);
        assertThatThrownBy(() -> life.containers.require("twice")).hasMessage("No such container: twice");
        assertThat(fixture.folder.resolve("containers").resolve(container.id())).doesNotExist();
        assertThat(fixture.folder.resolve("pipes").resolve(container.id())).doesNotExist();
    }

    @Test
    void aProgramThatIsNotThereTellsAsAShellDoes() {
        Container missing = life.containers.create("missing", command("/no/such"), "");
        assertThatThrownBy(missing::start)
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.INVALID))
                .hasMessageContaining("/no/such");
        assertThat(missing.record().getState().getExitCode()).isEqualTo(127);
        assertThat(status(missing)).isEqualTo(ContainerStatus.CREATED);
        Container folder = life.containers.create("folder", command("/etc"), "");
        assertThatThrownBy(folder::start).isInstanceOf(EngineException.class);
        assertThat(folder.record().getState().getExitCode()).isEqualTo(126);
    }

    @Test
    void stopAsksBeforeItKills() throws Exception {
        Container polite = life.containers.create(
                "polite", command("sh", "-c", "trap 'exit 5' TERM; echo up; while true; do sleep 0.05; done"), "");
        polite.start();
        awaitLine(polite, "up");
        polite.stop("", null);
        assertThat(polite.record().getState().getExitCode()).isEqualTo(5);

        Container deaf = life.containers.create(
                "deaf", command("sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.05; done"), "");
        deaf.start();
        awaitLine(deaf, "up");
        deaf.stop("", Duration.ofMillis(200));
        assertThat(deaf.record().getState().getExitCode()).isEqualTo(137);
        assertThatThrownBy(() -> deaf.stop("", null))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.NOT_MODIFIED));
        assertThatThrownBy(() -> deaf.kill("TERM")).hasMessage("container " + deaf.id() + " is not running");
    }

    private static void awaitLine(Container container, String wanted) throws Exception {
        container.log().read(FOLLOW, line -> !line.text().toStringUtf8().strip().equals(wanted));
    }

    @Test
    void theRestartPolicyDecidesWhetherItRunsAgain() throws Exception {
        Container failing = life.containers.create("failing", restarting("on-failure", 2, "sh", "-c", "exit 4"), "");
        CompletableFuture<Integer> over = failing.when("removed");
        failing.start();
        assertThat(await(failing.when("not-running"))).isEqualTo(4);
        assertThat(failing.record().getState().getRestartCount()).isEqualTo(2);
        assertThat(over).isNotDone();

        Container fine = life.containers.create("fine", restarting("on-failure", 2, "true"), "");
        fine.start();
        assertThat(await(fine.when("not-running"))).isZero();
        assertThat(fine.record().getState().getRestartCount()).isZero();

        Container always = life.containers.create("always", restarting("always", 0, "sh", "-c", "echo on"), "");
        always.start();
        int[] seen = {0};
        while (seen[0] < 2) {
            always.log().read(FOLLOW, line -> ++seen[0] < 2);
        }
        always.stop("", Duration.ZERO);
        assertThat(status(always)).isEqualTo(ContainerStatus.EXITED);
    }

    @Test
    void aClientFeedsAndHearsAContainer() throws Exception {
        CreateContainer asked = CreateContainer.newBuilder()
                .setConfig(Config.newBuilder()
                        .setImage("bb")
                        .addCmd("cat")
                        .setOpenStdin(true)
                        .setStdinOnce(true))
                .build();
        Container container = life.containers.create("fed", asked, "");
        CompletableFuture<Integer> exit = container.when("next-exit");
        ByteArrayOutputStream heard = new ByteArrayOutputStream();
        CompletableFuture<Void> ended = new CompletableFuture<>();
        // Clients attach before they start a container, so that they miss nothing.
        Container.Attachment attachment = container.attach(new Output.Listener() {
            @Override
            public void bytes(OutputStreamKind stream, byte[] bytes, int length) {
                heard.write(bytes, 0, length);
            }

            @Override
            public void end() {
                ended.complete(null);
            }
        });
        container.start();
        byte[] sent = "x".repeat(300_000).getBytes(StandardCharsets.UTF_8);
        assertThat(attachment.feed(sent, 0, sent.length)).isTrue();
        attachment.endOfInput();
        assertThat(await(exit)).isZero();
        ended.get(60, TimeUnit.SECONDS);
        assertThat(heard.toByteArray()).isEqualTo(sent);
    }

    @Test
    void aClientOfAContainerThatNeverRunsIsLetGo() throws Exception {
        CreateContainer asked = command("/no/such").toBuilder()
                .setHostConfig(HostConfig.newBuilder().setAutoRemove(true))
                .build();
        Container container = life.containers.create("never", asked, "");
        CompletableFuture<Void> ended = new CompletableFuture<>();
        Container.Attachment attachment = container.attach(new Output.Listener() {
            @Override
            public void bytes(OutputStreamKind stream, byte[] bytes, int length) {
                ended.completeExceptionally(new AssertionError("nothing runs"));
            }

            @Override
            public void end() {
                ended.complete(null);
            }
        });
        CompletableFuture<Integer> removed = container.when("removed");
        assertThatThrownBy(container::start).hasMessageContaining("/no/such");
        assertThat(await(removed)).isEqualTo(127);
        ended.get(60, TimeUnit.SECONDS);
        assertThat(attachment.feed(new byte[1], 0, 1)).isFalse();
        assertThatThrownBy(() -> life.containers.require("never")).hasMessage("No such container: never");
    }

    @Test
    void aTerminalIsOneStreamAndKnowsItsSize() throws Exception {
        CreateContainer asked = CreateContainer.newBuilder()
                .setConfig(Config.newBuilder()
                        .setImage("bb")
                        .setTty(true)
                        .addAllCmd(List.of("sh", "-c", "echo out; echo err >&2; echo $TERM")))
                .build();
        Container container = life.containers.create("terminal", asked, "");
        CompletableFuture<Integer> exit = container.when("next-exit");
        container.start();
        await(exit);
        assertThat(log(container, ALL)).containsExactly("out", "err", "xterm");
        assertThat(log(container, new LogOptions(false, true, false, -1, null, null)))
                .isEmpty();
    }

    @Test
    void usersAndGroupsAreThoseOfTheImage() throws Exception {
        for (Map.Entry<String, String> each : Map.of(
                        "bee", "uid=1234(bee) gid=2345(hive) groups=3456(swarm)",
                        "7:8", "uid=7 gid=8",
                        "root:swarm", "uid=0(root) gid=3456(swarm)")
                .entrySet()) {
            CreateContainer asked = CreateContainer.newBuilder()
                    .setConfig(Config.newBuilder()
                            .setImage("bb")
                            .setUser(each.getKey())
                            .addCmd("id"))
                    .build();
            Container container = life.containers.create("", asked, "");
            CompletableFuture<Integer> exit = container.when("next-exit");
            container.start();
            await(exit);
            assertThat(log(container, ALL)).first().asString().startsWith(each.getValue());
        }
        Container nobody = life.containers.create(
                "",
                CreateContainer.newBuilder()
                        .setConfig(Config.newBuilder()
                                .setImage("bb")
                                .setUser("wasp")
                                .addCmd("id"))
                        .build(),
                "");
        assertThatThrownBy(nobody::start).hasMessage("unable to find user wasp: no matching entries in passwd file");
    }

    @Test
    void aContainerCanBeRemovedByForceAtAnyMoment() throws Exception {
        for (int i = 0; i < 30; i++) {
            Container container = life.containers.create("", command("sleep", i % 2 == 0 ? "60" : "0"), "");
            container.start();
            life.containers.remove(container, true, true);
        }
        assertThat(life.containers.all()).isEmpty();
    }

    @Test
    void pauseHoldsAndKillEnds() throws Exception {
        Container container = life.containers.create("held", command("sleep", "1000"), "");
        container.start();
        container.pause();
        assertThat(status(container)).isEqualTo(ContainerStatus.PAUSED);
        assertThatThrownBy(container::pause).hasMessage("Container " + container.id() + " is already paused");
        container.unpause();
        assertThat(status(container)).isEqualTo(ContainerStatus.RUNNING);
        container.pause();
        CompletableFuture<Integer> exit = container.when("not-running");
        container.kill("KILL");
        assertThat(await(exit)).isEqualTo(137);
    }

    @Test
    void aNewEngineTakesOverWhatTheOldOneLeftRunning() throws Exception {
        Container speaks = life.containers.create(
                "speaks",
                command(
                        "sh",
                        "-c",
                        "trap 'echo bye; exit 6' TERM; i=0; while true; do i=$((i+1));" + " echo $i; sleep 0.02; done"),
                "");
        Container ends = life.containers.create("ends", command("sh", "-c", "sleep 0.5; echo last; exit 9"), "");
        Container again = life.containers.create("again", restarting("always", 0, "sleep", "0.5"), "");
        speaks.start();
        ends.start();
        again.start();
        int pid = speaks.record().getState().getPid();
        awaitLine(speaks, "3");
        life.close();
        // No engine is there when this one ends; its shim keeps how.
        Path process =
                Path.of("/proc", Integer.toString(ends.record().getState().getPid()));
        while (Files.exists(process)) {
            Thread.onSpinWait();
        }

        life = new Life();
        life.containers.recover();
        Container taken = life.containers.require("speaks");
        assertThat(taken.record().getState().getPid()).isEqualTo(pid);
        assertThat(status(taken)).isEqualTo(ContainerStatus.RUNNING);
        assertThat(await(life.containers.require("ends").when("not-running"))).isEqualTo(9);
        taken.stop("", null);
        assertThat(taken.record().getState().getExitCode()).isEqualTo(6);
        List<String> lines = log(taken, ALL);
        assertThat(lines.getLast()).isEqualTo("bye");
        for (int i = 0; i < lines.size() - 1; i++) {
            assertThat(lines.get(i)).isEqualTo(Integer.toString(i + 1));
        }
        Container restarted = life.containers.require("again");
        assertThat(status(restarted)).isIn(ContainerStatus.RUNNING, ContainerStatus.RESTARTING);
    }

    @Test
    void containersThatWereLostWithTheMachineStartAgainIfTheyShould() throws Exception {
        Container once = life.containers.create("once", command("sleep", "1000"), "");
        Container always = life.containers.create("always", restarting("always", 0, "sleep", "1000"), "");
        once.start();
        always.start();
        life.close();
        ContainerdTasks tasks = new ContainerdTasks(fixture.containerd);
        for (Container each : List.of(once, always)) {
            tasks.kill(each.id(), "", Signals.KILL, true);
            tasks.await(each.id(), "");
            tasks.delete(each.id());
        }

        life = new Life();
        events.clear();
        CompletableFuture<Void> started = CompletableFuture.runAsync(() -> {
            try {
                while (!events.take().action().equals("start")) {
                    // What came before.
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        life.containers.recover();
        started.get(60, TimeUnit.SECONDS);
        assertThat(status(life.containers.require("once"))).isEqualTo(ContainerStatus.EXITED);
        assertThat(life.containers.require("once").record().getState().getExitCode())
                .isEqualTo(255);
        assertThat(status(life.containers.require("always"))).isEqualTo(ContainerStatus.RUNNING);
    }

    @Test
    void namesBelongToOneContainer() throws Exception {
        Container first = life.containers.create("name", command("true"), "");
        assertThatThrownBy(() -> life.containers.create("name", command("true"), ""))
                .hasMessage("Conflict. The container name \"/name\" is already in use by container \"" + first.id()
                        + "\". You have to remove (or rename) that container to be able to reuse that name.");
        life.containers.rename(first, "other");
        Container second = life.containers.create("name", command("true"), "");
        assertThat(life.containers.require("other")).isSameAs(first);
        assertThat(life.containers.require("name")).isSameAs(second);
        assertThatThrownBy(() -> life.containers.create("a/b", command("true"), ""))
                .hasMessageStartingWith("Invalid container name (a/b)");
    }

    @Test
    void aContainerThatRemovesItselfIsGoneAtItsEnd() throws Exception {
        Container container = life.containers.create(
                "gone",
                command("true").toBuilder()
                        .setHostConfig(HostConfig.newBuilder().setAutoRemove(true))
                        .build(),
                "");
        CompletableFuture<Integer> removed = container.when("removed");
        container.start();
        assertThat(await(removed)).isZero();
        assertThatThrownBy(() -> life.containers.require("gone")).isInstanceOf(EngineException.class);
    }

    @Test
    void whatCannotBeDoneIsRefusedByName() {
        assertThatThrownBy(() -> life.containers.create(
                        "",
                        command("true").toBuilder()
                                .setHostConfig(HostConfig.newBuilder()
                                        .setLogConfig(LogConfig.newBuilder().setType("fluentd")))
                                .build(),
                        ""))
                .hasMessageContaining("no log driver named 'fluentd'");
        assertThatThrownBy(() -> life.containers.create(
                        "",
                        command("true").toBuilder()
                                .setHostConfig(HostConfig.newBuilder().setRuntime("kata"))
                                .build(),
                        ""))
                .hasMessage("unknown or invalid runtime name: kata");
        assertThatThrownBy(() -> life.containers.create("", restarting("sometimes", 0, "true"), ""))
                .hasMessageContaining("unknown policy 'sometimes'");
        assertThat(life.containers.all()).isEmpty();
    }
}
