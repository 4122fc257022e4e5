package io.skep.manager;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeIdentity;
import io.skep.certs.RootCertificateAuthority;
import io.skep.control.IdSource;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Consensus;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.CompleteCertificate;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.RootCA;
import java.time.InstantSource;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Signs what nodes asked for, while this manager leads.
 *
 * <p>Whoever waits for a certificate is found in the commits, and in the whole state when leadership begins, so a
 * request is signed even if the leader that took it is gone. One thread signs; a node waits in line at most once.
 */
final class CertificateSigner implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(CertificateSigner.class);

    private final Consensus consensus;
    private final Store store;
    private final Function<Command, CompletableFuture<Executed>> submit;
    private final IdSource ids;
    private final InstantSource clock;
    private final ExecutorService worker = Executors.newSingleThreadExecutor(
            Thread.ofVirtual().name("skep-signer").factory());
    private final Set<String> queued = ConcurrentHashMap.newKeySet();
    private volatile boolean leading;

    // Of the worker thread: the authority of the root that it was made of.
    private @Nullable RootCA authorityOf;
    private @Nullable RootCertificateAuthority authority;

    /**
     * Makes a signer that rests until this manager leads.
     *
     * @param submit runs a command on the leader
     */
    CertificateSigner(
            Consensus consensus,
            Store store,
            Function<Command, CompletableFuture<Executed>> submit,
            IdSource ids,
            InstantSource clock) {
        this.consensus = consensus;
        this.store = store;
        this.submit = submit;
        this.ids = ids;
        this.clock = clock;
    }

    /** Called by the consensus, and once at the start. */
    synchronized void leadershipChanged() {
        Leadership leadership = consensus.leadership();
        boolean begins = leadership.ready() && !leading;
        leading = leadership.ready();
        if (begins) {
            signAll(store.state());
        }
    }

    /** Called by the consensus for each commit. */
    void committed(Commit commit) {
        if (!leading) {
            return;
        }
        for (Event<?> event : commit.events()) {
            Event<Node> changed = event.as(Kind.NODE);
            if (changed != null && changed.after() != null) {
                enqueue(changed.after());
            }
            Event<Cluster> cluster = event.as(Kind.CLUSTER);
            if (cluster != null && authorityChanged(cluster)) {
                signAll(commit.after());
            }
        }
    }

    private static boolean authorityChanged(Event<Cluster> event) {
        return event.before() == null
                || event.after() == null
                || !event.before().getRootCa().equals(event.after().getRootCa());
    }

    private void signAll(ClusterState state) {
        state.nodes().values().forEach(this::enqueue);
    }

    private void enqueue(Node node) {
        if (waits(node) && queued.add(node.getId())) {
            try {
                worker.execute(() -> sign(node.getId()));
            } catch (RejectedExecutionException e) {
                LOG.debug("stopping: node {} gets its certificate from the next leader", node.getId());
            }
        }
    }

    private static boolean waits(Node node) {
        IssuanceStatus.State state = node.getCertificate().getStatus().getState();
        return state == IssuanceStatus.State.RENEW
                || (state == IssuanceStatus.State.PENDING
                        && node.getSpec().getMembership() == NodeSpec.Membership.ACCEPTED);
    }

    private void sign(String nodeId) {
        queued.remove(nodeId);
        Node node = store.state().nodes().get(nodeId);
        Cluster cluster = store.state().cluster();
        if (!leading || node == null || cluster == null || !waits(node)) {
            return;
        }
        RootCertificateAuthority signer = authority(cluster.getRootCa());
        if (signer == null) {
            LOG.warn("node {} waits for its certificate: the cluster has no key to sign with", nodeId);
            return;
        }
        Certificate.Builder certificate = node.getCertificate().toBuilder().setRole(node.getRole());
        try {
            Duration expiry = cluster.getSpec().getCaConfig().getNodeCertExpiry();
            ByteString chain = signer.sign(
                    certificate.getCsr(),
                    new NodeIdentity(nodeId, node.getRole(), cluster.getId()),
                    java.time.Duration.ofSeconds(expiry.getSeconds(), expiry.getNanos()),
                    clock.instant());
            certificate
                    .setCn(nodeId)
                    .setCertificate(chain)
                    .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED));
        } catch (CredentialException e) {
            LOG.warn("node {} gets no certificate: {}", nodeId, e.getMessage());
            certificate.setStatus(IssuanceStatus.newBuilder()
                    .setState(IssuanceStatus.State.FAILED)
                    .setErr(String.valueOf(e.getMessage())));
        }
        var _ = submit.apply(Command.newBuilder()
                        .setRequestId(ids.nextId())
                        .setCompleteCertificate(CompleteCertificate.newBuilder()
                                .setNodeId(nodeId)
                                .setCertificate(certificate))
                        .build())
                .whenComplete((executed, failure) -> {
                    if (failure != null) {
                        // The request stands in the state: whoever leads next finds it there.
                        LOG.warn("the certificate of node {} could not be stored: {}", nodeId, failure.toString());
                    }
                });
    }

    /** Returns what signs for a root, or null when the cluster has no key for it that can be read. */
    private @Nullable RootCertificateAuthority authority(RootCA root) {
        if (root.equals(authorityOf)) {
            return authority;
        }
        try {
            RootCertificateAuthority made = null;
            if (!root.getCaKey().isEmpty()) {
                made = RootCertificateAuthority.load(root.getCaCert(), root.getCaKey());
                if (!root.getRootRotation().getCaKey().isEmpty()) {
                    RootCertificateAuthority next = RootCertificateAuthority.load(
                            root.getRootRotation().getCaCert(),
                            root.getRootRotation().getCaKey());
                    made = made.rotatingTo(next, root.getRootRotation().getCrossSignedCaCert());
                }
            }
            authority = made;
            authorityOf = root;
            return made;
        } catch (CredentialException e) {
            LOG.error("the cluster's root cannot be used to sign: {}", e.getMessage());
            return null;
        }
    }

    @Override
    public void close() {
        worker.shutdownNow();
        try {
            if (!worker.awaitTermination(5, TimeUnit.SECONDS)) {
                LOG.warn("the signer of certificates does not end");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
