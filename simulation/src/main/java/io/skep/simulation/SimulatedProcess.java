package io.skep.simulation;

import io.grpc.Deadline;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * One life of a program on a simulated host, with its clocks.
 *
 * <p>When it is killed, nothing that it planned happens any more. While it is stopped, all that should happen waits
 * until it goes on. Whatever its tasks throw is a failure of the run.
 */
final class SimulatedProcess implements InstantSource {
    private final VirtualTime time;
    private final Host host;
    private final Consumer<Throwable> failed;
    private final ArrayDeque<Runnable> backlog = new ArrayDeque<>();
    private final Set<Connection.End> connections = new LinkedHashSet<>();
    private final Deadline.Ticker ticker = new MonotonicClock(this);
    private boolean alive = true;
    private boolean stopped;

    SimulatedProcess(VirtualTime time, Host host, Consumer<Throwable> failed) {
        this.time = time;
        this.host = host;
        this.failed = failed;
        host.processes.add(this);
    }

    VirtualTime time() {
        return time;
    }

    Host host() {
        return host;
    }

    boolean isAlive() {
        return alive;
    }

    boolean isStopped() {
        return stopped;
    }

    Set<Connection.End> connections() {
        return connections;
    }

    /** Ends it without warning. */
    void kill() {
        alive = false;
        backlog.clear();
        host.processes.remove(this);
    }

    /** Lets it stand still. */
    void stop() {
        stopped = true;
    }

    /** Lets it go on with all that waited. */
    void resume() {
        stopped = false;
        List<Runnable> waited = new ArrayList<>(backlog);
        backlog.clear();
        waited.forEach(task -> time.afterNanos(0, () -> run(task)));
    }

    /** Runs something now as this program, or once it goes on; never if it is dead. */
    void run(Runnable task) {
        if (!alive) {
            return;
        }
        if (stopped) {
            backlog.add(task);
            return;
        }
        try {
            task.run();
        } catch (RuntimeException | Error e) {
            failed.accept(e);
        }
    }

    @Override
    public Instant instant() {
        return time.instant().plusNanos(host.wallOffsetNanos);
    }

    /** Returns its time that only grows. */
    Deadline.Ticker ticker() {
        return ticker;
    }

    private static final class MonotonicClock extends Deadline.Ticker {
        private final SimulatedProcess process;

        MonotonicClock(SimulatedProcess process) {
            this.process = process;
        }

        @Override
        public long nanoTime() {
            return process.time.nanos() + process.host.bootNanos;
        }
    }
}
