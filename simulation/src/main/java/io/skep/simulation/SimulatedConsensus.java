package io.skep.simulation;

import com.google.protobuf.ByteString;
import io.skep.simulation.LogDisk.Entry;
import io.skep.simulation.LogDisk.Snapshot;
import io.skep.simulation.Quorum.Moment;
import io.skep.store.Consensus;
import io.skep.store.StateMachine;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One life of a manager's part in a simulated replicated log.
 *
 * <p>It keeps to the contract of {@link Consensus} and uses all the liberty that this leaves: a leader goes on
 * believing in itself until it hears of the next one, entries whose proposer got no answer are committed nevertheless,
 * followers lag and get a snapshot instead of what they missed, what was not synchronised on a majority is gone after a
 * crash.
 */
final class SimulatedConsensus implements Consensus {
    private static final long HEARTBEAT_NANOS = 150_000_000;
    private static final long SILENCE_NANOS = 1_200_000_000;
    private static final long BARRIER_NANOS = 1_500_000_000;
    private static final long RETIRED_NANOS = 5_000_000_000L;
    private static final long SYNC_MIN_NANOS = 100_000;
    private static final int SYNC_SPREAD_NANOS = 2_000_000;
    private static final int SYNC_RARE = 100;
    private static final int SYNC_RARE_NANOS = 150_000_000;
    private static final int APPLY_SPREAD_NANOS = 300_000;
    private static final int ENTRIES_PER_MESSAGE_MAX = 32;

    private static final class Progress {
        long next;
        long match;
        long heardNanos;
        long round;

        Progress(long next, long heardNanos) {
            this.next = next;
            this.heardNanos = heardNanos;
        }
    }

    private record Proposal(long index, long term, CompletableFuture<Long> outcome) {}

    private record Reading(long round, CompletableFuture<Long> index) {}

    private record Waiting(long index, CompletableFuture<Void> applied) {}

    private final Quorum quorum;
    private final String selfId;
    private final String address;
    private final LogDisk disk;
    private final SimulatedProcess process;
    private final StateMachine machine;
    private final int snapshotEntries;
    private final List<LeadershipListener> listeners = new ArrayList<>();
    private final ArrayDeque<Proposal> proposals = new ArrayDeque<>();
    private final List<Reading> readings = new ArrayList<>();
    private final List<Waiting> waitings = new ArrayList<>();
    private final Map<String, Progress> progress = new LinkedHashMap<>();
    private final Map<String, CompletableFuture<Void>> changes = new TreeMap<>();
    private final Map<String, Long> retired = new TreeMap<>();
    private final List<Runnable> memberListeners = new ArrayList<>();
    private List<Member> toldMembers = List.of();
    private final ArrayDeque<Runnable> wanted = new ArrayDeque<>();
    private Leadership leadership;
    private long commit;
    private long applied;
    private long round;
    private long reignStart;
    private boolean leads;
    private boolean syncing;
    private boolean applying;
    private boolean snapshotting;

    SimulatedConsensus(
            Quorum quorum,
            String selfId,
            String address,
            LogDisk disk,
            SimulatedProcess process,
            StateMachine machine,
            int snapshotEntries) {
        this.quorum = quorum;
        this.selfId = selfId;
        this.address = address;
        this.disk = disk;
        this.process = process;
        this.machine = machine;
        this.snapshotEntries = snapshotEntries;
        this.leadership = new Leadership(disk.term, null, false);
        Snapshot kept = disk.snapshot;
        if (kept != null) {
            commit = kept.index();
            applied = kept.index();
            restore(kept);
        }
        quorum.join(this);
    }

    /** Begins a log of which this is the first manager. */
    void bootstrap() {
        disk.append(new Entry(0, null, List.of(new Member(selfId, address, true, false, false))));
        disk.synced(1);
    }

    LogDisk disk() {
        return disk;
    }

    SimulatedProcess process() {
        return process;
    }

    Host host() {
        return process.host();
    }

    boolean leads() {
        return leads;
    }

    long term() {
        return disk.term;
    }

    long applied() {
        return applied;
    }

    /** Returns how many callers wait for something. */
    int waiting() {
        return proposals.size() + readings.size() + waitings.size() + changes.size();
    }

