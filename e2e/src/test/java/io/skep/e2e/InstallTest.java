package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the README says of an installation on machines of one's own: archive, certificates, service, first command. */
class InstallTest {
    private static final Path HOME = Path.of(System.getProperty("skep.home"));

    @TempDir
    private Path folder;

    @Test
    void archiveAndCertificatesMakeAManagerThatServesItsClient() throws Exception {
        Path archive = folder.resolve("skep.tar.gz");
        shell(HOME + "/bin/package " + archive);
        shell("tar -xz <" + archive);
        int port = freePort();
        Files.writeString(folder.resolve("hosts.txt"), "oak 127.0.0.1 oak.local\nelm 192.168.1.12\n");
        shell("skep/bin/skep certs init");
        shell("skep/bin/skep certs fleet --port " + port + " --install-dir " + folder + "/etc/certs hosts.txt");
        assertThat(shell("skep/bin/skep certs show")).contains("oak.local").contains("elm");

        shell("install -d -m 700 etc/certs && cp skep-certs/machines/oak/*.* etc/certs/");
        shell("cp etc/certs/daemon.json etc/daemon.json && ln -s " + folder + "/skep/bin/skepd skepd");
        shell("skep/bin/lib/train");
        String places = " --config-file=etc/daemon.json --data-root=" + folder + "/data --exec-root=" + folder
                + "/run --pidfile=" + folder + "/pid --engine=none";
        assertThat(shell("./skepd --validate" + places)).contains("tcp://0.0.0.0:" + port);

        Path log = folder.resolve("log");
        Process skepd = new ProcessBuilder(
                        "bash",
                        "-c",
                        "exec systemd-socket-activate -l " + folder + "/docker.sock ./skepd -H fd://" + places)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        try {
            Await.until(
                    "the socket in " + folder,
                    Duration.ofSeconds(30),
                    () -> Files.exists(folder.resolve("docker.sock")),
                    () -> "nothing");
            shell("docker -H unix://" + folder + "/docker.sock version");
            assertThat(shell("source skep-certs/machines/oak/client/env.sh"
                            + " && docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:" + freePort()
                            + " >&2 && docker node ls --format '{{.Status}} {{.ManagerStatus}}'"))
                    .as(Files.readString(log))
                    .isEqualTo("Ready Leader");
        } finally {
            skepd.destroy();
            assertThat(skepd.waitFor(30, TimeUnit.SECONDS)).isTrue();
        }
        assertThat(Files.readAllLines(log).stream().filter(line -> line.contains("is ready")))
                .singleElement()
                .asString()
                .startsWith("time=");
    }

    /** Runs a line of bash in the folder, as machines without Maven would. */
    private String shell(String line) {
        return Shell.run(Duration.ofMinutes(5), Map.of(), List.of("bash", "-c", "cd " + folder + " && " + line))
                .expect();
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
