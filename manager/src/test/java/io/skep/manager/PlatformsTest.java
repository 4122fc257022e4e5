package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.Platform;
import io.skep.wire.ReplicatedService;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Workers of other platforms than this machine's: what they tell is kept, and tasks go where their image runs. */
class PlatformsTest {
    private static final int REPLICAS = 4;

    private final List<StockWorker> workers = new ArrayList<>();
    private TestCluster cluster;
    private Manager manager;

    @BeforeEach
    void start(@TempDir Path directory) throws Exception {
        // Long enough that no worker has to send a heartbeat.
        cluster = new TestCluster(directory, "127.0.0.1", Duration.ofMinutes(1));
        manager = cluster.bootstrap();
    }

    @AfterEach
    void stop() {
        workers.forEach(StockWorker::close);
        cluster.close();
    }

    @Test
    void tasksGoWhereTheirImageRuns() throws Exception {
        String windows = join("windows", "x86_64");
        String arm64 = join("linux", "aarch64");
        String armV7 = join("linux", "armv7l");
        String armV6 = join("linux", "armv6l");

        assertThat(nodesOf("win", platform("windows", "amd64"))).containsOnly(windows);
        assertThat(nodesOf("pi4", platform("linux", "arm64"))).containsOnly(arm64);
        assertThat(nodesOf("pi2", platform("linux", "arm/v7"))).containsOnly(armV7);
        assertThat(nodesOf("pi1", platform("linux", "arm/v6"))).containsOnly(armV7, armV6);
        assertThat(nodesOf("both", platform("linux", "arm64"), platform("windows", "amd64")))
                .containsOnly(arm64, windows);
        assertThat(nodesOf("any")).containsOnly(windows, arm64, armV7, armV6);
    }

    @Test
    void aTaskWithoutAPlaceSaysWhy() throws Exception {
        join("windows", "x86_64");
        join("linux", "armv6l");
        create("lost", platform("linux", "arm/v7"));

        assertThat(await("lost", task -> !task.getStatus().getErr().isEmpty()))
                .allSatisfy(task -> assertThat(task.getNodeId()).isEmpty())
                .allSatisfy(task -> assertThat(task.getStatus().getErr())
                        .contains("no suitable node")
                        .contains("unsupported platform on 2 nodes"));
    }

    private String join(String os, String architecture) throws Exception {
        Platform told = platform(os, architecture);
        StockWorker worker = new StockWorker(cluster.address(manager), cluster.root.trustRoot()).on(told);
        workers.add(worker);
        worker.join(TestCluster.workerToken(manager));
        worker.session("").next();
        assertThat(TestCluster.node(manager, worker.nodeId()).getDescription().getPlatform())
                .isEqualTo(told);
        return worker.nodeId();
    }

    private List<String> nodesOf(String service, Platform... platforms) throws Exception {
        create(service, platforms);
        return await(service, task -> !task.getNodeId().isEmpty()).stream()
                .map(Task::getNodeId)
                .toList();
    }

    private Collection<Task> await(String service, Predicate<Task> wanted) throws Exception {
        return Eventually.get(
                manager,
                () -> manager.local().tasks().values().stream()
                        .filter(task -> task.getServiceAnnotations().getName().equals(service))
                        .toList(),
                tasks -> tasks.size() == REPLICAS && tasks.stream().allMatch(wanted));
    }

    private void create(String name, Platform... platforms) {
        TaskSpec.Builder task =
                TaskSpec.newBuilder().setContainer(ContainerSpec.newBuilder().setImage("bb:latest"));
        task.getPlacementBuilder().addAllPlatforms(List.of(platforms));
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setReplicated(ReplicatedService.newBuilder().setReplicas(REPLICAS))
                .setEndpoint(EndpointSpec.newBuilder().setMode(EndpointSpec.ResolutionMode.DNSRR))
                .setTask(task);
        spec.getAnnotationsBuilder().setName(name);
        manager.execute(TestCluster.command()
                .setCreateService(CreateServiceRequest.newBuilder().setSpec(spec))
                .build());
    }

    private static Platform platform(String os, String architecture) {
        return Platform.newBuilder().setOs(os).setArchitecture(architecture).build();
    }
}
