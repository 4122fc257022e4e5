package io.skep.manager;

import io.skep.control.CommandException;
import io.skep.control.IdSource;
import io.skep.wire.Command;
import io.skep.wire.ReportSessions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the leader which nodes have a live session here: twice in the heartbeat period of nodes, but no more often than
 * every second and no less often than every 2.5 s, and at once when one was lost. The leader takes a node for lost
 * after three heartbeat periods without such a word.
 */
final class SessionReports implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SessionReports.class);
    private static final Duration INTERVAL_MIN = Duration.ofSeconds(1);
    private static final Duration INTERVAL_MAX = Duration.ofMillis(2500);

    private final String managerId;
    private final CommandRouter router;
    private final IdSource ids;
    private final Supplier<Collection<String>> liveNodes;
    private final Supplier<Duration> heartbeatPeriod;
    private final Thread thread;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private Set<String> lost = new LinkedHashSet<>();
    private boolean closed;

    SessionReports(
            String managerId,
            CommandRouter router,
            IdSource ids,
            Supplier<Collection<String>> liveNodes,
            Supplier<Duration> heartbeatPeriod) {
        this.managerId = managerId;
        this.router = router;
        this.ids = ids;
        this.liveNodes = liveNodes;
        this.heartbeatPeriod = heartbeatPeriod;
        this.thread = Thread.ofVirtual().name("skep-session-reports").unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    /** Reports at once that a node stopped sending heartbeats. */
    void lost(String nodeId) {
        lock.lock();
        try {
            lost.add(nodeId);
            changed.signal();
        } finally {
            lock.unlock();
        }
    }

    private void run() {
        try {
            while (true) {
                Set<String> gone;
                lock.lock();
                try {
                    long left = interval().toNanos();
                    while (lost.isEmpty() && !closed && left > 0) {
                        left = changed.awaitNanos(left);
                    }
                    if (closed) {
                        return;
                    }
                    gone = lost;
                    lost = new LinkedHashSet<>();
                } finally {
                    lock.unlock();
                }
                report(gone);
            }
        } catch (InterruptedException e) {
            LOG.debug("no more reports of sessions");
        }
    }

    private Duration interval() {
        Duration half = heartbeatPeriod.get().dividedBy(2);
        Duration atLeast = half.compareTo(INTERVAL_MIN) < 0 ? INTERVAL_MIN : half;
        return atLeast.compareTo(INTERVAL_MAX) > 0 ? INTERVAL_MAX : atLeast;
    }

    private void report(Set<String> gone) {
        List<String> live = new ArrayList<>(liveNodes.get());
        // One that came back in the meantime is not lost.
        gone.removeAll(live);
        try {
            router.execute(Command.newBuilder()
                    .setRequestId(ids.nextId())
                    .setReportSessions(ReportSessions.newBuilder()
                            .setManagerId(managerId)
                            .addAllNodeIds(live)
                            .addAllLostNodeIds(gone))
                    .build());
        } catch (CommandException e) {
            LOG.debug("the sessions could not be reported and are reported again: {}", e.text());
            gone.forEach(this::lost);
        }
    }

    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            changed.signal();
        } finally {
            lock.unlock();
        }
        thread.interrupt();
    }
}
