package io.skep.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.skep.wire.Annotations;
import io.skep.wire.CommandResult;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Endpoint;
import io.skep.wire.LogChange;
import io.skep.wire.LogEntry;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.Version;
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

    @Property(tries = 300)
    void aTaskSurvivesItsEncodings(@ForAll long seed) {
        Random random = new Random(seed);
        ClusterState state = ClusterState.empty()
                .with(Kind.SERVICE, "service-0", service(random, 0))
                .with(Kind.SERVICE, "service-1", service(random, 1));
        Task before = task(random, state, 1).toBuilder().clearMeta().build();
        Task after = task(random, state, 1).toBuilder().clearMeta().build();
        assertThat(TaskCodec.expand(state, TaskCodec.compact(state, before))).isEqualTo(before);
        assertThat(TaskCodec.patch(before, TaskCodec.diff(before, after).getTaskPatch()))
                .isEqualTo(after);
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
        for (LogChange change : transaction.toLog().getChangesList()) {
            String id = id(change);
            assertThat(written).doesNotContain(id);
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
            case TASK -> change.getTask().getId();
            case TASK_PATCH -> change.getTaskPatch().getId();
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

        List<LogChange> log = transaction.toLog().getChangesList();
        assertThat(log).hasSize(2);
        assertThat(log.get(1).getTask())
                .isEqualTo(Task.newBuilder()
                        .setId("task-1")
                        .setServiceId(service.getId())
                        .setNodeId("node-1")
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
        if (random.nextBoolean()) {
            task.setStatus(TaskStatus.newBuilder().setState(TaskState.PENDING).setMessage("waits"));
        }
        for (int i = 0; i < random.nextInt(3); i++) {
            task.addNetworks(NetworkAttachment.newBuilder().addAddresses("10.0.0." + random.nextInt(9)));
        }
        return task.build();
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