    @Override
    public String selfId() {
        return selfId;
    }

    @Override
    public Leadership leadership() {
        return leadership;
    }

    @Override
    public void onLeadership(LeadershipListener listener) {
        listeners.add(listener);
    }

    private void leadership(Leadership next) {
        if (next.equals(leadership)) {
            return;
        }
        leadership = next;
        tellMembers();
        quorum.trace().say("leader", host().name(), () -> next.toString());
        // Told later, but in order: those who ask may know before those who are told.
        quorum.time()
                .afterNanos(
                        0, () -> process.run(() -> listeners.forEach(listener -> listener.leadershipChanged(next))));
    }

    // Leading

    /** Takes note of a vote that this manager gave. */
    void voted(long term) {
        if (leads) {
            resign();
        }
        disk.term = term;
        leadership(new Leadership(term, null, false));
    }

    void lead(long term) {
        resign();
        disk.term = term;
        leads = true;
        round = 0;
        long now = quorum.time().nanos();
        progress.clear();
        retired.clear();
        for (Member member : disk.members()) {
            progress.put(member.nodeId(), new Progress(disk.last() + 1, now));
        }
        disk.append(new Entry(term, null, null));
        reignStart = disk.last();
        leadership(new Leadership(term, selfId, false));
        sync();
        beat(term);
    }

    private void beat(long term) {
        if (!leads || disk.term != term) {
            return;
        }
        checkSilence();
        if (leads) {
            tellMembers();
            broadcast();
            advanceMembers();
            quorum.time().afterNanos(HEARTBEAT_NANOS, () -> process.run(() -> beat(term)));
        }
    }

    private void checkSilence() {
        int voters = 0;
        int heard = 0;
        long now = quorum.time().nanos();
        for (Member member : disk.members()) {
            if (member.voter()) {
                voters++;
                heard += member.nodeId().equals(selfId) || isHeard(member.nodeId(), now) ? 1 : 0;
            }
        }
        if (heard <= voters / 2) {
            stepDown(disk.term, null);
        }
    }

    private boolean isHeard(String nodeId, long now) {
        Progress known = progress.get(nodeId);
        return known != null && now - known.heardNanos < SILENCE_NANOS;
    }

    private void broadcast() {
        round++;
        long now = quorum.time().nanos();
        retired.values().removeIf(end -> end < now);
        for (Member member : disk.members()) {
            if (!member.nodeId().equals(selfId)) {
                replicate(member.nodeId());
            }
        }
        // Those that were taken out shall hear of it.
        retired.keySet().forEach(this::replicate);
    }

    private void replicate(String to) {
        Progress known = progress.computeIfAbsent(
                to, id -> new Progress(disk.last() + 1, quorum.time().nanos()));
        long term = disk.term;
        long upTo = commit;
        long thisRound = round;
        Snapshot kept = disk.snapshot;
        if (known.next <= disk.base() && kept != null) {
            quorum.send(this, to, target -> target.install(selfId, term, kept, thisRound));
            return;
        }
        long next = Math.min(known.next, disk.last() + 1);
        long previous = next - 1;
        long previousTerm = disk.termOf(previous);
        // One that was taken out hears of it once that is committed: if it had the entry before the others, and the
        // leader lost it, it would stand in their way and could not lead itself.
        long last = retired.containsKey(to) ? Math.max(commit, previous) : disk.last();
        List<Entry> entries = disk.from(next, (int) Math.min(ENTRIES_PER_MESSAGE_MAX, last - previous));
        quorum.send(this, to, target -> target.append(selfId, term, previous, previousTerm, entries, upTo, thisRound));
    }

    /** Makes one change of the quorum at a time. Learners that have nearly everything get a vote. */
    private void advanceMembers() {
        if (leads && membersSettled()) {
            Runnable next = wanted.poll();
            if (next != null) {
                next.run();
                return;
            }
            for (Member member : disk.members()) {
                Progress known = progress.get(member.nodeId());
                if (!member.voter() && known != null && known.match >= commit && commit > 0) {
                    changeMembers(with(member.nodeId(), member.address(), true));
                    return;
                }
            }
        }
    }

