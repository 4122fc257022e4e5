package io.skep.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.skep.wire.Annotations;
import io.skep.wire.CommandResult;
import io.skep.wire.ContainerSpec;
import io.skep.wire.ContainerStatus;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.Driver;
import io.skep.wire.Endpoint;
import io.skep.wire.GenericResource;
import io.skep.wire.LogChange;
import io.skep.wire.LogEntry;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.PortConfig;
import io.skep.wire.PortStatus;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskBatch;
import io.skep.wire.TaskChange;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.Version;
import io.skep.wire.VolumeAttachment;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** What a leader decided, its followers and its later selves have. */
final class ReplayTest {
    private static final int NAMES = 6;

    @Property(tries = 150)
    void applyingTheLogGivesTheStateThatTheLeaderDecidedOn(@ForAll long seed) {
        Random random = new Random(seed);
        Store follower = new Store();
        ClusterState leader = ClusterState.empty();
        for (int index = 1; index <= 12; index++) {
            leader = step(random, leader, index, List.of(follower));
            assertSame(follower.state(), leader);
        }
    }

    @Property(tries = 100)
    void aSnapshotGivesTheSameStateAndTheLogGoesOnFromIt(@ForAll long seed) throws IOException {
        Random random = new Random(seed);
        Store follower = new Store();
        ClusterState leader = ClusterState.empty();
        for (int index = 1; index <= 10; index++) {
            leader = step(random, leader, index, List.of(follower));
        }
        StateMachine.Snapshot snapshot = follower.snapshot();
        step(random, leader, 11, List.of(follower));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        snapshot.writeTo(out);
        Store restored = new Store();
        List<Commit> commits = new ArrayList<>();
        restored.watch(commits::add);
        restored.restore(new ByteArrayInputStream(out.toByteArray()));
        assertThat(commits)
                .singleElement()
                .satisfies(commit -> assertThat(commit.reset()).isTrue());
        assertSame(restored.state(), leader);
        Store again = new Store();
        ByteArrayOutputStream second = new ByteArrayOutputStream();
        restored.snapshot().writeTo(second);
        again.restore(new ByteArrayInputStream(second.toByteArray()));
        assertSame(again.state(), restored.state());
        step(random, restored.state(), 12, List.of(restored, again));
        assertSame(again.state(), restored.state());
    }

    @Property(tries = 2000)
    void aTaskSurvivesItsEncodings(@ForAll long seed) {
        Random random = new Random(seed);
        ClusterState state = ClusterState.empty()
                .with(Kind.SERVICE, "service-0", service(random, 0))
                .with(Kind.SERVICE, "service-1", service(random, 1))
                .with(Kind.NETWORK, "network-0", network(0))
                .with(Kind.NODE, "node-0", node(random, 0));
        Task before = task(random, state, 1).toBuilder().clearMeta().build();
        Task after = task(random, state, 1).toBuilder().clearMeta().build();
        Timestamp at = Timestamp.newBuilder()
                .setSeconds(1_000_000 + random.nextInt(100))
                .setNanos(random.nextInt(1_000_000_000))
                .build();
        TaskEncoder encoder = new TaskEncoder(state, at);
        encoder.add(null, before);
        encoder.add(before, after);
        TaskBatch batch = encoder.batch();
        TaskDecoder decoder = new TaskDecoder(state, at, batch);
        assertThat(decoder.decode(null, batch.getTasks(0)).build()).isEqualTo(before);
        assertThat(decoder.decode(before, batch.getTasks(1)).build()).isEqualTo(after);
    }

