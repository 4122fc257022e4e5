package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A cluster in memory: the loops that decide about tasks, nodes whose agents do what they are told, and a clock that
 * tests move. Users' wishes are written straight into the state, or are commands where it matters what is refused.
 */
final class TestCluster {
    private static final int STEPS_MAX = 20_000;

    final TestWorld world;
    final Set<String> failingImages = new HashSet<>();
    /** Checked after every step. */
    Consumer<ClusterState> invariant = state -> {};

    private final IdSource ids;
    private ControlLoop loop;
    private @Nullable Instant nextWake;

    TestCluster(long seed, Node... nodes) {
        this.world = TestKit.world(nodes);
        this.ids = TestKit.ids(seed);
        this.loop = newLeader();
        step();
    }

    private ControlLoop newLeader() {
        return new ControlLoop(
                new CommandHandler(ids, new NodeLiveness(world.state(), world.now()), List::of)::handle,
                ControlLoop.taskLoops(world.state(), world.now(), ids));
    }

    /** Replaces the leader: another one has to go on from the state alone. */
    void changeLeader() {
        loop = newLeader();
        step();
    }

    ClusterState state() {
        return world.state();
    }

    /** Makes changes, and lets the leader decide on them in the same step. */
    void change(Consumer<Transaction> changes) {
        Transaction transaction = world.begin();
        changes.accept(transaction);
        nextWake = loop.step(transaction, world.now(), List.of()).nextWake();
        if (!transaction.isEmpty()) {
            world.commit(transaction);
        }
        invariant.accept(world.state());
    }

    /** Runs a command of a user; returns whether it was carried out, not refused. */
    boolean attempt(Command.Builder command) {
        Transaction transaction = world.begin();
        ControlLoop.Step step = loop.step(transaction, world.now(), List.of(command.build()));
        nextWake = step.nextWake();
        if (!transaction.isEmpty()) {
            world.commit(transaction);
        }
        invariant.accept(world.state());
        return step.outcomes().getFirst().refusal() == null;
    }

    void step() {
        change(transaction -> {});
    }

    Service create(Service.Builder service) {
        change(transaction -> transaction.put(Kind.SERVICE, service.build()));
        return service(service.getId());
    }

    Service service(String id) {
        Service found = state().services().get(id);
        if (found == null) {
            throw new AssertionError("no service " + id);
        }
        return found;
    }

    /** Updates a service as the command of a user does (swarm-wire 6.2). */
    void update(String id, Consumer<ServiceSpec.Builder> edit) {
        change(transaction -> {
            Service before = service(id);
            ServiceSpec.Builder spec = before.getSpec().toBuilder();
            edit.accept(spec);
            Service.Builder after = before.toBuilder()
                    .setPreviousSpec(before.getSpec())
                    .setPreviousSpecVersion(before.getSpecVersion())
                    .setSpec(spec)
                    .setSpecVersion(before.getMeta().getVersion())
                    .clearUpdateStatus();
            if (TaskStates.isJob(before)) {
                Version.Builder iteration = after.getJobStatusBuilder().getJobIterationBuilder();
                iteration.setIndex(iteration.getIndex() + 1);
            }
            transaction.put(Kind.SERVICE, after.build());
        });
    }

    void setImage(String serviceId, String image) {
        update(serviceId, spec -> spec.getTaskBuilder().getContainerBuilder().setImage(image));
    }

    void scale(String serviceId, long replicas) {
        update(serviceId, spec -> spec.getReplicatedBuilder().setReplicas(replicas));
    }

    void remove(String serviceId) {
        change(transaction -> transaction.remove(Kind.SERVICE, serviceId));
    }

    void node(String id, Consumer<Node.Builder> edit) {
        change(transaction -> {
            Node.Builder node = node(id).toBuilder();
            edit.accept(node);
            transaction.put(Kind.NODE, node.build());
        });
    }

    Node node(String id) {
        Node found = state().nodes().get(id);
        if (found == null) {
            throw new AssertionError("no node " + id);
        }
        return found;
    }

    void setAvailability(String nodeId, Availability availability) {
        node(nodeId, node -> node.getSpecBuilder().setAvailability(availability));
    }

    void setNodeState(String nodeId, NodeStatus.State state) {
        node(nodeId, node -> node.getStatusBuilder().setState(state));
    }

