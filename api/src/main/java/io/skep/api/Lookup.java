package io.skep.api;

import com.google.protobuf.Message;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.Node;
import io.skep.wire.Service;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;

/** Finds the object that a user means: by id, else by name, else by the beginning of its id (swarm-wire 8.3). */
final class Lookup {
    private Lookup() {}

    /**
     * Finds an object.
     *
     * @throws ApiException 404 when there is none, 400 when several begin so
     */
    static <T extends Message> T find(ClusterState state, Kind<T> kind, String input) {
        T byId = state.table(kind).get(input);
        if (byId != null) {
            return byId;
        }
        List<T> named = new ArrayList<>();
        for (T object : state.table(kind).values()) {
            if (name(state, kind, object).equals(input)) {
                named.add(object);
            }
        }
        if (named.isEmpty() && !input.isEmpty()) {
            named = state.table(kind).withIdPrefix(input);
        }
        if (named.isEmpty()) {
            throw new ApiException(404, kind + " " + input + " not found");
        }
        if (named.size() > 1) {
            throw new ApiException(400, kind + " " + input + " is ambiguous (" + named.size() + " matches found)");
        }
        return named.getFirst();
    }

    private static <T extends Message> String name(ClusterState state, Kind<T> kind, T object) {
        return switch (object) {
            case Node node -> nodeName(node);
            case Task task -> taskName(state, task);
            default -> kind.name(object);
        };
    }

    /** Returns the name by which users call a node: its host name. */
    static String nodeName(Node node) {
        String given = node.getSpec().getAnnotations().getName();
        return given.isEmpty() ? node.getDescription().getHostname() : given;
    }

    /** Returns the name of a task. */
    static String taskName(ClusterState state, Task task) {
        Service service = state.services().get(task.getServiceId());
        String serviceName = service == null
                ? task.getServiceAnnotations().getName()
                : service.getSpec().getAnnotations().getName();
        return TaskNames.of(task, serviceName);
    }

    /** Returns the objects that pass, sorted by id. */
    static <T extends Message> List<T> list(ClusterState state, Kind<T> kind, Predicate<T> wanted) {
        return state.table(kind).values().stream()
                .filter(wanted)
                .sorted(Comparator.comparing(kind::id))
                .toList();
    }
}
