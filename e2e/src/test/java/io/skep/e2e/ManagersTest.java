package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * What an operator does with managers: locks them, promotes and demotes them, takes them out, rescues a cluster that
 * lost most of them, and moves all at once. Host 4 is a Docker worker that runs a service all the while.
 */
@ExtendWith(Evidence.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ManagersTest {
    private final Lab lab = new Lab("mgrs", "10.95.1");

    @AfterAll
    void close() {
        lab.close();
    }

    @Test
    @Order(1)
    void aLockedManagerWaitsForItsKey() {
        Host first = lab.add(1);
        first.start(Engine.SKEP);
        String shown = first.docker("swarm", "init", "--advertise-addr", first.address(), "--autolock")
                .expect();
        String key = first.docker("swarm", "unlock-key", "-q").expect();
        assertThat(key).startsWith("SWMKEY-1-");
        assertThat(shown).contains(key);
        first.docker("config", "create", "kept", "/etc/hostname").expect();

        first.stop();
        first.restart();
        assertThat(state(first)).isEqualTo("locked");
        assertThat(first.docker("node", "ls").expectFailure())
                .contains("Swarm is encrypted and needs to be unlocked before it can be used."
                        + " Please use \"docker swarm unlock\" to unlock it.");
        assertThat(unlock(first, "SWMKEY-1-" + "A".repeat(43)).expectFailure())
                .contains("swarm could not be unlocked: invalid key provided");
        assertThat(state(first)).isEqualTo("locked");
        unlock(first, key).expect();
        assertThat(first.docker("config", "ls", "--format", "{{.Name}}").expect())
                .isEqualTo("kept");

        String rotated = first.docker("swarm", "unlock-key", "--rotate", "-q").expect();
        assertThat(rotated).startsWith("SWMKEY-1-").isNotEqualTo(key);
        first.stop();
        first.restart();
        assertThat(unlock(first, key).expectFailure()).contains("invalid key provided");
        unlock(first, rotated).expect();

        first.docker("swarm", "update", "--autolock=false").expect();
        first.stop();
        first.restart();
        assertThat(first.docker("config", "ls", "--format", "{{.Name}}").expect())
                .isEqualTo("kept");
    }

    @Test
    @Order(2)
    void aSkepWorkerIsPromotedAndDemoted() {
        Host first = lab.host(1);
        Host second = lab.add(2);
        second.start(Engine.SKEP);
        join(second, "worker");
        assertThat(manager(first, second)).isEmpty();
        assertThat(second.docker("node", "ls").expectFailure())
                .contains("Worker nodes can't be used to view or modify");

        assertThat(first.docker("node", "promote", second.name()).expect())
                .isEqualTo("Node " + second.name() + " promoted to a manager in the swarm.");
        Await.untilEquals("the promoted node is a manager", Swarm.SOON, "Reachable", () -> manager(second, second));
        assertThat(manager(second, first)).isEqualTo("Leader");

        second.docker("node", "demote", first.name()).expect();
        Await.untilEquals("the other one leads", Swarm.SOON, "Leader", () -> manager(second, second));
        Await.until(
                "the demoted leader is a worker",
                Swarm.SOON,
                () -> first.docker("node", "ls").err().contains("This node is not a swarm manager"),
                () -> first.docker("node", "ls").toString());
        assertThat(manager(second, first)).isEmpty();
        second.docker("node", "promote", first.name()).expect();
        Await.untilEquals("it is a manager again", Swarm.SOON, "Reachable", () -> manager(first, first));
    }

    @Test
    @Order(3)
    void aManagerLeavesOnlyWhenForced() {
        Host third = lab.add(3);
        third.start(Engine.SKEP);
        join(third, "manager");
        assertThat(third.docker("swarm", "leave").expectFailure())
                .contains("You are attempting to leave the swarm on a node that is participating as a manager.")
                .contains("Use `--force`");
        third.docker("swarm", "leave", "--force").expect();
        assertThat(state(third)).isEqualTo("inactive");
        String left = third.name();
        Await.until(
                "the node that left is down",
                Swarm.SOON,
                () -> nodes(lab.host(1)).stream().anyMatch(node -> node.startsWith(left + " Down")),
                () -> nodes(lab.host(1)).toString());
        // What was forced out is a manager in name still, as in Docker: it is demoted before it is removed.
        lab.host(1).docker("node", "demote", left);
        Await.until(
                "the node is removed",
                Swarm.SOON,
                () -> lab.host(1).docker("node", "rm", "--force", left).status() == 0,
                () -> lab.host(1).docker("node", "rm", "--force", left).err());
        join(third, "manager");
        Await.untilEquals("there are three managers", Swarm.SOON, "Reachable", () -> manager(third, third));
    }

    @Test
    @Order(4)
    void oneOfThreeManagersSavesTheCluster() {
        Host worker = lab.add(4);
        worker.start(Engine.DOCKER);
        worker.load(lab.image());
        join(worker, "worker");
        lab.host(1)
                .docker(
                        "service",
                        "create",
                        "--quiet",
                        "--no-resolve-image",
                        "--endpoint-mode",
                        "dnsrr",
                        "--name",
                        "steady",
                        "bb:1",
                        "sh",
                        "-c",
                        "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
                .expect();
        String container = worker.docker("ps", "-q", "--no-trunc").expect();
        assertThat(container).hasSize(64);

        lab.host(1).powerOff();
        lab.host(2).powerOff();
        Host third = lab.host(3);
        assertThat(third.docker("service", "scale", "--detach", "steady=2").err()
                        + third.docker("config", "create", "lost", "/etc/hostname")
                                .expectFailure())
                .contains("The swarm does not have a leader. It's possible that too few managers are online."
                        + " Make sure more than half of the managers are online.");
        String id = third.docker("info", "--format", "{{.Swarm.NodeID}}").expect();
        assertThat(third.docker("swarm", "init", "--force-new-cluster", "--advertise-addr", third.address())
                        .expect())
                .contains("current node (" + id + ") is now a manager");
        assertThat(manager(third, third)).isEqualTo("Leader");
        Await.until(
                "the worker is back",
                Swarm.SOON,
                () -> nodes(third).contains(worker.name() + " Ready"),
                () -> nodes(third).toString());
        assertThat(third.docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
                        .expect())
                .isEqualTo("steady 1/1");
        assertThat(worker.docker("ps", "-q", "--no-trunc").expect()).isEqualTo(container);
        third.docker("service", "scale", "--detach", "steady=2").expect();
        Await.untilEquals(
                "orders reach the worker",
                Swarm.SOON,
                2L,
                () -> worker.docker("ps", "-q").lines().stream().count());
    }

    @Test
    @Order(5)
    void allManagersMoveAtOnce() {
        Host third = lab.host(3);
        for (int number = 1; number <= 2; number++) {
            Host host = lab.host(number);
            host.powerOn();
            host.restart();
            host.docker("swarm", "leave", "--force").expect();
            join(host, "manager");
            Host joined = host;
            Await.untilEquals("it is a manager", Swarm.SOON, "Reachable", () -> manager(joined, joined));
        }
        List<Host> managers = List.of(lab.host(1), lab.host(2), third);
        managers.forEach(Host::stop);
        for (Host host : managers) {
            host.readdress(lab.net() + ".10" + host.number());
        }
        for (Host host : managers) {
            String[] hints = managers.stream()
                    .filter(other -> other != host)
                    .flatMap(other -> List.of("--swarm-manager", lab.net() + ".10" + other.number() + ":2377").stream())
                    .toArray(String[]::new);
            String[] flags = new String[hints.length + 2];
            flags[0] = "--swarm-advertise-addr";
            flags[1] = lab.net() + ".10" + host.number();
            System.arraycopy(hints, 0, flags, 2, hints.length);
            host.start(Engine.SKEP, flags);
        }
        for (Host host : managers) {
            Await.untilEquals(
                    "the manager answers under its new address",
                    Swarm.SOON,
                    host.address() + ":2377 reachable",
                    () -> host.docker(
                                    "node",
                                    "inspect",
                                    "self",
                                    "--format",
                                    "{{.ManagerStatus.Addr}} {{.ManagerStatus.Reachability}}")
                            .out()
                            .strip());
        }
        lab.host(2).docker("config", "create", "after", "/etc/hostname").expect();
        assertThat(third.docker("config", "ls", "--format", "{{.Name}}").lines())
                .containsExactly("after", "kept");
        assertThat(third.docker("service", "inspect", "steady", "--format", "{{.Spec.Name}}")
                        .expect())
                .isEqualTo("steady");
    }

    private void join(Host host, String role) {
        Host asked = lab.hosts().stream()
                .filter(other ->
                        other != host && other.docker("node", "ls", "-q").status() == 0)
                .findFirst()
                .orElseThrow(() -> new AssertionError("no manager answers"));
        String token = asked.docker("swarm", "join-token", "-q", role).expect();
        host.docker(
                        Duration.ofSeconds(60),
                        "swarm",
                        "join",
                        "--token",
                        token,
                        "--advertise-addr",
                        host.address(),
                        asked.address() + ":2377")
                .expect();
    }

    private static String state(Host host) {
        return host.docker("info", "--format", "{{.Swarm.LocalNodeState}}").expect();
    }

    private Shell.Result unlock(Host host, String key) {
        return Shell.run("sh", "-c", "echo " + key + " | " + lab.cli() + " -H " + host.socket() + " swarm unlock");
    }

    private static List<String> nodes(Host asked) {
        return asked.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}")
                .out()
                .lines()
                .map(String::strip)
                .toList();
    }

    /** Returns what {@code node ls} shows of a manager; empty for a worker, and while there is no answer. */
    private static String manager(Host asked, Host host) {
        return nodes(asked).stream()
                .map(line -> line.split(" ", -1))
                .filter(words -> words[0].equals(host.name()) && words.length == 3)
                .map(words -> words[2])
                .findFirst()
                .orElse("");
    }
}
