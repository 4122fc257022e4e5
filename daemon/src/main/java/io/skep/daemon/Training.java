package io.skep.daemon;

import io.skep.daemon.config.Arguments;
import io.skep.daemon.config.LoadedConfiguration;
import io.skep.daemon.config.Surroundings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A short life of a daemon that loads the classes a long one needs. The build runs it to make the JVM's AOT cache, with
 * which a daemon starts in a fraction of the time.
 */
final class Training {
    private static final List<String> REQUESTS = List.of("/_ping", "/version", "/info", "/nodes", "/unknown");

    private Training() {}

    /** Takes an empty folder to live in. */
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        Path socket = folder.resolve("s.sock");
        Path configurationFile = Files.writeString(folder.resolve("daemon.json"), "{}");
        Arguments parsed = Arguments.parse(List.of(
                "--config-file=" + configurationFile,
                "--host=unix://" + socket,
                "--data-root=" + folder.resolve("data"),
                "--exec-root=" + folder.resolve("exec"),
                "--pidfile=" + folder.resolve("pid")));
        Surroundings surroundings = new Surroundings(Map.of(), false, folder, false);
        LoadedConfiguration loaded = LoadedConfiguration.load(parsed, surroundings);
        StandardErrorLog.configure(loaded.configuration().log());
        Daemon daemon = new Daemon(loaded, () -> loaded, ServiceManager.of(Map.of(), 0));
        System.exit(daemon.run(() -> {
            REQUESTS.forEach(path -> get(socket, path));
            daemon.end();
        }));
    }

    private static void get(Path socket, String path) {
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            String request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
            ByteBuffer buffer = ByteBuffer.allocate(8192);
            while (channel.read(buffer.clear()) >= 0) {
                // The answer does not matter, only that it was made.
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
