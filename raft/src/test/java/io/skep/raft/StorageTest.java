package io.skep.raft;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.raft.RaftStorageException.Reason;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import io.skep.wire.RaftHardState;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftSnapshotMeta;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The files of the log: what is repaired, what is refused, and what a failing disk may not do. */
final class StorageTest {
    private static final long SEGMENT_BYTES = 2000;
    private static final RaftHardState HARD_STATE =
            RaftHardState.newBuilder().setTerm(3).setVote("a").setIncarnation(7).build();

    private final TestKeys keys = new TestKeys();

    @Test
    void aTornTailIsCutOffAtEveryByte(@TempDir Path directory) throws Exception {
        Path segment = directory.resolve("log-000000000001");
        long whole;
        try (Disk disk = new FileDisk(directory)) {
            LogFiles log = LogFiles.create(disk, keys, 1 << 20, HARD_STATE);
            log.write(null, List.of(entry(1, 3), entry(2, 3)));
            log.sync();
            whole = Files.size(segment);
            log.write(null, List.of(entry(3, 3)));
            log.sync();
        }
        byte[] bytes = Files.readAllBytes(segment);
        for (int length = (int) whole; length <= bytes.length; length++) {
            Files.write(segment, Arrays.copyOf(bytes, length));
            try (Disk disk = new FileDisk(directory)) {
                LogFiles.Opened opened = LogFiles.open(disk, keys, 1 << 20, false);
                boolean complete = length == bytes.length;
                assertThat(opened.loaded().entries()).hasSize(complete ? 3 : 2);
                assertThat(opened.loaded().notes()).hasSize(complete || length == whole ? 0 : 1);
                // It goes on behind what was kept.
                long next = opened.loaded().end().getIndex() + 1;
                opened.files().write(null, List.of(entry(next, 3)));
                opened.files().close();
                assertThat(LogFiles.open(disk, keys, 1 << 20, false).loaded().entries())
                        .hasSize((int) next);
            }
        }
    }

