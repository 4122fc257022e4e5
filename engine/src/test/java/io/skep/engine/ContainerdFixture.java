package io.skep.engine;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A real containerd in folders of its own, and a connection to it. */
final class ContainerdFixture implements AutoCloseable {
    final Path folder;
    final ContainerdProcess process;
    final EventLoopGroup loops = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    final Containerd containerd;

    ContainerdFixture() throws IOException {
        // Not the temporary folder of JUnit: /tmp may be an overlay, on which no overlay can be made.
        folder = Files.createTempDirectory(Path.of("/var/tmp"), "skep-engine-test");
        process = new ContainerdProcess("containerd", folder.resolve("data"), folder.resolve("run"));
        containerd = new Containerd(process.socket(), "skep-test", loops);
        containerd
                .version()
                .withWaitForReady()
                .withDeadlineAfter(java.time.Duration.ofSeconds(60))
                .version(com.google.protobuf.Empty.getDefaultInstance());
    }

    @Override
    public void close() throws IOException {
        containerd.close();
        process.close();
        loops.shutdownGracefully(0, 1, java.util.concurrent.TimeUnit.SECONDS).syncUninterruptibly();
        AtomicFiles.deleteTree(folder);
    }
}
