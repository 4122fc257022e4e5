package io.skep.control;

import static io.skep.control.TestKit.WORKER_TOKEN;
import static io.skep.control.TestKit.description;
import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.spec;
import static io.skep.control.TestKit.status;
import static io.skep.control.TestKit.world;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.skep.store.ClusterState;
import io.skep.store.Transaction;
import io.skep.wire.AttachNetwork;
import io.skep.wire.Command;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.PortConfig;
import io.skep.wire.ReportTaskStatus.NodeReport;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.Version;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;

/**
 * Whatever is asked of a leader, in whatever order: what it refuses leaves no trace, what it does a follower does as
 * well, and nothing goes backwards. {@link TestWorld#commit} compares with the follower.
 */
class CommandPropertiesTest {
    private static final int STEPS = 50;
    private static final String[] NAMES = {"a", "A", "b", "c", "bad.name", ""};
    private static final TaskState[] REPORTED = {
        TaskState.ACCEPTED,
        TaskState.READY,
        TaskState.STARTING,
        TaskState.RUNNING,
        TaskState.COMPLETE,
        TaskState.FAILED,
        TaskState.SHUTDOWN
    };

    @Property(tries = 60)
    void nothingIsLeftOfWhatIsRefusedAndNothingGoesBack(@ForAll long seed) {
        Random random = new Random(seed);
        TestWorld world =
                world(node("n0").build(), node("n1").build(), node("n2").build());
        IdSource ids = ids(seed);
        world.change(transaction -> new NetworkCommands(ids).createFirst(transaction));
        ControlLoop leader = new ControlLoop(world.state(), world.now(), ids, List::of);
        settle(leader, world);
        for (int i = 0; i < STEPS; i++) {
            Command command =
                    random(world.state(), random).setRequestId("r" + i).build();
            ClusterState before = world.state();
            Transaction transaction = world.begin();
            ControlLoop.Outcome outcome = leader.step(transaction, world.now(), List.of(command))
                    .outcomes()
                    .getFirst();
            if (outcome.refusal() != null) {
                assertThat(transaction.isEmpty())
                        .as(
                                "%s was refused: %s",
                                command.getKindCase(), outcome.refusal().text())
                        .isTrue();
            }
            world.commit(transaction);
            check(before, world.state());
            if (random.nextInt(3) == 0) {
                world.pass(Duration.ofMillis(random.nextInt(8000)));
                ClusterState earlier = world.state();
                settle(leader, world);
                check(earlier, world.state());
            }
            if (random.nextInt(25) == 0) {
                leader = new ControlLoop(world.state(), world.now(), ids, List::of);
                settle(leader, world);
            }
        }
    }

    private static void settle(ControlLoop leader, TestWorld world) {
        Transaction transaction = world.begin();
        leader.step(transaction, world.now(), List.of());
        world.commit(transaction);
    }

    private static void check(ClusterState before, ClusterState after) {
        Set<String> names = new HashSet<>();
        for (Service service : after.services().values()) {
            assertThat(names.add(service.getSpec().getAnnotations().getName().toLowerCase(Locale.ROOT)))
                    .isTrue();
        }
        for (Task task : before.tasks().values()) {
            Task later = after.tasks().get(task.getId());
            if (later != null) {
                assertThat(later.getStatus().getStateValue())
                        .isGreaterThanOrEqualTo(task.getStatus().getStateValue());
                assertThat(later.getDesiredStateValue()).isGreaterThanOrEqualTo(task.getDesiredStateValue());
                assertThat(task.getNodeId()).isIn("", later.getNodeId());
            }
        }
    }

    private static <T> List<T> some(Collection<T> values, Random random) {
        List<T> list = new ArrayList<>(values);
        return list.isEmpty() ? List.of() : List.of(list.get(random.nextInt(list.size())));
    }

