package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import io.skep.certs.RootCertificateAuthority;
import io.skep.store.Kind;
import io.skep.wire.LogStream;
import io.skep.wire.Service;
import io.skep.wire.Task;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The commands of the real docker CLI, old and new, against the API of a cluster in memory. */
class DockerCliTest {
    @TempDir
    Path folder;

    private final FakeNode node = new FakeNode();
    private FakeCluster cluster;
    private ApiServer server;
    private Path socket;

    @BeforeEach
    void start() throws IOException {
        cluster =
                FakeCluster.start(RootCertificateAuthority.create(Instant.now()).certificatePem());
        node.manage(cluster, FakeCluster.MANAGER_ID, "10.0.0.1");
        server = new ApiServer(ApiServerTest.engine(folder), node, null);
        socket = folder.resolve("api.sock");
        server.listen(new ListenAddress.Unix(socket, ""));
    }

    @AfterEach
    void stop() throws Exception {
        server.close();
        cluster.close();
    }

    private DockerCli docker(String program) {
        return DockerCli.on(program, socket);
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void versionAndInfo(String program) throws Exception {
        DockerCli docker = docker(program);

        assertThat(docker.ok("version"))
                .contains("Server: Skep")
                .contains("0.1.0")
                .contains("(minimum version 1.24)");
        DockerCli.Result info = docker.run("info");
        assertThat(info.exit()).isZero();
        assertThat(info.out())
                .contains("Swarm: active")
                .contains("NodeID: " + FakeCluster.MANAGER_ID)
                .contains("Is Manager: true")
                .contains("Nodes: 2")
                .contains("Managers: 1")
                .contains("Heartbeat Period: 5 seconds")
                .contains("Expiry Duration: 3 months")
                .contains("a=b");
        assertThat(info.out() + info.err()).contains("careful");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void nodes(String program) throws Exception {
        DockerCli docker = docker(program);

        assertThat(docker.ok("node", "ls"))
                .containsPattern(FakeCluster.MANAGER_ID + " \\*\\s+board1\\s+Ready\\s+Active\\s+Leader");
        assertThat(docker.ok("node", "ls", "--filter", "role=worker", "-q").trim())
                .isEqualTo(FakeCluster.WORKER_ID);
        docker.ok("node", "update", "--label-add", "rack=1", "--availability", "pause", "board2");
        assertThat(docker.ok("node", "inspect", "board2", "--format", "{{.Spec.Labels.rack}} {{.Spec.Availability}}"))
                .isEqualTo("1 pause\n");
        assertThat(docker.ok("node", "inspect", "--pretty", "self"))
                .containsPattern("Hostname:\\s+board1")
                .containsPattern("Raft Status:\\s+Reachable");
        DockerCli.Result demote = docker.run("node", "demote", "board1");
        assertThat(demote.exit()).isNotZero();
        assertThat(demote.err()).contains("attempting to demote the last manager of the swarm");
        assertThat(docker.run("node", "rm", "board1").err())
                .contains("rpc error: code = FailedPrecondition desc = node " + FakeCluster.MANAGER_ID);
        assertThat(docker.run("node", "inspect", "nope").err())
                .containsPattern("(?i)no such node: nope|node nope not found");
        docker.ok("node", "promote", "board2");
        assertThat(docker.ok("node", "inspect", "board2", "--format", "{{.Spec.Role}}")
                        .trim())
                .isEqualTo("manager");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void serviceLife(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok("secret", "create", "s1", secretFile());
        docker.ok("config", "create", "--label", "a=b", "c1", secretFile());
        docker.ok("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.50.0.0/24", "net1");

        String created = docker.ok(
                "service",
                "create",
                "--detach=false",
                "--quiet",
                "--no-resolve-image",
                "--name",
                "web",
                "--replicas",
                "2",
                "--network",
                "net1",
                "-p",
                "8080:80",
                "--secret",
                "s1",
                "--config",
                "c1",
                "--env",
                "A=b",
                "--mount",
                "type=tmpfs,target=/x",
                "--mount",
                "type=volume,source=vol,target=/y",
                "--limit-memory",
                "64m",
                "--reserve-cpu",
                "0.1",
                "--restart-max-attempts",
                "3",
                "--health-cmd",
                "true",
                "--label",
                "l=1",
                "--container-label",
                "m=2",
                "--update-parallelism",
                "2",
                "--dns",
                "1.1.1.1",
                "--host",
                "a:1.2.3.4",
                "--stop-grace-period",
                "3s",
                "--limit-pids",
                "50",
                "--update-monitor",
                "1s",
                "busybox:latest",
                "sleep",
                "1000");
        assertThat(created.trim()).hasSize(25);

        assertThat(docker.ok("service", "ls"))
                .containsPattern("web\\s+replicated\\s+2/2\\s+busybox:latest\\s+\\*:8080->80/tcp");
        assertThat(docker.ok("service", "ps", "web", "--no-trunc"))
                .containsPattern("web\\.1\\s+busybox:latest\\s+board[12]\\s+Running\\s+Running")
                .contains("web.2");
        assertThat(docker.ok("service", "inspect", "--pretty", "web"))
                .contains("ContainerSpec:")
                .contains("Networks: net1")
                .contains("Replicas:\t2");
        assertThat(docker.ok(
                        "service",
                        "inspect",
                        "web",
                        "--format",
                        "{{json .Spec.TaskTemplate.ContainerSpec.Mounts}} {{json .Spec.TaskTemplate.Resources}}"
                                + " {{json .Spec.TaskTemplate.ContainerSpec.Secrets}}"))
                .contains(
                        "[{\"Type\":\"tmpfs\",\"Target\":\"/x\"},{\"Type\":\"volume\",\"Source\":\"vol\",\"Target\":\"/y\"}]")
                .contains(
                        "{\"Limits\":{\"MemoryBytes\":67108864,\"Pids\":50},\"Reservations\":{\"NanoCPUs\":100000000}}")
                .contains("\"SecretName\":\"s1\"")
                .contains("\"Mode\":292");

        assertThat(docker.ok("service", "scale", "--detach=false", "web=3")).contains("web scaled to 3");
        assertThat(docker.ok("service", "ls", "--format", "{{.Replicas}}").trim())
                .isEqualTo("3/3");
        assertThat(docker.ok(
                                "service",
                                "update",
                                "--detach=false",
                                "--quiet",
                                "--env-add",
                                "C=d",
                                "--label-add",
                                "x=y",
                                "web")
                        .trim())
                .isEqualTo("web");
        assertThat(docker.ok("service", "inspect", "web", "--format", "{{.UpdateStatus.State}}")
                        .trim())
                .isEqualTo("completed");
        docker.ok("service", "rollback", "--detach=false", "--quiet", "web");
        assertThat(docker.ok(
                        "service",
                        "inspect",
                        "web",
                        "--format",
                        "{{.UpdateStatus.State}} {{.Spec.TaskTemplate.ContainerSpec.Env}}"))
                .containsPattern("rollback_(started|completed) \\[A=b\\]");
        assertThat(docker.ok("node", "ps", "board1", "board2"))
                .contains("web.1")
                .contains("web.3");

        assertThat(docker.run("secret", "rm", "s1").err())
                .contains("secret 's1' is in use by the following service: web");
        assertThat(docker.run("network", "rm", "net1").err()).contains("is in use by service");
        assertThat(docker.run("service", "create", "--name", "web", "--no-resolve-image", "-d", "bb")
                        .err())
                .contains("name conflicts with an existing object: service web already exists");
        assertThat(docker.ok("service", "rm", "web").trim()).isEqualTo("web");
        assertThat(docker.run("service", "inspect", "web").err())
                .containsPattern("(?i)no such service: web|service web not found");
    }

    private String secretFile() throws IOException {
        Path file = folder.resolve("data");
        java.nio.file.Files.writeString(file, "hidden");
        return file.toString();
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void secretsConfigsAndNetworks(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok("secret", "create", "--label", "a=b", "s1", secretFile());
        docker.ok("config", "create", "c1", secretFile());
        docker.ok("network", "create", "-d", "overlay", "--label", "k=v", "net1");

        assertThat(docker.ok("secret", "ls")).contains("s1");
        assertThat(docker.ok("secret", "inspect", "s1", "--format", "{{.Spec.Labels}} {{.Spec.Data}}"))
                .isEqualTo("map[a:b] []\n");
        assertThat(docker.ok("config", "inspect", "--pretty", "c1")).contains("hidden");
        assertThat(docker.ok("network", "ls"))
                .contains("net1")
                .contains("ingress")
                .contains("overlay")
                .contains("swarm");
        assertThat(docker.ok(
                        "network",
                        "inspect",
                        "net1",
                        "--format",
                        "{{.Scope}} {{.Labels}} {{(index .IPAM.Config 0).Subnet}}"))
                .startsWith("swarm map[k:v] 10.0.");
        assertThat(docker.run("network", "create", "-d", "overlay", "net1").err())
                .contains("network with name net1 already exists");
        assertThat(docker.run("network", "create", "local").err()).contains("use --driver overlay");
        docker.ok("secret", "rm", "s1");
        docker.ok("config", "rm", "c1");
        docker.ok("network", "rm", "net1");
        assertThat(docker.ok("network", "ls", "--format", "{{.Name}}").trim()).isEqualTo("ingress");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void swarm(String program) throws Exception {
        DockerCli docker = docker(program);

        String join = docker.ok("swarm", "join-token", "worker");
        assertThat(join).contains("docker swarm join --token SWMTKN-1-").contains("10.0.0.1:2377");
        String before = docker.ok("swarm", "join-token", "-q", "manager");
        String after = docker.ok("swarm", "join-token", "--rotate", "-q", "manager");
        assertThat(after).startsWith("SWMTKN-1-").isNotEqualTo(before);
        docker.ok(
                "swarm",
                "update",
                "--task-history-limit",
                "7",
                "--cert-expiry",
                "48h",
                "--dispatcher-heartbeat",
                "10s");
        assertThat(docker.ok(
                                "info",
                                "--format",
                                "{{.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit}} {{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}")
                        .trim())
                .isEqualTo("7 48h0m0s");
        assertThat(docker.ok("swarm", "update", "--autolock=true")).contains("SWMKEY-1-");
        assertThat(docker.ok("swarm", "unlock-key", "-q")).startsWith("SWMKEY-1-");
        assertThat(docker.ok("swarm", "ca")).startsWith("-----BEGIN CERTIFICATE-----");
        docker.ok("swarm", "leave", "--force");
        assertThat(node.asked).containsExactly(true);
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void initAndJoinPassOnTheirFlags(String program) throws Exception {
        DockerCli docker = docker(program);

        String printed = docker.ok(
                "swarm",
                "init",
                "--advertise-addr",
                "10.0.0.1",
                "--availability",
                "drain",
                "--default-addr-pool",
                "10.20.0.0/16",
                "--default-addr-pool-mask-length",
                "26",
                "--data-path-port",
                "7789",
                "--task-history-limit",
                "2",
                "--force-new-cluster");
        assertThat(printed).contains("is now a manager").contains("docker swarm join --token SWMTKN-1-");
        assertThat(node.asked.getFirst()).isInstanceOfSatisfying(SwarmNode.InitRequest.class, init -> {
            assertThat(init.listenAddress()).isEqualTo("0.0.0.0:2377");
            assertThat(init.advertiseAddress()).isEqualTo("10.0.0.1");
            assertThat(init.dataPathPort()).isEqualTo(7789);
            assertThat(init.forceNewCluster()).isTrue();
            assertThat(init.availability().name()).isEqualTo("DRAIN");
            assertThat(init.defaultAddressPools()).containsExactly("10.20.0.0/16");
            assertThat(init.subnetSize()).isEqualTo(26);
            assertThat(init.spec().getOrchestration().getTaskHistoryRetentionLimit())
                    .isEqualTo(2);
            assertThat(init.spec().getRaft().getSnapshotInterval()).isEqualTo(10_000);
        });
        assertThat(docker.ok("swarm", "join", "--token", "SWMTKN-1-x", "10.0.0.9:2377"))
                .contains("joined a swarm as a manager");
        assertThat(node.asked.getLast()).isInstanceOfSatisfying(SwarmNode.JoinRequest.class, request -> {
            assertThat(request.remoteAddresses()).containsExactly("10.0.0.9:2377");
            assertThat(request.joinToken()).isEqualTo("SWMTKN-1-x");
        });
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void logsOfAService(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok("service", "create", "-d", "--no-resolve-image", "--name", "web", "busybox");
        Service web = Lookup.find(cluster.local(), Kind.SERVICE, "web");
        Task task = List.copyOf(cluster.local().tasksOfService(web.getId())).getFirst();
        cluster.addLog(task, LogStream.LOG_STREAM_STDOUT, "to out\n");
        cluster.addLog(task, LogStream.LOG_STREAM_STDERR, "to err\n");

        DockerCli.Result logs = docker.run("service", "logs", "--timestamps", "--tail", "5", "web");

        assertThat(logs.exit()).isZero();
        assertThat(logs.out())
                .startsWith(
                        "2026-01-02T03:04:05.006000000Z web.1." + task.getId().substring(0, 5))
                .endsWith("| to out\n");
        assertThat(logs.err()).endsWith("| to err\n");
        assertThat(cluster.lastLogOptions.getTail()).isEqualTo(-6);
        assertThat(docker.ok("service", "logs", "--raw", task.getId())).isEqualTo("to out\n");
        cluster.logWarning = "warning: incomplete log stream. some logs could not be retrieved";
        assertThat(docker.run("service", "logs", "web").err()).contains("incomplete log stream");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void events(String program) throws Exception {
        DockerCli docker = docker(program);
        docker.ok("service", "create", "-d", "--no-resolve-image", "--name", "web", "busybox");
        docker.ok("service", "update", "-d", "--no-resolve-image", "--replicas", "2", "web");
        docker.ok("service", "rm", "web");

        String events = docker.ok("events", "--since", "1h", "--until=-1s", "--filter", "type=service");

        assertThat(events)
                .contains("service create")
                .contains("replicas.new=2, replicas.old=1")
                .contains("service remove")
                .doesNotContain("node update");
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void stackDeploy(String program) throws Exception {
        DockerCli docker = docker(program);
        Path file = folder.resolve("stack.yml");
        java.nio.file.Files.writeString(file, """
                version: "3.8"
                services:
                  web:
                    image: busybox:latest
                    command: sleep 1000
                    networks: [inner]
                    secrets: [token]
                    deploy: {replicas: 2}
                networks:
                  inner: {}
                secrets:
                  token:
                    file: %s
                """.formatted(secretFile()));

        docker.ok("stack", "deploy", "--resolve-image", "never", "-c", file.toString(), "app");

        assertThat(docker.ok("stack", "ls")).containsPattern("app\\s+1");
        assertThat(docker.ok("stack", "services", "app")).contains("app_web");
        assertThatCode(() -> docker.ok("stack", "deploy", "--resolve-image", "never", "-c", file.toString(), "app"))
                .doesNotThrowAnyException();
        assertThat(docker.run("stack", "rm", "app").exit()).isZero();
        assertThat(docker.ok("stack", "ls", "--format", "{{.Name}}").trim()).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("io.skep.api.DockerCli#programs")
    void whatIsNotThereNamesItself(String program) throws Exception {
        DockerCli docker = docker(program);

        assertThat(docker.run("ps").err()).contains("This node runs no containers");
        assertThat(docker.run("pull", "busybox").err()).contains("This node runs no containers");
        assertThat(docker.run("service", "create", "-d", "--name", "web", "busybox")
                        .err())
                .contains("could not be accessed on a registry");
        assertThat(cluster.local().table(Kind.SERVICE).byName("web")).isNotNull();
    }
}
