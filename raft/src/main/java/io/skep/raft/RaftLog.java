package io.skep.raft;

import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftMembership;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * The part of the log that is in memory: all entries after a start, of which index and term are known. Bounded because
 * the start follows the snapshots (see {@link RaftLimits}).
 */
final class RaftLog {
    static final long UNKNOWN_TERM = -1;

    private long startIndex;
    private long startTerm;
    private final List<RaftEntry> entries = new ArrayList<>();
    private final NavigableMap<Long, Membership> memberships = new TreeMap<>();
    private long bytes;

    /**
     * Makes a log.
     *
     * @param snapshotIndex the index at which the given membership was in force
     */
    RaftLog(RaftLogStart start, List<RaftEntry> entries, long snapshotIndex, Membership membership) {
        this.startIndex = start.getIndex();
        this.startTerm = start.getTerm();
        memberships.put(snapshotIndex, membership);
        for (RaftEntry entry : entries) {
            this.entries.add(entry);
            bytes += entry.getSerializedSize();
            if (entry.getIndex() > snapshotIndex) {
                noteMembership(entry);
            }
        }
    }

    long startIndex() {
        return startIndex;
    }

    RaftLogStart start() {
        return RaftLogStart.newBuilder().setIndex(startIndex).setTerm(startTerm).build();
    }

    long lastIndex() {
        return startIndex + entries.size();
    }

    long lastTerm() {
        return entries.isEmpty() ? startTerm : entries.getLast().getTerm();
    }

    /** Returns the term of an entry, or UNKNOWN_TERM when it is not here any more or not yet. */
    long term(long index) {
        if (index == startIndex) {
            return startTerm;
        }
        return index < startIndex || index > lastIndex()
                ? UNKNOWN_TERM
                : entry(index).getTerm();
    }

    RaftEntry entry(long index) {
        return entries.get((int) (index - startIndex - 1));
    }

    /** Returns entries from an index on: at least one if there is one, then as many as have these bytes in all. */
    List<RaftEntry> slice(long from, long to, long bytesMax) {
        List<RaftEntry> slice = new ArrayList<>();
        long total = 0;
        for (long index = from; index <= to; index++) {
            RaftEntry entry = entry(index);
            total += entry.getSerializedSize();
            if (!slice.isEmpty() && total > bytesMax) {
                break;
            }
            slice.add(entry);
        }
        return slice;
    }

    void append(RaftEntry entry) {
        if (entry.getIndex() != lastIndex() + 1) {
            throw new IllegalStateException(
                    "entry " + entry.getIndex() + " cannot follow entry " + lastIndex() + " of the log");
        }
        entries.add(entry);
        bytes += entry.getSerializedSize();
        noteMembership(entry);
    }

    /** Forgets the entry at an index and all after it. */
    void truncate(long from) {
        List<RaftEntry> tail = entries.subList((int) (from - startIndex - 1), entries.size());
        for (RaftEntry entry : tail) {
            bytes -= entry.getSerializedSize();
        }
        tail.clear();
        memberships.tailMap(from, true).clear();
    }

    /** Forgets the entries up to an index. */
    void compact(long upTo) {
        if (upTo <= startIndex) {
            return;
        }
        long term = term(upTo);
        List<RaftEntry> head = entries.subList(0, (int) (upTo - startIndex));
        for (RaftEntry entry : head) {
            bytes -= entry.getSerializedSize();
        }
        head.clear();
        startIndex = upTo;
        startTerm = term;
        Long inForce = memberships.floorKey(upTo);
        if (inForce != null) {
            memberships.headMap(inForce, false).clear();
        }
    }

    /** Forgets everything: a snapshot takes its place. */
    void reset(long index, long term, Membership membership) {
        entries.clear();
        memberships.clear();
        bytes = 0;
        startIndex = index;
        startTerm = term;
        memberships.put(index, membership);
    }

    /** Returns the bytes of the entries after an index, up to another. */
    long bytes(long after, long upTo) {
        long total = 0;
        for (long index = Math.max(after, startIndex) + 1; index <= upTo; index++) {
            total += entry(index).getSerializedSize();
        }
        return total;
    }

    long bytes() {
        return bytes;
    }

    /** Returns the newest membership, which is in force though it may not be committed yet. */
    Membership membership() {
        return memberships.lastEntry().getValue();
    }

    long membershipIndex() {
        return memberships.lastKey();
    }

    Membership membershipAt(long index) {
        var entry = memberships.floorEntry(index);
        return entry == null ? memberships.firstEntry().getValue() : entry.getValue();
    }

    private void noteMembership(RaftEntry entry) {
        if (entry.getType() == RaftEntryType.RAFT_ENTRY_TYPE_MEMBERSHIP) {
            try {
                memberships.put(entry.getIndex(), Membership.of(RaftMembership.parseFrom(entry.getData())));
            } catch (InvalidProtocolBufferException e) {
                throw new IllegalStateException("entry " + entry.getIndex() + " of the log holds no membership", e);
            }
        }
    }
}
