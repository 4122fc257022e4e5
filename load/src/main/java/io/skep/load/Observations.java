package io.skep.load;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;

/**
 * What all agents together know: which tasks they have, which of them run, and how long that took. Belongs to one
 * thread, that of the agents.
 */
final class Observations {
    private record Milestone(BooleanSupplier reached, CompletableFuture<Void> future) {}

    private final Map<String, Long> createdNanos = new HashMap<>();
    private final Map<String, Integer> runningOfImage = new HashMap<>();
    private final List<Milestone> milestones = new ArrayList<>();
    private Latencies toAssigned = new Latencies();
    private Latencies toRunning = new Latencies();
    private int held;
    private int running;
    private int ready;
    private long reports;
    private long reportCalls;
    private long sessionsLost;

    /** The creation of a service begins now; its tasks are timed from here. */
    void serviceAsked(String name, long nowNanos) {
        createdNanos.put(name, nowNanos);
    }

    /** Tasks that come from now on are not timed. */
    void stopTiming() {
        createdNanos.clear();
    }

    void assigned(String service, long nowNanos) {
        held++;
        Long since = createdNanos.get(service);
        if (since != null) {
            toAssigned.add(nowNanos - since);
        }
        changed();
    }

    /** The manager has taken the report that a task runs. */
    void runs(String service, String image, long nowNanos) {
        running++;
        runningOfImage.merge(image, 1, Integer::sum);
        Long since = createdNanos.get(service);
        if (since != null) {
            toRunning.add(nowNanos - since);
        }
        changed();
    }

    /** A task that ran does so no more. */
    void stopped(String image) {
        running--;
        runningOfImage.merge(image, -1, Integer::sum);
        changed();
    }

    void removed() {
        held--;
        changed();
    }

    void agentReady(boolean now) {
        ready += now ? 1 : -1;
        changed();
    }

    void reported(int statuses) {
        reportCalls++;
        reports += statuses;
    }

    void sessionLost() {
        sessionsLost++;
    }

    int held() {
        return held;
    }

    int running() {
        return running;
    }

    int runningOf(String image) {
        return runningOfImage.getOrDefault(image, 0);
    }

    int ready() {
        return ready;
    }

    long reports() {
        return reports;
    }

    long reportCalls() {
        return reportCalls;
    }

    long sessionsLost() {
        return sessionsLost;
    }

    Latencies toAssigned() {
        return toAssigned;
    }

    Latencies toRunning() {
        return toRunning;
    }

    /** Completes the future when that is so. */
    void when(BooleanSupplier reached, CompletableFuture<Void> future) {
        milestones.add(new Milestone(reached, future));
        changed();
    }

    private void changed() {
        for (Iterator<Milestone> all = milestones.iterator(); all.hasNext(); ) {
            Milestone milestone = all.next();
            if (milestone.reached.getAsBoolean()) {
                all.remove();
                milestone.future.complete(null);
            }
        }
    }
}