    @Test
    void aFlippedBitBeforeTheTailIsRefused() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        writeLog(disk, 60).close();
        List<String> names = disk.list();
        assertThat(names).hasSizeGreaterThanOrEqualTo(3);
        for (String name : names) {
            byte[] bytes = disk.bytes(name);
            // The record that close() writes is at the end; whatever is lost before it had been promised.
            for (int place = 0; place < bytes.length - 60; place += 7) {
                byte[] damaged = bytes.clone();
                damaged[place] ^= 0x10;
                disk.put(name, damaged);
                assertThatThrownBy(() -> LogFiles.open(disk, keys, SEGMENT_BYTES, false))
                        .as("%s at %d", name, place)
                        .isInstanceOfSatisfying(RaftStorageException.class, e -> {
                            // A bit of the key's id names a key that is not there.
                            assertThat(e.reason()).isIn(Reason.DAMAGED, Reason.UNEXPECTED);
                            assertThat(e).hasMessageContaining(name);
                        });
            }
            disk.put(name, bytes);
        }
        assertThat(LogFiles.open(disk, keys, SEGMENT_BYTES, false).loaded().entries())
                .hasSize(60);
    }

    @Test
    void damageNamesTheFileTheOffsetAndTheWayOut() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        writeLog(disk, 60).close();
        byte[] bytes = disk.bytes("log-000000000002");
        bytes[300] ^= 1;
        disk.put("log-000000000002", bytes);
        assertThatThrownBy(() -> LogFiles.open(disk, keys, SEGMENT_BYTES, false))
                .hasMessageContaining("log-000000000002 is damaged at offset ")
                .hasMessageContaining("docker swarm leave --force")
                .hasMessageContaining("--force-new-cluster");
        LogFiles.Opened kept = LogFiles.open(disk, keys, SEGMENT_BYTES, true);
        int count = kept.loaded().entries().size();
        assertThat(count).isBetween(1, 59);
        assertThat(kept.loaded().entries()).isEqualTo(entries(1, count));
        assertThat(disk.list()).contains("damaged-log-000000000002");
        kept.files().close();
        assertThat(LogFiles.open(disk, keys, SEGMENT_BYTES, false).loaded().entries())
                .hasSize(count);
    }

    @Test
    void aMissingFileIsRefused() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        writeLog(disk, 60).close();
        disk.delete("log-000000000002");
        assertThatThrownBy(() -> LogFiles.open(disk, keys, SEGMENT_BYTES, false))
                .hasMessageContaining("log-000000000002")
                .hasMessageContaining("the file is missing");
    }

    @Test
    void aWrongKeyIsToldFromDamage() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        writeLog(disk, 5).close();
        for (TestKeys wrong : List.of(new TestKeys("other", 1), new TestKeys("first", 2))) {
            assertThatThrownBy(() -> LogFiles.open(disk, wrong, SEGMENT_BYTES, false))
                    .isInstanceOfSatisfying(
                            RaftStorageException.class,
                            e -> assertThat(e.reason()).isEqualTo(Reason.WRONG_KEY));
        }
    }

    @Test
    void nothingIsReadableWithoutTheKey() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        writeLog(disk, 5).close();
        SnapshotFiles snapshots = new SnapshotFiles(disk, keys);
        snapshots.write(meta(5), out -> out.write("entry 3".getBytes(StandardCharsets.UTF_8)));
        for (String name : disk.list()) {
            assertThat(new String(disk.bytes(name), StandardCharsets.ISO_8859_1))
                    .doesNotContain("entry");
        }
    }

    @Test
    void aFullDiskLosesNothingThatWasSynced() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(5));
        LogFiles log = LogFiles.create(disk, keys, SEGMENT_BYTES, HARD_STATE);
        int next = 1;
        for (int round = 0; round < 40; round++) {
            log.write(null, List.of(entry(next, 3)));
            log.sync();
            next++;
            disk.full(true);
            int lost = next;
            assertThatThrownBy(() -> log.write(HARD_STATE.toBuilder().setTerm(9).build(), List.of(entry(lost, 9))))
                    .isInstanceOf(IOException.class);
            disk.full(false);
        }
        log.close();
        LogFiles.Loaded loaded = LogFiles.open(disk, keys, SEGMENT_BYTES, false).loaded();
        assertThat(loaded.entries()).isEqualTo(entries(1, next - 1));
        assertThat(loaded.hardState()).isEqualTo(HARD_STATE);
    }

    @Test
    void entriesReplaceThoseOfTheSameIndexAndCompactionKeepsTheRest() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        LogFiles log = writeLog(disk, 60);
        log.write(null, List.of(entry(41, 4)));
        log.sync();
        int before = log.segmentCount();
        log.compact(35);
        assertThat(log.segmentCount()).isLessThan(before);
        log.close();
        LogFiles.Loaded loaded = LogFiles.open(disk, keys, SEGMENT_BYTES, false).loaded();
        assertThat(loaded.start().getIndex()).isLessThanOrEqualTo(35);
        assertThat(loaded.end())
                .isEqualTo(RaftLogStart.newBuilder().setIndex(41).setTerm(4).build());
    }

    @Test
    void powerMayFailInAnyOperation() throws Exception {
        for (int operation = 0; operation < 40; operation++) {
            MemoryDisk disk = new MemoryDisk(new Random(operation));
            LogFiles log = writeLog(disk, 20);
            int synced = 20;
            disk.losePowerAfter(operation);
            try {
                for (int index = 21; index < 60; index++) {
                    log.write(null, List.of(entry(index, 3)));
                    log.sync();
                    synced = index;
                }
                log.reset(RaftLogStart.newBuilder().setIndex(100).setTerm(3).build());
            } catch (MemoryDisk.PowerLoss e) {
                // As asked.
            }
            disk.powerLost();
            LogFiles.Loaded loaded =
                    LogFiles.open(disk, keys, SEGMENT_BYTES, false).loaded();
            if (loaded.start().getIndex() == 100) {
                assertThat(loaded.entries()).isEmpty();
            } else {
                assertThat(loaded.end().getIndex()).isBetween((long) synced, synced + 1L);
                assertThat(loaded.entries())
                        .isEqualTo(entries(1, (int) loaded.end().getIndex()));
            }
        }
    }

    @Test
    void snapshotsAreWholeOrNotThere() throws Exception {
        byte[] content = new byte[3 * SnapshotFiles.CHUNK_BYTES + 5];
        new Random(3).nextBytes(content);
        for (int length : new int[] {0, 1, SnapshotFiles.CHUNK_BYTES, content.length}) {
            for (int operation = 0; operation < 12; operation++) {
                MemoryDisk disk = new MemoryDisk(new Random(operation));
                SnapshotFiles snapshots = new SnapshotFiles(disk, keys);
                snapshots.write(meta(4), out -> out.write(1));
                disk.losePowerAfter(operation);
                try {
                    snapshots.write(meta(9), out -> out.write(content, 0, length));
                } catch (MemoryDisk.PowerLoss e) {
                    // As asked.
                }
                disk.powerLost();
                snapshots.tidy();
                long newest = snapshots.newest();
                assertThat(newest).isIn(4L, 9L);
                assertThat(snapshots.check(newest)).isEqualTo(meta(newest));
                if (newest == 9) {
                    try (SnapshotFiles.Reader reader = snapshots.read(9)) {
                        assertThat(reader.readAllBytes()).isEqualTo(Arrays.copyOf(content, length));
                    }
                    assertThat(chunks(snapshots)).isEqualTo(ByteString.copyFrom(content, 0, length));
                    snapshots.retain(Set.of(9L));
                    assertThat(disk.list()).hasSize(1);
                }
            }
        }
    }

    @Test
    void aDamagedSnapshotIsRefused() throws Exception {
        MemoryDisk disk = new MemoryDisk(new Random(1));
        SnapshotFiles snapshots = new SnapshotFiles(disk, keys);
        snapshots.write(meta(9), out -> out.write(new byte[5000]));
        String name = disk.list().getFirst();
        byte[] bytes = disk.bytes(name);
        for (int place = 0; place < bytes.length; place += 11) {
            byte[] damaged = bytes.clone();
            damaged[place] ^= 0x20;
            disk.put(name, damaged);
            assertThatThrownBy(() -> snapshots.check(9))
                    .as("at %d", place)
                    .isInstanceOf(RaftStorageException.class)
                    .hasMessageContaining(name);
        }
        disk.put(name, Arrays.copyOf(bytes, bytes.length - 60));
        assertThatThrownBy(() -> snapshots.check(9)).isInstanceOf(RaftStorageException.class);
    }

    private static ByteString chunks(SnapshotFiles snapshots) throws IOException {
        ByteString all = ByteString.EMPTY;
        boolean last = false;
        for (int number = 0; !last; number++) {
            try (SnapshotFiles.Reader reader = snapshots.read(9)) {
                SnapshotFiles.Chunk chunk = reader.chunk(number);
                all = all.concat(chunk.data());
                last = chunk.last();
            }
        }
        return all;
    }

    private LogFiles writeLog(Disk disk, int count) throws IOException {
        LogFiles log = LogFiles.create(disk, keys, SEGMENT_BYTES, HARD_STATE);
        for (RaftEntry entry : entries(1, count)) {
            log.write(null, List.of(entry));
            log.sync();
        }
        return log;
    }

    private static List<RaftEntry> entries(int from, int to) {
        List<RaftEntry> entries = new ArrayList<>();
        for (int index = from; index <= to; index++) {
            entries.add(entry(index, 3));
        }
        return entries;
    }

    private static RaftEntry entry(long index, long term) {
        return RaftEntry.newBuilder()
                .setIndex(index)
                .setTerm(term)
                .setType(RaftEntryType.RAFT_ENTRY_TYPE_DATA)
                .setData(ByteString.copyFromUtf8("entry " + index))
                .build();
    }

    private static RaftSnapshotMeta meta(long index) {
        return RaftSnapshotMeta.newBuilder().setIndex(index).setTerm(3).build();
    }
}
