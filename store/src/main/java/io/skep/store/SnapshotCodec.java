package io.skep.store;

import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.skep.wire.LogChange;
import io.skep.wire.Meta;
import io.skep.wire.RequestOutcome;
import io.skep.wire.SnapshotHeader;
import io.skep.wire.SnapshotObject;
import io.skep.wire.Task;
import io.skep.wire.TaskBatch;
import io.skep.wire.TaskChange;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;

/**
 * Writes and reads a whole state: a header, then one delimited message for each object, remembered request, and batch
 * of tasks.
 */
final class SnapshotCodec {
    private static final int FORMAT = 1;
    private static final int TASKS_OF_BATCH = 1000;
    private static final int METAS_SHARED_MAX = 100_000;

    private SnapshotCodec() {}

    static void write(ClusterState state, OutputStream out) throws IOException {
        long batches = Math.ceilDiv(state.tasks().size(), TASKS_OF_BATCH);
        long objects = state.requests().size() + batches;
        for (Kind<?> kind : Kind.ALL) {
            objects += kind == Kind.TASK ? 0 : state.table(kind).size();
        }
        SnapshotHeader.newBuilder()
                .setFormat(FORMAT)
                .setVersion(state.version())
                .setObjects(objects)
                .build()
                .writeDelimitedTo(out);
        for (Kind<?> kind : Kind.ALL) {
            if (kind != Kind.TASK) {
                writeTable(state, kind, out);
            }
        }
        Iterator<Task> tasks = state.tasks().values().iterator();
        for (long batch = 0; batch < batches; batch++) {
            TaskEncoder encoder = new TaskEncoder(state, Timestamp.getDefaultInstance());
            while (tasks.hasNext() && encoder.size() < TASKS_OF_BATCH) {
                encoder.addWithMeta(tasks.next());
            }
            SnapshotObject.newBuilder().setTasks(encoder.batch()).build().writeDelimitedTo(out);
        }
        for (String request : state.requests()) {
            RequestOutcome.Builder outcome = RequestOutcome.newBuilder().setRequestId(request);
            var result = state.outcome(request);
            if (result != null) {
                outcome.setResult(result);
            }
            SnapshotObject.newBuilder().setOutcome(outcome).build().writeDelimitedTo(out);
        }
    }

    private static <T extends Message> void writeTable(ClusterState state, Kind<T> kind, OutputStream out)
            throws IOException {
        for (T object : state.table(kind).values()) {
            SnapshotObject.newBuilder()
                    .setChange(kind.change(object))
                    .setMeta(kind.meta(object))
                    .build()
                    .writeDelimitedTo(out);
        }
    }

    static ClusterState read(InputStream in) throws IOException {
        SnapshotHeader header = SnapshotHeader.parseDelimitedFrom(in);
        if (header == null) {
            throw new EOFException("the snapshot is empty");
        }
        if (header.getFormat() != FORMAT) {
            throw new IOException("the snapshot has format " + header.getFormat() + ", this version reads " + FORMAT);
        }
        ClusterState state = ClusterState.empty();
        Map<Meta, Meta> metas = new HashMap<>();
        for (long i = 0; i < header.getObjects(); i++) {
            SnapshotObject object = SnapshotObject.parseDelimitedFrom(in);
            if (object == null) {
                throw new EOFException("the snapshot ends after " + i + " of " + header.getObjects() + " objects");
            }
            state = add(state, object, metas);
        }
        return state.withVersion(header.getVersion());
    }

    private static ClusterState add(ClusterState state, SnapshotObject object, Map<Meta, Meta> metas)
            throws IOException {
        LogChange change = object.getChange();
        return switch (change.getKindCase()) {
            case NODE -> with(state, Kind.NODE, change.getNode(), object);
            case SERVICE -> with(state, Kind.SERVICE, change.getService(), object);
            case NETWORK -> with(state, Kind.NETWORK, change.getNetwork(), object);
            case CLUSTER -> with(state, Kind.CLUSTER, change.getCluster(), object);
            case SECRET -> with(state, Kind.SECRET, change.getSecret(), object);
            case CONFIG -> with(state, Kind.CONFIG, change.getConfig(), object);
            case REMOVAL -> throw new IOException("the snapshot holds a change in place of an object");
            case KIND_NOT_SET -> {
                if (object.hasTasks()) {
                    yield addTasks(state, object.getTasks(), metas);
                }
                if (!object.hasOutcome()) {
                    throw new IOException("the snapshot holds an object that this version does not know");
                }
                yield state.withOutcome(
                        object.getOutcome().getRequestId(), object.getOutcome().getResult());
            }
        };
    }

    /**
     * Adds tasks; those that were made and last changed together share their meta data, as they did before.
     *
     * @param metas meta data that earlier tasks have
     */
    private static ClusterState addTasks(ClusterState before, TaskBatch batch, Map<Meta, Meta> metas) {
        TaskDecoder decoder = new TaskDecoder(before, Timestamp.getDefaultInstance(), batch);
        ClusterState state = before;
        for (TaskChange change : batch.getTasksList()) {
            if (metas.size() > METAS_SHARED_MAX) {
                metas.clear();
            }
            Meta meta = metas.computeIfAbsent(change.getMeta(), first -> first);
            Task task = decoder.decode(null, change).setMeta(meta).build();
            state = state.with(Kind.TASK, task.getId(), task);
        }
        return state;
    }

    private static <T extends Message> ClusterState with(
            ClusterState state, Kind<T> kind, T value, SnapshotObject object) {
        return state.with(kind, kind.id(value), kind.withMeta(value, object.getMeta()));
    }
}
