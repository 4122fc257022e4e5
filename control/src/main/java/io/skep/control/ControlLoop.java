package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * All decisions of a leader, one step at a time.
 *
 * <p>A leader makes one when it begins to lead, from the state it then has, and drops it when it stops. Each step runs
 * the commands that arrived and then every control loop on what changed, all into one transaction. What cannot be read
 * from the state (restart history, delays, live sessions) is kept here and rebuilt from the state by the constructor.
 */
public final class ControlLoop {
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

    public ControlLoop(ClusterState state, Instant now, IdSource ids) {}

    /**
     * Runs the commands and all control loops.
     *
     * @param transaction on the newest state, that of the transaction of the previous step; changes go into it
     * @param now the time of the step; never before that of the step before
     */
    public Step step(Transaction transaction, Instant now, List<Command> commands) {
        return new Step(List.of(), null);
    }
}