    private boolean membersSettled() {
        for (long index = disk.last(); index > commit; index--) {
            if (disk.entry(index).members() != null) {
                return false;
            }
        }
        return commit >= reignStart;
    }

    private void changeMembers(List<Member> members) {
        disk.append(new Entry(disk.term, null, members));
        tellMembers();
        sync();
        broadcast();
    }

    private List<Member> with(String nodeId, String newAddress, boolean voter) {
        List<Member> members = new ArrayList<>();
        boolean found = false;
        for (Member member : disk.members()) {
            boolean same = member.nodeId().equals(nodeId);
            found |= same;
            members.add(same ? new Member(nodeId, newAddress, voter || member.voter(), false, false) : member);
        }
        if (!found) {
            members.add(new Member(nodeId, newAddress, voter, false, false));
        }
        return List.copyOf(members);
    }

    private void acknowledged(String from, long term, long match, boolean accepted, long last, long ofRound) {
        if (term > disk.term) {
            stepDown(term, null);
        }
        if (!leads || term != disk.term) {
            return;
        }
        Progress known = progress.get(from);
        if (known == null) {
            return;
        }
        known.heardNanos = quorum.time().nanos();
        known.round = Math.max(known.round, ofRound);
        if (accepted) {
            known.match = Math.max(known.match, match);
            known.next = Math.max(known.next, known.match + 1);
            if (known.next <= disk.last()) {
                replicate(from);
            }
        } else {
            known.next = Math.max(known.match + 1, Math.min(known.next - 1, last + 1));
            replicate(from);
        }
        advanceCommit();
        answerReadings();
    }

    private void advanceCommit() {
        if (!leads) {
            return;
        }
        for (long index = disk.last(); index > commit && disk.termOf(index) == disk.term; index--) {
            if (isOnMajority(index)) {
                commitTo(index);
                quorum.reached(Moment.COMMITTED);
                if (leads && quorum.random().nextBoolean()) {
                    broadcast();
                }
                return;
            }
        }
    }

    private boolean isOnMajority(long index) {
        int voters = 0;
        int have = 0;
        for (Member member : disk.members()) {
            if (member.voter()) {
                voters++;
                Progress known = progress.get(member.nodeId());
                long match = member.nodeId().equals(selfId) ? disk.synced() : known == null ? 0 : known.match;
                have += match >= index ? 1 : 0;
            }
        }
        return have > voters / 2;
    }

    private void stepDown(long term, @Nullable String leader) {
        disk.term = Math.max(disk.term, term);
        resign();
        leadership(new Leadership(disk.term, leader, false));
    }

    private void resign() {
        if (!leads) {
            return;
        }
        leads = false;
        while (!proposals.isEmpty()) {
            proposals.remove().outcome().completeExceptionally(new OutcomeUnknownException("leadership was lost"));
        }
        List<Reading> failed = List.copyOf(readings);
        readings.clear();
        failed.forEach(reading -> reading.index().completeExceptionally(notLeader()));
        List<CompletableFuture<Void>> unanswered = List.copyOf(changes.values());
        changes.clear();
        wanted.clear();
        unanswered.forEach(change -> change.completeExceptionally(notLeader()));
    }

    // Following

    private void append(
            String leader,
            long term,
            long previous,
            long previousTerm,
            List<Entry> entries,
            long leaderCommit,
            long ofRound) {
        if (!follow(leader, term)) {
            return;
        }
        long first = previous + 1;
        if (previous >= disk.base() && disk.termOf(previous) != previousTerm) {
            long last = Math.min(disk.last(), previous - 1);
            reply(leader, 0, false, last, ofRound);
            return;
        }
        for (int i = 0; i < entries.size(); i++) {
            long index = first + i;
            if (index <= disk.base()) {
                continue;
            }
            if (disk.has(index)) {
                if (disk.termOf(index) == entries.get(i).term()) {
                    continue;
                }
                if (index <= commit) {
                    throw quorum.verdict()
                            .broken("one history", selfId + " is told to forget committed entry " + index);
                }
                disk.truncate(index - 1);
            }
            disk.append(entries.get(i));
        }
        tellMembers();
        long match = previous + entries.size();
        long known = Math.min(leaderCommit, match);
        if (known > commit) {
            commitTo(known);
        }
        afterSync(match, () -> {
            quorum.reached(Moment.REPLICATED);
            reply(leader, match, true, match, ofRound);
        });
    }

