package io.skep.manager;

import io.skep.store.ClusterState;
import io.skep.wire.Assignment;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentChange.AssignmentAction;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.ResourceReference;
import io.skep.wire.ResourceType;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What one node has been told to run, and what it must be told next (swarm-wire 3.3).
 *
 * <p>Tasks are told once they are assigned, and stay told until they are removed from the state: the node keeps the
 * containers of finished tasks exactly as long. Secrets and configs are told with the first task that uses them and
 * taken back with the last, when that is over or gone. Not safe for use by several threads.
 */
final class AssignmentSet {
    private final String nodeId;
    private final Map<String, Task> told = new HashMap<>();
    private final Map<String, Set<String>> usersOfSecret = new HashMap<>();
    private final Map<String, Set<String>> usersOfConfig = new HashMap<>();

    AssignmentSet(String nodeId) {
        this.nodeId = nodeId;
    }

    /** Returns everything, for a node that has been told nothing yet. */
    List<AssignmentChange> complete(ClusterState state) {
        Set<String> all = new LinkedHashSet<>();
        state.tasksOfNode(nodeId).forEach(task -> all.add(task.getId()));
        return changes(state, all);
    }

    /**
     * Takes over what became of some tasks.
     *
     * @return what the node must be told, in no particular order; empty when it knows all that it needs
     */
    List<AssignmentChange> changes(ClusterState state, Collection<String> taskIds) {
        Map<String, AssignmentChange> changes = new LinkedHashMap<>();
        for (String taskId : taskIds) {
            Task task = state.tasks().get(taskId);
            if (task == null || !task.getNodeId().equals(nodeId)) {
                remove(taskId, changes);
            } else if (task.getStatus().getState().getNumber() >= TaskState.ASSIGNED_VALUE) {
                update(state, task, changes);
            }
        }
        return List.copyOf(changes.values());
    }

    private void update(ClusterState state, Task task, Map<String, AssignmentChange> changes) {
        Task before = told.put(task.getId(), task);
        boolean over = task.getStatus().getState().getNumber() > TaskState.RUNNING_VALUE;
        if (before == null) {
            if (!over) {
                use(state, task, changes);
            }
        } else {
            if (over) {
                release(before, changes);
            }
            if (task.getStatus().getState() != TaskState.ASSIGNED && equalButStatus(before, task)) {
                return;
            }
        }
        changes.put(
                "task " + task.getId(),
                change(AssignmentAction.UPDATE, Assignment.newBuilder().setTask(task)));
    }

    private void remove(String taskId, Map<String, AssignmentChange> changes) {
        Task before = told.remove(taskId);
        if (before == null) {
            return;
        }
        release(before, changes);
        changes.put(
                "task " + taskId,
                change(
                        AssignmentAction.REMOVE,
                        Assignment.newBuilder().setTask(Task.newBuilder().setId(taskId))));
    }

    private void use(ClusterState state, Task task, Map<String, AssignmentChange> changes) {
        for (String id : secretIds(task)) {
            Secret secret = state.secrets().get(id);
            if (secret != null
                    && usersOfSecret.computeIfAbsent(id, key -> new HashSet<>()).add(task.getId())) {
                changes.put(
                        "secret " + id,
                        change(AssignmentAction.UPDATE, Assignment.newBuilder().setSecret(secret)));
            }
        }
        for (String id : configIds(task)) {
            Config config = state.configs().get(id);
            if (config == null) {
                continue;
            }
            Set<String> users = usersOfConfig.computeIfAbsent(id, key -> new HashSet<>());
            users.add(task.getId());
            if (users.size() == 1) {
                changes.put(
                        "config " + id,
                        change(AssignmentAction.UPDATE, Assignment.newBuilder().setConfig(config)));
            }
        }
    }

    private void release(Task task, Map<String, AssignmentChange> changes) {
        for (String id : secretIds(task)) {
            if (lastUser(usersOfSecret, id, task.getId())) {
                changes.put(
                        "secret " + id,
                        change(
                                AssignmentAction.REMOVE,
                                Assignment.newBuilder()
                                        .setSecret(Secret.newBuilder().setId(id))));
            }
        }
        for (String id : configIds(task)) {
            if (lastUser(usersOfConfig, id, task.getId())) {
                changes.put(
                        "config " + id,
                        change(
                                AssignmentAction.REMOVE,
                                Assignment.newBuilder()
                                        .setConfig(Config.newBuilder().setId(id))));
            }
        }
    }

    private static boolean lastUser(Map<String, Set<String>> users, String id, String taskId) {
        Set<String> left = users.get(id);
        if (left == null || !left.remove(taskId) || !left.isEmpty()) {
            return false;
        }
        users.remove(id);
        return true;
    }

    private static Set<String> secretIds(Task task) {
        Set<String> ids = references(task, ResourceType.SECRET);
        ContainerSpec container = task.getSpec().getContainer();
        for (SecretReference reference : container.getSecretsList()) {
            ids.add(reference.getSecretId());
        }
        return ids;
    }

    private static Set<String> configIds(Task task) {
        Set<String> ids = references(task, ResourceType.CONFIG);
        ContainerSpec container = task.getSpec().getContainer();
        for (ConfigReference reference : container.getConfigsList()) {
            ids.add(reference.getConfigId());
        }
        return ids;
    }

    private static Set<String> references(Task task, ResourceType type) {
        Set<String> ids = new LinkedHashSet<>();
        for (ResourceReference reference : task.getSpec().getResourceReferencesList()) {
            if (reference.getResourceType() == type) {
                ids.add(reference.getResourceId());
            }
        }
        return ids;
    }

    /** Returns whether all fields but the status and the meta data are equal. Most of them are the same objects. */
    static boolean equalButStatus(Task one, Task other) {
        return one.getDesiredStateValue() == other.getDesiredStateValue()
                && one.getSlot() == other.getSlot()
                && one.getId().equals(other.getId())
                && one.getServiceId().equals(other.getServiceId())
                && one.getNodeId().equals(other.getNodeId())
                && one.hasSpec() == other.hasSpec()
                && one.getSpec().equals(other.getSpec())
                && one.hasAnnotations() == other.hasAnnotations()
                && one.getAnnotations().equals(other.getAnnotations())
                && one.hasServiceAnnotations() == other.hasServiceAnnotations()
                && one.getServiceAnnotations().equals(other.getServiceAnnotations())
                && one.getNetworksList().equals(other.getNetworksList())
                && one.hasEndpoint() == other.hasEndpoint()
                && one.getEndpoint().equals(other.getEndpoint())
                && one.hasLogDriver() == other.hasLogDriver()
                && one.getLogDriver().equals(other.getLogDriver())
                && one.hasSpecVersion() == other.hasSpecVersion()
                && one.getSpecVersion().equals(other.getSpecVersion())
                && one.getAssignedGenericResourcesList().equals(other.getAssignedGenericResourcesList())
                && one.hasJobIteration() == other.hasJobIteration()
                && one.getJobIteration().equals(other.getJobIteration())
                && one.getVolumesList().equals(other.getVolumesList());
    }

    private static AssignmentChange change(AssignmentAction action, Assignment.Builder assignment) {
        return AssignmentChange.newBuilder()
                .setAction(action)
                .setAssignment(assignment)
                .build();
    }
}
