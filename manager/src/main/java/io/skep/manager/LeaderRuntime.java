package io.skep.manager;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.grpc.Deadline;
import io.skep.control.CommandException;
import io.skep.control.CommandException.Code;
import io.skep.control.ControlLoop;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.Member;
import io.skep.store.Consensus.NotLeaderException;
import io.skep.store.Consensus.RefusedException;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.store.Transaction;
import io.skep.wire.ChangeManager;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.LogEntry;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What decides while this manager leads: one round after the other, never two at once.
 *
 * <p>Each step takes the commands that arrived since the last one, runs the {@link ControlLoop} on the newest state it
 * decided itself (the head, which runs ahead of what is committed), and proposes the transaction. It does not wait for
 * the commit: up to {@value #PROPOSALS_MAX} entries are on their way at a time, and commands that arrive when there are
 * as many wait and share the next step. Callers hear the outcome when the entry is committed, so what they hear is true
 * on a majority.
 *
 * <p>A term of leadership is a {@link Reign}. It ends when leadership changes or when any proposal fails, because all
 * later entries were decided on a state that may never come to be. The callers of a reign that ended do not learn
 * whether their command had an effect; they send it again under the same request id. The next reign begins from the
 * committed state, and only after every proposal of the former one has an outcome.
 *
 * <p>A round runs on the control executor, which is serial, when there is a reason to: commands, an outcome that makes
 * room, another leadership, a role to change, or the time that the loop asked to be woken at. It never waits; what it
 * waits for asks for the next round. The reign belongs to the rounds; the fields under the lock are for everyone, and
 * the lock is not held while the loop runs. At most {@value #COMMANDS_MAX} commands wait; what comes beyond must come
 * again.
 *
 * <p>The time of a reign does not depend on a clock that is set back: it follows the clock forwards, and otherwise
 * grows as the ticker does, so a delay that runs never takes longer than it should.
 */
final class LeaderRuntime implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LeaderRuntime.class);
    private static final int COMMANDS_MAX = 8192;
    private static final int COMMANDS_PER_STEP_MAX = 512;
    /** One report more may come on top. */
    private static final int STATUSES_PER_STEP_MAX = 2000;

    private static final int PROPOSALS_MAX = 8;
    private static final Duration RETRY = Duration.ofSeconds(1);

    /** So many commands wait already that this one must come again. */
    static final class BusyException extends RuntimeException {
        BusyException() {
            super(COMMANDS_MAX + " commands wait for the leader already");
        }
    }

    private record Pending(Command command, CompletableFuture<Executed> answer) {}

    private record Answer(
            Pending pending,
            @Nullable Executed executed,
            @Nullable CommandException refusal) {
        void give() {
            if (refusal != null) {
                pending.answer().completeExceptionally(refusal);
            } else if (executed != null) {
                pending.answer().complete(executed);
            }
        }
    }

    /** What a round has to do. */
    private static final class Agenda {
        final long term;
        final List<Pending> commands = new ArrayList<>();
        final List<Pending> refused = new ArrayList<>();
        final Set<String> roles = new LinkedHashSet<>();
        boolean everyRole;
        boolean decides;

        Agenda(long term) {
            this.term = term;
        }
    }

    private static final class Reign {
        final long term;
        final ControlLoop loop;
        ClusterState head;
        Instant last;
        long lastNanos;

        /** When the loop wants to be stepped again, in the time of the ticker, or null. */
        @Nullable
        Long wakeNanos;

        CompletableFuture<Void> committed = CompletableFuture.completedFuture(null);

        Reign(long term, ControlLoop loop, ClusterState head, Instant now, long nowNanos) {
            this.term = term;
            this.loop = loop;
            this.head = head;
            this.last = now;
            this.lastNanos = nowNanos;
            this.wakeNanos = nowNanos;
        }

        Instant now(Instant clock, long nowNanos) {
            Instant grown = last.plusNanos(nowNanos - lastNanos);
            last = clock.isAfter(grown) ? clock : grown;
            lastNanos = nowNanos;
            return last;
        }
    }

    private final Consensus consensus;
    private final Store store;
    private final IdSource ids;
    private final InstantSource clock;
    private final Deadline.Ticker ticker;
    private final ScheduledExecutorService control;

    private final Object lock = new Object();
    private final ArrayDeque<Pending> waiting = new ArrayDeque<>();
    private final Set<String> roleChanges = new LinkedHashSet<>();
    private final Set<String> removals = new HashSet<>();
    private @Nullable Long roleRetryNanos;
    private Leadership leadership;
    private int proposals;
    private boolean failed;
    private boolean closed;

    /** Whether a round is about to run. */
    private boolean queued;

    private @Nullable ScheduledFuture<?> alarm;
    private long alarmNanos;

    // Of the rounds.
    private @Nullable Reign reign;
    private long calmUntilNanos;

    LeaderRuntime(ManagerPorts ports) {
        this.consensus = ports.consensus();
        this.store = ports.store();
        this.ids = ports.ids();
        this.clock = ports.clock();
        this.ticker = ports.ticker();
        this.control = ports.control();
        this.leadership = consensus.leadership();
        this.calmUntilNanos = ticker.nanoTime();
    }

    /** Takes note of who leads. Called by the consensus. */
    void leadershipChanged(Leadership next) {
        synchronized (lock) {
            leadership = next;
            wake();
        }
    }

    /** Looks for nodes whose role is not the one they should have. Called by the consensus for each commit. */
    void committed(Commit commit) {
        Set<String> found = null;
        for (Event<?> event : commit.events()) {
            Event<Node> changed = event.as(Kind.NODE);
            if (changed != null && changed.after() != null && roleDiffers(changed.after())) {
                found = found == null ? new LinkedHashSet<>() : found;
                found.add(changed.id());
            }
        }
        if (found != null) {
            synchronized (lock) {
                roleChanges.addAll(found);
                wake();
            }
        }
    }

    /**
     * Runs a command, if this manager leads.
     *
     * @return fails with {@link CommandException} when the command is refused, and with any other exception when it
     *     must be sent again, here or elsewhere
     */
    CompletableFuture<Executed> submit(Command command) {
        Leadership now = consensus.leadership();
        if (!now.ready()) {
            return CompletableFuture.failedFuture(notLeader());
        }
        if (command.hasChangeManager()) {
            return changeManager(command.getChangeManager());
        }
        CompletableFuture<Executed> answer = new CompletableFuture<>();
        synchronized (lock) {
            if (closed) {
                return CompletableFuture.failedFuture(notLeader());
            }
            if (waiting.size() >= COMMANDS_MAX) {
                return CompletableFuture.failedFuture(new BusyException());
            }
            waiting.add(new Pending(command, answer));
            wake();
        }
        return answer;
    }

    private CompletableFuture<Executed> changeManager(ChangeManager change) {
        String nodeId = change.getNodeId();
        CompletableFuture<Void> changed;
        if (change.getLeave()) {
            changed = consensus.removeMember(nodeId);
        } else {
            if (!isToBeManager(nodeId)) {
                return CompletableFuture.failedFuture(notToBeManager(nodeId));
            }
            if (change.getAddress().isEmpty()) {
                return CompletableFuture.failedFuture(new CommandException(
                        Code.INVALID_ARGUMENT, "manager " + nodeId + " gave no address to reach it at"));
            }
            changed = consensus.putMember(nodeId, change.getAddress()).thenRun(() -> requireManagerStill(nodeId));
        }
        return changed.handle((done, failure) -> {
            Throwable cause = failure == null ? null : CommandRouter.cause(failure);
            if (cause instanceof RefusedException refused) {
                throw new CommandException(Code.FAILED_PRECONDITION, String.valueOf(refused.getMessage()));
            }
            if (cause instanceof CommandException refusal) {
                throw refusal;
            }
            if (failure != null) {
                throw new CompletionException(failure);
            }
            return new Executed(
                    CommandResult.newBuilder().setId(nodeId).build(),
                    store.state().version());
        });
    }

    private boolean isToBeManager(String nodeId) {
        Node node = store.state().nodes().get(nodeId);
        return node != null && node.getSpec().getDesiredRole() == NodeRole.MANAGER;
    }

    private static CommandException notToBeManager(String nodeId) {
        return new CommandException(
                Code.FAILED_PRECONDITION,
                "node " + nodeId + " is not to be a manager: promote it, or join it with the manager token");
    }

    /** A manager that was demoted while it joined is taken out again: when its role changed, it was no member yet. */
    private void requireManagerStill(String nodeId) {
        if (isToBeManager(nodeId)) {
            return;
        }
        synchronized (lock) {
            roleChanges.add(nodeId);
            wake();
        }
        throw notToBeManager(nodeId);
    }

    /** Asks for a round. Called under the lock. */
    private void wake() {
        if (queued || closed) {
            return;
        }
        try {
            control.execute(this::round);
            queued = true;
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: nothing is decided any more");
        }
    }

    private void alarm() {
        synchronized (lock) {
            alarm = null;
            wake();
        }
    }

    private void round() {
        long nowNanos = ticker.nanoTime();
        Agenda agenda;
        synchronized (lock) {
            queued = false;
            agenda = agenda(nowNanos);
        }
        agenda.refused.forEach(pending -> pending.answer().completeExceptionally(notLeader()));
        if (!agenda.decides) {
            return;
        }
        Reign current = reign;
        if (current == null) {
            current = begin(agenda.term, nowNanos);
            reign = current;
            agenda.everyRole = true;
        }
        if (agenda.everyRole) {
            rolesOf(current.head, agenda.roles);
        }
        boolean due = current.wakeNanos != null && current.wakeNanos - nowNanos <= 0;
        if (due || !agenda.commands.isEmpty() || !agenda.roles.isEmpty()) {
            advance(current, agenda.commands, agenda.roles, nowNanos);
        }
        synchronized (lock) {
            rest();
        }
    }

    /** Takes what a round has to do. Called under the lock. */
    private Agenda agenda(long nowNanos) {
        Agenda agenda = new Agenda(leadership.term());
        Reign current = reign;
        if (current != null && (failed || !leadership.ready() || leadership.term() != current.term)) {
            current = null;
            reign = null;
        }
        if (closed) {
            return agenda;
        }
        if (current == null && (!leadership.ready() || proposals > 0)) {
            // Nobody here can answer these: the callers go to whoever leads.
            agenda.refused.addAll(waiting);
            waiting.clear();
            // Whoever begins to lead looks at every node.
            roleChanges.clear();
            return agenda;
        }
        if (current == null && calmUntilNanos - nowNanos > 0) {
            alarmAt(calmUntilNanos);
            return agenda;
        }
        if (proposals >= PROPOSALS_MAX) {
            return agenda;
        }
        agenda.decides = true;
        failed = false;
        int statuses = 0;
        while (!waiting.isEmpty()
                && agenda.commands.size() < COMMANDS_PER_STEP_MAX
                && statuses < STATUSES_PER_STEP_MAX) {
            Pending next = waiting.remove();
            statuses += StatusReports.count(next.command());
            agenda.commands.add(next);
        }
        agenda.roles.addAll(roleChanges);
        roleChanges.clear();
        if (roleRetryNanos != null && roleRetryNanos - nowNanos <= 0) {
            roleRetryNanos = null;
            agenda.everyRole = true;
        }
        return agenda;
    }

    /** Asks for the next round, now or when it is due. Called under the lock at the end of a round. */
    private void rest() {
        Reign current = reign;
        if (closed) {
            return;
        }
        if (current == null) {
            // The outcome of the last proposal, or another leadership, asks for a round as well.
            alarmAt(calmUntilNanos);
            return;
        }
        if (proposals >= PROPOSALS_MAX) {
            return;
        }
        if (!waiting.isEmpty() || !roleChanges.isEmpty()) {
            wake();
            return;
        }
        Long wake = earlier(current.wakeNanos, roleRetryNanos);
        if (wake != null) {
            alarmAt(wake);
        }
    }

    /** Asks for a round at that time; one that is asked for earlier serves as well, as it comes here again. */
    private void alarmAt(long nanos) {
        long delay = nanos - ticker.nanoTime();
        if (delay <= 0) {
            wake();
            return;
        }
        if (alarm != null) {
            if (alarmNanos - nanos <= 0) {
                return;
            }
            alarm.cancel(false);
        }
        try {
            alarm = control.schedule(this::alarm, delay, TimeUnit.NANOSECONDS);
            alarmNanos = nanos;
        } catch (RejectedExecutionException e) {
            LOG.debug("stopping: nothing is decided any more");
        }
    }

    private Reign begin(long term, long nowNanos) {
        ClusterState state = store.state();
        Instant now = later(clock.instant(), newestStamp(state));
        LOG.info("leading in term {} from version {}", term, state.version());
        return new Reign(term, new ControlLoop(state, now, ids, consensus::members), state, now, nowNanos);
    }

    /**
     * Returns when the newest object was written. A leader whose clock is behind that of the one before goes on from
     * there: otherwise what is to happen a while after something was made would have to wait until its clock is there.
     */
    private static Instant newestStamp(ClusterState state) {
        Timestamp newest = Timestamp.getDefaultInstance();
        for (Kind<?> kind : Kind.ALL) {
            newest = newer(newest, newestOf(state, kind));
        }
        return Instant.ofEpochSecond(newest.getSeconds(), newest.getNanos());
    }

    private static <T extends Message> Timestamp newestOf(ClusterState state, Kind<T> kind) {
        Timestamp newest = Timestamp.getDefaultInstance();
        for (T object : state.table(kind).values()) {
            newest = newer(newest, kind.meta(object).getUpdatedAt());
        }
        return newest;
    }

    private static Timestamp newer(Timestamp one, Timestamp other) {
        boolean later = one.getSeconds() != other.getSeconds()
                ? one.getSeconds() > other.getSeconds()
                : one.getNanos() > other.getNanos();
        return later ? one : other;
    }

    private static Instant later(Instant one, Instant other) {
        return one.isAfter(other) ? one : other;
    }

    private void advance(Reign current, List<Pending> commands, Set<String> roles, long nowNanos) {
        Instant now = current.now(clock.instant(), nowNanos);
        try {
            step(current, commands, roles, now);
        } catch (RuntimeException e) {
            // What the loop remembers may be half changed, so it is thrown away with the reign. The commands fail with
            // the reason rather than being sent again: they would fail the next leader as well.
            LOG.error("a step of the control loop failed; it begins anew from the committed state", e);
            CommandException refusal = new CommandException(Code.UNKNOWN, "the leader failed to run the request: " + e);
            commands.forEach(pending -> pending.answer().completeExceptionally(refusal));
            reign = null;
            // Keeps a loop that fails at once from failing at full speed.
            calmUntilNanos = nowNanos + RETRY.toNanos();
        }
    }

    private void step(Reign current, List<Pending> commands, Set<String> roles, Instant now) {
        Transaction transaction = new Transaction(current.head, now);
        roles.forEach(nodeId -> changeRole(transaction, nodeId));
        List<Command> asked = new ArrayList<>(commands.size());
        commands.forEach(pending -> asked.add(pending.command()));
        ControlLoop.Step step = current.loop.step(transaction, now, asked);
        Instant nextWake = step.nextWake();
        current.wakeNanos = nextWake == null
                ? null
                : Long.valueOf(
                        current.lastNanos + Duration.between(now, nextWake).toNanos());
        long baseVersion = current.head.version();
        if (!transaction.isEmpty()) {
            current.head = transaction.commit();
        }
        List<Answer> answers = new ArrayList<>(commands.size());
        for (int i = 0; i < commands.size(); i++) {
            ControlLoop.Outcome outcome = step.outcomes().get(i);
            CommandResult result = outcome.result();
            answers.add(new Answer(
                    commands.get(i),
                    result == null ? null : new Executed(refreshed(result, current.head), current.head.version()),
                    outcome.refusal()));
        }
        if (transaction.isEmpty()) {
            if (!answers.isEmpty()) {
                // The answers may rest on entries that are still on their way.
                var _ = current.committed
                        .thenCompose(done -> stillLeading(current.term))
                        .whenComplete((done, failure) -> finish(answers, failure));
            }
            return;
        }
        LogEntry entry = LogEntry.newBuilder()
                .setBaseVersion(baseVersion)
                .setAt(Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
                .addTransactions(transaction.toLog())
                .build();
        synchronized (lock) {
            proposals++;
        }
        ByteString bytes = entry.toByteString();
        store.decided(bytes, transaction);
        CompletableFuture<Long> proposed = consensus.propose(current.term, bytes);
        current.committed = proposed.handle((index, failure) -> {
            synchronized (lock) {
                proposals--;
                failed |= failure != null;
                wake();
            }
            finish(answers, failure);
            if (failure != null) {
                throw new CompletionException(failure);
            }
            return null;
        });
    }

    /**
     * Completes when this manager still led after the call. One that was paused may have been replaced without knowing,
     * and what it refuses may be right by now; an entry would tell, but where nothing changes there is none.
     */
    private CompletableFuture<Void> stillLeading(long term) {
        return consensus.readBarrier().thenRun(() -> {
            Leadership now = consensus.leadership();
            if (!now.ready() || now.term() != term) {
                throw notLeader();
            }
        });
    }

    private static void finish(List<Answer> answers, @Nullable Throwable failure) {
        for (Answer answer : answers) {
            if (failure == null) {
                answer.give();
            } else {
                // A composed future wraps the failure once more.
                Throwable cause = failure instanceof CompletionException ? failure.getCause() : failure;
                answer.pending().answer().completeExceptionally(cause == null ? failure : cause);
            }
        }
    }

    /**
     * Returns the object of a result as it is at the end of its step, in which the control loops changed it further.
     */
    private static CommandResult refreshed(CommandResult result, ClusterState state) {
        CommandResult.Builder fresh = result.toBuilder();
        switch (result.getKindCase()) {
            case SERVICE -> {
                var found = state.services().get(result.getService().getId());
                fresh.setService(found == null ? result.getService() : found);
            }
            case NODE -> {
                var found = state.nodes().get(result.getNode().getId());
                fresh.setNode(found == null ? result.getNode() : found);
            }
            case NETWORK -> {
                var found = state.networks().get(result.getNetwork().getId());
                fresh.setNetwork(found == null ? result.getNetwork() : found);
            }
            case CLUSTER -> {
                var found = state.cluster();
                fresh.setCluster(found == null ? result.getCluster() : found);
            }
            case SECRET -> {
                var found = state.secrets().get(result.getSecret().getId());
                fresh.setSecret(found == null ? result.getSecret() : found);
            }
            case CONFIG -> {
                var found = state.configs().get(result.getConfig().getId());
                fresh.setConfig(found == null ? result.getConfig() : found);
            }
            case ID, KIND_NOT_SET -> {
                return result;
            }
        }
        return fresh.build();
    }

    private static boolean roleDiffers(Node node) {
        return node.getRole() != node.getSpec().getDesiredRole();
    }

    /** Finds the nodes that have not the role that they should have, and the members that should be none. */
    private void rolesOf(ClusterState state, Set<String> into) {
        for (Node node : state.nodes().values()) {
            if (roleDiffers(node)) {
                into.add(node.getId());
            }
        }
        for (Member member : consensus.members()) {
            Node node = state.nodes().get(member.nodeId());
            if (node != null && node.getSpec().getDesiredRole() == NodeRole.WORKER) {
                into.add(node.getId());
            }
        }
    }

    /**
     * Gives a node the role that it should have. A new manager gets its role at once, renews its certificate and then
     * asks to be a member; a former one keeps its role until it is no member any more, so that no certificate of a
     * worker can vote.
     */
    private void changeRole(Transaction transaction, String nodeId) {
        Node node = transaction.state().nodes().get(nodeId);
        if (node == null) {
            return;
        }
        NodeRole desired = node.getSpec().getDesiredRole();
        if (desired == NodeRole.MANAGER
                || consensus.members().stream().noneMatch(each -> each.nodeId().equals(nodeId))) {
            if (roleDiffers(node)) {
                transaction.put(Kind.NODE, node.toBuilder().setRole(desired).build());
            }
            return;
        }
        synchronized (lock) {
            if (!removals.add(nodeId)) {
                return;
            }
        }
        // The leader that is demoted hands over; the next leader takes it out.
        var _ = consensus.removeMember(nodeId).whenComplete((done, failure) -> {
            synchronized (lock) {
                removals.remove(nodeId);
                if (failure == null) {
                    roleChanges.add(nodeId);
                } else {
                    LOG.warn(
                            "manager {} is to be a worker, but cannot be taken out yet: {}",
                            nodeId,
                            failure.toString());
                    roleRetryNanos = ticker.nanoTime() + RETRY.toNanos();
                }
                wake();
            }
        });
    }

    private static @Nullable Long earlier(@Nullable Long a, @Nullable Long b) {
        if (a == null || b == null) {
            return a == null ? b : a;
        }
        return a - b <= 0 ? a : b;
    }

    private static NotLeaderException notLeader() {
        return new NotLeaderException("this manager does not lead");
    }

    /** Decides nothing more; commands that wait are sent elsewhere by their callers. */
    @Override
    public void close() {
        List<Pending> refused;
        synchronized (lock) {
            closed = true;
            refused = new ArrayList<>(waiting);
            waiting.clear();
            if (alarm != null) {
                alarm.cancel(false);
            }
        }
        refused.forEach(pending -> pending.answer().completeExceptionally(notLeader()));
    }
}
