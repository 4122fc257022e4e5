package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import org.jspecify.annotations.Nullable;

/** Whatever managers wish, however containers behave and whenever the agent is started again. */
class TaskManagerPropertiesTest {
    private static final FakeContainers.Faults BAD = new FakeContainers.Faults(20, 8, 15, 5, Duration.ofSeconds(5));
    private static final TaskState[] DESIRED = {
        TaskState.READY, TaskState.RUNNING, TaskState.COMPLETE, TaskState.SHUTDOWN, TaskState.REMOVE
    };

    enum What {
        ASSIGN,
        REMOVE,
        EXIT,
        RESTART,
        DEPENDENCIES,
        PASS,
        LIST
    }

    /** One thing that happens: to a task, and how much of it. */
    record Event(What what, int task, int amount) {}

    @Property(tries = 400)
    void statesGoForwardAndAllComesToAnEnd(@ForAll("events") List<Event> events, @ForAll long seed) {
        House house = new House(seed);
        house.containers.faults(BAD);
        events.forEach(house::happen);
        house.containers.faults(FakeContainers.Faults.NONE);
        house.endsWhenThatIsWished();
        house.leavesNothing();
    }

    /** A task whose status was kept as RUNNING is waited for by the next agent, and never started again. */
    @Property(tries = 200)
    void aRunningTaskIsNotStartedAgain(@ForAll("events") List<Event> events, @ForAll long seed) {
        House house = new House(seed);
        for (Event event : events) {
            house.happen(event);
            if (event.what() == What.RESTART) {
                assertThat(house.containers.containers().values()).allMatch(each -> each.starts() <= 1);
            }
        }
    }

    @Provide
    Arbitrary<List<Event>> events() {
        return Combinators.combine(
                        Arbitraries.frequency(
                                Tuple.of(8, What.ASSIGN),
                                Tuple.of(2, What.REMOVE),
                                Tuple.of(2, What.EXIT),
                                Tuple.of(2, What.RESTART),
                                Tuple.of(2, What.DEPENDENCIES),
                                Tuple.of(8, What.PASS),
                                Tuple.of(1, What.LIST)),
                        Arbitraries.integers().between(0, 3),
                        Arbitraries.integers().between(0, 20))
                .as(Event::new)
                .list()
                .ofMaxSize(60);
    }

    /** A node, what its manager wishes of it, and what it has reported. */
    private static final class House {
        private final VirtualTime time = new VirtualTime();
        private final FakeContainers containers;
        private final MemoryTaskStore store = new MemoryTaskStore();
        private final Map<String, Task> assigned = new LinkedHashMap<>();
        private final Map<String, TaskStatus> reported = new LinkedHashMap<>();
        private final Set<String> waitedFor = new LinkedHashSet<>();
        private VirtualTime.@Nullable Life life;
        private TaskManager manager;
        private int taskCount;
        private boolean secrets;
        private boolean configs;

        House(long seed) {
            containers = new FakeContainers(time, seed);
            manager = restarted();
        }

        private TaskManager restarted() {
            if (life != null) {
                life.shutdown();
            }
            life = time.life();
            waitedFor.clear();
            for (Task kept : store.load()) {
                if (kept.getStatus().getState().getNumber() >= TaskState.RUNNING_VALUE) {
                    waitedFor.add(kept.getId());
                }
            }
            containers.calls().clear();
            TaskManager next = new TaskManager(containers.executor(), store, time);
            next.start(life);
            return next;
        }

        void happen(Event event) {
            switch (event.what()) {
                case ASSIGN -> assign(event.task(), DESIRED[event.amount() % DESIRED.length]);
                case REMOVE -> {
                    String id = existing(event.task());
                    assigned.remove(id);
                    reported.remove(id);
                    manager.remove(id);
                }
                case EXIT -> containers.exit(existing(event.task()), event.amount() % 2);
                case RESTART -> {
                    manager = restarted();
                    if (event.amount() % 2 == 0) {
                        list();
                    }
                }
                case DEPENDENCIES -> {
                    secrets = event.amount() % 4 != 1;
                    configs = event.amount() % 4 != 2;
                    provide();
                }
                case PASS -> time.pass(Duration.ofMillis(200L << (event.amount() % 10)));
                case LIST -> list();
            }
            time.settle();
            assertThat(containers.calls())
                    .as("started again")
                    .noneMatch(call -> call.startsWith("start ") && waitedFor.contains(call.substring(6)));
        }

        /** A new session: everything is told again, and what is not told is not wanted. */
        private void list() {
            provide();
            assigned.values().forEach(this::send);
            manager.retain(new LinkedHashSet<>(assigned.keySet()));
        }

        private void provide() {
            manager.provide(
                    secrets ? List.of(TaskManagerTest.secret("s")) : List.of(),
                    configs ? List.of(TaskManagerTest.config("c")) : List.of());
        }

        private void assign(int number, TaskState desired) {
            String id = "t" + number;
            if (!assigned.containsKey(id) && number < taskCount) {
                // Ids are never used twice.
                number = taskCount;
                id = "t" + number;
            }
            taskCount = Math.max(taskCount, number + 1);
            Task task = TaskManagerTest.task(id, desired);
            assigned.put(id, number % 2 == 0 ? task : TaskManagerTest.withDependencies(task));
            send(assigned.get(id));
        }

        private void send(@Nullable Task task) {
            if (task == null) {
                return;
            }
            TaskStatus known = reported.getOrDefault(task.getId(), task.getStatus());
            manager.assign(task.toBuilder().setStatus(known).build(), this::report);
        }

        private void report(String id, TaskStatus status) {
            assertThat(assigned).as("reported").containsKey(id);
            TaskStatus before = reported.put(id, status);
            if (before != null) {
                assertThat(status.getState().getNumber())
                        .as("%s after %s of %s", status, before, id)
                        .isGreaterThanOrEqualTo(before.getState().getNumber());
                assertThat(status.equals(before) || before.getState().getNumber() <= TaskState.RUNNING_VALUE)
                        .as("nothing follows on the end: %s after %s", status, before)
                        .isTrue();
            }
            assertThat(store.load())
                    .as("kept before it is reported")
                    .anyMatch(
                            kept -> kept.getId().equals(id) && kept.getStatus().equals(status));
        }

        private String existing(int number) {
            List<String> ids = new ArrayList<>(assigned.keySet());
            return ids.isEmpty() ? "none" : ids.get(number % ids.size());
        }

        void endsWhenThatIsWished() {
            list();
            for (Task task : List.copyOf(assigned.values())) {
                assigned.put(
                        task.getId(),
                        task.toBuilder().setDesiredState(TaskState.SHUTDOWN).build());
            }
            list();
            time.pass(Duration.ofMinutes(15));
            assertThat(reported.keySet()).containsAll(assigned.keySet());
            assertThat(reported.values()).allMatch(status -> status.getState().getNumber() > TaskState.RUNNING_VALUE);
            assertThat(containers.containers().values()).noneMatch(FakeContainers.Container::running);
        }

        void leavesNothing() {
            assigned.clear();
            list();
            time.pass(Duration.ofMinutes(15));
            assertThat(containers.containers()).isEmpty();
            assertThat(store.load()).isEmpty();
            assertThat(life == null ? 0 : life.waiting()).isZero();
        }
    }
}
