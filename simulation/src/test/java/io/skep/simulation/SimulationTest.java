package io.skep.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.skep.simulation.World.Result;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Runs of the simulation: those in which something was once wrong, and one seed after the other for a while. The
 * property {@code skep.simulation.seconds} says how long, {@code skep.simulation.start} where to begin: 0 for the time
 * of day, and so for fresh seeds. While some seeds are open (docs/simulation.md), what is tested without asking begins
 * in a range that has none of them; {@code bin/simulate} runs as many as one likes.
 */
class SimulationTest {
    private static final String SECONDS_DEFAULT = "45";

    /** Seeds from here on keep all rules, for longer than the test runs. */
    private static final long START_DEFAULT = 12_000;

    static Stream<Path> plans() throws IOException, URISyntaxException {
        Path folder = Path.of(Objects.requireNonNull(SimulationTest.class.getResource("/plans"))
                .toURI());
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList().stream();
        }
    }

    @ParameterizedTest
    @MethodSource("plans")
    void whatWasOnceWrongStaysRight(Path plan) throws IOException {
        Result result = World.run(Plan.parse(Files.readString(plan)), null);
        assertThat(Simulate.describe(result)).isEqualTo("all rules kept");
    }

    @ParameterizedTest
    @ValueSource(longs = {3, 8})
    void theSameSeedIsTheSameRun(long seed) {
        List<String> first = new ArrayList<>();
        List<String> second = new ArrayList<>();
        Result one = World.run(Plan.of(seed), first::add);
        Result other = World.run(Plan.of(seed), second::add);
        assertThat(second).isEqualTo(first);
        assertThat(other.fingerprint()).isEqualTo(one.fingerprint());
        assertThat(other.events()).isEqualTo(one.events());
    }

    @Test
    void readingAlongChangesNothing() {
        Result silent = World.run(Plan.of(5), null);
        Result traced = World.run(Plan.of(5), line -> {});
        assertThat(traced.fingerprint()).isEqualTo(silent.fingerprint());
    }

    @Test
    void aPlanIsItsText() {
        Plan plan = Plan.of(7);
        assertThat(Plan.parse(plan.text())).isEqualTo(plan);
    }

    @Test
    void seedsKeepTheRules() {
        Duration time =
                Duration.ofSeconds(Long.parseLong(System.getProperty("skep.simulation.seconds", SECONDS_DEFAULT)));
        long end = System.nanoTime() + time.toNanos();
        long asked = Long.getLong("skep.simulation.start", START_DEFAULT);
        long start = asked == 0 ? System.currentTimeMillis() : asked;
        System.out.println("seeds from " + start + " on");
        int runs = 0;
        for (long seed = start; System.nanoTime() - end < 0; seed++) {
            Result result = World.run(Plan.of(seed), null);
            if (result.violation() != null) {
                fail(
                        "seed %1$d: %2$s%nreplay it: bin/simulate --seed %1$d --trace%ncut it down: bin/simulate --seed %1$d --shrink"
                                .formatted(seed, Simulate.describe(result)));
            }
            runs++;
        }
        System.out.println(runs + " seeds keep all rules");
    }

    /** Nothing of a run may come from the machine: the order of a hash, a clock, a thread. */
    @Test
    void anotherJvmSeesTheSameRun() throws Exception {
        long seed = 42;
        MessageDigest here = MessageDigest.getInstance("SHA-256");
        World.run(Plan.of(seed), line -> here.update((line + System.lineSeparator()).getBytes(StandardCharsets.UTF_8)));
        Process other = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-Dslf4j.provider=" + SimulatedLogs.class.getName(),
                        "-Dslf4j.internal.verbosity=WARN",
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        Simulate.class.getName(),
                        "--seed",
                        String.valueOf(seed),
                        "--trace")
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        List<String> lines = other.inputReader(StandardCharsets.UTF_8).readAllLines();
        assertThat(other.waitFor()).isZero();
        // The last line sums up.
        MessageDigest there = MessageDigest.getInstance("SHA-256");
        lines.subList(0, lines.size() - 1)
                .forEach(line -> there.update((line + System.lineSeparator()).getBytes(StandardCharsets.UTF_8)));
        assertThat(lines).hasSizeGreaterThan(100);
        assertThat(HexFormat.of().formatHex(there.digest()))
                .isEqualTo(HexFormat.of().formatHex(here.digest()));
    }
}
