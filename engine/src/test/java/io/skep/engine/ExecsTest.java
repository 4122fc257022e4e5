package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.EngineException.Kind;
import io.skep.engine.record.Config;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.HostConfig;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Further processes in real containers. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ExecsTest {
    private TestEngine engine;
    private Container container;

    @BeforeAll
    void startContainerd() throws Exception {
        engine = new TestEngine();
    }

    @AfterAll
    void stopContainerd() throws IOException {
        engine.close();
    }

    @BeforeEach
    void makeContainer() {
        container = engine.containers()
                .create(
                        "",
                        TestEngine.asked(
                                HostConfig.getDefaultInstance(),
                                Config.newBuilder()
                                        .addAllCmd(List.of("sleep", "100000"))
                                        .addEnv("A=container")
                                        .addEnv("B=container")
                                        .setWorkingDir("/etc")
                                        .build()),
                        "");
        container.start();
    }

    @AfterEach
    void removeContainers() throws InterruptedException {
        engine.clear();
    }

    /** What a process wrote, each stream by itself. */
    private static final class Heard implements Output.Listener {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final CompletableFuture<Void> ended = new CompletableFuture<>();

        @Override
        public synchronized void bytes(OutputStreamKind stream, byte[] bytes, int length) {
            (stream == OutputStreamKind.STDOUT ? out : err).write(bytes, 0, length);
        }

        @Override
        public void end() {
            ended.complete(null);
        }

        synchronized String out() {
            return out.toString(StandardCharsets.UTF_8);
        }
    }

    private static ExecConfig.Builder command(String... command) {
        return ExecConfig.newBuilder()
                .addAllCmd(Arrays.asList(command))
                .setAttachStdout(true)
                .setAttachStderr(true);
    }

    private int run(ExecConfig config, Heard heard) throws Exception {
        Exec exec = engine.life.execs.create(container, config);
        exec.listen(heard);
        exec.start(config.getTty(), 0, 0);
        int code = exec.exit().get(60, TimeUnit.SECONDS);
        heard.ended.get(60, TimeUnit.SECONDS);
        return code;
    }

    private String out(ExecConfig.Builder config) throws Exception {
        Heard heard = new Heard();
        assertThat(run(config.build(), heard)).isZero();
        return heard.out();
    }

    @Test
    void aProcessTellsItsOutputAndItsExitCode() throws Exception {
        Heard heard = new Heard();
        assertThat(run(command("sh", "-c", "echo out; echo err >&2; exit 42").build(), heard))
                .isEqualTo(42);
        assertThat(heard.out()).isEqualTo("out\n");
        assertThat(heard.err.toString(StandardCharsets.UTF_8)).isEqualTo("err\n");
        EngineEvent event = engine.awaitEvent(each -> each.action().equals("exec_die"));
        assertThat(event.attributes()).containsEntry("exitCode", "42").containsKey("execID");
        Exec exec = engine.life.execs.require(String.valueOf(event.attributes().get("execID")));
        assertThat(exec.inspect().getExitCode()).isEqualTo(42);
        assertThat(exec.inspect().getRunning()).isFalse();
        assertThat(exec.inspect().getProcessConfig().getEntrypoint()).isEqualTo("sh");
        assertThatThrownBy(() -> exec.start(false, 0, 0))
                .hasMessage("Error: Exec command " + exec.id() + " has already run");
        assertThat(engine.fixture
                        .folder
                        .resolve("pipes")
                        .resolve(container.id())
                        .resolve(exec.id()))
                .doesNotExist();
    }

    @Test
    void theContainersEnvironmentFolderAndUserHoldUnlessOthersAreNamed() throws Exception {
        assertThat(out(command("sh", "-c", "echo $A $B $PWD; id -u"))).isEqualTo("container container /etc\n0\n");
        assertThat(out(command("sh", "-c", "echo $A $B $C $PWD; id")
                        .addEnv("B=exec")
                        .addEnv("C=exec")
                        .setWorkingDir("/home")
                        .setUser("bee")))
                .isEqualTo("container exec exec /home\nuid=1234(bee) gid=2345(hive) groups=3456(swarm)\n");
        assertThatThrownBy(() -> out(command("id").setUser("wasp")))
                .hasMessage("unable to find user wasp: no matching entries in passwd file");
    }

    @Test
    void privilegesAreThoseOfTheContainerUnlessAskedFor() throws Exception {
        String normal = out(command("grep", "CapEff", "/proc/self/status"));
        String privileged = out(command("grep", "CapEff", "/proc/self/status").setPrivileged(true));
        assertThat(normal).contains("00000000a80425fb");
        assertThat(privileged).isNotEqualTo(normal);
    }

    @Test
    void aClientFeedsAProcess() throws Exception {
        Exec exec = engine.life.execs.create(
                container, command("cat").setAttachStdin(true).build());
        Heard heard = new Heard();
        exec.listen(heard);
        exec.start(false, 0, 0);
        byte[] sent = "y".repeat(500_000).getBytes(StandardCharsets.UTF_8);
        assertThat(exec.feed(sent, 0, sent.length)).isTrue();
        exec.endOfInput();
        assertThat(exec.exit().get(60, TimeUnit.SECONDS)).isZero();
        heard.ended.get(60, TimeUnit.SECONDS);
        assertThat(heard.out.toByteArray()).isEqualTo(sent);
        assertThat(exec.feed(sent, 0, sent.length)).isFalse();
    }

    @Test
    void aTerminalHasTheSizeThatIsSaid() throws Exception {
        Exec exec = engine.life.execs.create(
                container,
                command("sh", "-c", "read go; stty size; read go; stty size; echo $TERM")
                        .setTty(true)
                        .setAttachStdin(true)
                        .addConsoleSize(33)
                        .addConsoleSize(99)
                        .build());
        Heard heard = new Heard();
        exec.listen(heard);
        exec.start(true, 0, 0);
        exec.feed(new byte[] {'\n'}, 0, 1);
        while (!heard.out().contains("33 99")) {
            assertThat(exec.exit()).isNotDone();
            Thread.onSpinWait();
        }
        exec.resize(44, 111);
        exec.feed(new byte[] {'\n'}, 0, 1);
        assertThat(exec.exit().get(60, TimeUnit.SECONDS)).isZero();
        heard.ended.get(60, TimeUnit.SECONDS);
        assertThat(heard.out()).contains("44 111").contains("xterm");
        assertThatThrownBy(() -> exec.resize(1, 1)).hasMessage("exec " + exec.id() + " is not running");
    }

    @Test
    void whatCannotBeStartedTellsAsAShellDoes() throws Exception {
        Exec missing = engine.life.execs.create(container, command("nosuch").build());
        assertThatThrownBy(() -> missing.start(false, 0, 0))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.INVALID))
                .hasMessageContaining("exec: \"nosuch\": executable file not found in $PATH");
        assertThat(missing.inspect().getExitCode()).isEqualTo(127);
        Exec folder = engine.life.execs.create(container, command("/etc").build());
        assertThatThrownBy(() -> folder.start(false, 0, 0)).isInstanceOf(EngineException.class);
        assertThat(folder.inspect().getExitCode()).isEqualTo(126);
        assertThatThrownBy(() -> engine.life.execs.create(container, ExecConfig.getDefaultInstance()))
                .hasMessage("No exec command specified");
        assertThatThrownBy(() -> engine.life.execs.require("feed")).hasMessage("No such exec instance: feed");
    }

    @Test
    void aProcessEndsWithItsContainer() throws Exception {
        Exec exec =
                engine.life.execs.create(container, command("sleep", "100000").build());
        Exec never = engine.life.execs.create(container, command("true").build());
        assertThat(engine.life.execs.of(container)).containsExactlyInAnyOrder(exec.id(), never.id());
        exec.start(false, 0, 0);
        assertThat(exec.inspect().getPid()).isPositive();
        assertThatThrownBy(() -> exec.start(false, 0, 0))
                .hasMessage("Error: Exec command " + exec.id() + " is already running");
        container.pause();
        assertThatThrownBy(() -> never.start(false, 0, 0))
                .hasMessage("Container " + container.id() + " is paused, unpause the container before exec");
        container.unpause();
        container.kill("KILL");
        assertThat(exec.exit().get(60, TimeUnit.SECONDS)).isEqualTo(137);
        container.when("not-running").get(60, TimeUnit.SECONDS);
        assertThat(engine.life.execs.of(container)).isEmpty();
        assertThatThrownBy(() -> never.start(false, 0, 0))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.CONFLICT))
                .hasMessage("container " + container.id() + " is not running");
    }

    @Test
    void aProcessGoesOnWhenTheEngineStartsAgain() throws Exception {
        Exec exec = engine.life.execs.create(
                container,
                command(
                                "sh",
                                "-c",
                                "while [ ! -e /go ]; do sleep 0.02; done; yes | head -c 1000000; touch /done;"
                                        + " while [ ! -e /end ]; do sleep 0.02; done")
                        .build());
        exec.start(false, 0, 0);
        engine.startAgain();
        container = engine.containers().require(container.id());
        // More than a pipe holds: it gets to its end only when somebody reads.
        out(command("sh", "-c", "touch /go; while [ ! -e /done ]; do sleep 0.02; done; touch /end"));
        Path process = Path.of("/proc", Integer.toString(exec.inspect().getPid()));
        while (Files.exists(process)) {
            Thread.onSpinWait();
        }
        assertThatThrownBy(() -> engine.life.execs.require(exec.id())).isInstanceOf(EngineException.class);
    }
}
