package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Transaction;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.Version;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The orchestrator of replicated services: as many slots as there are replicas (swarm-wire 6.3). */
final class ReplicatedOrchestrator extends Orchestrator {
    /**
     * A slot that is filled.
     *
     * @param tasks those that fill it
     * @param plain whether it never had another task than the one it has, which is what the service asks for: nothing
     *     for the updater
     */
    private record Slot(SlotKey key, List<Task> tasks, boolean plain) {
        boolean isRunning() {
            return tasks.stream().anyMatch(task -> task.getStatus().getState() == TaskState.RUNNING);
        }
    }

    private record Ranked(Slot slot, int rank) {}

    /**
     * What it takes to give a service the slots it asks for, as far as it is not done. A step may do only a part of it.
     * If anything happens meanwhile for which the service would be looked at, it is looked at again when this is done.
     */
    private static final class Resize {
        final Version version;
        final long replicas;
        final Set<SlotKey> surplus = new LinkedHashSet<>();
        long missing;
        long lastTried;
        boolean disturbed;

        Resize(Service service) {
            this.version = service.getSpecVersion();
            this.replicas = replicas(service);
        }

        boolean isFor(Service service) {
            return replicas == replicas(service) && version.equals(service.getSpecVersion());
        }

        private static long replicas(Service service) {
            return service.getSpec().getReplicated().getReplicas();
        }
    }

    private final Updater updater;
    private final Map<String, Resize> unfinished = new HashMap<>();

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
    protected void observeService(Event<Service> event) {
        super.observeService(event);
        if (event.after() == null) {
            unfinished.remove(event.id());
        } else {
            disturb(event.id());
        }
    }

    @Override
    protected void observeRemoval(Service service, Task task) {
        super.observeRemoval(service, task);
        disturb(service.getId());
    }

    private void disturb(String serviceId) {
        Resize resize = unfinished.get(serviceId);
        if (resize != null) {
            resize.disturbed = true;
        }
    }

    @Override
    protected boolean reconcile(Transaction transaction, Instant now, Service service) {
        Resize begun = unfinished.remove(service.getId());
        boolean goesOn = begun != null && begun.isFor(service);
        Resize resize = begun != null && goesOn ? begun : resize(transaction.state(), now, service);
        boolean complete = addSlots(transaction, now, service, resize) && removeSlots(transaction, resize);
        if (!complete) {
            unfinished.put(service.getId(), resize);
        }
        return complete && (!resize.disturbed || reconcile(transaction, now, service));
    }

    private Resize resize(ClusterState state, Instant now, Service service) {
        List<Slot> filled = new ArrayList<>();
        Resize resize = new Resize(service);
        slots.forEach(state, service.getId(), (key, tasks) -> {
            List<Task> current = restarts.current(state, service, tasks);
            if (current.isEmpty()) {
                resize.surplus.add(key);
            } else {
                boolean plain = tasks.size() == 1
                        && service.hasSpecVersion()
                        && current.getFirst().hasSpecVersion()
                        && current.getFirst().getSpecVersion().equals(service.getSpecVersion())
                        && (current.getFirst().getStatus().getStateValue() >= TaskState.RUNNING_VALUE
                                || !Updater.isUnderWay(service));
                filled.add(new Slot(key, current, plain));
            }
        });
        List<Slot> kept = filled;
        if (filled.size() > resize.replicas) {
            List<Slot> byValue = mostValuableFirst(filled);
            kept = byValue.subList(0, (int) resize.replicas);
            for (Slot slot : byValue.subList((int) resize.replicas, byValue.size())) {
                resize.surplus.add(slot.key());
            }
        }
        resize.missing = resize.replicas - kept.size();
        List<SlotKey> toUpdate =
                kept.stream().filter(slot -> !slot.plain()).map(Slot::key).toList();
        updater.update(state, now, service, toUpdate);
        return resize;
    }

    private boolean addSlots(Transaction transaction, Instant now, Service service, Resize resize) {
        while (resize.missing > 0) {
            SlotKey key = new SlotKey(service.getId(), resize.lastTried + 1, "");
            List<Task> tasks = slots.tasks(transaction.state(), key);
            if (restarts.current(transaction.state(), service, tasks).isEmpty()) {
                if (!fill(transaction, now, service, key, TaskState.RUNNING)) {
                    return false;
                }
                resize.surplus.remove(key);
                resize.missing--;
            }
            resize.lastTried++;
        }
        return true;
    }

    private boolean removeSlots(Transaction transaction, Resize resize) {
        Iterator<SlotKey> keys = resize.surplus.iterator();
        while (keys.hasNext()) {
            if (transaction.isFull()) {
                return false;
            }
            for (Task task : slots.tasks(transaction.state(), keys.next())) {
                TaskStates.desire(transaction, task, TaskState.REMOVE);
            }
            keys.remove();
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
}