    /** Whatever becomes of what the leader proposed, its own store holds what those of its followers hold. */
    @Property(tries = 200)
    void theStoreOfTheLeaderIsThatOfItsFollowers(@ForAll long seed) {
        Random random = new Random(seed);
        Store own = new Store();
        Store follower = new Store();
        List<Commit> ownCommits = new ArrayList<>();
        List<Commit> commits = new ArrayList<>();
        own.watch(ownCommits::add);
        follower.watch(commits::add);
        ClusterState head = own.state();
        int index = 0;
        int taken = 0;
        for (int turn = 0; turn < 20; turn++) {
            boolean led = random.nextInt(4) > 0;
            Instant now = Instant.ofEpochSecond(1_000_000 + turn);
            List<ByteString> proposed = new ArrayList<>();
            for (int i = 0; i <= random.nextInt(3); i++) {
                Transaction transaction = new Transaction(head, now);
                for (int change = 0; change < 6; change++) {
                    change(random, transaction);
                }
                ByteString entry = LogEntry.newBuilder()
                        .setBaseVersion(head.version())
                        .setAt(Timestamp.newBuilder().setSeconds(now.getEpochSecond()))
                        .addTransactions(transaction.toLog())
                        .build()
                        .toByteString();
                head = transaction.commit();
                if (led) {
                    own.decided(entry, transaction);
                }
                proposed.add(entry);
            }
            // A leader that falls may lose the last of its entries.
            boolean falls = led && random.nextInt(4) == 0;
            for (ByteString entry : falls ? proposed.subList(0, random.nextInt(proposed.size())) : proposed) {
                own.apply(++index, entry);
                follower.apply(index, entry);
                taken += own.state() == head ? 1 : 0;
            }
            head = own.state();
        }
        assertThat(taken).isPositive();
        assertSame(own.state(), follower.state());
        assertThat(ownCommits).hasSameSizeAs(commits);
        for (int i = 0; i < commits.size(); i++) {
            assertThat(ownCommits.get(i).events()).isEqualTo(commits.get(i).events());
        }
    }

    @Property(tries = 100)
    void whatIsRolledBackWasNeverThere(@ForAll long seed) {
        Random random = new Random(seed);
        ClusterState base = step(random, ClusterState.empty(), 1, List.of());
        Transaction transaction = new Transaction(base, Instant.EPOCH);
        change(random, transaction);
        ClusterState kept = transaction.state();
        int events = transaction.events().size();
        Transaction.Savepoint savepoint = transaction.savepoint();
        change(random, transaction);
        transaction.answer("refused", CommandResult.getDefaultInstance());
        transaction.rollBack(savepoint);
        assertSame(transaction.state(), kept);
        assertThat(transaction.events()).hasSize(events);
        Transaction replayed = new Transaction(base, Instant.EPOCH);
        replayed.replay(transaction.toLog());
        assertSame(replayed.commit(), transaction.commit());
    }

    @Property(tries = 150)
    void theLogHoldsEachObjectOnce(@ForAll long seed) {
        Random random = new Random(seed);
        ClusterState base = step(random, ClusterState.empty(), 1, List.of());
        Transaction transaction = new Transaction(base, Instant.EPOCH);
        for (int change = 0; change < 40; change++) {
            change(random, transaction);
        }
        Set<String> removed = new HashSet<>();
        Set<String> written = new HashSet<>();
        Set<String> tasks = new HashSet<>();
        for (TaskChange change : transaction.toLog().getTasks().getTasksList()) {
            assertThat(tasks.add(change.getId())).isTrue();
        }
        written.addAll(tasks);
        for (LogChange change : transaction.toLog().getChangesList()) {
            String id = id(change);
            assertThat(written.contains(id)).isEqualTo(change.hasRemoval() && tasks.contains(id));
            assertThat((change.hasRemoval() ? removed : written).add(id)).isTrue();
        }
        Transaction replayed = new Transaction(base, Instant.EPOCH);
        replayed.replay(transaction.toLog());
        assertSame(replayed.commit(), transaction.commit());
    }

    private static String id(LogChange change) {
        return switch (change.getKindCase()) {
            case NODE -> change.getNode().getId();
            case SERVICE -> change.getService().getId();
            case NETWORK -> change.getNetwork().getId();
            case REMOVAL -> change.getRemoval().getId();
            default -> throw new AssertionError("unexpected " + change);
        };
    }

