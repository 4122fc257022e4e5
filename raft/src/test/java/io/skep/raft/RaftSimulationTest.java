package io.skep.raft;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Runs the simulation for seeds 0 to {@code -Draft.seeds} (60). */
final class RaftSimulationTest {
    @Test
    void promisesHoldUnderFaults() {
        int seeds = Integer.getInteger("raft.seeds", 60);
        for (int seed = 0; seed < seeds; seed++) {
            assertThat(new RaftSimulation(seed, false).run()).startsWith("seed " + seed + ":");
        }
    }

    @Test
    void aRemovalThatTheLeaderLostLeavesTheClusterALeader() throws Exception {
        for (int seed = 0; seed < 10; seed++) {
            new RaftSimulation(seed, false).loseRemoval();
        }
    }
}
