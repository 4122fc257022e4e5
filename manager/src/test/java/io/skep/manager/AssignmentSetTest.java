package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Descriptors.FieldDescriptor;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.AssignmentChange;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.ResourceReference;
import io.skep.wire.ResourceType;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What a node is told, and when (swarm-wire 3.3). */
class AssignmentSetTest {
    private ClusterState state = ClusterState.empty();
    private final AssignmentSet set = new AssignmentSet("n");

    @Test
    void tellsTasksOnceTheyAreAssigned() {
        change(tx -> {
            tx.put(Kind.TASK, task("pending", TaskState.PENDING));
            tx.put(Kind.TASK, task("running", TaskState.RUNNING));
            tx.put(Kind.TASK, task("over", TaskState.FAILED));
            tx.put(
                    Kind.TASK,
                    task("other", TaskState.RUNNING).toBuilder().setNodeId("m").build());
        });
        assertThat(names(set.complete(state))).containsExactlyInAnyOrder("UPDATE task running", "UPDATE task over");

        change(tx -> tx.put(Kind.TASK, task("pending", TaskState.ASSIGNED)));
        assertThat(names(set.changes(state, List.of("pending")))).containsExactly("UPDATE task pending");
    }

    @Test
    void saysNothingWhenOnlyTheStatusMovedOn() {
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.ASSIGNED)));
        set.complete(state);
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.RUNNING)));
        assertThat(set.changes(state, List.of("t"))).isEmpty();
    }

    @Test
    void noticesEveryFieldButStatusAndMeta() {
        Task plain = Task.getDefaultInstance();
        for (FieldDescriptor field : Task.getDescriptor().getFields()) {
            Task.Builder changed = Task.newBuilder();
            if (field.isRepeated()) {
                changed.addRepeatedField(
                        field, changed.newBuilderForField(field).build());
            } else if (field.getJavaType() == FieldDescriptor.JavaType.MESSAGE) {
                changed.setField(field, changed.newBuilderForField(field).build());
            } else {
                changed.setField(
                        field,
                        switch (field.getJavaType()) {
                            case STRING -> "x";
                            case LONG -> 1L;
                            case ENUM -> field.getEnumType().findValueByNumber(TaskState.RUNNING_VALUE);
                            default -> throw new AssertionError("a field of another type: " + field);
                        });
            }
            boolean ignored =
                    field.getNumber() == Task.STATUS_FIELD_NUMBER || field.getNumber() == Task.META_FIELD_NUMBER;
            assertThat(AssignmentSet.equalButStatus(plain, changed.build()))
                    .as(field.getName())
                    .isEqualTo(ignored);
        }
    }

    @Test
    void repeatsATaskThatTheNodeHasNotTakenUp() {
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.ASSIGNED)));
        set.complete(state);
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.ASSIGNED)));
        assertThat(names(set.changes(state, List.of("t")))).containsExactly("UPDATE task t");
    }

    @Test
    void tellsAnotherDesiredState() {
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.RUNNING)));
        set.complete(state);
        change(tx -> tx.put(
                Kind.TASK,
                task("t", TaskState.RUNNING).toBuilder()
                        .setDesiredState(TaskState.SHUTDOWN)
                        .build()));
        assertThat(names(set.changes(state, List.of("t")))).containsExactly("UPDATE task t");
    }

    @Test
    void removesTasksThatAreGoneByIdOnly() {
        change(tx -> tx.put(Kind.TASK, task("t", TaskState.RUNNING)));
        set.complete(state);
        change(tx -> tx.remove(Kind.TASK, "t"));
        List<AssignmentChange> changes = set.changes(state, List.of("t", "never-told"));
        assertThat(names(changes)).containsExactly("REMOVE task t");
        assertThat(changes.getFirst().getAssignment().getTask())
                .isEqualTo(Task.newBuilder().setId("t").build());
    }

    @Test
    void tellsSecretsAndConfigsBeforeUseAndTakesThemBackAfter() {
        change(tx -> {
            tx.put(Kind.SECRET, Secret.newBuilder().setId("s").build());
            tx.put(Kind.SECRET, Secret.newBuilder().setId("r").build());
            tx.put(Kind.CONFIG, Config.newBuilder().setId("c").build());
            tx.put(Kind.TASK, using("one", TaskState.ASSIGNED));
        });
        assertThat(names(set.complete(state)))
                .containsExactlyInAnyOrder("UPDATE secret s", "UPDATE secret r", "UPDATE config c", "UPDATE task one");

        change(tx -> tx.put(Kind.TASK, using("two", TaskState.ASSIGNED)));
        assertThat(names(set.changes(state, List.of("two"))))
                .containsExactlyInAnyOrder("UPDATE secret s", "UPDATE secret r", "UPDATE task two");

        change(tx -> tx.put(Kind.TASK, using("one", TaskState.COMPLETE)));
        assertThat(set.changes(state, List.of("one"))).isEmpty();

        change(tx -> tx.remove(Kind.TASK, "two"));
        assertThat(names(set.changes(state, List.of("two"))))
                .containsExactlyInAnyOrder("REMOVE secret s", "REMOVE secret r", "REMOVE config c", "REMOVE task two");
    }

    @Test
    void keepsASecretThatPassesFromOneTaskToTheNextInOneMessage() {
        change(tx -> {
            tx.put(Kind.SECRET, Secret.newBuilder().setId("s").build());
            tx.put(Kind.TASK, using("one", TaskState.RUNNING));
        });
        set.complete(state);
        change(tx -> {
            tx.put(Kind.TASK, using("one", TaskState.FAILED));
            tx.put(Kind.TASK, using("two", TaskState.ASSIGNED));
        });
        assertThat(names(set.changes(state, List.of("one", "two"))))
                .contains("UPDATE secret s", "UPDATE task two")
                .doesNotContain("REMOVE secret s");
    }

    @Test
    void givesFinishedTasksNoSecrets() {
        change(tx -> {
            tx.put(Kind.SECRET, Secret.newBuilder().setId("s").build());
            tx.put(Kind.TASK, using("one", TaskState.FAILED));
        });
        assertThat(names(set.complete(state))).containsExactly("UPDATE task one");
    }

    private void change(Consumer<Transaction> changes) {
        Transaction transaction = new Transaction(state, Instant.EPOCH);
        changes.accept(transaction);
        state = transaction.commit();
    }

    private static Task task(String id, TaskState status) {
        return Task.newBuilder()
                .setId(id)
                .setNodeId("n")
                .setDesiredState(TaskState.RUNNING)
                .setStatus(TaskStatus.newBuilder().setState(status))
                .build();
    }

    private static Task using(String id, TaskState status) {
        return task(id, status).toBuilder()
                .setSpec(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder()
                                .addSecrets(SecretReference.newBuilder().setSecretId("s"))
                                .addConfigs(ConfigReference.newBuilder().setConfigId("c")))
                        .addResourceReferences(ResourceReference.newBuilder()
                                .setResourceId("r")
                                .setResourceType(ResourceType.SECRET)))
                .build();
    }

    private static List<String> names(List<AssignmentChange> changes) {
        return changes.stream()
                .map(change -> change.getAction() + " "
                        + switch (change.getAssignment().getItemCase()) {
                            case TASK ->
                                "task " + change.getAssignment().getTask().getId();
                            case SECRET ->
                                "secret " + change.getAssignment().getSecret().getId();
                            case CONFIG ->
                                "config " + change.getAssignment().getConfig().getId();
                            case VOLUME, ITEM_NOT_SET -> "nothing";
                        })
                .toList();
    }
}
