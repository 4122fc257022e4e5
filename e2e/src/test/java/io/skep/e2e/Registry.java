package io.skep.e2e;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** A registry of images on this machine, which the hosts of a lab reach; it speaks plain HTTP. */
final class Registry implements AutoCloseable {
    private static final int PORT = 5080;

    private final String address;
    private final Process process;

    Registry(Lab lab) throws IOException {
        address = lab.net() + ".254:" + PORT;
        Files.createDirectories(lab.state());
        Path file = lab.state().resolve("registry.yml");
        Files.writeString(
                file,
                "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: \"%s\"}\n"
                        .formatted(lab.state().resolve("registry"), address));
        process = new ProcessBuilder("docker-registry", "serve", file.toString())
                .redirectErrorStream(true)
                .redirectOutput(lab.state().resolve("registry.log").toFile())
                .start();
    }

    /** Returns host:port. */
    String address() {
        return address;
    }

    @Override
    public void close() throws InterruptedException {
        process.destroy();
        process.waitFor(10, TimeUnit.SECONDS);
        process.destroyForcibly();
    }
}
