package io.skep.raft;

import io.skep.raft.Effect.Compact;
import io.skep.raft.Effect.DiskEffect;
import io.skep.raft.Effect.Persist;
import io.skep.raft.Effect.ReadChunk;
import io.skep.raft.Effect.Rewrite;
import io.skep.raft.Effect.WriteChunk;
import io.skep.wire.RaftLogStart;
import io.skep.wire.RaftSnapshotMeta;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Does what the core wants of the disk, in the order of its issue. All writes that wait are made together and synced
 * once. Used by one thread.
 */
final class DiskWorker implements AutoCloseable {
    private final LogFiles log;
    private final SnapshotFiles snapshots;
    private final List<Input> results = new ArrayList<>();
    private long written;
    private long epoch;
    private boolean dirty;
    private long failedEpoch;
    private SnapshotFiles.@Nullable Writer receiving;

    DiskWorker(LogFiles log, SnapshotFiles snapshots) {
        this.log = log;
        this.snapshots = snapshots;
    }

    /** Does all of it; returns what the core is to hear. */
    List<Input> perform(List<DiskEffect> effects) {
        for (DiskEffect effect : effects) {
            if (!(effect instanceof Persist)) {
                sync();
            }
            switch (effect) {
                case Persist persist -> write(persist);
                case Compact compact -> compact(compact);
                case ReadChunk read -> read(read);
                case WriteChunk chunk -> receive(chunk);
                case Rewrite rewrite -> rewrite(rewrite);
            }
        }
        sync();
        List<Input> done = List.copyOf(results);
        results.clear();
        return done;
    }

    private void write(Persist persist) {
        if (persist.epoch() == failedEpoch) {
            return;
        }
        try {
            log.write(persist.hardState(), persist.entries());
            dirty = true;
            written = persist.sequence();
            epoch = persist.epoch();
        } catch (IOException e) {
            failed(persist.epoch(), e);
        }
    }

    private void sync() {
        if (dirty) {
            dirty = false;
            try {
                log.sync();
                results.add(new Input.Persisted(written));
            } catch (IOException e) {
                failed(epoch, e);
            }
        }
    }

    private void failed(long ofEpoch, IOException e) {
        // What was written but not synced is cut off with the rest.
        dirty = false;
        failedEpoch = ofEpoch;
        results.add(new Input.PersistFailed(ofEpoch, reason(e)));
    }

    private void compact(Compact compact) {
        try {
            log.compact(compact.upTo());
            snapshots.retain(compact.snapshots());
        } catch (IOException e) {
            // Files that stay are deleted with the next snapshot.
            results.add(new Input.CompactionFailed(reason(e)));
        }
    }

    private void read(ReadChunk read) {
        try (SnapshotFiles.Reader reader = snapshots.read(read.index())) {
            SnapshotFiles.Chunk chunk = reader.chunk(read.chunk());
            results.add(new Input.ChunkRead(read.peer(), reader.meta(), read.chunk(), chunk.data(), chunk.last()));
        } catch (IOException e) {
            results.add(new Input.ChunkReadFailed(read.peer(), read.index(), reason(e)));
        }
    }

    private void receive(WriteChunk chunk) {
        RaftSnapshotMeta meta = chunk.meta();
        try {
            if (chunk.chunk() == 0) {
                abandon();
                receiving = snapshots.begin(meta);
            }
            SnapshotFiles.Writer writer = receiving;
            if (writer == null || !writer.meta().equals(meta)) {
                throw new IOException("chunk " + chunk.chunk() + " came without those before it");
            }
            writer.write(chunk.data().toByteArray(), 0, chunk.data().size());
            if (chunk.last()) {
                writer.finish();
                receiving = null;
                log.reset(RaftLogStart.newBuilder()
                        .setIndex(meta.getIndex())
                        .setTerm(meta.getTerm())
                        .build());
            }
            results.add(new Input.ChunkWritten(meta, chunk.chunk(), chunk.last()));
        } catch (IOException e) {
            abandon();
            results.add(new Input.ChunkWriteFailed(meta, reason(e)));
        }
    }

    private void rewrite(Rewrite rewrite) {
        try {
            log.rewrite(rewrite.start(), rewrite.entries());
            results.add(new Input.Rewritten(rewrite.ticket()));
        } catch (IOException e) {
            results.add(new Input.RewriteFailed(rewrite.ticket(), reason(e)));
        }
    }

    private void abandon() {
        SnapshotFiles.Writer writer = receiving;
        receiving = null;
        if (writer != null) {
            try {
                writer.close();
            } catch (IOException e) {
                results.add(new Input.CompactionFailed(reason(e)));
            }
        }
    }

    private static String reason(IOException e) {
        String message = e.getMessage();
        return message == null ? e.getClass().getSimpleName() : message;
    }

    @Override
    public void close() throws IOException {
        abandon();
        log.close();
    }
}
