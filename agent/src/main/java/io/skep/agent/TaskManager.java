package io.skep.agent;

import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.ResourceReference;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs the tasks of a node: each has a {@link Controller} and walks through its states as its desired state says.
 *
 * <p>All that is known of a task is in the {@link TaskStore} before it is reported, and before the operation begins
 * that belongs to a state. So an agent that is started again goes on where the last one was: a task that ran is waited
 * for, not started, whether a manager can be reached or not. What the own status says of a task counts, whatever a
 * manager believes; the status a manager sends counts for tasks of which nothing is known here.
 *
 * <p>A task that is no longer assigned is stopped, removed and only then forgotten; that is tried until it succeeds.
 *
 * <p>Runs on the serial executor alone. Bounded by the tasks that are assigned: each has at most one operation and two
 * delays under way.
 */
public final class TaskManager implements TaskRunner {
    private static final Logger LOG = LoggerFactory.getLogger(TaskManager.class);

    private final Executor executor;
    private final TaskStore store;
    private final InstantSource clock;
    private final Map<String, ManagedTask> tasks = new LinkedHashMap<>();
    private final List<LogReading> readings = new ArrayList<>();
    private Set<String> secretIds = new LinkedHashSet<>();
    private Set<String> configIds = new LinkedHashSet<>();
    private @Nullable ScheduledExecutorService serial;

    /**
     * Prepares to run tasks; nothing happens before {@link #start}.
     *
     * @param clock tells the times in statuses
     */
    public TaskManager(Executor executor, TaskStore store, InstantSource clock) {
        this.executor = executor;
        this.store = store;
        this.clock = clock;
    }

    @Override
    public String unavailable() {
        return executor.unavailable();
    }

    @Override
    public void start(ScheduledExecutorService serial) {
        this.serial = serial;
        for (Task task : store.load()) {
            tasks.put(task.getId(), ManagedTask.resumed(this, task));
        }
        tasks.values().forEach(ManagedTask::advance);
    }

    @Override
    public void provide(List<Secret> secrets, List<Config> configs) {
        executor.provide(secrets, configs);
        secretIds = new LinkedHashSet<>();
        secrets.forEach(secret -> secretIds.add(secret.getId()));
        configIds = new LinkedHashSet<>();
        configs.forEach(config -> configIds.add(config.getId()));
        tasks.values().forEach(ManagedTask::dependenciesChanged);
    }

    @Override
    public void assign(Task task, StatusReporter reporter) {
        ManagedTask known = tasks.get(task.getId());
        if (known == null) {
            known = ManagedTask.assigned(this, task);
            tasks.put(task.getId(), known);
        }
        known.assign(task, reporter);
    }

    @Override
    public void remove(String taskId) {
        ManagedTask task = tasks.get(taskId);
        if (task != null) {
            task.remove();
        }
    }

    @Override
    public void retain(Set<String> taskIds) {
        for (ManagedTask task : List.copyOf(tasks.values())) {
            if (!taskIds.contains(task.id())) {
                task.remove();
            }
        }
    }

    @Override
    public Runnable logs(LogSelector selector, LogSubscriptionOptions options, LogSink sink) {
        LogReading reading = new LogReading(this, selector, options, sink);
        readings.removeIf(LogReading::isOver);
        readings.add(reading);
        reading.start(tasks.values().stream().map(ManagedTask::task).toList());
        return reading::end;
    }

    /** A task has begun to run. */
    void runs(Task task) {
        readings.removeIf(LogReading::isOver);
        readings.forEach(reading -> reading.consider(task));
    }

    Executor executor() {
        return executor;
    }

    TaskStore store() {
        return store;
    }

    InstantSource clock() {
        return clock;
    }

    void forget(String taskId) {
        tasks.remove(taskId);
        store.remove(taskId);
    }

    /** Returns what a task needs and this node does not have, or null. */
    @Nullable
    String missing(Task task) {
        ContainerSpec container = task.getSpec().getContainer();
        for (SecretReference secret : container.getSecretsList()) {
            if (lacksSecret(secret.getSecretId(), task)) {
                return "secret " + secret.getSecretName();
            }
        }
        for (ConfigReference config : container.getConfigsList()) {
            if (!configIds.contains(config.getConfigId())) {
                return "config " + config.getConfigName();
            }
        }
        for (ResourceReference reference : task.getSpec().getResourceReferencesList()) {
            boolean lacks = switch (reference.getResourceType()) {
                case SECRET -> lacksSecret(reference.getResourceId(), task);
                case CONFIG -> !configIds.contains(reference.getResourceId());
                case TASK, VOLUME, UNRECOGNIZED -> false;
            };
            if (lacks) {
                return "resource " + reference.getResourceId();
            }
        }
        return null;
    }

    /** A secret of a driver may have a copy for this task alone (swarm-wire 3.3). */
    private boolean lacksSecret(String secretId, Task task) {
        return !secretIds.contains(secretId) && !secretIds.contains(secretId + "." + task.getId());
    }

    Future<?> schedule(Runnable step, Duration after) {
        return serial().schedule(() -> guarded(step), after.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** Gives a step to the executor, from any thread. */
    void give(Runnable step) {
        try {
            serial().execute(() -> guarded(step));
        } catch (RejectedExecutionException e) {
            LOG.debug("The agent is closed; the next one looks at its tasks.");
        }
    }

    private static void guarded(Runnable step) {
        try {
            step.run();
        } catch (RuntimeException e) {
            LOG.error("A fault of this node stops a task on its way.", e);
            throw e;
        }
    }

    private ScheduledExecutorService serial() {
        if (serial == null) {
            throw new IllegalStateException("the task manager has not been started");
        }
        return serial;
    }
}
