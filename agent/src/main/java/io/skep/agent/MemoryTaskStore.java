package io.skep.agent;

import io.skep.wire.Task;
import io.skep.wire.TaskStatus;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A task store that lasts as long as the process: for nodes that run no containers of their own. */
public final class MemoryTaskStore implements TaskStore {
    private final Map<String, Task> tasks = new LinkedHashMap<>();

    @Override
    public List<Task> load() {
        return List.copyOf(tasks.values());
    }

    @Override
    public void put(Task task) {
        tasks.put(task.getId(), task);
    }

    @Override
    public void putStatus(String taskId, TaskStatus status) {
        tasks.computeIfPresent(
                taskId, (id, task) -> task.toBuilder().setStatus(status).build());
    }

    @Override
    public void remove(String taskId) {
        tasks.remove(taskId);
    }
}
