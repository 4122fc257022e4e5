package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** A minute of torture with a new seed; {@code bin/torture} goes on for longer. */
class TortureTest {
    @Test
    void whatClientsSeeIsLinearizableWhateverBreaks() {
        long seed = System.nanoTime() / 1000 % 1_000_000_000;
        Path folder = Path.of(System.getProperty("skep.home"), "target/torture/" + seed);
        try (Lab lab = new Lab("tortu", "10.98.0")) {
            assertThat(new Torture(lab, Duration.ofSeconds(60), seed, folder).run())
                    .as("findings of seed %d", seed)
                    .isEmpty();
        }
    }
}
