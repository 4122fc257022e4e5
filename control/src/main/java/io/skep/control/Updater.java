package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateConfig.FailureAction;
import io.skep.wire.UpdateConfig.UpdateOrder;
import io.skep.wire.UpdateStatus;
import io.skep.wire.UpdateStatus.UpdateState;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The loop that replaces tasks which are not what their service asks for any more, a few slots at a time (swarm-wire
 * 6.8).
 *
 * <p>An update under way is a {@link Run}: slots still to do, slots in hand (their new task does not run yet), and
 * pauses after slots that are done. In hand and pausing together never exceed the parallelism. A run belongs to one
 * version of the service; it is begun by the orchestrator of the service, at an update as well as when a leader takes
 * over: the constructor of a run reads from the state which slots the last leader had in hand. Times and failures that
 * the state does not tell (when a task that failed since had come up) are lost then, which at worst makes the watch for
 * failures milder.
 *
 * <p>Stopping before starting is left to {@link RestartSupervisor}: the new task is made with the desired state READY,
 * and starts when the old one has stopped. The other way around, the old task is told to stop when the new one runs,
 * which is looked after for every slot, also when its update was given up in between.
 */
final class Updater implements Loop {
    static final Duration MONITOR_DEFAULT = Duration.ofSeconds(5);

    private final Slots slots;
    private final Map<String, Run> runs = new LinkedHashMap<>();
    private final Set<String> servicesToAdvance = new LinkedHashSet<>();
    private final Set<SlotKey> slotsToSettle = new LinkedHashSet<>();

    Updater(ClusterState state, Slots slots) {
        this.slots = slots;
        for (Service service : state.services().values()) {
            slotsToSettle.addAll(slots.of(service.getId()));
        }
    }

    static boolean isRollingBack(Service service) {
        return service.getUpdateStatus().getState() == UpdateState.ROLLBACK_STARTED;
    }

    /** Returns whether tasks of the service that do not run yet may be those of an update. */
    static boolean isUnderWay(Service service) {
        return service.getUpdateStatus().getState() == UpdateState.UPDATING || isRollingBack(service);
    }

    private static boolean isPaused(Service service) {
        return switch (service.getUpdateStatus().getState()) {
            case PAUSED, ROLLBACK_PAUSED -> true;
            default -> false;
        };
    }

