package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.engine.EngineEvent;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.wire.Config;
import io.skep.wire.Network;
import io.skep.wire.Node;
import io.skep.wire.Secret;
import io.skep.wire.Service;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * One message of {@code docker events}, about the cluster or about a part of the engine (engine-api 6).
 *
 * @param type kind of the object
 * @param action what happened
 * @param attributes its name, and what changed with old and new value
 * @param scope swarm or local
 */
record ClusterEvent(
        String type, String action, String id, Map<String, String> attributes, Timestamp time, String scope) {
    private static final String SWARM = "swarm";
    private static final String LOCAL = "local";

    /** Returns the message about something that happened to a part of the engine. */
    static ClusterEvent of(EngineEvent event) {
        return new ClusterEvent(
                event.type(), event.action(), event.id(), event.attributes(), Times.of(event.time()), LOCAL);
    }

    /** Returns the message about a change, or null when changes of that kind are not told. */
    static @Nullable ClusterEvent of(Event<?> event, Timestamp now) {
        Map<String, String> attributes = new TreeMap<>();
        Timestamp changed;
        Event<Node> node = event.as(Kind.NODE);
        Event<Service> service = event.as(Kind.SERVICE);
        if (node != null) {
            attributes.put("name", Lookup.nodeName(node.object()));
            changed = node.object().getMeta().getUpdatedAt();
            if (node.before() != null && node.after() != null) {
                changes(node.before(), node.after(), attributes);
            }
        } else if (service != null) {
            attributes.put("name", service.object().getSpec().getAnnotations().getName());
            changed = service.object().getMeta().getUpdatedAt();
            if (service.before() != null && service.after() != null) {
                changes(service.before(), service.after(), attributes);
            }
        } else if (event.object() instanceof Network network) {
            attributes.put("name", network.getSpec().getAnnotations().getName());
            changed = network.getMeta().getUpdatedAt();
        } else if (event.object() instanceof Secret secret) {
            attributes.put("name", secret.getSpec().getAnnotations().getName());
            changed = secret.getMeta().getUpdatedAt();
        } else if (event.object() instanceof Config config) {
            attributes.put("name", config.getSpec().getAnnotations().getName());
            changed = config.getMeta().getUpdatedAt();
        } else {
            return null;
        }
        String action = event.before() == null ? "create" : event.after() == null ? "remove" : "update";
        return new ClusterEvent(
                event.kind().toString(),
                action,
                event.id(),
                attributes,
                action.equals("remove") ? now : changed,
                SWARM);
    }

    private static void changes(Node before, Node after, Map<String, String> attributes) {
        change(
                attributes,
                "availability",
                Enums.lower(before.getSpec().getAvailability()),
                Enums.lower(after.getSpec().getAvailability()));
        change(
                attributes,
                "role",
                Enums.lower(before.getSpec().getDesiredRole()),
                Enums.lower(after.getSpec().getDesiredRole()));
        change(
                attributes,
                "state",
                Enums.lower(before.getStatus().getState()),
                Enums.lower(after.getStatus().getState()));
    }

    private static void changes(Service before, Service after, Map<String, String> attributes) {
        change(
                attributes,
                "replicas",
                Long.toUnsignedString(before.getSpec().getReplicated().getReplicas()),
                Long.toUnsignedString(after.getSpec().getReplicated().getReplicas()));
        change(
                attributes,
                "image",
                before.getSpec().getTask().getContainer().getImage(),
                after.getSpec().getTask().getContainer().getImage());
        if (after.hasUpdateStatus()) {
            change(attributes, "updatestate", updateState(before), updateState(after));
        }
    }

    private static String updateState(Service service) {
        return service.hasUpdateStatus() ? Enums.lower(service.getUpdateStatus().getState()) : "";
    }

    private static void change(Map<String, String> attributes, String name, String before, String after) {
        if (!before.equals(after)) {
            if (!before.isEmpty()) {
                attributes.put(name + ".old", before);
            }
            attributes.put(name + ".new", after);
        }
    }

    /** Returns whether the message passes the filters of a request. */
    boolean matches(Filters filters) {
        return filters.matchesExactly("type", type)
                && (filters.matchesExactly("event", action) || filters.matchesExactly("event", beforeColon(action)))
                && filters.matchesExactly("scope", scope)
                && filters.matchesLabels("label", attributes)
                && matchesName(filters, "container")
                && matchesName(filters, "daemon")
                && (matchesName(filters, "image") || matchesImageOfContainer(filters))
                && matchesName(filters, "plugin")
                && matchesName(filters, "volume")
                && matchesName(filters, "network")
                && matchesName(filters, "node")
                && matchesName(filters, "service")
                && matchesName(filters, "secret")
                && matchesName(filters, "config");
    }

    private static String beforeColon(String text) {
        int colon = text.indexOf(':');
        return colon < 0 ? text : text.substring(0, colon);
    }

    private boolean matchesImageOfContainer(Filters filters) {
        String image = attributes.getOrDefault("image", "");
        return type.equals("container")
                && (filters.matchesExactly("image", image) || filters.matchesExactly("image", beforeColon(image)));
    }

    private boolean matchesName(Filters filters, String key) {
        return !filters.has(key)
                || (key.equals(type)
                        && (filters.matchesPrefix(key, id)
                                || filters.matchesPrefix(key, attributes.getOrDefault("name", ""))));
    }

    void write(JsonOut out) {
        if (scope.equals(LOCAL) && (type.equals("container") || type.equals("image"))) {
            out.text("status", action);
            out.text("id", id);
            String image = attributes.getOrDefault("image", "");
            out.textOrOmit("from", type.equals("container") ? image : "");
        }
        out.text("Type", type);
        out.text("Action", action);
        out.object("Actor", actor -> {
            actor.text("ID", id);
            actor.map("Attributes", attributes);
        });
        out.text("scope", scope);
        out.number("time", time.getSeconds());
        out.number("timeNano", time.getSeconds() * 1_000_000_000L + time.getNanos());
    }
}
