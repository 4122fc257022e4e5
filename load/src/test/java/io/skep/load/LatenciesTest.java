package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class LatenciesTest {
    @Test
    void percentilesAreThoseOfAllDurations() {
        Latencies latencies = new Latencies();
        for (int i = 1000; i >= 1; i--) {
            latencies.add(i * 1_000_000L);
        }

        assertThat(latencies.percentileMillis(50)).isEqualTo(500);
        assertThat(latencies.percentileMillis(99)).isEqualTo(990);
        assertThat(latencies.percentileMillis(100)).isEqualTo(1000);
        latencies.add(2_000_000_000L);
        assertThat(latencies.percentileMillis(100)).isEqualTo(2000);
        assertThat(latencies.count()).isEqualTo(1001);
    }

    @Test
    void ofNothingThereIsNone() {
        assertThat(new Latencies().percentileMillis(50)).isNaN();
    }
}
