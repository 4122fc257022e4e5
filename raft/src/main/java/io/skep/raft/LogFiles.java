package io.skep.raft;

import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.raft.RaftStorageException.Reason;
import io.skep.raft.SealedFile.BadFrameException;
import io.skep.raft.SealedFile.Frame;
import io.skep.raft.SealedFile.Purpose;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftHardState;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftRecord;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The log on disk: a row of numbered segment files, to which records are only ever appended.
 *
 * <p>Reading the records in order gives hard state and log: an entry replaces all with its or a higher index, a reset
 * record forgets the log before it. So nothing that was written is changed, and a crash can only cost what was not
 * synced. A segment appears under its name when its first record, which repeats the hard state, is on stable storage;
 * the oldest segments go when a snapshot stands for all their entries.
 *
 * <p>After a write that failed the last segment is cut back to what was synced before anything else is written. Used by
 * one thread.
 */
final class LogFiles implements AutoCloseable {
    private static final String PREFIX = "log-";
    private static final String TEMPORARY = ".tmp";
    private static final int RECORD = 1;

    /** Entries are split into records of about this size, so that damage and memory stay small. */
    private static final int RECORD_BYTES = 1 << 20;

    /**
     * What the files say.
     *
     * @param hardState the last one
     * @param start where the log begins: its first entry has the next index
     * @param entries all entries, without gap
     * @param notes what was repaired, for the operator
     */
    record Loaded(RaftHardState hardState, RaftLogStart start, List<RaftEntry> entries, List<String> notes) {
        RaftLogStart end() {
            return entries.isEmpty() ? start : position(entries.getLast());
        }
    }

    private static final class Segment {
        private final long number;
        private long lastIndex;

        private Segment(long number, long lastIndex) {
            this.number = number;
            this.lastIndex = lastIndex;
        }

        private String name() {
            return LogFiles.name(number);
        }
    }

    private final Disk disk;
    private final KeyRing keys;
    private final long segmentBytes;
    private final List<Segment> segments;
    private @Nullable SealedFile current;
    private RaftHardState hardState;
    private RaftLogStart end;
    private RaftHardState syncedHardState;
    private RaftLogStart syncedEnd;
    private long syncedBytes;
    private boolean torn;
    private final List<String> doomed = new ArrayList<>();

    private LogFiles(
            Disk disk,
            KeyRing keys,
            long segmentBytes,
            List<Segment> segments,
            RaftHardState hardState,
            RaftLogStart end) {
        this.disk = disk;
        this.keys = keys;
        this.segmentBytes = segmentBytes;
        this.segments = segments;
        this.hardState = hardState;
        this.end = end;
        this.syncedHardState = hardState;
        this.syncedEnd = end;
    }

    /** Returns whether the directory holds a log. */
    static boolean present(Disk disk) throws IOException {
        return disk.list().stream().anyMatch(name -> number(name) > 0);
    }

    /** Makes the first segment of a log. */
    static LogFiles create(Disk disk, KeyRing keys, long segmentBytes, RaftHardState hardState) throws IOException {
        RaftLogStart nowhere = RaftLogStart.getDefaultInstance();
        LogFiles files = new LogFiles(disk, keys, segmentBytes, new ArrayList<>(), hardState, nowhere);
        files.beginSegment(nowhere, null, List.of());
        return files;
    }

    /** A log that was read, open for more. */
    record Opened(LogFiles files, Loaded loaded) {}

    /**
     * Reads the log, repairs a torn tail, and goes on behind it.
     *
     * @param lenient keep what comes before damage instead of refusing it
     * @throws RaftStorageException DAMAGED or WRONG_KEY
     */
    static Opened open(Disk disk, KeyRing keys, long segmentBytes, boolean lenient) throws IOException {
        List<Long> numbers = new ArrayList<>();
        for (String name : disk.list()) {
            if (number(name) > 0) {
                numbers.add(number(name));
            } else if (name.startsWith(PREFIX) && name.endsWith(TEMPORARY)) {
                disk.delete(name);
            }
        }
        numbers.sort(null);
        Reader reader = new Reader();
        List<Segment> segments = new ArrayList<>();
        RaftStorageException damage = null;
        SealedFile last = null;
        try {
            for (int i = 0; i < numbers.size() && damage == null; i++) {
                long number = numbers.get(i);
                boolean isLast = i == numbers.size() - 1;
                if (i > 0 && number != numbers.get(i - 1) + 1) {
                    damage = SealedFile.damaged(disk.describe(name(numbers.get(i - 1) + 1)), 0, "the file is missing");
                    break;
                }
                try {
                    SealedFile file = SealedFile.open(disk, name(number), Purpose.LOG, keys);
                    try {
                        segments.add(reader.readSegment(file, number, isLast));
                    } catch (IOException | RuntimeException e) {
                        file.close();
                        throw e;
                    }
                    if (isLast) {
                        last = file;
                    } else {
                        file.close();
                    }
                } catch (RaftStorageException e) {
                    if (e.reason() != Reason.DAMAGED) {
                        throw e;
                    }
                    damage = e;
                }
            }
            if (damage != null && !lenient) {
                throw damage;
            }
            Loaded loaded = reader.loaded();
            LogFiles files = new LogFiles(disk, keys, segmentBytes, segments, loaded.hardState(), loaded.end());
            if (damage != null) {
                reader.notes.add(damage.getMessage() + "; as told, the log goes on without what follows index "
                        + loaded.end().getIndex() + ", and the files as they were are kept under the names damaged-*");
                files.setAside(numbers, loaded);
            } else {
                files.current = last;
                last = null;
                files.syncedBytes = files.requireCurrent().size();
            }
            return new Opened(files, reader.loaded());
        } finally {
            if (last != null) {
                last.close();
            }
        }
    }

