package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class ObservationsTest {
    private final Observations seen = new Observations();

    @Test
    void countsAndTimesTheTasksOfServices() {
        seen.serviceAsked("web", 1_000_000);
        seen.assigned("web", 3_000_000);
        seen.assigned("unknown", 3_000_000);
        seen.runs("web", "image", 6_000_000);

        assertThat(seen.held()).isEqualTo(2);
        assertThat(seen.running()).isEqualTo(1);
        assertThat(seen.runningOf("image")).isEqualTo(1);
        assertThat(seen.toAssigned().percentileMillis(50)).isEqualTo(2);
        assertThat(seen.toRunning().percentileMillis(50)).isEqualTo(5);

        seen.stopped("image");
        seen.removed();
        assertThat(seen.held()).isEqualTo(1);
        assertThat(seen.running()).isZero();
        assertThat(seen.runningOf("image")).isZero();
    }

    @Test
    void tellsWhenSomethingIsReached() {
        CompletableFuture<Void> two = new CompletableFuture<>();
        seen.when(() -> seen.held() == 2, two);
        seen.assigned("web", 0);
        assertThat(two).isNotDone();
        seen.assigned("web", 0);
        assertThat(two).isCompleted();
        seen.removed();

        CompletableFuture<Void> already = new CompletableFuture<>();
        seen.when(() -> seen.held() == 1, already);
        assertThat(already).isCompleted();
    }
}
