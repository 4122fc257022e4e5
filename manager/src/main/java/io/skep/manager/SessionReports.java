package io.skep.manager;

import io.skep.control.CommandException;
import io.skep.wire.Command;
import io.skep.wire.ReportSessions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the leader which nodes have a live session here: twice in the heartbeat period of nodes, but no more often than
 * every second and no less often than every 2.5 s, and at once when one was lost. The leader takes a node for lost
 * after three heartbeat periods without such a word. One report is on its way at a time.
 */
final class SessionReports implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SessionReports.class);
    private static final Duration INTERVAL_MIN = Duration.ofSeconds(1);
    private static final Duration INTERVAL_MAX = Duration.ofMillis(2500);

    private final ManagerPorts ports;
    private final CommandRouter router;
    private final Supplier<Collection<String>> liveNodes;
    private final Supplier<Duration> heartbeatPeriod;
    private final Runnable onUnheard;

    private Set<String> lost = new LinkedHashSet<>();
    private @Nullable ScheduledFuture<?> alarm;
    private boolean reporting;
    private boolean closed;

    /**
     * Makes it.
     *
     * @param onUnheard called when no leader took a report in time: the leader takes the nodes for lost by now
     */
    SessionReports(
            ManagerPorts ports,
            CommandRouter router,
            Supplier<Collection<String>> liveNodes,
            Supplier<Duration> heartbeatPeriod,
            Runnable onUnheard) {
        this.ports = ports;
        this.router = router;
        this.liveNodes = liveNodes;
        this.heartbeatPeriod = heartbeatPeriod;
        this.onUnheard = onUnheard;
    }

    void start() {
        Duration interval = interval();
        synchronized (this) {
            rest(interval);
        }
    }

    /** Reports at once that a node stopped sending heartbeats. */
    synchronized void lost(String nodeId) {
        lost.add(nodeId);
        if (!reporting) {
            rest(Duration.ZERO);
        }
    }

    /** Reports after a while, and not before. Called under the lock. */
    private void rest(Duration delay) {
        if (closed) {
            return;
        }
        if (alarm != null) {
            alarm.cancel(false);
        }
        try {
            alarm = ports.executor().schedule(this::report, delay.toNanos(), TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: no more reports of sessions");
        }
    }

    private Duration interval() {
        Duration half = heartbeatPeriod.get().dividedBy(2);
        Duration atLeast = half.compareTo(INTERVAL_MIN) < 0 ? INTERVAL_MIN : half;
        return atLeast.compareTo(INTERVAL_MAX) > 0 ? INTERVAL_MAX : atLeast;
    }

    private void report() {
        Set<String> gone;
        synchronized (this) {
            if (closed || reporting) {
                return;
            }
            reporting = true;
            gone = lost;
            lost = new LinkedHashSet<>();
        }
        List<String> live = new ArrayList<>(liveNodes.get());
        // One that came back in the meantime is not lost.
        live.forEach(gone::remove);
        var _ = router.execute(Command.newBuilder()
                        .setRequestId(ports.ids().nextId())
                        .setReportSessions(ReportSessions.newBuilder()
                                .setManagerId(ports.consensus().selfId())
                                .addAllNodeIds(live)
                                .addAllLostNodeIds(gone))
                        .build())
                .whenComplete((executed, failure) -> reported(gone, failure));
    }

    private void reported(Set<String> gone, @Nullable Throwable failure) {
        if (failure != null) {
            String reason = failure instanceof CommandException refusal ? refusal.text() : failure.toString();
            LOG.debug("the sessions could not be reported and are reported again: {}", reason);
            onUnheard.run();
        }
        Duration interval = interval();
        synchronized (this) {
            reporting = false;
            if (failure != null) {
                lost.addAll(gone);
            }
            rest(failure == null && !lost.isEmpty() ? Duration.ZERO : interval);
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        if (alarm != null) {
            alarm.cancel(false);
        }
    }
}
