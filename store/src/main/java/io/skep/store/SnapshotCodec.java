package io.skep.store;

import com.google.protobuf.Message;
import io.skep.wire.LogChange;
import io.skep.wire.RequestOutcome;
import io.skep.wire.SnapshotHeader;
import io.skep.wire.SnapshotObject;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** Writes and reads a whole state: a header, then one delimited message for each object and remembered request. */
final class SnapshotCodec {
    private static final int FORMAT = 1;

    private SnapshotCodec() {}

    static void write(ClusterState state, OutputStream out) throws IOException {
        long objects = state.requests().size();
        for (Kind<?> kind : Kind.ALL) {
            objects += state.table(kind).size();
        }
        SnapshotHeader.newBuilder()
                .setFormat(FORMAT)
                .setVersion(state.version())
                .setObjects(objects)
                .build()
                .writeDelimitedTo(out);
        for (Kind<?> kind : Kind.ALL) {
            writeTable(state, kind, out);
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
            LogChange change = object instanceof io.skep.wire.Task task
                    ? TaskCodec.compact(state, task)
                    : kind.change(object).build();
            SnapshotObject.newBuilder()
                    .setChange(change)
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
        for (long i = 0; i < header.getObjects(); i++) {
            SnapshotObject object = SnapshotObject.parseDelimitedFrom(in);
            if (object == null) {
                throw new EOFException("the snapshot ends after " + i + " of " + header.getObjects() + " objects");
            }
            state = add(state, object);
        }
        return state.withVersion(header.getVersion());
    }

    private static ClusterState add(ClusterState state, SnapshotObject object) throws IOException {
        LogChange change = object.getChange();
        return switch (change.getKindCase()) {
            case NODE -> with(state, Kind.NODE, change.getNode(), object);
            case SERVICE -> with(state, Kind.SERVICE, change.getService(), object);
            case TASK -> with(state, Kind.TASK, TaskCodec.expand(state, change), object);
            case NETWORK -> with(state, Kind.NETWORK, change.getNetwork(), object);
            case CLUSTER -> with(state, Kind.CLUSTER, change.getCluster(), object);
            case SECRET -> with(state, Kind.SECRET, change.getSecret(), object);
            case CONFIG -> with(state, Kind.CONFIG, change.getConfig(), object);
            case REMOVAL, TASK_PATCH -> throw new IOException("the snapshot holds a change in place of an object");
            case KIND_NOT_SET -> {
                if (!object.hasOutcome()) {
                    throw new IOException("the snapshot holds an object that this version does not know");
                }
                yield state.withOutcome(
                        object.getOutcome().getRequestId(), object.getOutcome().getResult());
            }
        };
    }

    private static <T extends Message> ClusterState with(
            ClusterState state, Kind<T> kind, T value, SnapshotObject object) {
        return state.with(kind, kind.id(value), kind.withMeta(value, object.getMeta()));
    }
}