    @Test
    void aTaskThatIsMadePlacedAndAllocatedIsOneChangeThatInherits() {
        Transaction transaction = new Transaction(ClusterState.empty(), Instant.EPOCH);
        Service service = transaction.put(Kind.SERVICE, service(new Random(1), 1));
        Task task = Task.newBuilder()
                .setId("task-1")
                .setServiceId(service.getId())
                .setSpec(service.getSpec().getTask())
                .build();
        transaction.put(Kind.TASK, task);
        Endpoint endpoint = Endpoint.newBuilder()
                .addVirtualIps(Endpoint.VirtualIP.newBuilder().setAddr("10.0.0.2/24"))
                .build();
        transaction.put(Kind.SERVICE, service.toBuilder().setEndpoint(endpoint).build());
        transaction.put(Kind.TASK, task.toBuilder().setEndpoint(endpoint).build());
        Task placed = transaction.put(
                Kind.TASK,
                task.toBuilder().setEndpoint(endpoint).setNodeId("node-1").build());

        assertThat(transaction.toLog().getChangesList()).hasSize(1);
        assertThat(transaction.toLog().getTasks())
                .isEqualTo(TaskBatch.newBuilder()
                        .addStrings(service.getId())
                        .addStrings("node-1")
                        .addTasks(TaskChange.newBuilder()
                                .setId("task-1")
                                .setMade(true)
                                .setServiceId(1)
                                .setNodeId(2)
                                .addInherited(Task.SPEC_FIELD_NUMBER)
                                .addInherited(Task.ENDPOINT_FIELD_NUMBER))
                        .build());
        Transaction replayed = new Transaction(ClusterState.empty(), Instant.EPOCH);
        replayed.replay(transaction.toLog());
        assertThat(replayed.state().tasks().get("task-1")).isEqualTo(placed);
    }

    @Test
    void whatIsMadeAndRemovedAgainLeavesNoTraceInTheLog() {
        Transaction transaction = new Transaction(ClusterState.empty(), Instant.EPOCH);
        transaction.put(Kind.NODE, node(new Random(1), 1));
        transaction.remove(Kind.NODE, "node-1");
        assertThat(transaction.isEmpty()).isFalse();
        assertThat(transaction.toLog().getChangesList()).isEmpty();
        assertThat(transaction.toLog().hasTasks()).isFalse();
    }

    @Test
    void aNameGoesToWhoHasItInTheEnd() {
        Transaction first = new Transaction(ClusterState.empty(), Instant.EPOCH);
        first.put(Kind.NETWORK, network("a", "old"));
        first.put(Kind.NETWORK, network("b", "other"));
        ClusterState base = first.commit();
        Transaction transaction = new Transaction(base, Instant.EPOCH);
        transaction.put(Kind.NETWORK, network("b", "between"));
        transaction.put(Kind.NETWORK, network("a", "new"));
        Network b = transaction.put(Kind.NETWORK, network("b", "old"));

        Transaction replayed = new Transaction(base, Instant.EPOCH);
        replayed.replay(transaction.toLog());
        for (ClusterState state : List.of(transaction.commit(), replayed.commit())) {
            assertThat(state.networks().byName("old")).isEqualTo(b);
            assertThat(state.networks().byName("new"))
                    .isEqualTo(state.networks().get("a"));
            assertThat(state.networks().byName("between")).isNull();
            assertThat(state.networks().byName("other")).isNull();
        }
    }

    private static Network network(String id, String name) {
        return Network.newBuilder()
                .setId(id)
                .setSpec(NetworkSpec.newBuilder().setAnnotations(annotations(name)))
                .build();
    }

