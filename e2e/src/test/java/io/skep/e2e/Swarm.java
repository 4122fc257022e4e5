package io.skep.e2e;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A cluster of the hosts of a lab, formed and asked with the docker CLI only. */
final class Swarm {
    static final Duration SOON = Duration.ofMinutes(1);

    private final Lab lab;
    private final List<Host> managers = new ArrayList<>();
    private final List<Host> workers = new ArrayList<>();

    Swarm(Lab lab) {
        this.lab = lab;
    }

    List<Host> managers() {
        return List.copyOf(managers);
    }

    List<Host> workers() {
        return List.copyOf(workers);
    }

    /**
     * Makes hosts 1 to {@code managerCount} a cluster of managers of that engine, the next ones Docker workers: the
     * last one with the newer Docker.
     */
    static Swarm form(Lab lab, Engine managerEngine, int managerCount, int workerCount) {
        Swarm swarm = new Swarm(lab);
        for (int i = 1; i <= managerCount + workerCount; i++) {
            boolean manages = i <= managerCount;
            Host host = i == managerCount + workerCount && !manages ? lab.addNewerDocker(i) : lab.add(i);
            Engine engine = manages ? managerEngine : Engine.DOCKER;
            host.start(engine);
            if (engine == Engine.DOCKER) {
                host.load(lab.image());
            }
            if (i == 1) {
                swarm.init(host);
            } else {
                swarm.join(host, manages ? "manager" : "worker");
            }
        }
        return swarm;
    }

    void init(Host host, String... flags) {
        List<String> command = new ArrayList<>(List.of("swarm", "init", "--advertise-addr", host.address()));
        command.addAll(List.of(flags));
        host.docker(command.toArray(String[]::new)).expect();
        managers.add(host);
    }

    void join(Host host, String role) {
        host.docker(
                        "swarm",
                        "join",
                        "--token",
                        token(role),
                        "--advertise-addr",
                        host.address(),
                        managers.getFirst().address() + ":2377")
                .expect();
        (role.equals("manager") ? managers : workers).add(host);
    }

    String token(String role) {
        return managers.getFirst().docker("swarm", "join-token", "-q", role).expect();
    }

    /**
     * Returns host name → "status availability manager-status", as the given manager tells; empty while it gives no
     * answer, as a manager that starts does.
     */
    Map<String, String> nodes(Host asked) {
        Map<String, String> nodes = new TreeMap<>();
        Shell.Result list = asked.docker(
                "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}");
        if (list.status() != 0) {
            return nodes;
        }
        for (String line : list.lines()) {
            String[] words = line.strip().split(" ", 2);
            nodes.put(words[0], words[1].strip());
        }
        return nodes;
    }

    /** Returns "status availability manager-status" of one host, or the empty string when it is not there. */
    String node(Host asked, Host host) {
        return nodes(asked).getOrDefault(host.name(), "");
    }

    /** Returns the manager that leads, as the given manager tells. */
    Host leader(Host asked) {
        for (Map.Entry<String, String> node : nodes(asked).entrySet()) {
            if (node.getValue().endsWith("Leader")) {
                for (Host host : managers) {
                    if (host.name().equals(node.getKey())) {
                        return host;
                    }
                }
            }
        }
        throw new AssertionError("no leader in " + nodes(asked));
    }

    Host otherManager(Host than) {
        return managers.stream()
                .filter(host -> host != than)
                .findFirst()
                .orElseThrow(() -> new AssertionError("there is no other manager"));
    }

    /** Returns the running tasks of a service: "name node", sorted. */
    List<String> running(Host asked, String service) {
        return asked
                .docker(
                        "service",
                        "ps",
                        service,
                        "--filter",
                        "desired-state=running",
                        "--format",
                        "{{.CurrentState}}|{{.Name}} {{.Node}}")
                .lines()
                .stream()
                .filter(line -> line.startsWith("Running"))
                .map(line -> line.substring(line.indexOf('|') + 1))
                .sorted()
                .toList();
    }

    void awaitRunning(Host asked, String service, int replicas) {
        Await.until(
                service + " runs " + replicas + " tasks",
                SOON,
                () -> running(asked, service).size() == replicas,
                () -> asked.docker("service", "ps", "--no-trunc", service).out());
    }

    /** Creates a service of a shell that ends at once on SIGTERM; with host networking it needs no overlay. */
    void createService(Host asked, String name, String... flags) {
        List<String> command = new ArrayList<>(List.of(
                "service", "create", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", name));
        command.addAll(List.of(flags));
        command.addAll(List.of("bb:1", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"));
        asked.docker(command.toArray(String[]::new)).expect();
    }

    void assertAllReady(Host asked) {
        Await.until(
                "all nodes are ready",
                SOON,
                () -> {
                    Map<String, String> nodes = nodes(asked);
                    return nodes.size() == managers.size() + workers.size()
                            && nodes.values().stream().allMatch(state -> state.startsWith("Ready"));
                },
                () -> nodes(asked).toString());
    }

    Lab lab() {
        return lab;
    }
}
