package io.skep.api;

import io.skep.control.TaskFreshness;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** {@code /tasks}, except their logs. */
final class TaskEndpoints {
    private final Gate gate;

    TaskEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/tasks", this::list);
        router.add("GET", "/tasks/{id}", this::inspect);
    }

    private Reply list(Call call) {
        Filters filters =
                call.filters("desired-state", "id", "label", "name", "node", "service", "runtime", "_up-to-date");
        Set<String> states = filters.get("desired-state");
        states.forEach(state -> Enums.parse(state, TaskState.NEW, "Invalid desired-state filter: '%s'"));
        boolean freshOnly = filters.flag("_up-to-date");
        ClusterState state = gate.cluster().read();
        Set<String> services = new LinkedHashSet<>();
        filters.get("service")
                .forEach(service ->
                        services.add(Lookup.find(state, Kind.SERVICE, service).getId()));
        Set<String> nodes = new LinkedHashSet<>();
        filters.get("node")
                .forEach(node -> nodes.add(Lookup.find(state, Kind.NODE, node).getId()));
        List<Task> tasks = candidates(state, services, nodes)
                .filter(task -> services.isEmpty() || services.contains(task.getServiceId()))
                .filter(task -> nodes.isEmpty() || nodes.contains(task.getNodeId()))
                .filter(task -> filters.matchesPrefix("id", task.getId()))
                .filter(task -> !filters.has("name") || filters.matchesPrefix("name", Lookup.taskName(state, task)))
                .filter(task -> filters.matchesLabels(
                        "label", task.getServiceAnnotations().getLabelsMap()))
                .filter(task -> states.isEmpty()
                        || states.stream()
                                .anyMatch(wanted -> wanted.equalsIgnoreCase(
                                        task.getDesiredState().name())))
                .filter(task -> filters.matchesExactly("runtime", runtime(task))
                        && (filters.has("runtime") || runtime(task).equals("container")))
                .filter(task -> !freshOnly || isFresh(state, task))
                .sorted(Comparator.comparing(Task::getId))
                .toList();
        return Reply.json(JsonOut.array(tasks, (out, task) -> TaskJson.write(out, task, call.version())));
    }

    /** Returns the tasks that can match, by way of an index where one fits. */
    private static Stream<Task> candidates(ClusterState state, Set<String> services, Set<String> nodes) {
        if (!services.isEmpty()) {
            return services.stream().map(state::tasksOfService).flatMap(Collection::stream);
        }
        if (!nodes.isEmpty()) {
            return nodes.stream().map(state::tasksOfNode).flatMap(Collection::stream);
        }
        return state.tasks().values().stream();
    }

    private static String runtime(Task task) {
        return switch (task.getSpec().getRuntimeCase()) {
            case CONTAINER, RUNTIME_NOT_SET -> "container";
            case ATTACHMENT -> "attachment";
            case GENERIC -> task.getSpec().getGeneric().getKind();
        };
    }

    private static boolean isFresh(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        return service != null
                && !TaskFreshness.isDirty(service, task, state.nodes().get(task.getNodeId()));
    }

    private Reply inspect(Call call) {
        Task task = Lookup.find(gate.cluster().read(), Kind.TASK, call.path("id"));
        return Reply.json(JsonOut.object(out -> TaskJson.write(out, task, call.version())));
    }
}
