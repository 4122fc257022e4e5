package io.skep.agent;

import com.google.protobuf.Timestamp;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One task of a node on its way through its states (swarm-wire 6.1).
 *
 * <pre>
 * ASSIGNED → ACCEPTED → PREPARING ─prepare→ READY → STARTING ─start→ RUNNING ─await→ COMPLETE
 *                           │                           │               │
 *                           └ REJECTED                  └─── FAILED ────┘
 * any of them, once the desired state is SHUTDOWN or more: ─shutdown (terminate)→ SHUTDOWN
 * </pre>
 *
 * <p>ASSIGNED, ACCEPTED and READY are left only when the desired state is beyond them; PREPARING, STARTING and RUNNING
 * end with their operation. The state never goes back, and nothing follows on a state after RUNNING but the removal.
 *
 * <p>There is at most one operation, and while one is under way or a delay has to pass nothing else begins. A wish to
 * stop cancels an operation that does not stop; one that does not end then is overtaken after 30 s. A task that does
 * not end 30 s after its grace period is terminated.
 *
 * <p>Temporary failures are tried again each second, as Docker does. The removal is tried again after a growing delay,
 * whatever the failure. A secret or config that is not here is waited for: 30 s from the assignment by a manager, who
 * sends it before the task; without limit by a task that was resumed and that no manager has assigned yet.
 */
final class ManagedTask {
    private static final Logger LOG = LoggerFactory.getLogger(ManagedTask.class);

    private static final Duration RETRY = Duration.ofSeconds(1);
    private static final Duration REMOVAL_RETRY_MAX = Duration.ofMinutes(1);
    private static final Duration CANCEL_PATIENCE = Duration.ofSeconds(30);
    private static final Duration LAST_STEP_PATIENCE = Duration.ofMinutes(2);
    private static final Duration DEPENDENCY_PATIENCE = Duration.ofSeconds(30);
    private static final Duration GRACE_DEFAULT = Duration.ofSeconds(10);
    private static final Duration GRACE_MARGIN = Duration.ofSeconds(30);

    private enum Step {
        PREPARE,
        START,
        AWAIT,
        SHUTDOWN,
        TERMINATE,
        REMOVE
    }

    /** The operation that has begun. */
    private static final class Underway {
        private final Step step;
        private final Operation operation;
        private boolean cancelled;

        Underway(Step step, Operation operation) {
            this.step = step;
            this.operation = operation;
        }
    }

    private final TaskManager manager;
    private Task task;
    private TaskStatus status;
    private @Nullable StatusReporter reporter;
    private @Nullable Controller controller;
    private @Nullable Underway underway;

    /** Nothing begins before it has passed; or, with an operation under way, how long that may take. */
    private @Nullable Future<?> delay;

    /** When a task that is asked to end will be terminated. */
    private @Nullable Future<?> escalation;

    private boolean assignmentUnsaved;
    private boolean statusUnsaved;

    /** Whether the task has left anything on this node. */
    private boolean touched;

    /** It is assigned no longer. */
    private boolean leaving;

    private boolean waitsForDependency;
    private boolean byForce;
    private Duration removalRetry = RETRY;

    private ManagedTask(TaskManager manager, Task task) {
        this.manager = manager;
        this.task = task;
        this.status = task.getStatus();
        this.touched = isAtLeast(TaskState.PREPARING);
    }

    /** A task as it was kept. */
    static ManagedTask resumed(TaskManager manager, Task kept) {
        return new ManagedTask(manager, kept);
    }

    /** A task of which nothing is known here. */
    static ManagedTask assigned(TaskManager manager, Task task) {
        ManagedTask made = new ManagedTask(manager, task);
        made.assignmentUnsaved = true;
        return made;
    }

    String id() {
        return task.getId();
    }

    Task task() {
        return task;
    }

    /** A manager assigns the task, for the first time or again. */
    void assign(Task next, StatusReporter to) {
        reporter = to;
        // What began to leave stays as one that was stopped: it wished for REMOVE.
        leaving = false;
        TaskState desired = later(task.getDesiredState(), next.getDesiredState());
        Task merged = next.getDesiredState() == desired
                ? next
                : next.toBuilder().setDesiredState(desired).build();
        if (!withoutState(merged).equals(withoutState(task))) {
            assignmentUnsaved = true;
            if (controller != null) {
                controller.update(merged);
            }
        }
        assignmentUnsaved |= desired != task.getDesiredState();
        task = merged;
        if (!status.equals(next.getStatus())) {
            to.report(id(), status);
        }
        reconsider();
    }

