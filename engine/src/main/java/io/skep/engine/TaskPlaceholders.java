package io.skep.engine;

import io.skep.wire.Task;
import java.util.Map;

/** Fills in the placeholders that the specification of a task may hold (swarm-wire 6.1). */
final class TaskPlaceholders {
    private final Map<String, Object> data;

    TaskPlaceholders(Task task, TaskNode node) {
        data = Map.of(
                "Service",
                Map.of(
                        "ID",
                        task.getServiceId(),
                        "Name",
                        task.getServiceAnnotations().getName(),
                        "Labels",
                        task.getServiceAnnotations().getLabelsMap()),
                "Node",
                Map.of(
                        "ID",
                        task.getNodeId(),
                        "Hostname",
                        node.hostname(),
                        "Platform",
                        Map.of("Architecture", node.architecture(), "OS", node.os())),
                "Task",
                Map.of("ID", task.getId(), "Name", name(task), "Slot", slot(task)));
    }

    /** Returns the name of a task, which is that of its container. */
    static String name(Task task) {
        if (!task.getAnnotations().getName().isEmpty()) {
            return task.getAnnotations().getName();
        }
        return task.getServiceAnnotations().getName() + "." + slot(task) + "." + task.getId();
    }

    /** A task of a global service has no slot: its node stands for it. */
    private static String slot(Task task) {
        return task.getSlot() == 0 ? task.getNodeId() : Long.toUnsignedString(task.getSlot());
    }

    /**
     * Returns a text with its placeholders filled in.
     *
     * @param what names the text in failures
     * @throws EngineException INVALID when it has a placeholder that cannot be filled in
     */
    String expand(String what, String text) {
        return expand(what, text, Map.of());
    }

    /** @param calls functions that the text may call */
    String expand(String what, String text, Map<String, Template.Call> calls) {
        try {
            return Template.expand(text, data, calls);
        } catch (EngineException e) {
            throw EngineException.invalid("expanding " + what + " failed: " + e.text());
        }
    }

    /** Returns variables with the placeholders of their values filled in. */
    String expandVariable(String variable) {
        int equals = variable.indexOf('=');
        return equals < 0
                ? variable
                : variable.substring(0, equals + 1) + expand("env", variable.substring(equals + 1));
    }
}
