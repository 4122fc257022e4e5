package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Transaction;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The orchestrator of replicated services: as many slots as there are replicas (swarm-wire 6.3). */
final class ReplicatedOrchestrator extends Orchestrator {
    private record Slot(SlotKey key, List<Task> tasks) {
        boolean isRunning() {
            return tasks.stream().anyMatch(task -> task.getStatus().getState() == TaskState.RUNNING);
        }
    }

    private record Ranked(Slot slot, int rank) {}

    private final Updater updater;

    ReplicatedOrchestrator(ClusterState state, Slots slots, RestartSupervisor restarts, Updater updater) {
        super(state, slots, restarts);
        this.updater = updater;
        resume(state);
    }

    @Override
    protected boolean handles(Service service) {
        return service.getSpec().hasReplicated();
    }

    @Override
    protected boolean reconcile(Transaction transaction, Instant now, Service service) {
        ClusterState state = transaction.state();
        List<Slot> filled = new ArrayList<>();
        List<SlotKey> dead = new ArrayList<>();
        for (SlotKey key : slots.of(service.getId())) {
            List<Task> current = restarts.current(state, service, slots.tasks(state, key));
            if (current.isEmpty()) {
                dead.add(key);
            } else {
                filled.add(new Slot(key, current));
            }
        }
        long replicas = service.getSpec().getReplicated().getReplicas();
        List<Slot> kept = filled;
        if (filled.size() > replicas) {
            List<Slot> byValue = mostValuableFirst(filled);
            kept = byValue.subList(0, (int) replicas);
            for (Slot slot : byValue.subList((int) replicas, byValue.size())) {
                remove(transaction, slot.key());
            }
        }
        boolean complete = addSlots(transaction, now, service, kept, dead, replicas - kept.size());
        for (SlotKey key : dead) {
            remove(transaction, key);
        }
        updater.update(
                transaction.state(), now, service, kept.stream().map(Slot::key).toList());
        return complete;
    }

    private boolean addSlots(
            Transaction transaction, Instant now, Service service, List<Slot> kept, List<SlotKey> dead, long missing) {
        Set<Long> used = new HashSet<>();
        kept.forEach(slot -> used.add(slot.key().slot()));
        long number = 0;
        for (long i = 0; i < missing; i++) {
            do {
                number++;
            } while (used.contains(number));
            SlotKey key = new SlotKey(service.getId(), number, "");
            if (!fill(transaction, now, service, key, TaskState.RUNNING)) {
                return false;
            }
            dead.remove(key);
        }
        return true;
    }

    /**
     * Orders slots such that the last ones are to go first: those on the most crowded nodes, then the higher numbers.
     */
    private static List<Slot> mostValuableFirst(List<Slot> slots) {
        List<Slot> runningFirst = new ArrayList<>(slots);
        runningFirst.sort(Comparator.comparing((Slot slot) -> !slot.isRunning())
                .thenComparingLong(slot -> slot.key().slot()));
        Map<String, Integer> onNode = new HashMap<>();
        List<Ranked> ranked = new ArrayList<>();
        for (Slot slot : runningFirst) {
            String nodeId = slot.tasks().getFirst().getNodeId();
            boolean settled = slot.tasks().size() == 1 && !nodeId.isEmpty();
            ranked.add(new Ranked(slot, settled ? onNode.merge(nodeId, 1, Integer::sum) : Integer.MAX_VALUE));
        }
        ranked.sort(Comparator.comparingInt(Ranked::rank));
        return new ArrayList<>(ranked.stream().map(Ranked::slot).toList());
    }

    private void remove(Transaction transaction, SlotKey key) {
        for (Task task : slots.tasks(transaction.state(), key)) {
            TaskStates.desire(transaction, task, TaskState.REMOVE);
        }
    }
}
