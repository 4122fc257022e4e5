package io.skep.load;

import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The statuses of one agent that wait to be reported: only the newest of a task waits, as with a stock engine
 * (swarm-wire 3.4). Bounded by the number of tasks.
 */
final class ReportQueue {
    private final Map<String, TaskStatus> waiting = new LinkedHashMap<>();

    void offer(String taskId, TaskStatus status) {
        waiting.put(taskId, status);
    }

    /** Puts back what could not be sent, unless something newer waits. */
    void putBack(List<TaskStatusUpdate> updates) {
        for (TaskStatusUpdate update : updates) {
            waiting.putIfAbsent(update.getTaskId(), update.getStatus());
        }
    }

    void forget(String taskId) {
        waiting.remove(taskId);
    }

    boolean isEmpty() {
        return waiting.isEmpty();
    }

    /** Takes up to that many, the tasks that wait longest first. */
    List<TaskStatusUpdate> take(int countMax) {
        List<TaskStatusUpdate> taken = new ArrayList<>(Math.min(countMax, waiting.size()));
        Iterator<Map.Entry<String, TaskStatus>> entries = waiting.entrySet().iterator();
        while (taken.size() < countMax && entries.hasNext()) {
            Map.Entry<String, TaskStatus> entry = entries.next();
            taken.add(TaskStatusUpdate.newBuilder()
                    .setTaskId(entry.getKey())
                    .setStatus(entry.getValue())
                    .build());
            entries.remove();
        }
        return taken;
    }
}
