package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** From {@code swarm init} to five nodes, and a service through its whole life. */
@ExtendWith(Evidence.class)
class ServiceLifeTest {
    private final Lab lab = new Lab("life", "10.91.0");

    @AfterEach
    void close() {
        lab.close();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aServiceLives(Engine managers) {
        Swarm swarm = Swarm.form(lab, managers, 3, 2);
        Host first = swarm.managers().get(0);
        Host second = swarm.managers().get(1);
        Host third = swarm.managers().get(2);
        swarm.assertAllReady(third);
        assertThat(swarm.node(second, first)).endsWith("Leader");
        assertThat(swarm.node(first, third)).endsWith("Reachable");
        if (managers == Engine.SKEP) {
            assertThat(swarm.node(first, second)).isEqualTo("Ready Drain Reachable");
            assertThat(first.docker("node", "inspect", "self", "--format", "{{.Status.Message}}")
                            .expect())
                    .contains("runs no containers on this node");
        } else {
            for (Host host : swarm.managers()) {
                first.docker("node", "update", "--availability", "drain", host.name())
                        .expect();
            }
        }
        String worker = swarm.workers().get(0).name();

        first.docker(
                        "service",
                        "create",
                        "--no-resolve-image",
                        "--endpoint-mode",
                        "dnsrr",
                        "--name",
                        "web",
                        "--replicas",
                        "4",
                        "bb:1",
                        "sh",
                        "-c",
                        "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
                .expect();
        assertThat(swarm.running(third, "web")).hasSize(4);
        assertThat(swarm.running(third, "web").stream().filter(task -> task.endsWith(worker)))
                .hasSize(2);
        assertThat(second.docker("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}")
                        .expect())
                .isEqualTo("web replicated 4/4 bb:1");

        second.docker("service", "scale", "web=6").expect();
        assertThat(swarm.running(first, "web")).hasSize(6);
        third.docker("service", "update", "--no-resolve-image", "--image", "bb:2", "--update-delay", "0s", "web")
                .expect();
        assertThat(first.docker("service", "inspect", "web", "--format", "{{.UpdateStatus.State}}")
                        .expect())
                .isEqualTo("completed");
        assertThat(first.docker("service", "ps", "web", "-f", "desired-state=running", "--format", "{{.Image}}")
                        .lines())
                .hasSize(6)
                .containsOnly("bb:2");

        first.docker("node", "update", "--availability", "drain", worker).expect();
        Await.until(
                "the drained node runs nothing",
                Swarm.SOON,
                () -> swarm.running(first, "web").size() == 6
                        && swarm.running(first, "web").stream().noneMatch(task -> task.endsWith(worker)),
                () -> first.docker("service", "ps", "web").out());
        first.docker("node", "update", "--availability", "active", "--label-add", "disk=ssd", worker)
                .expect();

        swarm.createService(second, "everywhere", "--mode", "global");
        swarm.awaitRunning(second, "everywhere", 2);
        swarm.createService(second, "pinned", "--constraint", "node.labels.disk==ssd", "--replicas", "2");
        swarm.awaitRunning(second, "pinned", 2);
        assertThat(swarm.running(second, "pinned")).allMatch(task -> task.endsWith(worker));
        swarm.createService(third, "nowhere", "--constraint", "node.labels.disk==tape");
        Await.until(
                "a pending task says why",
                Duration.ofSeconds(20),
                () -> third.docker("service", "ps", "--no-trunc", "--format", "{{.Error}}", "nowhere")
                        .out()
                        .contains("no suitable node (3 nodes not available for new tasks; scheduling"
                                + " constraints not satisfied on 2 nodes)"),
                () -> third.docker("service", "ps", "--no-trunc", "nowhere").out());

        first.docker("service", "rm", "web", "everywhere", "pinned", "nowhere").expect();
        Await.untilEquals(
                "all services are gone",
                Swarm.SOON,
                "",
                () -> second.docker("service", "ls", "-q").expect());
        for (Host host : swarm.workers()) {
            Await.untilEquals(
                    "no container is left",
                    Swarm.SOON,
                    "",
                    () -> host.docker("ps", "-aq").expect());
        }
    }
}
