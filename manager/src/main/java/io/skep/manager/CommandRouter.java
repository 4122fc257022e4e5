package io.skep.manager;

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.MoreExecutors;
import io.grpc.StatusRuntimeException;
import io.skep.control.CommandException;
import io.skep.control.CommandException.Code;
import io.skep.manager.LeaderRuntime.Executed;
import io.skep.manager.LeadershipWatch.Seen;
import io.skep.store.ClusterState;
import io.skep.store.Consensus;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.Member;
import io.skep.store.Consensus.NotLeaderException;
import io.skep.store.Store;
import io.skep.wire.Command;
import io.skep.wire.ExecuteRequest;
import io.skep.wire.ExecuteResponse;
import io.skep.wire.LeaderGrpc;
import io.skep.wire.LeaderGrpc.LeaderFutureStub;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes commands to whoever leads.
 *
 * <p>A command goes to the leader that this manager knows of. When the answer does not come because the leader changed,
 * its connection broke or it does not lead any more, the same command goes, under the same request id, to the next
 * leader, for {@link #PATIENCE} in all. Reads wait for a leader as long. All methods block the calling virtual thread.
 */
final class CommandRouter {
    private static final Logger LOG = LoggerFactory.getLogger(CommandRouter.class);

    /** How long a call waits for a leader before it fails. */
    static final Duration PATIENCE = Duration.ofSeconds(15);

    private static final Duration PAUSE = Duration.ofMillis(50);
    private static final String NO_LEADER = "The swarm does not have a leader. It's possible that too few managers are"
            + " online. Make sure more than half of the managers are online.";

    private final Consensus consensus;
    private final Store store;
    private final LeadershipWatch leaderships;
    private final VersionWatch versions;
    private final LeaderRuntime runtime;
    private final PeerChannels peers;

    CommandRouter(
            Consensus consensus,
            Store store,
            LeadershipWatch leaderships,
            VersionWatch versions,
            LeaderRuntime runtime,
            PeerChannels peers) {
        this.consensus = consensus;
        this.store = store;
        this.leaderships = leaderships;
        this.versions = versions;
        this.runtime = runtime;
        this.peers = peers;
    }

    /**
     * Runs a command on the leader, once, and returns when the local state holds its effect.
     *
     * @throws CommandException why it was refused, or UNAVAILABLE when no leader answered in time
     */
    Executed execute(Command command) {
        if (command.getRequestId().isEmpty()) {
            throw new IllegalArgumentException("a command needs a request id");
        }
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            Seen seen = leaderships.seen();
            try {
                Executed executed = attempt(command, seen, deadline);
                if (executed != null) {
                    versions.await(executed.version(), deadline);
                    return executed;
                }
            } catch (TimeoutException e) {
                throw noLeader();
            }
            pause(seen, deadline);
        }
    }

    /**
     * Returns a state that holds every write that any manager acknowledged before the call.
     *
     * @throws CommandException UNAVAILABLE when no majority answered in time
     */
    ClusterState read() {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            Seen seen = leaderships.seen();
            try {
                consensus.readBarrier().get(left(deadline), TimeUnit.NANOSECONDS);
                return store.state();
            } catch (ExecutionException e) {
                LOG.debug("no leader confirmed a read: {}", String.valueOf(e.getCause()));
            } catch (TimeoutException e) {
                throw noLeader();
            } catch (InterruptedException e) {
                throw interrupted();
            }
            pause(seen, deadline);
        }
    }

    /** Returns the outcome, or null when the command must be sent again. */
    private @Nullable Executed attempt(Command command, Seen seen, long deadline) throws TimeoutException {
        Leadership leadership = seen.leadership();
        String leaderId = leadership.leaderId();
        if (leadership.ready()) {
            return await(runtime.submit(command), deadline);
        }
        if (leaderId == null || leaderId.equals(consensus.selfId())) {
            return null;
        }
        String address = null;
        for (Member member : consensus.members()) {
            address = member.nodeId().equals(leaderId) ? member.address() : address;
        }
        if (address == null) {
            return null;
        }
        CompletableFuture<Executed> answer = ask(
                LeaderGrpc.newFutureStub(peers.to(leaderId, address)).withInterceptors(LeaderService.FORWARDED),
                command,
                deadline);
        try {
            // An old leader that was cut off will not answer, and nobody says so: the next one is asked at once.
            CompletableFuture.anyOf(answer.exceptionally(failure -> null), seen.changed())
                    .get(left(deadline), TimeUnit.NANOSECONDS);
            if (answer.isDone()) {
                return await(answer, deadline);
            }
            Leadership next = leaderships.seen().leadership();
            if (leaderId.equals(next.leaderId())) {
                return await(answer, deadline);
            }
            answer.cancel(true);
            return null;
        } catch (ExecutionException e) {
            return null;
        } catch (InterruptedException e) {
            answer.cancel(true);
            throw interrupted();
        } catch (TimeoutException e) {
            answer.cancel(true);
            throw e;
        }
    }

    /** Asks one manager. The future fails with {@link CommandException} when the command was refused. */
    static CompletableFuture<Executed> ask(LeaderFutureStub manager, Command command, long deadline) {
        CompletableFuture<Executed> answer = new CompletableFuture<>();
        ListenableFuture<ExecuteResponse> call = manager.withDeadlineAfter(left(deadline), TimeUnit.NANOSECONDS)
                .execute(ExecuteRequest.newBuilder().setCommand(command).build());
        Futures.addCallback(
                call,
                new FutureCallback<>() {
                    @Override
                    public void onSuccess(@Nullable ExecuteResponse answered) {
                        ExecuteResponse response = Objects.requireNonNull(answered);
                        answer.complete(new Executed(response.getResult(), response.getVersion()));
                    }

                    @Override
                    public void onFailure(Throwable failure) {
                        CommandException refusal =
                                failure instanceof StatusRuntimeException status ? Statuses.answerIn(status) : null;
                        answer.completeExceptionally(refusal == null ? failure : refusal);
                    }
                },
                MoreExecutors.directExecutor());
        var _ = answer.whenComplete((executed, failure) -> {
            if (answer.isCancelled()) {
                call.cancel(true);
            }
        });
        return answer;
    }

    private static @Nullable Executed await(CompletableFuture<Executed> answer, long deadline) throws TimeoutException {
        try {
            return answer.get(left(deadline), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            if (cause instanceof CommandException refusal) {
                throw refusal;
            }
            if (!(cause instanceof NotLeaderException)) {
                LOG.debug("a command got no answer and is sent again: {}", String.valueOf(cause));
            }
            return null;
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    /** Waits for another leader, or a moment when the one that is known did not take the call. */
    private static void pause(Seen seen, long deadline) {
        long left = left(deadline);
        if (left <= 0) {
            throw noLeader();
        }
        Leadership leadership = seen.leadership();
        boolean known = leadership.ready() || leadership.leaderId() != null;
        try {
            seen.changed().get(known ? Math.min(left, PAUSE.toNanos()) : left, TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            if (left(deadline) <= 0) {
                throw noLeader();
            }
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    private static long left(long deadline) {
        return Math.max(0, deadline - System.nanoTime());
    }

    static CommandException noLeader() {
        return new CommandException(Code.UNAVAILABLE, NO_LEADER);
    }

    private static CommandException interrupted() {
        Thread.currentThread().interrupt();
        return new CommandException(Code.UNAVAILABLE, "this manager is stopping");
    }
}
