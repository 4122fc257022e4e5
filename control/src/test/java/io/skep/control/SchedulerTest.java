package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.EndpointSpec;
import io.skep.wire.GenericResource;
import io.skep.wire.GlobalService;
import io.skep.wire.Mount;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.Placement;
import io.skep.wire.PlacementPreference;
import io.skep.wire.Platform;
import io.skep.wire.PortConfig;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.SpreadOver;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class SchedulerTest {
    private TestCluster cluster = nodes(3);

    @Test
    void eachFilterSaysHowManyNodesItTurnedDown() {
        cluster = new TestCluster(
                1,
                node("a", node -> node.getSpecBuilder().setAvailability(Availability.PAUSE)),
                node("b", node -> node.getStatusBuilder().setState(NodeStatus.State.DOWN)),
                node(
                        "c",
                        node -> node.getDescriptionBuilder()
                                .getResourcesBuilder()
                                .setMemoryBytes(1)),
                node("d", node -> {}),
                node(
                        "e",
                        node -> node.getDescriptionBuilder()
                                .getPlatformBuilder()
                                .setArchitecture("aarch64")));
        create(spec -> {
            spec.getResourcesBuilder().getReservationsBuilder().setMemoryBytes(1 << 20);
            spec.getPlacementBuilder()
                    .addConstraints("node.id!=d")
                    .addPlatforms(Platform.newBuilder().setArchitecture("amd64").setOs("linux"));
        });

        assertThat(error())
                .isEqualTo("no suitable node (2 nodes not available for new tasks; insufficient resources on 1 node;"
                        + " scheduling constraints not satisfied on 1 node; unsupported platform on 1 node)");
        assertThat(cluster.tasksOf("web-id").getFirst().getStatus().getState()).isEqualTo(TaskState.PENDING);
    }

    @Test
    void aMissingPluginIsNamed() {
        create(spec -> spec.getContainerBuilder()
                .addMounts(mount("nfs", Mount.Type.VOLUME))
                .addMounts(mount("local", Mount.Type.VOLUME)));
        assertThat(error()).isEqualTo("no suitable node (missing plugin on 3 nodes)");

        cluster.node(
                "n1",
                node -> node.getDescriptionBuilder()
                        .getEngineBuilder()
                        .addPluginsBuilder()
                        .setType("Volume")
                        .setName("nfs:latest"));
        cluster.pass(Duration.ofMillis(Scheduler.RETRY_DELAY_MILLIS));
        assertThat(cluster.running("web-id")).extracting(Task::getNodeId).containsExactly("n1");
    }

    @Test
    void clusterVolumesAreRefusedByName() {
        create(spec -> spec.getContainerBuilder().addMounts(mount("csi", Mount.Type.CLUSTER)));

        assertThat(error()).isEqualTo("no suitable node (cannot fulfill requested CSI volume mounts on 3 nodes)");
    }

    @Test
    void withoutAnyNodeThereIsNoReason() {
        cluster = nodes(0);
        create(spec -> {});

        assertThat(error()).isEqualTo("no suitable node");
    }

    @Test
    void aHostPortHasOneOwner() {
        Service.Builder service = TestKit.service("web", 4);
        service.getSpecBuilder()
                .setEndpoint(EndpointSpec.newBuilder()
                        .addPorts(PortConfig.newBuilder()
                                .setTargetPort(80)
                                .setPublishedPort(8080)
                                .setPublishMode(PortConfig.PublishMode.HOST)));
        cluster.create(service);
        cluster.work();

        assertThat(perNode()).isEqualTo(Map.of("n1", 1, "n2", 1, "n3", 1));
        assertThat(pendingError()).isEqualTo("no suitable node (host-mode port already in use on 3 nodes)");
    }

    @Test
    void maxReplicasPerNodeLimitsTheService() {
        Service.Builder service = TestKit.service("web", 7);
        service.getSpecBuilder().getTaskBuilder().getPlacementBuilder().setMaxReplicas(2);
        cluster.create(service);
        cluster.work();

        assertThat(perNode()).isEqualTo(Map.of("n1", 2, "n2", 2, "n3", 2));
        assertThat(pendingError()).isEqualTo("no suitable node (max replicas per node limit exceed)");
    }

    @Test
    void waitingTasksGetRoomWhenAnotherTaskLetsItGo() {
        Service.Builder big = TestKit.service("big", 3);
        big.getSpecBuilder()
                .getTaskBuilder()
                .getResourcesBuilder()
                .getReservationsBuilder()
                .setNanoCpus(3_000_000_000L);
        cluster.create(big);
        create(spec -> spec.getResourcesBuilder().getReservationsBuilder().setNanoCpus(2_000_000_000L));
        assertThat(error()).isEqualTo("no suitable node (insufficient resources on 3 nodes)");

        cluster.scale("big-id", 2);
        cluster.work();
        cluster.pass(Duration.ofMillis(Scheduler.RETRY_DELAY_MILLIS));

        cluster.assertRunning("web-id", 1);
        assertThat(error()).isEmpty();
    }

    @Test
    void namedResourcesAreGivenOutOnceAndReturned() {
        cluster = new TestCluster(
                1,
                node(
                        "n1",
                        node -> node.getDescriptionBuilder()
                                .getResourcesBuilder()
                                .addGeneric(gpu("gpu0"))
                                .addGeneric(gpu("gpu1"))));
        Service.Builder service = TestKit.service("web", 3);
        service.getSpecBuilder()
                .getTaskBuilder()
                .getResourcesBuilder()
                .getReservationsBuilder()
                .addGeneric(GenericResource.newBuilder()
                        .setDiscreteResourceSpec(DiscreteGenericResource.newBuilder()
                                .setKind("gpu")
                                .setValue(1)));
        cluster.create(service);
        cluster.work();

        assertThat(cluster.running("web-id").stream().flatMap(task -> task.getAssignedGenericResourcesList().stream()))
                .containsExactlyInAnyOrder(gpu("gpu0"), gpu("gpu1"));
        assertThat(pendingError()).isEqualTo("no suitable node (insufficient resources on 1 node)");

        cluster.report(cluster.running("web-id").getFirst().getId(), TaskState.FAILED);
        cluster.pass(Duration.ofMillis(Scheduler.RETRY_DELAY_MILLIS));
        cluster.assertRunning("web-id", 2);
    }

    @Test
    void preferencesSpreadOverBranchesBeforeNodes() {
        cluster =
                new TestCluster(1, zone("n1", "a"), zone("n2", "a"), zone("n3", "a"), zone("n4", "b"), zone("n5", ""));
        Service.Builder service = TestKit.service("web", 9);
        service.getSpecBuilder()
                .getTaskBuilder()
                .setPlacement(Placement.newBuilder()
                        .addPreferences(PlacementPreference.newBuilder()
                                .setSpread(SpreadOver.newBuilder().setSpreadDescriptor("node.labels.zone"))));
        cluster.create(service);
        cluster.work();

        assertThat(perNode()).isEqualTo(Map.of("n1", 1, "n2", 1, "n3", 1, "n4", 3, "n5", 3));
    }

    @Test
    void aNodeOnWhichAServiceKeepsFailingIsTheLastChoice() {
        Service.Builder service = TestKit.service("web", 1);
        service.getSpecBuilder()
                .getTaskBuilder()
                .setRestart(RestartPolicy.newBuilder()
                        .setCondition(RestartPolicy.RestartCondition.ANY)
                        .setDelay(Times.wire(Duration.ZERO)));
        // The other nodes are busier, so the first one would always be chosen if it did not fail.
        Service.Builder other = TestKit.service("other", 2);
        other.getSpecBuilder().getTaskBuilder().getPlacementBuilder().addConstraints("node.id!=n1");
        cluster.create(other);
        cluster.create(service);
        for (int i = 0; i < Scheduler.FAILURES_MAX; i++) {
            cluster.pass(Duration.ofSeconds(1));
            Task running = cluster.running("web-id").getFirst();
            assertThat(running.getNodeId()).isEqualTo("n1");
            cluster.report(running.getId(), TaskState.FAILED);
        }
        cluster.pass(Duration.ofSeconds(1));

        assertThat(cluster.running("web-id").getFirst().getNodeId()).isNotEqualTo("n1");
    }

    @Test
    void aGlobalTaskOnlyNeedsTheConsentOfItsNode() {
        Service.Builder service = TestKit.service("agent", 0);
        service.getSpecBuilder().setGlobal(GlobalService.getDefaultInstance());
        service.getSpecBuilder()
                .getTaskBuilder()
                .getResourcesBuilder()
                .getReservationsBuilder()
                .setMemoryBytes(4L << 30);
        cluster.node(
                "n2", node -> node.getDescriptionBuilder().getResourcesBuilder().setMemoryBytes(1L << 30));
        cluster.create(service);

        assertThat(task("agent-id", "n1").getStatus().getMessage())
                .isEqualTo("scheduler confirmed task can run on preassigned node");
        assertThat(task("agent-id", "n2").getStatus().getErr()).isEqualTo("insufficient resources on 1 node");

        cluster.node(
                "n2", node -> node.getDescriptionBuilder().getResourcesBuilder().setMemoryBytes(8L << 30));
        assertThat(task("agent-id", "n2").getStatus().getState()).isEqualTo(TaskState.ASSIGNED);
    }

    @Test
    void aTaskThatWasGivenUpBeforeItHadANodeEnds() {
        cluster = nodes(0);
        create(spec -> {});
        Task waiting = cluster.tasksOf("web-id").getFirst();
        cluster.setImage("web-id", "nginx:2");

        assertThat(cluster.task(waiting.getId()).getStatus().getState()).isEqualTo(TaskState.SHUTDOWN);
    }

    @Test
    void aNodeThatDoesNotFitAnyMoreLosesItsTasks() {
        create(spec -> spec.getPlacementBuilder().addConstraints("node.labels.zone!=b"));
        cluster.work();
        Task first = cluster.running("web-id").getFirst();

        cluster.node(
                first.getNodeId(),
                node -> node.getSpecBuilder().getAnnotationsBuilder().putLabels("zone", "b"));

        assertThat(cluster.task(first.getId()).getStatus().getState()).isEqualTo(TaskState.REJECTED);
        assertThat(cluster.task(first.getId()).getStatus().getErr())
                .isEqualTo("assigned node no longer meets constraints");
        cluster.pass(Duration.ofSeconds(5));
        assertThat(cluster.running("web-id"))
                .hasSize(1)
                .noneMatch(task -> task.getNodeId().equals(first.getNodeId()));
    }

    @Test
    void theNewestTasksLoseWhenTheirNodeShrinks() {
        cluster = nodes(1);
        for (int i = 1; i <= 4; i++) {
            Service.Builder service = TestKit.service("web" + i, 1);
            service.getSpecBuilder()
                    .getTaskBuilder()
                    .getResourcesBuilder()
                    .getReservationsBuilder()
                    .setMemoryBytes(2L << 30);
            cluster.pass(Duration.ofSeconds(1));
            cluster.create(service);
        }
        cluster.create(TestKit.service("small", 1));
        cluster.work();

        cluster.node(
                "n1", node -> node.getDescriptionBuilder().getResourcesBuilder().setMemoryBytes(5L << 30));

        assertThat(cluster.tasks(task -> task.getStatus().getState() == TaskState.REJECTED))
                .extracting(Task::getServiceId)
                .containsExactlyInAnyOrder("web3-id", "web4-id");
        cluster.assertRunning("web1-id", 1);
        cluster.assertRunning("web2-id", 1);
        cluster.assertRunning("small-id", 1);
    }

    private void create(Consumer<TaskSpec.Builder> edit) {
        Service.Builder service = TestKit.service("web", 1);
        edit.accept(service.getSpecBuilder().getTaskBuilder());
        cluster.create(service);
    }

    private String error() {
        return cluster.tasksOf("web-id").getFirst().getStatus().getErr();
    }

    private String pendingError() {
        return cluster.tasks(task -> task.getStatus().getState() == TaskState.PENDING)
                .getFirst()
                .getStatus()
                .getErr();
    }

    private Task task(String serviceId, String nodeId) {
        return cluster.tasks(task -> task.getServiceId().equals(serviceId)
                        && task.getNodeId().equals(nodeId))
                .getFirst();
    }

    private Map<String, Integer> perNode() {
        Map<String, Integer> counts = new TreeMap<>();
        cluster.running("web-id").forEach(task -> counts.merge(task.getNodeId(), 1, Integer::sum));
        return counts;
    }

    private static Mount mount(String driver, Mount.Type type) {
        Mount.Builder mount = Mount.newBuilder().setType(type).setTarget("/" + driver);
        mount.getVolumeOptionsBuilder().getDriverConfigBuilder().setName(driver);
        return mount.build();
    }

    private static GenericResource gpu(String value) {
        return GenericResource.newBuilder()
                .setNamedResourceSpec(
                        NamedGenericResource.newBuilder().setKind("gpu").setValue(value))
                .build();
    }

    private static Node zone(String id, String zone) {
        return node(id, node -> {
            if (!zone.isEmpty()) {
                node.getSpecBuilder().getAnnotationsBuilder().putLabels("zone", zone);
            }
        });
    }

    private static Node node(String id, Consumer<Node.Builder> edit) {
        Node.Builder node = TestKit.node(id);
        edit.accept(node);
        return node.build();
    }

    private static TestCluster nodes(int count) {
        Node[] nodes = new Node[count];
        for (int i = 0; i < count; i++) {
            nodes[i] = TestKit.node("n" + (i + 1)).build();
        }
        return new TestCluster(1, nodes);
    }
}
