package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The loop that lets the tasks of removed services go, whatever their mode (swarm-wire 6.3). */
final class RemovedServices implements Loop {
    private final Set<String> removed = new LinkedHashSet<>();
    private final ArrayDeque<String> tasksToRemove = new ArrayDeque<>();

    RemovedServices(ClusterState state) {
        for (Task task : state.tasks().values()) {
            if (!task.getServiceId().isEmpty() && state.services().get(task.getServiceId()) == null) {
                removed.add(task.getServiceId());
            }
        }
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Service> service = event.as(Kind.SERVICE);
        if (service != null && service.after() == null) {
            removed.add(service.id());
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        for (String id : removed) {
            if (transaction.state().services().get(id) == null) {
                transaction.state().tasksOfService(id).forEach(task -> tasksToRemove.add(task.getId()));
            }
        }
        removed.clear();
        while (!tasksToRemove.isEmpty() && !transaction.isFull()) {
            Task task = transaction.state().tasks().get(tasksToRemove.remove());
            if (task != null) {
                TaskStates.desire(transaction, task, TaskState.REMOVE);
            }
        }
    }

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }
}
