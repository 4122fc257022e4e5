package io.skep.engine;

import io.skep.agent.Controller;
import io.skep.agent.Operation;
import io.skep.agent.TaskFailure;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.Mount;
import io.skep.engine.record.PortBindings;
import io.skep.wire.PortConfig;
import io.skep.wire.PortStatus;
import io.skep.wire.Task;
import io.skep.wire.TaskStatus;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One task of a swarm as a container of this engine.
 *
 * <p>Each operation has a virtual thread of its own. What changes the engine is never interrupted, so that nothing is
 * left half done; a cancelled operation gives up waiting, or the pull of its image, and ends when its present call has
 * returned.
 *
 * <p>A container that has been started once is not started again: whatever the next operation asks, its end is the end
 * of the task.
 */
final class EngineController implements Controller {
    private static final Logger LOG = LoggerFactory.getLogger(EngineController.class);
    private static final Duration GRACE_DEFAULT = Duration.ofSeconds(10);
    private static final String UNHEALTHY = "dockerexec: unhealthy container";

    private final EngineExecutor executor;
    private final String taskId;
    private volatile Task task;
    private volatile @Nullable Container container;

    /** Makes the controller of any task: one that cannot run here may still have to be removed. */
    EngineController(EngineExecutor executor, Task task) {
        this.executor = executor;
        this.taskId = task.getId();
        this.task = task;
    }

    // ---- operations

    /** Work of one operation. */
    private interface Work {
        void run(Cancellation cancellation) throws TaskFailure, IOException, InterruptedException;
    }

    /** The wish that an operation ends, and what wakes it to look. */
    private static final class Cancellation {
        private final Semaphore wake = new Semaphore(0);
        private volatile boolean wished;
        private @Nullable Thread interruptible;

        void wish() {
            wished = true;
            wake.release();
            synchronized (this) {
                if (interruptible != null) {
                    interruptible.interrupt();
                }
            }
        }

        /** Runs something that may be interrupted at any point. */
        void interruptibly(Work work) throws TaskFailure, IOException, InterruptedException {
            synchronized (this) {
                check();
                interruptible = Thread.currentThread();
            }
            try {
                work.run(this);
            } finally {
                synchronized (this) {
                    interruptible = null;
                    var _ = Thread.interrupted();
                }
            }
        }

        void check() throws TaskFailure {
            if (wished) {
                throw TaskFailure.temporary("cancelled");
            }
        }
    }

    private Operation operation(String name, Work work) {
        CompletableFuture<Void> ended = new CompletableFuture<>();
        Cancellation cancellation = new Cancellation();
        Thread.ofVirtual().name("task-" + name + "-" + taskId).start(() -> {
            try {
                work.run(cancellation);
                ended.complete(null);
            } catch (EngineException e) {
                LOG.debug("task {}: {} failed", taskId, name, e);
                ended.completeExceptionally(
                        e.kind() == EngineException.Kind.UNAVAILABLE
                                ? TaskFailure.temporary(e.text())
                                : TaskFailure.fatal(e.text()));
            } catch (TaskFailure | IOException | InterruptedException | RuntimeException e) {
                ended.completeExceptionally(e);
            }
        });
        return Operation.of(ended, cancellation::wish);
    }

    @Override
    public Operation prepare() {
        return operation("prepare", this::prepareNow);
    }

    @Override
    public Operation start() {
        return operation("start", this::startNow);
    }

    @Override
    public Operation await() {
        return operation("await", this::awaitNow);
    }

    @Override
    public Operation shutdown() {
        return operation("shutdown", cancellation -> stopNow("", grace()));
    }

    @Override
    public Operation terminate() {
        return operation("terminate", cancellation -> stopNow("KILL", Duration.ZERO));
    }

    @Override
    public Operation remove() {
        return operation("remove", cancellation -> removeNow());
    }

    @Override
    public void update(Task changed) {
        task = changed;
    }

    // ---- what they do

    private void prepareNow(Cancellation cancellation) throws TaskFailure, IOException, InterruptedException {
        if (find() != null) {
            return;
        }
        TaskContainer wanted = TaskContainer.of(task, executor.node());
        String failure = pull(wanted, cancellation);
        cancellation.check();
        List<Mount> files = executor.files().write(task, executor.node());
        CreateContainer create = wanted.create();
        if (!files.isEmpty()) {
            CreateContainer.Builder more = create.toBuilder();
            more.getHostConfigBuilder().addAllMounts(files);
            create = more.build();
        }
        try {
            container = executor.containers().create(wanted.name(), create, "");
        } catch (EngineException e) {
            if (e.kind() == EngineException.Kind.NOT_FOUND && !failure.isEmpty()) {
                throw TaskFailure.fatal(e.text() + " (" + failure + ")");
            }
            throw e;
        }
    }

    /** Returns why the image could not be had; one that is here may do. */
    private String pull(TaskContainer wanted, Cancellation cancellation)
            throws TaskFailure, IOException, InterruptedException {
        try {
            cancellation.interruptibly(now -> executor.images()
                    .pull(
                            wanted.create().getConfig().getImage(),
                            task.getSpec().getContainer().getPullOptions().getRegistryAuth()));
            return "";
        } catch (EngineException e) {
            cancellation.check();
            LOG.info("task {}: the image was not pulled: {}", wanted.name(), e.text());
            return e.text();
        } catch (InterruptedException e) {
            cancellation.check();
            throw e;
        }
    }

