package io.skep.agent;

import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The task statuses that managers have not confirmed yet, and all that were reported, so that a new session can be told
 * everything again (swarm-wire 3.4).
 *
 * <p>Bounded by the number of assigned tasks: only the newest status of a task waits, and {@link #forget} drops what
 * was removed. A status never goes back to an earlier state. Used on the serial executor.
 */
final class StatusQueue {
    private final Set<String> expected = new LinkedHashSet<>();
    private final Map<String, TaskStatus> known = new LinkedHashMap<>();
    private final Map<String, TaskStatus> waiting = new LinkedHashMap<>();

    /** A task is assigned: from now on its statuses count. */
    void expect(String taskId) {
        expected.add(taskId);
    }

    /** Notes a status; returns whether it is news about a task of this node. */
    boolean offer(String taskId, TaskStatus status) {
        if (!expected.contains(taskId)) {
            return false;
        }
        TaskStatus before = known.get(taskId);
        if (before != null
                && (before.equals(status)
                        || status.getState().getNumber() < before.getState().getNumber())) {
            return false;
        }
        known.put(taskId, status);
        waiting.put(taskId, status);
        return true;
    }

    /** Lets everything known be sent again, to a manager that may not have it. */
    void resendAll() {
        waiting.clear();
        waiting.putAll(known);
    }

    /** Takes up to that many statuses, those that wait longest first. */
    List<TaskStatusUpdate> take(int countMax) {
        List<TaskStatusUpdate> batch = new ArrayList<>();
        Iterator<Map.Entry<String, TaskStatus>> entries = waiting.entrySet().iterator();
        while (batch.size() < countMax && entries.hasNext()) {
            Map.Entry<String, TaskStatus> entry = entries.next();
            batch.add(TaskStatusUpdate.newBuilder()
                    .setTaskId(entry.getKey())
                    .setStatus(entry.getValue())
                    .build());
            entries.remove();
        }
        return batch;
    }

    /** Drops all that is known of a task that is no longer assigned. */
    void forget(String taskId) {
        expected.remove(taskId);
        known.remove(taskId);
        waiting.remove(taskId);
    }
}
