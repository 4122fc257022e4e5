package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/** What a cluster of three Skep managers and two Docker workers survives. Each test leaves it whole for the next. */
@ExtendWith(Evidence.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class FailuresTest {
    private final Lab lab = new Lab("fail", "10.92.0");
    private final Swarm swarm = new Swarm(lab);

    @BeforeAll
    void form() {
        for (int i = 1; i <= 5; i++) {
            // The second manager has a small disk of its own, to be filled.
            Host host = switch (i) {
                case 2 -> lab.add(i, "--disk", "48m");
                case 5 -> lab.addNewerDocker(i);
                default -> lab.add(i);
            };
            host.start(i <= 3 ? Engine.SKEP : Engine.DOCKER);
            if (i > 3) {
                host.load(lab.image());
            }
            if (i == 1) {
                swarm.init(host);
            } else {
                swarm.join(host, i <= 3 ? "manager" : "worker");
            }
        }
        swarm.createService(lab.host(1), "steady", "--replicas", "4");
        swarm.awaitRunning(lab.host(1), "steady", 4);
    }

    @AfterAll
    void close() {
        lab.close();
    }

    @Test
    @Order(1)
    void noAcknowledgedWriteIsLostWhenTheLeaderIsKilled() throws Exception {
        for (int round = 0; round < 3; round++) {
            Host leader = swarm.leader(lab.host(1));
            Host writer = swarm.otherManager(leader);
            List<String> acknowledged = Collections.synchronizedList(new ArrayList<>());
            AtomicBoolean enough = new AtomicBoolean();
            String prefix = "write" + round + "x";
            Thread writes = Thread.startVirtualThread(() -> {
                for (int i = 0; !enough.get(); i++) {
                    String name = prefix + i;
                    Shell.Result result = writer.docker(
                            "service",
                            "create",
                            "--detach",
                            "--no-resolve-image",
                            "--replicas",
                            "0",
                            "--name",
                            name,
                            "bb:1");
                    if (result.status() == 0) {
                        acknowledged.add(name);
                    }
                }
            });
            Await.until("some writes", Swarm.SOON, () -> acknowledged.size() >= 10, acknowledged::toString);
            leader.kill();
            int before = acknowledged.size();
            Await.until("writes go on", Swarm.SOON, () -> acknowledged.size() >= before + 10, acknowledged::toString);
            enough.set(true);
            writes.join();
            leader.restart();
            swarm.assertAllReady(leader);
            for (Host host : swarm.managers()) {
                assertThat(host.docker("service", "ls", "--format", "{{.Name}}").lines())
                        .as("services that %s knows", host.name())
                        .containsAll(acknowledged);
            }
            List<String> remove = new ArrayList<>(List.of("service", "rm"));
            remove.addAll(acknowledged);
            writer.docker(remove.toArray(String[]::new)).expect();
        }
        assertThat(swarm.running(lab.host(1), "steady")).hasSize(4);
    }

    @Test
    @Order(2)
    void aCutLeaderIsReplacedAndComesBack() {
        Host leader = swarm.leader(lab.host(1));
        Host other = swarm.otherManager(leader);
        leader.cut();
        swarm.createService(other, "during-cut", "--replicas", "2");
        swarm.awaitRunning(other, "during-cut", 2);
        Await.until(
                "the cut manager is shown as unreachable",
                Swarm.SOON,
                () -> swarm.node(other, leader).endsWith("Unreachable"),
                () -> swarm.nodes(other).toString());
        assertThat(swarm.leader(other)).isNotSameAs(leader);
        assertThat(leader.docker("service", "create", "--detach", "--name", "lost", "bb:1")
                        .expectFailure())
                .contains("The swarm does not have a leader");
        leader.mend();
        Await.until(
                "the mended manager is reachable",
                Swarm.SOON,
                () -> swarm.node(other, leader).endsWith("Reachable"),
                () -> swarm.nodes(other).toString());
        assertThat(leader.docker("service", "ls", "--format", "{{.Name}}").lines())
                .contains("during-cut")
                .doesNotContain("lost");
        other.docker("service", "rm", "during-cut").expect();
    }

    @Test
    @Order(3)
    void tasksOfADeadWorkerRunElsewhere() {
        Host dead = lab.host(5);
        Host asked = lab.host(1);
        dead.powerOff();
        Await.until(
                "all tasks run on the other worker",
                Duration.ofSeconds(90),
                () -> swarm.running(asked, "steady").stream()
                                .filter(task -> task.endsWith(lab.host(4).name()))
                                .count()
                        == 4,
                () -> asked.docker("service", "ps", "steady").out());
        assertThat(swarm.node(asked, dead)).startsWith("Down");
        dead.powerOn();
        dead.restart();
        swarm.assertAllReady(asked);
    }

    @Test
    @Order(4)
    void tokensAreCheckedAndRotated() {
        Host manager = lab.host(1);
        Host stranger = lab.add(6);
        stranger.start(Engine.DOCKER);
        String old = swarm.token("worker");
        String wrong = old.substring(0, old.length() - 4) + "0000";
        assertThat(stranger.docker("swarm", "join", "--token", wrong, manager.address() + ":2377")
                        .expectFailure())
                .contains("A valid join token is necessary to join this cluster");
        manager.docker("swarm", "join-token", "--rotate", "-q", "worker").expect();
        assertThat(stranger.docker("swarm", "join", "--token", old, manager.address() + ":2377")
                        .expectFailure())
                .contains("A valid join token is necessary to join this cluster");
        assertThat(stranger.docker("swarm", "join", "--token", swarm.token("manager"), manager.address() + ":2377")
                        .expectFailure())
                .contains("cannot be a manager");
        stranger.docker("swarm", "join", "--token", swarm.token("worker"), manager.address() + ":2377")
                .expect();
        assertThat(manager.docker("node", "promote", stranger.name()).expectFailure())
                .contains("only Skep nodes can be managers of this swarm");
        stranger.docker("swarm", "leave").expect();
        Await.until(
                "the node that left is down",
                Swarm.SOON,
                () -> swarm.node(manager, stranger).startsWith("Down"),
                () -> swarm.nodes(manager).toString());
        manager.docker("node", "rm", stranger.name()).expect();
        assertThat(swarm.nodes(manager)).doesNotContainKey(stranger.name());
        stranger.powerOff();
    }

    @Test
    @Order(5)
    void aFullDiskOnAManagerLosesNothing() {
        Host full = lab.host(2);
        Host other = lab.host(1);
        String ballast = full.folder().resolve("data/ballast").toString();
        full.exec("dd", "if=/dev/zero", "of=" + ballast, "bs=1M");
        for (int i = 0; i < 20; i++) {
            other.docker(
                            "service",
                            "create",
                            "--detach",
                            "--no-resolve-image",
                            "--replicas",
                            "0",
                            "--name",
                            "full" + i,
                            "--label",
                            "ballast=" + "x".repeat(4000),
                            "bb:1")
                    .expect();
        }
        full.exec("rm", ballast).expect();
        Await.until(
                "the manager with room again knows all services",
                Swarm.SOON,
                () -> full.docker("service", "ls", "-q", "--filter", "label=ballast")
                                .out()
                                .lines()
                                .count()
                        == 20,
                () -> full.docker("service", "ls").toString());
        for (int i = 0; i < 20; i++) {
            full.docker("service", "rm", "full" + i).expect();
        }
    }

    @Test
    @Order(6)
    void allMachinesRestartAtOnce() {
        String nodes = lab.host(1)
                .docker("node", "ls", "-q")
                .expect()
                .lines()
                .sorted()
                .toList()
                .toString();
        for (int i = 1; i <= 5; i++) {
            lab.host(i).powerOff();
        }
        for (int i = 1; i <= 5; i++) {
            lab.host(i).powerOn();
            lab.hosts("restart", String.valueOf(i));
        }
        for (int i = 1; i <= 5; i++) {
            lab.hosts("wait", String.valueOf(i));
        }
        Host asked = lab.host(2);
        Await.until(
                "the cluster answers",
                Swarm.SOON,
                () -> asked.docker("node", "ls").status() == 0,
                () -> asked.docker("node", "ls").toString());
        swarm.assertAllReady(asked);
        assertThat(asked.docker("node", "ls", "-q")
                        .expect()
                        .lines()
                        .sorted()
                        .toList()
                        .toString())
                .isEqualTo(nodes);
        swarm.awaitRunning(asked, "steady", 4);
    }

    @Test
    @Order(7)
    void everyManagerGetsAnotherAddress() {
        // In the second round, what a manager remembers of the others is older than what its log says.
        for (int i = 1; i <= 6; i++) {
            String address = lab.net() + ".10" + i;
            Host host = lab.host((i - 1) % 3 + 1);
            host.stop();
            host.readdress(address);
            host.start(Engine.SKEP, "--swarm-advertise-addr", address);
            Await.untilEquals(
                    "the manager is part of the quorum under its new address",
                    Swarm.SOON,
                    address + ":2377 reachable",
                    () -> host.docker(
                                    "node",
                                    "inspect",
                                    "self",
                                    "--format",
                                    "{{.ManagerStatus.Addr}} {{.ManagerStatus.Reachability}}")
                            .out()
                            .strip());
            // A worker finds another manager only by what it was told before its own went away.
            for (Host worker : swarm.workers()) {
                Await.until(
                        worker.name() + " was told the new address",
                        Swarm.SOON,
                        () -> worker.managers().contains(address + ":2377"),
                        () -> worker.managers().toString());
            }
        }
        swarm.assertAllReady(lab.host(3));
        swarm.createService(lab.host(2), "after-move", "--replicas", "2");
        swarm.awaitRunning(lab.host(1), "after-move", 2);
        assertThat(swarm.running(lab.host(1), "steady")).hasSize(4);
    }
}