    private static Command.Builder random(ClusterState state, Random random) {
        Command.Builder command = Command.newBuilder();
        String serviceId = some(state.services().values(), random).stream()
                .map(Service::getId)
                .findAny()
                .orElse("none");
        Node node = some(state.nodes().values(), random).stream()
                .findAny()
                .orElse(node("none").build());
        switch (random.nextInt(14)) {
            case 0, 1, 2 -> command.getCreateServiceBuilder().setSpec(randomSpec(random));
            case 3, 4 -> {
                command.getUpdateServiceBuilder()
                        .setServiceId(serviceId)
                        .setSpec(randomSpec(random))
                        .setServiceVersion(version(state.services().get(serviceId), random));
                if (random.nextInt(4) == 0) {
                    command.getUpdateServiceBuilder().setRollback(UpdateServiceRequest.Rollback.PREVIOUS);
                }
            }
            case 5 -> command.getRemoveServiceBuilder().setServiceId(serviceId);
            case 6 ->
                command.getUpdateNodeBuilder()
                        .setNodeId(node.getId())
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(node.getSpec().toBuilder()
                                .setAvailability(NodeSpec.Availability.forNumber(random.nextInt(3)))
                                .setDesiredRole(random.nextBoolean() ? NodeRole.MANAGER : NodeRole.WORKER));
            case 7 -> command.getRemoveNodeBuilder().setNodeId(node.getId()).setForce(random.nextBoolean());
            case 8 ->
                command.getRegisterNodeBuilder()
                        .setNodeId(random.nextBoolean() ? node.getId() : "stranger")
                        .setManagerId("m1")
                        .setDescription(description("host"));
            case 9 -> {
                command.getReportSessionsBuilder().setManagerId("m1");
                state.nodes()
                        .values()
                        .forEach(each -> command.getReportSessionsBuilder().addNodeIds(each.getId()));
                if (random.nextInt(3) == 0) {
                    command.getReportSessionsBuilder().clearNodeIds().addLostNodeIds(node.getId());
                }
            }
            case 10 ->
                command.getRequestCertificateBuilder()
                        .setCsr(ByteString.copyFromUtf8("csr"))
                        .setToken(random.nextBoolean() ? WORKER_TOKEN : "wrong")
                        .setNewNodeId("n" + random.nextInt(9));
            case 11 -> {
                command.getCreateNetworkBuilder()
                        .setSpec(TestKit.network(NAMES[random.nextInt(NAMES.length)]).getSpec().toBuilder()
                                .setAttachable(random.nextBoolean()));
            }
            case 12 -> command.setAttachNetwork(AttachNetwork.newBuilder().setNodeId(node.getId()));
            default -> {
                NodeReport.Builder report =
                        command.getReportTaskStatusBuilder().addNodesBuilder().setNodeId(node.getId());
                for (Task task : random.nextInt(5) == 0 ? state.tasks().values() : state.tasksOfNode(node.getId())) {
                    report.addUpdates(TaskStatusUpdate.newBuilder()
                            .setTaskId(task.getId())
                            .setStatus(status(REPORTED[random.nextInt(REPORTED.length)], TestKit.START)));
                }
            }
        }
        if (command.hasAttachNetwork()) {
            command.getAttachNetworkBuilder()
                    .getRequestBuilder()
                    .setConfig(NetworkAttachmentConfig.newBuilder().setTarget(NAMES[random.nextInt(NAMES.length)]));
        }
        return command;
    }

    private static ServiceSpec randomSpec(Random random) {
        ServiceSpec.Builder spec = spec(NAMES[random.nextInt(NAMES.length)], random.nextInt(4));
        if (random.nextInt(3) == 0) {
            spec.getEndpointBuilder()
                    .addPorts(PortConfig.newBuilder().setTargetPort(80).setPublishedPort(random.nextInt(3)));
        }
        if (random.nextInt(3) == 0) {
            spec.getTaskBuilder()
                    .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget(NAMES[random.nextInt(3)]));
        }
        spec.getTaskBuilder().getContainerBuilder().setImage("nginx:" + random.nextInt(3));
        return spec.build();
    }

    private static Version version(@Nullable Service service, Random random) {
        return service == null || random.nextInt(5) == 0
                ? Version.newBuilder().setIndex(1).build()
                : service.getMeta().getVersion();
    }
}
