package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.engine.Engine;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Containers by the real docker command line, against a real engine on a containerd of its own. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
class DockerContainersTest {
    private static final int INPUT_BYTES = 3_000_000;

    private Path folder;
    private Engine engine;
    private ServedEngine served;

    @BeforeAll
    void start() throws Exception {
        served = new ServedEngine("/skep-api-test");
        folder = served.folder;
        engine = served.engine;
        importImage();
    }

    @AfterAll
    void stop() throws IOException {
        served.close();
    }

    private Path socket() {
        return served.socket();
    }

    /** Makes an image of busybox alone. */
    private void importImage() throws Exception {
        Path root = Files.createDirectories(folder.resolve("root/bin"));
        Files.copy(Path.of("/bin/busybox"), root.resolve("busybox"));
        for (String name : List.of("sh", "cat", "sleep", "echo", "true", "stty", "wc", "head")) {
            Files.createSymbolicLink(root.resolve(name), Path.of("busybox"));
        }
        Path archive = folder.resolve("root.tar");
        Process tar = new ProcessBuilder("tar", "-C", folder.resolve("root").toString(), "-cf", archive.toString(), ".")
                .inheritIO()
                .start();
        assertThat(tar.waitFor()).isZero();
        try (InputStream files = Files.newInputStream(archive)) {
            engine.images().importFiles(files, "bb", "latest", "", List.of("CMD sh"), "");
        }
    }

    private DockerCli docker(String program) {
        return DockerCli.on(program, socket());
    }