    private void startNow(Cancellation cancellation) throws TaskFailure, IOException, InterruptedException {
        Container found = require();
        if (found.record().getState().getStatus() == ContainerStatus.CREATED) {
            cancellation.check();
            executor.files().write(task, executor.node());
            found.start();
        }
        awaitChange(found, cancellation, state -> !isRunning(state) || !isStarting(state));
        if (isUnhealthy(found.record().getState())) {
            stop(found, "", grace());
            throw TaskFailure.exited(found.record().getState().getExitCode(), UNHEALTHY);
        }
    }

    private void awaitNow(Cancellation cancellation) throws TaskFailure, IOException, InterruptedException {
        Container found = require();
        awaitChange(found, cancellation, state -> !isRunning(state) || isUnhealthy(state));
        ContainerState state = found.record().getState();
        if (isRunning(state)) {
            LOG.info("task {} is not healthy; it is stopped", taskId);
            stop(found, "", grace());
            throw TaskFailure.exited(found.record().getState().getExitCode(), UNHEALTHY);
        }
        if (state.getExitCode() != 0) {
            throw TaskFailure.exited(state.getExitCode(), state.getError());
        }
    }

    /** Waits until the state of a container is as wanted, or it is gone. */
    private void awaitChange(
            Container found, Cancellation cancellation, java.util.function.Predicate<ContainerState> isAsWanted)
            throws TaskFailure, InterruptedException {
        Runnable watcher = cancellation.wake::release;
        executor.watch(found.id(), watcher);
        try {
            while (!isAsWanted.test(found.record().getState())) {
                cancellation.check();
                cancellation.wake.acquire();
                cancellation.wake.drainPermits();
            }
        } finally {
            executor.forget(found.id(), watcher);
        }
    }

    private static boolean isRunning(ContainerState state) {
        return switch (state.getStatus()) {
            case RUNNING, PAUSED, RESTARTING -> true;
            case CREATED, REMOVING, EXITED, DEAD, UNRECOGNIZED -> false;
        };
    }

    private static boolean isStarting(ContainerState state) {
        return state.hasHealth() && state.getHealth().getStatus().equals("starting");
    }

    private static boolean isUnhealthy(ContainerState state) {
        return state.hasHealth() && state.getHealth().getStatus().equals("unhealthy");
    }

    private void stopNow(String signal, Duration patience) throws InterruptedException {
        Container found = find();
        if (found != null) {
            stop(found, signal, patience);
        }
    }

    private static void stop(Container found, String signal, Duration patience) throws InterruptedException {
        try {
            found.stop(signal, patience);
        } catch (EngineException e) {
            if (e.kind() != EngineException.Kind.NOT_MODIFIED && e.kind() != EngineException.Kind.NOT_FOUND) {
                throw e;
            }
        }
    }

    private void removeNow() throws IOException, InterruptedException {
        Container found = find();
        if (found != null) {
            try {
                executor.containers().remove(found, true, true);
            } catch (EngineException e) {
                if (e.kind() != EngineException.Kind.NOT_FOUND) {
                    throw e;
                }
            }
        }
        executor.files().remove(taskId);
    }

    /** Returns the container, which others may have removed since it was found last. */
    private @Nullable Container find() {
        Container known = container;
        if (known == null || !executor.isThere(known)) {
            known = executor.find(taskId);
            if (known != null) {
                container = known;
            }
        }
        return known;
    }

    private Container require() throws TaskFailure {
        Container found = find();
        if (found == null) {
            throw TaskFailure.fatal("the container of the task was removed");
        }
        return found;
    }

    private Duration grace() {
        if (!task.getSpec().getContainer().hasStopGracePeriod()) {
            return GRACE_DEFAULT;
        }
        return Duration.ofNanos(
                TaskContainer.nanos(task.getSpec().getContainer().getStopGracePeriod()));
    }

    // ---- what is reported

    /** Returns a port with the number that it has on the node, which the engine chose if nobody named one. */
    private static PortConfig published(PortConfig port, @Nullable PortBindings bound) {
        if (port.getPublishedPort() != 0 || bound == null || bound.getBindingsCount() == 0) {
            return port;
        }
        return port.toBuilder()
                .setPublishedPort(Integer.parseInt(bound.getBindings(0).getHostPort()))
                .build();
    }

    @Override
    public void describe(TaskStatus.Builder status) {
        Container found = container;
        if (found == null) {
            return;
        }
        ContainerState state = found.record().getState();
        status.setContainer(io.skep.wire.ContainerStatus.newBuilder()
                .setContainerId(found.id())
                .setPid(state.getPid())
                .setExitCode(state.getExitCode()));
        List<PortConfig> asked = TaskContainer.hostPorts(task);
        if (!asked.isEmpty() && isRunning(state)) {
            PortStatus.Builder ports = PortStatus.newBuilder();
            Map<String, PortBindings> bound = found.record().getPortsMap();
            asked.forEach(port -> ports.addPorts(published(port, bound.get(TaskContainer.containerPort(port)))));
            status.setPortStatus(ports);
        }
    }
}
