package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class AgentSettingsTest {
    @Test
    void workTakesAboutAsLongAsItShould() {
        AgentSettings settings = new AgentSettings(200, 0, 100, 1);
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < 1000; i++) {
            assertThat(settings.workMillis(TaskLife.Work.PREPARE, random)).isBetween(100L, 300L);
        }
        assertThat(settings.workMillis(TaskLife.Work.START, random)).isZero();
        assertThat(settings.workMillis(TaskLife.Work.NONE, random)).isZero();
    }

    @Test
    void theSameSeedTakesTheSameTime() {
        AgentSettings settings = new AgentSettings(200, 300, 100, 1);
        assertThat(settings.workMillis(TaskLife.Work.START, new SplittableRandom(7)))
                .isEqualTo(settings.workMillis(TaskLife.Work.START, new SplittableRandom(7)));
    }
}