    /** Writes a record; it counts after the next {@link #sync()}. */
    void write(@Nullable RaftHardState newHardState, List<RaftEntry> entries) throws IOException {
        if (torn) {
            repair();
        }
        SealedFile file = requireCurrent();
        if (file.size() >= segmentBytes || !file.keyId().equals(keys.current().id())) {
            sync();
            beginSegment(end, null, List.of());
        }
        try {
            if (newHardState != null) {
                hardState = newHardState;
            }
            int from = 0;
            do {
                int to = from;
                for (int bytes = 0; to < entries.size() && bytes < RECORD_BYTES; to++) {
                    bytes += entries.get(to).getSerializedSize();
                }
                RaftRecord.Builder record = RaftRecord.newBuilder().addAllEntries(entries.subList(from, to));
                if (from == 0 && newHardState != null) {
                    record.setHardState(newHardState);
                }
                append(requireCurrent(), record.build());
                from = to;
            } while (from < entries.size());
        } catch (IOException | RuntimeException e) {
            torn = true;
            throw e;
        }
    }

    /** Puts all that was written on stable storage. */
    void sync() throws IOException {
        SealedFile file = requireCurrent();
        if (file.size() == syncedBytes) {
            return;
        }
        try {
            file.sync();
        } catch (IOException | RuntimeException e) {
            torn = true;
            throw e;
        }
        syncedBytes = file.size();
        syncedHardState = hardState;
        syncedEnd = end;
    }

    /** Deletes segments that hold nothing beyond an index, the oldest first. */
    void compact(long upTo) throws IOException {
        while (segments.size() > 1 && segments.getFirst().lastIndex <= upTo) {
            disk.delete(segments.getFirst().name());
            segments.removeFirst();
        }
    }

    /** Forgets all entries: the log goes on after a position, which a snapshot on stable storage stands for. */
    void reset(RaftLogStart position) throws IOException {
        rewrite(position, List.of());
    }

    /** Writes the log anew, with these entries and no others, and deletes all older files. */
    void rewrite(RaftLogStart position, List<RaftEntry> entries) throws IOException {
        if (torn) {
            repair();
        }
        sync();
        beginSegment(position, position, entries);
        while (segments.size() > 1) {
            disk.delete(segments.getFirst().name());
            segments.removeFirst();
        }
        disk.syncDirectory();
    }

    int segmentCount() {
        return segments.size();
    }

    @Override
    public void close() throws IOException {
        SealedFile file = current;
        current = null;
        if (file != null) {
            // An empty record: if the file is whole after a clean end, its last entries are known to be.
            if (!torn) {
                file.append(RECORD, RaftRecord.getDefaultInstance().toByteArray());
                file.sync();
            }
            file.close();
        }
    }

    /** Cuts off what a failed write may have left. */
    private void repair() throws IOException {
        SealedFile file = requireCurrent();
        file.truncate(syncedBytes);
        if (!doomed.isEmpty()) {
            for (String name : doomed) {
                disk.delete(name);
            }
            disk.syncDirectory();
            doomed.clear();
        }
        hardState = syncedHardState;
        end = syncedEnd;
        torn = false;
    }

    private void append(SealedFile file, RaftRecord record) throws IOException {
        file.append(RECORD, record.toByteArray());
        if (record.hasReset()) {
            end = record.getReset();
        }
        if (record.getEntriesCount() > 0) {
            end = position(record.getEntries(record.getEntriesCount() - 1));
            Segment segment = segments.getLast();
            segment.lastIndex = Math.max(segment.lastIndex, end.getIndex());
        }
    }

    private void beginSegment(RaftLogStart start, @Nullable RaftLogStart reset, List<RaftEntry> entries)
            throws IOException {
        long number = segments.isEmpty() ? 1 : segments.getLast().number + 1;
        Segment segment = new Segment(number, start.getIndex());
        String temporary = segment.name() + TEMPORARY;
        RaftLogStart endBefore = end;
        SealedFile file = SealedFile.create(disk, temporary, Purpose.LOG, keys.current());
        segments.add(segment);
        try {
            RaftRecord.Builder first = RaftRecord.newBuilder().setStart(start).setHardState(hardState);
            if (reset != null) {
                first.setReset(reset);
            }
            append(file, first.addAllEntries(entries).build());
            file.sync();
            disk.rename(temporary, segment.name());
            disk.syncDirectory();
        } catch (IOException | RuntimeException e) {
            segments.remove(segment);
            end = endBefore;
            file.close();
            // Left under its name it would be read at the next start, after what is written from now on.
            doomed.add(temporary);
            doomed.add(segment.name());
            torn = true;
            throw e;
        }
        SealedFile before = current;
        current = file;
        syncedBytes = file.size();
        syncedHardState = hardState;
        syncedEnd = end;
        if (before != null) {
            before.close();
        }
    }

