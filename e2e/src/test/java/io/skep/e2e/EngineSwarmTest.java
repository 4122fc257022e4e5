package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Skep nodes that run containers themselves: in a swarm of their own, and as workers of stock managers. */
@ExtendWith(Evidence.class)
class EngineSwarmTest {
    private final Lab lab = new Lab("engsw", "10.98.0");
    private final List<Registry> registries = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        for (Registry registry : registries) {
            registry.close();
        }
        lab.close();
    }

    /** Starts a registry and a Docker Engine on a host, which fills it; returns the name of the image without tag. */
    private String imageFrom(Host docker) throws Exception {
        Registry registry = new Registry(lab);
        registries.add(registry);
        String image = registry.address() + "/bb";
        docker.start(Engine.DOCKER, "--insecure-registry", registry.address());
        docker.load(lab.image());
        for (String tag : List.of("1", "2")) {
            docker.docker("tag", "bb:" + tag, image + ":" + tag).expect();
            docker.docker("push", "-q", image + ":" + tag).expect();
        }
        return image;
    }

    private void startSkep(Host host) {
        host.startWithContainers("--insecure-registry", registries.getFirst().address());
    }

    private static void create(Host asked, String name, String image, String... flags) {
        List<String> command = new ArrayList<>(
                List.of("service", "create", "--detach", "--no-resolve-image", "--network", "host", "--name", name));
        command.addAll(List.of(flags));
        command.addAll(
                List.of(
                        image,
                        "sh",
                        "-c",
                        "trap 'exit 0' TERM; echo hello from $TASK; cat /run/secrets/word; while :; do sleep 3600 & wait $!; done"));
        asked.docker(command.toArray(String[]::new)).expect();
    }

    private void createSecret(Host asked) throws IOException {
        Path file = Files.writeString(lab.state().resolve("word"), "hidden\n");
        asked.docker("secret", "create", "word", file.toString()).expect();
    }

    private static String taskIds(Host asked, String service) {
        return String.join(
                " ",
                new TreeSet<>(asked.docker("service", "ps", service, "-q", "--no-trunc", "-f", "desired-state=running")
                        .lines()));
    }

    @Test
    void aServiceLivesOnSkepEngines() throws Exception {
        Host guest = lab.add(6);
        String image = imageFrom(guest);
        Swarm swarm = new Swarm(lab);
        for (int i = 1; i <= 5; i++) {
            Host host = lab.add(i);
            startSkep(host);
            if (i == 1) {
                swarm.init(host);
            } else {
                swarm.join(host, i <= 3 ? "manager" : "worker");
            }
        }
        Host first = lab.host(1);
        Host worker = lab.host(4);
        Host other = lab.host(5);
        assertThat(swarm.node(first, worker)).isEqualTo("Ready Active");
        assertThat(swarm.node(first, first)).isEqualTo("Ready Active Leader");
        for (int i = 1; i <= 3; i++) {
            first.docker(
                            "node",
                            "update",
                            "--availability",
                            "drain",
                            lab.host(i).name())
                    .expect();
        }
        createSecret(first);
        create(first, "web", image + ":1", "--replicas", "4", "--env", "TASK={{.Task.Slot}}", "--secret", "word");
        swarm.awaitRunning(first, "web", 4);
        assertThat(swarm.running(first, "web").stream().filter(task -> task.endsWith(worker.name())))
                .hasSize(2);
        assertThat(first.docker("service", "logs", "--raw", "web").out())
                .contains("hello from 1", "hello from 2", "hello from 3", "hello from 4", "hidden");

        String tasks = taskIds(first, "web");
        List<String> containers = worker.docker("ps", "-q", "--no-trunc").lines();
        assertThat(containers).hasSize(2);
        worker.kill();
        worker.restart();
        swarm.assertAllReady(first);
        assertThat(worker.docker("ps", "-q", "--no-trunc").lines()).containsExactlyInAnyOrderElementsOf(containers);
        assertThat(taskIds(first, "web")).isEqualTo(tasks);

        first.docker("service", "scale", "--detach", "web=6").expect();
        swarm.awaitRunning(first, "web", 6);
        first.docker(
                        "service",
                        "update",
                        "--no-resolve-image",
                        "--image",
                        image + ":2",
                        "--update-parallelism",
                        "3",
                        "web")
                .expect();
        assertThat(first.docker("service", "ps", "web", "-f", "desired-state=running", "--format", "{{.Image}}")
                        .lines())
                .hasSize(6)
                .containsOnly(image + ":2");

        first.docker("node", "update", "--availability", "drain", worker.name()).expect();
        Await.until(
                "a drained node runs nothing",
                Swarm.SOON,
                () -> worker.docker("ps", "-q").out().isBlank()
                        && swarm.running(first, "web").size() == 6,
                () -> first.docker("service", "ps", "web").out());
        first.docker("node", "update", "--availability", "active", worker.name())
                .expect();
        other.powerOff();
        Await.until(
                "the tasks of a dead node run elsewhere",
                Swarm.SOON,
                () -> swarm.running(first, "web").size() == 6
                        && swarm.running(first, "web").stream().allMatch(task -> task.endsWith(worker.name())),
                () -> first.docker("service", "ps", "web").out());

        first.docker("service", "rm", "web").expect();
        Await.untilEquals(
                "no container is left",
                Swarm.SOON,
                "",
                () -> worker.docker("ps", "-aq").expect());
    }

    @Test
    void aSkepEngineWorksForAStockManager() throws Exception {
        Host manager = lab.add(1);
        String image = imageFrom(manager);
        Swarm swarm = new Swarm(lab);
        swarm.init(manager);
        Host worker = lab.add(2);
        startSkep(worker);
        swarm.join(worker, "worker");
        manager.docker("node", "update", "--availability", "drain", manager.name())
                .expect();
        createSecret(manager);
        create(manager, "web", image + ":1", "--replicas", "2", "--env", "TASK={{.Task.Slot}}", "--secret", "word");
        swarm.awaitRunning(manager, "web", 2);
        assertThat(swarm.running(manager, "web")).allMatch(task -> task.endsWith(worker.name()));
        assertThat(manager.docker("service", "logs", "--raw", "web").out())
                .contains("hello from 1", "hello from 2", "hidden");
        worker.docker("swarm", "leave").expect();
        assertThat(worker.docker("ps", "-aq").expect()).isEmpty();
    }
}
