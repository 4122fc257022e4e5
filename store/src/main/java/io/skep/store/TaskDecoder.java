package io.skep.store;

import com.google.protobuf.Timestamp;
import io.skep.wire.AttachmentChange;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.Node;
import io.skep.wire.Service;
import io.skep.wire.StatusChange;
import io.skep.wire.Task;
import io.skep.wire.TaskBatch;
import io.skep.wire.TaskChange;
import io.skep.wire.TaskStatus;
import org.jspecify.annotations.Nullable;

/**
 * Reads what {@link TaskEncoder} wrote. What tasks have in common, such as the spec of their service, is one object in
 * memory.
 */
final class TaskDecoder {
    private final ClusterState state;
    private final Timestamp at;
    private final String[] strings;

    /**
     * Begins to read a batch.
     *
     * @param state holds the services and networks that the writer had
     * @param at the time against which times were written
     */
    TaskDecoder(ClusterState state, Timestamp at, TaskBatch batch) {
        this.state = state;
        this.at = at;
        this.strings = new String[batch.getStringsCount() + 1];
        strings[0] = "";
        for (int i = 1; i < strings.length; i++) {
            strings[i] = shared(batch.getStrings(i - 1));
        }
    }

    /** Returns the string of an object that the state holds anyway, if there is one. */
    private String shared(String string) {
        Node node = state.nodes().get(string);
        if (node != null) {
            return node.getId();
        }
        Service service = state.services().get(string);
        return service == null ? string : service.getId();
    }

    /** Returns a task without meta data. */
    Task.Builder decode(@Nullable Task before, TaskChange change) {
        Task.Builder task = before == null ? Task.newBuilder().setId(change.getId()) : before.toBuilder();
        for (int number : change.getClearedList()) {
            clear(task, number);
        }
        if (change.getServiceId() != 0) {
            task.setServiceId(string(change.getServiceId()));
        }
        if (change.getNodeId() != 0) {
            task.setNodeId(string(change.getNodeId()));
        }
        if (change.getSlot() != 0) {
            task.setSlot(change.getSlot());
        }
        if (change.getDesiredStateValue() != 0) {
            task.setDesiredStateValue(change.getDesiredStateValue());
        }
        if (change.hasStatus()) {
            task.setStatus(status(before == null ? TaskStatus.getDefaultInstance() : before.getStatus(), change));
        }
        if (change.getNetworksCount() > 0) {
            task.clearNetworks();
            for (AttachmentChange attachment : change.getNetworksList()) {
                task.addNetworks(attachment(attachment));
            }
        }
        if (change.hasRest()) {
            addRest(task, change.getRest());
        }
        if (change.getInheritedCount() > 0) {
            Service service = state.services().get(task.getServiceId());
            if (service == null) {
                throw new IllegalStateException("task " + task.getId() + " refers to service " + task.getServiceId()
                        + ", which does not exist");
            }
            for (int number : change.getInheritedList()) {
                inherit(task, service, number);
            }
        }
        return task;
    }

    private static void clear(Task.Builder task, int number) {
        task.clearField(Task.getDescriptor().findFieldByNumber(number));
    }

    private static void inherit(Task.Builder task, Service service, int number) {
        switch (number) {
            case Task.SPEC_FIELD_NUMBER -> task.setSpec(service.getSpec().getTask());
            case Task.SERVICE_ANNOTATIONS_FIELD_NUMBER ->
                task.setServiceAnnotations(service.getSpec().getAnnotations());
            case Task.ENDPOINT_FIELD_NUMBER -> task.setEndpoint(service.getEndpoint());
            case Task.SPEC_VERSION_FIELD_NUMBER -> task.setSpecVersion(service.getSpecVersion());
            case Task.JOB_ITERATION_FIELD_NUMBER ->
                task.setJobIteration(service.getJobStatus().getJobIteration());
            case Task.LOG_DRIVER_FIELD_NUMBER ->
                task.setLogDriver(service.getSpec().getTask().getLogDriver());
            default -> throw new IllegalStateException("a task inherits field " + number + ", which is unknown");
        }
    }

    private static void addRest(Task.Builder task, Task rest) {
        if (rest.hasSpec()) {
            task.setSpec(rest.getSpec());
        }
        if (rest.hasServiceAnnotations()) {
            task.setServiceAnnotations(rest.getServiceAnnotations());
        }
        if (rest.hasEndpoint()) {
            task.setEndpoint(rest.getEndpoint());
        }
        if (rest.hasSpecVersion()) {
            task.setSpecVersion(rest.getSpecVersion());
        }
        if (rest.hasJobIteration()) {
            task.setJobIteration(rest.getJobIteration());
        }
        if (rest.hasLogDriver()) {
            task.setLogDriver(rest.getLogDriver());
        }
        if (rest.hasAnnotations()) {
            task.setAnnotations(rest.getAnnotations());
        }
        if (rest.getAssignedGenericResourcesCount() > 0) {
            task.clearAssignedGenericResources().addAllAssignedGenericResources(rest.getAssignedGenericResourcesList());
        }
        if (rest.getVolumesCount() > 0) {
            task.clearVolumes().addAllVolumes(rest.getVolumesList());
        }
    }

    private TaskStatus status(TaskStatus before, TaskChange task) {
        StatusChange change = task.getStatus();
        TaskStatus.Builder status = before.toBuilder();
        for (int number : change.getClearedList()) {
            status.clearField(TaskStatus.getDescriptor().findFieldByNumber(number));
        }
        if (change.getStateValue() != 0) {
            status.setStateValue(change.getStateValue());
        }
        if (change.getMessage() != 0) {
            status.setMessage(string(change.getMessage()));
        }
        if (change.getErr() != 0) {
            status.setErr(string(change.getErr()));
        }
        if (change.getAppliedBy() != 0) {
            status.setAppliedBy(string(change.getAppliedBy()));
        }
        if (change.hasTimestamp()) {
            status.setTimestamp(time(change.getTimestamp()));
        }
        if (change.hasAppliedAt()) {
            status.setAppliedAt(time(change.getAppliedAt()));
        }
        TaskStatus rest = change.getRest();
        if (rest.hasTimestamp()) {
            status.setTimestamp(rest.getTimestamp());
        }
        if (rest.hasAppliedAt()) {
            status.setAppliedAt(rest.getAppliedAt());
        }
        if (rest.hasContainer()) {
            status.setContainer(rest.getContainer());
        }
        if (rest.hasPortStatus()) {
            status.setPortStatus(rest.getPortStatus());
        }
        return status.build();
    }

    private Timestamp time(long nanos) {
        return nanos == 0 ? at : TaskEncoder.plus(at, nanos);
    }

    private NetworkAttachment attachment(AttachmentChange change) {
        if (change.getNetworkId() == 0) {
            return change.getRest();
        }
        Network network = state.networks().get(string(change.getNetworkId()));
        if (network == null) {
            throw new IllegalStateException(
                    "a task is in network " + string(change.getNetworkId()) + ", which does not exist");
        }
        return change.getRest().toBuilder().setNetwork(network).build();
    }

    private String string(int place) {
        return strings[place];
    }
}
