package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.EndpointSpec;
import io.skep.wire.GlobalService;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PortConfig;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateConfig.FailureAction;
import io.skep.wire.UpdateConfig.UpdateOrder;
import io.skep.wire.UpdateStatus.UpdateState;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Operators, failing nodes and failing tasks at random, with a new leader now and then: what must never happen is
 * checked after every step, what must be reached in the end when all is calm.
 */
class OrchestrationWalkTest {
    private static final int WALKS = 20;
    private static final int MOVES = 60;
    private static final int NODES = 5;
    private static final int SERVICES_MAX = 5;

    @ParameterizedTest
    @ValueSource(longs = {1, 1001, 2001, 3001, 4001})
    void anyWalkKeepsTheRulesAndComesToRest(long first) {
        for (long seed = first; seed < first + WALKS; seed++) {
            new Walk(seed).run();
        }
    }

    private static final class Walk {
        private final long seed;
        private final Random random;
        private final TestCluster cluster;
        private final List<String> history = new ArrayList<>();
        private final Set<String> outOfSight = new HashSet<>();
        private Map<String, Task> before = new HashMap<>();
        private int services;

        Walk(long seed) {
            this.seed = seed;
            this.random = new Random(seed);
            Node[] nodes = new Node[NODES];
            for (int i = 0; i < NODES; i++) {
                Node.Builder node = TestKit.node("n" + i);
                node.getSpecBuilder().getAnnotationsBuilder().putLabels("zone", i % 2 == 0 ? "a" : "b");
                nodes[i] = node.build();
            }
            this.cluster = new TestCluster(seed, nodes);
            cluster.invariant = this::check;
            cluster.failingImages.add("bad");
        }

        void run() {
            try {
                for (int i = 0; i < MOVES; i++) {
                    move();
                }
                calmDown();
                checkRest();
            } catch (AssertionError e) {
                throw new AssertionError(
                        "walk " + seed + " after " + history + ": " + e.getMessage() + "\n" + summary(), e);
            }
        }

        private String summary() {
            StringBuilder text = new StringBuilder();
            for (Service service : cluster.state().services().values()) {
                text.append(service.getId())
                        .append(' ')
                        .append(service.getSpec().getModeCase())
                        .append(' ')
                        .append(service.getSpec().getTask().getContainer().getImage())
                        .append(" version ")
                        .append(service.getSpecVersion().getIndex())
                        .append(' ')
                        .append(service.getSpec().getUpdate())
                        .append(service.getUpdateStatus())
                        .append('\n');
                for (Task task : cluster.tasksOf(service.getId())) {
                    text.append("  slot %d on '%s' %s, wanted %s, version %d, since %s %s%n"
                            .formatted(
                                    task.getSlot(),
                                    task.getNodeId(),
                                    task.getStatus().getState(),
                                    task.getDesiredState(),
                                    task.getSpecVersion().getIndex(),
                                    TaskStates.createdAt(task),
                                    task.getStatus().getErr()));
                }
            }
            return text.toString();
        }

        private void move() {
            String service = pick(cluster.state().services().values().stream()
                    .map(Service::getId)
                    .sorted()
                    .toList());
            String node = "n" + random.nextInt(NODES);
            switch (random.nextInt(14)) {
                case 0, 1 -> {
                    if (cluster.state().services().size() < SERVICES_MAX) {
                        note("create");
                        cluster.create(newService());
                    }
                }
                case 2 -> {
                    if (service != null && cluster.service(service).getSpec().hasReplicated()) {
                        int replicas = random.nextInt(9);
                        note("scale " + service + " " + replicas);
                        cluster.scale(service, replicas);
                    }
                }
                case 3 -> {
                    if (service != null) {
                        String image = random.nextInt(4) == 0 ? "bad" : "image" + random.nextInt(5);
                        note("update " + service + " " + image);
                        cluster.setImage(service, image);
                    }
                }
                case 4 -> {
                    Availability availability = pick(
                            List.of(Availability.ACTIVE, Availability.ACTIVE, Availability.DRAIN, Availability.PAUSE));
                    note(node + " " + availability);
                    if (availability != null) {
                        cluster.setAvailability(node, availability);
                    }
                }
                case 5 -> {
                    boolean down = random.nextBoolean();
                    note(node + (down ? " down" : " up"));
                    cluster.setNodeState(node, down ? NodeStatus.State.DOWN : NodeStatus.State.READY);
                }
                case 6 -> {
                    String zone = random.nextBoolean() ? "a" : "b";
                    note(node + " zone " + zone);
                    cluster.node(
                            node,
                            changed -> changed.getSpecBuilder()
                                    .getAnnotationsBuilder()
                                    .putLabels("zone", zone));
                }
                case 7 -> {
                    if (service != null && random.nextInt(3) == 0) {
                        note("remove " + service);
                        cluster.remove(service);
                    }
                }
                case 8 -> {
                    Task task = pick(cluster.tasks(running -> running.getStatus()
                                            .getState()
                                    == TaskState.RUNNING
                            && running.getDesiredState() == TaskState.RUNNING
                            && cluster.node(running.getNodeId()).getStatus().getState() == NodeStatus.State.READY));
                    if (task != null) {
                        TaskState end = random.nextBoolean() ? TaskState.FAILED : TaskState.COMPLETE;
                        note("task of " + task.getServiceId() + " slot " + task.getSlot() + " " + end);
                        cluster.report(task.getId(), end);
                    }
                }
                case 9 -> {
                    note("new leader");
                    cluster.changeLeader();
                }
                case 10, 11 -> {
                    note("agents step");
                    cluster.agentsStep(task -> random.nextBoolean());
                }
                case 12 -> {
                    note("work");
                    cluster.work();
                }
                default -> {
                    Duration time = Duration.ofMillis(random.nextInt(12_000));
                    note("pass " + time);
                    cluster.pass(time);
                }
            }
        }