    /** The task is assigned no longer. */
    void remove() {
        if (leaving) {
            return;
        }
        leaving = true;
        reporter = null;
        task = task.toBuilder().setDesiredState(TaskState.REMOVE).build();
        assignmentUnsaved = true;
        reconsider();
    }

    void dependenciesChanged() {
        if (waitsForDependency && manager.missing(task) == null) {
            endDelay();
            advance();
        }
    }

    /** The wish may be another: what stands against it is given up. */
    private void reconsider() {
        if (isToStop() && !isOver()) {
            if (underway == null) {
                endDelay();
            } else if (underway.step.compareTo(Step.SHUTDOWN) < 0) {
                cancel(underway);
            }
        } else if (leaving && underway == null) {
            endDelay();
        }
        advance();
    }

    /** Goes on as far as possible. */
    void advance() {
        if (underway == null && delay == null) {
            decide();
        }
        save();
    }

    private void decide() {
        waitsForDependency = false;
        if (!isOver() && isToStop()) {
            if (touched) {
                stop();
                return;
            }
            move(TaskState.SHUTDOWN, "shutdown");
        }
        if (isOver()) {
            leaveIfWished();
            return;
        }
        TaskState desired = task.getDesiredState();
        if (!isAtLeast(TaskState.ACCEPTED) && isBeyond(desired, status.getState())) {
            move(TaskState.ACCEPTED, "accepted");
        }
        if (status.getState() == TaskState.ACCEPTED && isBeyond(desired, TaskState.ACCEPTED)) {
            touched = true;
            move(TaskState.PREPARING, "preparing");
        }
        if (status.getState() == TaskState.READY && isBeyond(desired, TaskState.READY)) {
            move(TaskState.STARTING, "starting");
        }
        switch (status.getState()) {
            case PREPARING -> beginWithDependencies(Step.PREPARE);
            case STARTING -> beginWithDependencies(Step.START);
            case RUNNING -> begin(Step.AWAIT);
            default -> {
                // It rests until more is desired.
            }
        }
    }

    private void stop() {
        if (escalation == null && !byForce) {
            escalation = manager.schedule(this::escalate, grace().plus(GRACE_MARGIN));
        }
        begin(byForce ? Step.TERMINATE : Step.SHUTDOWN);
    }

    private void escalate() {
        escalation = null;
        byForce = true;
        if (underway != null && underway.step == Step.SHUTDOWN) {
            LOG.warn("Task {} does not end; it is ended by force.", id());
            cancel(underway);
        }
    }

    private void leaveIfWished() {
        endEscalation();
        if (!leaving) {
            return;
        }
        if (touched) {
            begin(Step.REMOVE);
        } else {
            manager.forget(id());
            assignmentUnsaved = false;
            statusUnsaved = false;
        }
    }

    private void beginWithDependencies(Step step) {
        String missing = manager.missing(task);
        if (missing == null) {
            begin(step);
            return;
        }
        waitsForDependency = true;
        if (reporter != null) {
            delay = manager.schedule(
                    () -> {
                        delay = null;
                        fail(missing + " was not sent to this node");
                        advance();
                    },
                    DEPENDENCY_PATIENCE);
        }
    }

    private void begin(Step step) {
        save();
        Operation operation;
        try {
            Controller own = controller();
            operation = switch (step) {
                case PREPARE -> own.prepare();
                case START -> own.start();
                case AWAIT -> own.await();
                case SHUTDOWN -> own.shutdown();
                case TERMINATE -> own.terminate();
                case REMOVE -> own.remove();
            };
        } catch (TaskFailure e) {
            operation = Operation.failed(e);
        } catch (RuntimeException e) {
            LOG.error("A fault of this node: task {} could not {}.", id(), step, e);
            operation = Operation.failed(e);
        }
        Underway begun = new Underway(step, operation);
        underway = begun;
        if (step == Step.TERMINATE || step == Step.REMOVE) {
            delay = manager.schedule(
                    () -> {
                        delay = null;
                        cancel(begun);
                    },
                    LAST_STEP_PATIENCE);
        }
        operation.ended().whenComplete((nothing, failure) -> manager.give(() -> ended(begun, failure)));
    }

    private Controller controller() throws TaskFailure {
        if (controller == null) {
            controller = manager.executor().controller(task);
        }
        return controller;
    }

