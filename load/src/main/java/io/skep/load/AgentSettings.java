package io.skep.load;

import java.util.random.RandomGenerator;

/**
 * How the agents behave.
 *
 * @param prepareMillis how long making a container takes on average; each takes between half and one and a half of it
 * @param startMillis the same of its start
 * @param stopMillis the same of its stop
 * @param statusesPerCall how many statuses an agent reports in one call: 1 as a stock engine, 100 as Skep's agent
 */
record AgentSettings(int prepareMillis, int startMillis, int stopMillis, int statusesPerCall) {
    long workMillis(TaskLife.Work work, RandomGenerator random) {
        int mean = switch (work) {
            case NONE -> 0;
            case PREPARE -> prepareMillis;
            case START -> startMillis;
            case STOP -> stopMillis;
        };
        return mean == 0 ? 0 : mean / 2 + random.nextInt(mean + 1);
    }
}
