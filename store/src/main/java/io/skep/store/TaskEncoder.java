package io.skep.store;

import com.google.protobuf.Timestamp;
import io.skep.wire.AttachmentChange;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.Service;
import io.skep.wire.StatusChange;
import io.skep.wire.Task;
import io.skep.wire.TaskBatch;
import io.skep.wire.TaskChange;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskStatus;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes tasks to the log and to snapshots without what the reader, {@link TaskDecoder}, knows already: a new task
 * leaves out what equals its service, a changed one all that stayed, and strings that many tasks have are written once.
 */
final class TaskEncoder {
    private static final long NANOS_PER_SECOND = 1_000_000_000;
    private static final long SECONDS_MAX = Long.MAX_VALUE / NANOS_PER_SECOND / 2;

    private final ClusterState state;
    private final Timestamp at;
    private final TaskBatch.Builder batch = TaskBatch.newBuilder();
    private final Map<String, Integer> places = new HashMap<>();

    /**
     * Begins a batch.
     *
     * @param state holds the services and networks that the reader will have
     * @param at the time against which times are written
     */
    TaskEncoder(ClusterState state, Timestamp at) {
        this.state = state;
        this.at = at;
    }

    int size() {
        return batch.getTasksCount();
    }

    TaskBatch batch() {
        return batch.build();
    }

    /** Adds a task, without its meta data: appliers stamp these anew. */
    void add(@Nullable Task before, Task after) {
        batch.addTasks(change(before, after));
    }

    /** Adds a task as it is. */
    void addWithMeta(Task task) {
        batch.addTasks(change(null, task).setMeta(task.getMeta()));
    }

    private TaskChange.Builder change(@Nullable Task known, Task after) {
        TaskChange.Builder change = TaskChange.newBuilder().setId(after.getId()).setMade(known == null);
        Task before = known == null ? Task.getDefaultInstance() : known;
        if (!after.getServiceId().equals(before.getServiceId())) {
            change.setServiceId(place(after.getServiceId()));
            if (after.getServiceId().isEmpty()) {
                change.addCleared(Task.SERVICE_ID_FIELD_NUMBER);
            }
        }
        if (!after.getNodeId().equals(before.getNodeId())) {
            change.setNodeId(place(after.getNodeId()));
            if (after.getNodeId().isEmpty()) {
                change.addCleared(Task.NODE_ID_FIELD_NUMBER);
            }
        }
        if (after.getSlot() != before.getSlot()) {
            change.setSlot(after.getSlot());
            if (after.getSlot() == 0) {
                change.addCleared(Task.SLOT_FIELD_NUMBER);
            }
        }
        if (after.getDesiredStateValue() != before.getDesiredStateValue()) {
            change.setDesiredStateValue(after.getDesiredStateValue());
            if (after.getDesiredStateValue() == 0) {
                change.addCleared(Task.DESIRED_STATE_FIELD_NUMBER);
            }
        }
        if (after.hasStatus()) {
            if (!before.hasStatus() || !after.getStatus().equals(before.getStatus())) {
                change.setStatus(status(before.getStatus(), after.getStatus()));
            }
        } else if (before.hasStatus()) {
            change.addCleared(Task.STATUS_FIELD_NUMBER);
        }
        if (!after.getNetworksList().equals(before.getNetworksList())) {
            if (after.getNetworksCount() == 0) {
                change.addCleared(Task.NETWORKS_FIELD_NUMBER);
            }
            for (NetworkAttachment attachment : after.getNetworksList()) {
                change.addNetworks(attachment(attachment));
            }
        }
        addInheritable(change, before, after);
        addRest(change, before, after);
        return change;
    }

