package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The load generator against managers of both kinds: small, so that it is known to work when figures are wanted. */
class LoadTest {
    private static final int AGENTS = 20;

    @ParameterizedTest
    @EnumSource(Engine.class)
    void agentsThatRunNothingAreTakenForWorkers(Engine managers) throws Exception {
        try (Lab lab = new Lab("load", "10.95.6")) {
            Host manager = lab.add(1);
            manager.start(managers);
            Swarm swarm = new Swarm(lab);
            swarm.init(manager, "--availability", "drain");
            Path results = lab.state().resolve("results");

            Shell.Result run = load(
                    "--manager=" + manager.address(),
                    "--token=" + swarm.token("worker"),
                    "--api=" + manager.socket(),
                    "--agents=" + AGENTS,
                    "--tasks=100",
                    "--services=3",
                    "--prepare-millis=20",
                    "--start-millis=30",
                    "--stop-millis=10",
                    "--manager-pid=" + lab.hosts("pid", "1"),
                    "--manager-log=" + manager.folder().resolve("data/swarm/raft"),
                    "--timeout-seconds=60",
                    "--json=" + results);

            assertThat(run.expect())
                    .contains("| joins/s |", "| CPU per task, ms |", "| log per task, bytes |", "| removed tasks/s |");
            assertThat(Files.readString(results))
                    .contains("\"agents\":20,\"tasks\":100", "\"sessionsLost\":0", "\"count\":100");
            assertThat(manager.docker("service", "ls", "-q").expect()).isEmpty();
            assertThat(swarm.nodes(manager)).hasSize(AGENTS + 1).containsKeys("load00000", "load00019");
        }
    }

    private static Shell.Result load(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("skep.home"), "bin/load").toString());
        command.addAll(List.of(arguments));
        return Shell.run(Shell.COMMAND_TIMEOUT, Map.of(), command);
    }
}
