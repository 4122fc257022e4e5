package io.skep.control;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.CreateNetworkRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.GlobalJob;
import io.skep.wire.GlobalService;
import io.skep.wire.IPAMConfig;
import io.skep.wire.JobStatus;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateConfig.FailureAction;
import io.skep.wire.UpdateConfig.UpdateOrder;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.UpdateStatus.UpdateState;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
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
    private static final int NODES_MIN = 3;
    private static final int SERVICES_MAX = 5;
    private static final int NETWORKS_MAX = 6;
    private static final long[] HISTORY_LIMITS = {-1, 0, 1, 5};

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
        private final long historyLimit;
        private int services;
        private int networks;
        private int nodesMade;

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
            this.nodesMade = NODES;
            this.historyLimit = HISTORY_LIMITS[random.nextInt(HISTORY_LIMITS.length)];
            cluster.change(transaction -> {
                Cluster.Builder limited = TestKit.cluster();
                limited.getSpecBuilder().getOrchestrationBuilder().setTaskHistoryRetentionLimit(historyLimit);
                transaction.put(Kind.CLUSTER, limited.build());
                new NetworkCommands(TestKit.ids(~seed)).createFirst(transaction);
            });
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
            String node = requireNonNull(pick(nodes()));
            switch (random.nextInt(18)) {
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
                case 13 -> {
                    if (cluster.state().networks().size() < NETWORKS_MAX) {
                        String name = "net" + networks++;
                        CreateNetworkRequest.Builder request = CreateNetworkRequest.newBuilder()
                                .setSpec(TestKit.network(name).getSpec());
                        if (random.nextBoolean()) {
                            request.getSpecBuilder()
                                    .getIpamBuilder()
                                    .addConfigs(IPAMConfig.newBuilder().setSubnet("172.20." + networks + ".0/29"));
                        }
                        attempt("network " + name, Command.newBuilder().setCreateNetwork(request));
                    }
                }
                case 14 -> {
                    String network = pick(userNetworks());
                    if (network != null && random.nextBoolean()) {
                        attempt(
                                "remove network " + network,
                                Command.newBuilder()
                                        .setRemoveNetwork(RemoveNetworkRequest.newBuilder()
                                                .setNetworkId(network)));
                    } else if (service != null) {
                        note("attach " + service + " to " + network);
                        cluster.update(service, spec -> attach(spec, network));
                    }
                }
                case 15 -> {
                    if (service != null) {
                        attempt(
                                "roll back " + service,
                                Command.newBuilder()
                                        .setUpdateService(UpdateServiceRequest.newBuilder()
                                                .setServiceId(service)
                                                .setServiceVersion(cluster.service(service)
                                                        .getMeta()
                                                        .getVersion())
                                                .setRollback(UpdateServiceRequest.Rollback.PREVIOUS)));
                    }
                }
                case 16 -> {
                    if (nodes().size() < NODES && random.nextBoolean()) {
                        String joined = "n" + nodesMade++;
                        note(joined + " joins");
                        cluster.change(transaction ->
                                transaction.put(Kind.NODE, TestKit.node(joined).build()));
                    } else if (nodes().size() > NODES_MIN) {
                        attempt(
                                "remove " + node,
                                Command.newBuilder()
                                        .setRemoveNode(RemoveNodeRequest.newBuilder()
                                                .setNodeId(node)
                                                .setForce(random.nextBoolean())));
                    }
                }
                default -> {
                    Duration time = Duration.ofMillis(random.nextInt(12_000));
                    note("pass " + time);
                    cluster.pass(time);
                }
            }
        }

        private List<String> nodes() {
            return cluster.state().nodes().values().stream()
                    .map(Node::getId)
                    .sorted()
                    .toList();
        }

        private List<String> userNetworks() {
            return cluster.state().networks().values().stream()
                    .filter(network ->
                            network.getSpec().getAnnotations().getName().startsWith("net"))
                    .map(Network::getId)
                    .sorted()
                    .toList();
        }

        private static void attach(ServiceSpec.Builder spec, @Nullable String network) {
            spec.getTaskBuilder().clearNetworks();
            if (network != null) {
                spec.getTaskBuilder()
                        .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget(network));
            }
        }

        private void attempt(String what, Command.Builder command) {
            boolean done = cluster.attempt(command);
            note(done ? what : what + " refused");
        }

        private void note(String what) {
            history.add(what);
        }

        private <T> @Nullable T pick(List<T> from) {
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
            if (random.nextInt(3) == 0) {
                attach(service.getSpecBuilder(), pick(userNetworks()));
            }
            if (random.nextInt(5) == 0) {
                makeJob(service);
            }
            return service;
        }

        private void makeJob(Service.Builder service) {
            service.setJobStatus(JobStatus.getDefaultInstance());
            service.getSpecBuilder().clearUpdate().clearRollback();
            if (random.nextBoolean()) {
                service.getSpecBuilder().setGlobalJob(GlobalJob.getDefaultInstance());
            } else {
                service.getSpecBuilder()
                        .setReplicatedJob(ReplicatedJob.newBuilder()
                                .setMaxConcurrent(1 + random.nextInt(3))
                                .setTotalCompletions(1 + random.nextInt(5)));
            }
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
            AllocatorPropertiesTest.check(state);
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
            for (String node : nodes()) {
                cluster.setNodeState(node, NodeStatus.State.READY);
                cluster.setAvailability(node, Availability.ACTIVE);
            }
            cluster.failingImages.clear();
            cluster.pass(Duration.ofMinutes(3));
        }

        private void checkRest() {
            for (Service service : cluster.state().services().values()) {
                checkHistory(service);
                List<Task> wanted = cluster.tasks(task -> task.getServiceId().equals(service.getId())
                        && TaskStates.isWanted(task)
                        && !TaskStates.isTerminal(task));
                boolean pending = false;
                for (Task task : wanted) {
                    if (task.getStatus().getStateValue() <= TaskState.PENDING_VALUE) {
                        pending = true;
                        assertThat(task.getStatus().getErr()).isNotEmpty();
                    } else {
                        assertThat(task.getStatus().getState()).isEqualTo(TaskState.RUNNING);
                        assertThat(task.getDesiredState()).isEqualTo(TaskState.RUNNING);
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
                if (alwaysRestarts && TaskStates.isJob(service)) {
                    checkJob(service);
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

        private void checkJob(Service service) {
            List<Task> complete = cluster.tasks(task -> task.getServiceId().equals(service.getId())
                    && task.getStatus().getState() == TaskState.COMPLETE
                    && task.getJobIteration().equals(service.getJobStatus().getJobIteration()));
            if (service.getSpec().hasReplicatedJob()) {
                assertThat(complete).as("work of %s", service.getId()).hasSize((int)
                        service.getSpec().getReplicatedJob().getTotalCompletions());
                return;
            }
            List<Constraint> constraints =
                    Constraints.of(service.getSpec().getTask().getPlacement());
            for (Node node : cluster.state().nodes().values()) {
                if (Constraints.match(constraints, node)) {
                    assertThat(complete)
                            .as("work of %s on %s", service.getId(), node.getId())
                            .anyMatch(task -> task.getNodeId().equals(node.getId()));
                }
            }
        }

        /** What is kept beyond the limit fills its slot, is work done, or belongs to a slot that still waits. */
        private void checkHistory(Service service) {
            long attempts = service.getSpec().getTask().getRestart().getMaxAttempts();
            long limit = attempts > 0 ? attempts + 1 : historyLimit;
            Map<SlotKey, List<Task>> slots = new HashMap<>();
            for (Task task : cluster.tasksOf(service.getId())) {
                slots.computeIfAbsent(SlotKey.of(service, task), key -> new ArrayList<>())
                        .add(task);
            }
            slots.forEach((slot, tasks) -> {
                long ended = tasks.stream().filter(TaskStates::isTerminal).count();
                if (limit >= 0 && !TaskStates.isJob(service)) {
                    assertThat(ended).as("history of %s", slot).isLessThanOrEqualTo(Math.max(limit, 1));
                }
            });
        }
    }
}
