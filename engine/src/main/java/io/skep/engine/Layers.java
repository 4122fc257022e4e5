package io.skep.engine;

import io.grpc.ClientInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.containerd.diff.ApplyRequest;
import io.skep.containerd.diff.ApplyResponse;
import io.skep.containerd.snapshots.CommitSnapshotRequest;
import io.skep.containerd.snapshots.MountsRequest;
import io.skep.containerd.snapshots.PrepareSnapshotRequest;
import io.skep.containerd.snapshots.RemoveSnapshotRequest;
import io.skep.containerd.snapshots.SnapshotsGrpc;
import io.skep.containerd.snapshots.StatSnapshotRequest;
import io.skep.containerd.snapshots.UsageRequest;
import io.skep.containerd.snapshots.UsageResponse;
import io.skep.containerd.types.Descriptor;
import io.skep.containerd.types.Mount;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.UUID;

/**
 * The root file systems of containers as stacks of snapshots, one for each layer of an image.
 *
 * <p>The snapshot of a layer is named by all the layers up to it (their chain id), so images that begin alike share
 * snapshots. A snapshot is there as a whole or not at all: a layer is unpacked under another name, compared with what
 * the image says it holds, and only then given its own.
 */
final class Layers {
    private final Containerd containerd;
    private final String snapshotter;

    /**
     * Takes the snapshots of one snapshotter.
     *
     * @param snapshotter overlayfs, or native where there is no overlayfs
     */
    Layers(Containerd containerd, String snapshotter) {
        this.containerd = containerd;
        this.snapshotter = snapshotter;
    }

    /** Returns overlayfs where containerd can use it, which needs a fitting file system, else native, which copies. */
    static String usableSnapshotter(Containerd containerd) {
        Layers overlay = new Layers(containerd, "overlayfs");
        try {
            overlay.has("none");
            return overlay.snapshotter;
        } catch (StatusRuntimeException e) {
            if (e.getStatus().getCode() == Status.Code.INVALID_ARGUMENT) {
                return "native";
            }
            throw e;
        }
    }

    /**
     * Returns the name of the topmost snapshot of layers with these uncompressed digests, or the empty name for none.
     */
    static String chainId(List<String> diffIds) {
        String chain = "";
        for (String diffId : diffIds) {
            chain = chain.isEmpty() ? diffId : Digests.of((chain + " " + diffId).getBytes(StandardCharsets.UTF_8));
        }
        return chain;
    }

    boolean has(String name) {
        StatSnapshotRequest request = StatSnapshotRequest.newBuilder()
                .setSnapshotter(snapshotter)
                .setKey(name)
                .build();
        return Containerd.found(() -> containerd.snapshots().stat(request)).isPresent();
    }

    /**
     * Unpacks the layers that are not there yet.
     *
     * @param layers the packed layers, lowest first; they must be in the content store
     * @param diffIds their digests without compression, in the same order
     * @return the chain id of all of them
     * @throws IOException when a layer is damaged or is not the one that the image names
     */
    String unpack(List<Descriptor> layers, List<String> diffIds, ClientInterceptor lease) throws IOException {
        if (layers.size() != diffIds.size()) {
            throw new IOException(
                    "the image has " + layers.size() + " layers, but its configuration names " + diffIds.size());
        }
        for (int i = 0; i < layers.size(); i++) {
            unpack(layers.get(i), diffIds, i, lease);
        }
        return chainId(diffIds);
    }

    /**
     * Unpacks one layer, unless it is there.
     *
     * @param index of the layer; those below it must be there
     */
    void unpack(Descriptor layer, List<String> diffIds, int index, ClientInterceptor lease) throws IOException {
        String name = chainId(diffIds.subList(0, index + 1));
        if (!has(name)) {
            unpack(layer, diffIds.get(index), chainId(diffIds.subList(0, index)), name, lease);
        }
    }