    private void addInheritable(TaskChange.Builder change, Task before, Task after) {
        Service service = state.services().get(after.getServiceId());
        TaskSpec spec = service == null ? null : service.getSpec().getTask();
        if (differs(
                change,
                Task.SPEC_FIELD_NUMBER,
                before.hasSpec() ? before.getSpec() : null,
                after.hasSpec() ? after.getSpec() : null,
                spec)) {
            change.getRestBuilder().setSpec(after.getSpec());
        }
        if (differs(
                change,
                Task.SERVICE_ANNOTATIONS_FIELD_NUMBER,
                before.hasServiceAnnotations() ? before.getServiceAnnotations() : null,
                after.hasServiceAnnotations() ? after.getServiceAnnotations() : null,
                service == null ? null : service.getSpec().getAnnotations())) {
            change.getRestBuilder().setServiceAnnotations(after.getServiceAnnotations());
        }
        if (differs(
                change,
                Task.ENDPOINT_FIELD_NUMBER,
                before.hasEndpoint() ? before.getEndpoint() : null,
                after.hasEndpoint() ? after.getEndpoint() : null,
                service == null ? null : service.getEndpoint())) {
            change.getRestBuilder().setEndpoint(after.getEndpoint());
        }
        if (differs(
                change,
                Task.SPEC_VERSION_FIELD_NUMBER,
                before.hasSpecVersion() ? before.getSpecVersion() : null,
                after.hasSpecVersion() ? after.getSpecVersion() : null,
                service == null ? null : service.getSpecVersion())) {
            change.getRestBuilder().setSpecVersion(after.getSpecVersion());
        }
        if (differs(
                change,
                Task.JOB_ITERATION_FIELD_NUMBER,
                before.hasJobIteration() ? before.getJobIteration() : null,
                after.hasJobIteration() ? after.getJobIteration() : null,
                service == null ? null : service.getJobStatus().getJobIteration())) {
            change.getRestBuilder().setJobIteration(after.getJobIteration());
        }
        if (differs(
                change,
                Task.LOG_DRIVER_FIELD_NUMBER,
                before.hasLogDriver() ? before.getLogDriver() : null,
                after.hasLogDriver() ? after.getLogDriver() : null,
                spec == null ? null : spec.getLogDriver())) {
            change.getRestBuilder().setLogDriver(after.getLogDriver());
        }
    }

    /** Notes that a field is absent now or that of the service; returns whether it must be written instead. */
    private static boolean differs(
            TaskChange.Builder change,
            int field,
            @Nullable Object before,
            @Nullable Object after,
            @Nullable Object inherited) {
        if (after == null) {
            if (before != null) {
                change.addCleared(field);
            }
            return false;
        }
        if (after.equals(before)) {
            return false;
        }
        if (after.equals(inherited)) {
            change.addInherited(field);
            return false;
        }
        return true;
    }

    private static void addRest(TaskChange.Builder change, Task before, Task after) {
        if (differs(
                change,
                Task.ANNOTATIONS_FIELD_NUMBER,
                before.hasAnnotations() ? before.getAnnotations() : null,
                after.hasAnnotations() ? after.getAnnotations() : null,
                null)) {
            change.getRestBuilder().setAnnotations(after.getAnnotations());
        }
        if (!after.getAssignedGenericResourcesList().equals(before.getAssignedGenericResourcesList())) {
            if (after.getAssignedGenericResourcesCount() == 0) {
                change.addCleared(Task.ASSIGNED_GENERIC_RESOURCES_FIELD_NUMBER);
            } else {
                change.getRestBuilder().addAllAssignedGenericResources(after.getAssignedGenericResourcesList());
            }
        }
        if (!after.getVolumesList().equals(before.getVolumesList())) {
            if (after.getVolumesCount() == 0) {
                change.addCleared(Task.VOLUMES_FIELD_NUMBER);
            } else {
                change.getRestBuilder().addAllVolumes(after.getVolumesList());
            }
        }
    }

