package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.NodeStatus;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.List;

/**
 * Measures the CPU time that a leader takes to decide about {@code 10,000} tasks on {@code 1,000} nodes: creation and
 * placement, status reports, an update of all, a node that fails. Run its {@code main}; figures are printed, never
 * asserted.
 */
final class PlacementBench {
    private static final int NODES = 1_000;

    private ClusterState state = ClusterState.empty();
    private Instant now = TestKit.START;
    private final ControlLoop loop;

    private PlacementBench() {
        Transaction transaction = new Transaction(state, now);
        transaction.put(Kind.CLUSTER, TestKit.cluster().build());
        for (int i = 0; i < NODES; i++) {
            transaction.put(Kind.NODE, TestKit.node("n" + i).build());
        }
        state = transaction.commit();
        loop = newLeader();
    }

    public static void main(String[] arguments) {
        for (int round = 0; round < 3; round++) {
            new PlacementBench().run(1, 10_000);
        }
        new PlacementBench().run(1_000, 10);
    }

    private ControlLoop newLeader() {
        return new ControlLoop(
                (transaction, at, command) -> {
                    throw new IllegalArgumentException("no commands here");
                },
                ControlLoop.taskLoops(state, now, TestKit.ids(1)));
    }

    private void run(int services, int replicas) {
        System.out.printf("%d services of %d tasks on %d nodes%n", services, replicas, NODES);
        measure("create and place", () -> {
            Transaction transaction = new Transaction(state, now);
            for (int i = 0; i < services; i++) {
                transaction.put(Kind.SERVICE, TestKit.service("s" + i, replicas).build());
            }
            settle(transaction);
        });
        measure("report all running, node by node", () -> {
            for (int i = 0; i < NODES; i++) {
                Transaction transaction = new Transaction(state, now);
                for (Task task : List.copyOf(state.tasksOfNode("n" + i))) {
                    transaction.put(
                            Kind.TASK,
                            task.toBuilder()
                                    .setStatus(TestKit.status(TaskState.RUNNING, now))
                                    .build());
                }
                settle(transaction);
            }
        });
        measure("a node goes down", () -> {
            Transaction transaction = new Transaction(state, now);
            transaction.put(
                    Kind.NODE,
                    TestKit.node("n0")
                            .setStatus(NodeStatus.newBuilder().setState(NodeStatus.State.DOWN))
                            .build());
            settle(transaction);
        });
        measure("begin an update of each service", () -> {
            Transaction transaction = new Transaction(state, now);
            for (Service service : List.copyOf(state.services().values())) {
                Service.Builder changed =
                        service.toBuilder().setSpecVersion(service.getMeta().getVersion());
                changed.getSpecBuilder().getTaskBuilder().getContainerBuilder().setImage("nginx:2");
                transaction.put(Kind.SERVICE, changed.build());
            }
            settle(transaction);
        });
        measure("become leader", this::newLeader);
    }

    private void settle(Transaction first) {
        Transaction transaction = first;
        Instant wake = loop.step(transaction, now, List.of()).nextWake();
        state = transaction.commit();
        while (wake != null && !wake.isAfter(now)) {
            transaction = new Transaction(state, now);
            wake = loop.step(transaction, now, List.of()).nextWake();
            state = transaction.commit();
        }
    }

    private void measure(String what, Runnable work) {
        long begin = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        work.run();
        System.out.printf(
                "  %-34s %6d ms of CPU%n",
                what, (ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - begin) / 1_000_000);
        now = now.plus(Duration.ofSeconds(1));
    }
}
