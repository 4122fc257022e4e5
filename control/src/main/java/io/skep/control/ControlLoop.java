package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.store.Event;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All decisions of a leader, one step at a time.
 *
 * <p>A leader makes one when it begins to lead, from the state it then has, and drops it when it stops. Each step runs
 * the commands that arrived and then every control loop on what changed, all into one transaction. What cannot be read
 * from the state (live sessions) is kept here; all else that the loops remember is rebuilt from the state by the
 * constructor.
 *
 * <p>Within a step the loops take turns until none of them changes anything: a service that is created leaves the step
 * with tasks that are allocated and placed. Before each turn a loop has heard of every change so far. A loop that has
 * much to do makes at most {@value #CHANGES_OF_A_LOOP_MAX} changes in a step and goes on in the next one, which follows
 * at once, so that what others want is served in between. A step that throws leaves this object and its transaction
 * unusable: make a new one from the last committed state. Not safe for use by several threads.
 */
public final class ControlLoop {
    /**
     * Changes that one loop makes in a step, or few more. It bounds the time of a step and the size of its entry in the
     * log: twelve loops, 200 bytes for each change of a task.
     */
    static final int CHANGES_OF_A_LOOP_MAX = 1000;

    /** Rounds after which a step ends although loops still change things; the next one follows at once. */
    private static final int ROUNDS_MAX = 100;

    private static final Logger LOG = LoggerFactory.getLogger(ControlLoop.class);

    private final Handler handler;
    private final List<Loop> loops;

    /**
     * What a command led to: a result or a refusal.
     *
     * @param requestId the id of the command
     * @param result what the caller gets, once the transaction is committed
     * @param refusal why the command had no effect
     */
    public record Outcome(
            String requestId,
            @Nullable CommandResult result,
            @Nullable CommandException refusal) {}

    /**
     * What a step decided, besides the changes in its transaction.
     *
     * @param outcomes one for each command, in their order
     * @param nextWake when the loop must be stepped again at the latest, or null when only events can change anything
     */
    public record Step(List<Outcome> outcomes, @Nullable Instant nextWake) {
        public Step {
            outcomes = List.copyOf(outcomes);
        }
    }

    /** Carries out one command, or refuses it with a {@link CommandException}. */
    @FunctionalInterface
    interface Handler {
        CommandResult handle(Transaction transaction, Instant now, Command command);
    }

    /**
     * Makes the loop of a leader.
     *
     * @param members who agrees on the log at present, which is not part of the state
     */
    public ControlLoop(ClusterState state, Instant now, IdSource ids, Supplier<List<Member>> members) {
        NodeLiveness liveness = new NodeLiveness(state, now);
        this.handler = new CommandHandler(ids, liveness, members)::handle;
        List<Loop> all = new ArrayList<>();
        all.add(liveness);
        all.addAll(taskLoops(state, now, ids));
        all.add(new NetworkKeyRotation(now, ids));
        this.loops = List.copyOf(all);
    }

    /** Returns the loops that make, place, update and remove tasks, in the order of their turns. */
    static List<Loop> taskLoops(ClusterState state, Instant now, IdSource ids) {
        Slots slots = new Slots(state, ids);
        RestartSupervisor restarts = new RestartSupervisor(state, slots);
        Updater updater = new Updater(state, slots);
        return List.of(
                slots,
                new RemovedServices(state),
                new ReplicatedOrchestrator(state, slots, restarts, updater),
                new GlobalOrchestrator(state, slots, restarts, updater),
                new JobOrchestrator(state, slots, restarts),
                updater,
                restarts,
                new Allocator(state),
                new Scheduler(state, now),
                new ConstraintEnforcer(state),
                new TaskReaper(state, slots, restarts));
    }

    ControlLoop(Handler handler, List<Loop> loops) {
        this.handler = handler;
        this.loops = List.copyOf(loops);
    }

    /**
     * Runs the commands and all control loops.
     *
     * @param transaction on the newest state, that of the transaction of the previous step; changes go into it. Changes
     *     that it already holds are taken into account
     * @param now the time of the step; never before that of the step before
     */
    public Step step(Transaction transaction, Instant now, List<Command> commands) {
        List<Outcome> outcomes = new ArrayList<>(commands.size());
        for (Command command : commands) {
            outcomes.add(run(transaction, now, command));
        }
        return new Step(outcomes, settle(transaction, now) ? earliestWake() : now);
    }

    private Outcome run(Transaction transaction, Instant now, Command command) {
        String requestId = command.getRequestId();
        CommandResult known = requestId.isEmpty() ? null : transaction.state().outcome(requestId);
        if (known != null) {
            return new Outcome(requestId, known, null);
        }
        Transaction.Savepoint savepoint = transaction.savepoint();
        try {
            CommandResult result = handler.handle(transaction, now, command);
            if (!requestId.isEmpty() && mustRunOnce(command)) {
                transaction.answer(requestId, result);
            }
            return new Outcome(requestId, result, null);
        } catch (CommandException refusal) {
            transaction.rollBack(savepoint);
            return new Outcome(requestId, null, refusal);
        } catch (RuntimeException e) {
            // The command would fail again at every leader it is sent to, and must not take them down one by one.
            transaction.rollBack(savepoint);
            LOG.error("The command {} of request {} failed, and is refused", command.getKindCase(), requestId, e);
            return new Outcome(
                    requestId,
                    null,
                    new CommandException(
                            CommandException.Code.UNKNOWN,
                            "the command failed inside the manager; the log of the leader says where: " + e));
        }
    }

    /** Returns whether a second run of the same command would do harm; reports just say again what is so. */
    private static boolean mustRunOnce(Command command) {
        return switch (command.getKindCase()) {
            case REGISTER_NODE, REPORT_SESSIONS, REPORT_TASK_STATUS, COMPLETE_CERTIFICATE, KIND_NOT_SET -> false;
            default -> true;
        };
    }

    /** Gives the loops turns until there is nothing left to do; returns false when it had to stop before. */
    private boolean settle(Transaction transaction, Instant now) {
        int heard = 0;
        int[] left = new int[loops.size()];
        Arrays.fill(left, CHANGES_OF_A_LOOP_MAX);
        boolean cut = false;
        for (int round = 0; round < ROUNDS_MAX; round++) {
            int before = transaction.events().size();
            for (int i = 0; i < left.length; i++) {
                heard = deliver(transaction, heard);
                transaction.allow(left[i]);
                loops.get(i).act(transaction, now);
                cut |= transaction.isFull();
                left[i] = Math.max(0, left[i] - (transaction.events().size() - heard));
            }
            heard = deliver(transaction, heard);
            if (transaction.events().size() == before) {
                return !cut;
            }
        }
        LOG.error(
                "The control loops do not come to rest: {} changes in one step",
                transaction.events().size());
        return false;
    }

    private int deliver(Transaction transaction, int heard) {
        List<Event<?>> events = transaction.events();
        int end = events.size();
        for (int i = heard; i < end; i++) {
            for (Loop loop : loops) {
                loop.observe(events.get(i), transaction.state());
            }
        }
        return end;
    }

    private @Nullable Instant earliestWake() {
        Instant earliest = null;
        for (Loop loop : loops) {
            Instant wake = loop.nextWake();
            if (wake != null && (earliest == null || wake.isBefore(earliest))) {
                earliest = wake;
            }
        }
        return earliest;
    }
}
