package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.Any;
import io.grpc.ClientInterceptor;
import io.skep.containerd.containers.Container;
import io.skep.containerd.containers.CreateContainerRequest;
import io.skep.containerd.containers.DeleteContainerRequest;
import io.skep.containerd.leases.CreateRequest;
import io.skep.containerd.tasks.CreateTaskRequest;
import io.skep.containerd.tasks.DeleteTaskRequest;
import io.skep.containerd.tasks.StartRequest;
import io.skep.containerd.tasks.WaitRequest;
import io.skep.containerd.tasks.WaitResponse;
import io.skep.containerd.types.Descriptor;
import io.skep.containerd.types.Mount;
import io.skep.engine.OciSpecification.Surroundings;
import io.skep.engine.record.Config;
import io.skep.engine.record.HostConfig;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** A layer becomes a container, against a real containerd and a real runtime. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class RunTest {
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
    private ContainerdFixture fixture;
    private Contents contents;
    private Layers layers;
    private ClientInterceptor lease;

    @BeforeAll
    void start() throws IOException {
        fixture = new ContainerdFixture();
        contents = new Contents(fixture.containerd);
        layers = new Layers(fixture.containerd, "overlayfs");
        fixture.containerd
                .leases()
                .create(CreateRequest.newBuilder().setId("test").build());
        lease = Containerd.under("test");
    }

    @AfterAll
    void stop() throws IOException {
        fixture.close();
        executor.close();
    }

    private static Descriptor descriptor(byte[] layer) {
        return Descriptor.newBuilder()
                .setMediaType("application/vnd.oci.image.layer.v1.tar")
                .setDigest(Digests.of(layer))
                .setSize(layer.length)
                .build();
    }

    private Descriptor store(byte[] layer) throws Exception {
        Descriptor descriptor = descriptor(layer);
        contents.write(
                "layer-" + descriptor.getDigest(),
                descriptor.getDigest(),
                0,
                layer.length,
                new ByteArrayInputStream(layer),
                Map.of(),
                lease);
        return descriptor;
    }

    @Test
    void aContainerIsMadeFromLayersRunsAndIsHeard() throws Exception {
        byte[] lower = new TarOfBusybox().bytes();
        byte[] upper = new Tar().file("hello", "from the second layer\n").bytes();
        String chain = layers.unpack(
                List.of(store(lower), store(upper)), List.of(Digests.of(lower), Digests.of(upper)), lease);
        assertThat(layers.has(chain)).isTrue();

        List<Mount> mounts = layers.prepare("one", chain);
        Config config = Config.newBuilder()
                .addCmd("/bin/sh")
                .addCmd("-c")
                .addCmd("cat /hello; echo $HOSTNAME; echo told >&2; grep CapEff /proc/self/status; exit 7")
                .build();
        Any specification = OciSpecification.of(
                config,
                HostConfig.newBuilder().addCapDrop("ALL").addCapAdd("net_admin").build(),
                new Surroundings(
                        "0123456789abcdef",
                        0,
                        0,
                        List.of(),
                        "",
                        "/skep-engine-test/one",
                        false,
                        List.of(),
                        -1,
                        Map.of(),
                        List.of(),
                        ""));
        fixture.containerd
                .containers()
                .create(CreateContainerRequest.newBuilder()
                        .setContainer(Container.newBuilder()
                                .setId("one")
                                .setRuntime(Container.Runtime.newBuilder().setName("io.containerd.runc.v2"))
                                .setSnapshotter("overlayfs")
                                .setSnapshotKey("one")
                                .setSpec(specification))
                        .build());
        Path out = fixture.folder.resolve("out");
        Path err = fixture.folder.resolve("err");
        LinuxCalls.makeFifo(out);
        LinuxCalls.makeFifo(err);
        try (Pipes pipes = new Pipes(executor)) {
            Heard heard = new Heard();
            Heard complaints = new Heard();
            pipes.read(out, heard);
            pipes.read(err, complaints);
            fixture.containerd
                    .tasks()
                    .create(CreateTaskRequest.newBuilder()
                            .setContainerId("one")
                            .addAllRootfs(mounts)
                            .setStdout(out.toString())
                            .setStderr(err.toString())
                            .build());
            CompletableFuture<WaitResponse> exit = CompletableFuture.supplyAsync(
                    () -> fixture.containerd
                            .tasks()
                            .wait(WaitRequest.newBuilder().setContainerId("one").build()),
                    executor);
            fixture.containerd
                    .tasks()
                    .start(StartRequest.newBuilder().setContainerId("one").build());
            assertThat(exit.get(60, TimeUnit.SECONDS).getExitStatus()).isEqualTo(7);
            fixture.containerd
                    .tasks()
                    .delete(DeleteTaskRequest.newBuilder().setContainerId("one").build());
            assertThat(heard.text.get(60, TimeUnit.SECONDS))
                    .isEqualTo("from the second layer\n0123456789ab\nCapEff:\t0000000000001000\n");
            assertThat(complaints.text.get(60, TimeUnit.SECONDS)).isEqualTo("told\n");
        }
        fixture.containerd
                .containers()
                .delete(DeleteContainerRequest.newBuilder().setId("one").build());
        layers.remove("one");
        layers.remove("one");
    }

    @Test
    void aLayerThatIsNotWhatTheImageNamesIsRefusedAndLeavesNothing() throws Exception {
        byte[] layer = new Tar().file("a", "b").bytes();
        Descriptor stored = store(layer);
        String other = Digests.of(new byte[] {1});
        assertThatThrownBy(() -> layers.unpack(List.of(stored), List.of(other), lease))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("but the image's configuration names " + other);
        assertThat(layers.has(other)).isFalse();

        byte[] noise =
                "no tar at all, but long enough to be read as one".repeat(40).getBytes(StandardCharsets.UTF_8);
        Descriptor damaged = store(noise);
        assertThatThrownBy(() -> layers.unpack(List.of(damaged), List.of(Digests.of(noise)), lease))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(damaged.getDigest());
    }

    @Test
    void bytesThatAreNotThoseOfTheDigestAreRefused() throws Exception {
        byte[] right = "right".getBytes(StandardCharsets.UTF_8);
        byte[] wrong = "wrong".getBytes(StandardCharsets.UTF_8);
        String digest = Digests.of(right);
        assertThatThrownBy(() -> contents.write(
                        "try", digest, 0, right.length, new ByteArrayInputStream(wrong), Map.of(), lease))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(digest);
        assertThat(contents.has(digest)).isFalse();

        contents.write("try", digest, 0, right.length, new ByteArrayInputStream(right), Map.of(), lease);
        assertThat(contents.read(digest, 100)).isEqualTo(right);
        assertThatThrownBy(() -> contents.read(digest, 4)).hasMessageContaining("larger than 4 bytes");
    }

    private static final class Heard implements Pipes.Sink {
        final CompletableFuture<String> text = new CompletableFuture<>();
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public void take(byte[] taken, int length) {
            bytes.write(taken, 0, length);
        }

        @Override
        public void end() {
            text.complete(bytes.toString(StandardCharsets.UTF_8));
        }
    }

    /** A layer with a shell and what it needs. */
    private static final class TarOfBusybox {
        byte[] bytes() throws IOException {
            byte[] busybox = Files.readAllBytes(Path.of("/bin/busybox"));
            Tar tar = new Tar().directory("bin").executable("bin/busybox", busybox);
            for (String name : List.of("sh", "cat", "grep", "echo")) {
                tar.link("bin/" + name, "busybox");
            }
            return tar.bytes();
        }
    }
}