    /** Reports the state of a task as its agent does. */
    void report(String taskId, TaskState state) {
        change(transaction -> put(transaction, taskId, state));
    }

    private void put(Transaction transaction, String taskId, TaskState state) {
        Task task = transaction.state().tasks().get(taskId);
        if (task != null && task.getStatus().getStateValue() < state.getNumber()) {
            transaction.put(
                    Kind.TASK,
                    task.toBuilder()
                            .setStatus(TestKit.status(state, world.now()).setAppliedAt(Times.timestamp(world.now())))
                            .build());
        }
    }

    /** Lets the agents of all live nodes take one step with those of their tasks; returns whether there was any. */
    boolean agentsStep(Predicate<Task> which) {
        List<Task> due = tasks(task -> nextState(task) != null && which.test(task));
        if (!due.isEmpty()) {
            change(transaction -> due.forEach(task -> {
                TaskState next = nextState(task);
                if (next != null) {
                    put(transaction, task.getId(), next);
                }
            }));
        }
        return !due.isEmpty();
    }

    /** Returns what an agent makes of a task next (swarm-wire 6.1), or null if it has nothing to do. */
    @Nullable
    TaskState nextState(Task task) {
        Node node = state().nodes().get(task.getNodeId());
        TaskState state = task.getStatus().getState();
        if (node == null
                || node.getStatus().getState() == NodeStatus.State.DOWN
                || state.getNumber() < TaskState.ASSIGNED_VALUE
                || TaskStates.isTerminal(task)) {
            return null;
        }
        if (task.getDesiredStateValue() >= TaskState.SHUTDOWN_VALUE) {
            return TaskState.SHUTDOWN;
        }
        boolean fails = failingImages.contains(task.getSpec().getContainer().getImage());
        return switch (state) {
            case ASSIGNED -> TaskState.ACCEPTED;
            case ACCEPTED -> TaskState.PREPARING;
            case PREPARING -> TaskState.READY;
            case READY -> task.getDesiredState() == TaskState.READY ? null : TaskState.STARTING;
            case STARTING -> fails ? TaskState.FAILED : TaskState.RUNNING;
            case RUNNING -> task.getDesiredState() == TaskState.COMPLETE ? TaskState.COMPLETE : null;
            default -> null;
        };
    }

    /** Lets agents and leader work without time passing, until nobody has anything to do at once. */
    void work() {
        for (int i = 0; i < STEPS_MAX; i++) {
            boolean leaderHasMore = nextWake != null && !nextWake.isAfter(world.now());
            if (leaderHasMore) {
                step();
            } else if (!agentsStep(task -> true)) {
                return;
            }
        }
        throw new AssertionError("the cluster does not come to rest");
    }

    /** Lets time pass, with agents and leader at work. */
    void pass(Duration time) {
        Instant end = world.now().plus(time);
        work();
        while (nextWake != null && !nextWake.isAfter(end)) {
            world.pass(Duration.between(world.now(), nextWake));
            step();
            work();
        }
        world.pass(Duration.between(world.now(), end));
        step();
        work();
    }

    /** Lets time pass while no agent does anything. */
    void passWithoutAgents(Duration time) {
        Instant end = world.now().plus(time);
        while (nextWake != null && !nextWake.isAfter(end)) {
            world.pass(Duration.between(world.now(), nextWake));
            step();
        }
        world.pass(Duration.between(world.now(), end));
        step();
    }

    Task task(String id) {
        Task found = state().tasks().get(id);
        if (found == null) {
            throw new AssertionError("no task " + id);
        }
        return found;
    }

    List<Task> tasks(Predicate<Task> which) {
        return state().tasks().values().stream()
                .filter(which)
                .sorted(Comparator.comparingLong(Task::getSlot)
                        .thenComparing(TaskStates::createdAt)
                        .thenComparing(Task::getId))
                .toList();
    }

    List<Task> tasksOf(String serviceId) {
        return tasks(task -> task.getServiceId().equals(serviceId));
    }

    List<Task> running(String serviceId) {
        return tasks(task -> task.getServiceId().equals(serviceId)
                && task.getStatus().getState() == TaskState.RUNNING
                && task.getDesiredState() == TaskState.RUNNING);
    }

    void assertRunning(String serviceId, int count) {
        assertThat(running(serviceId)).hasSize(count);
    }
}
