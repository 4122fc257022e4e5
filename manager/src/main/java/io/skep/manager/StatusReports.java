package io.skep.manager;

import io.grpc.Status;
import io.skep.wire.Command;
import io.skep.wire.ReportTaskStatus;
import io.skep.wire.ReportTaskStatus.NodeReport;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
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
 * Status reports of tasks on their way to the leader, gathered from all nodes (swarm-wire 3.4).
 *
 * <p>All that came in a tenth of a second goes to the leader as one command, up to {@value #TOGETHER_MAX} statuses, and
 * one command is on its way at a time: so reports do not overtake each other, and the leader takes a step for many
 * nodes instead of for each. Only the newest status of a task is kept while it waits. Agents are told at once that a
 * report was taken; should it be lost in the end, their sessions end and they report everything again.
 *
 * <p>At most {@value #WAITING_MAX} statuses wait, or one report of any size. Agents that report more then get their
 * answer, one after the other, when there is room, and are refused when that takes longer than {@link #PATIENCE}; an
 * agent waits for the answer before it reports again. One lock guards it all; it is not held while a command is sent or
 * an agent answered.
 */
final class StatusReports {
    private static final Logger LOG = LoggerFactory.getLogger(StatusReports.class);
    private static final int WAITING_MAX = 10_000;
    private static final int TOGETHER_MAX = 1_000;
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
    private final Pump pump;
    private final Map<NodeSession, Map<String, TaskStatus>> reports = new LinkedHashMap<>();
    private final ArrayDeque<Offer> offers = new ArrayDeque<>();
    private int waiting;
    private boolean sending;
    private boolean expiring;

    StatusReports(ManagerPorts ports, CommandRouter router, BiConsumer<NodeSession, Status> drop) {
        this.ports = ports;
        this.router = router;
        this.drop = drop;
        this.pump = new Pump(ports, BATCH, this::send);
    }

    /** Returns how many statuses a command reports. */
    static int count(Command command) {
        int count = 0;
        for (NodeReport node : command.getReportTaskStatus().getNodesList()) {
            count += node.getUpdatesCount();
        }
        return count;
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
        for (UpdateTaskStatusRequest.TaskStatusUpdate update : updates) {
            if (update.hasStatus()
                    && reports.computeIfAbsent(session, key -> new LinkedHashMap<>())
                                    .put(update.getTaskId(), update.getStatus())
                            == null) {
                waiting++;
            }
        }
        if (!sending && !reports.isEmpty()) {
            pump.wake();
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

    private void send() {
        List<NodeSession> sessions = new ArrayList<>();
        int count = 0;
        ReportTaskStatus.Builder report =
                ReportTaskStatus.newBuilder().setManagerId(ports.consensus().selfId());
        synchronized (this) {
            if (sending || reports.isEmpty()) {
                return;
            }
            sending = true;
            var all = reports.entrySet().iterator();
            while (all.hasNext() && count < TOGETHER_MAX) {
                Map.Entry<NodeSession, Map<String, TaskStatus>> each = all.next();
                NodeReport.Builder node =
                        report.addNodesBuilder().setNodeId(each.getKey().nodeId());
                each.getValue()
                        .forEach((taskId, status) ->
                                node.addUpdatesBuilder().setTaskId(taskId).setStatus(status));
                sessions.add(each.getKey());
                count += each.getValue().size();
                all.remove();
            }
        }
        int sent = count;
        var _ = router.execute(Command.newBuilder()
                        .setRequestId(ports.ids().nextId())
                        .setReportTaskStatus(report)
                        .build())
                .whenComplete((executed, failure) -> sent(sessions, sent, failure));
    }

    private void sent(List<NodeSession> sessions, int count, @Nullable Throwable failure) {
        List<Offer> taken = new ArrayList<>();
        synchronized (this) {
            waiting -= count;
            sending = false;
            while (!offers.isEmpty() && fits(offers.getFirst().updates())) {
                Offer offer = offers.removeFirst();
                take(offer.session(), offer.updates());
                taken.add(offer);
            }
            if (count >= TOGETHER_MAX) {
                pump.wakeNow();
            } else if (!reports.isEmpty()) {
                pump.wake();
            }
        }
        taken.forEach(offer -> offer.taken().complete(null));
        if (failure != null) {
            LOG.info(
                    "the task statuses of {} nodes are lost, they must report anew: {}",
                    sessions.size(),
                    Replies.status(failure).getMessage());
            Status status = Status.ABORTED.withDescription("node must disconnect");
            sessions.forEach(session -> drop.accept(session, status));
        }
    }
}
