package io.skep.api;

import io.skep.engine.Engine;
import io.skep.engine.EngineSettings;
import io.skep.engine.NetworkSettings;
import io.skep.engine.image.RegistrySettings;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A real engine in a folder of its own, and the API on a socket in it. */
final class ServedEngine implements AutoCloseable {
    final Path folder;
    final Engine engine;
    private final ApiServer server;

    /** @param cgroupParent empty for the default */
    ServedEngine(String cgroupParent) throws IOException {
        // Not the temporary folder of JUnit: /tmp may be an overlay, on which no overlay can be made.
        folder = Files.createTempDirectory(Path.of("/var/tmp"), "skep-api-test");
        engine = new Engine(new EngineSettings(
                folder.resolve("data"),
                folder.resolve("run"),
                "",
                Map.of("runc", "runc"),
                "runc",
                cgroupParent,
                RegistrySettings.DEFAULT,
                NetworkSettings.USUAL));
        server = new ApiServer(ApiServerTest.engine(folder), new FakeNode(), engine);
        server.listen(new ListenAddress.Unix(socket(), ""));
    }

    Path socket() {
        return folder.resolve("docker.sock");
    }

    @Override
    public void close() throws IOException {
        server.close();
        engine.close();
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException failure)
                    throws IOException {
                Files.delete(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
