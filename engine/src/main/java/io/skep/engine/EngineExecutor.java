package io.skep.engine;

import io.skep.agent.Controller;
import io.skep.agent.Executor;
import io.skep.agent.LogSink;
import io.skep.wire.Config;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.PluginDescription;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
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
        this(engine::containers, engine.events(), pull(engine), node, filesFolder);
    }

    /** What Docker does: the newest image of that name, but a digest that is here is what it is. */
    private static TaskImages pull(Engine engine) {
        boolean offline = "1".equals(System.getenv("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE"));
        return (image, auth) -> {
            if (image.startsWith("sha256:") || ((offline || image.contains("@")) && isHere(engine.images(), image))) {
                return;
            }
            engine.images().pull(image, "", auth, progress -> {});
        };
    }

    private static boolean isHere(Images images, String image) {
        try {
            var _ = images.inspect(image, "", false);
            return true;
        } catch (EngineException e) {
            return false;
        }
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
    public List<PluginDescription> drivers() {
        List<PluginDescription> drivers = new ArrayList<>();
        for (String log : LogDrivers.NAMES) {
            drivers.add(driver("Log", log));
        }
        for (String network : TaskContainer.NETWORK_DRIVERS) {
            drivers.add(driver("Network", network));
        }
        drivers.add(driver("Volume", "local"));
        return drivers;
    }

    private static PluginDescription driver(String type, String name) {
        return PluginDescription.newBuilder().setType(type).setName(name).build();
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

    @Override
    public Runnable logs(Task task, LogSubscriptionOptions options, LogSink sink) {
        return new TaskLog(this, task, options, sink).start();
    }

    @Override
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