    private void unpack(Descriptor layer, String diffId, String parent, String name, ClientInterceptor lease)
            throws IOException {
        SnapshotsGrpc.SnapshotsBlockingStub snapshots = containerd.snapshots().withInterceptors(lease);
        String key = "unpack-" + UUID.randomUUID() + "-" + name;
        List<Mount> mounts = snapshots
                .prepare(PrepareSnapshotRequest.newBuilder()
                        .setSnapshotter(snapshotter)
                        .setKey(key)
                        .setParent(parent)
                        .build())
                .getMountsList();
        boolean committed = false;
        try {
            ApplyResponse applied = containerd
                    .diff()
                    .withInterceptors(lease)
                    .apply(ApplyRequest.newBuilder()
                            .setDiff(layer)
                            .addAllMounts(mounts)
                            .build());
            if (!applied.getApplied().getDigest().equals(diffId)) {
                throw new IOException("layer " + layer.getDigest() + " holds "
                        + applied.getApplied().getDigest() + ", but the image's configuration names " + diffId);
            }
            commit(snapshots, key, name);
            committed = true;
        } catch (StatusRuntimeException e) {
            throw new IOException(
                    "layer " + layer.getDigest() + " cannot be unpacked: "
                            + e.getStatus().getDescription(),
                    e);
        } finally {
            if (!committed) {
                remove(key);
            }
        }
    }

    private void commit(SnapshotsGrpc.SnapshotsBlockingStub snapshots, String key, String name) {
        try {
            snapshots.commit(CommitSnapshotRequest.newBuilder()
                    .setSnapshotter(snapshotter)
                    .setKey(key)
                    .setName(name)
                    .build());
        } catch (StatusRuntimeException e) {
            if (e.getStatus().getCode() != Status.Code.ALREADY_EXISTS) {
                throw e;
            }
            // Another image with the same layer was unpacked at the same time.
            remove(key);
        }
    }

    /** Returns how much room a snapshot takes for itself, in bytes; 0 when it is not there. */
    long usageBytes(String name) {
        UsageRequest request = UsageRequest.newBuilder()
                .setSnapshotter(snapshotter)
                .setKey(name)
                .build();
        return Containerd.found(() -> containerd.snapshots().usage(request))
                .map(UsageResponse::getSize)
                .orElse(0L);
    }

    /** Makes the file system that a container may write, on top of the layers. */
    List<Mount> prepare(String key, String parent) {
        return containerd
                .snapshots()
                .prepare(PrepareSnapshotRequest.newBuilder()
                        .setSnapshotter(snapshotter)
                        .setKey(key)
                        .setParent(parent)
                        .build())
                .getMountsList();
    }

    /** Returns how a snapshot is mounted. */
    List<Mount> mounts(String key) {
        return containerd
                .snapshots()
                .mounts(MountsRequest.newBuilder()
                        .setSnapshotter(snapshotter)
                        .setKey(key)
                        .build())
                .getMountsList();
    }

    /** Returns the bytes that a snapshot holds by itself, without those below it. */
    long sizeBytes(String key) {
        UsageRequest request = UsageRequest.newBuilder()
                .setSnapshotter(snapshotter)
                .setKey(key)
                .build();
        return Containerd.found(() -> containerd.snapshots().usage(request))
                .map(UsageResponse::getSize)
                .orElse(0L);
    }

    /** Returns the name of the snapshot below, or the empty name. */
    String parent(String key) {
        StatSnapshotRequest request = StatSnapshotRequest.newBuilder()
                .setSnapshotter(snapshotter)
                .setKey(key)
                .build();
        return Containerd.found(() -> containerd.snapshots().stat(request))
                .map(response -> response.getInfo().getParent())
                .orElse("");
    }

    String snapshotter() {
        return snapshotter;
    }

    /** Removes a snapshot; one that is gone already is no error. */
    void remove(String key) {
        RemoveSnapshotRequest request = RemoveSnapshotRequest.newBuilder()
                .setSnapshotter(snapshotter)
                .setKey(key)
                .build();
        var _ = Containerd.found(() -> containerd.snapshots().remove(request));
    }
}
