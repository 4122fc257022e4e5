package io.skep.raft;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.raft.SealedFile.BadFrameException;
import io.skep.raft.SealedFile.Frame;
import io.skep.raft.SealedFile.Purpose;
import io.skep.wire.RaftSnapshotEnd;
import io.skep.wire.RaftSnapshotMeta;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The snapshots on disk, one file each: meta data, chunks of equal size, and an end that counts them.
 *
 * <p>A snapshot appears under its name when all of it is on stable storage. Several threads may write and read
 * different snapshots at once.
 */
final class SnapshotFiles {
    /** Plain bytes of each chunk but the last; also what one message carries to a member that is behind. */
    static final int CHUNK_BYTES = 256 << 10;

    private static final String PREFIX = "snapshot-";
    private static final String TEMPORARY = ".tmp";
    private static final int META = 1;
    private static final int CHUNK = 2;
    private static final int END = 3;

    /** Writes the state that a snapshot is to hold. */
    @FunctionalInterface
    interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    private final Disk disk;
    private final KeyRing keys;

    SnapshotFiles(Disk disk, KeyRing keys) {
        this.disk = disk;
        this.keys = keys;
    }

    /** Deletes what was not finished. Called once, before anything is written. */
    void tidy() throws IOException {
        for (String name : disk.list()) {
            if (name.startsWith(PREFIX) && name.endsWith(TEMPORARY)) {
                disk.delete(name);
            }
        }
    }

    /** Returns the index of the newest snapshot, or 0 when there is none. */
    long newest() throws IOException {
        return disk.list().stream().mapToLong(SnapshotFiles::index).max().orElse(0);
    }

    /** Reads the meta data of a snapshot and checks that all of it is there. */
    RaftSnapshotMeta check(long index) throws IOException {
        try (Reader reader = read(index)) {
            reader.skipAll();
            return reader.meta();
        }
    }

    /** Writes a snapshot of a state; returns its size in bytes. */
    long write(RaftSnapshotMeta meta, Content content) throws IOException {
        try (Writer writer = begin(meta)) {
            content.writeTo(writer);
            return writer.finish();
        }
    }

    Writer begin(RaftSnapshotMeta meta) throws IOException {
        return new Writer(meta);
    }

    /** Opens a snapshot for reading from its beginning. */
    Reader read(long index) throws IOException {
        return new Reader(index);
    }

    /** Deletes all snapshots but those with the given indexes, and newer ones, which may have come meanwhile. */
    void retain(Set<Long> indexes) throws IOException {
        long newest = indexes.stream().mapToLong(Long::longValue).max().orElse(0);
        for (String name : disk.list()) {
            long index = index(name);
            if (index > 0 && index < newest && !indexes.contains(index)) {
                disk.delete(name);
            }
        }
    }

    private static String name(long index) {
        return String.format("%s%020d", PREFIX, index);
    }

    private static long index(String name) {
        return name.matches("snapshot-\\d{20}") ? Long.parseLong(name.substring(PREFIX.length())) : 0;
    }

    /** A snapshot that is being written. Closed before it is finished, it leaves nothing behind. */
    final class Writer extends OutputStream {
        private final RaftSnapshotMeta meta;
        private final String temporary;
        private final SealedFile file;
        private final byte[] buffer = new byte[CHUNK_BYTES];
        private int buffered;
        private int chunks;
        private long bytes;
        private boolean finished;

        private Writer(RaftSnapshotMeta meta) throws IOException {
            this.meta = meta;
            this.temporary = name(meta.getIndex()) + "-" + Long.toHexString(System.identityHashCode(this)) + TEMPORARY;
            this.file = SealedFile.create(disk, temporary, Purpose.SNAPSHOT, keys.current());
            try {
                file.append(META, meta.toByteArray());
            } catch (IOException | RuntimeException e) {
                close();
                throw e;
            }
        }

