package io.skep.raft;

import io.skep.raft.LogFiles.Loaded;
import io.skep.raft.RaftStorageException.Reason;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import io.skep.wire.RaftHardState;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftMember;
import io.skep.wire.RaftSnapshotMeta;
import java.io.IOException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Opens the directory of a manager, in the ways a manager may begin or go on. */
final class RaftFiles {
    private static final SecureRandom RANDOM = new SecureRandom();

    private RaftFiles() {}

    /**
     * What a directory holds.
     *
     * @param snapshot meta data of the newest snapshot, or the default instance
     * @param notes what was repaired
     */
    record Opened(
            Disk disk,
            LogFiles logFiles,
            SnapshotFiles snapshots,
            RaftHardState hardState,
            RaftLog log,
            RaftSnapshotMeta snapshot,
            List<String> notes) {}

    /** Begins a log whose only member is this manager, with a vote. */
    static Opened bootstrap(Disk disk, RaftSettings settings) throws IOException {
        if (LogFiles.present(disk)) {
            Opened opened = load(disk, settings, false);
            if (opened.log().lastIndex() > 0) {
                opened.logFiles().close();
                throw new RaftStorageException(
                        Reason.UNEXPECTED,
                        disk.describe("") + " holds the log of a cluster already: go on with it, or let this manager"
                                + " leave first");
            }
            // An attempt that ended before its first entry was written.
            return alone(opened, settings);
        }
        create(disk, settings).close();
        return alone(load(disk, settings, false), settings);
    }

    /** Goes on with the log that is there, or makes an empty one of a manager that has no vote. */
    static Opened join(Disk disk, RaftSettings settings) throws IOException {
        if (!LogFiles.present(disk)) {
            create(disk, settings).close();
        }
        return load(disk, settings, false);
    }

    static Opened open(Disk disk, RaftSettings settings) throws IOException {
        requirePresent(disk);
        return load(disk, settings, false);
    }

    /** Goes on with the log that is there, as its only member, under a group that former members do not know. */
    static Opened forceNew(Disk disk, RaftSettings settings) throws IOException {
        requirePresent(disk);
        return alone(load(disk, settings, true), settings);
    }

    private static LogFiles create(Disk disk, RaftSettings settings) throws IOException {
        return LogFiles.create(
                disk,
                settings.keys(),
                settings.limits().segmentBytes(),
                RaftHardState.newBuilder().setIncarnation(nonZero()).build());
    }

    private static void requirePresent(Disk disk) throws IOException {
        if (!LogFiles.present(disk)) {
            throw new RaftStorageException(
                    Reason.UNEXPECTED,
                    disk.describe("") + " holds no log: start a cluster (docker swarm init), or join one");
        }
    }

    private static Opened alone(Opened opened, RaftSettings settings) throws IOException {
        RaftHardState before = opened.hardState();
        RaftHardState hardState = before.toBuilder()
                .setTerm(before.getTerm() + 1)
                .setVote(settings.selfId())
                .setGroup(nonZero())
                .build();
        Membership membership = Membership.EMPTY.with(RaftMember.newBuilder()
                .setNodeId(settings.selfId())
                .setAddress(settings.address())
                .setVoter(true)
                .setIncarnation(hardState.getIncarnation())
                .build());
        RaftEntry entry = RaftEntry.newBuilder()
                .setIndex(opened.log().lastIndex() + 1)
                .setTerm(hardState.getTerm())
                .setType(RaftEntryType.RAFT_ENTRY_TYPE_MEMBERSHIP)
                .setData(membership.toWire().toByteString())
                .build();
        opened.logFiles().write(hardState, List.of(entry));
        opened.logFiles().sync();
        opened.log().append(entry);
        return new Opened(
                opened.disk(),
                opened.logFiles(),
                opened.snapshots(),
                hardState,
                opened.log(),
                opened.snapshot(),
                opened.notes());
    }

    private static Opened load(Disk disk, RaftSettings settings, boolean lenient) throws IOException {
        SnapshotFiles snapshots = new SnapshotFiles(disk, settings.keys());
        snapshots.tidy();
        long newest = snapshots.newest();
        RaftSnapshotMeta snapshot = newest == 0 ? RaftSnapshotMeta.getDefaultInstance() : snapshots.check(newest);
        LogFiles.Opened opened =
                LogFiles.open(disk, settings.keys(), settings.limits().segmentBytes(), lenient);
        LogFiles logFiles = opened.files();
        try {
            Loaded loaded = opened.loaded();
            List<String> notes = new ArrayList<>(loaded.notes());
            if (loaded.start().getIndex() > newest) {
                throw SealedFile.damaged(
                        disk.describe(""),
                        0,
                        "the log begins after index " + loaded.start().getIndex()
                                + ", and no snapshot stands for what came before");
            }
            RaftLogStart start = loaded.start();
            List<RaftEntry> entries = loaded.entries();
            if (newest > 0 && !contains(loaded, snapshot)) {
                // The snapshot of a leader was taken over, but the log not yet begun anew behind it.
                start = RaftLogStart.newBuilder()
                        .setIndex(snapshot.getIndex())
                        .setTerm(snapshot.getTerm())
                        .build();
                entries = List.of();
                logFiles.reset(start);
                notes.add("the log goes on after the snapshot at index " + newest + ", which was taken over last");
            }
            snapshots.retain(Set.of(newest));
            RaftLog log = new RaftLog(start, entries, newest, Membership.of(snapshot.getMembership()));
            return new Opened(disk, logFiles, snapshots, loaded.hardState(), log, snapshot, notes);
        } catch (IOException | RuntimeException e) {
            logFiles.close();
            throw e;
        }
    }

    private static boolean contains(Loaded loaded, RaftSnapshotMeta snapshot) {
        long place = snapshot.getIndex() - loaded.start().getIndex() - 1;
        if (place < 0) {
            return loaded.start().getTerm() == snapshot.getTerm();
        }
        return place < loaded.entries().size()
                && loaded.entries().get((int) place).getTerm() == snapshot.getTerm();
    }

    private static long nonZero() {
        long drawn;
        do {
            drawn = RANDOM.nextLong();
        } while (drawn == 0);
        return drawn;
    }
}
