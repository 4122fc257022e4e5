package io.skep.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The real daemon in a process of its own, driven by the real docker command line, openssl and systemd's tools. */
class SkepdTest {
    private static TestCertificates ours;
    private static TestCertificates foreign;

    @TempDir
    static Path certificates;

    @TempDir
    Path folder;

    private final List<Program> programs = new ArrayList<>();

    @BeforeAll
    static void makeCertificates() throws Exception {
        ours = new TestCertificates(certificates.resolve("ours"));
        foreign = new TestCertificates(certificates.resolve("foreign"));
        ours.server("server", 2);
        ours.client("client", 2);
    }

    @AfterEach
    void endPrograms() throws InterruptedException {
        for (Program program : programs) {
            program.close();
        }
    }

    @Test
    void itServesTheUnixSocketAndLeavesNothingBehindAfterSigterm() throws Exception {
        Program skepd = ready(start(host(socket())));

        assertThat(docker(socket(), "version", "--format", "{{.Server.Version}}"))
                .isEqualTo(Version.CURRENT.version());
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socketPath())))
                .isEqualTo("rw-rw----");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("data"))))
                .isEqualTo("rwx------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("exec"))))
                .isEqualTo("rwx--x--x");
        assertThat(folder.resolve("pid")).hasContent(Long.toString(skepd.pid()));

        skepd.signal("TERM");

        assertThat(skepd.exitCode()).isZero();
        skepd.await("msg=\"stopped\"");
        assertThat(socketPath()).doesNotExist();
        assertThat(folder.resolve("pid")).doesNotExist();
    }

    @Test
    void theEngineKeepsItsId() throws Exception {
        Program first = ready(start(host(socket())));
        String id = docker(socket(), "info", "--format", "{{.ID}}");
        first.signal("INT");
        assertThat(first.exitCode()).isZero();

        ready(start(host(socket())));
        assertThat(docker(socket(), "info", "--format", "{{.ID}}"))
                .isEqualTo(id)
                .hasSize(36);
    }

    @Test
    void onlyClientsWithACertificateOfOursAreLetIn() throws Exception {
        int port = freePort();
        Program skepd = ready(start(
                "-H=tcp://127.0.0.1:" + port,
                "--tlsverify",
                tls("tlscacert", "ca.pem"),
                tls("tlscert", "cert.pem"),
                tls("tlskey", "key.pem")));

        assertThat(dockerTls(port, certificates.resolve("ours/client")).exitCode())
                .isZero();

        Path foreignClient = foreign.client("client", 2);
        Files.copy(ours.ca(), foreignClient.resolve("ca.pem"), StandardCopyOption.REPLACE_EXISTING);
        refused(skepd, port, foreignClient, "signed by an unknown CA");
        refused(skepd, port, ours.client("late", -1), "has expired");
        refused(skepd, port, ours.stranger(), "sent no certificate");
        refused(skepd, port, ours.server("not-a-client", 2), "not meant for clients");
    }

    private void refused(Program skepd, int port, Path client, String reason) throws Exception {
        Program docker = dockerTls(port, client);
        assertThat(docker.exitCode()).isNotZero();
        assertThat(skepd.await(reason)).contains("level=warning").containsPattern("127\\.0\\.0\\.1:\\d+");
    }

    private Program dockerTls(int port, Path client) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                "docker",
                "-H",
                "tcp://localhost:" + port,
                "--tlsverify",
                "--tlscacert",
                client.resolve("ca.pem").toString()));
        if (Files.exists(client.resolve("key.pem"))) {
            command.addAll(List.of(
                    "--tlscert",
                    client.resolve("cert.pem").toString(),
                    "--tlskey",
                    client.resolve("key.pem").toString()));
        } else {
            // Without these it would look into the home folder.
            command.addAll(List.of("--tlscert=", "--tlskey="));
        }
        command.addAll(List.of("version", "--format", "{{.Server.Version}}"));
        return Program.run(command);
    }

    @Test
    void plainTcpBeyondThisMachineIsRefusedUnlessAskedForByName() throws Exception {
        Program refused = start("-H=tcp://0.0.0.0:" + freePort());
        assertThat(refused.exitCode()).isEqualTo(1);
        assertThat(refused.lines())
                .singleElement()
                .asString()
                .startsWith("skepd: ")
                .endsWith("--insecure-plain-tcp");

        int port = freePort();
        Program skepd = ready(start("-H=tcp://0.0.0.0:" + port, "--insecure-plain-tcp"));
        assertThat(skepd.await("insecure-plain-tcp")).contains("level=warning").contains("tcp://0.0.0.0:" + port);
        assertThat(docker("tcp://127.0.0.1:" + port, "version", "--format", "{{.Server.Version}}"))
                .isEqualTo(Version.CURRENT.version());
    }

    @Test
    void newCertificatesServeNewConnectionsAndOldConnectionsGoOn() throws Exception {
        TestCertificates authority = new TestCertificates(folder.resolve("authority"));
        Path server = authority.server("server", 2);
        Path client = authority.client("client", 2);
        int port = freePort();
        Program skepd = ready(start(
                "-H=tcp://127.0.0.1:" + port,
                "--tlsverify",
                "--tlscacert=" + server.resolve("ca.pem"),
                "--tlscert=" + server.resolve("cert.pem"),
                "--tlskey=" + server.resolve("key.pem")));
        Program events = started(
                "docker",
                "-H=tcp://localhost:" + port,
                "--tlsverify",
                "--tlscacert=" + client.resolve("ca.pem"),
                "--tlscert=" + client.resolve("cert.pem"),
                "--tlskey=" + client.resolve("key.pem"),
                "events",
                "--since=1");
        assertThat(dockerTls(port, client).exitCode()).isZero();

        // Whoever has the old CA's certificates is out once the files are replaced.
        TestCertificates next = new TestCertificates(folder.resolve("next"));
        Path nextServer = next.server("server", 2);
        for (String file : List.of("ca.pem", "key.pem", "cert.pem")) {
            Files.copy(nextServer.resolve(file), server.resolve(file), StandardCopyOption.REPLACE_EXISTING);
        }
        skepd.await("TLS certificates reloaded");
        assertThat(dockerTls(port, next.client("client", 2)).exitCode()).isZero();
        assertThat(dockerTls(port, client).exitCode()).isNotZero();

        // Of a key and a certificate that are replaced one after the other, none is used before both are there.
        Path third = next.server("third", 2);
        Files.copy(third.resolve("key.pem"), server.resolve("key.pem"), StandardCopyOption.REPLACE_EXISTING);
        skepd.await("does not belong to the certificate");
        assertThat(dockerTls(port, next.client("client", 2)).exitCode()).isZero();
        Files.copy(third.resolve("cert.pem"), server.resolve("cert.pem"), StandardCopyOption.REPLACE_EXISTING);
        skepd.await("CN=third");
        assertThat(dockerTls(port, next.client("client", 2)).exitCode()).isZero();

        // A file that cannot be used changes nothing.
        Files.writeString(server.resolve("cert.pem"), "-----BEGIN CERTIFICATE-----\n");
        skepd.signal("HUP");
        skepd.await("the old ones stay in use: " + server.resolve("cert.pem") + ": the block");
        assertThat(dockerTls(port, next.client("client", 2)).exitCode()).isZero();

        assertThat(events.isAlive()).as("the stream opened before").isTrue();
    }

    @Test
    void sighupTakesOverLabelsAndLeavesTheRest() throws Exception {
        Path file = Files.writeString(folder.resolve("daemon.json"), "{\"labels\": [\"zone=a\"]}");
        Program skepd = ready(start(host(socket()), "--config-file=" + file));
        assertThat(docker(socket(), "info", "--format", "{{.Labels}} {{.Debug}}"))
                .isEqualTo("[zone=a] false");

        Files.writeString(file, "{\"labels\": [\"zone=b\"], \"debug\": true, \"group\": \"wheel\"}");
        skepd.signal("HUP");
        skepd.await("configuration reloaded");
        assertThat(docker(socket(), "info", "--format", "{{.Labels}} {{.Debug}}"))
                .isEqualTo("[zone=b] true");
        skepd.await("reload: group changed");

        Files.writeString(file, "{\"labls\": []}");
        skepd.signal("HUP");
        assertThat(skepd.await("not reloaded")).contains("did you mean").contains("labels");
        assertThat(docker(socket(), "info", "--format", "{{.Labels}}")).isEqualTo("[zone=b]");
    }

    /** The example that the configuration was made for: dockerd refuses it when the unit also says fd://. */
    @Test
    void hostsOfFileAndFlagsAndSystemdAddUp() throws Exception {
        int port = freePort();
        Path server = certificates.resolve("ours/server");
        Path file = Files.writeString(folder.resolve("daemon.json"), """
                {"hosts":["tcp://0.0.0.0:%d","fd://"],"tlsverify":true,"tlscacert":"%s","tlskey":"%s","tlscert":"%s"}
                """.formatted(
                        port, server.resolve("ca.pem"), server.resolve("key.pem"), server.resolve("cert.pem")));
        Program skepd = activated(socketPath(), "-H=fd://", "-H=tcp://0.0.0.0:" + port, "--config-file=" + file);
        assertThat(docker(socket(), "version", "--format", "{{.Server.Version}}"))
                .isEqualTo(Version.CURRENT.version());
        assertThat(dockerTls(port, certificates.resolve("ours/client")).exitCode())
                .isZero();
        assertThat(skepd.lines())
                .filteredOn(line -> line.contains("API listens"))
                .hasSize(2);

        skepd.signal("TERM");
        assertThat(skepd.exitCode()).isZero();
        assertThat(socketPath()).as("the socket is systemd's").exists();
    }

    @Test
    void withoutHostsTheInheritedSocketsAreServed() throws Exception {
        activated(socketPath());
        assertThat(docker(socket(), "version", "--format", "{{.Server.Version}}"))
                .isEqualTo(Version.CURRENT.version());
    }

    @Test
    void inheritedSocketsAreChosenByNameOrNumber() throws Exception {
        Program wrong = activated(socketPath(), "-H=fd://other");
        touch(socketPath());
        assertThat(wrong.exitCode()).isEqualTo(1);
        assertThat(wrong.output()).contains("skepd: fd://other: of the sockets handed over none is called so");
    }

    @Test
    void aPlainTcpSocketOfSystemdIsGuardedToo() throws Exception {
        int port = freePort();
        Program refused = started(activation("0.0.0.0:" + port));
        refused.await("Listening on");
        touch(port);
        assertThat(refused.exitCode()).isEqualTo(1);
        assertThat(refused.output()).contains("skepd: fd://: the socket on 0.0.0.0 would give everyone");
    }

    @Test
    void inheritedSocketsThatAreNotThereAreAMistake() throws Exception {
        Program refused = start("-H=fd://");
        assertThat(refused.exitCode()).isEqualTo(1);
        assertThat(refused.lines())
                .last()
                .isEqualTo("skepd: fd://: no socket was handed over; start skepd by its systemd socket, or remove"
                        + " fd://");
    }

    @Test
    void twoDaemonsCannotShareADataRootNorAPidFile() throws Exception {
        Program first = ready(start(host(socket())));

        Program second = start(host("unix://" + folder.resolve("second.sock")));
        assertThat(second.exitCode()).isEqualTo(1);
        assertThat(second.lines())
                .last()
                .asString()
                .startsWith("skepd: data-root " + folder.resolve("data") + " is in use by another skepd (process "
                        + first.pid() + ")");

        Program third = start(host("unix://" + folder.resolve("third.sock")), "--data-root=" + folder.resolve("third"));
        assertThat(third.exitCode()).isEqualTo(1);
        assertThat(third.lines())
                .last()
                .asString()
                .startsWith("skepd: pidfile " + folder.resolve("pid") + " belongs to skepd process " + first.pid());

        Program fourth = start(
                host(socket()), "--data-root=" + folder.resolve("fourth"), "--pidfile=" + folder.resolve("fourth.pid"));
        assertThat(fourth.exitCode()).isEqualTo(1);
        assertThat(fourth.lines()).last().asString().contains("another process listens on it");
        assertThat(first.isAlive()).isTrue();
        assertThat(docker(socket(), "version", "--format", "{{.Server.Version}}"))
                .isNotEmpty();
    }

    @Test
    void whatADeadDaemonLeftBehindIsTakenOver() throws Exception {
        Program first = ready(start(host(socket())));
        first.signal("KILL");
        first.exitCode();
        assertThat(socketPath()).exists();
        // The number of a process that lives but is no daemon, as after a reboot.
        Files.writeString(
                folder.resolve("pid"), Long.toString(ProcessHandle.current().pid()));

        Program second = ready(start(host(socket())));
        assertThat(docker(socket(), "version", "--format", "{{.Server.Version}}"))
                .isNotEmpty();
        assertThat(folder.resolve("pid")).hasContent(Long.toString(second.pid()));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--tlsverfy                                    | 2 | skepd: unknown flag --tlsverfy; did you mean --tlsverify?",
                "--config-file=/nowhere.json                   | 1 | skepd: /nowhere.json: there is no such configuration file; create it or check --config-file",
                "--config-file=/dev/zero/x                     | 1 | skepd: /dev/zero/x: cannot be read: /dev/zero/x: Not a directory",
                "--data-root=/dev/null                         | 1 | skepd: data-root /dev/null cannot be made: there is a file of that name",
                "--tlsverify --tlscert=/no --tlscacert=/no     | 1 | skepd: TLS: /no does not exist",
                "-H=tcp://127.0.0.1:1 -H=tcp://no.invalid:2376 --insecure-plain-tcp | 1 | skepd: tcp://no.invalid:2376: the name \"no.invalid\" has no address; check it or use one",
                "--group=no-such-group                         | 1 | skepd: unix://FOLDER/s.sock: there is no group 'no-such-group'; make it, or name another one",
            })
    void mistakesAreOneLine(String flags, int exitCode, String message) throws Exception {
        List<String> all = new ArrayList<>(List.of(host(socket()), "--log-level=error"));
        all.addAll(List.of(flags.split(" +", -1)));
        Program skepd = start(all.toArray(new String[0]));
        assertThat(skepd.exitCode()).isEqualTo(exitCode);
        assertThat(skepd.lines()).containsExactly(message.replace("FOLDER", folder.toString()));
    }

    @Test
    void validateExplainsAndStartsNothing() throws Exception {
        Path file =
                Files.writeString(folder.resolve("daemon.json"), "{\"tlsverify\": true, \"tlskey\": \"/no/key.pem\"}");
        Program skepd = start("--validate", "--config-file=" + file, "-H=tcp://0.0.0.0");
        assertThat(skepd.exitCode()).isZero();
        assertThat(skepd.output())
                .contains("configuration file: " + file)
                .containsPattern("hosts +tcp://0\\.0\\.0\\.0:2376 +flag --host")
                .containsPattern("tlskey +/no/key\\.pem +" + file + ":1:31")
                .contains("warning: /no/key.pem does not exist")
                .contains("configuration OK");
        assertThat(folder.resolve("data")).doesNotExist();
    }

    @Test
    void metricsTellOfEngineAndSwarm() throws Exception {
        int port = freePort();
        ready(start(host(socket()), "--metrics-addr=127.0.0.1:" + port));
        assertThat(metrics(port))
                .contains("engine_daemon_engine{commit=\"\",version=\"" + Version.CURRENT.version() + "\"} 1")
                .doesNotContain("swarm_manager_nodes{");

        docker(socket(), "swarm", "init", "--listen-addr=127.0.0.1:" + freePort(), "--advertise-addr=127.0.0.1");
        assertThat(metrics(port))
                .contains("swarm_manager_leader 1", "swarm_manager_quorum_members 1", "swarm_manager_services 0")
                .containsPattern("swarm_manager_nodes\\{state=\"\\w+\"} 1")
                .containsPattern("swarm_manager_state_version [1-9]");
    }

    private static String metrics(int port) throws IOException {
        try (InputStream page =
                URI.create("http://127.0.0.1:" + port + "/metrics").toURL().openStream()) {
            return new String(page.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Test
    void theLogCanBeJson() throws Exception {
        Program skepd = ready(start(host(socket()), "--log-format=json"));
        assertThat(skepd.lines())
                .allMatch(line -> line.matches("\\{\"level\":\"\\w+\",\"msg\":\".*\",\"time\":\".*Z\"}"));
    }

    @Test
    void aSecondSignalEndsItAtOnce() throws Exception {
        Program skepd = ready(start(host(socket()), "--shutdown-timeout=-1"));
        try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socketPath()))) {
            // A request whose body does not come holds up the clean end.
            client.write(StandardCharsets.US_ASCII.encode(
                    "POST /services/create HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"));
            assertThat(client.read(ByteBuffer.allocate(100))).isPositive();
            skepd.signal("TERM");
            skepd.await("stopping");
            skepd.signal("TERM");
            assertThat(skepd.exitCode()).isEqualTo(1);
            skepd.await("second signal");
        }
    }

    /** Starts skepd with folders of this test. */
    private Program start(String... flags) throws IOException {
        Path empty = folder.resolve("empty.json");
        Files.writeString(empty, "{}");
        List<String> all = new ArrayList<>(List.of(
                "--data-root=" + folder.resolve("data"),
                "--exec-root=" + folder.resolve("exec"),
                "--pidfile=" + folder.resolve("pid"),
                "--engine=none",
                "--config-file=" + empty));
        all.addAll(List.of(flags));
        return started(Program.skepd(all.toArray(new String[0])));
    }

    private Program activated(Path socket, String... flags) throws Exception {
        Program program = started(activation(socket.toString(), flags));
        program.await("Listening on");
        return program;
    }

    /** Returns a command that waits for a connection, then becomes skepd with the socket. */
    private List<String> activation(String listen, String... flags) throws IOException {
        List<String> command = new ArrayList<>(List.of("systemd-socket-activate", "--listen=" + listen));
        List<String> all = new ArrayList<>(List.of(
                "--data-root=" + folder.resolve("data"),
                "--exec-root=" + folder.resolve("exec"),
                "--pidfile=" + folder.resolve("pid"),
                "--engine=none",
                "--config-file=" + Files.writeString(folder.resolve("empty.json"), "{}")));
        all.addAll(List.of(flags));
        command.addAll(Program.skepd(all.toArray(new String[0])));
        return command;
    }

    private Program started(String... command) throws IOException {
        return started(List.of(command));
    }

    private Program started(List<String> command) throws IOException {
        Program program = Program.start(Map.of(), command);
        programs.add(program);
        return program;
    }

    private static Program ready(Program skepd) {
        skepd.await("is ready");
        return skepd;
    }

    private static void touch(int port) throws IOException {
        new java.net.Socket(InetAddress.getLoopbackAddress(), port).close();
    }

    private static void touch(Path socket) throws IOException {
        SocketChannel.open(UnixDomainSocketAddress.of(socket)).close();
    }

    private static String docker(String host, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("docker", "-H", host));
        command.addAll(List.of(arguments));
        Program docker = Program.run(command);
        assertThat(docker.exitCode()).as(docker.output()).isZero();
        return docker.output();
    }

    private static String tls(String flag, String file) {
        return "--" + flag + "=" + certificates.resolve("ours/server").resolve(file);
    }

    private static String host(String address) {
        return "--host=" + address;
    }

    private Path socketPath() {
        return folder.resolve("s.sock");
    }

    private String socket() {
        return "unix://" + socketPath();
    }

    /** Returns a port that was free a moment ago. */
    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
