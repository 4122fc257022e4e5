package io.skep.api;

import com.google.protobuf.ByteString;
import io.skep.control.CommandException;
import io.skep.control.ControlLoop;
import io.skep.manager.ClusterAccess;
import io.skep.manager.RandomIds;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus.Member;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.ContainerStatus;
import io.skep.wire.EngineDescription;
import io.skep.wire.InitCluster;
import io.skep.wire.LogContext;
import io.skep.wire.LogEntry;
import io.skep.wire.LogMessage;
import io.skep.wire.LogSelector;
import io.skep.wire.LogStream;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeSpec;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.RegisterNode;
import io.skep.wire.ReportSessions;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.Resources;
import io.skep.wire.RootCA;
import io.skep.wire.SubscribeLogsMessage;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A cluster in memory: the real control loop and store behind the port, with agents that move each task to what it
 * should be. There is one manager and no log but that of the store.
 */
final class FakeCluster implements ClusterAccess, AutoCloseable {
    static final String MANAGER_ID = "managernodexxxxxxxxxxxxxx";
    static final String WORKER_ID = "workernodexxxxxxxxxxxxxxx";
    private static final Duration SESSIONS_INTERVAL = Duration.ofSeconds(1);

    private final ScheduledExecutorService control = Executors.newSingleThreadScheduledExecutor();
    private final Store store = new Store();
    private final ControlLoop loop;
    private final List<AutoCloseable> watches = new ArrayList<>();
    private @Nullable Future<?> wake;

    /** When set, every read and write is refused with it. */
    volatile @Nullable CommandException trouble;

    /** What a log subscription gets, and the warning at its end. */
    final List<SubscribeLogsMessage> logs = new CopyOnWriteArrayList<>();

    volatile String logWarning = "";
    volatile LogSubscriptionOptions lastLogOptions = LogSubscriptionOptions.getDefaultInstance();

    private FakeCluster() {
        loop = new ControlLoop(ClusterState.empty(), Instant.now(), new RandomIds(), List::of);
    }

