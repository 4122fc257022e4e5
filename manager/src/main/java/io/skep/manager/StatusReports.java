package io.skep.manager;

import io.grpc.Status;
import io.skep.control.CommandException;
import io.skep.control.IdSource;
import io.skep.wire.Command;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Status reports of tasks on their way to the leader, gathered by node (swarm-wire 3.4).
 *
 * <p>Only the newest status of a task is kept while it waits. A node has one report on its way at a time, so reports do
 * not overtake each other. Agents are told at once that a report was taken; should it be lost in the end, their session
 * ends and they report everything again. At most {@value #WAITING_MAX} statuses wait, further agents with them.
 */
final class StatusReports {
    private static final Logger LOG = LoggerFactory.getLogger(StatusReports.class);
    private static final int WAITING_MAX = 10_000;
    private static final Duration BATCH = Duration.ofMillis(100);
    private static final Duration PATIENCE = Duration.ofSeconds(4);

    private final String managerId;
    private final CommandRouter router;
    private final IdSource ids;
    private final Executor executor;
    private final ScheduledExecutorService timer;
    private final BiConsumer<NodeSession, Status> drop;
    private final Semaphore room = new Semaphore(WAITING_MAX);
    private final ConcurrentHashMap<NodeSession, Batch> batches = new ConcurrentHashMap<>();

    StatusReports(
            String managerId,
            CommandRouter router,
            IdSource ids,
            Executor executor,
            ScheduledExecutorService timer,
            BiConsumer<NodeSession, Status> drop) {
        this.managerId = managerId;
        this.router = router;
        this.ids = ids;
        this.executor = executor;
        this.timer = timer;
        this.drop = drop;
    }

    /** Takes the statuses that a node reports. */
    void add(NodeSession session, List<UpdateTaskStatusRequest.TaskStatusUpdate> updates) {
        for (UpdateTaskStatusRequest.TaskStatusUpdate update : updates) {
            if (!update.hasStatus()) {
                continue;
            }
            try {
                if (!room.tryAcquire(PATIENCE.toNanos(), TimeUnit.NANOSECONDS)) {
                    throw Status.RESOURCE_EXHAUSTED
                            .withDescription("too many task statuses wait for the leader")
                            .asRuntimeException();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw Status.ABORTED.withDescription("dispatcher is stopped").asRuntimeException();
            }
            batches.compute(session, (key, known) -> {
                Batch batch = known == null ? new Batch(session) : known;
                batch.add(update.getTaskId(), update.getStatus());
                return batch;
            });
        }
    }

    private final class Batch {
        private final NodeSession session;
        private final Pump pump = new Pump(executor, timer, BATCH, this::send);
        private Map<String, TaskStatus> waiting = new LinkedHashMap<>();

        Batch(NodeSession session) {
            this.session = session;
        }

        synchronized void add(String taskId, TaskStatus status) {
            if (waiting.put(taskId, status) != null) {
                room.release();
            }
            pump.wake();
        }

        private void send() {
            Map<String, TaskStatus> sent;
            synchronized (this) {
                sent = waiting;
                waiting = new LinkedHashMap<>();
            }
            if (sent.isEmpty()) {
                return;
            }
            try {
                ReportTaskStatus.Builder report = ReportTaskStatus.newBuilder()
                        .setNodeId(session.nodeId())
                        .setManagerId(managerId);
                sent.forEach((taskId, status) -> report.addUpdates(
                        TaskStatusUpdate.newBuilder().setTaskId(taskId).setStatus(status)));
                router.execute(Command.newBuilder()
                        .setRequestId(ids.nextId())
                        .setReportTaskStatus(report)
                        .build());
            } catch (CommandException e) {
                LOG.info("the task statuses of node {} are lost, it must report anew: {}", session.nodeId(), e.text());
                drop.accept(session, Status.ABORTED.withDescription("node must disconnect"));
            } finally {
                room.release(sent.size());
            }
            batches.computeIfPresent(session, (key, batch) -> {
                synchronized (batch) {
                    return batch.waiting.isEmpty() ? null : batch;
                }
            });
        }
    }
}
