package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.LogConfig;
import io.skep.engine.record.RestartPolicy;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Containers against a real containerd; networks and volumes have tests of their own. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ContainersTest {
    private TestEngine engine;

    @BeforeAll
    void start() throws Exception {
        engine = new TestEngine(Config.newBuilder()
                .addCmd("sh")
                .addEnv("A=image")
                .addEnv("B=image")
                .build());
    }

    @AfterAll
    void stop() throws IOException {
        engine.close();
    }

    @AfterEach
    void removeAll() throws InterruptedException {
        engine.clear();
    }

    private static CreateContainer restarting(String policy, int times, String... command) {
        return TestEngine.asked(command).toBuilder()
                .setHostConfig(HostConfig.newBuilder()
                        .setRestartPolicy(
                                RestartPolicy.newBuilder().setName(policy).setMaximumRetryCount(times)))
                .build();
    }

    private static int await(CompletableFuture<Integer> exit) throws Exception {
        return exit.get(60, TimeUnit.SECONDS);
    }

    private static ContainerStatus status(Container container) {
        return container.record().getState().getStatus();
    }

    @Test
    void aContainerRunsEndsAndRunsAgainOnTheSameFiles() throws Exception {
        Container container = engine.containers()
                .create("twice", TestEngine.asked("sh", "-c", "echo run >> /runs; cat /runs; echo $A $B; exit 3"), "");
        assertThat(engine.containers().require("/twice")).isSameAs(container);
        assertThat(engine.containers().require(container.id().substring(0, 5))).isSameAs(container);
        CompletableFuture<Integer> exit = container.when("next-exit");
        container.start();
        assertThat(await(exit)).isEqualTo(3);
        assertThat(TestEngine.log(container)).containsExactly("run", "image image");
        assertThat(container.record().getState().getExitCode()).isEqualTo(3);
        exit = container.when("next-exit");
        container.start();
        await(exit);
        assertThat(TestEngine.log(container)).containsExactly("run", "image image", "run", "run", "image image");
        assertThat(status(container)).isEqualTo(ContainerStatus.EXITED);
        engine.containers().remove(container, false, false);
        assertThatThrownBy(() -> engine.containers().require("twice")).hasMessage("No such container: twice");
        assertThat(engine.fixture.folder.resolve("containers").resolve(container.id()))
                .doesNotExist();
        assertThat(engine.fixture.folder.resolve("pipes").resolve(container.id()))
                .doesNotExist();
    }

    @Test
    void aProgramThatIsNotThereTellsAsAShellDoes() {
        Container missing = engine.containers().create("missing", TestEngine.asked("/no/such"), "");
        assertThatThrownBy(missing::start)
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.INVALID))
                .hasMessageContaining("/no/such");
        assertThat(missing.record().getState().getExitCode()).isEqualTo(127);
        assertThat(status(missing)).isEqualTo(ContainerStatus.CREATED);
        Container folder = engine.containers().create("folder", TestEngine.asked("/etc"), "");
        assertThatThrownBy(folder::start).isInstanceOf(EngineException.class);
        assertThat(folder.record().getState().getExitCode()).isEqualTo(126);
    }

    @Test
    void stopAsksBeforeItKills() throws Exception {
        Container polite = engine.containers()
                .create(
                        "polite",
                        TestEngine.asked("sh", "-c", "trap 'exit 5' TERM; echo up; while true; do sleep 0.05; done"),
                        "");
        polite.start();
        TestEngine.awaitLine(polite, "up");
        polite.stop("", null);
        assertThat(polite.record().getState().getExitCode()).isEqualTo(5);

        Container deaf = engine.containers()
                .create(
                        "deaf",
                        TestEngine.asked("sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.05; done"),
                        "");
        deaf.start();
        TestEngine.awaitLine(deaf, "up");
        deaf.stop("", Duration.ofMillis(200));
        assertThat(deaf.record().getState().getExitCode()).isEqualTo(137);
        assertThatThrownBy(() -> deaf.stop("", null))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.NOT_MODIFIED));
        assertThatThrownBy(() -> deaf.kill("TERM")).hasMessage("container " + deaf.id() + " is not running");
    }

    @Test
    void theRestartPolicyDecidesWhetherItRunsAgain() throws Exception {
        Container failing =
                engine.containers().create("failing", restarting("on-failure", 2, "sh", "-c", "exit 4"), "");
        CompletableFuture<Integer> over = failing.when("removed");
        failing.start();
        assertThat(await(failing.when("not-running"))).isEqualTo(4);
        assertThat(failing.record().getState().getRestartCount()).isEqualTo(2);
        assertThat(over).isNotDone();

        Container fine = engine.containers().create("fine", restarting("on-failure", 2, "true"), "");
        fine.start();
        assertThat(await(fine.when("not-running"))).isZero();
        assertThat(fine.record().getState().getRestartCount()).isZero();

        Container always = engine.containers().create("always", restarting("always", 0, "sh", "-c", "echo on"), "");
        always.start();
        int[] seen = {0};
        while (seen[0] < 2) {
            always.log().read(TestEngine.FOLLOW, line -> ++seen[0] < 2);
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
        Container container = engine.containers().create("fed", asked, "");
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
        CreateContainer asked = TestEngine.asked("/no/such").toBuilder()
                .setHostConfig(HostConfig.newBuilder().setAutoRemove(true))
                .build();
        Container container = engine.containers().create("never", asked, "");
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
        assertThatThrownBy(() -> engine.containers().require("never")).hasMessage("No such container: never");
    }

    @Test
    void aTerminalIsOneStreamAndKnowsItsSize() throws Exception {
        CreateContainer asked = CreateContainer.newBuilder()
                .setConfig(Config.newBuilder()
                        .setImage("bb")
                        .setTty(true)
                        .addAllCmd(List.of("sh", "-c", "echo out; echo err >&2; echo $TERM")))
                .build();
        Container container = engine.containers().create("terminal", asked, "");
        CompletableFuture<Integer> exit = container.when("next-exit");
        container.start();
        await(exit);
        assertThat(TestEngine.log(container)).containsExactly("out", "err", "xterm");
        assertThat(TestEngine.log(container, new LogOptions(false, true, false, -1, null, null)))
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
            Container container = engine.containers().create("", asked, "");
            CompletableFuture<Integer> exit = container.when("next-exit");
            container.start();
            await(exit);
            assertThat(TestEngine.log(container)).first().asString().startsWith(each.getValue());
        }
        Container nobody = engine.containers()
                .create(
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
            Container container =
                    engine.containers().create("", TestEngine.asked("sleep", i % 2 == 0 ? "60" : "0"), "");
            container.start();
            engine.containers().remove(container, true, true);
        }
        assertThat(engine.containers().all()).isEmpty();
    }

    @Test
    void pauseHoldsAndKillEnds() throws Exception {
        Container container = engine.containers().create("held", TestEngine.asked("sleep", "1000"), "");
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
        Container speaks = engine.containers()
                .create(
                        "speaks",
                        TestEngine.asked(
                                "sh",
                                "-c",
                                "trap 'echo bye; exit 6' TERM; i=0; while true; do i=$((i+1));"
                                        + " echo $i; sleep 0.02; done"),
                        "");
        Container ends =
                engine.containers().create("ends", TestEngine.asked("sh", "-c", "sleep 0.5; echo last; exit 9"), "");
        Container again = engine.containers().create("again", restarting("always", 0, "sleep", "0.5"), "");
        speaks.start();
        ends.start();
        again.start();
        int pid = speaks.record().getState().getPid();
        TestEngine.awaitLine(speaks, "3");
        engine.die();
        // No engine is there when this one ends; its shim keeps how.
        Path process =
                Path.of("/proc", Integer.toString(ends.record().getState().getPid()));
        while (Files.exists(process)) {
            Thread.onSpinWait();
        }

        engine.rise();
        Container taken = engine.containers().require("speaks");
        assertThat(taken.record().getState().getPid()).isEqualTo(pid);
        assertThat(status(taken)).isEqualTo(ContainerStatus.RUNNING);
        assertThat(await(engine.containers().require("ends").when("not-running")))
                .isEqualTo(9);
        taken.stop("", null);
        assertThat(taken.record().getState().getExitCode()).isEqualTo(6);
        List<String> lines = TestEngine.log(taken);
        assertThat(lines.getLast()).isEqualTo("bye");
        for (int i = 0; i < lines.size() - 1; i++) {
            assertThat(lines.get(i)).isEqualTo(Integer.toString(i + 1));
        }
        Container restarted = engine.containers().require("again");
        assertThat(status(restarted)).isIn(ContainerStatus.RUNNING, ContainerStatus.RESTARTING);
    }

    @Test
    void containersThatWereLostWithTheMachineStartAgainIfTheyShould() throws Exception {
        Container once = engine.containers().create("once", TestEngine.asked("sleep", "1000"), "");
        Container always = engine.containers().create("always", restarting("always", 0, "sleep", "1000"), "");
        once.start();
        always.start();
        engine.die();
        ContainerdTasks tasks = new ContainerdTasks(engine.fixture.containerd);
        for (Container each : List.of(once, always)) {
            tasks.kill(each.id(), "", Signals.KILL, true);
            tasks.await(each.id(), "");
            tasks.delete(each.id());
        }

        engine.events.clear();
        CompletableFuture<Void> started = CompletableFuture.runAsync(() -> {
            try {
                while (!engine.events.take().action().equals("start")) {
                    // What came before.
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        engine.rise();
        started.get(60, TimeUnit.SECONDS);
        assertThat(status(engine.containers().require("once"))).isEqualTo(ContainerStatus.EXITED);
        assertThat(engine.containers().require("once").record().getState().getExitCode())
                .isEqualTo(255);
        assertThat(status(engine.containers().require("always"))).isEqualTo(ContainerStatus.RUNNING);
    }

    @Test
    void namesBelongToOneContainer() throws Exception {
        Container first = engine.containers().create("name", TestEngine.asked("true"), "");
        assertThatThrownBy(() -> engine.containers().create("name", TestEngine.asked("true"), ""))
                .hasMessage("Conflict. The container name \"/name\" is already in use by container \"" + first.id()
                        + "\". You have to remove (or rename) that container to be able to reuse that name.");
        engine.containers().rename(first, "other");
        Container second = engine.containers().create("name", TestEngine.asked("true"), "");
        assertThat(engine.containers().require("other")).isSameAs(first);
        assertThat(engine.containers().require("name")).isSameAs(second);
        assertThatThrownBy(() -> engine.containers().create("a/b", TestEngine.asked("true"), ""))
                .hasMessageStartingWith("Invalid container name (a/b)");
    }

    @Test
    void aContainerThatRemovesItselfIsGoneAtItsEnd() throws Exception {
        Container container = engine.containers()
                .create(
                        "gone",
                        TestEngine.asked("true").toBuilder()
                                .setHostConfig(HostConfig.newBuilder().setAutoRemove(true))
                                .build(),
                        "");
        CompletableFuture<Integer> removed = container.when("removed");
        container.start();
        assertThat(await(removed)).isZero();
        assertThatThrownBy(() -> engine.containers().require("gone")).isInstanceOf(EngineException.class);
    }

    @Test
    void whatCannotBeDoneIsRefusedByName() {
        assertThatThrownBy(() -> engine.containers()
                        .create(
                                "",
                                TestEngine.asked("true").toBuilder()
                                        .setHostConfig(HostConfig.newBuilder()
                                                .setLogConfig(
                                                        LogConfig.newBuilder().setType("fluentd")))
                                        .build(),
                                ""))
                .hasMessageContaining("no log driver named 'fluentd'");
        assertThatThrownBy(() -> engine.containers()
                        .create(
                                "",
                                TestEngine.asked("true").toBuilder()
                                        .setHostConfig(HostConfig.newBuilder().setRuntime("kata"))
                                        .build(),
                                ""))
                .hasMessage("unknown or invalid runtime name: kata");
        assertThatThrownBy(() -> engine.containers().create("", restarting("sometimes", 0, "true"), ""))
                .hasMessageContaining("unknown policy 'sometimes'");
        assertThat(engine.containers().all()).isEmpty();
    }
}
