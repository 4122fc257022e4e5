package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Config;
import io.skep.wire.ContainerStatus;
import io.skep.wire.Secret;
import io.skep.wire.Task;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Containers that outlive agents. {@link #executor} makes the executor of one agent; what it does takes time, fails and
 * ignores cancels as {@link #faults} says.
 */
final class FakeContainers {
    /** How badly things go: the chance in percent that an operation does so. */
    record Faults(int temporary, int fatal, int deaf, int hangs, Duration longest) {
        static final Faults NONE = new Faults(0, 0, 0, 0, Duration.ofMillis(100));
    }

    /** What there is of one task on the node. */
    static final class Container {
        private boolean running;
        private int starts;
        private @Nullable Integer exitCode;
        private final List<CompletableFuture<Void>> waiters = new ArrayList<>();

        boolean running() {
            return running;
        }

        int starts() {
            return starts;
        }
    }

    private final VirtualTime time;
    private final Random random;
    private final Map<String, Container> containers = new LinkedHashMap<>();
    private final List<String> calls = new ArrayList<>();
    private Faults faults = Faults.NONE;
    private int generation;

    FakeContainers(VirtualTime time, long seed) {
        this.time = time;
        this.random = new Random(seed);
    }

    void faults(Faults next) {
        faults = next;
    }

    Map<String, Container> containers() {
        return containers;
    }

    Container container(String taskId) {
        Container container = containers.get(taskId);
        assertThat(container).as("container of " + taskId).isNotNull();
        if (container == null) {
            throw new AssertionError(taskId);
        }
        return container;
    }

    /** Returns what was asked of controllers, as "operation task". */
    List<String> calls() {
        return calls;
    }

    /** A container ends by itself. */
    void exit(String taskId, int code) {
        Container container = containers.get(taskId);
        if (container != null && container.running) {
            end(container, code);
        }
    }

    /** Ends the agent of before, whose operations never end any more, and makes the executor of the next. */
    Executor executor() {
        generation++;
        return new OneExecutor(generation);
    }

    private void end(Container container, int code) {
        container.running = false;
        container.exitCode = code;
        List<CompletableFuture<Void>> waiters = List.copyOf(container.waiters);
        container.waiters.clear();
        waiters.forEach(waiter -> complete(waiter, code));
    }

    private static void complete(CompletableFuture<Void> waiter, int code) {
        if (code == 0) {
            waiter.complete(null);
        } else {
            waiter.completeExceptionally(TaskFailure.exited(code, ""));
        }
    }

    private boolean happens(int percent) {
        return random.nextInt(100) < percent;
    }

    private final class OneExecutor extends SilentExecutor {
        private final int own;
        private final Set<String> dependencies = new LinkedHashSet<>();

        OneExecutor(int own) {
            this.own = own;
        }

        @Override
        public void provide(List<Secret> secrets, List<Config> configs) {
            dependencies.clear();
            secrets.forEach(secret -> dependencies.add(secret.getId()));
            configs.forEach(config -> dependencies.add(config.getId()));
        }

        @Override
        public Controller controller(Task task) throws TaskFailure {
            if (task.getServiceId().equals("refused")) {
                throw TaskFailure.fatal("not on this node");
            }
            return new OneController(this, task);
        }
    }

    private final class OneController implements Controller {
        private final OneExecutor executor;
        private final Task task;
        private @Nullable Running running;

        OneController(OneExecutor executor, Task task) {
            this.executor = executor;
            this.task = task;
        }

        @Override
        public Operation prepare() {
            called("prepare");
            for (var secret : task.getSpec().getContainer().getSecretsList()) {
                assertThat(executor.dependencies).contains(secret.getSecretId());
            }
            for (var config : task.getSpec().getContainer().getConfigsList()) {
                assertThat(executor.dependencies).contains(config.getConfigId());
            }
            return after(true, () -> containers.putIfAbsent(task.getId(), new Container()));
        }

        @Override
        public Operation start() {
            called("start");
            return after(true, () -> {
                Container container = container(task.getId());
                if (!container.running && container.exitCode == null) {
                    container.running = true;
                    container.starts++;
                }
            });
        }

        @Override
        public Operation await() {
            called("await");
            Container container = containers.get(task.getId());
            if (container == null) {
                return Operation.failed(TaskFailure.fatal("no such container"));
            }
            CompletableFuture<Void> ended = new CompletableFuture<>();
            if (container.exitCode != null) {
                complete(ended, container.exitCode);
            } else {
                container.waiters.add(ended);
            }
            return new Running(ended, false, () -> {
                ended.completeExceptionally(new InterruptedException("cancelled"));
            });
        }

        @Override
        public Operation shutdown() {
            called("shutdown");
            return after(true, this::kill);
        }

        @Override
        public Operation terminate() {
            called("terminate");
            return after(false, this::kill);
        }

        private void kill() {
            Container container = containers.get(task.getId());
            if (container != null && container.running) {
                end(container, 137);
            }
        }

        @Override
        public Operation remove() {
            called("remove");
            return after(true, () -> {
                Container container = containers.get(task.getId());
                assertThat(container == null || !container.running)
                        .as("stopped")
                        .isTrue();
                containers.remove(task.getId());
            });
        }

        @Override
        public void describe(TaskStatus.Builder status) {
            status.setContainer(ContainerStatus.newBuilder().setContainerId("container of " + task.getId()));
        }

        private void called(String operation) {
            assertThat(executor.own)
                    .as("agents are gone when the next is there")
                    .isEqualTo(generation);
            assertThat(running == null || running.ended().toCompletableFuture().isDone() || running.deaf)
                    .as("one operation at a time; asked for " + operation + " of " + task.getId())
                    .isTrue();
            calls.add(operation + " " + task.getId());
        }

        /** Does something a while later, or fails. */
        private Operation after(boolean mayBreak, Runnable effect) {
            CompletableFuture<Void> ended = new CompletableFuture<>();
            boolean deaf = happens(faults.deaf);
            Running begun = new Running(ended, deaf, () -> {
                if (!deaf) {
                    ended.completeExceptionally(new InterruptedException("cancelled"));
                }
            });
            running = begun;
            if (happens(faults.hangs)) {
                return begun;
            }
            boolean temporary = happens(faults.temporary);
            boolean fatal = mayBreak && happens(faults.fatal);
            time.after(Duration.ofNanos(1 + random.nextLong(faults.longest.toNanos())), () -> {
                if (ended.isDone() || executor.own != generation) {
                    return;
                }
                if (temporary) {
                    ended.completeExceptionally(TaskFailure.temporary("not now"));
                } else if (fatal) {
                    ended.completeExceptionally(TaskFailure.fatal("broken"));
                } else {
                    effect.run();
                    ended.complete(null);
                }
            });
            return begun;
        }
    }

    private record Running(CompletableFuture<Void> ended, boolean deaf, Runnable cancelling) implements Operation {
        @Override
        public void cancel() {
            cancelling.run();
        }
    }
}