    /** Runs a command that reads from its input, and returns what it does. */
    private DockerCli.Result fed(byte[] input, String... command) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeIf(name -> name.startsWith("DOCKER_"));
        builder.environment().put("DOCKER_HOST", "unix://" + socket());
        Path err = folder.resolve("err");
        Process process = builder.redirectError(err.toFile()).start();
        Thread.ofVirtual().start(() -> {
            try (var in = process.getOutputStream()) {
                new ByteArrayInputStream(input).transferTo(in);
            } catch (IOException e) {
                process.destroy();
            }
        });
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        boolean ended = process.waitFor(60, TimeUnit.SECONDS);
        process.destroyForcibly();
        return new DockerCli.Result(ended ? process.exitValue() : -1, out, Files.readString(err));
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void runTellsHowItEnded(String program) throws Exception {
        DockerCli docker = docker(program);
        DockerCli.Result both =
                docker.run("run", "--rm", "--network", "none", "bb", "sh", "-c", "echo out; echo err >&2; exit 7");
        assertThat(both).isEqualTo(new DockerCli.Result(7, "out\n", "err\n"));
        assertThat(docker.run("run", "--rm", "--network", "none", "bb", "/no/such")
                        .exit())
                .isEqualTo(127);
        assertThat(docker.run("run", "--rm", "--network", "none", "bb", "/bin").exit())
                .isEqualTo(126);
        assertThat(docker.run("run", "--rm", "--network", "none", "--runtime", "none", "bb", "true"))
                .satisfies(result -> assertThat(result.exit()).isEqualTo(125))
                .satisfies(result -> assertThat(result.err()).contains("unknown or invalid runtime name: none"));
        assertThat(docker.ok("ps", "-aq")).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void everyKindOfLogThatIsAnnouncedWorks(String program) throws Exception {
        DockerCli docker = docker(program);
        String announced = docker.ok("info", "--format", "{{range .Plugins.Log}}{{.}} {{end}}")
                .strip();
        assertThat(announced).isEqualTo("json-file local none");
        for (String driver : announced.split(" ", -1)) {
            assertThat(docker.ok("run", "--rm", "--network", "none", "--log-driver", driver, "bb", "echo", driver))
                    .isEqualTo(driver + "\n");
        }
        assertThat(docker.run("run", "--rm", "--log-driver", "hive", "bb", "true")
                        .err())
                .contains("no log driver named 'hive' is registered: this engine has json-file, local, none");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void inputReachesAProcessWholeAndEnds(String program) throws Exception {
        DockerCli.Result result = fed(
                "x".repeat(INPUT_BYTES).getBytes(StandardCharsets.US_ASCII),
                program,
                "run",
                "-i",
                "--rm",
                "--network",
                "none",
                "--log-driver",
                "none",
                "bb",
                "cat");
        assertThat(result.exit()).isZero();
        assertThat(result.out()).hasSize(INPUT_BYTES);
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void aContainerIsWatchedAndEnded(String program) throws Exception {
        DockerCli docker = docker(program);
        String id = docker.ok(
                        "run",
                        "-d",
                        "--name",
                        "watched",
                        "--network",
                        "none",
                        "--label",
                        "bee=1",
                        "bb",
                        "sh",
                        "-c",
                        "trap 'echo bye; exit 5' TERM; echo up; echo err >&2; while true; do sleep 0.05; done")
                .strip();
        try {
            while (!docker.ok("logs", "watched").contains("up")) {
                Thread.onSpinWait();
            }
            assertThat(docker.ok(
                            "ps",
                            "--no-trunc",
                            "--format",
                            "{{.ID}} {{.Names}} {{.Image}} {{.State}}",
                            "--filter",
                            "label=bee=1"))
                    .isEqualTo(id + " watched bb running\n");
            assertThat(docker.ok("ps", "-q", "--filter", "name=watch", "--filter", "status=exited"))
                    .isEmpty();
            assertThat(docker.ok(
                            "inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}} {{.Path}}", "watched"))
                    .isEqualTo("true none sh\n");

            assertThat(docker.run("exec", "watched", "sh", "-c", "echo in; exit 3"))
                    .isEqualTo(new DockerCli.Result(3, "in\n", ""));
            assertThat(docker.run("exec", "watched", "/no/such").exit()).isEqualTo(127);
            assertThat(fed("fed\n".getBytes(StandardCharsets.US_ASCII), program, "exec", "-i", "watched", "cat")
                            .out())
                    .isEqualTo("fed\n");

            docker.ok("pause", "watched");
            assertThat(docker.ok("ps", "--format", "{{.Status}}")).contains("(Paused)");
            assertThat(docker.run("exec", "watched", "true").err())
                    .contains("is paused, unpause the container before exec");
            docker.ok("unpause", "watched");
            docker.ok("rename", "watched", "seen");
            assertThat(docker.run("rm", "seen").err())
                    .contains("cannot remove container \"/seen\": container is running");
            docker.ok("stop", "seen");
            assertThat(docker.ok("wait", "seen")).isEqualTo("5\n");
            DockerCli.Result logs = docker.run("logs", "seen");
            assertThat(logs.out()).isEqualTo("up\nbye\n");
            assertThat(logs.err()).isEqualTo("err\n");
            assertThat(docker.ok("logs", "--tail", "1", "-t", "seen")).matches("\\S+T\\S+Z bye\n");
            assertThat(docker.run("kill", "seen").err()).contains("is not running");
        } finally {
            docker.ok("rm", "-f", id);
        }
        assertThat(docker.run("container", "inspect", "seen").err()).containsIgnoringCase("no such container: seen");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void aTerminalIsLeftByItsKeysAndFoundAgain(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok(
                "create",
                "-it",
                "--name",
                "terminal",
                "--network",
                "none",
                "bb",
                "sh",
                "-c",
                "read a; echo first $a; read b; echo second $b; exit 4");
        try {
            DockerCli.Result left = inTerminal(program + " start -ai terminal", "one\n", "first one", "\u0010\u0011");
            assertThat(left.out()).contains("first one");
            assertThat(docker.ok("inspect", "-f", "{{.State.Running}}", "terminal"))
                    .isEqualTo("true\n");
            DockerCli.Result back = inTerminal(program + " attach terminal", "two\n", "second two", "");
            assertThat(back.out()).contains("second two");
            assertThat(back.exit()).isEqualTo(4);
        } finally {
            docker.ok("rm", "-f", "terminal");
        }
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void whatThereIsIsCounted(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok("create", "--name", "counted", "--network", "none", "bb");
        try {
            assertThat(docker.ok(
                            "info",
                            "--format",
                            "{{.Containers}} {{.ContainersStopped}} {{.Images}} {{.DefaultRuntime}}"))
                    .isEqualTo("1 1 1 runc\n");
            assertThat(docker.ok("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"))
                    .contains("Images 1 1", "Containers 1 0");
        } finally {
            docker.ok("rm", "counted");
        }
    }

    /** Runs a command in a terminal, types a line, and types more once the answer to it is there. */
    private DockerCli.Result inTerminal(String command, String line, String answer, String more) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("script", "-qec", command, "/dev/null");
        builder.environment().keySet().removeIf(name -> name.startsWith("DOCKER_"));
        builder.environment().put("DOCKER_HOST", "unix://" + socket());
        builder.environment().put("TERM", "xterm");
        Process process = builder.redirectErrorStream(true).start();
        StringBuilder out = new StringBuilder();
        try (OutputStream typed = process.getOutputStream();
                InputStream shown = process.getInputStream()) {
            type(typed, line);
            boolean answered = false;
            for (int each = shown.read(); each >= 0; each = shown.read()) {
                out.append((char) each);
                if (!answered && out.indexOf(answer) >= 0) {
                    answered = true;
                    type(typed, more);
                }
            }
        }
        boolean ended = process.waitFor(60, TimeUnit.SECONDS);
        process.destroyForcibly();
        return new DockerCli.Result(ended ? process.exitValue() : -1, out.toString(), "");
    }

    private static void type(OutputStream terminal, String text) throws IOException {
        terminal.write(text.getBytes(StandardCharsets.US_ASCII));
        terminal.flush();
    }
}
