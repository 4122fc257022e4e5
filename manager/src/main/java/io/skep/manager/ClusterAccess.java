package io.skep.manager;

import io.skep.control.CommandException;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus.Member;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.SubscribeLogsMessage;
import java.util.List;
import java.util.function.Consumer;

/**
 * The cluster as any manager offers it to its API: linearizable reads here, writes wherever the leader is. Methods
 * block the calling (virtual) thread, wait for a new leader for a bounded time, and may be called by many threads.
 */
public interface ClusterAccess {
    /**
     * Returns a state that holds every write acknowledged, by any manager, before the call.
     *
     * @throws CommandException UNAVAILABLE with the text about the missing leader (swarm-wire 4.3) when no majority
     *     answers in time
     */
    ClusterState read();

    /** Returns the newest state that this manager has, for callers that need no more. */
    ClusterState local();

    /**
     * Runs a command on the leader, once, across leader changes. When it returns, {@link #local()} holds the effect.
     *
     * @throws CommandException why it was refused, or UNAVAILABLE when there was no leader in time
     */
    CommandResult execute(Command command);

    /** Returns the managers of the quorum and what the leader knows of them. */
    List<Member> members();

    /** Calls the watcher for each commit on this manager, in order; it must hand work on at once. */
    AutoCloseable watch(Consumer<Commit> watcher);

    /**
     * Streams log lines of tasks until their nodes are done, or the returned handle is closed.
     *
     * @param onMessage called for each batch of lines, by one thread at a time
     * @param onEnd called once at the end, with the empty string or a warning about what is missing
     */
    AutoCloseable subscribeLogs(
            LogSelector selector,
            LogSubscriptionOptions options,
            Consumer<SubscribeLogsMessage> onMessage,
            Consumer<String> onEnd);
}
