package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.skep.agent.FileTaskStore;
import io.skep.agent.LogSink;
import io.skep.agent.TaskManager;
import io.skep.engine.record.ContainerStatus;
import io.skep.wire.Annotations;
import io.skep.wire.ConfigReference;
import io.skep.wire.ConfigSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Driver;
import io.skep.wire.FileTarget;
import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.LogStream;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Mount;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.SecretSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Tasks as an agent assigns them, run as containers by a real containerd. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class EngineExecutorTest {
    private static final TaskNode NODE = new TaskNode("bee", "x86_64", "linux");

    private TestEngine engine;
    private Worker worker;
    private final BlockingQueue<TaskStatus> statuses = new LinkedBlockingQueue<>();
    private @Nullable EngineException pullFailure;

    /** The part of an agent that runs tasks. */
    private final class Worker implements AutoCloseable {
        final EngineExecutor executor;
        final FileTaskStore store;
        final TaskManager manager;
        final ScheduledThreadPoolExecutor serial = new ScheduledThreadPoolExecutor(1);

        Worker() throws Exception {
            executor = new EngineExecutor(engine::containers, engine.listeners, this::pull, () -> NODE, files());
            store = new FileTaskStore(engine.fixture.folder.resolve("tasks"));
            manager = new TaskManager(executor, store, InstantSource.system());
            serially(() -> manager.start(serial));
        }

        private void pull(String image, String auth) {
            EngineException failure = pullFailure;
            if (failure != null) {
                throw failure;
            }
        }

        void serially(Runnable step) throws Exception {
            serial.submit(step).get(10, TimeUnit.SECONDS);
        }

        void assign(Task.Builder task, TaskState desired) throws Exception {
            Task built = task.setDesiredState(desired).build();
            serially(() -> manager.assign(built, (id, status) -> statuses.add(status)));
        }

        @Override
        public void close() throws Exception {
            serial.shutdownNow();
            store.close();
            executor.close();
        }
    }

    private Path files() {
        return engine.fixture.folder.resolve("files");
    }

    @BeforeAll
    void startEngine() throws Exception {
        engine = new TestEngine();
    }

    @AfterAll
    void stopEngine() throws IOException {
        engine.close();
    }

    @BeforeEach
    void begin() throws Exception {
        pullFailure = null;
        worker = new Worker();
    }

    @AfterEach
    void end() throws Exception {
        worker.serially(() -> worker.manager.retain(Set.of()));
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!worker.store.load().isEmpty() && System.nanoTime() < end) {
            TimeUnit.MILLISECONDS.sleep(5);
        }
        worker.close();
        assertThat(engine.containers().all()).as("what removed tasks left").isEmpty();
        assertThat(files()).doesNotExist();
        statuses.clear();
    }

    private static Task.Builder task(String id, String... command) {
        return task(id, ContainerSpec.newBuilder(), command);
    }

    private static Task.Builder task(String id, ContainerSpec.Builder spec, String... command) {
        return TaskContainerTest.task(spec.addAllCommand(List.of(command))
                        .setStopGracePeriod(Duration.newBuilder().setSeconds(1)))
                .setId(id)
                .setStatus(TaskStatus.newBuilder().setState(TaskState.ASSIGNED));
    }

    /** Takes statuses up to the one of that state, and returns them. */
    private List<TaskStatus> until(TaskState state) throws InterruptedException {
        List<TaskStatus> seen = new ArrayList<>();
        do {
            TaskStatus next = statuses.poll(60, TimeUnit.SECONDS);
            assertThat(next).as("status after %s", seen).isNotNull();
            seen.add(next);
        } while (seen.getLast().getState() != state);
        return seen;
    }

    private List<String> log(String taskId) throws Exception {
        return TestEngine.log(engine.containers().require("web.3." + taskId));
    }

    @Test
    void aTaskWalksThroughItsStates() throws Exception {
        worker.assign(task("one", "sleep", "100000"), TaskState.RUNNING);
        List<TaskStatus> seen = until(TaskState.RUNNING);
        assertThat(seen)
                .extracting(TaskStatus::getState)
                .containsSubsequence(TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING);
        TaskStatus running = seen.getLast();
        Container container = engine.containers().require("web.3.one");
        assertThat(running.getContainer().getContainerId()).isEqualTo(container.id());
        assertThat(running.getContainer().getPid())
                .isPositive()
                .isEqualTo(container.record().getState().getPid());

        worker.assign(task("one", "sleep", "100000"), TaskState.SHUTDOWN);
        TaskStatus stopped = until(TaskState.SHUTDOWN).getLast();
        assertThat(stopped.getContainer().getExitCode()).isEqualTo(137);
        assertThat(container.record().getState().getStatus()).isEqualTo(ContainerStatus.EXITED);
    }

    @Test
    void theEndOfAProcessIsTheEndOfItsTask() throws Exception {
        worker.assign(task("good", "true"), TaskState.RUNNING);
        assertThat(until(TaskState.COMPLETE).getLast().getContainer().getExitCode())
                .isZero();
        worker.assign(task("bad", "sh", "-c", "exit 3"), TaskState.RUNNING);
        TaskStatus failed = until(TaskState.FAILED).getLast();
        assertThat(failed.getErr()).isEqualTo("task: non-zero exit (3)");
        assertThat(failed.getContainer().getExitCode()).isEqualTo(3);
    }

    @Test
    void whatCannotRunIsRejectedOrFails() throws Exception {
        worker.assign(task("nothing", "no-such-program"), TaskState.RUNNING);
        assertThat(until(TaskState.FAILED).getLast().getErr()).contains("no-such-program");
        worker.assign(task("host", ContainerSpec.newBuilder().setHostname("{{.Nothing}}"), "true"), TaskState.RUNNING);
        assertThat(until(TaskState.REJECTED).getLast().getErr()).contains("expanding hostname failed");
    }

    @Test
    void anImageThatIsHereDoesWhenItsRegistryDoesNot() throws Exception {
        pullFailure = new EngineException(EngineException.Kind.INTERNAL, "the registry is on fire");
        worker.assign(task("offline", "true"), TaskState.RUNNING);
        until(TaskState.COMPLETE);
    }

    @Test
    void aTaskHeldBackIsPreparedAndNotStarted() throws Exception {
        worker.assign(task("held", "sleep", "100000"), TaskState.READY);
        until(TaskState.READY);
        assertThat(engine.containers().require("web.3.held").record().getState().getStatus())
                .isEqualTo(ContainerStatus.CREATED);
        worker.assign(task("held", "sleep", "100000"), TaskState.RUNNING);
        until(TaskState.RUNNING);
    }

    @Test
    void theNextAgentGoesOnWithWhatRuns() throws Exception {
        worker.assign(task("kept", "sleep", "100000"), TaskState.RUNNING);
        TaskStatus running = until(TaskState.RUNNING).getLast();
        worker.close();
        engine.startAgain();
        worker = new Worker();
        worker.assign(task("kept", "sleep", "100000"), TaskState.RUNNING);
        TaskStatus again = until(TaskState.RUNNING).getLast();
        assertThat(again.getContainer()).isEqualTo(running.getContainer());
        Container container = engine.containers().require("web.3.kept");
        assertThat(ProcessHandle.of(running.getContainer().getPid())).get().matches(ProcessHandle::isAlive);
        container.kill("KILL");
        assertThat(until(TaskState.FAILED).getLast().getErr()).contains("137");
    }

    @Test
    void theNextAgentLearnsWhatEndedMeanwhile() throws Exception {
        worker.assign(task("ended", "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 4"), TaskState.RUNNING);
        until(TaskState.RUNNING);
        Container container = engine.containers().require("web.3.ended");
        long pid = container.record().getState().getPid();
        worker.close();
        engine.life.close();
        Files.createFile(Path.of("/proc/" + pid + "/root/go"));
        ProcessHandle.of(pid).ifPresent(process -> process.onExit().join());
        engine.startAgain();
        worker = new Worker();
        worker.assign(task("ended", "x"), TaskState.RUNNING);
        assertThat(until(TaskState.FAILED).getLast().getErr()).isEqualTo("task: non-zero exit (4)");
    }

    @Test
    void secretsAndConfigsAreFilesInMemory() throws Exception {
        Secret secret = Secret.newBuilder()
                .setId("s1")
                .setSpec(SecretSpec.newBuilder()
                        .setAnnotations(Annotations.newBuilder().setName("key"))
                        .setData(ByteString.copyFromUtf8("hidden\n")))
                .build();
        io.skep.wire.Config config = io.skep.wire.Config.newBuilder()
                .setId("c1")
                .setSpec(ConfigSpec.newBuilder()
                        .setTemplating(Driver.newBuilder().setName("golang"))
                        .setData(ByteString.copyFromUtf8("{{.Node.Hostname}} {{env \"WHO\"}} {{secret \"key.txt\"}}")))
                .build();
        ContainerSpec.Builder spec = ContainerSpec.newBuilder()
                .addEnv("WHO=task {{.Task.ID}}")
                .addSecrets(SecretReference.newBuilder()
                        .setSecretId("s1")
                        .setSecretName("key")
                        .setFile(FileTarget.newBuilder()
                                .setName("key.txt")
                                .setUid("1234")
                                .setGid("2345")
                                .setMode(0440)))
                .addConfigs(ConfigReference.newBuilder()
                        .setConfigId("c1")
                        .setConfigName("conf")
                        .setFile(FileTarget.newBuilder().setName("/etc/conf").setMode(0444)));
        worker.serially(() -> worker.executor.provide(List.of(secret), List.of(config)));
        worker.serially(() -> worker.manager.provide(List.of(secret), List.of(config)));
        worker.assign(
                task(
                        "files",
                        spec,
                        "sh",
                        "-c",
                        "cat /run/secrets/key.txt /etc/conf; stat -c '%u %g %a' /run/secrets/key.txt;"
                                + " echo no 2>/dev/null >/etc/conf || echo closed"),
                TaskState.RUNNING);
        until(TaskState.COMPLETE);
        assertThat(log("files")).containsExactly("hidden", "bee task files hidden", "1234 2345 440", "closed");
        assertThat(Files.getFileStore(files()).type()).isEqualTo("tmpfs");
    }

    @Test
    void aTaskRunsWhenItIsHealthyAndFailsWhenItIsNotAnyMore() throws Exception {
        ContainerSpec.Builder spec = ContainerSpec.newBuilder()
                .setHealthcheck(io.skep.wire.HealthConfig.newBuilder()
                        .addTest("CMD-SHELL")
                        .addTest("[ ! -e /tmp/ill ] && [ -e /tmp/well ]")
                        .setInterval(Duration.newBuilder().setNanos(100_000_000))
                        .setStartPeriod(Duration.newBuilder().setSeconds(60))
                        .setRetries(1));
        worker.assign(task("health", spec, "sleep", "100000"), TaskState.RUNNING);
        until(TaskState.STARTING);
        Container container = engine.containers().require("web.3.health");
        engine.awaitEvent(
                event -> event.action().startsWith("exec_die") || event.action().startsWith("health"));
        assertThat(statuses).as("statuses of a task that is not healthy yet").isEmpty();
        Path root = Path.of("/proc/" + container.record().getState().getPid() + "/root/tmp");
        Files.createFile(root.resolve("well"));
        until(TaskState.RUNNING);
        Files.createFile(root.resolve("ill"));
        assertThat(until(TaskState.FAILED).getLast().getErr())
                .contains("task: non-zero exit (137): dockerexec: unhealthy container");
    }

    /** Takes the lines of logs. */
    private static final class Lines implements LogSink {
        final BlockingQueue<LogMessage> lines = new LinkedBlockingQueue<>();
        final CompletableFuture<Void> end = new CompletableFuture<>();

        @Override
        public CompletableFuture<Boolean> line(LogMessage message) {
            lines.add(message);
            return CompletableFuture.completedFuture(true);
        }

        @Override
        public void ended() {
            assertThat(end.complete(null)).as("the end is told once").isTrue();
        }

        List<String> texts() {
            return lines.stream()
                    .map(each -> each.getData().toStringUtf8().strip())
                    .toList();
        }
    }

    @Test
    void theLogsOfTasksAreReadAndFollowed() throws Exception {
        LogSelector service = LogSelector.newBuilder().addServiceIds("service1").build();
        Lines followed = new Lines();
        List<Runnable> ends = new ArrayList<>();
        worker.serially(() -> ends.add(worker.manager.logs(
                service, LogSubscriptionOptions.newBuilder().setFollow(true).build(), followed)));
        worker.assign(
                task("log", "sh", "-c", "echo one; echo two >&2; echo three; exec sleep 100000"), TaskState.RUNNING);
        until(TaskState.RUNNING);
        List<LogMessage> messages = new ArrayList<>();
        while (messages.size() < 3) {
            messages.add(followed.lines.poll(60, TimeUnit.SECONDS));
        }
        assertThat(messages)
                .extracting(each -> each.getData().toStringUtf8())
                .containsExactlyInAnyOrder("one\n", "two\n", "three\n");
        assertThat(messages)
                .allSatisfy(each -> assertThat(each.getContext().getTaskId()).isEqualTo("log"));
        assertThat(messages)
                .filteredOn(each -> each.getStream() == LogStream.LOG_STREAM_STDERR)
                .hasSize(1);

        Lines last = new Lines();
        worker.serially(() -> worker.manager.logs(
                service, LogSubscriptionOptions.newBuilder().setTail(-3).build(), last));
        last.end.get(60, TimeUnit.SECONDS);
        assertThat(last.texts())
                .containsExactlyElementsOf(messages.subList(1, 3).stream()
                        .map(each -> each.getData().toStringUtf8().strip())
                        .toList());

        assertThat(followed.end).isNotDone();
        worker.serially(() -> ends.forEach(Runnable::run));
        followed.end.get(60, TimeUnit.SECONDS);

        Lines none = new Lines();
        worker.serially(() -> worker.manager.logs(
                LogSelector.newBuilder().addTaskIds("other").build(),
                LogSubscriptionOptions.getDefaultInstance(),
                none));
        none.end.get(60, TimeUnit.SECONDS);
        assertThat(none.lines).isEmpty();
    }

    @Test
    void aMountOfAKindThatIsUnknownHereIsNamed() throws Exception {
        worker.assign(
                task(
                        "mount",
                        ContainerSpec.newBuilder()
                                .addMounts(Mount.newBuilder()
                                        .setType(Mount.Type.NPIPE)
                                        .setTarget("/x")),
                        "true"),
                TaskState.RUNNING);
        assertThat(until(TaskState.REJECTED).getLast().getErr()).contains("no mounts of type \"npipe\"");
    }

    @Test
    void aNodeThatLeavesItsSwarmKeepsNoTasks() throws Exception {
        worker.assign(task("gone", "sleep", "100000"), TaskState.RUNNING);
        until(TaskState.RUNNING);
        Container other = engine.containers().create("other", TestEngine.asked("true"), "");
        worker.executor.removeAll();
        assertThat(engine.containers().all()).containsExactly(other);
        engine.containers().remove(other, true, true);
    }

    @Test
    void aContainerThatSomebodyRemovesIsTheEndOfItsTask() throws Exception {
        worker.assign(task("taken", "sleep", "100000"), TaskState.RUNNING);
        until(TaskState.RUNNING);
        engine.containers().remove(engine.containers().require("web.3.taken"), true, true);
        assertThat(until(TaskState.FAILED).getLast().getContainer().getExitCode())
                .isEqualTo(137);
    }
}
