package io.skep.control;

import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.GenericResource;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PortConfig;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What the tasks of one node take from it, kept up to date task by task. */
final class NodeLoad {
    private static final int RETIRED = -1;

    /** A port of a node. */
    record Port(PortConfig.Protocol protocol, int number) {}

    private record Named(String kind, String value) {}

    private final String nodeId;
    private final int idPrefix;
    private int slot;
    private @Nullable Node node;
    private boolean available;
    private long nodeChangedAt;
    private int active;
    private int tasks;
    private long freeNanoCpus;
    private long freeMemoryBytes;
    // Most nodes need none of these; they are made when one does, so that a hundred thousand nodes stay small.
    private Map<Port, Integer> ports = Map.of();
    private Map<String, Long> discrete = Map.of();
    private Set<Named> named = Set.of();

    /**
     * Makes the load of a node of which nothing is known.
     *
     * @param change as for {@link #setNode}
     */
    NodeLoad(String nodeId, int slot, long change) {
        this.nodeId = nodeId;
        this.slot = slot;
        this.nodeChangedAt = change;
        this.idPrefix = prefix(nodeId);
    }

    /** Returns a number that orders ids as their first characters do. */
    private static int prefix(String id) {
        int prefix = 0;
        boolean beyondLatin = false;
        for (int i = 0; i < 4; i++) {
            char character = i < id.length() && !beyondLatin ? id.charAt(i) : 0;
            beyondLatin |= character > 0x7e;
            prefix = prefix << 8 | (beyondLatin && character != 0 ? 0x7f : character);
        }
        return prefix;
    }

    String nodeId() {
        return nodeId;
    }

    /** Returns the slot in {@link NodeLoads}. */
    int slot() {
        return slot;
    }

    void retire() {
        slot = RETIRED;
    }

    boolean isRetired() {
        return slot == RETIRED;
    }

    @Nullable
    Node node() {
        return node;
    }

    /**
     * Takes note of the node as it is now.
     *
     * @param change the number that this change gets in {@link NodeLoads}
     */
    void setNode(@Nullable Node newNode, long change) {
        Resources before = all();
        this.node = newNode;
        this.nodeChangedAt = change;
        this.available = newNode != null
                && newNode.getStatus().getState() == NodeStatus.State.READY
                && newNode.getSpec().getAvailability() == Availability.ACTIVE;
        freeNanoCpus += all().getNanoCpus() - before.getNanoCpus();
        freeMemoryBytes += all().getMemoryBytes() - before.getMemoryBytes();
    }

    /** Returns whether the node is ready and takes new tasks. */
    boolean isAvailable() {
        return available;
    }

    /** Returns the number of the change that last changed the node itself. */
    long nodeChangedAt() {
        return nodeChangedAt;
    }

    boolean isEmpty() {
        return node == null && tasks == 0;
    }

    /** Returns the number of tasks that are wanted on this node. */
    int active() {
        return active;
    }

    /** Returns what orders nodes by their active tasks, and many of those that have the same by their ids. */
    long order() {
        return (long) active << 32 | idPrefix;
    }

    long freeNanoCpus() {
        return freeNanoCpus;
    }

    long freeMemoryBytes() {
        return freeMemoryBytes;
    }

    void add(Task task) {
        tasks++;
        count(task, 1);
        for (GenericResource resource : task.getAssignedGenericResourcesList()) {
            if (resource.hasNamedResourceSpec()) {
                named = named.isEmpty() ? new HashSet<>() : named;
                named.add(named(resource.getNamedResourceSpec()));
            } else {
                discrete = discrete.isEmpty() ? new HashMap<>() : discrete;
                discrete.merge(
                        resource.getDiscreteResourceSpec().getKind(),
                        resource.getDiscreteResourceSpec().getValue(),
                        Long::sum);
            }
        }
    }

    void remove(Task task) {
        tasks--;
        count(task, -1);
        for (GenericResource resource : task.getAssignedGenericResourcesList()) {
            if (resource.hasNamedResourceSpec()) {
                if (!named.isEmpty()) {
                    named.remove(named(resource.getNamedResourceSpec()));
                }
            } else if (!discrete.isEmpty()) {
                discrete.computeIfPresent(resource.getDiscreteResourceSpec().getKind(), (kind, used) -> {
                    long left = used - resource.getDiscreteResourceSpec().getValue();
                    return left == 0 ? null : left;
                });
            }
        }
    }

