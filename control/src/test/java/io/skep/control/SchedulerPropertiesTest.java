package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.GenericResource;
import io.skep.wire.Mount;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PlacementPreference;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.SpreadOver;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.jspecify.annotations.Nullable;

/**
 * The scheduler decides what the plain algorithm decides: both are shown the same clusters, which change at random, and
 * must give each task the same node, and the others the same reason.
 */
class SchedulerPropertiesTest {
    private static final int ACTS_MAX = 50;

    @Property(tries = 150)
    void decidesAsThePlainAlgorithm(
            @ForAll long seed,
            @ForAll @IntRange(max = 40) int nodes,
            @ForAll @IntRange(min = 1, max = 60) int changes) {
        World world = new World(seed);
        for (int i = 0; i < nodes; i++) {
            world.addNode();
        }
        world.settle();
        for (int i = 0; i < changes; i++) {
            world.changeSomething();
            world.settle();
        }
        world.removeAll();
    }

    /** As above, with so many nodes that most services have tasks on few of them only. */
    @Property(tries = 8)
    void decidesAsThePlainAlgorithmOnManyNodes(@ForAll long seed) {
        World world = new World(seed);
        for (int i = 0; i < 1_500; i++) {
            world.addNode();
        }
        for (int i = 0; i < 60; i++) {
            for (int j = 0; j < 5; j++) {
                world.changeSomething();
            }
            world.settle();
        }
    }

    /** Two schedulers, each with a state of its own, that see the same changes. */
    private static final class World {
        private final Random random;
        private final IdSource ids;
        private Instant now = TestKit.START;
        private ClusterState state = ClusterState.empty();
        private Transaction transaction = new Transaction(state, now);
        private Scheduler scheduler = new Scheduler(state, now);
        private Loop plain = new PlainScheduler(state, now);
        private int services;

        World(long seed) {
            this.random = new Random(seed);
            this.ids = TestKit.ids(seed);
        }

        /** Lets both decide on the changes, and compares. */
        void settle() {
            for (int i = 0; i < ACTS_MAX; i++) {
                int heard = transaction.events().size();
                tell(transaction, 0);
                Transaction model = new Transaction(transaction.commit(), now);
                Transaction actual = new Transaction(transaction.commit(), now);
                plain.act(model, now);
                scheduler.act(actual, now);
                compare(actual.commit(), model.commit());
                state = actual.commit();
                transaction = new Transaction(state, now);
                for (Event<?> event : actual.events()) {
                    scheduler.observe(event, state);
                }
                for (Event<?> event : model.events()) {
                    plain.observe(event, state);
                }
                Instant wake = scheduler.nextWake();
                if (wake == null && plain.nextWake() != null) {
                    wake = plain.nextWake();
                }
                if (heard == 0 && actual.isEmpty() && wake == null) {
                    return;
                }
                if (wake != null && wake.isAfter(now)) {
                    now = wake;
                    transaction = new Transaction(state, now);
                }
            }
            throw new AssertionError("the scheduler does not come to rest");
        }

        private void tell(Transaction changed, int from) {
            for (Event<?> event :
                    changed.events().subList(from, changed.events().size())) {
                scheduler.observe(event, changed.state());
                plain.observe(event, changed.state());
            }
        }

        private static void compare(ClusterState actual, ClusterState expected) {
            assertThat(actual.tasks().size()).isEqualTo(expected.tasks().size());
            for (Task task : expected.tasks().values()) {
                assertThat(actual.tasks().get(task.getId())).isEqualTo(task);
            }
        }

        void changeSomething() {
            switch (random.nextInt(22)) {
                case 0 -> addNode();
                case 1 -> removeNode();
                case 2, 3, 4 -> changeNode();
                case 5, 6, 7, 8, 9, 10 -> addService();
                case 11, 12 -> addTasks();
                case 13, 14 -> finish(TaskState.COMPLETE);
                case 15, 16 -> finish(TaskState.FAILED);
                case 17 -> stopSome();
                case 18 -> removeSome();
                case 19 -> addBoundTask();
                case 20 -> now = now.plus(Duration.ofSeconds(random.nextInt(120)));
                default -> {
                    scheduler = new Scheduler(transaction.state(), now);
                    plain = new PlainScheduler(transaction.state(), now);
                    Transaction fresh = new Transaction(transaction.commit(), now);
                    transaction = fresh;
                }
            }
            if (transaction.isEmpty()) {
                transaction = new Transaction(transaction.state(), now);
            }
        }

        void addNode() {
            transaction.put(Kind.NODE, node(TestKit.node(ids.nextId())).build());
        }

