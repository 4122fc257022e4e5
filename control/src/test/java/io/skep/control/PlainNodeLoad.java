package io.skep.control;

import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.GenericResource;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.Node;
import io.skep.wire.PortConfig;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/** What the tasks of one node take from it, kept up to date task by task. */
final class PlainNodeLoad {
    static final Duration FAILURES_REMEMBERED_FOR = Duration.ofMinutes(5);
    private static final int FAILURES_REMEMBERED_MAX = 100;

    private record Port(PortConfig.Protocol protocol, int number) {}

    private record Named(String kind, String value) {}

    /** A version of a service, whose failures on a node count together. */
    private record Revision(String serviceId, Version version) {}

    private @Nullable Node node;
    private final Map<String, Integer> activeByService = new HashMap<>();
    private int active;
    private int tasks;
    private long nanoCpus;
    private long memoryBytes;
    private final Map<Port, Integer> ports = new HashMap<>();
    private final Map<String, Long> discrete = new HashMap<>();
    private final Set<Named> named = new HashSet<>();
    private final Map<Revision, Deque<Instant>> failures = new HashMap<>();

    @Nullable
    Node node() {
        return node;
    }

    void setNode(@Nullable Node node) {
        this.node = node;
    }

    boolean isEmpty() {
        return node == null && tasks == 0;
    }

    int active() {
        return active;
    }

    int active(String serviceId) {
        return activeByService.getOrDefault(serviceId, 0);
    }

    void add(Task task) {
        tasks++;
        count(task, 1);
        for (GenericResource resource : task.getAssignedGenericResourcesList()) {
            if (resource.hasNamedResourceSpec()) {
                named.add(named(resource.getNamedResourceSpec()));
            } else {
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
                named.remove(named(resource.getNamedResourceSpec()));
            } else {
                discrete.merge(
                        resource.getDiscreteResourceSpec().getKind(),
                        -resource.getDiscreteResourceSpec().getValue(),
                        Long::sum);
            }
        }
    }

    private void count(Task task, int sign) {
        if (TaskStates.isWanted(task)) {
            active += sign;
            merge(activeByService, task.getServiceId(), sign);
        }
        Resources reserved = task.getSpec().getResources().getReservations();
        nanoCpus += sign * reserved.getNanoCpus();
        memoryBytes += sign * reserved.getMemoryBytes();
        forEachHostPort(task, (protocol, number) -> merge(ports, new Port(protocol, number), sign));
    }

    private static <K> void merge(Map<K, Integer> counts, K key, int change) {
        counts.merge(key, change, (old, delta) -> old + delta == 0 ? null : old + delta);
    }

    private static Named named(NamedGenericResource resource) {
        return new Named(resource.getKind(), resource.getValue());
    }

    private static void forEachHostPort(Task task, BiConsumer<PortConfig.Protocol, Integer> consumer) {
        List<PortConfig> published = task.getEndpoint().getPortsCount() > 0
                ? task.getEndpoint().getPortsList()
                : task.getEndpoint().getSpec().getPortsList();
        for (PortConfig port : published) {
            if (port.getPublishMode() == PortConfig.PublishMode.HOST && port.getPublishedPort() != 0) {
                consumer.accept(port.getProtocol(), port.getPublishedPort());
            }
        }
    }

    static boolean hasHostPorts(Task task) {
        boolean[] found = new boolean[1];
        forEachHostPort(task, (protocol, number) -> found[0] = true);
        return found[0];
    }

    boolean hasPortsFree(Task task) {
        boolean[] free = {true};
        forEachHostPort(task, (protocol, number) -> free[0] &= !ports.containsKey(new Port(protocol, number)));
        return free[0];
    }

    /** Returns whether what is left of the node covers the reservation. */
    boolean hasRoom(Resources reserved) {
        Resources all = all();
        if (reserved.getNanoCpus() > all.getNanoCpus() - nanoCpus
                || reserved.getMemoryBytes() > all.getMemoryBytes() - memoryBytes) {
            return false;
        }
        return reserved.getGenericCount() == 0 || claim(reserved) != null;
    }

    /** Returns which generic resources of the node a task gets for its reservation, or null if too few are left. */
    @Nullable
    List<GenericResource> claim(Resources reserved) {
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

    /** Takes note that a task failed here. */
    void fail(Task task, Instant at) {
        Deque<Instant> times = failures.computeIfAbsent(revision(task), key -> new ArrayDeque<>());
        times.addLast(at);
        if (times.size() > FAILURES_REMEMBERED_MAX) {
            times.removeFirst();
        }
    }

    /** Returns how often tasks of the same version of the service failed here of late. */
    int recentFailures(Task task, Instant now) {
        if (failures.isEmpty()) {
            return 0;
        }
        Instant since = now.minus(FAILURES_REMEMBERED_FOR);
        failures.values().removeIf(times -> times.getLast().isBefore(since));
        Deque<Instant> times = failures.get(revision(task));
        if (times == null) {
            return 0;
        }
        times.removeIf(at -> at.isBefore(since));
        return times.size();
    }

    private static Revision revision(Task task) {
        return new Revision(task.getServiceId(), task.getSpecVersion());
    }
}