    private StatusChange status(TaskStatus before, TaskStatus after) {
        StatusChange.Builder change = StatusChange.newBuilder();
        if (after.getStateValue() != before.getStateValue()) {
            change.setStateValue(after.getStateValue());
            if (after.getStateValue() == 0) {
                change.addCleared(TaskStatus.STATE_FIELD_NUMBER);
            }
        }
        if (!after.getMessage().equals(before.getMessage())) {
            change.setMessage(place(after.getMessage()));
            if (after.getMessage().isEmpty()) {
                change.addCleared(TaskStatus.MESSAGE_FIELD_NUMBER);
            }
        }
        if (!after.getErr().equals(before.getErr())) {
            change.setErr(place(after.getErr()));
            if (after.getErr().isEmpty()) {
                change.addCleared(TaskStatus.ERR_FIELD_NUMBER);
            }
        }
        if (!after.getAppliedBy().equals(before.getAppliedBy())) {
            change.setAppliedBy(place(after.getAppliedBy()));
            if (after.getAppliedBy().isEmpty()) {
                change.addCleared(TaskStatus.APPLIED_BY_FIELD_NUMBER);
            }
        }
        addTimes(change, before, after);
        if (after.hasContainer()) {
            if (!before.hasContainer() || !after.getContainer().equals(before.getContainer())) {
                change.getRestBuilder().setContainer(after.getContainer());
            }
        } else if (before.hasContainer()) {
            change.addCleared(TaskStatus.CONTAINER_FIELD_NUMBER);
        }
        if (after.hasPortStatus()) {
            if (!before.hasPortStatus() || !after.getPortStatus().equals(before.getPortStatus())) {
                change.getRestBuilder().setPortStatus(after.getPortStatus());
            }
        } else if (before.hasPortStatus()) {
            change.addCleared(TaskStatus.PORT_STATUS_FIELD_NUMBER);
        }
        return change.build();
    }

    private void addTimes(StatusChange.Builder change, TaskStatus before, TaskStatus after) {
        if (after.hasTimestamp()) {
            if (!before.hasTimestamp() || !after.getTimestamp().equals(before.getTimestamp())) {
                if (isNear(after.getTimestamp())) {
                    change.setTimestamp(nanosAfter(after.getTimestamp()));
                } else {
                    change.getRestBuilder().setTimestamp(after.getTimestamp());
                }
            }
        } else if (before.hasTimestamp()) {
            change.addCleared(TaskStatus.TIMESTAMP_FIELD_NUMBER);
        }
        if (after.hasAppliedAt()) {
            if (!before.hasAppliedAt() || !after.getAppliedAt().equals(before.getAppliedAt())) {
                if (isNear(after.getAppliedAt())) {
                    change.setAppliedAt(nanosAfter(after.getAppliedAt()));
                } else {
                    change.getRestBuilder().setAppliedAt(after.getAppliedAt());
                }
            }
        } else if (before.hasAppliedAt()) {
            change.addCleared(TaskStatus.APPLIED_AT_FIELD_NUMBER);
        }
    }

    private boolean isNear(Timestamp time) {
        return time.getNanos() >= 0
                && time.getNanos() < NANOS_PER_SECOND
                && Math.abs(time.getSeconds()) < SECONDS_MAX
                && Math.abs(time.getSeconds() - at.getSeconds()) < SECONDS_MAX;
    }

    private long nanosAfter(Timestamp time) {
        return (time.getSeconds() - at.getSeconds()) * NANOS_PER_SECOND + time.getNanos() - at.getNanos();
    }

    private AttachmentChange attachment(NetworkAttachment attachment) {
        Network network = state.networks().get(attachment.getNetwork().getId());
        if (network == null || !network.equals(attachment.getNetwork())) {
            return AttachmentChange.newBuilder().setRest(attachment).build();
        }
        return AttachmentChange.newBuilder()
                .setNetworkId(place(network.getId()))
                .setRest(attachment.toBuilder().clearNetwork())
                .build();
    }

    /** Returns the place of a string, counted from 1; 0 stands for the empty one. */
    private int place(String string) {
        if (string.isEmpty()) {
            return 0;
        }
        Integer known = places.get(string);
        if (known != null) {
            return known;
        }
        batch.addStrings(string);
        places.put(string, batch.getStringsCount());
        return batch.getStringsCount();
    }

    /** Returns the time that many nanoseconds after another. */
    static Timestamp plus(Timestamp at, long nanos) {
        long sum = at.getNanos() + Math.floorMod(nanos, NANOS_PER_SECOND);
        return Timestamp.newBuilder()
                .setSeconds(at.getSeconds() + Math.floorDiv(nanos, NANOS_PER_SECOND) + sum / NANOS_PER_SECOND)
                .setNanos((int) (sum % NANOS_PER_SECOND))
                .build();
    }
}
