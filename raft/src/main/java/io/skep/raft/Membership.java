package io.skep.raft;

import io.skep.wire.RaftMember;
import io.skep.wire.RaftMembership;
import java.util.Collection;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/** Who belongs to the quorum, immutable. */
final class Membership {
    static final Membership EMPTY = new Membership(new TreeMap<>());

    private final SortedMap<String, RaftMember> members;
    private final int voters;

    private Membership(SortedMap<String, RaftMember> members) {
        this.members = members;
        this.voters =
                (int) members.values().stream().filter(RaftMember::getVoter).count();
    }

    static Membership of(RaftMembership wire) {
        SortedMap<String, RaftMember> members = new TreeMap<>();
        wire.getMembersList().forEach(member -> members.put(member.getNodeId(), member));
        return new Membership(members);
    }

    RaftMembership toWire() {
        return RaftMembership.newBuilder().addAllMembers(members.values()).build();
    }

    Collection<RaftMember> members() {
        return members.values();
    }

    @Nullable
    RaftMember get(String nodeId) {
        return members.get(nodeId);
    }

    boolean isVoter(String nodeId) {
        RaftMember member = members.get(nodeId);
        return member != null && member.getVoter();
    }

    /** Returns whether what a node says under an incarnation counts in the quorum. */
    boolean isVoter(String nodeId, long incarnation) {
        RaftMember member = members.get(nodeId);
        return member != null && member.getVoter() && member.getIncarnation() == incarnation;
    }

    int voters() {
        return voters;
    }

    int quorum() {
        return voters / 2 + 1;
    }

    /** Returns the highest value that a majority of voters has reached. */
    long reachedByQuorum(ToLongFunction<String> value) {
        if (voters == 0) {
            return 0;
        }
        long[] sorted = members.values().stream()
                .filter(RaftMember::getVoter)
                .mapToLong(member -> value.applyAsLong(member.getNodeId()))
                .sorted()
                .toArray();
        return sorted[voters - quorum()];
    }

    Membership with(RaftMember member) {
        SortedMap<String, RaftMember> changed = new TreeMap<>(members);
        changed.put(member.getNodeId(), member);
        return new Membership(changed);
    }

    Membership without(String nodeId) {
        SortedMap<String, RaftMember> changed = new TreeMap<>(members);
        changed.remove(nodeId);
        return new Membership(changed);
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder("[");
        for (RaftMember member : members.values()) {
            text.append(text.length() > 1 ? ", " : "")
                    .append(member.getNodeId())
                    .append(" at ")
                    .append(member.getAddress())
                    .append(member.getVoter() ? "" : " (learning)");
        }
        return text.append(']').toString();
    }
}
