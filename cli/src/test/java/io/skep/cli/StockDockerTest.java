package io.skep.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Our certificates in a stock dockerd, used by the stock docker command. */
@Tag("component")
class StockDockerTest {
    private static final long START_LIMIT_SECONDS = 60;

    @TempDir
    private Path temporary;

    private @Nullable Process dockerd;
    private int port;

    private Path certificates() {
        return temporary.resolve("certs");
    }

    private void certs(String... words) {
        certsIn(certificates(), words);
    }

    private static void certsIn(Path folder, String... words) {
        PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
        Terminal terminal = new Terminal(out, out, Map.of(), InstantSource.system(), question -> new char[0]);
        List<String> arguments = new ArrayList<>(List.of("certs"));
        arguments.addAll(List.of(words));
        arguments.addAll(List.of("--dir", folder.toString()));
        assertThat(Main.run(terminal, arguments.toArray(String[]::new))).isZero();
    }

    @BeforeEach
    void startDockerd() throws Exception {
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        Path hosts = Files.writeString(temporary.resolve("hosts"), "engine 127.0.0.1\n");
        certs("init");
        certs("fleet", hosts.toString(), "--port", Integer.toString(port));
        Path machine = certificates().resolve("machines/engine");
        Process started = new ProcessBuilder(
                        "/usr/sbin/dockerd",
                        "--data-root=" + temporary.resolve("data"),
                        "--exec-root=" + temporary.resolve("exec"),
                        "--pidfile=" + temporary.resolve("dockerd.pid"),
                        "--config-file=" + Files.writeString(temporary.resolve("empty.json"), "{}"),
                        "--host=tcp://127.0.0.1:" + port,
                        "--tlsverify",
                        "--tlscacert=" + machine.resolve("ca.pem"),
                        "--tlscert=" + machine.resolve("server-cert.pem"),
                        "--tlskey=" + machine.resolve("server-key.pem"),
                        "--storage-driver=vfs",
                        "--bridge=none",
                        "--iptables=false")
                .redirectErrorStream(true)
                .start();
        dockerd = started;
        // The log is followed until dockerd says that it listens, then drained so that it never blocks.
        BufferedReader lines = started.inputReader(StandardCharsets.UTF_8);
        Thread watchdog = Thread.ofVirtual().start(() -> {
            try {
                if (!started.waitFor(START_LIMIT_SECONDS, TimeUnit.SECONDS)) {
                    started.destroy();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        StringBuilder seen = new StringBuilder();
        String line = lines.readLine();
        while (line != null && !line.contains("API listen on")) {
            seen.append(line).append('\n');
            line = lines.readLine();
        }
        watchdog.interrupt();
        assertThat(line).as("dockerd's log: " + seen).isNotNull();
        Thread.ofVirtual().start(() -> {
            try (BufferedReader rest = lines) {
                rest.transferTo(Writer.nullWriter());
            } catch (IOException e) {
                System.out.println("dockerd's log ended: " + e.getMessage());
            }
        });
    }

    @AfterEach
    void stopDockerd() throws InterruptedException {
        Process started = dockerd;
        if (started != null) {
            started.destroy();
            if (!started.waitFor(30, TimeUnit.SECONDS)) {
                started.destroyForcibly().waitFor();
            }
        }
    }

    /** Runs a line of bash with a docker configuration of its own. */
    private String bash(Path folder, String script) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("bash", "-euc", script)
                .directory(folder.toFile())
                .redirectErrorStream(true);
        builder.environment().keySet().removeIf(name -> name.startsWith("DOCKER_"));
        builder.environment().put("DOCKER_CONFIG", temporary.resolve("config").toString());
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(script + ": " + output).isZero();
        return output.strip();
    }

    @Test
    void theStockCommandReachesAStockEngine() throws Exception {
        Path client = certificates().resolve("machines/engine/client");
        String query = "docker version --format '{{.Server.Version}}'";

        assertThat(bash(temporary, "source " + client.resolve("env.sh") + "; " + query))
                .matches("\\d+\\..*");
        assertThat(bash(client, "exec sh -c \". ./env.sh; " + query + "\"")).matches("\\d+\\..*");
        assertThat(bash(
                        temporary,
                        "docker context import engine " + client.resolve("engine.dockercontext")
                                + " >/dev/null 2>&1; docker --context engine version --format '{{.Server.Version}}'"))
                .matches("\\d+\\..*");

        certs("renew", "engine", "--new-keys");
        bash(
                temporary,
                "docker context rm engine; docker context import engine " + client.resolve("engine.dockercontext"));
        assertThat(bash(temporary, "docker --context engine version --format '{{.Server.Version}}'"))
                .as("with a renewed client")
                .matches("\\d+\\..*");
    }

    @Test
    void aStockEngineRefusesAnotherFoldersClient() throws Exception {
        Path own = temporary.resolve("other");
        certsIn(own, "init");
        certsIn(own, "client", "mallory", "--host", "127.0.0.1", "--port", Integer.toString(port));
        Path mallory = own.resolve("clients/mallory");
        Files.copy(certificates().resolve("ca.pem"), mallory.resolve("ca.pem"), StandardCopyOption.REPLACE_EXISTING);

        assertThat(bash(mallory, "source env.sh; ! docker version 2>&1")).contains("certificate");
    }
}
