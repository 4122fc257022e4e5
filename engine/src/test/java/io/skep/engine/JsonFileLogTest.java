package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

final class JsonFileLogTest {
    private static final LogOptions ALL = new LogOptions(true, true, false, -1, null, null);
    private static final Instant START = Instant.parse("2026-01-02T03:04:05.600000007Z");

    @TempDir
    Path folder;

    private static LogLine line(int number) {
        return new LogLine(
                number % 2 == 0 ? OutputStreamKind.STDOUT : OutputStreamKind.STDERR,
                START.plusSeconds(number),
                ByteString.copyFromUtf8("line " + number + "\n"));
    }

    private static List<String> read(ContainerLog log, LogOptions options) throws Exception {
        List<String> all = new ArrayList<>();
        log.read(options, line -> all.add(line.text().toStringUtf8().strip()));
        return all;
    }

    private static List<String> lines(int from, int to) {
        return IntStream.range(from, to).mapToObj(i -> "line " + i).toList();
    }

    private Path path() {
        return folder.resolve("x-json.log");
    }

    @Test
    void theFormatIsThatOfDocker() throws Exception {
        try (JsonFileLog log = new JsonFileLog(path(), 0, 1, false)) {
            log.write(List.of(
                    new LogLine(OutputStreamKind.STDERR, START, ByteString.copyFromUtf8("a \"b\" \\ é\t\u0001\n"))));
        }
        assertThat(Files.readString(path()))
                .isEqualTo("{\"log\":\"a \\\"b\\\" \\\\ é\\t\\u0001\\n\",\"stream\":\"stderr\","
                        + "\"time\":\"2026-01-02T03:04:05.600000007Z\"}\n");
    }