        RaftSnapshotMeta meta() {
            return meta;
        }

        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] source, int offset, int length) throws IOException {
            int from = offset;
            while (from < offset + length) {
                if (buffered == CHUNK_BYTES) {
                    flushChunk();
                }
                int count = Math.min(CHUNK_BYTES - buffered, offset + length - from);
                System.arraycopy(source, from, buffer, buffered, count);
                buffered += count;
                from += count;
            }
        }

        /** Makes the snapshot last; returns the size of its file. */
        long finish() throws IOException {
            flushChunk();
            file.append(
                    END,
                    RaftSnapshotEnd.newBuilder()
                            .setChunks(chunks)
                            .setBytes(bytes)
                            .build()
                            .toByteArray());
            file.sync();
            long size = file.size();
            file.close();
            disk.rename(temporary, name(meta.getIndex()));
            disk.syncDirectory();
            finished = true;
            return size;
        }

        @Override
        public void close() throws IOException {
            if (!finished) {
                finished = true;
                file.close();
                disk.delete(temporary);
            }
        }

        private void flushChunk() throws IOException {
            file.append(CHUNK, buffered == CHUNK_BYTES ? buffer : Arrays.copyOf(buffer, buffered));
            chunks++;
            bytes += buffered;
            buffered = 0;
        }
    }

    /** One chunk of a snapshot. */
    record Chunk(ByteString data, boolean last) {}

    /** A snapshot that is being read. A snapshot that is not whole throws DAMAGED. */
    final class Reader extends InputStream {
        private final SealedFile file;
        private final RaftSnapshotMeta meta;
        private final long firstChunk;
        private long next;
        private int chunks;
        private long bytes;
        private @Nullable InputStream chunk;

        private Reader(long index) throws IOException {
            file = SealedFile.open(disk, name(index), Purpose.SNAPSHOT, keys);
            try {
                Frame frame = frame(file.headerBytes(), META);
                meta = RaftSnapshotMeta.parseFrom(frame.payload());
                firstChunk = frame.end();
                next = firstChunk;
            } catch (InvalidProtocolBufferException e) {
                file.close();
                throw SealedFile.damaged(file.where(), file.headerBytes(), "a record holds something else");
            } catch (IOException | RuntimeException e) {
                file.close();
                throw e;
            }
        }

        RaftSnapshotMeta meta() {
            return meta;
        }

        /** Returns the chunk of a number; the snapshot must have it. */
        Chunk chunk(int number) throws IOException {
            Frame frame = frame(firstChunk + (long) number * (CHUNK_BYTES + SealedFile.FRAME_OVERHEAD_BYTES), CHUNK);
            // Another chunk would be followed by the end, and so leave room for two frames.
            return new Chunk(frame.payload(), file.size() - frame.end() < 2 * SealedFile.FRAME_OVERHEAD_BYTES);
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            int count = read(one, 0, 1);
            return count < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] target, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            while (true) {
                InputStream from = chunk;
                if (from != null) {
                    int count = from.read(target, offset, length);
                    if (count > 0) {
                        return count;
                    }
                }
                if (!advance()) {
                    return -1;
                }
            }
        }

        private void skipAll() throws IOException {
            while (advance()) {
                chunk = null;
            }
        }

        private boolean advance() throws IOException {
            Frame frame = frame(next, 0);
            if (frame.type() == END) {
                RaftSnapshotEnd end = RaftSnapshotEnd.parseFrom(frame.payload());
                if (end.getChunks() != chunks || end.getBytes() != bytes) {
                    throw SealedFile.damaged(file.where(), next, "it does not have as many bytes as were written");
                }
                return false;
            }
            next = frame.end();
            chunks++;
            bytes += frame.payload().size();
            chunk = frame.payload().newInput();
            return true;
        }

        private Frame frame(long offset, int type) throws IOException {
            try {
                Frame frame = file.read(offset, 2 * CHUNK_BYTES);
                if (type != 0 && frame.type() != type) {
                    throw SealedFile.damaged(file.where(), offset, "another kind of record was expected there");
                }
                return frame;
            } catch (BadFrameException e) {
                throw SealedFile.damaged(file.where(), offset, String.valueOf(e.getMessage()));
            }
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
