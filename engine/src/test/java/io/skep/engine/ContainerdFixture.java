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
        this(emptyFolder());
    }

    /**
     * Returns a folder that is not in the temporary one of JUnit: /tmp may be an overlay, on which none can be made.
     */
    static Path emptyFolder() throws IOException {
        return Files.createTempDirectory(Path.of("/var/tmp"), "skep-engine-test");
    }

    /** @param folder is deleted in the end */
    ContainerdFixture(Path folder) throws IOException {
        this.folder = folder;
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