        private void note(String what) {
            history.add(what);
        }

        private <T> @org.jspecify.annotations.Nullable T pick(List<T> from) {
            return from.isEmpty() ? null : from.get(random.nextInt(from.size()));
        }

        private Service.Builder newService() {
            Service.Builder service = TestKit.service("s" + services++, random.nextInt(7));
            if (random.nextInt(3) == 0) {
                service.getSpecBuilder().setGlobal(GlobalService.getDefaultInstance());
            }
            UpdateConfig.Builder update = UpdateConfig.newBuilder()
                    .setParallelism(random.nextInt(3))
                    .setOrder(random.nextBoolean() ? UpdateOrder.START_FIRST : UpdateOrder.STOP_FIRST)
                    .setFailureAction(FailureAction.forNumber(random.nextInt(3)))
                    .setDelay(Times.wire(Duration.ofSeconds(random.nextInt(3))));
            service.getSpecBuilder().setUpdate(update).setRollback(update);
            TaskSpec.Builder task = service.getSpecBuilder().getTaskBuilder();
            if (random.nextInt(3) == 0) {
                task.getPlacementBuilder().addConstraints("node.labels.zone" + pick(List.of("==", "!=")) + "a");
            }
            if (random.nextInt(4) == 0) {
                task.getPlacementBuilder().setMaxReplicas(1 + random.nextInt(2));
            }
            if (random.nextInt(4) == 0) {
                task.getResourcesBuilder().getReservationsBuilder().setNanoCpus(1_500_000_000L);
            }
            if (random.nextInt(4) == 0) {
                service.getSpecBuilder()
                        .setEndpoint(EndpointSpec.newBuilder()
                                .addPorts(PortConfig.newBuilder()
                                        .setTargetPort(80)
                                        .setPublishedPort(8080)
                                        .setPublishMode(PortConfig.PublishMode.HOST)));
            }
            if (random.nextInt(3) == 0) {
                task.setRestart(RestartPolicy.newBuilder()
                        .setCondition(RestartPolicy.RestartCondition.forNumber(random.nextInt(3)))
                        .setMaxAttempts(random.nextInt(3))
                        .setDelay(Times.wire(Duration.ofMillis(random.nextInt(3000)))));
            }
            return service;
        }

        private void check(ClusterState state) {
            Map<String, Task> now = new HashMap<>();
            for (Task task : state.tasks().values()) {
                now.put(task.getId(), task);
                Task old = before.get(task.getId());
                if (old != null) {
                    assertThat(task.getStatus().getStateValue())
                            .as("state of %s", task.getId())
                            .isGreaterThanOrEqualTo(old.getStatus().getStateValue());
                    assertThat(task.getDesiredStateValue())
                            .as("desired state of %s", task.getId())
                            .isGreaterThanOrEqualTo(old.getDesiredStateValue());
                }
                Node node = state.nodes().get(task.getNodeId());
                if (node != null && node.getStatus().getState() == NodeStatus.State.DOWN) {
                    outOfSight.add(task.getId());
                }
            }
            before = now;
            checkSlots(state);
            for (Node node : state.nodes().values()) {
                checkNode(state, node);
            }
        }

        private void checkSlots(ClusterState state) {
            Map<SlotKey, Integer> wanted = new HashMap<>();
            Map<SlotKey, Integer> running = new HashMap<>();
            for (Task task : state.tasks().values()) {
                Service service = state.services().get(task.getServiceId());
                if (service == null || outOfSight.contains(task.getId()) || TaskStates.isTerminal(task)) {
                    continue;
                }
                if (task.getDesiredStateValue() <= TaskState.RUNNING_VALUE) {
                    wanted.merge(SlotKey.of(service, task), 1, Integer::sum);
                }
                if (task.getStatus().getStateValue() >= TaskState.STARTING_VALUE) {
                    running.merge(SlotKey.of(service, task), 1, Integer::sum);
                }
            }
            wanted.forEach((slot, count) ->
                    assertThat(count).as("tasks wanted in %s", slot).isLessThanOrEqualTo(atOnce(state, slot)));
            running.forEach((slot, count) ->
                    assertThat(count).as("tasks running in %s", slot).isLessThanOrEqualTo(atOnce(state, slot)));
        }

