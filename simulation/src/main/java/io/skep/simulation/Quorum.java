package io.skep.simulation;

import io.skep.store.Consensus.Member;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The managers that agree on one log, seen from outside: who may lead, what is committed, and what messages between
 * them suffer.
 *
 * <p>Elections are held here, with the knowledge of all logs, by the rules of Raft: a leader has the votes of a
 * majority that it reaches and whose logs are not ahead of its own. So they can be held whenever they hurt most.
 * Everything else goes by messages, which are lost, repeated and overtaken. Whatever anybody takes for committed is
 * compared with the one history.
 */
final class Quorum {
    /** Moments at which a leader may lose its office. */
    enum Moment {
        /** An entry was appended by the leader, and is on nobody's disk. */
        PROPOSED,
        /** A follower has the entry on its disk, and the leader has not heard of it. */
        REPLICATED,
        /** The leader knows that an entry is committed, and has not applied it. */
        COMMITTED,
        /** The leader applied an entry, and nobody else knows that it is committed. */
        APPLIED,
        /** A new leader was elected, and is not ready yet. */
        ELECTED
    }

    private static final long CHECK_NANOS = 50_000_000;
    private static final long ELECTION_MIN_NANOS = 150_000_000;
    private static final int ELECTION_SPREAD_NANOS = 900_000_000;
    private static final int LOST_IN = 100;

    private record Voted(long term, @Nullable Object data) {}

    private final VirtualTime time;
    private final SimulatedNetwork network;
    private final Random random;
    private final Trace trace;
    private final Verdict verdict;
    private final Map<String, SimulatedConsensus> live = new LinkedHashMap<>();
    private final List<Voted> history = new ArrayList<>();
    private final EnumMap<Moment, Integer> armed = new EnumMap<>(Moment.class);
    private long lastTerm;
    private long leaderlessSince = -1;
    private long patienceNanos;
    private boolean messagesSuffer = true;
    private int elections;

    Quorum(VirtualTime time, SimulatedNetwork network, Random random, Trace trace, Verdict verdict) {
        this.time = time;
        this.network = network;
        this.random = random;
        this.trace = trace;
        this.verdict = verdict;
        time.afterNanos(CHECK_NANOS, this::check);
    }

    VirtualTime time() {
        return time;
    }

    Random random() {
        return random;
    }

    Trace trace() {
        return trace;
    }

    Verdict verdict() {
        return verdict;
    }

    int elections() {
        return elections;
    }

    /** From now on no message is lost for no reason, and nobody loses office for none. */
    void calm() {
        messagesSuffer = false;
        armed.clear();
    }

    void join(SimulatedConsensus consensus) {
        live.put(consensus.selfId(), consensus);
    }

    void leave(SimulatedConsensus consensus) {
        live.remove(consensus.selfId(), consensus);
    }

    @Nullable
    SimulatedConsensus live(String nodeId) {
        return live.get(nodeId);
    }

    /** Returns the manager that leads in the newest term, if there is one. */
    @Nullable
    SimulatedConsensus leader() {
        SimulatedConsensus found = null;
        for (SimulatedConsensus each : live.values()) {
            if (each.leads() && (found == null || each.term() > found.term())) {
                found = each;
            }
        }
        return found;
    }

    /** Carries a message between managers, if it gets through. */
    void send(SimulatedConsensus from, String to, Consumer<SimulatedConsensus> message) {
        SimulatedConsensus target = live.get(to);
        if (target == null || !network.passes(from.host(), target.host())) {
            return;
        }
        if (messagesSuffer && random.nextInt(LOST_IN) == 0) {
            return;
        }
        int copies = messagesSuffer && random.nextInt(LOST_IN) == 0 ? 2 : 1;
        for (int i = 0; i < copies; i++) {
            time.afterNanos(network.latencyNanos(from.host(), target.host()), () -> {
                if (live.get(to) == target && network.passes(from.host(), target.host())) {
                    target.process().run(() -> message.accept(target));
                }
            });
        }
    }

    /** Somebody takes an entry for committed. */
    void committed(String who, long index, LogDisk.Entry entry) {
        int at = (int) index - 1;
        Voted now = new Voted(entry.term(), entry.data() == null ? entry.members() : entry.data());
        if (at < history.size()) {
            if (!history.get(at).equals(now)) {
                throw verdict.broken(
                        "one history", who + " takes another entry for number " + index + " than was committed");
            }
        } else if (at == history.size()) {
            history.add(now);
        } else {
            throw verdict.broken("one history", who + " takes entry " + index + " for committed before " + at);
        }
    }

