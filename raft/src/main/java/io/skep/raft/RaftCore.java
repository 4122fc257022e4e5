package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.raft.Effect.Apply;
import io.skep.raft.Effect.Compact;
import io.skep.raft.Effect.Completed;
import io.skep.raft.Effect.Failed;
import io.skep.raft.Effect.LeadershipChanged;
import io.skep.raft.Effect.Note;
import io.skep.raft.Effect.Persist;
import io.skep.raft.Effect.ReadChunk;
import io.skep.raft.Effect.Restore;
import io.skep.raft.Effect.Rewrite;
import io.skep.raft.Effect.Send;
import io.skep.raft.Effect.TakeSnapshot;
import io.skep.raft.Effect.WriteChunk;
import io.skep.raft.RaftException.Kind;
import io.skep.wire.RaftAppend;
import io.skep.wire.RaftAppendAnswer;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import io.skep.wire.RaftHardState;
import io.skep.wire.RaftHeartbeat;
import io.skep.wire.RaftMember;
import io.skep.wire.RaftMessage;
import io.skep.wire.RaftRead;
import io.skep.wire.RaftReadAnswer;
import io.skep.wire.RaftSnapshotAnswer;
import io.skep.wire.RaftSnapshotChunk;
import io.skep.wire.RaftSnapshotMeta;
import io.skep.wire.RaftTimeoutNow;
import io.skep.wire.RaftVote;
import io.skep.wire.RaftVoteAnswer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.ToLongFunction;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The decisions of one manager in the agreement on a log, as a deterministic machine: inputs and the time go in,
 * effects come out. It has no thread, no clock and no random source of its own, so that a simulation can run whole
 * clusters from a seed.
 *
 * <p>What it upholds (Ongaro, "Consensus: Bridging Theory and Practice"): one leader per term; logs that agree in index
 * and term of an entry agree in all before it; an entry that a majority has on stable storage in the term of its leader
 * is in the log of every later leader; so all managers apply the same entries in the same order. How:
 *
 * <ul>
 *   <li><b>Nothing is promised before it is kept.</b> A vote, and an answer that entries match, leave after the write
 *       that holds them was reported as being on stable storage. A leader sends entries while it writes them itself,
 *       and counts itself among those that have them only afterwards. Entries are applied when they are committed and
 *       on stable storage here.
 *   <li><b>Elections.</b> A preliminary vote asks whether an election would be won, without disturbing anyone. Who has
 *       heard from a leader lately refuses both, unless the leader itself hands over. A manager whose connection to the
 *       leader broke forgets that it heard from it and asks at once. A leader that does not hear from a majority stops.
 *   <li><b>Who counts.</b> A vote and an acknowledgement count when the sender has a vote in the membership that this
 *       manager has newest in its log, under the incarnation that got it: a manager that lost its directory is first
 *       demoted to a learner and gets a vote for its new incarnation once it has the log again.
 *   <li><b>Membership</b> changes by one member at a time, each an entry, in force as soon as it is in the log. The
 *       next one waits until it is committed, and until the leader has committed an entry of its own term.
 *   <li><b>Reads</b> take the commit index, then wait until a majority answers a heartbeat that was sent later.
 *   <li><b>A disk that fails</b> makes the manager forget what is not on stable storage, stop leading, voting and
 *       acknowledging, and try again every second.
 * </ul>
 *
 * <p>Bounds: the log in memory by {@link RaftLimits} (snapshots), messages in flight by the window of {@link Peer},
 * entries handed to the state machine by {@link #APPLY_WINDOW_BYTES}, waiting reads by {@link #READS_MAX}, membership
 * requests by {@link #CHANGES_MAX}. Proposals are bounded by the caller.
 */
final class RaftCore {
    static final int READS_MAX = 10_000;
    static final int CHANGES_MAX = 64;
    static final long APPLY_WINDOW_BYTES = 4 << 20;

    private static final int APPEND_BYTES = 512 << 10;
    private static final long APPLY_BYTES = 1 << 20;
    private static final int STALL_MILLIS = 200;
    private static final int DISK_RETRY_MILLIS = 1000;
    private static final int SNAPSHOT_RETRY_MILLIS = 1000;
    private static final int SNAPSHOT_FAILED_RETRY_MILLIS = 10_000;
    private static final int RETIRED_MILLIS = 5000;
    private static final int CAUGHT_UP_ENTRIES = 64;
    private static final int STRANGERS_MAX = 64;

    /** What a manager is at present. */
    enum Role {
        FOLLOWER,
        PRE_CANDIDATE,
        CANDIDATE,
        LEADER
    }

    /** A member as this manager sees it. */
    record View(String nodeId, String address, boolean voter, boolean leader, boolean reachable) {}

    private record PendingWrite(long sequence, long firstIndex) {}

    private record AfterWrite(long sequence, Send send) {}

    private record Proposal(long ticket, long index) {}

    private record Handed(long index, long bytes) {}

    /** A read here that waits for an index to ask for (index unknown) or to be applied. */
    private record LocalRead(long ticket, long deadline) {}

    private record WaitingRead(LocalRead read, long index) {}

    /** A read that a leader has to confirm, of its own (peer empty) or of a peer. */
    private record LeaderRead(
            String peer, long peerReadId, @Nullable LocalRead own, long round, long index) {}

    /** A change of membership that waits for its turn, or for its commit. */
    private record Change(
            long ticket, String nodeId, @Nullable String address) {}

    private static final class Receiving {
        private final RaftSnapshotMeta meta;
        private int next;
        private boolean writing;

        private Receiving(RaftSnapshotMeta meta) {
            this.meta = meta;
        }
    }

    private final String self;
    private final String address;
    private final RaftTiming timing;
    private final RaftLimits limits;
    private final RandomGenerator random;

    private final RaftLog log;
    private long term;
    private String vote;
    private long group;
    private final long incarnation;

    private Role role = Role.FOLLOWER;
    private @Nullable String leader;
    private long now;
    private long commit;
    private long handed;
    private long durable;
    private RaftSnapshotMeta snapshot;

    private final List<Effect> effects = new ArrayList<>();
    private boolean hardStateDirty;
    private long unsavedFrom = Long.MAX_VALUE;
    private long sequence;
    private long epoch = 1;
    private final ArrayDeque<PendingWrite> pendingWrites = new ArrayDeque<>();
    private final ArrayDeque<AfterWrite> afterWrites = new ArrayDeque<>();
    private final List<Send> heldForWrite = new ArrayList<>();
    private boolean broken;
    private boolean brokenRetrying;
    private long brokenRetryMillis;

    private long electionMillis;
    private boolean contacted;
    private long contactMillis;
    private boolean postponed;
    private int attempts;
    private final Set<String> votes = new HashSet<>();
    private final Set<String> denials = new HashSet<>();
    private long ownVoteSequence = Long.MAX_VALUE;
    private boolean campaignByTransfer;

    private long leaderRound;
    private long verified;
    private long answeredMatch;
    private Set<String> unreachable = Set.of();
    private @Nullable Receiving receiving;
    private boolean installing;

    private final Map<String, Peer> peers = new TreeMap<>();
    private final Map<String, String> routes = new HashMap<>();
    private final Map<String, String> learned = new HashMap<>();
    private final Map<String, Long> heard = new HashMap<>();
    private final Set<Long> strangeGroups = new HashSet<>();

    private long firstOwnIndex;
    private long round;
    private long heartbeatMillis;
    private boolean commitToTell;
    private final ArrayDeque<Proposal> proposals = new ArrayDeque<>();
    private final ArrayDeque<Input.Propose> heldProposals = new ArrayDeque<>();
    private final ArrayDeque<Change> changes = new ArrayDeque<>();
    private final List<Change> changesInLog = new ArrayList<>();
    private @Nullable String transferTarget;
    private boolean transferSent;
    private long transferMillis;
    private final List<Long> transferTickets = new ArrayList<>();
    private final List<Long> leavingTickets = new ArrayList<>();

    private final List<LocalRead> newReads = new ArrayList<>();
    private final List<LocalRead> askedReads = new ArrayList<>();
    private long readId;
    private long readAskedMillis;
    private final List<WaitingRead> waitingReads = new ArrayList<>();
    private final List<LeaderRead> leaderReads = new ArrayList<>();

    private final ArrayDeque<Handed> handedWindow = new ArrayDeque<>();
    private long handedBytes;
    /** Snapshots that the state machine has yet to take over. */
    private final Set<Long> restoring = new HashSet<>();

    private boolean snapshotRunning;
    private long snapshotRetryMillis;
    private long bytesSinceSnapshot;
    private final List<Long> rewriteTickets = new ArrayList<>();
    private final List<Long> rewritesRunning = new ArrayList<>();

    private long toldTerm = -1;
    private @Nullable String toldLeader;
    private boolean toldReady;

    /**
     * Makes a manager from what its disk holds.
     *
     * @param snapshot meta data of its newest snapshot, which the state machine holds already, or the default instance
     * @param random decides timeouts
     */
    RaftCore(
            String self,
            String address,
            RaftTiming timing,
            RaftLimits limits,
            RandomGenerator random,
            RaftHardState hardState,
            RaftLog log,
            RaftSnapshotMeta snapshot,
            long nowMillis) {
        this.self = self;
        this.address = address;
        this.timing = timing;
        this.limits = limits;
        this.random = random;
        this.log = log;
        this.term = hardState.getTerm();
        this.vote = hardState.getVote();
        this.group = hardState.getGroup();
        this.incarnation = hardState.getIncarnation();
        this.snapshot = snapshot;
        this.commit = snapshot.getIndex();
        this.handed = commit;
        this.verified = commit;
        this.durable = log.lastIndex();
        this.now = nowMillis;
        this.readId = random.nextLong();
        electionMillis = isAlone() ? nowMillis : nowMillis + electionTimeout();
    }

    /**
     * Takes in what happened, and the time.
     *
     * @param nowMillis never before that of the call before
     * @param inputs in the order in which they happened
     * @return what is to be done, in this order
     */
    List<Effect> step(long nowMillis, List<? extends Input> inputs) {
        now = nowMillis;
        for (Input input : inputs) {
            handle(input);
        }
        tick();
        finish();
        List<Effect> result = List.copyOf(effects);
        effects.clear();
        return result;
    }

    /** Returns when step must be called though nothing happened, in the time that step is told. */
    long deadline() {
        long deadline = role == Role.LEADER ? heartbeatMillis : electionMillis;
        if (role == Role.LEADER && transferTarget != null) {
            deadline = Math.min(deadline, transferMillis);
        }
        if (broken && !brokenRetrying) {
            deadline = Math.min(deadline, brokenRetryMillis);
        }
        if (!askedReads.isEmpty() && leader != null && role != Role.LEADER) {
            deadline = Math.min(deadline, readAskedMillis + timing.heartbeatMillis());
        }
        for (List<LocalRead> reads : List.of(newReads, askedReads)) {
            if (!reads.isEmpty()) {
                deadline = Math.min(deadline, reads.getFirst().deadline());
            }
        }
        for (WaitingRead waiting : waitingReads) {
            deadline = Math.min(deadline, waiting.read().deadline());
        }
        return deadline;
    }

    Role role() {
        return role;
    }

    long term() {
        return term;
    }

    @Nullable
    String leader() {
        return leader;
    }

    long commit() {
        return commit;
    }

    RaftLog log() {
        return log;
    }

    RaftHardState hardState() {
        return RaftHardState.newBuilder()
                .setTerm(term)
                .setVote(vote)
                .setGroup(group)
                .setIncarnation(incarnation)
                .build();
    }

    /** Returns whether this manager leads and has handed out every entry of former terms to be applied. */
    boolean ready() {
        return role == Role.LEADER && handed >= firstOwnIndex;
    }

    /** Returns the members as this manager sees them. */
    List<View> views() {
        List<View> views = new ArrayList<>();
        for (RaftMember member : log.membership().members()) {
            String id = member.getNodeId();
            boolean leads = id.equals(leader);
            views.add(new View(id, member.getAddress(), member.getVoter(), leads, reachable(id)));
        }
        return views;
    }

    private boolean reachable(String id) {
        if (id.equals(self)) {
            return true;
        }
        if (role == Role.LEADER) {
            Peer peer = peers.get(id);
            return peer != null && reachable(peer);
        }
        if (leader != null && !id.equals(leader)) {
            return !unreachable.contains(id);
        }
        Long at = heard.get(id);
        return at != null && now - at <= timing.electionMaxMillis();
    }

    private boolean reachable(Peer peer) {
        return !peer.disconnected && now - peer.heardMillis <= 3L * timing.heartbeatMillis();
    }

    private void handle(Input input) {
        switch (input) {
            case Input.Received received -> receive(received.from(), received.message());
            case Input.Disconnected disconnected -> disconnected(disconnected.nodeId());
            case Input.LearnAddress hint -> routes.put(hint.nodeId(), hint.address());
            case Input.Propose propose -> propose(propose);
            case Input.Read read -> read(read.ticket());
            case Input.PutMember put -> change(new Change(put.ticket(), put.nodeId(), put.address()));
            case Input.RemoveMember remove -> change(new Change(remove.ticket(), remove.nodeId(), null));
            case Input.Transfer transfer -> transfer(transfer.ticket());
            case Input.GiveUp giveUp -> giveUp(giveUp.reason());
            case Input.Rewrite rewrite -> rewriteTickets.add(rewrite.ticket());
            case Input.Persisted persisted -> persisted(persisted.sequence());
            case Input.PersistFailed failed -> persistFailed(failed.epoch(), failed.reason());
            case Input.Applied applied -> applied(applied.index());
            case Input.SnapshotTaken taken -> snapshotTaken(taken.meta());
            case Input.SnapshotFailed failed -> snapshotFailed(failed.reason());
            case Input.ChunkRead read -> chunkRead(read);
            case Input.ChunkReadFailed failed -> chunkReadFailed(failed);
            case Input.ChunkWritten written -> chunkWritten(written);
            case Input.ChunkWriteFailed failed -> chunkWriteFailed(failed);
            case Input.Rewritten rewritten -> effects.add(new Completed(rewritten.ticket(), log.startIndex()));
            case Input.CompactionFailed failed -> note(true, "old files cannot be deleted: " + failed.reason());
            case Input.RewriteFailed failed -> effects.add(new Failed(failed.ticket(), Kind.REFUSED, failed.reason()));
        }
    }

    // Messages

    private void receive(String from, RaftMessage message) {
        if (!message.getTo().equals(self) || from.equals(self)) {
            return;
        }
        if (group == 0) {
            boolean fromLeader = switch (message.getKindCase()) {
                case HEARTBEAT, APPEND, SNAPSHOT_CHUNK -> message.getGroup() != 0;
                default -> false;
            };
            if (!fromLeader) {
                return;
            }
            group = message.getGroup();
            hardStateDirty = true;
        } else if (message.getGroup() != group) {
            if (strangeGroups.size() < STRANGERS_MAX && strangeGroups.add(message.getGroup())) {
                note(
                        true,
                        "manager " + from + " at " + message.getFromAddress() + " speaks for another cluster, or for"
                                + " this one before it was forced anew: it is not listened to; let it leave and join"
                                + " again");
            }
            return;
        }
        if (!message.getFromAddress().isEmpty()) {
            if (learned.size() >= STRANGERS_MAX) {
                learned.keySet().removeIf(id -> log.membership().get(id) == null);
                heard.keySet().removeIf(id -> log.membership().get(id) == null);
            }
            learned.put(from, message.getFromAddress());
            routes.put(from, message.getFromAddress());
        }
        heard.put(from, now);
        switch (message.getKindCase()) {
            case VOTE -> vote(from, message, message.getVote());
            case VOTE_ANSWER -> voteAnswer(from, message, message.getVoteAnswer());
            case HEARTBEAT -> heartbeat(from, message, message.getHeartbeat());
            case APPEND -> append(from, message, message.getAppend());
            case APPEND_ANSWER -> appendAnswer(from, message, message.getAppendAnswer());
            case SNAPSHOT_CHUNK -> snapshotChunk(from, message, message.getSnapshotChunk());
            case SNAPSHOT_ANSWER -> snapshotAnswer(from, message, message.getSnapshotAnswer());
            case TIMEOUT_NOW -> timeoutNow(from, message);
            case READ -> peerRead(from, message, message.getRead());
            case READ_ANSWER -> readAnswer(message.getReadAnswer());
            case PART, KIND_NOT_SET -> {
                // Parts are put together by the transport. The other is from a newer version: a message may be lost.
            }
        }
    }

    private void disconnected(String nodeId) {
        heard.remove(nodeId);
        Peer peer = peers.get(nodeId);
        if (peer != null) {
            peer.disconnected = true;
        }
        if (role == Role.FOLLOWER && nodeId.equals(leader)) {
            contacted = false;
            if (promotable()) {
                electionMillis = Math.min(electionMillis, now + 10 + random.nextInt(50));
            }
        }
    }

    // Elections

    private boolean promotable() {
        return !broken && !installing && log.membership().isVoter(self, incarnation);
    }

    private boolean isAlone() {
        return log.membership().voters() == 1 && log.membership().isVoter(self, incarnation);
    }

    private int electionTimeout() {
        return timing.electionMinMillis() + random.nextInt(timing.electionMaxMillis() - timing.electionMinMillis() + 1);
    }

    /** Returns how long a round of votes may take; longer after each that failed, for the sake of slow disks. */
    private int roundTimeout() {
        int base = Math.min(timing.electionMaxMillis(), (timing.electionMinMillis() / 4) << Math.min(attempts, 3));
        return base + random.nextInt(base);
    }

    private int retryDelay() {
        return 30 + random.nextInt(100 << Math.min(attempts, 3));
    }

    private boolean leaseActive() {
        if (role == Role.LEADER) {
            return quorumHeardSince(now - timing.leaseMillis());
        }
        return leader != null && contacted && now - contactMillis < timing.leaseMillis();
    }

    private boolean quorumHeardSince(long millis) {
        return log.membership().reachedByQuorum(id -> {
                    Peer peer = peers.get(id);
                    return id.equals(self) ? now : peer == null ? Long.MIN_VALUE : peer.heardMillis;
                })
                >= millis;
    }

    private void tick() {
        if (role == Role.LEADER) {
            if (!quorumHeardSince(now - timing.electionMaxMillis())) {
                note(true, "no majority of managers answers: this one stops leading");
                becomeFollower(term, null);
            }
        } else if (now >= electionMillis) {
            if (!promotable()) {
                leader = null;
                returnAskedReads();
                electionMillis = now + electionTimeout();
            } else if (now - electionMillis > STALL_MILLIS && !postponed && !isAlone()) {
                // This process, not the leader, was silent: its words may still be on their way in.
                postponed = true;
                electionMillis = now + timing.heartbeatMillis() + random.nextInt(timing.heartbeatMillis());
            } else {
                if (role != Role.FOLLOWER) {
                    attempts++;
                }
                askWhetherToStand();
            }
        }
        tickReads();
        if (broken && !brokenRetrying && now >= brokenRetryMillis) {
            brokenRetrying = true;
            hardStateDirty = true;
        }
    }

    private void askWhetherToStand() {
        role = Role.PRE_CANDIDATE;
        leader = null;
        contacted = false;
        returnAskedReads();
        votes.clear();
        denials.clear();
        votes.add(self);
        electionMillis = now + roundTimeout();
        if (votes.size() >= log.membership().quorum()) {
            stand(false);
            return;
        }
        for (RaftMember member : log.membership().members()) {
            if (member.getVoter() && !member.getNodeId().equals(self)) {
                send(member.getNodeId(), message().setVote(voteRequest(true, false)));
            }
        }
    }

    private void stand(boolean transfer) {
        role = Role.CANDIDATE;
        leader = null;
        contacted = false;
        returnAskedReads();
        term++;
        vote = self;
        hardStateDirty = true;
        votes.clear();
        denials.clear();
        ownVoteSequence = sequence + 1;
        campaignByTransfer = transfer;
        electionMillis = now + 2L * roundTimeout();
        for (RaftMember member : log.membership().members()) {
            if (member.getVoter() && !member.getNodeId().equals(self)) {
                sendAfterWrite(member.getNodeId(), message().setVote(voteRequest(false, transfer)));
            }
        }
    }

    private RaftVote voteRequest(boolean preliminary, boolean transfer) {
        return RaftVote.newBuilder()
                .setPreliminary(preliminary)
                .setLastIndex(log.lastIndex())
                .setLastTerm(log.lastTerm())
                .setTransfer(transfer)
                .build();
    }

    private void vote(String from, RaftMessage message, RaftVote request) {
        boolean upToDate = request.getLastTerm() > log.lastTerm()
                || (request.getLastTerm() == log.lastTerm() && request.getLastIndex() >= log.lastIndex());
        boolean able = !broken && !installing && log.lastIndex() > 0;
        if (request.getPreliminary()) {
            long asked = message.getTerm() + 1;
            boolean granted = able && asked > term && upToDate && !leaseActive();
            if (granted && role != Role.LEADER && role != Role.CANDIDATE) {
                // Two that stand at the same time would split the votes: let the one that asked try first.
                boolean equal = request.getLastTerm() == log.lastTerm() && request.getLastIndex() == log.lastIndex();
                if (role == Role.FOLLOWER || !equal || from.compareTo(self) < 0) {
                    role = Role.FOLLOWER;
                    electionMillis = Math.max(electionMillis, now + roundTimeout());
                }
            }
            send(from, message().setVoteAnswer(voteAnswer(true, granted, asked)));
            return;
        }
        if (message.getTerm() > term) {
            if (leaseActive() && !request.getTransfer()) {
                send(from, message().setVoteAnswer(voteAnswer(false, false, message.getTerm())));
                return;
            }
            becomeFollower(message.getTerm(), null);
            electionMillis = now + roundTimeout();
        }
        boolean granted = able
                && message.getTerm() == term
                && upToDate
                && role == Role.FOLLOWER
                && (vote.isEmpty() || vote.equals(from));
        if (granted) {
            if (vote.isEmpty()) {
                vote = from;
                hardStateDirty = true;
            }
            electionMillis = now + electionTimeout();
            sendAfterWrite(from, message().setVoteAnswer(voteAnswer(false, true, message.getTerm())));
        } else {
            send(from, message().setVoteAnswer(voteAnswer(false, false, message.getTerm())));
        }
    }

    private static RaftVoteAnswer voteAnswer(boolean preliminary, boolean granted, long asked) {
        return RaftVoteAnswer.newBuilder()
                .setPreliminary(preliminary)
                .setGranted(granted)
                .setAskedTerm(asked)
                .build();
    }

    private void voteAnswer(String from, RaftMessage message, RaftVoteAnswer answer) {
        if (message.getTerm() > term) {
            becomeFollower(message.getTerm(), null);
            electionMillis = now + retryDelay();
            return;
        }
        boolean expected = answer.getPreliminary()
                ? role == Role.PRE_CANDIDATE && answer.getAskedTerm() == term + 1
                : role == Role.CANDIDATE && answer.getAskedTerm() == term;
        if (!expected || !log.membership().isVoter(from, message.getIncarnation())) {
            return;
        }
        if (answer.getGranted()) {
            votes.add(from);
            countVotes();
        } else if (denials.add(from)
                && log.membership().voters() - denials.size() < log.membership().quorum()) {
            electionMillis = Math.min(electionMillis, now + retryDelay());
        }
    }

    private void countVotes() {
        if (votes.size() < log.membership().quorum()) {
            return;
        }
        if (role == Role.PRE_CANDIDATE) {
            stand(false);
        } else if (role == Role.CANDIDATE) {
            becomeLeader();
        }
    }

    private void timeoutNow(String from, RaftMessage message) {
        if (message.getTerm() == term && role != Role.LEADER && promotable()) {
            note(false, "manager " + from + " hands leadership over to this one");
            stand(true);
        }
    }

    private void becomeLeader() {
        role = Role.LEADER;
        leader = self;
        attempts = 0;
        round = 0;
        peers.clear();
        leaderReads.clear();
        receiving = null;
        append(RaftEntryType.RAFT_ENTRY_TYPE_NOTHING, ByteString.EMPTY);
        firstOwnIndex = log.lastIndex();
        adjustPeers();
        heartbeatMillis = now;
        note(
                false,
                "this manager leads in term " + term + " with " + log.membership()
                        + (campaignByTransfer ? ", which was handed over to it" : ""));
    }

    private void becomeFollower(long newTerm, @Nullable String newLeader) {
        Role before = role;
        boolean termChanged = newTerm > term;
        if (termChanged) {
            term = newTerm;
            vote = "";
            hardStateDirty = true;
        }
        boolean leaderChanged = termChanged || newLeader == null || !newLeader.equals(leader);
        role = Role.FOLLOWER;
        leader = newLeader;
        if (leaderChanged) {
            verified = commit;
            answeredMatch = 0;
            leaderRound = 0;
            unreachable = Set.of();
            returnAskedReads();
            if (!installing) {
                receiving = null;
            }
        }
        if (newLeader == null) {
            contacted = false;
        }
        electionMillis = now + electionTimeout();
        if (before == Role.LEADER) {
            stopLeading();
        }
    }

    private void stopLeading() {
        for (Proposal proposal : proposals) {
            fail(proposal.ticket(), Kind.UNKNOWN, "this manager lost leadership before the entry was committed");
        }
        proposals.clear();
        endTransfer(true, "");
        for (Change change : changes) {
            fail(change.ticket(), Kind.NOT_LEADER, "this manager does not lead any more");
        }
        changes.clear();
        for (Change change : changesInLog) {
            fail(change.ticket(), Kind.UNKNOWN, "this manager lost leadership before the change was committed");
        }
        changesInLog.clear();
        for (LeaderRead read : leaderReads) {
            if (read.own() != null) {
                newReads.add(read.own());
            }
        }
        leaderReads.clear();
        peers.clear();
    }

    /** Takes note of a word of the leader of this term. */
    private boolean fromLeader(String from, RaftMessage message) {
        if (message.getTerm() < term) {
            // Whoever still leads an old term learns of the new one.
            send(from, message().setAppendAnswer(RaftAppendAnswer.getDefaultInstance()));
            return false;
        }
        if (message.getTerm() > term || role != Role.FOLLOWER || !from.equals(leader)) {
            if (message.getTerm() == term && role == Role.LEADER) {
                throw new IllegalStateException("manager " + from + " also leads in term " + term);
            }
            becomeFollower(message.getTerm(), from);
        }
        contacted = true;
        contactMillis = now;
        postponed = false;
        attempts = 0;
        electionMillis = now + electionTimeout();
        return true;
    }

    // The follower's side of replication

    private void heartbeat(String from, RaftMessage message, RaftHeartbeat heartbeat) {
        if (!fromLeader(from, message)) {
            return;
        }
        if (heartbeat.getRound() >= leaderRound) {
            leaderRound = heartbeat.getRound();
            unreachable = Set.copyOf(heartbeat.getUnreachableList());
        }
        if (!installing) {
            commit = Math.max(commit, Math.min(heartbeat.getCommit(), verified));
        }
        answer(from);
    }

    private void append(String from, RaftMessage message, RaftAppend append) {
        if (!fromLeader(from, message)) {
            return;
        }
        leaderRound = Math.max(leaderRound, append.getRound());
        if (installing) {
            return;
        }
        if (broken) {
            answer(from);
            return;
        }
        long previous = append.getPreviousIndex();
        if (previous > commit && log.term(previous) != append.getPreviousTerm()) {
            send(
                    from,
                    message()
                            .setAppendAnswer(answer().setRejected(true)
                                    .setRejectedIndex(previous)
                                    .setHint(hint(previous))));
            return;
        }
        for (RaftEntry entry : append.getEntriesList()) {
            long index = entry.getIndex();
            if (index <= commit || log.term(index) == entry.getTerm()) {
                continue;
            }
            if (index <= log.lastIndex()) {
                log.truncate(index);
                durable = Math.min(durable, index - 1);
                verified = Math.min(verified, index - 1);
            }
            add(entry);
        }
        verified = Math.max(verified, previous + append.getEntriesCount());
        commit = Math.max(commit, Math.min(append.getCommit(), verified));
        if (durable >= verified) {
            answer(from);
        }
    }

    /** Returns the last index at which the logs may agree, seen that they do not at the given one. */
    private long hint(long previous) {
        if (previous > log.lastIndex()) {
            return log.lastIndex();
        }
        long conflicting = log.term(previous);
        long index = previous;
        while (index > commit && log.term(index) == conflicting) {
            index--;
        }
        return index;
    }

    private RaftAppendAnswer.Builder answer() {
        return RaftAppendAnswer.newBuilder()
                .setRound(leaderRound)
                .setMatch(Math.min(verified, durable))
                .setLastIndex(log.lastIndex())
                .setUnable(broken);
    }

    private void answer(String to) {
        answeredMatch = Math.min(verified, durable);
        send(to, message().setAppendAnswer(answer()));
    }

    // The leader's side of replication

    private void append(RaftEntryType type, ByteString data) {
        RaftEntry entry = RaftEntry.newBuilder()
                .setIndex(log.lastIndex() + 1)
                .setTerm(term)
                .setType(type)
                .setData(data)
                .build();
        add(entry);
    }

    private void add(RaftEntry entry) {
        Membership before = log.membership();
        log.append(entry);
        unsavedFrom = Math.min(unsavedFrom, entry.getIndex());
        if (log.membershipIndex() == entry.getIndex()) {
            for (RaftMember member : log.membership().members()) {
                RaftMember old = before.get(member.getNodeId());
                if (old == null || !old.getAddress().equals(member.getAddress())) {
                    routes.put(member.getNodeId(), member.getAddress());
                }
            }
        }
    }

    private void adjustPeers() {
        for (RaftMember member : log.membership().members()) {
            if (!member.getNodeId().equals(self)) {
                Peer peer = peers.computeIfAbsent(
                        member.getNodeId(), id -> new Peer(id, Math.max(log.lastIndex(), 1), now));
                peer.retiredMillis = 0;
            }
        }
        for (Peer peer : peers.values()) {
            if (log.membership().get(peer.id) == null && peer.retiredMillis == 0) {
                peer.retiredMillis = now + RETIRED_MILLIS;
            }
        }
    }

    private void appendAnswer(String from, RaftMessage message, RaftAppendAnswer answer) {
        Peer peer = heardFrom(from, message);
        if (peer == null) {
            return;
        }
        peer.ackedRound = Math.max(peer.ackedRound, answer.getRound());
        if (answer.getUnable()) {
            peer.unable = true;
            if (peer.mode != Peer.Mode.SNAPSHOT) {
                peer.probeFrom(peer.match + 1);
            }
            return;
        }
        peer.unable = false;
        if (peer.mode == Peer.Mode.SNAPSHOT) {
            peer.match = Math.max(peer.match, answer.getMatch());
            return;
        }
        if (answer.getRejected()) {
            boolean stale = answer.getRejectedIndex() <= peer.match
                    || (peer.mode == Peer.Mode.PROBE && answer.getRejectedIndex() != peer.next - 1);
            if (!stale) {
                peer.probeFrom(Math.max(peer.match + 1, Math.min(answer.getRejectedIndex(), answer.getHint() + 1)));
            }
            return;
        }
        if (answer.getMatch() > peer.match) {
            peer.match = answer.getMatch();
            peer.acknowledged(peer.match);
            if (peer.mode == Peer.Mode.PROBE) {
                peer.mode = Peer.Mode.REPLICATE;
                peer.probing = false;
                peer.next = peer.match + 1;
            } else {
                peer.next = Math.max(peer.next, peer.match + 1);
            }
        }
        if (peer.mode == Peer.Mode.REPLICATE
                && answer.getRound() > peer.sentRound
                && answer.getLastIndex() < peer.next - 1) {
            peer.probeFrom(peer.match + 1);
        } else if (peer.mode == Peer.Mode.REPLICATE
                && answer.getRound() > peer.sentRound
                && answer.getMatch() < peer.match) {
            // It was started again or followed nobody for a while, and does not know any more how far its log is ours.
            // Without a word from here it would only learn that with the next entry, and answer no read until then.
            peer.match = 0;
            peer.probeFrom(Math.max(log.lastIndex(), 1));
        } else if (peer.mode == Peer.Mode.PROBE && answer.getRound() > peer.sentRound + 1) {
            peer.probing = false;
        }
    }

    private @Nullable Peer heardFrom(String from, RaftMessage message) {
        if (message.getTerm() > term) {
            becomeFollower(message.getTerm(), null);
            return null;
        }
        if (role != Role.LEADER || message.getTerm() < term) {
            return null;
        }
        Peer peer = peers.get(from);
        if (peer != null) {
            peer.heardMillis = now;
            peer.disconnected = false;
            if (peer.incarnation != message.getIncarnation()) {
                if (peer.incarnation != 0) {
                    peer.match = 0;
                    peer.probeFrom(Math.max(log.lastIndex(), 1));
                }
                peer.incarnation = message.getIncarnation();
            }
        }
        return peer;
    }

    private long counted(String id, long own, ToLongFunction<Peer> value) {
        if (id.equals(self)) {
            return own;
        }
        Peer peer = peers.get(id);
        return peer != null && log.membership().isVoter(id, peer.incarnation) ? value.applyAsLong(peer) : 0;
    }

    private void advanceCommit() {
        long reached = log.membership().reachedByQuorum(id -> counted(id, durable, peer -> peer.match));
        if (reached > commit && log.term(reached) == term) {
            commit = reached;
            commitToTell = true;
        }
    }

    private void replicate(Peer peer) {
        // A member that was taken out hears of it once that is committed. If it had the entry before, and this manager
        // lost it with the power, nobody could lead: it has no vote of its own, and its log is ahead of the others.
        long last = peer.retiredMillis == 0 ? log.lastIndex() : commit;
        while (peer.mode != Peer.Mode.SNAPSHOT
                && !peer.unable
                && peer.next <= last
                && (peer.mode == Peer.Mode.PROBE ? !peer.probing : peer.windowOpen())) {
            long previous = peer.next - 1;
            long previousTerm = log.term(previous);
            if (previousTerm == RaftLog.UNKNOWN_TERM) {
                beginSnapshot(peer);
                return;
            }
            List<RaftEntry> entries = log.slice(peer.next, last, APPEND_BYTES);
            RaftAppend.Builder append = RaftAppend.newBuilder()
                    .setRound(round)
                    .setCommit(commit)
                    .setPreviousIndex(previous)
                    .setPreviousTerm(previousTerm)
                    .addAllEntries(entries);
            long bytes = 0;
            for (RaftEntry entry : entries) {
                bytes += entry.getSerializedSize();
            }
            peer.sentRound = round;
            peer.commitTold = commit;
            if (peer.mode == Peer.Mode.PROBE) {
                peer.probing = true;
            } else {
                peer.next += entries.size();
                peer.sent(peer.next - 1, bytes);
            }
            send(peer.id, message().setAppend(append));
        }
    }

    private void broadcastHeartbeat() {
        round++;
        heartbeatMillis = now + timing.heartbeatMillis();
        for (Peer peer : peers.values()) {
            sendHeartbeat(peer);
        }
    }

    private void sendHeartbeat(Peer peer) {
        RaftHeartbeat.Builder heartbeat =
                RaftHeartbeat.newBuilder().setRound(round).setCommit(Math.min(commit, peer.match));
        for (RaftMember member : log.membership().members()) {
            if (!reachable(member.getNodeId())) {
                heartbeat.addUnreachable(member.getNodeId());
            }
        }
        peer.commitTold = Math.min(commit, peer.match);
        send(peer.id, message().setHeartbeat(heartbeat));
    }

    // Proposals

    private void propose(Input.Propose propose) {
        if (role != Role.LEADER || propose.term() != term) {
            fail(
                    propose.ticket(),
                    Kind.NOT_LEADER,
                    role == Role.LEADER
                            ? "this manager leads in term " + term + ", not " + propose.term()
                            : "this manager does not lead");
        } else if (transferTarget != null) {
            heldProposals.add(propose);
        } else {
            append(RaftEntryType.RAFT_ENTRY_TYPE_DATA, propose.data());
            proposals.add(new Proposal(propose.ticket(), log.lastIndex()));
        }
    }

    // Transfer of leadership

    private void transfer(long ticket) {
        if (role != Role.LEADER) {
            fail(ticket, Kind.NOT_LEADER, "this manager does not lead");
            return;
        }
        if (transferTarget == null && !beginTransfer()) {
            fail(ticket, Kind.REFUSED, "no other manager with a vote can be reached");
            return;
        }
        transferTickets.add(ticket);
    }

    private boolean beginTransfer() {
        Peer target = successor();
        if (target == null) {
            return false;
        }
        transferTarget = target.id;
        transferSent = false;
        transferMillis = now + timing.electionMaxMillis();
        return true;
    }

    private @Nullable Peer successor() {
        Peer best = null;
        for (Peer peer : peers.values()) {
            if (log.membership().isVoter(peer.id, peer.incarnation)
                    && reachable(peer)
                    && !peer.unable
                    && (best == null || peer.match > best.match)) {
                best = peer;
            }
        }
        return best;
    }

    private void driveTransfer() {
        if (transferTarget == null) {
            return;
        }
        if (now >= transferMillis) {
            endTransfer(false, "manager " + transferTarget + " did not take over in time");
            return;
        }
        Peer target = peers.get(transferTarget);
        if (target != null && !transferSent && target.match == log.lastIndex()) {
            transferSent = true;
            send(target.id, message().setTimeoutNow(RaftTimeoutNow.getDefaultInstance()));
        }
    }

    private void endTransfer(boolean done, String reason) {
        transferTarget = null;
        for (long ticket : transferTickets) {
            if (done) {
                effects.add(new Completed(ticket, commit));
            } else {
                fail(ticket, Kind.REFUSED, reason);
            }
        }
        transferTickets.clear();
        for (long ticket : leavingTickets) {
            fail(ticket, done ? Kind.NOT_LEADER : Kind.REFUSED, done ? "leadership was handed over" : reason);
        }
        leavingTickets.clear();
        List<Input.Propose> held = new ArrayList<>(heldProposals);
        heldProposals.clear();
        for (Input.Propose propose : held) {
            propose(propose);
        }
    }

    private void giveUp(String reason) {
        if (role != Role.LEADER) {
            return;
        }
        note(true, "this manager stops leading: " + reason);
        Peer target = successor();
        if (target != null) {
            send(target.id, message().setTimeoutNow(RaftTimeoutNow.getDefaultInstance()));
        }
        becomeFollower(term, null);
    }

    // Membership

    private void change(Change change) {
        if (role != Role.LEADER) {
            fail(change.ticket(), Kind.NOT_LEADER, "this manager does not lead");
        } else if (changes.size() >= CHANGES_MAX) {
            fail(change.ticket(), Kind.REFUSED, CHANGES_MAX + " changes of managers are waiting already");
        } else {
            changes.add(change);
        }
    }

    private void driveMembership() {
        Iterator<Change> inLog = changesInLog.iterator();
        while (inLog.hasNext()) {
            Change change = inLog.next();
            if (fulfilled(change, log.membershipAt(commit))) {
                inLog.remove();
                effects.add(new Completed(change.ticket(), commit));
            }
        }
        while (!changes.isEmpty() && mayChangeMembership()) {
            begin(changes.removeFirst());
        }
        if (mayChangeMembership()) {
            RaftMember maintained = maintenance();
            if (maintained != null) {
                changeMembership(log.membership().with(maintained));
            }
        }
    }

    private boolean mayChangeMembership() {
        return role == Role.LEADER
                && commit >= firstOwnIndex
                && log.membershipIndex() <= commit
                && transferTarget == null;
    }

    private static boolean fulfilled(Change change, Membership membership) {
        if (change.address() == null) {
            return membership.get(change.nodeId()) == null;
        }
        RaftMember member = membership.get(change.nodeId());
        return member != null && member.getVoter() && member.getAddress().equals(change.address());
    }

    private void begin(Change change) {
        if (fulfilled(change, log.membership())) {
            effects.add(new Completed(change.ticket(), commit));
            return;
        }
        String newAddress = change.address();
        RaftMember known = log.membership().get(change.nodeId());
        if (newAddress != null) {
            changesInLog.add(change);
            learned.remove(change.nodeId());
            routes.put(change.nodeId(), newAddress);
            if (known == null) {
                changeMembership(log.membership()
                        .with(RaftMember.newBuilder()
                                .setNodeId(change.nodeId())
                                .setAddress(newAddress)
                                .build()));
            } else if (!known.getAddress().equals(newAddress)) {
                changeMembership(log.membership()
                        .with(known.toBuilder().setAddress(newAddress).build()));
            }
            return;
        }
        Membership rest = log.membership().without(change.nodeId());
        if (rest.voters() == 0) {
            fail(change.ticket(), Kind.REFUSED, "it is the only manager");
        } else if (known != null && known.getVoter() && !reachesQuorum(rest)) {
            fail(
                    change.ticket(),
                    Kind.REFUSED,
                    "can't remove member from the raft: this would result in a loss of quorum");
        } else if (change.nodeId().equals(self)) {
            if (beginTransfer()) {
                leavingTickets.add(change.ticket());
            } else {
                fail(change.ticket(), Kind.REFUSED, "no other manager with a vote can be reached");
            }
        } else {
            changesInLog.add(change);
            changeMembership(rest);
        }
    }

    private boolean reachesQuorum(Membership membership) {
        long count = membership.members().stream()
                .filter(member -> member.getVoter()
                        && reachable(member.getNodeId())
                        && (member.getNodeId().equals(self) || counted(member.getNodeId(), 1, peer -> 1) == 1))
                .count();
        return count >= membership.quorum();
    }

    /** Returns the next member that is to be written differently, or null when all are as they should be. */
    private @Nullable RaftMember maintenance() {
        for (RaftMember member : log.membership().members()) {
            String id = member.getNodeId();
            String current = id.equals(self) ? address : learned.get(id);
            if (current != null && !current.equals(member.getAddress())) {
                note(false, "manager " + id + " moved from " + member.getAddress() + " to " + current);
                return member.toBuilder().setAddress(current).build();
            }
            Peer peer = peers.get(id);
            if (peer == null || !reachable(peer) || peer.incarnation == 0) {
                continue;
            }
            if (!member.getVoter()
                    && peer.mode == Peer.Mode.REPLICATE
                    && peer.match + CAUGHT_UP_ENTRIES >= log.lastIndex()
                    && peer.match >= commit - CAUGHT_UP_ENTRIES) {
                note(false, "manager " + id + " has the log and gets a vote");
                return member.toBuilder()
                        .setVoter(true)
                        .setIncarnation(peer.incarnation)
                        .build();
            }
            if (member.getVoter() && peer.incarnation != member.getIncarnation()) {
                RaftMember learner =
                        member.toBuilder().setVoter(false).clearIncarnation().build();
                if (reachesQuorum(log.membership().with(learner))) {
                    note(true, "manager " + id + " lost its log: it has no vote until it has received it again");
                    return learner;
                }
            }
        }
        return null;
    }

    private void changeMembership(Membership membership) {
        append(RaftEntryType.RAFT_ENTRY_TYPE_MEMBERSHIP, membership.toWire().toByteString());
        adjustPeers();
    }

    // Reads

    private void read(long ticket) {
        if (newReads.size() + askedReads.size() + waitingReads.size() + leaderReads.size() >= READS_MAX) {
            fail(ticket, Kind.NOT_LEADER, READS_MAX + " reads are waiting for a leader already");
            return;
        }
        newReads.add(new LocalRead(ticket, now + 2L * timing.electionMaxMillis()));
    }

    private void peerRead(String from, RaftMessage message, RaftRead read) {
        if (role == Role.LEADER && message.getTerm() <= term && leaderReads.size() < READS_MAX) {
            leaderReads.add(new LeaderRead(from, read.getId(), null, 0, 0));
        }
    }

    private void readAnswer(RaftReadAnswer answer) {
        if (answer.getId() == readId && !askedReads.isEmpty()) {
            for (LocalRead read : askedReads) {
                waitingReads.add(new WaitingRead(read, answer.getIndex()));
            }
            askedReads.clear();
        }
    }

    /** Reads that a former leader was asked about are asked again. */
    private void returnAskedReads() {
        newReads.addAll(0, askedReads);
        askedReads.clear();
    }

    private void tickReads() {
        expire(newReads);
        expire(askedReads);
        Iterator<WaitingRead> waiting = waitingReads.iterator();
        while (waiting.hasNext()) {
            WaitingRead read = waiting.next();
            if (now >= read.read().deadline()) {
                waiting.remove();
                failRead(read.read());
            }
        }
        leaderReads.removeIf(read -> {
            LocalRead own = read.own();
            if (own != null && now >= own.deadline()) {
                failRead(own);
                return true;
            }
            return false;
        });
        if (!askedReads.isEmpty() && leader != null && now - readAskedMillis >= timing.heartbeatMillis()) {
            ask(leader);
        }
    }

    private void expire(List<LocalRead> reads) {
        while (!reads.isEmpty() && now >= reads.getFirst().deadline()) {
            failRead(reads.removeFirst());
        }
    }

    private void failRead(LocalRead read) {
        fail(
                read.ticket(),
                Kind.NOT_LEADER,
                "no leader confirmed a read within " + 2 * timing.electionMaxMillis() + " ms");
    }

    private void driveReads() {
        if (role == Role.LEADER) {
            for (LocalRead read : newReads) {
                leaderReads.add(new LeaderRead("", 0, read, 0, 0));
            }
            newReads.clear();
            confirmReads();
        } else if (leader != null && askedReads.isEmpty() && !newReads.isEmpty()) {
            askedReads.addAll(newReads);
            newReads.clear();
            readId++;
            ask(leader);
        }
        waitingReads.removeIf(waiting -> {
            if (waiting.index() <= handed) {
                effects.add(new Completed(waiting.read().ticket(), waiting.index()));
                return true;
            }
            return false;
        });
    }

    private void ask(String whom) {
        readAskedMillis = now;
        send(whom, message().setRead(RaftRead.newBuilder().setId(readId)));
    }

    private void confirmReads() {
        if (leaderReads.isEmpty() || commit < firstOwnIndex) {
            return;
        }
        boolean waitsForRound = false;
        for (int i = 0; i < leaderReads.size(); i++) {
            LeaderRead read = leaderReads.get(i);
            if (read.round() == 0) {
                leaderReads.set(i, new LeaderRead(read.peer(), read.peerReadId(), read.own(), round + 1, commit));
                waitsForRound = true;
            } else if (read.round() > round) {
                waitsForRound = true;
            }
        }
        if (waitsForRound && confirmedRound() >= round) {
            broadcastHeartbeat();
        }
        long confirmed = confirmedRound();
        leaderReads.removeIf(read -> {
            if (read.round() > confirmed) {
                return false;
            }
            LocalRead own = read.own();
            if (own != null) {
                waitingReads.add(new WaitingRead(own, read.index()));
            } else {
                send(
                        read.peer(),
                        message()
                                .setReadAnswer(RaftReadAnswer.newBuilder()
                                        .setId(read.peerReadId())
                                        .setIndex(read.index())));
            }
            return true;
        });
    }

    private long confirmedRound() {
        return log.membership().reachedByQuorum(id -> counted(id, round, peer -> peer.ackedRound));
    }

    // The disk

    private void persisted(long upTo) {
        while (!pendingWrites.isEmpty() && pendingWrites.getFirst().sequence() <= upTo) {
            pendingWrites.removeFirst();
        }
        durable = durableIndex();
        while (!afterWrites.isEmpty() && afterWrites.getFirst().sequence() <= upTo) {
            effects.add(afterWrites.removeFirst().send());
        }
        if (broken) {
            broken = false;
            brokenRetrying = false;
            electionMillis = isAlone() ? now : now + electionTimeout();
            note(true, "the disk can be written again: this manager takes part again");
        }
        if (role == Role.CANDIDATE && ownVoteSequence <= upTo) {
            ownVoteSequence = Long.MAX_VALUE;
            votes.add(self);
            countVotes();
        }
    }

    private long durableIndex() {
        long first = unsavedFrom;
        for (PendingWrite write : pendingWrites) {
            first = Math.min(first, write.firstIndex());
        }
        return first == Long.MAX_VALUE ? log.lastIndex() : first - 1;
    }

    private void persistFailed(long failedEpoch, String reason) {
        if (failedEpoch != epoch) {
            return;
        }
        epoch++;
        if (!broken) {
            note(
                    true,
                    "the log cannot be written: " + reason + ". Nothing is acknowledged until it can; trying again"
                            + " every second");
        }
        giveUp("its disk cannot be written: " + reason);
        durable = durableIndex();
        if (durable < log.lastIndex()) {
            log.truncate(durable + 1);
        }
        pendingWrites.clear();
        afterWrites.clear();
        heldForWrite.clear();
        unsavedFrom = Long.MAX_VALUE;
        hardStateDirty = true;
        commit = Math.min(commit, durable);
        verified = Math.min(verified, durable);
        broken = true;
        brokenRetrying = false;
        brokenRetryMillis = now + DISK_RETRY_MILLIS;
        if (role != Role.FOLLOWER) {
            becomeFollower(term, null);
        }
    }

    private void persist() {
        if (broken && !brokenRetrying) {
            return;
        }
        boolean entries = unsavedFrom <= log.lastIndex();
        if (hardStateDirty || entries) {
            sequence++;
            List<RaftEntry> unsaved = entries ? log.slice(unsavedFrom, log.lastIndex(), Long.MAX_VALUE) : List.of();
            effects.add(new Persist(sequence, epoch, hardStateDirty ? hardState() : null, unsaved));
            pendingWrites.add(new PendingWrite(sequence, unsavedFrom));
            unsavedFrom = Long.MAX_VALUE;
            hardStateDirty = false;
        }
        for (Send send : heldForWrite) {
            if (pendingWrites.isEmpty()) {
                effects.add(send);
            } else {
                afterWrites.add(new AfterWrite(sequence, send));
            }
        }
        heldForWrite.clear();
    }

    // The state machine

    private void applied(long index) {
        while (!handedWindow.isEmpty() && handedWindow.getFirst().index() <= index) {
            handedBytes -= handedWindow.removeFirst().bytes();
        }
        if (restoring.removeIf(restored -> restored <= index)) {
            compact(false);
        }
    }

    private void advanceApplication() {
        long limit = Math.min(commit, durable);
        while (handed < limit && handedBytes < APPLY_WINDOW_BYTES) {
            List<RaftEntry> entries = log.slice(handed + 1, limit, APPLY_BYTES);
            long bytes = 0;
            for (RaftEntry entry : entries) {
                bytes += entry.getSerializedSize();
            }
            handed = entries.getLast().getIndex();
            handedWindow.add(new Handed(handed, bytes));
            handedBytes += bytes;
            bytesSinceSnapshot += bytes;
            effects.add(new Apply(entries));
            while (!proposals.isEmpty() && proposals.getFirst().index() <= handed) {
                Proposal proposal = proposals.removeFirst();
                effects.add(new Completed(proposal.ticket(), proposal.index()));
            }
        }
        considerSnapshot();
    }

    private void considerSnapshot() {
        if (snapshotRunning || installing) {
            return;
        }
        long entries = handed - snapshot.getIndex();
        if (!rewriteTickets.isEmpty()) {
            rewritesRunning.addAll(rewriteTickets);
            rewriteTickets.clear();
            if (entries == 0 && handed == 0) {
                finishRewrites();
            } else {
                takeSnapshot();
            }
        } else if (entries > 0
                && (entries >= limits.snapshotEntries() || bytesSinceSnapshot >= limits.snapshotBytes())
                && now >= snapshotRetryMillis) {
            takeSnapshot();
        }
    }

    private void takeSnapshot() {
        snapshotRunning = true;
        effects.add(new TakeSnapshot(RaftSnapshotMeta.newBuilder()
                .setIndex(handed)
                .setTerm(log.term(handed))
                .setMembership(log.membershipAt(handed).toWire())
                .setId(random.nextLong())
                .build()));
    }

    private void snapshotTaken(RaftSnapshotMeta meta) {
        snapshotRunning = false;
        boolean rewriting = !rewritesRunning.isEmpty();
        if (meta.getIndex() > snapshot.getIndex()) {
            snapshot = meta;
            bytesSinceSnapshot = log.bytes(meta.getIndex(), handed);
        }
        compact(rewriting);
        if (rewriting) {
            finishRewrites();
        }
    }

    private void finishRewrites() {
        for (long ticket : rewritesRunning) {
            effects.add(
                    new Rewrite(ticket, log.start(), log.slice(log.startIndex() + 1, log.lastIndex(), Long.MAX_VALUE)));
        }
        rewritesRunning.clear();
    }

    private void snapshotFailed(String reason) {
        snapshotRunning = false;
        snapshotRetryMillis = now + SNAPSHOT_FAILED_RETRY_MILLIS;
        for (long ticket : rewritesRunning) {
            fail(ticket, Kind.REFUSED, "no snapshot can be written: " + reason);
        }
        rewritesRunning.clear();
        note(
                true,
                "no snapshot can be written: " + reason + ". The log grows until one can; trying again in "
                        + SNAPSHOT_FAILED_RETRY_MILLIS / 1000 + " s");
    }

    private void compact(boolean wholly) {
        long upTo = snapshot.getIndex();
        if (!wholly) {
            long bytes = 0;
            for (int count = 0; upTo > log.startIndex() && count < limits.trailingEntries(); count++) {
                bytes += log.entry(upTo).getSerializedSize();
                if (bytes > limits.trailingBytes()) {
                    break;
                }
                upTo--;
            }
        }
        Set<Long> inUse = new HashSet<>();
        inUse.add(snapshot.getIndex());
        inUse.addAll(restoring);
        for (Peer peer : peers.values()) {
            if (peer.mode == Peer.Mode.SNAPSHOT) {
                inUse.add(peer.snapshotIndex);
                upTo = wholly ? upTo : Math.min(upTo, peer.snapshotIndex);
            }
        }
        log.compact(upTo);
        effects.add(new Compact(log.startIndex(), Set.copyOf(inUse)));
    }

    // Snapshots for members that are behind

    private void beginSnapshot(Peer peer) {
        peer.mode = Peer.Mode.SNAPSHOT;
        peer.snapshotIndex = snapshot.getIndex();
        peer.snapshotChunk = 0;
        readChunk(peer);
        note(false, "manager " + peer.id + " is too far behind and gets the snapshot at index " + peer.snapshotIndex);
    }

    private void readChunk(Peer peer) {
        peer.snapshotReading = true;
        peer.snapshotMillis = now;
        effects.add(new ReadChunk(peer.id, peer.snapshotIndex, peer.snapshotChunk));
    }

    private void chunkRead(Input.ChunkRead read) {
        Peer peer = peers.get(read.peer());
        if (role != Role.LEADER
                || peer == null
                || peer.mode != Peer.Mode.SNAPSHOT
                || peer.snapshotIndex != read.meta().getIndex()
                || peer.snapshotChunk != read.chunk()) {
            return;
        }
        peer.snapshotReading = false;
        send(
                peer.id,
                message()
                        .setSnapshotChunk(RaftSnapshotChunk.newBuilder()
                                .setRound(round)
                                .setMeta(read.meta())
                                .setChunk(read.chunk())
                                .setData(read.data())
                                .setLast(read.last())));
    }

    private void chunkReadFailed(Input.ChunkReadFailed failed) {
        note(true, "the snapshot for manager " + failed.peer() + " cannot be read: " + failed.reason());
        Peer peer = peers.get(failed.peer());
        if (peer != null && peer.mode == Peer.Mode.SNAPSHOT) {
            peer.snapshotReading = false;
            if (peer.snapshotIndex != snapshot.getIndex()) {
                peer.probeFrom(peer.match + 1);
            }
        }
    }

    private void snapshotAnswer(String from, RaftMessage message, RaftSnapshotAnswer answer) {
        Peer peer = heardFrom(from, message);
        if (peer == null) {
            return;
        }
        peer.ackedRound = Math.max(peer.ackedRound, answer.getRound());
        if (peer.mode != Peer.Mode.SNAPSHOT || answer.getIndex() != peer.snapshotIndex) {
            return;
        }
        if (answer.getDone()) {
            peer.match = Math.max(peer.match, peer.snapshotIndex);
            peer.probeFrom(peer.match + 1);
            peer.mode = Peer.Mode.REPLICATE;
            if (peer.snapshotIndex != snapshot.getIndex()) {
                compact(false);
            }
        } else if (answer.getNextChunk() != peer.snapshotChunk && !peer.snapshotReading) {
            peer.snapshotChunk = answer.getNextChunk();
            readChunk(peer);
        }
    }

    private void tickSnapshots() {
        for (Peer peer : peers.values()) {
            if (peer.mode != Peer.Mode.SNAPSHOT || now - peer.snapshotMillis < SNAPSHOT_RETRY_MILLIS) {
                continue;
            }
            if (!reachable(peer)) {
                // Its snapshot and the log behind it are not kept for someone who is gone.
                peer.probeFrom(peer.match + 1);
                peer.probing = true;
                peer.sentRound = round;
            } else if (!peer.snapshotReading) {
                readChunk(peer);
            }
        }
    }

    private void snapshotChunk(String from, RaftMessage message, RaftSnapshotChunk chunk) {
        if (!fromLeader(from, message)) {
            return;
        }
        leaderRound = Math.max(leaderRound, chunk.getRound());
        if (installing || broken) {
            return;
        }
        RaftSnapshotMeta meta = chunk.getMeta();
        if (holds(meta)) {
            if (durable >= meta.getIndex()) {
                commit = Math.max(commit, meta.getIndex());
                verified = Math.max(verified, meta.getIndex());
                receiving = null;
                answerSnapshot(from, meta, 0, true);
            }
            return;
        }
        Receiving current = receiving;
        if (current == null || !current.meta.equals(meta)) {
            current = new Receiving(meta);
            receiving = current;
        }
        if (current.writing) {
            return;
        }
        if (chunk.getChunk() != current.next) {
            answerSnapshot(from, meta, current.next, false);
            return;
        }
        current.writing = true;
        installing = chunk.getLast();
        effects.add(new WriteChunk(meta, chunk.getChunk(), chunk.getData(), chunk.getLast()));
    }

    private boolean holds(RaftSnapshotMeta meta) {
        return meta.getIndex() <= commit || log.term(meta.getIndex()) == meta.getTerm();
    }

    private void chunkWritten(Input.ChunkWritten written) {
        RaftSnapshotMeta meta = written.meta();
        if (written.last()) {
            installing = false;
            receiving = null;
            log.reset(meta.getIndex(), meta.getTerm(), Membership.of(meta.getMembership()));
            snapshot = meta;
            bytesSinceSnapshot = 0;
            commit = meta.getIndex();
            handed = meta.getIndex();
            handedWindow.clear();
            handedBytes = 0;
            unsavedFrom = Long.MAX_VALUE;
            durable = meta.getIndex();
            verified = meta.getIndex();
            effects.add(new Restore(meta.getIndex()));
            restoring.add(meta.getIndex());
            note(false, "the log was replaced by the leader's snapshot at index " + meta.getIndex());
            if (role == Role.FOLLOWER && leader != null) {
                answerSnapshot(leader, meta, 0, true);
            }
            return;
        }
        Receiving current = receiving;
        if (current != null && current.meta.equals(meta) && current.next == written.chunk()) {
            current.writing = false;
            current.next++;
            if (leader != null && role == Role.FOLLOWER) {
                answerSnapshot(leader, meta, current.next, false);
            }
        }
    }

    private void chunkWriteFailed(Input.ChunkWriteFailed failed) {
        installing = false;
        receiving = null;
        note(true, "the leader's snapshot cannot be written: " + failed.reason() + ". It will be sent again");
    }

    private void answerSnapshot(String to, RaftSnapshotMeta meta, int nextChunk, boolean done) {
        send(
                to,
                message()
                        .setSnapshotAnswer(RaftSnapshotAnswer.newBuilder()
                                .setRound(leaderRound)
                                .setIndex(meta.getIndex())
                                .setNextChunk(nextChunk)
                                .setDone(done)));
    }

    // The end of a step

    private void finish() {
        if (role == Role.LEADER) {
            advanceCommit();
            driveTransfer();
            driveMembership();
        }
        persist();
        if (role == Role.LEADER) {
            lead();
        } else if (role == Role.FOLLOWER && leader != null && Math.min(verified, durable) > answeredMatch) {
            answer(leader);
        }
        driveReads();
        advanceApplication();
        driveReads();
        tell();
    }

    private void lead() {
        if (now >= heartbeatMillis) {
            boolean settled = log.membershipIndex() <= commit;
            peers.values().removeIf(peer -> settled && peer.retiredMillis != 0 && now >= peer.retiredMillis);
            tickSnapshots();
            broadcastHeartbeat();
        }
        for (Peer peer : peers.values()) {
            replicate(peer);
            if (commitToTell && peer.commitTold < Math.min(commit, peer.match)) {
                sendHeartbeat(peer);
            }
        }
        commitToTell = false;
    }

    private void tell() {
        boolean ready = ready();
        if (term != toldTerm || ready != toldReady || !Objects.equals(leader, toldLeader)) {
            toldTerm = term;
            toldLeader = leader;
            toldReady = ready;
            effects.add(new LeadershipChanged(term, leader, ready));
        }
    }

    private RaftMessage.Builder message() {
        return RaftMessage.newBuilder();
    }

    private void send(String to, RaftMessage.Builder message) {
        effects.add(prepared(to, message));
    }

    /** Sends a message once what is in memory now is on stable storage. */
    private void sendAfterWrite(String to, RaftMessage.Builder message) {
        heldForWrite.add(prepared(to, message));
    }

    private Send prepared(String to, RaftMessage.Builder message) {
        String route = routes.get(to);
        RaftMember member = log.membership().get(to);
        String where = route != null ? route : member != null ? member.getAddress() : "";
        return new Send(
                to,
                where,
                message.setGroup(group)
                        .setTo(to)
                        .setFromAddress(address)
                        .setTerm(term)
                        .setIncarnation(incarnation)
                        .build());
    }

    private void fail(long ticket, Kind kind, String reason) {
        effects.add(new Failed(ticket, kind, reason));
    }

    private void note(boolean warning, String text) {
        effects.add(new Note(warning, text));
    }
}
