package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Annotations;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileTaskStoreTest {
    @TempDir
    Path folder;

    @Test
    void keepsTasksWithTheirNewestStatus() throws IOException {
        try (FileTaskStore store = new FileTaskStore(folder)) {
            store.put(task("a", TaskState.ASSIGNED));
            store.put(task("b", TaskState.ASSIGNED));
            store.put(task("c", TaskState.ASSIGNED));
            store.putStatus("a", status(TaskState.RUNNING));
            store.putStatus("nobody", status(TaskState.RUNNING));
            store.remove("b");
            store.put(task("c", TaskState.FAILED));
        }
        assertThat(reopened()).containsExactly(task("a", TaskState.RUNNING), task("c", TaskState.FAILED));
    }

    @Test
    void isReadableByItsOwnerAlone() throws IOException {
        new FileTaskStore(folder.resolve("tasks")).close();
        assertThat(Files.getPosixFilePermissions(folder.resolve("tasks")))
                .isEqualTo(PosixFilePermissions.fromString("rwx------"));
        assertThat(Files.getPosixFilePermissions(folder.resolve("tasks").resolve("tasks.log")))
                .isEqualTo(PosixFilePermissions.fromString("rw-------"));
    }

    @Test
    void aFileThatEndsAnywhereHoldsWhatWasThereThen() throws IOException {
        List<List<Task>> after = new ArrayList<>();
        List<Long> sizes = new ArrayList<>();
        try (FileTaskStore store = new FileTaskStore(folder)) {
            for (Runnable change : changes(store)) {
                after.add(store.load());
                sizes.add(Files.size(file()));
                change.run();
            }
            after.add(store.load());
            sizes.add(Files.size(file()));
        }
        byte[] whole = Files.readAllBytes(file());
        for (int length = 8; length <= whole.length; length++) {
            Files.write(file(), Arrays.copyOf(whole, length));
            int last = 0;
            while (last + 1 < sizes.size() && sizes.get(last + 1) <= length) {
                last++;
            }
            assertThat(reopened()).as("of %d bytes", length).isEqualTo(after.get(last));
            assertThat(Files.size(file())).isEqualTo(sizes.get(last));
        }
    }

    @Test
    void goesOnBehindATornRecord() throws IOException {
        try (FileTaskStore store = new FileTaskStore(folder)) {
            store.put(task("a", TaskState.ASSIGNED));
            store.put(task("b", TaskState.ASSIGNED));
        }
        try (FileChannel channel = FileChannel.open(file(), StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() - 1);
        }
        try (FileTaskStore store = new FileTaskStore(folder)) {
            store.putStatus("a", status(TaskState.RUNNING));
        }
        assertThat(reopened()).containsExactly(task("a", TaskState.RUNNING));
    }

    @Test
    void aDamagedByteEndsTheFileAndNothingElse() throws IOException {
        try (FileTaskStore store = new FileTaskStore(folder)) {
            changes(store).forEach(Runnable::run);
        }
        byte[] whole = Files.readAllBytes(file());
        Random random = new Random(5);
        for (int i = 0; i < 200; i++) {
            byte[] damaged = whole.clone();
            damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
            Files.write(file(), damaged);
            reopened();
            assertThat(reopened()).isEqualTo(reopened());
        }
    }

    @Test
    void aFileOfSomethingElseIsReplaced() throws IOException {
        Files.writeString(file(), "this holds no tasks");
        try (FileTaskStore store = new FileTaskStore(folder)) {
            assertThat(store.load()).isEmpty();
            store.put(task("a", TaskState.ASSIGNED));
        }
        assertThat(reopened()).hasSize(1);
    }

    @Test
    void doesNotGrowForEver() throws IOException {
        try (FileTaskStore store = new FileTaskStore(folder)) {
            store.put(task("a", TaskState.ASSIGNED));
            for (int i = 0; i < 60_000; i++) {
                store.putStatus("a", status(i % 2 == 0 ? TaskState.RUNNING : TaskState.STARTING));
            }
            assertThat(Files.size(file())).isLessThan(1_100_000);
        }
        assertThat(reopened()).containsExactly(task("a", TaskState.STARTING));
    }

    @Test
    void keepsAgainWhatCouldNotBeKeptForAWhile() throws IOException {
        Path moved = folder.resolve("moved");
        Path inner = folder.resolve("inner");
        try (FileTaskStore store = new FileTaskStore(inner)) {
            store.put(task("a", TaskState.ASSIGNED));
            store.close();
            Files.move(inner, moved);
            store.put(task("b", TaskState.ASSIGNED));
            Files.move(moved, inner);
            store.putStatus("a", status(TaskState.RUNNING));
        }
        try (FileTaskStore store = new FileTaskStore(inner)) {
            assertThat(store.load()).containsExactly(task("a", TaskState.RUNNING), task("b", TaskState.ASSIGNED));
        }
    }

    private static List<Runnable> changes(TaskStore store) {
        return List.of(
                () -> store.put(task("a", TaskState.ASSIGNED)),
                () -> store.put(task("b", TaskState.ASSIGNED)),
                () -> store.putStatus("a", status(TaskState.PREPARING)),
                () -> store.remove("b"),
                () -> store.putStatus("a", status(TaskState.RUNNING)),
                () -> store.put(task("a", TaskState.RUNNING).toBuilder()
                        .setDesiredState(TaskState.SHUTDOWN)
                        .build()));
    }

    private Path file() {
        return folder.resolve("tasks.log");
    }

    private List<Task> reopened() throws IOException {
        try (FileTaskStore store = new FileTaskStore(folder)) {
            return store.load();
        }
    }

    private static Task task(String id, TaskState state) {
        return Task.newBuilder()
                .setId(id)
                .setAnnotations(Annotations.newBuilder().setName("name of " + id))
                .setDesiredState(TaskState.RUNNING)
                .setStatus(status(state))
                .build();
    }

    private static TaskStatus status(TaskState state) {
        return TaskStatus.newBuilder()
                .setState(state)
                .setMessage("message of " + state)
                .build();
    }
}