    /** Decides some transactions and lets the followers apply them. */
    private static ClusterState step(Random random, ClusterState base, int index, List<Store> followers) {
        Instant now = Instant.ofEpochSecond(1_000_000 + index, random.nextInt(1_000_000_000));
        LogEntry.Builder entry = LogEntry.newBuilder().setBaseVersion(base.version());
        ClusterState state = base;
        for (int i = 0; i <= random.nextInt(3); i++) {
            Transaction transaction = new Transaction(state, now);
            for (int change = 0; change < 6; change++) {
                change(random, transaction);
            }
            state = transaction.commit();
            entry.addTransactions(transaction.toLog());
        }
        entry.setAt(Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()));
        for (Store follower : followers) {
            follower.apply(index, entry.build().toByteString());
        }
        return state;
    }

    private static void change(Random random, Transaction transaction) {
        int number = random.nextInt(NAMES);
        switch (random.nextInt(12)) {
            case 0, 1 -> transaction.put(Kind.SERVICE, service(random, number));
            case 2 -> transaction.put(Kind.NODE, node(random, number));
            case 3 -> transaction.put(Kind.NETWORK, network(number));
            case 4 -> transaction.remove(Kind.SERVICE, "service-" + number);
            case 5 -> transaction.remove(Kind.TASK, "task-" + number);
            case 6 -> transaction.remove(Kind.NODE, "node-" + number);
            case 7 ->
                transaction.answer(
                        "request-" + random.nextInt(20),
                        CommandResult.newBuilder().setId("result-" + number).build());
            default -> transaction.put(Kind.TASK, task(random, transaction.state(), number));
        }
    }

    private static Service service(Random random, int number) {
        return Service.newBuilder()
                .setId("service-" + number)
                .setSpec(ServiceSpec.newBuilder()
                        .setAnnotations(annotations("service " + number))
                        .setTask(taskSpec(random)))
                .setSpecVersion(Version.newBuilder().setIndex(random.nextInt(4)))
                .build();
    }

    private static TaskSpec taskSpec(Random random) {
        return TaskSpec.newBuilder()
                .setContainer(ContainerSpec.newBuilder().setImage("image:" + random.nextInt(3)))
                .setForceUpdate(random.nextInt(2))
                .build();
    }

    private static Task task(Random random, ClusterState state, int number) {
        Task.Builder task = Task.newBuilder()
                .setId("task-" + number)
                .setServiceId("service-" + random.nextInt(NAMES))
                .setSlot(random.nextInt(5))
                .setDesiredState(random.nextBoolean() ? TaskState.RUNNING : TaskState.SHUTDOWN);
        Service service = state.services().get(task.getServiceId());
        if (service != null && random.nextInt(4) > 0) {
            task.setSpec(service.getSpec().getTask())
                    .setServiceAnnotations(service.getSpec().getAnnotations())
                    .setSpecVersion(service.getSpecVersion());
        } else if (random.nextBoolean()) {
            task.setSpec(taskSpec(random));
        }
        if (random.nextBoolean()) {
            task.setNodeId("node-" + random.nextInt(NAMES));
        }
        if (random.nextInt(4) > 0) {
            task.setStatus(status(random));
        }
        for (int i = 0; i < random.nextInt(3); i++) {
            NetworkAttachment.Builder attachment =
                    NetworkAttachment.newBuilder().addAddresses("10.0.0." + random.nextInt(9));
            Network network = state.networks().get("network-" + random.nextInt(NAMES));
            switch (random.nextInt(3)) {
                case 0 -> attachment.setNetwork(network == null ? network(1) : network);
                case 1 -> attachment.setNetwork(network(random.nextInt(NAMES)));
                default -> attachment.addAliases("alias");
            }
            task.addNetworks(attachment);
        }
        if (random.nextInt(4) == 0) {
            task.setJobIteration(Version.newBuilder().setIndex(random.nextInt(2)));
            task.setLogDriver(Driver.newBuilder().setName("driver " + random.nextInt(2)));
            task.setAnnotations(annotations("task " + random.nextInt(2)));
        }
        if (random.nextInt(4) == 0) {
            task.addAssignedGenericResources(GenericResource.newBuilder()
                    .setDiscreteResourceSpec(
                            DiscreteGenericResource.newBuilder().setKind("gpu").setValue(random.nextInt(3))));
            task.addVolumes(VolumeAttachment.newBuilder().setId("volume " + random.nextInt(2)));
        }
        return task.build();
    }

    private static TaskStatus status(Random random) {
        TaskStatus.Builder status = TaskStatus.newBuilder();
        if (random.nextInt(4) > 0) {
            status.setStateValue(List.of(0, 64, 192, 512, 77).get(random.nextInt(5)));
        }
        if (random.nextInt(4) > 0) {
            status.setMessage("message " + random.nextInt(2)).setTimestamp(time(random));
        }
        if (random.nextInt(4) == 0) {
            status.setErr("error " + random.nextInt(2));
        }
        if (random.nextBoolean()) {
            status.setAppliedBy("node-" + random.nextInt(NAMES)).setAppliedAt(time(random));
        }
        if (random.nextBoolean()) {
            status.setContainer(ContainerStatus.newBuilder().setContainerId("c").setPid(random.nextInt(2)));
        }
        if (random.nextInt(4) == 0) {
            status.setPortStatus(
                    PortStatus.newBuilder().addPorts(PortConfig.newBuilder().setTargetPort(random.nextInt(2))));
        }
        return status.build();
    }

    /** Some are near, some at the ends of time, and some no times at all. */
    private static Timestamp time(Random random) {
        long seconds = switch (random.nextInt(4)) {
            case 0 -> random.nextLong();
            case 1 -> random.nextInt();
            default -> 1_000_000 + random.nextInt(100);
        };
        int nanos = random.nextInt(4) == 0 ? random.nextInt() : random.nextInt(1_000_000_000);
        return Timestamp.newBuilder().setSeconds(seconds).setNanos(nanos).build();
    }

    private static Node node(Random random, int number) {
        return Node.newBuilder()
                .setId("node-" + number)
                .setSpec(NodeSpec.newBuilder()
                        .setAvailability(
                                random.nextBoolean() ? NodeSpec.Availability.ACTIVE : NodeSpec.Availability.DRAIN))
                .build();
    }

    private static Network network(int number) {
        return Network.newBuilder()
                .setId("network-" + number)
                .setSpec(NetworkSpec.newBuilder().setAnnotations(annotations("Network" + number)))
                .build();
    }

    private static Annotations annotations(String name) {
        return Annotations.newBuilder().setName(name).putLabels("key", name).build();
    }

    private static void assertSame(ClusterState one, ClusterState other) {
        assertThat(one.version()).isEqualTo(other.version());
        assertThat(one.requests()).isEqualTo(other.requests());
        for (String request : one.requests()) {
            assertThat(one.outcome(request)).isEqualTo(other.outcome(request));
        }
        for (Kind<?> kind : Kind.ALL) {
            assertSameTable(one, other, kind);
        }
        for (int number = 0; number < NAMES; number++) {
            assertThat(Set.copyOf(one.tasksOfService("service-" + number)))
                    .isEqualTo(Set.copyOf(other.tasksOfService("service-" + number)))
                    .isEqualTo(having(one, "service-" + number, true));
            assertThat(Set.copyOf(one.tasksOfNode("node-" + number)))
                    .isEqualTo(Set.copyOf(other.tasksOfNode("node-" + number)))
                    .isEqualTo(having(one, "node-" + number, false));
            Service named = one.services().byName("SERVICE " + number);
            assertThat(named).isEqualTo(one.services().get("service-" + number));
            assertThat(other.services().byName("service " + number)).isEqualTo(named);
        }
    }

    private static Set<Task> having(ClusterState state, String id, boolean service) {
        Set<Task> tasks = new HashSet<>();
        for (Task task : state.tasks().values()) {
            if (id.equals(service ? task.getServiceId() : task.getNodeId())) {
                tasks.add(task);
            }
        }
        return tasks;
    }

    private static <T extends Message> void assertSameTable(ClusterState one, ClusterState other, Kind<T> kind) {
        assertThat(byId(one, kind)).isEqualTo(byId(other, kind));
    }

    private static <T extends Message> Map<String, T> byId(ClusterState state, Kind<T> kind) {
        Map<String, T> found = new HashMap<>();
        for (T object : state.table(kind).values()) {
            found.put(kind.id(object), object);
        }
        return found;
    }
}
