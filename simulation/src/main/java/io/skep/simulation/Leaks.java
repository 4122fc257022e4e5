package io.skep.simulation;

import io.skep.control.ControlLoop;
import io.skep.store.ClusterState;
import io.skep.store.Transaction;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/**
 * Counts what a control plane holds while the cluster is at rest: nobody waits for anything, and nothing is larger than
 * the cluster is.
 *
 * <p>The collections are found by walking through the objects, so one that is added later is counted as well.
 */
final class Leaks {
    private static final String INVARIANT = "nothing leaks";
    private static final int SPARE = 40;

    /** Collections of callers that wait, which are empty when nobody asks for anything. */
    private static final Set<String> EMPTY_AT_REST = Set.of(
            "VersionWatch.waiting",
            "LeaderRuntime.waiting",
            "LeaderRuntime.removals",
            "LeaderRuntime.roleChanges",
            "StatusReports.batches",
            "StatusReports.offers",
            "CommandRouter.waiting",
            "NodeWatch.waiting");

    /** What a leader keeps of the state, neither more nor less than there is. */
    private static final Set<String> FOLLOWS_FROM_STATE = Set.of(
            "AddressPool.owners",
            "GlobalOrchestrator.globalServices",
            "JobOrchestrator.globalJobs",
            "NetworkSpace.pools",
            "NetworkSpace.vniOwners",
            "NodeLiveness.deadlines",
            "NodeLiveness.downSince",
            "NodeLoads.byId",
            "PortSpace.owners");

    private final World world;

    Leaks(World world) {
        this.world = world;
    }

    void check(String manager, Board.ManagerPart part) {
        int objects = world.boards().size()
                + world.invariants().state().tasks().size()
                + world.invariants().state().services().size()
                + world.invariants().state().nodes().size()
                + world.invariants().state().networks().size();
        int limit = 3 * objects + SPARE;
        walk(
                part.plane,
                (name, value) -> require(
                        manager,
                        "entries in " + name,
                        contentOf(value).size(),
                        EMPTY_AT_REST.contains(name) ? 0 : limit));
        int nodes = world.boards().size();
        require(manager, "calls under way", part.server.openCalls(), 3 * nodes + 8);
        require(manager, "timers", part.executor.timers() + part.control.timers(), 4 * nodes + 16);
        require(manager, "callers of the log", part.consensus.waiting(), 4);
        require(manager, "connections", world.network().connections(), nodes * nodes + 4 * nodes);
    }

    /**
     * Holds what the leader remembers against what a new one would: all that a leader keeps beside the state follows
     * from the state, so at rest both have the same.
     */
    void checkMemory(String manager, Board.ManagerPart part) {
        List<ControlLoop> loops = new ArrayList<>();
        walk(part.plane, (name, value) -> {
            if (value instanceof ControlLoop loop) {
                loops.add(loop);
            }
        });
        ClusterState state = part.store.state();
        for (ControlLoop loop : loops) {
            Instant now = part.process.instant();
            ControlLoop fresh = new ControlLoop(state, now, new SimulatedIds(new Random(1)), part.consensus::members);
            Transaction transaction = new Transaction(state, now);
            fresh.step(transaction, now, List.of());
            if (!transaction.isEmpty()) {
                // It looks at all of the state anew and does a little more, so it has something else to remember.
                continue;
            }
            Map<String, Integer> expected = sizes(fresh);
            Map<String, Integer> found = sizes(loop);
            for (String name : FOLLOWS_FROM_STATE.stream().sorted().toList()) {
                int size = found.getOrDefault(name, 0);
                int other = expected.getOrDefault(name, 0);
                if (size != other) {
                    throw world.verdict()
                            .broken(
                                    "a leader remembers what follows from the state",
                                    manager + " has " + size + " entries in " + name + ", and a new leader would have "
                                            + other);
                }
            }
        }
    }

    private static Map<String, Integer> sizes(Object root) {
        Map<String, Integer> sizes = new TreeMap<>();
        walk(root, (name, value) -> sizes.merge(name, contentOf(value).size(), Integer::sum));
        return sizes;
    }

    private void require(String manager, String what, int count, int limit) {
        if (count > limit) {
            throw world.verdict().broken(INVARIANT, manager + " has " + count + " " + what + ", more than " + limit);
        }
    }

    /** Visits the fields of all objects of ours that can be reached, each object once. */
    private static void walk(Object root, BiConsumer<String, Object> visitor) {
        Set<Object> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        ArrayDeque<Object> open = new ArrayDeque<>();
        open.add(root);
        while (!open.isEmpty()) {
            Object object = open.remove();
            if (!seen.add(object)) {
                continue;
            }
            open.addAll(contentOf(object));
            for (Class<?> type = object.getClass(); type != null && isOurs(type); type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    if (!Modifier.isStatic(field.getModifiers())
                            && !field.getType().isPrimitive()) {
                        String name = field.getDeclaringClass().getSimpleName() + "." + field.getName();
                        value(field, object).ifPresent(value -> {
                            visitor.accept(name, value);
                            open.add(value);
                        });
                    }
                }
            }
        }
    }

    private static List<Object> contentOf(Object value) {
        Collection<?> content = switch (value) {
            case Map<?, ?> map -> map.values();
            case Collection<?> collection -> collection;
            default -> Set.of();
        };
        return content.stream().filter(Objects::nonNull).map(Object.class::cast).toList();
    }

    private static boolean isOurs(Class<?> type) {
        String name = type.getName();
        return name.startsWith("io.skep.manager.") || name.startsWith("io.skep.control.");
    }

    private static Optional<Object> value(Field field, Object object) {
        field.setAccessible(true);
        try {
            return Optional.ofNullable(field.get(object));
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }
}
