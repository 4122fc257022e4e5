package io.skep.api;

import io.skep.manager.ClusterAccess;
import io.skep.wire.Peer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A node whose state the test sets, and that remembers what it was asked. */
final class FakeNode implements SwarmNode {
    volatile Status status = new Status(LocalState.INACTIVE, "", "", false, "", List.of());
    volatile @Nullable ClusterAccess cluster;
    /** Open while the manager of this node is being started. */
    volatile CountDownLatch started = new CountDownLatch(0);

    final List<Object> asked = new ArrayList<>();

    void manage(ClusterAccess access, String nodeId, String address) {
        cluster = access;
        status = new Status(
                LocalState.ACTIVE,
                nodeId,
                address,
                true,
                "",
                List.of(Peer.newBuilder()
                        .setNodeId(nodeId)
                        .setAddr(address + ":2377")
                        .build()));
    }

    @Override
    public Status status() {
        return status;
    }

    @Override
    public @Nullable ClusterAccess cluster() {
        return cluster;
    }

    @Override
    public @Nullable ClusterAccess awaitCluster(Duration patience) throws InterruptedException {
        return started.await(patience.toNanos(), TimeUnit.NANOSECONDS) ? cluster : null;
    }

    @Override
    public synchronized String init(InitRequest request) {
        asked.add(request);
        return status.nodeId();
    }

    @Override
    public synchronized void join(JoinRequest request) {
        asked.add(request);
    }

    @Override
    public synchronized void leave(boolean force) {
        asked.add(force);
    }

    @Override
    public synchronized void unlock(String key) {
        asked.add(key);
    }
}
