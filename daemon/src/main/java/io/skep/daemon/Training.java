package io.skep.daemon;

import io.skep.daemon.config.Arguments;
import io.skep.daemon.config.ConfigurationException;
import io.skep.daemon.config.LoadedConfiguration;
import io.skep.daemon.config.Surroundings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Two short lives of a daemon that load the classes a long one needs: in the first it becomes the only manager of a
 * cluster on the loopback interface and gets a service, in the second it goes on with that. The build runs it to make
 * the JVM's AOT cache, with which a daemon starts in a fraction of the time. A request that is refused is no reason to
 * fail: the cache is then only less complete.
 */
final class Training {
    private static final List<String> READS = List.of(
            "/_ping",
            "/version",
            "/info",
            "/nodes",
            "/swarm",
            "/services",
            "/services/trained",
            "/tasks",
            "/networks",
            "/secrets",
            "/unknown");
    private static final String SERVICE = """
            {"Name": "trained", "TaskTemplate": {"ContainerSpec": {"Image": "image:1"}}, "Mode": {"Replicated": {"Replicas": 1}}}""";

    private final Path folder;
    private final Path socket;

    private Training(Path folder) {
        this.folder = folder;
        this.socket = folder.resolve("s.sock");
    }

    /** Takes an empty folder to live in. */
    public static void main(String[] arguments) throws Exception {
        Training training = new Training(Path.of(arguments[0]));
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        String address = "\"127.0.0.1:" + port + "\"";
        int first = training.live(() -> {
            training.ask(
                    "POST", "/swarm/init", "{\"ListenAddr\": " + address + ", \"AdvertiseAddr\": " + address + "}");
            training.ask("POST", "/services/create", SERVICE);
            training.readAll();
        });
        int second = training.live(training::readAll);
        System.exit(Math.max(first, second));
    }

    private int live(Runnable work) throws IOException, ConfigurationException, StartException {
        Path configurationFile = Files.writeString(folder.resolve("daemon.json"), "{}");
        Arguments parsed = Arguments.parse(List.of(
                "--config-file=" + configurationFile,
                "--host=unix://" + socket,
                "--engine=none",
                "--data-root=" + folder.resolve("data"),
                "--exec-root=" + folder.resolve("exec"),
                "--pidfile=" + folder.resolve("pid")));
        Surroundings surroundings = new Surroundings(Map.of(), false, folder, false);
        LoadedConfiguration loaded = LoadedConfiguration.load(parsed, surroundings);
        StandardErrorLog.configure(loaded.configuration().log());
        Daemon daemon = new Daemon(loaded, () -> loaded, ServiceManager.of(Map.of(), 0));
        return daemon.run(() -> {
            work.run();
            daemon.end();
        });
    }

    private void readAll() {
        READS.forEach(path -> ask("GET", path, ""));
    }

    private void ask(String method, String path, String body) {
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            String request = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    + "Content-Type: application/json\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
            channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
            ByteBuffer buffer = ByteBuffer.allocate(8192);
            StringBuilder answer = new StringBuilder();
            while (channel.read(buffer.clear()) >= 0) {
                answer.append(StandardCharsets.US_ASCII.decode(buffer.flip()));
            }
            System.out.println(method + " " + path + ": "
                    + answer.toString().lines().findFirst().orElse("no answer"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
