package io.skep.simulation;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

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
        walk(manager, part.plane, 3 * objects + SPARE);
        int nodes = world.boards().size();
        require(manager, "calls under way", part.server.openCalls(), 3 * nodes + 8);
        require(manager, "timers", part.executor.timers() + part.control.timers(), 4 * nodes + 16);
        require(manager, "callers of the log", part.consensus.waiting(), 4);
        require(manager, "connections", world.network().connections(), nodes * nodes + 4 * nodes);
    }

    private void require(String manager, String what, int count, int limit) {
        if (count > limit) {
            throw world.verdict().broken(INVARIANT, manager + " has " + count + " " + what + ", more than " + limit);
        }
    }

    private void walk(String manager, Object root, int limit) {
        Set<Object> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        ArrayDeque<Object> open = new ArrayDeque<>();
        open.add(root);
        while (!open.isEmpty()) {
            Object object = open.remove();
            if (!seen.add(object) || !isOurs(object.getClass())) {
                continue;
            }
            for (Class<?> type = object.getClass(); type != null && isOurs(type); type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    if (!Modifier.isStatic(field.getModifiers())
                            && !field.getType().isPrimitive()) {
                        value(field, object).ifPresent(value -> visit(manager, field, value, limit, open));
                    }
                }
            }
        }
    }

    private void visit(String manager, Field field, Object value, int limit, ArrayDeque<Object> open) {
        Collection<?> content = switch (value) {
            case Map<?, ?> map -> map.values();
            case Collection<?> collection -> collection;
            default -> {
                open.add(value);
                yield Set.of();
            }
        };
        String name = field.getDeclaringClass().getSimpleName() + "." + field.getName();
        require(manager, "entries in " + name, content.size(), EMPTY_AT_REST.contains(name) ? 0 : limit);
        for (Object each : content) {
            if (each != null) {
                open.add(each);
            }
        }
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
