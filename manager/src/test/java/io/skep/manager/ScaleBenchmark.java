package io.skep.manager;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import com.sun.management.OperatingSystemMXBean;
import io.skep.control.ControlLoop;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.store.Transaction;
import io.skep.wire.Annotations;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentChange.AssignmentAction;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.Command;
import io.skep.wire.ContainerSpec;
import io.skep.wire.ContainerStatus;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EngineDescription;
import io.skep.wire.LogEntry;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.OrchestrationConfig;
import io.skep.wire.Platform;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedService;
import io.skep.wire.ReportSessions;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.NodeReport;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.ResourceRequirements;
import io.skep.wire.Resources;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Measures what tasks cost a manager, without any network: a service is created, its tasks run on many nodes, it is
 * removed. Run by {@code bin/benchmark scale}; figures are printed, never asserted.
 *
 * <p>The parts are those of a leader: commands and {@link ControlLoop} on a {@link Transaction}, its encoded entry, the
 * {@link Store} that applies it, an {@link AssignmentSet} for each node and the bytes of its messages. The log is a
 * list of one entry. A second store applies each entry as a follower does, and is measured on its own. Nodes report
 * five statuses for each task, those of one node that are due in one command, and the next only when the last was
 * taken. All runs on one thread, in a time that is counted and not waited for.
 */
final class ScaleBenchmark {
    /** As {@link LeaderRuntime} and {@link StatusReports} have them. */
    private static final int COMMANDS_PER_STEP_MAX = 512;

    private static final int STATUSES_PER_STEP_MAX = 2000;
    private static final int STATUSES_WAITING_MAX = 10_000;
    private static final Duration STEP = Duration.ofMillis(10);
    private static final int STEPS_PER_FLUSH = 10;
    /** Else the leader takes the nodes for lost. */
    private static final int STEPS_PER_SESSION_REPORT = 100;

    private static final List<TaskState> REPORTED =
            List.of(TaskState.ACCEPTED, TaskState.PREPARING, TaskState.READY, TaskState.STARTING, TaskState.RUNNING);
    private static final OperatingSystemMXBean MACHINE =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    /** A task as its node sees it: which of the statuses it reports next. */
    private static final class Run {
        final String taskId;
        int next;

        Run(String taskId) {
            this.taskId = taskId;
        }
    }

    /** A node with its session. */
    private static final class Worker {
        final String nodeId;
        final AssignmentSet assignments;
        final Set<String> touched = new LinkedHashSet<>();
        final Map<String, Run> starting = new LinkedHashMap<>();
        final List<String> stopped = new ArrayList<>();
        boolean reporting;

        Worker(String nodeId) {
            this.nodeId = nodeId;
            this.assignments = new AssignmentSet(nodeId);
        }
    }

    private final IdSource ids = new RandomIds();
    private final int tasks;
    private final int services;
    private final Map<String, Worker> workers = new LinkedHashMap<>();
    private final ArrayDeque<Worker> turns = new ArrayDeque<>();
    private final ArrayDeque<Command> commands = new ArrayDeque<>();
    private final Store store = new Store();
    private @Nullable Store follower = new Store();
    private @Nullable ControlLoop loop;
    private ClusterState head;
    private Instant now = Instant.parse("2026-01-01T00:00:00Z");
    private @Nullable Instant wake;
    private int steps;
    private int statusesWaiting;
    private long index;
    private long running;
    private long assigned;
    private long logBytes;
    private long largestEntry;
    private long assignmentBytes;
    private long followerNanos;
    private long dispatchNanos;
    private long longestStepNanos;

    private ScaleBenchmark(int nodes, int tasks, int services) {
        this.tasks = tasks;
        this.services = services;
        for (int i = 0; i < nodes; i++) {
            String id = ids.nextId();
            Worker worker = new Worker(id);
            workers.put(id, worker);
            turns.add(worker);
        }
        store.watch(this::committed);
        head = store.state();
    }