    private void cancel(Underway operation) {
        if (operation.cancelled) {
            return;
        }
        operation.cancelled = true;
        endDelay();
        delay = manager.schedule(
                () -> {
                    delay = null;
                    LOG.warn("Task {} does not end its step {}; it is overtaken.", id(), operation.step);
                    underway = null;
                    advance();
                },
                CANCEL_PATIENCE);
        operation.operation.cancel();
    }

    private void ended(Underway operation, @Nullable Throwable failure) {
        if (underway != operation) {
            return;
        }
        underway = null;
        endDelay();
        Throwable reason =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        if (reason == null) {
            succeeded(operation.step);
        } else if (operation.step == Step.REMOVE) {
            LOG.warn("What task {} left is not removed yet: {}", id(), reason.getMessage());
            pause(removalRetry);
            Duration next = removalRetry.multipliedBy(2);
            removalRetry = next.compareTo(REMOVAL_RETRY_MAX) > 0 ? REMOVAL_RETRY_MAX : next;
        } else if (!operation.cancelled) {
            if (reason instanceof TaskFailure task && task.isTemporary()) {
                LOG.info("Task {} will try again: {}", id(), reason.getMessage());
                pause(RETRY);
            } else if (operation.step == Step.SHUTDOWN) {
                LOG.warn("Task {} cannot be ended gently: {}", id(), reason.getMessage());
                byForce = true;
            } else {
                fail(reason.getMessage() == null ? reason.toString() : reason.getMessage());
            }
        }
        advance();
    }

    private void succeeded(Step step) {
        switch (step) {
            case PREPARE -> move(TaskState.READY, "prepared");
            case START -> {
                move(TaskState.RUNNING, "started");
                manager.runs(task);
            }
            case AWAIT -> move(TaskState.COMPLETE, "finished");
            case SHUTDOWN, TERMINATE -> move(TaskState.SHUTDOWN, "shutdown");
            case REMOVE -> {
                touched = false;
                controller = null;
            }
        }
    }

    private void pause(Duration duration) {
        delay = manager.schedule(
                () -> {
                    delay = null;
                    advance();
                },
                duration);
    }

    private void move(TaskState next, String message) {
        change(status.toBuilder().setMessage(message).clearErr(), next);
    }

    private void fail(String reason) {
        change(
                status.toBuilder().setErr(reason),
                isAtLeast(TaskState.STARTING) ? TaskState.FAILED : TaskState.REJECTED);
    }

    private void change(TaskStatus.Builder next, TaskState state) {
        if (!isBeyond(state, status.getState())) {
            throw new IllegalStateException("task " + id() + " cannot go from " + status.getState() + " to " + state);
        }
        Instant now = manager.clock().instant();
        next.setState(state)
                .setTimestamp(
                        Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
                .clearAppliedBy()
                .clearAppliedAt();
        if (controller != null && isAtLeast(TaskState.STARTING)) {
            controller.describe(next);
        }
        status = next.build();
        statusUnsaved = true;
    }

    /** Keeps what changed, and reports it then. */
    private void save() {
        if (assignmentUnsaved) {
            manager.store().put(task.toBuilder().setStatus(status).build());
        } else if (statusUnsaved) {
            manager.store().putStatus(id(), status);
        }
        if (statusUnsaved && reporter != null) {
            reporter.report(id(), status);
        }
        assignmentUnsaved = false;
        statusUnsaved = false;
    }

    private void endDelay() {
        if (delay != null) {
            delay.cancel(false);
            delay = null;
        }
    }

    private void endEscalation() {
        if (escalation != null) {
            escalation.cancel(false);
            escalation = null;
        }
    }

    private Duration grace() {
        if (!task.getSpec().getContainer().hasStopGracePeriod()) {
            return GRACE_DEFAULT;
        }
        com.google.protobuf.Duration wished = task.getSpec().getContainer().getStopGracePeriod();
        return Duration.ofSeconds(wished.getSeconds(), wished.getNanos());
    }

    private boolean isToStop() {
        return task.getDesiredState().getNumber() >= TaskState.SHUTDOWN_VALUE;
    }

    private boolean isOver() {
        return isBeyond(status.getState(), TaskState.RUNNING);
    }

    private boolean isAtLeast(TaskState state) {
        return status.getState().getNumber() >= state.getNumber();
    }

    private static boolean isBeyond(TaskState state, TaskState other) {
        return state.getNumber() > other.getNumber();
    }

    private static TaskState later(TaskState one, TaskState other) {
        return isBeyond(one, other) ? one : other;
    }

    private static Task withoutState(Task task) {
        return task.toBuilder().clearStatus().clearMeta().clearDesiredState().build();
    }
}