    private void count(Task task, int sign) {
        if (TaskStates.isWanted(task)) {
            active += sign;
        }
        Resources reserved = task.getSpec().getResources().getReservations();
        freeNanoCpus -= sign * reserved.getNanoCpus();
        freeMemoryBytes -= sign * reserved.getMemoryBytes();
        for (Port port : hostPorts(task)) {
            ports = ports.isEmpty() ? new HashMap<>() : ports;
            ports.merge(port, sign, (old, delta) -> old + delta == 0 ? null : old + delta);
        }
    }

    private static Named named(NamedGenericResource resource) {
        return new Named(resource.getKind(), resource.getValue());
    }

    /** Returns the ports that a task needs of its node. */
    static List<Port> hostPorts(Task task) {
        List<PortConfig> published = task.getEndpoint().getPortsCount() > 0
                ? task.getEndpoint().getPortsList()
                : task.getEndpoint().getSpec().getPortsList();
        if (published.isEmpty()) {
            return List.of();
        }
        List<Port> ports = new ArrayList<>();
        for (PortConfig port : published) {
            if (port.getPublishMode() == PortConfig.PublishMode.HOST && port.getPublishedPort() != 0) {
                ports.add(new Port(port.getProtocol(), port.getPublishedPort()));
            }
        }
        return ports;
    }

    boolean hasPortsFree(List<Port> wanted) {
        if (!ports.isEmpty()) {
            for (Port port : wanted) {
                if (ports.containsKey(port)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Returns whether what is left of the node covers the reservation. */
    boolean hasRoom(Resources reserved) {
        if (reserved.getNanoCpus() > freeNanoCpus || reserved.getMemoryBytes() > freeMemoryBytes) {
            return false;
        }
        return reserved.getGenericCount() == 0 || claim(reserved) != null;
    }

    /** Returns which generic resources of the node a task gets for its reservation, or null if too few are left. */
    @Nullable
    List<GenericResource> claim(Resources reserved) {
        if (reserved.getGenericCount() == 0) {
            return List.of();
        }
        List<GenericResource> claimed = new ArrayList<>();
        for (GenericResource wanted : reserved.getGenericList()) {
            boolean done = wanted.hasNamedResourceSpec()
                    ? claimNamed(wanted.getNamedResourceSpec(), claimed)
                    : claimSome(wanted.getDiscreteResourceSpec(), claimed);
            if (!done) {
                return null;
            }
        }
        return claimed;
    }

    private boolean claimNamed(NamedGenericResource wanted, List<GenericResource> claimed) {
        for (GenericResource owned : all().getGenericList()) {
            if (owned.hasNamedResourceSpec()
                    && owned.getNamedResourceSpec().equals(wanted)
                    && !named.contains(named(wanted))) {
                claimed.add(owned);
                return true;
            }
        }
        return false;
    }

    private boolean claimSome(DiscreteGenericResource wanted, List<GenericResource> claimed) {
        String kind = wanted.getKind();
        long missing = wanted.getValue();
        for (GenericResource owned : all().getGenericList()) {
            if (missing > 0
                    && owned.hasNamedResourceSpec()
                    && owned.getNamedResourceSpec().getKind().equals(kind)
                    && !named.contains(named(owned.getNamedResourceSpec()))) {
                claimed.add(owned);
                missing--;
            } else if (owned.hasDiscreteResourceSpec()
                    && owned.getDiscreteResourceSpec().getKind().equals(kind)
                    && owned.getDiscreteResourceSpec().getValue() - discrete.getOrDefault(kind, 0L) >= missing) {
                claimed.add(GenericResource.newBuilder()
                        .setDiscreteResourceSpec(wanted)
                        .build());
                return true;
            }
        }
        return missing <= 0;
    }

    private Resources all() {
        return node == null
                ? Resources.getDefaultInstance()
                : node.getDescription().getResources();
    }
}
