package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.Resources;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The loop that takes tasks off nodes which changed such that they do not fit any more (swarm-wire 6.9).
 *
 * <p>Where the reservations exceed what a node has left, the newest tasks lose. Paused nodes keep what they have.
 */
final class ConstraintEnforcer implements Loop {
    private static final Comparator<Task> OLDEST_FIRST =
            Comparator.comparing(TaskStates::createdAt).thenComparing(Task::getId);

    private final Set<String> nodesToCheck = new LinkedHashSet<>();

    ConstraintEnforcer(ClusterState state) {
        for (Node node : state.nodes().values()) {
            nodesToCheck.add(node.getId());
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Node> node = event.as(Kind.NODE);
        if (node != null && node.after() != null && Nodes.placementChanges(node)) {
            nodesToCheck.add(node.id());
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        for (String id : nodesToCheck) {
            Node node = transaction.state().nodes().get(id);
            if (node != null && node.getSpec().getAvailability() == Availability.ACTIVE) {
                check(transaction, now, node);
            }
        }
        nodesToCheck.clear();
    }

    private static void check(Transaction transaction, Instant now, Node node) {
        List<Task> tasks = new ArrayList<>();
        for (Task task : transaction.state().tasksOfNode(node.getId())) {
            if (TaskStates.isWanted(task)
                    && !TaskStates.isTerminal(task)
                    && task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE) {
                tasks.add(task);
            }
        }
        tasks.sort(OLDEST_FIRST);
        NodeLoad fitting = new NodeLoad(node.getId(), 0, 0);
        fitting.setNode(node, 0);
        for (Task task : tasks) {
            Resources reserved = task.getSpec().getResources().getReservations();
            if (Constraints.match(constraints(transaction.state(), task), node) && hasRoom(fitting, reserved)) {
                fitting.add(task);
            } else {
                reject(transaction, now, task);
            }
        }
    }

    /** Returns the constraints of the service, or of the task if it has none; a change of them alone keeps the task. */
    private static List<Constraint> constraints(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        return Constraints.of(
                service == null
                        ? task.getSpec().getPlacement()
                        : service.getSpec().getTask().getPlacement());
    }

    private static boolean hasRoom(NodeLoad load, Resources reserved) {
        boolean reservesAnything =
                reserved.getNanoCpus() > 0 || reserved.getMemoryBytes() > 0 || reserved.getGenericCount() > 0;
        return !reservesAnything || load.hasRoom(reserved);
    }

    private static void reject(Transaction transaction, Instant now, Task task) {
        transaction.put(
                Kind.TASK,
                task.toBuilder()
                        .setStatus(TaskStatus.newBuilder()
                                .setState(TaskState.REJECTED)
                                .setTimestamp(Times.timestamp(now))
                                .setMessage("task rejected by constraint enforcer")
                                .setErr("assigned node no longer meets constraints"))
                        .build());
    }

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
