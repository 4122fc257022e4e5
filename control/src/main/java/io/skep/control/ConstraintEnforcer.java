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
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The loop that takes tasks off nodes which changed such that they do not fit any more (swarm-wire 6.9).
 *
 * <p>Where the reservations exceed what a node has left, the newest tasks lose. Paused nodes keep what they have. Only
 * nodes that changed are looked at, and all of them once when a leader begins, for the change may be one that the
 * leader before did not come to.
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
        Map<String, List<Constraint>> byService = new HashMap<>();
        Iterator<String> ids = nodesToCheck.iterator();
        while (ids.hasNext() && !transaction.isFull()) {
            Node node = transaction.state().nodes().get(ids.next());
            ids.remove();
            if (node != null && node.getSpec().getAvailability() == Availability.ACTIVE) {
                check(transaction, now, node, byService);
            }
        }
    }

    private static void check(
            Transaction transaction, Instant now, Node node, Map<String, List<Constraint>> byService) {
        List<Task> fitting = new ArrayList<>();
        List<Task> others = new ArrayList<>();
        for (Task task : transaction.state().tasksOfNode(node.getId())) {
            if (TaskStates.isWanted(task)
                    && !TaskStates.isTerminal(task)
                    && task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE) {
                boolean fits = Constraints.match(constraints(transaction.state(), task, byService), node);
                (fits ? fitting : others).add(task);
            }
        }
        if (!haveRoom(node, fitting)) {
            fitting.sort(OLDEST_FIRST);
            NodeLoad load = new NodeLoad(node.getId(), 0, 0);
            load.setNode(node, 0);
            for (Task task : fitting) {
                if (hasRoom(load, task)) {
                    load.add(task);
                } else {
                    others.add(task);
                }
            }
        }
        others.sort(OLDEST_FIRST);
        others.forEach(task -> reject(transaction, now, task));
    }

    /** Returns the constraints of the service, or of the task if it has none; a change of them alone keeps the task. */
    private static List<Constraint> constraints(
            ClusterState state, Task task, Map<String, List<Constraint>> byService) {
        Service service = state.services().get(task.getServiceId());
        if (service == null) {
            return Constraints.of(task.getSpec().getPlacement());
        }
        return byService.computeIfAbsent(
                service.getId(),
                id -> Constraints.of(service.getSpec().getTask().getPlacement()));
    }

    /** Returns whether it is plain that nobody has to go: nearly always, so that the tasks need no order. */
    private static boolean haveRoom(Node node, List<Task> tasks) {
        Resources all = node.getDescription().getResources();
        long nanoCpus = 0;
        long memoryBytes = 0;
        for (Task task : tasks) {
            Resources reserved = task.getSpec().getResources().getReservations();
            nanoCpus += reserved.getNanoCpus();
            memoryBytes += reserved.getMemoryBytes();
            if (reserved.getGenericCount() > 0
                    || (nanoCpus > 0 && nanoCpus > all.getNanoCpus())
                    || (memoryBytes > 0 && memoryBytes > all.getMemoryBytes())) {
                return false;
            }
        }
        return true;
    }

    private static boolean hasRoom(NodeLoad load, Task task) {
        Resources reserved = task.getSpec().getResources().getReservations();
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
