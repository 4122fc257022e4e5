package io.skep.manager;

import io.grpc.Status;
import io.skep.wire.Command;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.TaskStatusUpdate;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Status reports of tasks on their way to the leader, gathered by node (swarm-wire 3.4).
 *
 * <p>Only the newest status of a task is kept while it waits. A node has one report on its way at a time, so reports do
 * not overtake each other. Agents are told at once that a report was taken; should it be lost in the end, their session
 * ends and they report everything again.
 *
 * <p>At most {@value #WAITING_MAX} statuses wait, or one report of any size. Agents that report more then get their
 * answer, one after the other, when there is room, and are refused when that takes longer than {@link #PATIENCE}; an
 * agent waits for the answer before it reports again. One lock guards it all; it is not held while a command is sent or
 * an agent answered.
 */
final class StatusReports {
    private static final Logger LOG = LoggerFactory.getLogger(StatusReports.class);
    private static final int WAITING_MAX = 10_000;
    private static final Duration BATCH = Duration.ofMillis(100);
    private static final Duration PATIENCE = Duration.ofSeconds(4);
    private static final CompletableFuture<Void> TAKEN = CompletableFuture.completedFuture(null);

    private record Offer(
            NodeSession session,
            List<UpdateTaskStatusRequest.TaskStatusUpdate> updates,
            long deadline,
            CompletableFuture<Void> taken) {}

    private final ManagerPorts ports;
    private final CommandRouter router;
    private final BiConsumer<NodeSession, Status> drop;
    private final Map<NodeSession, Batch> batches = new HashMap<>();
    private final ArrayDeque<Offer> offers = new ArrayDeque<>();
    private int waiting;
    private boolean expiring;

    StatusReports(ManagerPorts ports, CommandRouter router, BiConsumer<NodeSession, Status> drop) {
        this.ports = ports;
        this.router = router;
        this.drop = drop;
    }

    /** Takes the statuses that a node reports; completes when it has, or fails with the status to answer. */
    synchronized CompletableFuture<Void> add(
            NodeSession session, List<UpdateTaskStatusRequest.TaskStatusUpdate> updates) {
        if (offers.isEmpty() && fits(updates)) {
            take(session, updates);
            return TAKEN;
        }
        Offer offer =
                new Offer(session, updates, ports.ticker().nanoTime() + PATIENCE.toNanos(), new CompletableFuture<>());
        offers.add(offer);
        if (!expiring) {
            expireAt(offer.deadline());
        }
        return offer.taken();
    }

    private boolean fits(List<UpdateTaskStatusRequest.TaskStatusUpdate> updates) {
        return waiting == 0 || waiting + updates.size() <= WAITING_MAX;
    }

    private void take(NodeSession session, List<UpdateTaskStatusRequest.TaskStatusUpdate> updates) {
        Batch batch = null;
        for (UpdateTaskStatusRequest.TaskStatusUpdate update : updates) {
            if (update.hasStatus()) {
                batch = batch == null ? batches.computeIfAbsent(session, Batch::new) : batch;
                if (batch.waiting.put(update.getTaskId(), update.getStatus()) == null) {
                    waiting++;
                }
            }
        }
        if (batch != null && !batch.sending) {
            batch.pump.wake();
        }
    }

    private void expireAt(long deadline) {
        expiring = true;
        try {
            long delay = deadline - ports.ticker().nanoTime();
            var _ = ports.executor().schedule(this::expire, delay, TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: agents go to another manager");
        }
    }

    private void expire() {
        List<Offer> expired = new ArrayList<>();
        synchronized (this) {
            expiring = false;
            long now = ports.ticker().nanoTime();
            while (!offers.isEmpty() && offers.getFirst().deadline() - now <= 0) {
                expired.add(offers.removeFirst());
            }
            if (!offers.isEmpty()) {
                expireAt(offers.getFirst().deadline());
            }
        }
        for (Offer offer : expired) {
            offer.taken()
                    .completeExceptionally(Status.RESOURCE_EXHAUSTED
                            .withDescription("too many task statuses wait for the leader")
                            .asRuntimeException());
        }
    }

    private void send(Batch batch) {
        Map<String, TaskStatus> sent;
        synchronized (this) {
            if (batch.sending || batch.waiting.isEmpty()) {
                return;
            }
            batch.sending = true;
            sent = batch.waiting;
            batch.waiting = new LinkedHashMap<>();
        }
        ReportTaskStatus.Builder report = ReportTaskStatus.newBuilder()
                .setNodeId(batch.session.nodeId())
                .setManagerId(ports.consensus().selfId());
        sent.forEach((taskId, status) -> report.addUpdates(
                TaskStatusUpdate.newBuilder().setTaskId(taskId).setStatus(status)));
        var _ = router.execute(Command.newBuilder()
                        .setRequestId(ports.ids().nextId())
                        .setReportTaskStatus(report)
                        .build())
                .whenComplete((executed, failure) -> sent(batch, sent.size(), failure));
    }

    private void sent(Batch batch, int count, @Nullable Throwable failure) {
        List<Offer> taken = new ArrayList<>();
        synchronized (this) {
            waiting -= count;
            batch.sending = false;
            if (batch.waiting.isEmpty()) {
                batches.remove(batch.session);
            } else {
                batch.pump.wake();
            }
            while (!offers.isEmpty() && fits(offers.getFirst().updates())) {
                Offer offer = offers.removeFirst();
                take(offer.session(), offer.updates());
                taken.add(offer);
            }
        }
        taken.forEach(offer -> offer.taken().complete(null));
        if (failure != null) {
            LOG.info(
                    "the task statuses of node {} are lost, it must report anew: {}",
                    batch.session.nodeId(),
                    Replies.status(failure).getMessage());
            drop.accept(batch.session, Status.ABORTED.withDescription("node must disconnect"));
        }
    }

    private final class Batch {
        private final NodeSession session;
        private final Pump pump = new Pump(ports, BATCH, () -> send(this));
        private Map<String, TaskStatus> waiting = new LinkedHashMap<>();
        private boolean sending;

        Batch(NodeSession session) {
            this.session = session;
        }
    }
}