    /** Returns a cluster of one manager and one worker, both ready, both with an engine. */
    static FakeCluster start(ByteString rootCertificate) {
        FakeCluster cluster = new FakeCluster();
        cluster.watches.add(cluster.store.watch(cluster::agents));
        cluster.execute(Command.newBuilder()
                .setRequestId("init")
                .setInitCluster(InitCluster.newBuilder()
                        .setCluster(Cluster.newBuilder()
                                .setId("clusterxxxxxxxxxxxxxxxxxx")
                                .setRootCa(RootCA.newBuilder().setCaCert(rootCertificate)))
                        .setNode(Node.newBuilder().setId(MANAGER_ID)))
                .build());
        cluster.submit(transaction -> transaction.put(
                Kind.NODE,
                Node.newBuilder()
                        .setId(WORKER_ID)
                        .setSpec(NodeSpec.newBuilder().setMembership(NodeSpec.Membership.ACCEPTED))
                        .build()));
        cluster.register(MANAGER_ID, "board1", "10.0.0.1");
        cluster.register(WORKER_ID, "board2", "10.0.0.2");
        var _ = cluster.control.scheduleWithFixedDelay(
                cluster::reportSessions, 0, SESSIONS_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
        return cluster;
    }

    private void register(String id, String hostname, String address) {
        execute(Command.newBuilder()
                .setRegisterNode(RegisterNode.newBuilder()
                        .setNodeId(id)
                        .setAddress(address)
                        .setManagerId(MANAGER_ID)
                        .setDescription(NodeDescription.newBuilder()
                                .setHostname(hostname)
                                .setPlatform(
                                        Platform.newBuilder().setOs("linux").setArchitecture("x86_64"))
                                .setResources(Resources.newBuilder()
                                        .setNanoCpus(4_000_000_000L)
                                        .setMemoryBytes(8L << 30))
                                .setEngine(EngineDescription.newBuilder()
                                        .setEngineVersion("28.5.2")
                                        .putLabels("io.skep.version", "0.1.0")
                                        .putLabels("kind", "board")
                                        .addPlugins(PluginDescription.newBuilder()
                                                .setType("Network")
                                                .setName("overlay"))
                                        .addPlugins(PluginDescription.newBuilder()
                                                .setType("Volume")
                                                .setName("local")))))
                .build());
    }

    private void reportSessions() {
        step(List.of(Command.newBuilder()
                .setReportSessions(ReportSessions.newBuilder()
                        .setManagerId(MANAGER_ID)
                        .addNodeIds(MANAGER_ID)
                        .addNodeIds(WORKER_ID))
                .build()));
    }

    /** Changes the state without a command. */
    void submit(Consumer<Transaction> change) {
        CompletableFuture.runAsync(() -> step(change, List.of()), control).join();
    }

    private List<ControlLoop.Outcome> step(List<Command> commands) {
        return step(transaction -> {}, commands);
    }

    /** Runs on the control thread. */
    private List<ControlLoop.Outcome> step(Consumer<Transaction> change, List<Command> commands) {
        Instant now = Instant.now();
        ClusterState head = store.state();
        Transaction transaction = new Transaction(head, now);
        change.accept(transaction);
        ControlLoop.Step step = loop.step(transaction, now, commands);
        if (!transaction.events().isEmpty() || step.outcomes().stream().anyMatch(outcome -> outcome.result() != null)) {
            LogEntry entry = LogEntry.newBuilder()
                    .setBaseVersion(head.version())
                    .setAt(Times.of(now))
                    .addTransactions(transaction.toLog())
                    .build();
            store.apply(head.version() + 1, entry.toByteString());
        }
        if (wake != null) {
            wake.cancel(false);
        }
        Instant next = step.nextWake();
        if (next != null) {
            long delayMillis = Math.max(1, Duration.between(Instant.now(), next).toMillis());
            wake = control.schedule(() -> step(List.of()), delayMillis, TimeUnit.MILLISECONDS);
        }
        return step.outcomes();
    }

    /** Moves each task that changed one step further, as the agents of all nodes would. */
    private void agents(Commit commit) {
        for (Event<?> event : commit.events()) {
            Event<Task> change = event.as(Kind.TASK);
            if (change != null && change.after() != null) {
                Task task = change.after();
                TaskState next = next(task);
                if (next != task.getStatus().getState()) {
                    control.execute(() -> report(task, next));
                }
            }
        }
    }

    private static TaskState next(Task task) {
        TaskState state = task.getStatus().getState();
        if (task.getNodeId().isEmpty()
                || state.getNumber() < TaskState.ASSIGNED_VALUE
                || state.getNumber() >= TaskState.COMPLETE_VALUE) {
            return state;
        }
        if (task.getDesiredState().getNumber() >= TaskState.SHUTDOWN_VALUE) {
            return TaskState.SHUTDOWN;
        }
        if (task.getDesiredState() == TaskState.READY) {
            return TaskState.READY;
        }
        if (task.getDesiredState() == TaskState.COMPLETE) {
            return TaskState.COMPLETE;
        }
        return TaskState.RUNNING;
    }

    private void report(Task task, TaskState state) {
        step(List.of(Command.newBuilder()
                .setReportTaskStatus(ReportTaskStatus.newBuilder()
                        .addNodes(ReportTaskStatus.NodeReport.newBuilder()
                                .setNodeId(task.getNodeId())
                                .addUpdates(ReportTaskStatus.TaskStatusUpdate.newBuilder()
                                        .setTaskId(task.getId())
                                        .setStatus(TaskStatus.newBuilder()
                                                .setTimestamp(Times.of(Instant.now()))
                                                .setState(state)
                                                .setMessage(Enums.lower(state))
                                                .setContainer(ContainerStatus.newBuilder()
                                                        .setContainerId("c-" + task.getId())
                                                        .setPid(4711))))))
                .build()));
    }

    /** Adds a line to what log subscriptions get. */
    void addLog(Task task, LogStream stream, String line) {
        logs.add(SubscribeLogsMessage.newBuilder()
                .addMessages(LogMessage.newBuilder()
                        .setContext(LogContext.newBuilder()
                                .setServiceId(task.getServiceId())
                                .setTaskId(task.getId())
                                .setNodeId(task.getNodeId()))
                        .setTimestamp(Times.of(Instant.parse("2026-01-02T03:04:05.006Z")))
                        .setStream(stream)
                        .setData(ByteString.copyFromUtf8(line)))
                .build());
    }

    @Override
    public ClusterState read() {
        refuse();
        return store.state();
    }

    @Override
    public ClusterState local() {
        return store.state();
    }

    private void refuse() {
        CommandException refusal = trouble;
        if (refusal != null) {
            throw refusal;
        }
    }

    @Override
    public CommandResult execute(Command command) {
        refuse();
        Command known = command.getRequestId().isEmpty()
                ? command.toBuilder().setRequestId(UUID.randomUUID().toString()).build()
                : command;
        ControlLoop.Outcome outcome;
        try {
            outcome = CompletableFuture.supplyAsync(() -> step(List.of(known)).getFirst(), control)
                    .join();
        } catch (CompletionException e) {
            throw new IllegalStateException("the control loop failed", e);
        }
        if (outcome.refusal() != null) {
            throw outcome.refusal();
        }
        CommandResult result = outcome.result();
        if (result == null) {
            throw new IllegalStateException("no outcome");
        }
        return result;
    }

    @Override
    public List<Member> members() {
        return List.of(new Member(MANAGER_ID, "10.0.0.1:2377", true, true, true));
    }

    @Override
    public AutoCloseable watch(Consumer<Commit> watcher) {
        return store.watch(watcher);
    }

    @Override
    public AutoCloseable subscribeLogs(
            LogSelector selector,
            LogSubscriptionOptions options,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd) {
        lastLogOptions = options;
        Thread reader = Thread.ofVirtual().start(() -> {
            logs.forEach(onMessage);
            if (!options.getFollow()) {
                onEnd.accept(logWarning);
            }
        });
        return reader::interrupt;
    }

    @Override
    public void close() throws Exception {
        control.shutdownNow();
        for (AutoCloseable watch : watches) {
            watch.close();
        }
    }
}
