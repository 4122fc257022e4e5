package io.skep.manager;

import com.google.protobuf.Timestamp;
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
import io.skep.wire.UpdateNodeRequest;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that decides while this manager leads.
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
 * <p>Threads: everything but the fields under {@link #lock} belongs to the control thread. At most
 * {@value #COMMANDS_MAX} commands wait; further callers wait until there is room, or are told to come again.
 */
final class LeaderRuntime implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LeaderRuntime.class);
    private static final int COMMANDS_MAX = 8192;
    private static final int COMMANDS_PER_STEP_MAX = 512;
    private static final int PROPOSALS_MAX = 8;
    private static final Duration RETRY = Duration.ofSeconds(1);

    /**
     * What a command led to.
     *
     * @param result what the caller gets
     * @param version version of the state that holds the effect
     */
    record Executed(CommandResult result, long version) {}

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

    private static final class Reign {
        final long term;
        final ControlLoop loop;
        ClusterState head;
        Instant last;

        @Nullable
        Instant nextWake;

        CompletableFuture<Void> committed = CompletableFuture.completedFuture(null);

        Reign(long term, ControlLoop loop, ClusterState head, Instant now) {
            this.term = term;
            this.loop = loop;
            this.head = head;
            this.last = now;
            this.nextWake = now;
        }
    }

    private final Consensus consensus;
    private final Store store;
    private final IdSource ids;
    private final InstantSource clock;
    private final Thread thread;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition work = lock.newCondition();
    private final Condition room = lock.newCondition();
    private final ArrayDeque<Pending> waiting = new ArrayDeque<>();
    private final Set<String> roleChanges = new HashSet<>();
    private final Set<String> removals = new HashSet<>();
    private @Nullable Instant roleRetry;
    private Leadership leadership;
    private int proposals;
    private boolean failed;
    private boolean closed;

    private @Nullable Reign reign;

    LeaderRuntime(Consensus consensus, Store store, IdSource ids, InstantSource clock) {
        this.consensus = consensus;
        this.store = store;
        this.ids = ids;
        this.clock = clock;
        this.leadership = consensus.leadership();
        this.thread = Thread.ofPlatform().name("skep-control").daemon().unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    /** Takes note of who leads. Called by the consensus. */
    void leadershipChanged(Leadership next) {
        lock.lock();
        try {
            leadership = next;
            work.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Looks for nodes whose role is not the one they should have. Called by the consensus for each commit. */
    void committed(Commit commit) {
        Set<String> found = null;
        for (Event<?> event : commit.events()) {
            Event<Node> changed = event.as(Kind.NODE);
            if (changed != null && changed.after() != null && roleDiffers(changed.after())) {
                found = found == null ? new HashSet<>() : found;
                found.add(changed.id());
            }
        }
        if (found != null) {
            lock.lock();
            try {
                roleChanges.addAll(found);
                work.signal();
            } finally {
                lock.unlock();
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
        try {
            if (command.hasUpdateNode()) {
                refuseLossOfQuorum(command.getUpdateNode());
            }
            enqueue(new Pending(command, answer));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            answer.completeExceptionally(e);
        } catch (RuntimeException e) {
            answer.completeExceptionally(e);
        }
        return answer;
    }

    private void enqueue(Pending pending) throws InterruptedException {
        lock.lock();
        try {
            long left = TimeUnit.SECONDS.toNanos(5);
            while (waiting.size() >= COMMANDS_MAX && !closed && left > 0) {
                left = room.awaitNanos(left);
            }
            if (closed) {
                throw notLeader();
            }
            if (waiting.size() >= COMMANDS_MAX) {
                throw new CommandException(
                        Code.RESOURCE_EXHAUSTED, "the leader is busy: " + COMMANDS_MAX + " requests wait already");
            }
            waiting.add(pending);
            work.signal();
        } finally {
            lock.unlock();
        }
    }

    private CompletableFuture<Executed> changeManager(ChangeManager change) {
        String nodeId = change.getNodeId();
        CompletableFuture<Void> changed;
        if (change.getLeave()) {
            changed = consensus.removeMember(nodeId);
        } else {
            Node node = store.state().nodes().get(nodeId);
            if (node == null || node.getSpec().getDesiredRole() != NodeRole.MANAGER) {
                return CompletableFuture.failedFuture(new CommandException(
                        Code.FAILED_PRECONDITION,
                        "node " + nodeId + " is not to be a manager: promote it, or join it with the manager token"));
            }
            if (change.getAddress().isEmpty()) {
                return CompletableFuture.failedFuture(new CommandException(
                        Code.INVALID_ARGUMENT, "manager " + nodeId + " gave no address to reach it at"));
            }
            changed = consensus.putMember(nodeId, change.getAddress());
        }
        return changed.handle((done, failure) -> {
            if (failure instanceof RefusedException refused) {
                throw new CommandException(Code.FAILED_PRECONDITION, String.valueOf(refused.getMessage()));
            }
            if (failure != null) {
                throw new CompletionException(failure);
            }
            return new Executed(
                    CommandResult.newBuilder().setId(nodeId).build(),
                    store.state().version());
        });
    }

    /** Refuses a demotion after which those managers that are there would be no majority (swarm-wire 8.5). */
    private void refuseLossOfQuorum(UpdateNodeRequest request) {
        Node node = store.state().nodes().get(request.getNodeId());
        if (node == null
                || node.getRole() != NodeRole.MANAGER
                || request.getSpec().getDesiredRole() != NodeRole.WORKER) {
            return;
        }
        List<Member> members = consensus.members();
        long others = 0;
        long reachable = 0;
        boolean member = false;
        for (Member each : members) {
            if (each.nodeId().equals(node.getId())) {
                member = true;
            } else if (each.voter()) {
                others++;
                reachable += each.reachable() || each.leader() ? 1 : 0;
            }
        }
        // The last manager is refused by the command itself, with a text of its own.
        if (member && others > 0 && reachable < others / 2 + 1) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION,
                    "can't remove member from the raft: this would result in a loss of quorum");
        }
    }

    private void run() {
        try {
            while (true) {
                List<Pending> commands = new ArrayList<>();
                Set<String> roles = new HashSet<>();
                boolean everyRole = false;
                Leadership now;
                lock.lock();
                try {
                    awaitWork();
                    if (closed) {
                        return;
                    }
                    now = leadership;
                    if (endsReign(now)) {
                        reign = null;
                    }
                    if (reign == null && (!now.ready() || proposals > 0)) {
                        // Nobody here can answer these: the callers go to whoever leads.
                        refuseWaiting();
                        continue;
                    }
                    failed = false;
                    while (!waiting.isEmpty() && commands.size() < COMMANDS_PER_STEP_MAX) {
                        commands.add(waiting.remove());
                    }
                    room.signalAll();
                    roles.addAll(roleChanges);
                    roleChanges.clear();
                    if (roleRetry != null && !roleRetry.isAfter(clock.instant())) {
                        roleRetry = null;
                        everyRole = true;
                    }
                } finally {
                    lock.unlock();
                }
                if (reign == null) {
                    reign = begin(now.term());
                    everyRole = true;
                }
                if (everyRole) {
                    rolesOf(reign.head, roles);
                }
                advance(reign, commands, roles);
            }
        } catch (InterruptedException e) {
            LOG.debug("the control thread was interrupted");
        } finally {
            lock.lock();
            try {
                closed = true;
                refuseWaiting();
                room.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    private boolean endsReign(Leadership now) {
        return reign != null && (failed || !now.ready() || now.term() != reign.term);
    }

    private void refuseWaiting() {
        for (Pending pending : waiting) {
            pending.answer().completeExceptionally(notLeader());
        }
        waiting.clear();
        room.signalAll();
    }

    /** Returns when there is something to do. Called, and returns, under the lock. */
    private void awaitWork() throws InterruptedException {
        while (!closed) {
            Reign current = reign;
            if (current == null) {
                if (!waiting.isEmpty() || (leadership.ready() && proposals == 0)) {
                    return;
                }
                work.await();
                continue;
            }
            if (endsReign(leadership)) {
                return;
            }
            if (proposals >= PROPOSALS_MAX) {
                work.await();
                continue;
            }
            if (!waiting.isEmpty() || !roleChanges.isEmpty()) {
                return;
            }
            Instant wake = earlier(current.nextWake, roleRetry);
            if (wake == null) {
                work.await();
            } else {
                long nanos = Duration.between(clock.instant(), wake).toNanos();
                if (nanos <= 0 || work.awaitNanos(nanos) <= 0) {
                    return;
                }
            }
        }
    }

    private Reign begin(long term) {
        ClusterState state = store.state();
        Instant now = clock.instant();
        LOG.info("leading in term {} from version {}", term, state.version());
        return new Reign(term, new ControlLoop(state, now, ids), state, now);
    }

    private void advance(Reign current, List<Pending> commands, Set<String> roles) {
        Instant now = clock.instant();
        if (now.isBefore(current.last)) {
            now = current.last;
        }
        current.last = now;
        try {
            step(current, commands, roles, now);
        } catch (RuntimeException e) {
            // What the loop remembers may be half changed, so it is thrown away with the reign. The commands fail with
            // the reason rather than being sent again: they would fail the next leader as well.
            LOG.error("a step of the control loop failed; it begins anew from the committed state", e);
            CommandException refusal = new CommandException(Code.UNKNOWN, "the leader failed to run the request: " + e);
            commands.forEach(pending -> pending.answer().completeExceptionally(refusal));
            lock.lock();
            try {
                failed = true;
                reign = null;
                awaitCalm();
            } finally {
                lock.unlock();
            }
        }
    }

    /** Keeps a loop that fails at once from failing at full speed. */
    private void awaitCalm() {
        try {
            long left = RETRY.toNanos();
            while (left > 0 && !closed) {
                left = work.awaitNanos(left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            closed = true;
        }
    }

    private void step(Reign current, List<Pending> commands, Set<String> roles, Instant now) {
        Transaction transaction = new Transaction(current.head, now);
        roles.forEach(nodeId -> changeRole(transaction, nodeId));
        List<Command> asked = new ArrayList<>(commands.size());
        commands.forEach(pending -> asked.add(pending.command()));
        ControlLoop.Step step = current.loop.step(transaction, now, asked);
        current.nextWake = step.nextWake();
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
            // The answers may rest on entries that are still on their way.
            var _ = current.committed.whenComplete((done, failure) -> finish(answers, failure));
            return;
        }
        LogEntry entry = LogEntry.newBuilder()
                .setBaseVersion(baseVersion)
                .setAt(Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
                .addTransactions(transaction.toLog())
                .build();
        lock.lock();
        try {
            proposals++;
        } finally {
            lock.unlock();
        }
        CompletableFuture<Long> proposed = consensus.propose(current.term, entry.toByteString());
        current.committed = proposed.handle((index, failure) -> {
            lock.lock();
            try {
                proposals--;
                failed |= failure != null;
                work.signal();
            } finally {
                lock.unlock();
            }
            finish(answers, failure);
            if (failure != null) {
                throw new CompletionException(failure);
            }
            return null;
        });
    }

    private static void finish(List<Answer> answers, @Nullable Throwable failure) {
        for (Answer answer : answers) {
            if (failure == null) {
                answer.give();
            } else {
                answer.pending().answer().completeExceptionally(failure);
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

    private static void rolesOf(ClusterState state, Set<String> into) {
        for (Node node : state.nodes().values()) {
            if (roleDiffers(node)) {
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
        if (node == null || !roleDiffers(node)) {
            return;
        }
        if (node.getSpec().getDesiredRole() == NodeRole.MANAGER) {
            transaction.put(
                    Kind.NODE, node.toBuilder().setRole(NodeRole.MANAGER).build());
            return;
        }
        boolean member = false;
        for (Member each : consensus.members()) {
            member |= each.nodeId().equals(nodeId);
        }
        if (!member) {
            transaction.put(Kind.NODE, node.toBuilder().setRole(NodeRole.WORKER).build());
            return;
        }
        lock.lock();
        try {
            if (!removals.add(nodeId)) {
                return;
            }
        } finally {
            lock.unlock();
        }
        // The leader that is demoted hands over; the next leader takes it out.
        var _ = consensus.removeMember(nodeId).whenComplete((done, failure) -> {
            lock.lock();
            try {
                removals.remove(nodeId);
                if (failure == null) {
                    roleChanges.add(nodeId);
                } else {
                    LOG.warn(
                            "manager {} is to be a worker, but cannot be taken out yet: {}",
                            nodeId,
                            failure.toString());
                    roleRetry = clock.instant().plus(RETRY);
                }
                work.signal();
            } finally {
                lock.unlock();
            }
        });
    }

    private static @Nullable Instant earlier(@Nullable Instant a, @Nullable Instant b) {
        if (a == null || b == null) {
            return a == null ? b : a;
        }
        return a.isBefore(b) ? a : b;
    }

    private static NotLeaderException notLeader() {
        return new NotLeaderException("this manager does not lead");
    }

    /** Ends the thread; commands that wait are sent elsewhere by their callers. */
    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            work.signalAll();
            room.signalAll();
        } finally {
            lock.unlock();
        }
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
