package io.skep.simulation;

import com.google.protobuf.ByteString;
import io.skep.store.Consensus.Member;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one manager has of the log: a snapshot and the entries behind it. What was not synchronised is lost with the
 * power.
 */
final class LogDisk {
    /**
     * An entry.
     *
     * @param data what the state machine gets, or null
     * @param members the quorum from this entry on, or null
     */
    record Entry(
            long term, @Nullable ByteString data, @Nullable List<Member> members) {}

    /** A state as of an entry, with the quorum of then. */
    record Snapshot(long index, long term, ByteString state, List<Member> members) {}

    long term;

    @Nullable
    Snapshot snapshot;

    private long base;
    private long baseTerm;
    private final List<Entry> entries = new ArrayList<>();
    private long synced;

    long base() {
        return base;
    }

    long last() {
        return base + entries.size();
    }

    long lastTerm() {
        return entries.isEmpty() ? baseTerm : entries.getLast().term();
    }

    long synced() {
        return synced;
    }

    void synced(long index) {
        synced = Math.max(synced, Math.min(index, last()));
    }

    boolean has(long index) {
        return index > base && index <= last();
    }

    Entry entry(long index) {
        return entries.get((int) (index - base - 1));
    }

    /** Returns the term of an entry, or -1 when it is not known. */
    long termOf(long index) {
        return index == base ? baseTerm : has(index) ? entry(index).term() : -1;
    }

    List<Entry> from(long index, int countMax) {
        int first = (int) (index - base - 1);
        return List.copyOf(entries.subList(first, Math.min(entries.size(), first + countMax)));
    }

    void append(Entry entry) {
        entries.add(entry);
    }

    /** Forgets the entries behind an index. */
    void truncate(long index) {
        entries.subList((int) (index - base), entries.size()).clear();
        synced = Math.min(synced, index);
    }

    /** Forgets the entries up to an index, which a snapshot covers. */
    void compact(long index) {
        long term = termOf(index);
        entries.subList(0, (int) (index - base)).clear();
        base = index;
        baseTerm = term;
    }

    /** Begins anew behind a snapshot of the leader, or keeps what follows it. */
    void install(Snapshot installed) {
        snapshot = installed;
        if (termOf(installed.index()) == installed.term()) {
            compact(installed.index());
        } else {
            entries.clear();
            base = installed.index();
            baseTerm = installed.term();
        }
        synced = Math.max(Math.min(synced, last()), base);
    }

    void losePower() {
        truncate(Math.max(synced, base));
    }

    /** Returns the newest quorum in the log, as managers follow it. */
    List<Member> members() {
        for (int i = entries.size() - 1; i >= 0; i--) {
            List<Member> found = entries.get(i).members();
            if (found != null) {
                return found;
            }
        }
        Snapshot kept = snapshot;
        return kept == null ? List.of() : kept.members();
    }

    List<Member> membersAt(long index) {
        for (long i = index; i > base; i--) {
            List<Member> found = entry(i).members();
            if (found != null) {
                return found;
            }
        }
        Snapshot kept = snapshot;
        return kept == null ? List.of() : kept.members();
    }
}
