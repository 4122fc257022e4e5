package io.skep.engine;

import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.skep.containerd.containers.ContainersGrpc;
import io.skep.containerd.content.ContentGrpc;
import io.skep.containerd.diff.DiffGrpc;
import io.skep.containerd.images.ImagesGrpc;
import io.skep.containerd.leases.LeasesGrpc;
import io.skep.containerd.snapshots.SnapshotsGrpc;
import io.skep.containerd.tasks.TasksGrpc;
import io.skep.containerd.version.VersionGrpc;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * A connection to containerd over its unix socket, for one of its namespaces.
 *
 * <p>The channel connects by itself, again and again, so this object outlives a restart of containerd; calls that were
 * under way then fail with UNAVAILABLE. Blocking stubs are for virtual threads.
 */
final class Containerd implements AutoCloseable {
    private static final Metadata.Key<String> NAMESPACE =
            Metadata.Key.of("containerd-namespace", Metadata.ASCII_STRING_MARSHALLER);
    private static final Metadata.Key<String> LEASE =
            Metadata.Key.of("containerd-lease", Metadata.ASCII_STRING_MARSHALLER);
    private static final int MESSAGE_BYTES_MAX = 16 << 20;
    private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(2);

    private final ManagedChannel connection;
    private final Channel channel;

    /**
     * Opens a connection.
     *
     * @param loops of the epoll kind: with others a unix socket loses data when one side closes first
     */
    Containerd(Path socket, String namespace, EventLoopGroup loops) {
        connection = NettyChannelBuilder.forAddress(new DomainSocketAddress(socket.toString()))
                .eventLoopGroup(loops)
                .channelType(EpollDomainSocketChannel.class)
                .overrideAuthority("localhost")
                .maxInboundMessageSize(MESSAGE_BYTES_MAX)
                .usePlaintext()
                .build();
        Metadata headers = new Metadata();
        headers.put(NAMESPACE, namespace);
        channel = ClientInterceptors.intercept(connection, MetadataUtils.newAttachHeadersInterceptor(headers));
    }

    VersionGrpc.VersionBlockingStub version() {
        return VersionGrpc.newBlockingStub(channel);
    }

    ContainersGrpc.ContainersBlockingStub containers() {
        return ContainersGrpc.newBlockingStub(channel);
    }

    TasksGrpc.TasksBlockingStub tasks() {
        return TasksGrpc.newBlockingStub(channel);
    }

    SnapshotsGrpc.SnapshotsBlockingStub snapshots() {
        return SnapshotsGrpc.newBlockingStub(channel);
    }

    ContentGrpc.ContentBlockingStub content() {
        return ContentGrpc.newBlockingStub(channel);
    }

    /** Returns the stub for uploads, which are a stream in both directions. */
    ContentGrpc.ContentBlockingV2Stub uploads() {
        return ContentGrpc.newBlockingV2Stub(channel);
    }

    DiffGrpc.DiffBlockingStub diff() {
        return DiffGrpc.newBlockingStub(channel);
    }

    ImagesGrpc.ImagesBlockingStub images() {
        return ImagesGrpc.newBlockingStub(channel);
    }

    LeasesGrpc.LeasesBlockingStub leases() {
        return LeasesGrpc.newBlockingStub(channel);
    }

    /** Returns what a call answers, or nothing when containerd does not know what it is about. */
    static <T> Optional<T> found(Supplier<T> call) {
        try {
            return Optional.of(call.get());
        } catch (StatusRuntimeException e) {
            if (e.getStatus().getCode() == Status.Code.NOT_FOUND) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** Returns an interceptor under which all that is made belongs to a lease, so that it is not collected. */
    static ClientInterceptor under(String leaseId) {
        Metadata headers = new Metadata();
        headers.put(LEASE, leaseId);
        return MetadataUtils.newAttachHeadersInterceptor(headers);
    }

    @Override
    public void close() {
        connection.shutdownNow();
        try {
            connection.awaitTermination(CLOSE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