    /** Takes over slots of a service: those that are not up to date will be updated. */
    void update(ClusterState state, Instant now, Service service, Collection<SlotKey> keys) {
        String id = service.getId();
        if (isPaused(service)) {
            runs.remove(id);
            return;
        }
        Run run = runs.get(id);
        if (run == null || !run.version.equals(service.getSpecVersion())) {
            run = new Run(service);
            run.resume(state, now, service, keys);
            runs.put(id, run);
        }
        Set<SlotKey> inHand = new HashSet<>(run.inHand.values());
        for (SlotKey key : keys) {
            if (!inHand.contains(key) && !run.attempted.contains(key) && isDirty(state, service, key)) {
                run.toDo.add(key);
            }
        }
        run.slotCount = Math.max(run.slotCount, run.toDo.size() + run.inHand.size() + run.attempted.size());
        servicesToAdvance.add(id);
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Service> service = event.as(Kind.SERVICE);
        if (service != null && service.after() == null) {
            runs.remove(service.id());
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task == null) {
            return;
        }
        Run run = runs.get(task.object().getServiceId());
        if (run != null && run.observe(task)) {
            servicesToAdvance.add(task.object().getServiceId());
        }
        Task after = task.after();
        if (after != null && after.getStatus().getState() == TaskState.RUNNING && isRunnable(after)) {
            Service owner = state.services().get(after.getServiceId());
            if (owner != null) {
                slotsToSettle.add(SlotKey.of(owner, after));
            }
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        Iterator<SlotKey> keys = slotsToSettle.iterator();
        while (keys.hasNext() && !transaction.isFull()) {
            SlotKey key = keys.next();
            keys.remove();
            if (slots.size(key) > 1) {
                settle(transaction, key);
            }
        }
        for (Map.Entry<String, Run> run : runs.entrySet()) {
            Instant wake = run.getValue().wake;
            if (wake != null && !wake.isAfter(now)) {
                servicesToAdvance.add(run.getKey());
            }
        }
        for (String id : List.copyOf(servicesToAdvance)) {
            servicesToAdvance.remove(id);
            Run run = runs.get(id);
            Service service = transaction.state().services().get(id);
            if (run == null || service == null) {
                continue;
            }
            if (isPaused(service)
                    || !run.version.equals(service.getSpecVersion())
                    || run.advance(transaction, now, service)) {
                runs.remove(id);
            }
        }
    }

    @Override
    public @Nullable Instant nextWake() {
        Instant earliest = null;
        for (Run run : runs.values()) {
            if (run.wake != null && (earliest == null || run.wake.isBefore(earliest))) {
                earliest = run.wake;
            }
        }
        return earliest;
    }

    /** Stops the old tasks of a slot once a new one runs. */
    private void settle(Transaction transaction, SlotKey key) {
        ClusterState state = transaction.state();
        Service service = state.services().get(key.serviceId());
        List<Task> runnable =
                slots.tasks(state, key).stream().filter(Updater::isRunnable).toList();
        if (service == null || runnable.size() < 2 || isPaused(service) || TaskStates.isJob(service)) {
            return;
        }
        Task keep = upToDate(state, service, runnable);
        if (keep != null && keep.getStatus().getState() == TaskState.RUNNING) {
            stopOthers(transaction, runnable, keep);
        }
    }

    private static void stopOthers(Transaction transaction, List<Task> runnable, @Nullable Task keep) {
        for (Task task : runnable) {
            if (keep == null || !task.getId().equals(keep.getId())) {
                TaskStates.desire(transaction, task, TaskState.SHUTDOWN);
            }
        }
    }

    private static boolean isRunnable(Task task) {
        return task.getDesiredStateValue() <= TaskState.RUNNING_VALUE;
    }

    /** Returns the one of the tasks to keep: one that is up to date, preferably running, or else the newest such. */
    private static @Nullable Task upToDate(ClusterState state, Service service, List<Task> tasks) {
        Task best = null;
        for (Task task : tasks) {
            if (TaskStates.isTerminal(task) || isDirty(state, service, task)) {
                continue;
            }
            if (task.getStatus().getState() == TaskState.RUNNING) {
                return task;
            }
            best = task;
        }
        return best;
    }

    private static @Nullable Task best(List<Task> runnable) {
        for (Task task : runnable) {
            if (task.getStatus().getState() == TaskState.RUNNING) {
                return task;
            }
        }
        return runnable.isEmpty() ? null : runnable.getLast();
    }

    private static boolean isDirty(ClusterState state, Service service, Task task) {
        return TaskFreshness.isDirty(service, task, state.nodes().get(task.getNodeId()));
    }

    private boolean isDirty(ClusterState state, Service service, SlotKey key) {
        List<Task> tasks = slots.tasks(state, key);
        if (tasks.size() == 1 && isRunnable(tasks.getFirst())) {
            return isDirty(state, service, tasks.getFirst());
        }
        List<Task> runnable = tasks.stream().filter(Updater::isRunnable).toList();
        if (runnable.isEmpty()) {
            // What ended for good is replaced by a new version all the same.
            return !tasks.isEmpty()
                    && tasks.getLast().getDesiredState() != TaskState.REMOVE
                    && isDirty(state, service, tasks.getLast());
        }
        return runnable.size() > 1 || isDirty(state, service, runnable.getFirst());
    }

    /** One update of one service to one version, as far as it got. */
    private final class Run {
        final Version version;
        final Set<SlotKey> toDo = new LinkedHashSet<>();
        /** Slots in hand, by the id of the new task that is to come up. */
        final Map<String, SlotKey> inHand = new LinkedHashMap<>();

        final Set<SlotKey> attempted = new HashSet<>();
        int slotCount;

        @Nullable
        Instant wake;

        private final Duration delay;
        private final Duration monitor;
        private final long parallelism;
        private final UpdateOrder order;
        private final FailureAction failureAction;
        private final float failureRatioMax;
        /** New tasks that were made by this update, with the time since when they run. */
        private final Map<String, Instant> updated = new HashMap<>();

        private final Set<String> toCheck = new LinkedHashSet<>();
        private final List<Instant> pausesUntil = new ArrayList<>();
        private final Set<String> failures = new LinkedHashSet<>();
        private @Nullable Instant lastDone;

        Run(Service service) {
            boolean back = isRollingBack(service);
            UpdateConfig config =
                    back ? service.getSpec().getRollback() : service.getSpec().getUpdate();
            boolean given =
                    back ? service.getSpec().hasRollback() : service.getSpec().hasUpdate();
            this.version = service.getSpecVersion();
            this.delay = Times.duration(config.getDelay());
            Duration asked = config.hasMonitor() ? Times.duration(config.getMonitor()) : Duration.ZERO;
            Duration effective = asked.isZero() ? MONITOR_DEFAULT : asked;
            this.monitor = delay.compareTo(effective) >= 0 ? delay.plusSeconds(1) : effective;
            this.parallelism = !given ? 1 : config.getParallelism() == 0 ? Long.MAX_VALUE : config.getParallelism();
            this.order = config.getOrder();
            this.failureAction = config.getFailureAction();
            this.failureRatioMax = config.getMaxFailureRatio();
        }

        /** Reads from the state what was done of this update before. */
        void resume(ClusterState state, Instant now, Service service, Collection<SlotKey> keys) {
            UpdateStatus status = service.getUpdateStatus();
            if (!isUnderWay(service) || !status.hasStartedAt()) {
                return;
            }
            Instant startedAt = Times.instant(status.getStartedAt());
            for (SlotKey key : keys) {
                List<Task> tasks = slots.tasks(state, key);
                Task newest = tasks.isEmpty() ? null : tasks.getLast();
                // What was told to stop was given up before: the slot is still to do. Where no history is kept, one
                // that
                // does not run yet may be alone in its slot, and then it may also be one that is new with the update;
                // it
                // counts as in hand rather than that too many slots are.
                boolean attempt = newest != null && (isRunnable(newest) || TaskStates.endedByItself(newest));
                if (newest != null
                        && attempt
                        && !TaskStates.createdAt(newest).isBefore(startedAt)
                        && !isDirty(state, service, newest)) {
                    resume(now, key, newest);
                }
            }
        }

        private void resume(Instant now, SlotKey key, Task task) {
            updated.put(task.getId(), Instant.MAX);
            Instant changedAt = TaskStates.statusTime(task);
            if (task.getStatus().getStateValue() < TaskState.RUNNING_VALUE) {
                inHand.put(task.getId(), key);
                return;
            }
            attempted.add(key);
            lastDone = lastDone == null || lastDone.isBefore(changedAt) ? changedAt : lastDone;
            if (task.getStatus().getState() == TaskState.RUNNING) {
                updated.put(task.getId(), changedAt);
                if (changedAt.plus(delay).isAfter(now)) {
                    pausesUntil.add(changedAt.plus(delay));
                }
            } else if (TaskStates.endedByItself(task)
                    && !changedAt.isAfter(TaskStates.createdAt(task).plus(monitor))) {
                failures.add(task.getId());
            }
        }

        /** Takes note of a change of a task; returns whether it matters to this update. */
        boolean observe(Event<Task> event) {
            String id = event.id();
            boolean matters = inHand.containsKey(id);
            if (matters) {
                toCheck.add(id);
            }
            Task before = event.before();
            Task after = event.after();
            Instant runsSince = updated.get(id);
            if (runsSince == null || before == null || after == null) {
                return matters;
            }
            Instant at = Times.instant(after.getMeta().getUpdatedAt());
            if (after.getStatus().getState() == TaskState.RUNNING
                    && before.getStatus().getState() != TaskState.RUNNING) {
                updated.put(id, at);
            } else if (TaskStates.endedByItself(after)
                    && !TaskStates.isTerminal(before)
                    && isRunnable(before)
                    && (runsSince.equals(Instant.MAX) || !at.isAfter(runsSince.plus(monitor)))) {
                failures.add(id);
                return true;
            }
            return matters;
        }

        /** Does what can be done now; returns whether the update is over. */
        boolean advance(Transaction transaction, Instant now, Service service) {
            wake = null;
            if (failsTooOften()) {
                giveUp(transaction, now, service);
                return true;
            }
            for (String id : List.copyOf(toCheck)) {
                checkInHand(transaction, now, id);
            }
            toCheck.clear();
            pausesUntil.removeIf(until -> !until.isAfter(now));
            while (!toDo.isEmpty() && inHand.size() + pausesUntil.size() < parallelism) {
                if (transaction.isFull()) {
                    wake = now;
                    return false;
                }
                SlotKey key = toDo.iterator().next();
                toDo.remove(key);
                begin(transaction, now, service, key);
            }
            if (!toDo.isEmpty() || !inHand.isEmpty()) {
                wakeAfterPauses();
                return false;
            }
            Instant end = lastDone == null || failureAction == FailureAction.CONTINUE ? now : lastDone.plus(monitor);
            if (end.isAfter(now)) {
                wake = end;
                return false;
            }
            complete(transaction, now, service.getId());
            return true;
        }

        /**
         * Returns whether the node of a slot of a global service is there to run a new task; it may have gone
         * meanwhile.
         */
        private static boolean mayHaveTask(ClusterState state, Service service, SlotKey key) {
            Node node = state.nodes().get(key.nodeId());
            return node != null
                    && !TaskStates.losesTasks(node)
                    && node.getSpec().getAvailability() == NodeSpec.Availability.ACTIVE
                    && Constraints.match(
                            Constraints.of(service.getSpec().getTask().getPlacement()), node);
        }

        private void wakeAfterPauses() {
            for (Instant until : pausesUntil) {
                wake = wake == null || until.isBefore(wake) ? until : wake;
            }
        }

        private void checkInHand(Transaction transaction, Instant now, String id) {
            Task task = transaction.state().tasks().get(id);
            if (task == null || !isRunnable(task) || task.getStatus().getStateValue() >= TaskState.RUNNING_VALUE) {
                SlotKey key = inHand.remove(id);
                if (key != null) {
                    done(now, key);
                }
            }
        }

        private void done(Instant now, SlotKey key) {
            attempted.add(key);
            lastDone = now;
            if (!delay.isZero()) {
                pausesUntil.add(now.plus(delay));
            }
        }

        private void begin(Transaction transaction, Instant now, Service service, SlotKey key) {
            ClusterState state = transaction.state();
            if (!isDirty(state, service, key) || (TaskStates.isGlobal(service) && !mayHaveTask(state, service, key))) {
                return;
            }
            Service current = announce(transaction, now, service);
            List<Task> tasks = slots.tasks(state, key);
            List<Task> runnable = tasks.stream().filter(Updater::isRunnable).toList();
            Task kept = upToDate(state, service, runnable);
            if (kept == null) {
                boolean stopFirst = order != UpdateOrder.START_FIRST;
                // Of what earlier updates left half done, one serves until the new task does.
                stopOthers(transaction, runnable, stopFirst ? null : best(runnable));
                Task made =
                        slots.create(transaction, now, current, key, stopFirst ? TaskState.READY : TaskState.RUNNING);
                updated.put(made.getId(), Instant.MAX);
                inHand.put(made.getId(), key);
                return;
            }
            boolean runs = kept.getStatus().getState() == TaskState.RUNNING;
            if (runs || order != UpdateOrder.START_FIRST) {
                stopOthers(transaction, runnable, kept);
            }
            if (runs) {
                done(now, key);
            } else {
                inHand.put(kept.getId(), key);
            }
        }

        private Service announce(Transaction transaction, Instant now, Service service) {
            Service current = transaction.state().services().get(service.getId());
            if (current == null || current.hasUpdateStatus()) {
                return current == null ? service : current;
            }
            return transaction.put(
                    Kind.SERVICE,
                    current.toBuilder()
                            .setUpdateStatus(UpdateStatus.newBuilder()
                                    .setState(UpdateState.UPDATING)
                                    .setStartedAt(Times.timestamp(now))
                                    .setMessage("update in progress"))
                            .build());
        }

        private boolean failsTooOften() {
            return failureAction != FailureAction.CONTINUE
                    && !failures.isEmpty()
                    && (float) failures.size() / Math.max(1, slotCount) > failureRatioMax;
        }

        private void giveUp(Transaction transaction, Instant now, Service service) {
            String task = failures.stream().reduce((first, second) -> second).orElse("");
            String reason = " due to failure or early termination of task " + task;
            boolean back = isRollingBack(service);
            String gone = failureAction == FailureAction.ROLLBACK && service.hasPreviousSpec()
                    ? Lookups.missing(transaction.state(), service.getPreviousSpec())
                    : null;
            Service.Builder changed = service.toBuilder();
            UpdateStatus.Builder status = changed.getUpdateStatusBuilder();
            if (!status.hasStartedAt()) {
                status.setStartedAt(Times.timestamp(now));
            }
            if (back) {
                status.setState(UpdateState.ROLLBACK_PAUSED).setMessage("rollback paused" + reason);
            } else if (failureAction == FailureAction.ROLLBACK && service.hasPreviousSpec() && gone == null) {
                status.setState(UpdateState.ROLLBACK_STARTED).setMessage("update rolled back" + reason);
                changed.setSpec(service.getPreviousSpec())
                        .setSpecVersion(service.getPreviousSpecVersion())
                        .clearPreviousSpec()
                        .clearPreviousSpecVersion();
            } else {
                String obstacle = gone == null
                        ? ""
                        : "; it cannot be rolled back, as " + gone + " of the previous spec does not exist any more";
                status.setState(UpdateState.PAUSED).setMessage("update paused" + reason + obstacle);
            }
            transaction.put(Kind.SERVICE, changed.build());
        }

        private void complete(Transaction transaction, Instant now, String serviceId) {
            Service service = transaction.state().services().get(serviceId);
            if (service == null) {
                return;
            }
            UpdateStatus.Builder status = service.getUpdateStatus().toBuilder();
            switch (status.getState()) {
                case UPDATING -> status.setState(UpdateState.COMPLETED).setMessage("update completed");
                case ROLLBACK_STARTED ->
                    status.setState(UpdateState.ROLLBACK_COMPLETED).setMessage("rollback completed");
                default -> {
                    return;
                }
            }
            transaction.put(
                    Kind.SERVICE,
                    service.toBuilder()
                            .setUpdateStatus(status.setCompletedAt(Times.timestamp(now)))
                            .build());
        }
    }
}
