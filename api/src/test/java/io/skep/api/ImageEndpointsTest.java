package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Images through docker's own command lines, against a real containerd and a real registry. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ImageEndpointsTest {
    private Path folder;
    private Process registry;
    private String address;
    private ServedEngine served;

    @BeforeAll
    void start() throws Exception {
        served = new ServedEngine("");
        folder = served.folder;
        startRegistry();
        Files.createDirectories(folder.resolve("files/bin"));
        Files.copy(Path.of("/bin/busybox"), folder.resolve("files/bin/echo"));
        // More than a request may have that is not streamed.
        Files.write(folder.resolve("files/large"), new byte[12 << 20]);
        run(
                "tar",
                "-C",
                folder.resolve("files").toString(),
                "-cf",
                folder.resolve("files.tar").toString(),
                ".");
    }

    private void startRegistry() throws Exception {
        int port;
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = socket.getLocalPort();
        }
        address = "localhost:" + port;
        Files.writeString(folder.resolve("registry.yml"), """
                version: 0.1
                storage:
                  filesystem:
                    rootdirectory: %s
                http:
                  addr: 127.0.0.1:%d
                """.formatted(folder.resolve("registry"), port));
        registry = new ProcessBuilder(
                        "docker-registry",
                        "serve",
                        folder.resolve("registry.yml").toString())
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("registry.log").toFile())
                .start();
        long deadlineNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (true) {
            try {
                ((HttpURLConnection)
                                URI.create("http://" + address + "/v2/").toURL().openConnection())
                        .getResponseCode();
                return;
            } catch (IOException e) {
                if (!registry.isAlive() || System.nanoTime() > deadlineNanos) {
                    throw e;
                }
                Thread.onSpinWait();
            }
        }
    }

    private static void run(String... command) throws Exception {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).isZero();
    }

    @AfterAll
    void stop() throws IOException {
        registry.destroyForcibly().onExit().join();
        served.close();
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void imagesGoRoundWithDockersClient(String program) throws Exception {
        DockerCli docker = DockerCli.on(program, served.socket());
        String name = address + "/hive/bee:1";
        String files = folder.resolve("files.tar").toString();
        String id = docker.ok("import", "-c", "CMD [\"/bin/echo\",\"hi\"]", files, name)
                .strip();
        assertThat(id).startsWith("sha256:");
        assertThat(docker.ok("push", name)).contains("1: digest: sha256:");
        docker.ok("tag", name, "bee:two");
        assertThat(docker.ok("images", "--format", "{{.Repository}}:{{.Tag}}").lines())
                .containsExactlyInAnyOrder(name, "bee:two");
        assertThat(docker.ok("inspect", "--format", "{{.Id}} {{json .Config.Cmd}}", "bee:two"))
                .isEqualTo(id + " [\"/bin/echo\",\"hi\"]\n");
        assertThat(docker.ok("history", "--format", "{{.Comment}}", "bee:two")).contains("Imported from -");
        docker.ok("create", "--name", "filled", name);
        docker.ok("cp", files, "filled:/copy");
        Path copy = folder.resolve("copy");
        docker.ok("cp", "filled:/copy", copy.toString());
        assertThat(Files.mismatch(copy, Path.of(files))).isEqualTo(-1);
        docker.ok("rm", "filled");
        Files.delete(copy);
        Path saved = folder.resolve("saved.tar");
        docker.ok("save", "-o", saved.toString(), "bee:two", name);
        assertThat(docker.ok("rmi", name, "bee:two"))
                .contains("Untagged: " + name, "Untagged: bee:two", "Deleted: " + id);
        assertThat(docker.ok("load", "-i", saved.toString()))
                .contains("Loaded image: bee:two", "Loaded image: " + name);
        docker.ok("rmi", name, "bee:two");
        assertThat(docker.ok("pull", name)).contains("Status: Downloaded newer image for " + name);
        assertThat(docker.run("pull", address + "/hive/none:1").err())
                .contains("manifest for " + address + "/hive/none:1 not found: manifest unknown");
        Files.writeString(saved, "this is no archive");
        assertThat(docker.run("load", "-i", saved.toString()).err()).contains("the archive cannot be loaded");
        assertThat(docker.run("search", "bee").err()).contains("searching registries is not supported");
        assertThat(docker.ok("image", "prune", "-af")).contains("deleted: " + id);
        assertThat(docker.ok("images", "-q")).isEmpty();
        Files.delete(saved);
    }
}
