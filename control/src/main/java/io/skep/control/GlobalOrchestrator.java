package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The orchestrator of global services: one task on each node that fits (swarm-wire 6.4).
 *
 * <p>A node that changes is looked at for every global service, a service that changes for every node.
 */
final class GlobalOrchestrator extends Orchestrator {
    private final Updater updater;
    private final Set<String> globalServices = new LinkedHashSet<>();
    private final Set<SlotKey> slotsToReconcile = new LinkedHashSet<>();

    GlobalOrchestrator(ClusterState state, Slots slots, RestartSupervisor restarts, Updater updater) {
        super(state, slots, restarts);
        this.updater = updater;
        for (Service service : state.services().values()) {
            if (handles(service)) {
                globalServices.add(service.getId());
            }
        }
        resume(state);
    }

    @Override
    protected boolean handles(Service service) {
        return service.getSpec().hasGlobal();
    }

    @Override
    protected void observeService(Event<Service> event) {
        super.observeService(event);
        if (event.after() == null) {
            globalServices.remove(event.id());
        } else if (handles(event.object())) {
            globalServices.add(event.id());
        }
    }

    @Override
    protected void observeNode(Event<Node> event, ClusterState state) {
        if (Nodes.placementChanges(event)) {
            for (String serviceId : globalServices) {
                slotsToReconcile.add(new SlotKey(serviceId, 0, event.id()));
            }
        }
    }

    @Override
    protected void observeRemoval(Service service, Task task) {
        slotsToReconcile.add(SlotKey.of(service, task));
    }

    /** Tasks of lost nodes are not restarted: their slot is gone. */
    @Override
    protected boolean mustRestart(ClusterState state, Task task) {
        return task.getDesiredStateValue() <= TaskState.RUNNING_VALUE && TaskStates.isTerminal(task);
    }

    @Override
    protected void restart(Transaction transaction, Instant now, Service service, Task task) {
        Node node = transaction.state().nodes().get(task.getNodeId());
        List<Constraint> constraints =
                Constraints.of(service.getSpec().getTask().getPlacement());
        if (TaskStates.losesTasks(node)
                || node == null
                || node.getSpec().getAvailability() != Availability.ACTIVE
                || !Constraints.match(constraints, node)) {
            TaskStates.desire(transaction, task, TaskState.SHUTDOWN);
        } else {
            super.restart(transaction, now, service, task);
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        super.act(transaction, now);
        Iterator<SlotKey> keys = slotsToReconcile.iterator();
        while (keys.hasNext() && !transaction.isFull()) {
            SlotKey key = keys.next();
            Service service = transaction.state().services().get(key.serviceId());
            if (service == null || reconcile(transaction, now, service, List.of(key))) {
                keys.remove();
            }
        }
    }

    @Override
    protected boolean reconcile(Transaction transaction, Instant now, Service service) {
        Set<SlotKey> keys = new LinkedHashSet<>(slots.of(service.getId()));
        for (Node node : transaction.state().nodes().values()) {
            keys.add(new SlotKey(service.getId(), 0, node.getId()));
        }
        return reconcile(transaction, now, service, keys);
    }

    private boolean reconcile(Transaction transaction, Instant now, Service service, Iterable<SlotKey> keys) {
        List<Constraint> constraints =
                Constraints.of(service.getSpec().getTask().getPlacement());
        List<SlotKey> toUpdate = new ArrayList<>();
        boolean complete = true;
        for (SlotKey key : keys) {
            if (transaction.isFull()) {
                return false;
            }
            Node node = transaction.state().nodes().get(key.nodeId());
            List<Task> tasks = slots.tasks(transaction.state(), key);
            if (node == null || TaskStates.losesTasks(node) || !Constraints.match(constraints, node)) {
                for (Task task : tasks) {
                    TaskStates.desire(transaction, task, node == null ? TaskState.REMOVE : TaskState.SHUTDOWN);
                }
            } else if (node.getSpec().getAvailability() == Availability.ACTIVE) {
                if (restarts.current(transaction.state(), service, tasks).isEmpty()) {
                    complete &= fill(transaction, now, service, key, TaskState.RUNNING);
                } else {
                    toUpdate.add(key);
                }
            }
        }
        updater.update(transaction.state(), now, service, toUpdate);
        return complete;
    }
}