    public static void main(String[] arguments) {
        int nodes = 1_000;
        int tasks = 10_000;
        int services = 1;
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            int value = Integer.parseInt(arguments[i + 1]);
            switch (arguments[i]) {
                case "--nodes" -> nodes = value;
                case "--tasks" -> tasks = value;
                case "--services" -> services = value;
                default -> throw new IllegalArgumentException("no option " + arguments[i]);
            }
        }
        System.out.printf("%,d nodes, %,d tasks of %,d services%n", nodes, tasks, services);
        new ScaleBenchmark(nodes, tasks, services).run();
    }

    private void run() {
        setUp();
        long before = usedBytes();
        measure("created and assigned", () -> {
            for (int i = 0; i < services; i++) {
                commands.add(Command.newBuilder()
                        .setRequestId(ids.nextId())
                        .setCreateService(CreateServiceRequest.newBuilder().setSpec(spec("service-" + i)))
                        .build());
            }
            while (assigned < tasks) {
                turn();
            }
        });
        measure("all running", () -> {
            while (running < tasks) {
                turn();
            }
        });
        rest();
        memory(before);
        snapshot();
        measure("all removed", () -> {
            for (Service service : List.copyOf(head.services().values())) {
                commands.add(Command.newBuilder()
                        .setRequestId(ids.nextId())
                        .setRemoveService(RemoveServiceRequest.newBuilder().setServiceId(service.getId()))
                        .build());
            }
            while (head.tasks().size() > 0) {
                turn();
            }
        });
        rest();
    }

    private void setUp() {
        Transaction transaction = new Transaction(head, now);
        transaction.put(
                Kind.CLUSTER,
                Cluster.newBuilder()
                        .setId(ids.nextId())
                        .setSpec(ClusterSpec.newBuilder()
                                .setAnnotations(Annotations.newBuilder().setName("default"))
                                .setOrchestration(
                                        OrchestrationConfig.newBuilder().setTaskHistoryRetentionLimit(5)))
                        .build());
        for (Worker worker : workers.values()) {
            transaction.put(Kind.NODE, node(worker.nodeId));
        }
        commit(transaction);
        loop = new ControlLoop(head, now, ids, List::of);
        rest();
    }

    private static Node node(String id) {
        return Node.newBuilder()
                .setId(id)
                .setRole(NodeRole.WORKER)
                .setSpec(NodeSpec.newBuilder()
                        .setMembership(NodeSpec.Membership.ACCEPTED)
                        .setAvailability(NodeSpec.Availability.ACTIVE))
                .setStatus(
                        NodeStatus.newBuilder().setState(NodeStatus.State.READY).setAddr("192.0.2.1"))
                .setDescription(NodeDescription.newBuilder()
                        .setHostname("host-" + id)
                        .setPlatform(Platform.newBuilder().setOs("linux").setArchitecture("x86_64"))
                        .setResources(Resources.newBuilder()
                                .setNanoCpus(64_000_000_000L)
                                .setMemoryBytes(256L << 30))
                        .setEngine(EngineDescription.newBuilder().setEngineVersion("28.0.0")))
                .build();
    }

    private ServiceSpec spec(String name) {
        return ServiceSpec.newBuilder()
                .setAnnotations(Annotations.newBuilder()
                        .setName(name)
                        .putLabels("com.docker.stack.namespace", "shop")
                        .putLabels("com.docker.stack.image", "registry.example.com/shop/web:1.27"))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder()
                                .setImage("registry.example.com/shop/web:1.27@sha256:" + "0a".repeat(32))
                                .addEnv("DATABASE=db.example.com:5432")
                                .addEnv("LOG_LEVEL=info")
                                .putLabels("com.docker.stack.namespace", "shop"))
                        .setResources(ResourceRequirements.newBuilder()
                                .setLimits(Resources.newBuilder().setMemoryBytes(512L << 20))
                                .setReservations(Resources.newBuilder()
                                        .setNanoCpus(10_000_000L)
                                        .setMemoryBytes(64L << 20))))
                .setReplicated(ReplicatedService.newBuilder().setReplicas(tasks / services))
                .build();
    }

    /** Lets the time come in which nothing is to be done but to wait for new commands. */
    private void rest() {
        for (int i = 0; i < 100; i++) {
            turn();
        }
    }

    /** One step of the leader, and now and then what nodes are told and report. */
    private void turn() {
        now = now.plus(STEP);
        if (steps % STEPS_PER_SESSION_REPORT == 0) {
            commands.add(Command.newBuilder()
                    .setReportSessions(
                            ReportSessions.newBuilder().setManagerId("manager").addAllNodeIds(workers.keySet()))
                    .build());
        }
        if (!commands.isEmpty() || (wake != null && !wake.isAfter(now))) {
            step();
        }
        if (++steps % STEPS_PER_FLUSH == 0) {
            workers.values().forEach(this::dispatch);
            report();
        }
    }

    private void step() {
        ControlLoop current = loop;
        if (current == null) {
            throw new IllegalStateException("nobody leads");
        }
        long begin = System.nanoTime();
        List<Command> asked = new ArrayList<>();
        int statuses = 0;
        while (!commands.isEmpty() && asked.size() < COMMANDS_PER_STEP_MAX && statuses < STATUSES_PER_STEP_MAX) {
            Command next = commands.remove();
            statuses += StatusReports.count(next);
            asked.add(next);
        }
        statusesWaiting -= statuses;
        Transaction transaction = new Transaction(head, now);
        ControlLoop.Step step = current.step(transaction, now, asked);
        wake = step.nextWake();
        for (ControlLoop.Outcome outcome : step.outcomes()) {
            if (outcome.refusal() != null) {
                throw outcome.refusal();
            }
        }
        if (!transaction.isEmpty()) {
            commit(transaction);
        }
        for (Command command : asked) {
            if (command.hasReportTaskStatus()) {
                taken(command.getReportTaskStatus());
            }
        }
        longestStepNanos = Math.max(longestStepNanos, System.nanoTime() - begin);
    }

    private void commit(Transaction transaction) {
        LogEntry entry = LogEntry.newBuilder()
                .setBaseVersion(head.version())
                .setAt(Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
                .addTransactions(transaction.toLog())
                .build();
        head = transaction.commit();
        ByteString bytes = entry.toByteString();
        logBytes += bytes.size();
        largestEntry = Math.max(largestEntry, bytes.size());
        index++;
        store.decided(bytes, transaction);
        store.apply(index, bytes);
        if (follower != null) {
            long begin = cpuNanosOfThread();
            follower.apply(index, bytes);
            followerNanos += cpuNanosOfThread() - begin;
        }
    }

    private void committed(Commit commit) {
        for (Event<?> event : commit.events()) {
            Event<Task> task = event.as(Kind.TASK);
            if (task != null) {
                Task before = task.before();
                Task after = task.after();
                int stateBefore = before == null ? 0 : before.getStatus().getStateValue();
                int stateAfter = after == null ? 0 : after.getStatus().getStateValue();
                assigned += stateBefore < TaskState.ASSIGNED_VALUE && stateAfter >= TaskState.ASSIGNED_VALUE ? 1 : 0;
                running += stateBefore < TaskState.RUNNING_VALUE && stateAfter == TaskState.RUNNING_VALUE ? 1 : 0;
                touch(before);
                touch(after);
            }
        }
    }

    private void touch(@Nullable Task task) {
        Worker worker = task == null ? null : workers.get(task.getNodeId());
        if (worker != null && task != null) {
            worker.touched.add(task.getId());
        }
    }

    private void dispatch(Worker worker) {
        if (worker.touched.isEmpty()) {
            return;
        }
        long begin = cpuNanosOfThread();
        List<AssignmentChange> changes = worker.assignments.changes(store.state(), worker.touched);
        worker.touched.clear();
        if (!changes.isEmpty()) {
            assignmentBytes += AssignmentsMessage.newBuilder()
                    .setType(AssignmentsMessage.Type.INCREMENTAL)
                    .addAllChanges(changes)
                    .build()
                    .toByteArray()
                    .length;
        }
        dispatchNanos += cpuNanosOfThread() - begin;
        for (AssignmentChange change : changes) {
            Task task = change.getAssignment().getTask();
            if (change.getAction() == AssignmentAction.REMOVE) {
                worker.starting.remove(task.getId());
            } else if (task.getDesiredStateValue() > TaskState.COMPLETE_VALUE) {
                worker.starting.remove(task.getId());
                worker.stopped.add(task.getId());
            } else {
                worker.starting.putIfAbsent(task.getId(), new Run(task.getId()));
            }
        }
    }

    /** Lets the nodes report, one after the other, as far as there is room. */
    private void report() {
        for (int i = 0; i < turns.size() && statusesWaiting < STATUSES_WAITING_MAX; i++) {
            Worker next = turns.remove();
            turns.add(next);
            if (!next.reporting && !(next.starting.isEmpty() && next.stopped.isEmpty())) {
                report(next);
            }
        }
    }

    private void report(Worker worker) {
        worker.reporting = true;
        NodeReport.Builder report = NodeReport.newBuilder().setNodeId(worker.nodeId);
        for (Run run : worker.starting.values()) {
            report.addUpdates(update(run.taskId, REPORTED.get(run.next)));
            run.next++;
        }
        worker.starting.values().removeIf(run -> run.next == REPORTED.size());
        for (String taskId : worker.stopped) {
            report.addUpdates(update(taskId, TaskState.SHUTDOWN));
        }
        worker.stopped.clear();
        statusesWaiting += report.getUpdatesCount();
        // As the leader gets it: parsed from the bytes of a node.
        Command command = Command.newBuilder()
                .setRequestId(ids.nextId())
                .setReportTaskStatus(
                        ReportTaskStatus.newBuilder().setManagerId("manager").addNodes(report))
                .build();
        try {
            commands.add(Command.parseFrom(command.toByteString()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private TaskStatusUpdate update(String taskId, TaskState state) {
        TaskStatus.Builder status = TaskStatus.newBuilder()
                .setState(state)
                .setTimestamp(Timestamp.newBuilder()
                        .setSeconds(now.getEpochSecond())
                        .setNanos(now.getNano() + taskId.hashCode() % 1000 + 1000))
                .setMessage(state.name().toLowerCase(java.util.Locale.ROOT));
        if (state.getNumber() >= TaskState.STARTING_VALUE) {
            status.setContainer(ContainerStatus.newBuilder()
                    .setContainerId((taskId + taskId + taskId).substring(0, 64))
                    .setPid(taskId.hashCode() & 0xffff));
        }
        return TaskStatusUpdate.newBuilder().setTaskId(taskId).setStatus(status).build();
    }

    private void taken(ReportTaskStatus report) {
        for (NodeReport node : report.getNodesList()) {
            Worker worker = workers.get(node.getNodeId());
            if (worker != null) {
                worker.reporting = false;
            }
        }
    }

    private void memory(long before) {
        long all = usedBytes();
        follower = null;
        long withoutFollower = usedBytes();
        loop = null;
        long withoutLoop = usedBytes();
        System.out.printf(
                "  memory per task: leader %,d bytes, of which %,d its control loop; follower %,d bytes; heap %,d MB%n",
                (withoutFollower - before) / tasks,
                (withoutFollower - withoutLoop) / tasks,
                (all - withoutFollower) / tasks,
                all >> 20);
        measure("a new leader begins", () -> loop = new ControlLoop(head, now, ids, List::of));
        wake = now;
        rest();
    }

    private void snapshot() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        measure("snapshot written", () -> {
            try {
                store.snapshot().writeTo(out);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        System.out.printf("  snapshot: %,d bytes per task%n", out.size() / tasks);
        Store restored = new Store();
        measure("snapshot read", () -> {
            try {
                restored.restore(new ByteArrayInputStream(out.toByteArray()));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        follower = restored;
    }

    private void measure(String what, Runnable work) {
        logBytes = 0;
        largestEntry = 0;
        assignmentBytes = 0;
        followerNanos = 0;
        dispatchNanos = 0;
        longestStepNanos = 0;
        long entries = index;
        long wall = System.nanoTime();
        long thread = cpuNanosOfThread();
        long process = MACHINE.getProcessCpuTime();
        work.run();
        double seconds = (System.nanoTime() - wall) / 1e9;
        double processMicros = (MACHINE.getProcessCpuTime() - process) / 1e3 / tasks;
        double threadMicros = (cpuNanosOfThread() - thread) / 1e3 / tasks;
        double followerMicros = followerNanos / 1e3 / tasks;
        System.out.printf(
                "  %-20s %7.1f s %,9d tasks/s; µs of CPU per task: %.1f"
                        + " (leader %.1f, of which dispatch %.1f; follower %.1f; collector and compiler %.1f)%n",
                what,
                seconds,
                Math.round(tasks / seconds),
                processMicros,
                threadMicros - followerMicros,
                dispatchNanos / 1e3 / tasks,
                followerMicros,
                processMicros - threadMicros);
        if (index > entries) {
            System.out.printf(
                    "  %-20s per task: log %,d bytes, assignments %,d bytes; %,d entries, the largest %,d bytes;"
                            + " longest step %d ms%n",
                    "",
                    logBytes / tasks,
                    assignmentBytes / tasks,
                    index - entries,
                    largestEntry,
                    longestStepNanos / 1_000_000);
        }
    }

    private static long cpuNanosOfThread() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    private static long usedBytes() {
        Runtime runtime = Runtime.getRuntime();
        long used = Long.MAX_VALUE;
        for (int i = 0; i < 2; i++) {
            System.gc();
            used = Math.min(used, runtime.totalMemory() - runtime.freeMemory());
        }
        return used;
    }
}
