package io.skep.agent;

import io.skep.wire.Assignment;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentChange.AssignmentAction;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Config;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What this node is told to run, kept across sessions.
 *
 * <p>A complete message replaces everything: tasks that it does not list are removed. An incremental one changes what
 * it lists. Within a message secrets and configs are applied before tasks, whatever the order of the list (swarm-wire
 * 3.3). A desired state below the known one is ignored. Used on the serial executor.
 */
final class Assignments {
    private final TaskRunner runner;
    private final StatusReporter reporter;
    private final StatusQueue statuses;
    private final Map<String, Task> tasks = new LinkedHashMap<>();
    private final Map<String, Secret> secrets = new LinkedHashMap<>();
    private final Map<String, Config> configs = new LinkedHashMap<>();
    private String resultsIn = "";

    Assignments(TaskRunner runner, StatusReporter reporter, StatusQueue statuses) {
        this.runner = runner;
        this.reporter = reporter;
        this.statuses = statuses;
    }

    /** A new stream begins: its first message will be complete. */
    void begin() {
        resultsIn = "";
    }

    /**
     * Applies one message.
     *
     * @return false when it does not continue the messages before, and a new stream must be opened
     */
    boolean apply(AssignmentsMessage message) {
        boolean complete = message.getType() == AssignmentsMessage.Type.COMPLETE;
        if (!complete && !message.getAppliesTo().equals(resultsIn)) {
            return false;
        }
        resultsIn = message.getResultsIn();
        if (complete) {
            secrets.clear();
            configs.clear();
        }
        boolean dependenciesChanged = complete;
        for (AssignmentChange change : message.getChangesList()) {
            dependenciesChanged |= applyDependency(change);
        }
        if (dependenciesChanged) {
            runner.provide(List.copyOf(secrets.values()), List.copyOf(configs.values()));
        }
        Set<String> listed = new LinkedHashSet<>();
        for (AssignmentChange change : message.getChangesList()) {
            if (change.getAssignment().hasTask()) {
                applyTask(change, listed);
            }
        }
        if (complete) {
            for (String id : List.copyOf(tasks.keySet())) {
                if (!listed.contains(id)) {
                    removeTask(id);
                }
            }
            runner.retain(listed);
        }
        return true;
    }

    /** Returns whether the change was about a secret or config. */
    private boolean applyDependency(AssignmentChange change) {
        boolean remove = change.getAction() == AssignmentAction.REMOVE;
        Assignment assignment = change.getAssignment();
        if (assignment.hasSecret()) {
            put(secrets, assignment.getSecret().getId(), assignment.getSecret(), remove);
        } else if (assignment.hasConfig()) {
            put(configs, assignment.getConfig().getId(), assignment.getConfig(), remove);
        } else {
            return false;
        }
        return true;
    }

    private static <T> void put(Map<String, T> table, String id, T value, boolean remove) {
        if (remove) {
            table.remove(id);
        } else {
            table.put(id, value);
        }
    }

    private void applyTask(AssignmentChange change, Set<String> listed) {
        Task task = change.getAssignment().getTask();
        if (change.getAction() == AssignmentAction.REMOVE) {
            removeTask(task.getId());
            return;
        }
        listed.add(task.getId());
        Task known = tasks.get(task.getId());
        if (known != null
                && task.getDesiredState().getNumber() < known.getDesiredState().getNumber()) {
            return;
        }
        tasks.put(task.getId(), task);
        statuses.expect(task.getId());
        runner.assign(task, reporter);
    }

    private void removeTask(String id) {
        if (tasks.remove(id) != null) {
            runner.remove(id);
            statuses.forget(id);
        }
    }
}
