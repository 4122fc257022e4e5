package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Named pipes against their real other side: files opened by Java. */
@Timeout(60)
final class PipesTest {
    private static final byte[] LARGE = new byte[3 << 20];

    static {
        for (int i = 0; i < LARGE.length; i++) {
            LARGE[i] = (byte) (i * 31 + (i >> 11));
        }
    }

    @TempDir
    Path folder;

    private ExecutorService executor;
    private Pipes pipes;

    @BeforeEach
    void start() throws IOException {
        executor = Executors.newVirtualThreadPerTaskExecutor();
        pipes = new Pipes(executor);
    }

    @AfterEach
    void stop() {
        pipes.close();
        executor.close();
    }

    private static final class Gathered implements Pipes.Sink {
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        final CompletableFuture<byte[]> all = new CompletableFuture<>();

        @Override
        public void take(byte[] taken, int length) {
            bytes.write(taken, 0, length);
        }

        @Override
        public void end() {
            all.complete(bytes.toByteArray());
        }
    }

    private Path pipe(String name) throws IOException {
        Path pipe = folder.resolve(name);
        LinuxCalls.makeFifo(pipe);
        return pipe;
    }

    @Test
    void everythingIsReadInOrderUntilTheWriterCloses() throws Exception {
        Path pipe = pipe("out");
        Gathered gathered = new Gathered();
        pipes.read(pipe, gathered);
        try (FileOutputStream out = new FileOutputStream(pipe.toFile())) {
            out.write(LARGE);
        }
        assertThat(gathered.all.get(30, TimeUnit.SECONDS)).isEqualTo(LARGE);
    }

    @Test
    void manyPipesAreReadAtOnceAndASlowSinkHoldsUpOnlyItsOwn() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        Path slow = pipe("slow");
        Gathered held = new Gathered();
        CompletableFuture<byte[]> heldAll = held.all;
        pipes.read(slow, new Pipes.Sink() {
            @Override
            public void take(byte[] bytes, int length) throws InterruptedException {
                release.await();
                held.take(bytes, length);
            }

            @Override
            public void end() {
                held.end();
            }
        });
        Thread writer = Thread.ofVirtual().start(() -> {
            try (FileOutputStream out = new FileOutputStream(slow.toFile())) {
                out.write(LARGE);
            } catch (IOException e) {
                heldAll.completeExceptionally(e);
            }
        });
        List<Gathered> quick = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Path pipe = pipe("quick" + i);
            Gathered gathered = new Gathered();
            quick.add(gathered);
            pipes.read(pipe, gathered);
            try (FileOutputStream out = new FileOutputStream(pipe.toFile())) {
                out.write(("line " + i).getBytes(StandardCharsets.UTF_8));
            }
        }
        for (int i = 0; i < quick.size(); i++) {
            assertThat(new String(quick.get(i).all.get(30, TimeUnit.SECONDS), StandardCharsets.UTF_8))
                    .isEqualTo("line " + i);
        }
        assertThat(heldAll).isNotDone();
        release.countDown();
        assertThat(heldAll.get(30, TimeUnit.SECONDS)).isEqualTo(LARGE);
        writer.join();
    }

    @Test
    void aPipeThatAnotherKeepsOpenIsReadOnWhereTheFormerReaderStopped() throws Exception {
        Path pipe = pipe("kept");
        Gathered first = new Gathered();
        Pipes.Reading reading = pipes.read(pipe, first);
        try (FileOutputStream out = new FileOutputStream(pipe.toFile());
                FileInputStream keeper = new FileInputStream(pipe.toFile())) {
            reading.close();
            assertThat(first.all.join()).isEmpty();
            out.write("written while nobody read".getBytes(StandardCharsets.UTF_8));
            assertThat(keeper.available()).isPositive();
            Gathered second = new Gathered();
            pipes.read(pipe, second);
            out.close();
            assertThat(new String(second.all.get(30, TimeUnit.SECONDS), StandardCharsets.UTF_8))
                    .isEqualTo("written while nobody read");
        }
    }

    @Test
    void aSinkThatFailsEndsItsPipe() throws Exception {
        Path pipe = pipe("failing");
        CompletableFuture<Void> ended = new CompletableFuture<>();
        pipes.read(pipe, new Pipes.Sink() {
            @Override
            public void take(byte[] bytes, int length) throws IOException {
                throw new IOException("the disk is full");
            }

            @Override
            public void end() {
                ended.complete(null);
            }
        });
        try (FileOutputStream out = new FileOutputStream(pipe.toFile())) {
            out.write(1);
            ended.get(30, TimeUnit.SECONDS);
        }
    }

    @Test
    void whatIsWrittenArrivesAndWaitsForRoom() throws Exception {
        Path pipe = pipe("in");
        CompletableFuture<byte[]> read = new CompletableFuture<>();
        CountDownLatch open = new CountDownLatch(1);
        Thread reader = Thread.ofPlatform().start(() -> {
            try (FileInputStream in = new FileInputStream(pipe.toFile())) {
                open.countDown();
                read.complete(in.readAllBytes());
            } catch (IOException e) {
                read.completeExceptionally(e);
            }
        });
        // The reader's open returns when a writer is there, so a first writer lets it in.
        try (FileOutputStream first = new FileOutputStream(pipe.toFile())) {
            open.await();
            try (Pipes.Writing writing = pipes.write(pipe, Duration.ZERO)) {
                first.close();
                assertThat(writing.write(LARGE, 5, LARGE.length - 5)).isTrue();
            }
        }
        assertThat(read.get(30, TimeUnit.SECONDS)).isEqualTo(Arrays.copyOfRange(LARGE, 5, LARGE.length));
        reader.join();
    }

    @Test
    void writingEndsWhenNobodyReadsOrTheWriterIsClosed() throws Exception {
        Path pipe = pipe("nobody");
        assertThatThrownBy(() -> pipes.write(pipe, Duration.ZERO)).isInstanceOf(LinuxCalls.Errno.class);

        Gathered gathered = new Gathered();
        Pipes.Reading reading = pipes.read(pipe, gathered);
        Pipes.Writing writing = pipes.write(pipe, Duration.ZERO);
        reading.close();
        assertThat(writing.write(new byte[] {1}, 0, 1)).isFalse();
        writing.close();
        writing.close();
        assertThat(writing.write(new byte[] {1}, 0, 1)).isFalse();
    }
}
