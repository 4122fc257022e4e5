package io.skep.engine;

import io.skep.agent.Controller;
import io.skep.agent.Executor;
import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Runs the tasks of a swarm as containers of this engine.
 *
 * <p>A task's container is known by its label, so whoever asks for a task again, this agent or the next, finds what is
 * there and goes on with it. The engine may still be starting: nothing here waits for it but the threads of operations.
 */
public final class EngineExecutor implements Executor, AutoCloseable {
    private final Supplier<Containers> containers;
    private final TaskImages images;
    private final Supplier<TaskNode> node;
    private final TaskFiles files;
    private final AutoCloseable listening;

    /** What is to be done when something happens to a container, by the id of the container. */
    private final Map<String, Runnable> watchers = new ConcurrentHashMap<>();

    /**
     * Makes an executor.
     *
     * @param node what tasks may learn of the node
     * @param filesFolder a folder for the secrets and configs of tasks alone, in memory if possible
     */
    public EngineExecutor(Engine engine, Supplier<TaskNode> node, Path filesFolder) {
        this(engine::containers, engine.events(), (image, auth) -> {}, node, filesFolder);
    }

    EngineExecutor(
            Supplier<Containers> containers,
            EngineEvents events,
            TaskImages images,
            Supplier<TaskNode> node,
            Path filesFolder) {
        this.containers = containers;
        this.images = images;
        this.node = node;
        this.files = new TaskFiles(filesFolder);
        this.listening = events.listen(this::heard);
    }

    private void heard(EngineEvent event) {
        Runnable watcher = watchers.get(event.id());
        if (watcher != null) {
            watcher.run();
        }
    }

    @Override
    public String unavailable() {
        return "";
    }

    @Override
    public void provide(List<Secret> secrets, List<Config> configs) {
        files.provide(secrets, configs);
    }

    @Override
    public Controller controller(Task task) {
        return new EngineController(this, task);
    }

    Containers containers() {
        return containers.get();
    }

    TaskImages images() {
        return images;
    }

    TaskFiles files() {
        return files;
    }

    TaskNode node() {
        return node.get();
    }

    /** Returns the container of a task, or null when there is none. */
    @Nullable
    Container find(String taskId) {
        for (Container container : containers().all()) {
            if (taskId.equals(container.record().getConfig().getLabelsMap().get(TaskContainer.LABEL_TASK))) {
                return container;
            }
        }
        return null;
    }

    boolean isThere(Container container) {
        return containers().all().contains(container);
    }

    /** Runs something whenever a container changes, until it is told {@link #forget}; one at a time for a container. */
    void watch(String containerId, Runnable watcher) {
        watchers.put(containerId, watcher);
    }

    void forget(String containerId, Runnable watcher) {
        watchers.remove(containerId, watcher);
    }

    /** Removes the containers of all tasks and what belongs to them: the node has left its swarm. */
    public void removeAll() throws IOException, InterruptedException {
        for (Container container : containers().all()) {
            String taskId = container.record().getConfig().getLabelsMap().get(TaskContainer.LABEL_TASK);
            if (taskId != null) {
                containers().remove(container, true, true);
                files.remove(taskId);
            }
        }
    }

    /** Hears nothing any more; what runs goes on. */
    @Override
    public void close() throws Exception {
        listening.close();
    }
}