    private void setAside(List<Long> numbers, Loaded loaded) throws IOException {
        segments.clear();
        segments.add(new Segment(numbers.getLast(), 0));
        beginSegment(loaded.start(), loaded.start(), loaded.entries());
        segments.removeFirst();
        for (long number : numbers) {
            if (disk.list().contains(name(number))) {
                disk.rename(name(number), "damaged-" + name(number));
            }
        }
        disk.syncDirectory();
    }

    private SealedFile requireCurrent() {
        SealedFile file = current;
        if (file == null) {
            throw new IllegalStateException("the log is closed");
        }
        return file;
    }

    private static RaftLogStart position(RaftEntry entry) {
        return RaftLogStart.newBuilder()
                .setIndex(entry.getIndex())
                .setTerm(entry.getTerm())
                .build();
    }

    private static String name(long number) {
        return String.format("%s%012d", PREFIX, number);
    }

    private static long number(String name) {
        return name.matches("log-\\d{12}") ? Long.parseLong(name.substring(PREFIX.length())) : 0;
    }

    /** Takes in the records of all segments in order. */
    private static final class Reader {
        private RaftHardState hardState = RaftHardState.getDefaultInstance();
        private @Nullable RaftLogStart start;
        private final List<RaftEntry> entries = new ArrayList<>();
        private final List<String> notes = new ArrayList<>();

        private Loaded loaded() {
            RaftLogStart from = start == null ? RaftLogStart.getDefaultInstance() : start;
            return new Loaded(hardState, from, List.copyOf(entries), List.copyOf(notes));
        }

        private Segment readSegment(SealedFile file, long number, boolean isLast) throws IOException {
            Segment segment = new Segment(number, 0);
            byte[] bytes = file.readAll();
            int offset = file.headerBytes();
            while (offset < bytes.length) {
                Frame frame;
                try {
                    frame = file.decode(bytes, offset, bytes.length, offset);
                } catch (BadFrameException e) {
                    if (!isLast || offset == file.headerBytes() || promised(bytes, offset)) {
                        throw SealedFile.damaged(file.where(), offset, String.valueOf(e.getMessage()));
                    }
                    notes.add(file.where() + " ended in " + (bytes.length - offset) + " bytes of a write that was not"
                            + " finished (" + e.getMessage() + " at offset " + offset + "): cut off, nothing that"
                            + " was acknowledged is lost");
                    file.truncate(offset);
                    break;
                }
                take(file, frame, segment);
                offset = Math.toIntExact(frame.end());
            }
            if (offset == file.headerBytes()) {
                throw SealedFile.damaged(file.where(), offset, "its first record is missing");
            }
            file.trustAll();
            return segment;
        }

        /** Returns whether a later record says that the bytes at the offset were on stable storage. */
        private static boolean promised(byte[] bytes, int offset) {
            for (int position = offset + 1; position < bytes.length; position++) {
                if (SealedFile.promises(bytes, position, offset)) {
                    return true;
                }
            }
            return false;
        }

        private void take(SealedFile file, Frame frame, Segment segment) throws RaftStorageException {
            RaftRecord record;
            try {
                record = RaftRecord.parseFrom(frame.payload());
            } catch (InvalidProtocolBufferException e) {
                throw SealedFile.damaged(file.where(), frame.offset(), "a record holds something else");
            }
            if (record.hasStart()) {
                if (start == null) {
                    start = record.getStart();
                }
                segment.lastIndex =
                        Math.max(segment.lastIndex, record.getStart().getIndex());
            }
            if (record.hasHardState()) {
                hardState = record.getHardState();
            }
            if (record.hasReset()) {
                start = record.getReset();
                entries.clear();
            }
            for (RaftEntry entry : record.getEntriesList()) {
                add(file, frame, entry);
                segment.lastIndex = Math.max(segment.lastIndex, entry.getIndex());
            }
        }

        private void add(SealedFile file, Frame frame, RaftEntry entry) throws RaftStorageException {
            long from = start == null ? 0 : start.getIndex();
            if (entry.getIndex() <= from) {
                // Replaces an entry whose segment is gone: a snapshot stands for it.
                entries.clear();
                start = position(entry);
                return;
            }
            long place = entry.getIndex() - from - 1;
            if (place > entries.size()) {
                throw SealedFile.damaged(
                        file.where(),
                        frame.offset(),
                        "entries " + (from + entries.size() + 1) + " to " + (entry.getIndex() - 1) + " are missing");
            }
            entries.subList((int) place, entries.size()).clear();
            entries.add(entry);
        }
    }
}
