package io.skep.store;

import com.google.protobuf.Descriptors.FieldDescriptor;
import io.skep.wire.LogChange;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskPatch;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes tasks to the log and to snapshots without what the reader knows already: a new task leaves out what equals its
 * service, a changed one all that stayed.
 */
final class TaskCodec {
    private static final List<Integer> INHERITABLE = List.of(
            Task.SPEC_FIELD_NUMBER,
            Task.SERVICE_ANNOTATIONS_FIELD_NUMBER,
            Task.ENDPOINT_FIELD_NUMBER,
            Task.SPEC_VERSION_FIELD_NUMBER);

    private TaskCodec() {}

    static LogChange compact(ClusterState state, Task task) {
        LogChange.Builder change = LogChange.newBuilder();
        Task.Builder rest = task.toBuilder().clearMeta();
        Service service = state.services().get(task.getServiceId());
        if (service != null) {
            for (int number : INHERITABLE) {
                FieldDescriptor field = Task.getDescriptor().findFieldByNumber(number);
                Object inherited = inherited(service, number);
                if (inherited != null
                        && task.hasField(field)
                        && task.getField(field).equals(inherited)) {
                    rest.clearField(field);
                    change.addTaskInherits(number);
                }
            }
        }
        return change.setTask(rest).build();
    }

    static Task expand(ClusterState state, LogChange change) {
        Task.Builder task = change.getTask().toBuilder();
        if (change.getTaskInheritsCount() > 0) {
            Service service = state.services().get(task.getServiceId());
            if (service == null) {
                throw new IllegalStateException("task " + task.getId() + " refers to service " + task.getServiceId()
                        + ", which does not exist");
            }
            for (int number : change.getTaskInheritsList()) {
                Object value = inherited(service, number);
                if (value == null) {
                    throw new IllegalStateException("a task inherits field " + number + ", which is unknown");
                }
                task.setField(Task.getDescriptor().findFieldByNumber(number), value);
            }
        }
        return task.build();
    }

    static LogChange diff(Task before, Task after) {
        TaskPatch.Builder patch = TaskPatch.newBuilder().setId(after.getId());
        Task.Builder fields = Task.newBuilder();
        for (FieldDescriptor field : Task.getDescriptor().getFields()) {
            if (field.getNumber() == Task.ID_FIELD_NUMBER || field.getNumber() == Task.META_FIELD_NUMBER) {
                continue;
            }
            Object old = before.getField(field);
            Object now = after.getField(field);
            boolean present = field.isRepeated() ? after.getRepeatedFieldCount(field) > 0 : after.hasField(field);
            boolean wasPresent = field.isRepeated() ? before.getRepeatedFieldCount(field) > 0 : before.hasField(field);
            if (present == wasPresent && old.equals(now)) {
                continue;
            }
            if (present) {
                fields.setField(field, now);
            } else {
                patch.addCleared(field.getNumber());
            }
        }
        return LogChange.newBuilder().setTaskPatch(patch.setFields(fields)).build();
    }

    static Task patch(Task before, TaskPatch patch) {
        Task.Builder task = before.toBuilder();
        for (int number : patch.getClearedList()) {
            task.clearField(Task.getDescriptor().findFieldByNumber(number));
        }
        patch.getFields().getAllFields().forEach(task::setField);
        return task.build();
    }

    private static @Nullable Object inherited(Service service, int number) {
        return switch (number) {
            case Task.SPEC_FIELD_NUMBER -> service.getSpec().getTask();
            case Task.SERVICE_ANNOTATIONS_FIELD_NUMBER -> service.getSpec().getAnnotations();
            case Task.ENDPOINT_FIELD_NUMBER -> service.getEndpoint();
            case Task.SPEC_VERSION_FIELD_NUMBER -> service.getSpecVersion();
            default -> null;
        };
    }
}
