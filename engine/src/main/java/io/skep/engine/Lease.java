package io.skep.engine;

import io.grpc.ClientInterceptor;
import io.skep.containerd.leases.AddResourceRequest;
import io.skep.containerd.leases.CreateRequest;
import io.skep.containerd.leases.DeleteRequest;
import io.skep.containerd.leases.ListRequest;
import io.skep.containerd.leases.Resource;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.UUID;

/**
 * Keeps what one action makes from being collected, until something refers to it.
 *
 * <p>A lease that nobody ended, because the engine was killed, ends by itself after a day: until then the next attempt
 * finds what was there already.
 */
final class Lease {
    private static final Duration LIFE = Duration.ofHours(24);
    private static final String EXPIRY = "containerd.io/gc.expire";
    private static final String PURPOSE = "io.skep/purpose";

    private final Containerd containerd;
    private final String id;

    private Lease(Containerd containerd, String id) {
        this.containerd = containerd;
        this.id = id;
    }

    /**
     * Begins a lease.
     *
     * @param purpose attempts at the same thing have the same one
     */
    static Lease begin(Containerd containerd, String purpose, Instant now) {
        String id = "skep-" + UUID.randomUUID();
        var _ = containerd
                .leases()
                .create(CreateRequest.newBuilder()
                        .setId(id)
                        .putLabels(
                                EXPIRY,
                                now.plus(LIFE).truncatedTo(ChronoUnit.SECONDS).toString())
                        // A label must not be long, and a purpose may be.
                        .putLabels(PURPOSE, hash(purpose))
                        .build());
        return new Lease(containerd, id);
    }

    private static String hash(String purpose) {
        return Digests.of(purpose.getBytes(StandardCharsets.UTF_8));
    }

    /** Returns what puts calls under this lease. */
    ClientInterceptor interceptor() {
        return Containerd.under(id);
    }

    /** Keeps a content that is there; look afterwards whether it still is. */
    void keep(String digest) {
        add(digest, "content");
    }

    /** Keeps a snapshot that is there, and those below it; look afterwards whether it still is. */
    void keepSnapshot(String snapshotter, String name) {
        add(name, "snapshots/" + snapshotter);
    }

    private void add(String resource, String type) {
        AddResourceRequest request = AddResourceRequest.newBuilder()
                .setId(id)
                .setResource(Resource.newBuilder().setId(resource).setType(type))
                .build();
        var _ = Containerd.found(() -> containerd.leases().addResource(request));
    }

    /**
     * Ends the lease: what nothing refers to may go.
     *
     * @param now whether it goes before this returns
     */
    void end(boolean now) {
        end(id, now);
    }

    /**
     * Ends this and all leases that earlier attempts at the same thing left.
     *
     * @param now whether what nothing refers to goes before this returns
     */
    void endAll(String purpose, boolean now) {
        String wanted = hash(purpose);
        containerd.leases().list(ListRequest.getDefaultInstance()).getLeasesList().stream()
                .filter(each -> wanted.equals(each.getLabelsMap().get(PURPOSE)))
                .forEach(each -> end(each.getId(), now));
    }

    private void end(String which, boolean now) {
        DeleteRequest request =
                DeleteRequest.newBuilder().setId(which).setSync(now).build();
        var _ = Containerd.found(() -> containerd.leases().delete(request));
    }
}