    @Property(tries = 200)
    void whateverIsWrittenIsReadAgain(@ForAll @Size(max = 200) byte[] bytes) {
        byte[] valid = new String(bytes, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        JsonFileLog.encode(new LogLine(OutputStreamKind.STDERR, START, ByteString.copyFrom(bytes)), out);
        LogLine line = Objects.requireNonNull(JsonFileLog.decode(out.toByteArray()));
        assertThat(line.text()).isEqualTo(ByteString.copyFrom(valid));
        assertThat(line.time()).isEqualTo(START);
        assertThat(line.stream()).isEqualTo(OutputStreamKind.STDERR);
    }

    @Test
    void linesAreChosenByTailTimeAndStream() throws Exception {
        try (JsonFileLog log = new JsonFileLog(path(), 0, 1, false)) {
            log.write(IntStream.range(0, 10).mapToObj(JsonFileLogTest::line).toList());
            assertThat(read(log, ALL)).isEqualTo(lines(0, 10));
            assertThat(read(log, new LogOptions(true, true, false, 3, null, null)))
                    .isEqualTo(lines(7, 10));
            assertThat(read(log, new LogOptions(true, true, false, 0, null, null)))
                    .isEmpty();
            assertThat(read(log, new LogOptions(true, true, false, 99, null, null)))
                    .isEqualTo(lines(0, 10));
            assertThat(read(log, new LogOptions(true, true, false, -1, START.plusSeconds(4), START.plusSeconds(6))))
                    .isEqualTo(lines(4, 7));
            assertThat(read(log, new LogOptions(false, true, false, -1, null, null)))
                    .containsExactly("line 1", "line 3", "line 5", "line 7", "line 9");
        }
    }

    @Test
    void filesAreRotatedPackedAndReadAsOne() throws Exception {
        for (boolean compress : new boolean[] {false, true}) {
            Path path = folder.resolve(compress + "-json.log");
            try (JsonFileLog log = new JsonFileLog(path, 400, 4, compress)) {
                for (int i = 0; i < 40; i++) {
                    log.write(List.of(line(i)));
                }
                assertThat(log.files()).hasSize(4);
                List<String> all = read(log, ALL);
                assertThat(all).isEqualTo(lines(40 - all.size(), 40));
                assertThat(all.size()).isBetween(12, 24);
                assertThat(read(log, new LogOptions(true, true, false, 11, null, null)))
                        .isEqualTo(lines(29, 40));
            }
            try (JsonFileLog again = new JsonFileLog(path, 400, 4, compress)) {
                assertThat(read(again, ALL)).contains("line 39");
            }
        }
    }

    @Test
    @Timeout(60)
    void aFollowerSeesEverythingOnceAcrossRotationsUntilTheEnd() throws Exception {
        for (int filesMax : new int[] {1, 3}) {
            Path path = folder.resolve(filesMax + "-json.log");
            try (JsonFileLog log = new JsonFileLog(path, 2000, filesMax, false)) {
                log.begun();
                BlockingQueue<String> seen = new LinkedBlockingQueue<>();
                CompletableFuture<Void> over = new CompletableFuture<>();
                Thread.ofVirtual().start(() -> {
                    try {
                        log.read(
                                new LogOptions(true, true, true, -1, null, null),
                                line -> seen.add(line.text().toStringUtf8().strip()));
                        over.complete(null);
                    } catch (IOException | InterruptedException e) {
                        over.completeExceptionally(e);
                    }
                });
                for (int i = 0; i < 300; i++) {
                    log.write(List.of(line(i)));
                    // A follower that keeps up misses nothing, however often the file changes.
                    assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo("line " + i);
                }
                log.ended();
                over.get(30, TimeUnit.SECONDS);
                assertThat(seen).isEmpty();
            }
        }
    }

    @Test
    void aTornLineIsPassedOver() throws Exception {
        try (JsonFileLog log = new JsonFileLog(path(), 0, 1, false)) {
            log.write(List.of(line(0)));
        }
        Files.writeString(path(), "{\"log\":\"half a li", StandardOpenOption.APPEND);
        try (JsonFileLog log = new JsonFileLog(path(), 0, 1, false)) {
            log.write(List.of(line(1)));
            assertThat(read(log, ALL)).containsExactly("line 0", "line 1");
        }
    }

    @Property(tries = 100)
    void linesAreCutWhereTheyEndHoweverTheBytesCome(@ForAll @Size(max = 30) List<@Size(max = 9000) byte[]> chunks) {
        LineSplitter splitter = new LineSplitter(OutputStreamKind.STDOUT, () -> START);
        ByteArrayOutputStream put = new ByteArrayOutputStream();
        List<LogLine> lines = new ArrayList<>();
        for (byte[] chunk : chunks) {
            put.writeBytes(chunk);
            lines.addAll(splitter.take(chunk, chunk.length));
        }
        lines.addAll(splitter.end());
        ByteArrayOutputStream got = new ByteArrayOutputStream();
        for (int i = 0; i < lines.size(); i++) {
            byte[] text = lines.get(i).text().toByteArray();
            got.writeBytes(text);
            assertThat(text.length).isBetween(1, LineSplitter.LINE_BYTES_MAX);
            boolean whole = text[text.length - 1] == '\n';
            assertThat(whole || text.length == LineSplitter.LINE_BYTES_MAX || i == lines.size() - 1)
                    .isTrue();
            for (int at = 0; at < text.length - 1; at++) {
                assertThat(text[at]).isNotEqualTo((byte) '\n');
            }
        }
        assertThat(got.toByteArray()).isEqualTo(put.toByteArray());
    }

    @Test
    void aLongLineComesInPieces() {
        LineSplitter splitter = new LineSplitter(OutputStreamKind.STDOUT, () -> START);
        byte[] text = ("x".repeat(40_000) + "\nshort\n").getBytes(StandardCharsets.UTF_8);
        assertThat(splitter.take(text, text.length).stream()
                        .map(line -> line.text().size()))
                .containsExactly(16_384, 16_384, 40_001 - 2 * 16_384, 6);
    }
}