        private static int atOnce(ClusterState state, SlotKey slot) {
            Service service = state.services().get(slot.serviceId());
            boolean startFirst =
                    service != null && service.getSpec().getUpdate().getOrder() == UpdateOrder.START_FIRST;
            return startFirst ? 2 : 1;
        }

        private void checkNode(ClusterState state, Node node) {
            Set<PortConfig> ports = new HashSet<>();
            Map<String, Integer> active = new HashMap<>();
            long nanoCpus = 0;
            for (Task task : state.tasksOfNode(node.getId())) {
                boolean holdsRoom =
                        task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE && !TaskStates.isTerminal(task);
                if (!holdsRoom) {
                    continue;
                }
                for (PortConfig port : task.getEndpoint().getPortsList()) {
                    assertThat(ports.add(port))
                            .as("%s is the only owner of port %s on %s", task.getId(), port, node.getId())
                            .isTrue();
                }
                nanoCpus += task.getSpec().getResources().getReservations().getNanoCpus();
                Service service = state.services().get(task.getServiceId());
                if (service == null || !TaskStates.isWanted(task)) {
                    continue;
                }
                long limit = task.getSpec().getPlacement().getMaxReplicas();
                int count = active.merge(task.getServiceId(), 1, Integer::sum);
                assertThat(limit == 0 || count <= limit)
                        .as("tasks of %s on %s", task.getServiceId(), node.getId())
                        .isTrue();
                if (node.getSpec().getAvailability() == Availability.ACTIVE) {
                    assertThat(Constraints.match(
                                    Constraints.of(service.getSpec().getTask().getPlacement()), node))
                            .as("%s may run on %s", task.getId(), node.getId())
                            .isTrue();
                }
            }
            assertThat(nanoCpus)
                    .as("CPUs reserved on %s", node.getId())
                    .isLessThanOrEqualTo(node.getDescription().getResources().getNanoCpus());
        }

        /** Makes all nodes and images good again, and waits. */
        private void calmDown() {
            note("calm");
            for (int i = 0; i < NODES; i++) {
                cluster.setNodeState("n" + i, NodeStatus.State.READY);
                cluster.setAvailability("n" + i, Availability.ACTIVE);
            }
            cluster.failingImages.clear();
            cluster.pass(Duration.ofMinutes(3));
        }

        private void checkRest() {
            for (Service service : cluster.state().services().values()) {
                List<Task> wanted = cluster.tasks(task -> task.getServiceId().equals(service.getId())
                        && task.getDesiredState() == TaskState.RUNNING
                        && !TaskStates.isTerminal(task));
                boolean pending = false;
                for (Task task : wanted) {
                    if (task.getStatus().getState() == TaskState.PENDING) {
                        pending = true;
                        assertThat(task.getStatus().getErr()).isNotEmpty();
                    } else {
                        assertThat(task.getStatus().getState()).isEqualTo(TaskState.RUNNING);
                    }
                }
                boolean restarts =
                        service.getSpec().getTask().getRestart().getCondition() == RestartPolicy.RestartCondition.ANY
                                && service.getSpec().getTask().getRestart().getMaxAttempts() == 0;
                boolean alwaysRestarts = !service.getSpec().getTask().hasRestart() || restarts;
                UpdateState update = service.getUpdateStatus().getState();
                boolean paused = update == UpdateState.PAUSED || update == UpdateState.ROLLBACK_PAUSED;
                if (!pending) {
                    assertThat(update).isNotIn(UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED);
                }
                if (paused || pending) {
                    continue;
                }
                if (alwaysRestarts) {
                    assertThat(wanted)
                            .noneMatch(task -> TaskFreshness.isDirty(service, task, cluster.node(task.getNodeId())));
                }
                if (alwaysRestarts && service.getSpec().hasReplicated()) {
                    assertThat(wanted).as("tasks of %s", service.getId()).hasSize((int)
                            service.getSpec().getReplicated().getReplicas());
                }
                if (alwaysRestarts && service.getSpec().hasGlobal()) {
                    List<Constraint> constraints =
                            Constraints.of(service.getSpec().getTask().getPlacement());
                    long fitting = cluster.state().table(Kind.NODE).values().stream()
                            .filter(node -> Constraints.match(constraints, node))
                            .count();
                    assertThat(wanted).as("tasks of %s", service.getId()).hasSize((int) fitting);
                }
            }
        }
    }
}