        private Node.Builder node(Node.Builder node) {
            node.getSpecBuilder().getAnnotationsBuilder().clearLabels();
            if (random.nextInt(4) > 0) {
                node.getSpecBuilder().getAnnotationsBuilder().putLabels("zone", "z" + random.nextInt(3));
            }
            if (random.nextInt(4) > 0) {
                node.getSpecBuilder().getAnnotationsBuilder().putLabels("rack", "r" + random.nextInt(6));
            }
            node.getSpecBuilder().setAvailability(random.nextInt(10) > 0 ? Availability.ACTIVE : Availability.DRAIN);
            node.getStatusBuilder().setState(random.nextInt(10) > 0 ? NodeStatus.State.READY : NodeStatus.State.DOWN);
            node.getDescriptionBuilder()
                    .getPlatformBuilder()
                    .setArchitecture(random.nextInt(5) > 0 ? "x86_64" : "aarch64");
            node.getDescriptionBuilder()
                    .getResourcesBuilder()
                    .setNanoCpus((1 + random.nextInt(4)) * 1_000_000_000L)
                    .setMemoryBytes((1L + random.nextInt(8)) << 30)
                    .clearGeneric();
            if (random.nextInt(3) == 0) {
                node.getDescriptionBuilder().getResourcesBuilder().addGeneric(some("disk", random.nextInt(5)));
            }
            if (random.nextInt(3) == 0) {
                for (int i = random.nextInt(3); i >= 0; i--) {
                    node.getDescriptionBuilder().getResourcesBuilder().addGeneric(named("gpu", "g" + i));
                }
            }
            if (random.nextInt(3) == 0) {
                node.getDescriptionBuilder()
                        .getEngineBuilder()
                        .addPlugins(
                                PluginDescription.newBuilder().setType("Volume").setName("nfs:latest"));
            }
            return node;
        }

        private void removeNode() {
            Node node = any(new ArrayList<>(transaction.state().nodes().values()));
            if (node != null) {
                transaction.remove(Kind.NODE, node.getId());
            }
        }

        private void changeNode() {
            Node node = any(new ArrayList<>(transaction.state().nodes().values()));
            if (node == null) {
                return;
            }
            Node.Builder changed = node.toBuilder();
            switch (random.nextInt(4)) {
                case 0 -> changed.getStatusBuilder().setMessage("nothing that matters here");
                case 1 -> changed.getStatusBuilder().setState(NodeStatus.State.DOWN);
                case 2 -> changed.getStatusBuilder().setState(NodeStatus.State.READY);
                default -> node(changed);
            }
            transaction.put(Kind.NODE, changed.build());
        }

        /** Removes all there is; then nothing may stay behind. */
        void removeAll() {
            for (Task task : List.copyOf(transaction.state().tasks().values())) {
                transaction.remove(Kind.TASK, task.getId());
            }
            for (Node node : List.copyOf(transaction.state().nodes().values())) {
                transaction.remove(Kind.NODE, node.getId());
            }
            settle();
            now = now.plus(Failures.REMEMBERED_FOR).plusSeconds(1);
            scheduler.act(new Transaction(state, now), now);
            assertThat(scheduler.kept()).isZero();
        }

        private void addService() {
            Service.Builder service = TestKit.service("s" + services++, 1);
            describe(service.getSpecBuilder().getTaskBuilder());
            if (random.nextInt(5) == 0) {
                service.getSpecBuilder()
                        .getEndpointBuilder()
                        .addPorts(PortConfig.newBuilder()
                                .setTargetPort(80)
                                .setPublishedPort(8000 + random.nextInt(3))
                                .setPublishMode(PortConfig.PublishMode.HOST));
            }
            transaction.put(Kind.SERVICE, service.build());
            addTasks(service.build());
        }

