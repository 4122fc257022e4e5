package io.skep.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.skep.simulation.World.Result;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Runs of the simulation: those in which something was once wrong, and fresh ones for a while. The property
 * {@code skep.simulation.seconds} says how long; {@code bin/simulate} runs as many as one likes.
 */
class SimulationTest {
    private static final String SECONDS_DEFAULT = "45";
    private static final int SEEDS_MAX = 1_000_000_000;

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
    void freshSeedsKeepTheRules() {
        Duration time =
                Duration.ofSeconds(Long.parseLong(System.getProperty("skep.simulation.seconds", SECONDS_DEFAULT)));
        long end = System.nanoTime() + time.toNanos();
        long seed = ThreadLocalRandom.current().nextInt(SEEDS_MAX);
        int runs = 0;
        while (System.nanoTime() - end < 0) {
            Result result = World.run(Plan.of(seed), null);
            if (result.violation() != null) {
                fail(
                        "seed %d: %s%nreplay it: bin/simulate --seed %d --trace%ncut it down: bin/simulate --seed %d --shrink"
                                .formatted(seed, Simulate.describe(result), seed, seed));
            }
            seed++;
            runs++;
        }
        System.out.println(runs + " fresh seeds keep all rules, the last is " + (seed - 1));
    }
}
