package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import io.skep.wire.Driver;
import io.skep.wire.Endpoint;
import io.skep.wire.Meta;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The index of the tasks of each slot, oldest first, and the maker of new ones.
 *
 * <p>It only holds ids: tasks are always read from the state of the moment. Tasks made here are in the index at once,
 * before their event is heard, so that no loop fills a slot that another has just filled.
 */
final class Slots implements Loop {
    /** A new leader sorts all tasks so. */
    private static final Comparator<Task> OLDEST_FIRST = (one, other) -> {
        Meta first = one.getMeta();
        Meta second = other.getMeta();
        int bySecond = Long.compare(
                first.getCreatedAt().getSeconds(), second.getCreatedAt().getSeconds());
        if (bySecond != 0) {
            return bySecond;
        }
        int byNano = Integer.compare(
                first.getCreatedAt().getNanos(), second.getCreatedAt().getNanos());
        if (byNano != 0) {
            return byNano;
        }
        int byVersion =
                Long.compare(first.getVersion().getIndex(), second.getVersion().getIndex());
        return byVersion != 0 ? byVersion : one.getId().compareTo(other.getId());
    };

    private final IdSource ids;
    /** The lists do not change and have no room to grow: most slots have one task. */
    private final Map<String, Map<SlotKey, List<String>>> byService = new LinkedHashMap<>();

    Slots(ClusterState state, IdSource ids) {
        this.ids = ids;
        state.tasks().values().stream().sorted(OLDEST_FIRST).forEach(task -> add(state, task));
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Service> service = event.as(Kind.SERVICE);
        if (service != null && service.after() == null) {
            byService.remove(service.id());
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task == null) {
            return;
        }
        if (task.after() == null) {
            remove(state, task.object());
        } else if (task.before() == null) {
            add(state, task.object());
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {}

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }

    /** Returns the slots of a service that have tasks, in the order of their first task. */
    List<SlotKey> of(String serviceId) {
        return List.copyOf(byService.getOrDefault(serviceId, Map.of()).keySet());
    }

    /** Shows the slots of a service that have tasks, in the order of their first task, each with its tasks. */
    void forEach(ClusterState state, String serviceId, BiConsumer<SlotKey, List<Task>> visitor) {
        byService
                .getOrDefault(serviceId, Map.of())
                .forEach((key, taskIds) -> visitor.accept(key, tasks(state, taskIds)));
    }

    /** Returns how many tasks a slot has. */
    int size(SlotKey key) {
        return taskIds(key).size();
    }

    /** Returns the tasks of a slot, oldest first. */
    List<Task> tasks(ClusterState state, SlotKey key) {
        return tasks(state, taskIds(key));
    }

    private static List<Task> tasks(ClusterState state, List<String> taskIds) {
        List<Task> tasks = new ArrayList<>(taskIds.size());
        for (String id : taskIds) {
            Task task = state.tasks().get(id);
            if (task != null) {
                tasks.add(task);
            }
        }
        return tasks;
    }

    private List<String> taskIds(SlotKey key) {
        Map<SlotKey, List<String>> slots = byService.get(key.serviceId());
        return slots == null ? List.of() : slots.getOrDefault(key, List.of());
    }

    /** Makes the next task of a slot. */
    Task create(Transaction transaction, Instant now, Service service, SlotKey key, TaskState desired) {
        Task.Builder task = Task.newBuilder()
                .setId(ids.nextId())
                .setSpec(service.getSpec().getTask())
                .setServiceId(service.getId())
                .setSlot(key.slot())
                .setNodeId(key.nodeId())
                .setServiceAnnotations(service.getSpec().getAnnotations())
                .setDesiredState(desired)
                .setStatus(TaskStatus.newBuilder()
                        .setState(TaskState.NEW)
                        .setTimestamp(Times.timestamp(now))
                        .setMessage("created"));
        if (service.hasSpecVersion()) {
            task.setSpecVersion(service.getSpecVersion());
        }
        Endpoint.Builder endpoint = Endpoint.newBuilder();
        if (service.getSpec().hasEndpoint()) {
            endpoint.setSpec(service.getSpec().getEndpoint());
        }
        task.setEndpoint(endpoint);
        if (TaskStates.isJob(service)) {
            task.setJobIteration(service.getJobStatus().getJobIteration());
        }
        Driver logDriver = logDriver(transaction.state(), service);
        if (logDriver != null) {
            task.setLogDriver(logDriver);
        }
        Task made = transaction.put(Kind.TASK, task.build());
        add(transaction.state(), made);
        return made;
    }

    private static @Nullable Driver logDriver(ClusterState state, Service service) {
        if (service.getSpec().getTask().hasLogDriver()) {
            return service.getSpec().getTask().getLogDriver();
        }
        Cluster cluster = state.cluster();
        return cluster != null && cluster.getSpec().getTaskDefaults().hasLogDriver()
                ? cluster.getSpec().getTaskDefaults().getLogDriver()
                : null;
    }

    private void add(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        if (service == null) {
            return;
        }
        byService
                .computeIfAbsent(service.getId(), id -> new LinkedHashMap<>())
                .merge(SlotKey.of(service, task), List.of(task.getId()), (known, added) -> {
                    if (known.contains(task.getId())) {
                        return known;
                    }
                    List<String> more = new ArrayList<>(known);
                    more.addAll(added);
                    return List.copyOf(more);
                });
    }

    private void remove(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        Map<SlotKey, List<String>> slots = byService.get(task.getServiceId());
        if (service == null || slots == null) {
            return;
        }
        slots.computeIfPresent(SlotKey.of(service, task), (key, known) -> {
            List<String> left = new ArrayList<>(known);
            left.remove(task.getId());
            return left.isEmpty() ? null : List.copyOf(left);
        });
    }
}