        private void describe(TaskSpec.Builder spec) {
            if (random.nextInt(3) == 0) {
                spec.getPlacementBuilder()
                        .addConstraints(
                                "node.labels.zone" + (random.nextBoolean() ? "==" : "!=") + "Z" + random.nextInt(3));
            }
            if (random.nextInt(6) == 0) {
                spec.getPlacementBuilder()
                        .addConstraints("Node.Platform.Arch==" + (random.nextBoolean() ? "X86_64" : "aarch64"));
            }
            if (random.nextInt(5) == 0) {
                spec.getPlacementBuilder()
                        .addPlatforms(Platform.newBuilder().setOs("linux").setArchitecture("amd64"));
            }
            if (random.nextInt(3) == 0) {
                spec.getPlacementBuilder().addPreferences(spread("node.labels.zone"));
                if (random.nextBoolean()) {
                    spec.getPlacementBuilder().addPreferences(spread("node.labels.rack"));
                }
            }
            if (random.nextInt(5) == 0) {
                spec.getPlacementBuilder().setMaxReplicas(1 + random.nextInt(2));
            }
            if (random.nextInt(3) == 0) {
                spec.getResourcesBuilder()
                        .getReservationsBuilder()
                        .setNanoCpus(random.nextInt(3) * 500_000_000L)
                        .setMemoryBytes(random.nextInt(4) << 28);
            }
            if (random.nextInt(6) == 0) {
                spec.getResourcesBuilder()
                        .getReservationsBuilder()
                        .addGeneric(
                                switch (random.nextInt(3)) {
                                    case 0 -> some("disk", 1 + random.nextInt(2));
                                    case 1 -> some("gpu", random.nextInt(3));
                                    default -> named("gpu", "g" + random.nextInt(2));
                                });
            }
            if (random.nextInt(8) == 0) {
                spec.getContainerBuilder()
                        .addMountsBuilder()
                        .getVolumeOptionsBuilder()
                        .getDriverConfigBuilder()
                        .setName("nfs");
                spec.getContainerBuilder().getMountsBuilder(0).setType(Mount.Type.VOLUME);
            }
        }

        private static PlacementPreference spread(String label) {
            return PlacementPreference.newBuilder()
                    .setSpread(SpreadOver.newBuilder().setSpreadDescriptor(label))
                    .build();
        }

        private static GenericResource some(String kind, long count) {
            return GenericResource.newBuilder()
                    .setDiscreteResourceSpec(
                            DiscreteGenericResource.newBuilder().setKind(kind).setValue(count))
                    .build();
        }

        private static GenericResource named(String kind, String value) {
            return GenericResource.newBuilder()
                    .setNamedResourceSpec(
                            NamedGenericResource.newBuilder().setKind(kind).setValue(value))
                    .build();
        }

        private void addTasks() {
            Service service = any(new ArrayList<>(transaction.state().services().values()));
            if (service != null) {
                Service.Builder next = service.toBuilder();
                if (random.nextInt(4) == 0) {
                    next.setSpecVersion(Version.newBuilder().setIndex(random.nextInt(100)));
                    next.getSpecBuilder().getTaskBuilder().clearPlacement().clearResources();
                    describe(next.getSpecBuilder().getTaskBuilder());
                    transaction.put(Kind.SERVICE, next.build());
                }
                addTasks(next.build());
            }
        }

        private void addTasks(Service service) {
            for (int i = random.nextInt(8); i >= 0; i--) {
                transaction.put(Kind.TASK, task(service).build());
            }
        }

        private void addBoundTask() {
            Service service = any(new ArrayList<>(transaction.state().services().values()));
            Node node = any(new ArrayList<>(transaction.state().nodes().values()));
            if (service != null && node != null) {
                transaction.put(Kind.TASK, task(service).setNodeId(node.getId()).build());
            }
        }

        private Task.Builder task(Service service) {
            Task.Builder task =
                    TestKit.task(ids.nextId(), service, 1).setStatus(TestKit.status(TaskState.PENDING, now));
            task.getEndpointBuilder().setSpec(service.getSpec().getEndpoint());
            return task;
        }

        private void finish(TaskState end) {
            List<Task> live = tasks();
            for (int i = random.nextInt(12); i >= 0; i--) {
                Task task = any(live);
                if (task != null
                        && task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE
                        && task.equals(transaction.state().tasks().get(task.getId()))) {
                    transaction.put(
                            Kind.TASK,
                            task.toBuilder().setStatus(TestKit.status(end, now)).build());
                    if (end == TaskState.FAILED) {
                        // Where it failed is to be tried again, often enough to be given up.
                        transaction.put(
                                Kind.TASK,
                                task.toBuilder()
                                        .setId(ids.nextId())
                                        .setNodeId("")
                                        .setStatus(TestKit.status(TaskState.PENDING, now))
                                        .clearAssignedGenericResources()
                                        .build());
                    }
                }
            }
        }

        private void stopSome() {
            Task task = any(tasks());
            if (task != null) {
                transaction.put(
                        Kind.TASK,
                        task.toBuilder().setDesiredState(TaskState.SHUTDOWN).build());
            }
        }

        private void removeSome() {
            Task task = any(tasks());
            if (task != null) {
                transaction.remove(Kind.TASK, task.getId());
            }
        }

        private List<Task> tasks() {
            List<Task> tasks = new ArrayList<>();
            for (Task task : transaction.state().tasks().values()) {
                if (!TaskStates.isTerminal(task)) {
                    tasks.add(task);
                }
            }
            return tasks;
        }

        private <T> @Nullable T any(List<T> objects) {
            return objects.isEmpty() ? null : objects.get(random.nextInt(objects.size()));
        }
    }
}