    /** Takes the sender for the leader, unless there is a newer one. */
    private boolean follow(String leader, long term) {
        if (term < disk.term) {
            reply(leader, 0, false, 0, 0);
            return false;
        }
        if (term > disk.term || !leader.equals(leadership.leaderId())) {
            stepDown(term, leader);
        }
        return true;
    }

    private void reply(String leader, long match, boolean accepted, long last, long ofRound) {
        long term = disk.term;
        quorum.send(this, leader, target -> target.acknowledged(selfId, term, match, accepted, last, ofRound));
    }

    private void install(String leader, long term, Snapshot sent, long ofRound) {
        if (!follow(leader, term)) {
            return;
        }
        if (sent.index() > commit) {
            quorum.trace().say("snapshot", host().name(), () -> "gets the state as of entry " + sent.index());
            disk.install(sent);
            commit = sent.index();
            applied = sent.index();
            restore(sent);
            tellMembers();
            answerWaiting();
        }
        afterSync(sent.index(), () -> reply(leader, sent.index(), true, sent.index(), ofRound));
    }

    private void restore(Snapshot from) {
        try {
            machine.restore(from.state().newInput());
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    // Disk

    private void afterSync(long index, Runnable then) {
        long term = disk.term;
        if (disk.synced() >= Math.min(index, disk.last())) {
            then.run();
            return;
        }
        quorum.time()
                .afterNanos(
                        syncNanos(),
                        () -> process.run(() -> {
                            if (disk.term == term) {
                                disk.synced(index);
                                then.run();
                            }
                        }));
    }

    private void sync() {
        if (syncing) {
            return;
        }
        syncing = true;
        long index = disk.last();
        long term = disk.term;
        quorum.reached(Moment.PROPOSED);
        quorum.time()
                .afterNanos(
                        syncNanos(),
                        () -> process.run(() -> {
                            syncing = false;
                            if (leads && disk.term == term) {
                                disk.synced(index);
                                advanceCommit();
                            }
                            // A reign that began meanwhile has an entry of its own to write.
                            if (leads && disk.synced() < disk.last()) {
                                sync();
                            }
                        }));
    }

    private long syncNanos() {
        long taken = SYNC_MIN_NANOS + quorum.random().nextInt(SYNC_SPREAD_NANOS) + host().diskDelayNanos;
        return quorum.random().nextInt(SYNC_RARE) == 0 ? taken + quorum.random().nextInt(SYNC_RARE_NANOS) : taken;
    }

    // Applying

    private void commitTo(long index) {
        for (long each = commit + 1; each <= index; each++) {
            quorum.committed(selfId, each, disk.entry(each));
        }
        commit = index;
        applyLater();
    }

    private void applyLater() {
        if (!applying && applied < commit) {
            applying = true;
            quorum.time().afterNanos(quorum.random().nextInt(APPLY_SPREAD_NANOS), () -> process.run(this::apply));
        }
    }

    private void apply() {
        applying = false;
        if (applied >= commit || !disk.has(applied + 1)) {
            return;
        }
        long index = ++applied;
        Entry entry = disk.entry(index);
        ByteString data = entry.data();
        if (data != null) {
            machine.apply(index, data);
        }
        if (entry.members() != null && leads) {
            membersChanged();
        }
        if (leads) {
            quorum.reached(Moment.APPLIED);
        }
        while (!proposals.isEmpty() && proposals.peek().index() <= index) {
            Proposal proposal = proposals.remove();
            proposal.outcome().complete(proposal.index());
        }
        answerWaiting();
        if (leads && index >= reignStart && !leadership.ready()) {
            leadership(new Leadership(disk.term, selfId, true));
        }
        applyLater();
        if (applied - disk.base() >= snapshotEntries && !snapshotting) {
            takeSnapshot();
        }
    }

    /** The state is frozen now and written later, beside what is applied in the meantime. */
    private void takeSnapshot() {
        snapshotting = true;
        long index = applied;
        long term = disk.termOf(index);
        StateMachine.Snapshot frozen = machine.snapshot();
        List<Member> members = disk.membersAt(index);
        quorum.time()
                .afterNanos(
                        syncNanos(),
                        () -> process.run(() -> {
                            snapshotting = false;
                            if (index <= disk.base() || disk.synced() < index) {
                                return;
                            }
                            ByteString.Output bytes = ByteString.newOutput();
                            try {
                                frozen.writeTo(bytes);
                            } catch (IOException e) {
                                throw new IllegalStateException(e);
                            }
                            disk.snapshot = new Snapshot(index, term, bytes.toByteString(), members);
                            disk.compact(index);
                        }));
    }

    private void membersChanged() {
        List<Member> now = disk.membersAt(applied);
        for (String nodeId : List.copyOf(changes.keySet())) {
            boolean removal = nodeId.startsWith(REMOVAL);
            String id = removal ? nodeId.substring(REMOVAL.length()) : nodeId;
            Member found = null;
            for (Member member : now) {
                found = member.nodeId().equals(id) ? member : found;
            }
            if (removal ? found == null : found != null && found.voter()) {
                CompletableFuture<Void> done = changes.remove(nodeId);
                if (done != null) {
                    done.complete(null);
                }
            }
        }
    }

    // What managers ask

    @Override
    public CompletableFuture<Long> propose(long term, ByteString entry) {
        if (!leads || term != disk.term) {
            return CompletableFuture.failedFuture(notLeader());
        }
        disk.append(new Entry(term, entry, null));
        Proposal proposal = new Proposal(disk.last(), term, new CompletableFuture<>());
        proposals.add(proposal);
        quorum.time()
                .afterNanos(
                        0,
                        () -> process.run(() -> {
                            if (leads && disk.term == term) {
                                sync();
                                broadcast();
                            }
                        }));
        return proposal.outcome();
    }

    @Override
    public CompletableFuture<Void> readBarrier() {
        CompletableFuture<Void> answer = new CompletableFuture<>();
        quorum.time().afterNanos(BARRIER_NANOS, () -> process.run(() -> answer.completeExceptionally(notLeader())));
        String leader = leadership.leaderId();
        if (leads) {
            var _ = read().whenComplete((index, failure) -> reading(answer, index, failure));
        } else if (leader == null) {
            return CompletableFuture.failedFuture(notLeader());
        } else {
            quorum.send(this, leader, target -> {
                var _ = target.read().whenComplete((index, failure) -> {
                    Consumer<SimulatedConsensus> back = self -> self.reading(answer, index, failure);
                    quorum.send(target, selfId, back);
                });
            });
        }
        return answer;
    }

    private void reading(CompletableFuture<Void> answer, @Nullable Long index, @Nullable Throwable failure) {
        if (failure != null || index == null) {
            answer.completeExceptionally(failure == null ? notLeader() : failure);
        } else if (applied >= index) {
            answer.complete(null);
        } else {
            Waiting waiting = new Waiting(index, answer);
            waitings.add(waiting);
            // The entry may never come here, to a manager that was taken out.
            var _ = answer.whenComplete((done, givenUp) -> waitings.remove(waiting));
        }
    }

    /** Returns the index that a read which begins now must see. */
    private CompletableFuture<Long> read() {
        if (!leads) {
            return CompletableFuture.failedFuture(notLeader());
        }
        broadcast();
        Reading reading = new Reading(round, new CompletableFuture<>());
        readings.add(reading);
        answerReadings();
        return reading.index();
    }

    private void answerReadings() {
        // Before an entry of its own term is committed, a leader does not know what is.
        if (!leads || commit < reignStart || readings.isEmpty()) {
            return;
        }
        for (Reading reading : List.copyOf(readings)) {
            int voters = 0;
            int confirmed = 0;
            for (Member member : disk.members()) {
                if (member.voter()) {
                    voters++;
                    Progress known = progress.get(member.nodeId());
                    boolean has = known != null && known.round >= reading.round();
                    confirmed += has || member.nodeId().equals(selfId) ? 1 : 0;
                }
            }
            if (confirmed > voters / 2) {
                readings.remove(reading);
                reading.index().complete(commit);
            }
        }
    }

    private void answerWaiting() {
        if (waitings.isEmpty()) {
            return;
        }
        for (Waiting waiting : List.copyOf(waitings)) {
            if (applied >= waiting.index()) {
                waiting.applied().complete(null);
            }
        }
    }

    @Override
    public List<Member> members() {
        long now = quorum.time().nanos();
        String leader = leadership.leaderId();
        List<Member> told = new ArrayList<>();
        for (Member member : disk.members()) {
            boolean reachable = leads && (member.nodeId().equals(selfId) || isHeard(member.nodeId(), now));
            told.add(new Member(
                    member.nodeId(),
                    member.address(),
                    member.voter(),
                    member.nodeId().equals(leader),
                    reachable));
        }
        told.sort(Comparator.comparing(Member::nodeId));
        return told;
    }

    @Override
    public void onMembers(Runnable listener) {
        memberListeners.add(listener);
        quorum.time().afterNanos(0, () -> process.run(listener));
    }

    private void tellMembers() {
        List<Member> now = members();
        if (!now.equals(toldMembers)) {
            toldMembers = now;
            quorum.time().afterNanos(0, () -> process.run(() -> memberListeners.forEach(Runnable::run)));
        }
    }

    @Override
    public CompletableFuture<Void> putMember(String nodeId, String newAddress) {
        if (!leads) {
            return CompletableFuture.failedFuture(notLeader());
        }
        for (Member member : disk.members()) {
            if (member.nodeId().equals(nodeId)
                    && member.voter()
                    && member.address().equals(newAddress)) {
                return CompletableFuture.completedFuture(null);
            }
        }
        CompletableFuture<Void> done = changes.computeIfAbsent(nodeId, id -> new CompletableFuture<>());
        wanted.add(() -> {
            retired.remove(nodeId);
            if (disk.members().stream().noneMatch(each -> each.nodeId().equals(nodeId))) {
                // One that comes back begins with an empty log: what it once had does not count.
                progress.put(nodeId, new Progress(1, quorum.time().nanos()));
            }
            changeMembers(with(nodeId, newAddress, false));
        });
        return done;
    }

    private static final String REMOVAL = "-";

    @Override
    public CompletableFuture<Void> removeMember(String nodeId) {
        if (!leads) {
            return CompletableFuture.failedFuture(notLeader());
        }
        if (nodeId.equals(selfId)) {
            if (!quorum.transfer(this)) {
                return CompletableFuture.failedFuture(new RefusedException("no other manager can lead"));
            }
            return CompletableFuture.failedFuture(notLeader());
        }
        boolean known = false;
        int voters = 0;
        int reached = 0;
        long now = quorum.time().nanos();
        for (Member member : disk.members()) {
            if (member.nodeId().equals(nodeId)) {
                known = true;
            } else if (member.voter()) {
                voters++;
                reached += member.nodeId().equals(selfId) || isHeard(member.nodeId(), now) ? 1 : 0;
            }
        }
        if (!known) {
            return CompletableFuture.completedFuture(null);
        }
        if (reached <= voters / 2) {
            return CompletableFuture.failedFuture(new RefusedException("the others would be no majority"));
        }
        CompletableFuture<Void> done = changes.computeIfAbsent(REMOVAL + nodeId, id -> new CompletableFuture<>());
        wanted.add(() -> {
            retired.put(nodeId, quorum.time().nanos() + RETIRED_NANOS);
            changeMembers(disk.members().stream()
                    .filter(member -> !member.nodeId().equals(nodeId))
                    .toList());
        });
        return done;
    }

    @Override
    public CompletableFuture<Void> transferLeadership() {
        if (!leads || !quorum.transfer(this)) {
            return CompletableFuture.failedFuture(new RefusedException("no other manager can lead"));
        }
        return CompletableFuture.completedFuture(null);
    }

    private static NotLeaderException notLeader() {
        return new NotLeaderException("this manager does not lead");
    }

    /** Ends this life; with the power, what was not synchronised is lost. */
    void crash(boolean power) {
        quorum.leave(this);
        leads = false;
        if (power) {
            disk.losePower();
        }
    }

    @Override
    public void close() {
        crash(false);
    }
}
