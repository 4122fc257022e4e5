package io.skep.manager;

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.MoreExecutors;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import io.skep.control.CommandException;
import io.skep.control.CommandException.Code;
import io.skep.manager.LeaderRuntime.BusyException;
import io.skep.store.ClusterState;
import io.skep.store.Consensus;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.LeadershipListener;
import io.skep.store.Consensus.Member;
import io.skep.store.Consensus.NotLeaderException;
import io.skep.store.Store;
import io.skep.wire.Command;
import io.skep.wire.ExecuteRequest;
import io.skep.wire.ExecuteResponse;
import io.skep.wire.LeaderGrpc;
import io.skep.wire.LeaderGrpc.LeaderFutureStub;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.SequencedSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes commands to whoever leads.
 *
 * <p>A command goes to the leader that this manager knows of. When the answer does not come because the leader changed,
 * its connection broke or it does not lead any more, the same command goes, under the same request id, to the next
 * leader, for {@link #PATIENCE} in all. Reads wait for a leader as long. Nothing here blocks: a call is an object that
 * goes through attempts and pauses, woken by their outcomes, by leadership that moves, or by the timer.
 *
 * <p>A call is guarded by its own lock, the set of open calls by the router's; neither is held while an attempt is made
 * or an answer given. As all calls have the same patience, the oldest is the next to expire, and one timer serves them
 * all. How many calls are open is bounded by those who make them: each holds its caller's answer back.
 */
final class CommandRouter implements LeadershipListener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(CommandRouter.class);

    /** How long a call waits for a leader before it fails. */
    static final Duration PATIENCE = Duration.ofSeconds(15);

    private static final Duration PAUSE = Duration.ofMillis(50);
    private static final String NO_LEADER = "The swarm does not have a leader. It's possible that too few managers are"
            + " online. Make sure more than half of the managers are online.";

    private final Consensus consensus;
    private final Store store;
    private final VersionWatch versions;
    private final LeaderRuntime runtime;
    private final PeerChannels peers;
    private final Deadline.Ticker ticker;
    private final ScheduledExecutorService executor;

    private final SequencedSet<Call<?>> open = new LinkedHashSet<>();
    private boolean sweeping;
    private boolean closed;

    CommandRouter(ManagerPorts ports, VersionWatch versions, LeaderRuntime runtime) {
        this.consensus = ports.consensus();
        this.store = ports.store();
        this.versions = versions;
        this.runtime = runtime;
        this.peers = ports.peers();
        this.ticker = ports.ticker();
        this.executor = ports.executor();
    }

    /**
     * Runs a command on the leader, once.
     *
     * @return completed when the local state holds the effect; fails with {@link CommandException}: why the command was
     *     refused, or UNAVAILABLE when no leader answered in time
     */
    CompletableFuture<Executed> execute(Command command) {
        if (command.getRequestId().isEmpty()) {
            throw new IllegalArgumentException("a command needs a request id");
        }
        return begin(new Execution(command));
    }

    /**
     * Returns a state that holds every write that any manager acknowledged before the call. The future fails with
     * {@link CommandException} UNAVAILABLE when no majority answered in time.
     */
    CompletableFuture<ClusterState> read() {
        return begin(new Read());
    }

    private <T> CompletableFuture<T> begin(Call<T> call) {
        synchronized (this) {
            if (closed) {
                return CompletableFuture.failedFuture(stopping());
            }
            open.add(call);
            if (!sweeping) {
                sweepAt(call.deadline);
            }
        }
        call.attempt();
        return call.answer;
    }

    private void sweepAt(long deadline) {
        sweeping = true;
        try {
            var _ = executor.schedule(this::sweep, deadline - ticker.nanoTime(), TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: open calls end anyway");
        }
    }

    private void sweep() {
        List<Call<?>> expired = new ArrayList<>();
        synchronized (this) {
            sweeping = false;
            long now = ticker.nanoTime();
            while (!open.isEmpty() && open.getFirst().deadline - now <= 0) {
                expired.add(open.removeFirst());
            }
            if (!open.isEmpty() && !closed) {
                sweepAt(open.getFirst().deadline);
            }
        }
        expired.forEach(Call::expire);
    }

    /** Called by the consensus: calls that wait for another leader go on. */
    @Override
    public void leadershipChanged(Leadership leadership) {
        List<Call<?>> calls;
        synchronized (this) {
            calls = new ArrayList<>(open);
        }
        for (Call<?> call : calls) {
            call.leadershipChanged(leadership);
        }
    }

    /** One call on its way. */
    private abstract class Call<T> {
        final CompletableFuture<T> answer = new CompletableFuture<>();
        final long deadline = ticker.nanoTime() + PATIENCE.toNanos();

        /** The attempt that counts; outcomes of others come too late. */
        private int attempts;

        /** Who led, as far as was known, when it began. */
        private Leadership seen = consensus.leadership();

        /** What is waited for at present; cancelled when the call ends before. */
        private @Nullable CompletableFuture<?> underway;

        private boolean pausing;
        private boolean landed;
        private boolean busy;

        /** Returns the outcome of one attempt; any failure that is no {@link CommandException} calls for another. */
        abstract CompletableFuture<T> attempt(Leadership leadership);

        /** Returns what completes once the value may be given to the caller. */
        abstract CompletableFuture<Void> visible(T value);

        /** Returns whether the call waits for one other manager to answer it. */
        abstract boolean isRemote(Leadership leadership);

        final void attempt() {
            Leadership now = consensus.leadership();
            int number;
            synchronized (this) {
                if (answer.isDone()) {
                    return;
                }
                pausing = false;
                seen = now;
                number = ++attempts;
            }
            CompletableFuture<T> outcome;
            try {
                // What was asked is done even if the call that asked for it is cancelled.
                outcome = Context.ROOT.call(() -> attempt(now));
            } catch (Exception e) {
                outcome = CompletableFuture.failedFuture(e);
            }
            if (outcome.isDone()) {
                heard(number, outcome);
                return;
            }
            synchronized (this) {
                underway = number == attempts ? outcome : underway;
            }
            CompletableFuture<T> awaited = outcome;
            // Not on the thread that completes it: that is the one which applies the log.
            var _ = outcome.whenCompleteAsync((value, failure) -> heard(number, awaited), executor);
        }

        private void heard(int number, CompletableFuture<T> outcome) {
            synchronized (this) {
                if (number != attempts || answer.isDone()) {
                    return;
                }
                underway = null;
                landed = outcome.state() == Future.State.SUCCESS;
            }
            switch (outcome.state()) {
                case SUCCESS -> land(outcome.resultNow());
                case FAILED -> {
                    Throwable failure = cause(outcome.exceptionNow());
                    if (failure instanceof CommandException refusal) {
                        fail(refusal);
                        return;
                    }
                    if (!(failure instanceof NotLeaderException)) {
                        LOG.debug("a call got no answer and is made again: {}", failure.toString());
                    }
                    pause(number, failure instanceof BusyException);
                }
                case CANCELLED, RUNNING -> pause(number, false);
            }
        }

        private void land(T value) {
            CompletableFuture<Void> visible = visible(value);
            if (visible.isDone()) {
                succeed(value);
                return;
            }
            var _ = visible.thenRunAsync(() -> succeed(value), executor);
            synchronized (this) {
                underway = visible;
            }
            if (answer.isDone()) {
                visible.cancel(false);
            }
        }

        /** Waits for another leader, or a moment when the one that is known did not take the call. */
        private void pause(int number, boolean nowBusy) {
            boolean changed;
            boolean known;
            synchronized (this) {
                if (number != attempts || answer.isDone()) {
                    return;
                }
                busy = nowBusy;
                pausing = true;
                changed = !consensus.leadership().equals(seen);
                known = seen.ready() || seen.leaderId() != null;
            }
            if (changed) {
                again(number);
            } else if (known) {
                try {
                    var _ = executor.schedule(() -> resume(number), PAUSE.toNanos(), TimeUnit.NANOSECONDS);
                } catch (RejectedExecutionException e) {
                    fail(stopping());
                }
            }
        }

        private void again(int number) {
            try {
                executor.execute(() -> resume(number));
            } catch (RejectedExecutionException e) {
                fail(stopping());
            }
        }

        private void resume(int number) {
            synchronized (this) {
                if (!pausing || number != attempts) {
                    return;
                }
            }
            attempt();
        }

        final void leadershipChanged(Leadership next) {
            CompletableFuture<?> abandoned = null;
            int number;
            synchronized (this) {
                // An old leader that was cut off will not answer, and nobody says so: the next one is asked at once.
                if (!pausing && !landed && isRemote(seen) && !Objects.equals(seen.leaderId(), next.leaderId())) {
                    abandoned = underway;
                    underway = null;
                    attempts++;
                    pausing = true;
                }
                if (!pausing) {
                    return;
                }
                number = attempts;
            }
            if (abandoned != null) {
                abandoned.cancel(true);
            }
            again(number);
        }

        final void expire() {
            fail(
                    busy
                            ? new CommandException(
                                    Code.RESOURCE_EXHAUSTED, "the leader is busy: too many requests wait")
                            : noLeader());
        }

        final void succeed(T value) {
            forget();
            answer.complete(value);
        }

        final void fail(CommandException reason) {
            forget();
            if (!answer.completeExceptionally(reason)) {
                return;
            }
            CompletableFuture<?> abandoned;
            synchronized (this) {
                abandoned = underway;
                underway = null;
            }
            if (abandoned != null) {
                abandoned.cancel(true);
            }
        }

        private void forget() {
            synchronized (CommandRouter.this) {
                open.remove(this);
            }
        }
    }

    private final class Execution extends Call<Executed> {
        private final Command command;

        Execution(Command command) {
            this.command = command;
        }

        @Override
        CompletableFuture<Executed> attempt(Leadership leadership) {
            if (leadership.ready()) {
                return runtime.submit(command);
            }
            String leaderId = leadership.leaderId();
            if (leaderId != null && isRemote(leadership)) {
                for (Member member : consensus.members()) {
                    if (member.nodeId().equals(leaderId)) {
                        return ask(
                                LeaderGrpc.newFutureStub(peers.to(leaderId, member.address()))
                                        .withInterceptors(LeaderService.FORWARDED),
                                command,
                                deadline,
                                ticker);
                    }
                }
            }
            return CompletableFuture.failedFuture(new NotLeaderException("no leader is known"));
        }

        @Override
        CompletableFuture<Void> visible(Executed executed) {
            return versions.reached(executed.version());
        }

        @Override
        boolean isRemote(Leadership leadership) {
            return !leadership.ready()
                    && leadership.leaderId() != null
                    && !leadership.leaderId().equals(consensus.selfId());
        }
    }

    private final class Read extends Call<ClusterState> {
        @Override
        CompletableFuture<ClusterState> attempt(Leadership leadership) {
            return consensus.readBarrier().thenApply(passed -> store.state());
        }

        @Override
        CompletableFuture<Void> visible(ClusterState state) {
            return CompletableFuture.completedFuture(null);
        }

        @Override
        boolean isRemote(Leadership leadership) {
            return false;
        }
    }

    /**
     * Asks one manager. The future fails with {@link CommandException} when the command was refused; when it is
     * cancelled, so is the call.
     *
     * @param deadline until when to wait, in the time of the ticker
     */
    static CompletableFuture<Executed> ask(
            LeaderFutureStub manager, Command command, long deadline, Deadline.Ticker ticker) {
        CompletableFuture<Executed> answer = new CompletableFuture<>();
        ListenableFuture<ExecuteResponse> call = manager.withDeadline(
                        Deadline.after(deadline - ticker.nanoTime(), TimeUnit.NANOSECONDS, ticker))
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

    /** Returns what made a future fail, without the wrapping that futures put around it on their way. */
    static Throwable cause(Throwable failure) {
        Throwable cause = failure instanceof CompletionException ? failure.getCause() : null;
        return cause == null ? failure : cause;
    }

    static CommandException noLeader() {
        return new CommandException(Code.UNAVAILABLE, NO_LEADER);
    }

    static CommandException stopping() {
        return new CommandException(Code.UNAVAILABLE, "this manager is stopping");
    }

    /** Ends all calls. */
    @Override
    public void close() {
        List<Call<?>> ended;
        synchronized (this) {
            closed = true;
            ended = new ArrayList<>(open);
            open.clear();
        }
        ended.forEach(call -> call.fail(stopping()));
    }
}