    long committedLast() {
        return history.size();
    }

    /** Lets the leader lose its office when it comes to this moment for the so many-th time from now. */
    void arm(Moment moment, int count) {
        armed.put(moment, count);
    }

    void reached(Moment moment) {
        Integer left = armed.get(moment);
        if (left == null) {
            return;
        }
        if (left > 1) {
            armed.put(moment, left - 1);
        } else {
            armed.remove(moment);
            trace.say("fault", "", () -> "the leader loses its office: an entry is " + moment);
            depose();
        }
    }

    /** Elects another leader although there is one. */
    void depose() {
        SimulatedConsensus old = leader();
        elect(candidate -> candidate != old);
    }

    /** Hands leadership to the best other voter; returns whether there was one. */
    boolean transfer(SimulatedConsensus from) {
        return elect(candidate -> candidate != from);
    }

    private void check() {
        time.afterNanos(CHECK_NANOS, this::check);
        SimulatedConsensus leader = leader();
        if (leader != null && hasMajority(leader)) {
            leaderlessSince = -1;
            return;
        }
        if (leaderlessSince < 0) {
            leaderlessSince = time.nanos();
            patienceNanos = ELECTION_MIN_NANOS + random.nextInt(ELECTION_SPREAD_NANOS);
        } else if (time.nanos() - leaderlessSince >= patienceNanos) {
            elect(candidate -> true);
            leaderlessSince = -1;
        }
    }

    private boolean reach(SimulatedConsensus one, SimulatedConsensus other) {
        return network.passes(one.host(), other.host())
                && network.passes(other.host(), one.host())
                && !one.process().isStopped()
                && !other.process().isStopped();
    }

    private boolean hasMajority(SimulatedConsensus leader) {
        int voters = 0;
        int reached = 0;
        for (Member member : leader.disk().members()) {
            if (member.voter()) {
                voters++;
                SimulatedConsensus other = live.get(member.nodeId());
                reached += other != null && reach(leader, other) ? 1 : 0;
            }
        }
        return reached > voters / 2;
    }

    private interface Eligible {
        boolean test(SimulatedConsensus candidate);
    }

    private boolean elect(Eligible eligible) {
        List<SimulatedConsensus> candidates = new ArrayList<>();
        for (SimulatedConsensus each : live.values()) {
            if (eligible.test(each) && !voters(each).isEmpty()) {
                candidates.add(each);
            }
        }
        if (candidates.isEmpty()) {
            return false;
        }
        SimulatedConsensus chosen = candidates.get(random.nextInt(candidates.size()));
        List<SimulatedConsensus> voters = voters(chosen);
        // A leader whose vote is not needed goes on believing in itself until it hears of the new one.
        List<SimulatedConsensus> others = voters.stream()
                .filter(voter -> voter == chosen || !voter.leads())
                .toList();
        if (others.size()
                > chosen.disk().members().stream().filter(Member::voter).count() / 2) {
            voters = others;
        }
        lastTerm++;
        elections++;
        for (SimulatedConsensus voter : voters) {
            voter.voted(lastTerm);
        }
        for (int i = 0; i < history.size(); i++) {
            long index = i + 1L;
            if (chosen.disk().has(index)
                    && chosen.disk().entry(index).term() != history.get(i).term()) {
                throw verdict.broken("one history", chosen.selfId() + " was elected without committed entry " + index);
            }
        }
        if (chosen.disk().last() < history.size()) {
            throw verdict.broken("one history", chosen.selfId() + " was elected without all committed entries");
        }
        chosen.lead(lastTerm);
        reached(Moment.ELECTED);
        return true;
    }

    /** Returns a majority that would vote for the candidate, or nobody when there is none. */
    private List<SimulatedConsensus> voters(SimulatedConsensus candidate) {
        if (candidate.process().isStopped()) {
            return List.of();
        }
        List<SimulatedConsensus> found = new ArrayList<>();
        int voters = 0;
        boolean isVoter = false;
        for (Member member : candidate.disk().members()) {
            if (!member.voter()) {
                continue;
            }
            voters++;
            SimulatedConsensus other = live.get(member.nodeId());
            isVoter |= other == candidate;
            if (other != null && reach(candidate, other) && !isAhead(other.disk(), candidate.disk())) {
                found.add(other);
            }
        }
        return isVoter && found.size() > voters / 2 ? found : List.of();
    }

    private static boolean isAhead(LogDisk one, LogDisk other) {
        return one.lastTerm() != other.lastTerm() ? one.lastTerm() > other.lastTerm() : one.last() > other.last();
    }
}
