package io.skep.manager;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.skep.certs.CertificateRequest;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentials;
import io.skep.certs.NodeIdentity;
import io.skep.certs.RootCertificateAuthority;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.manager.ManagerSettings.Start;
import io.skep.raft.KeyRing;
import io.skep.raft.RaftTiming;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.InitCluster;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.JoinTokens;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** A cluster of managers in this process, on addresses of one host, with certificates of a root made for it. */
final class TestCluster implements AutoCloseable {
    static final RandomIds IDS = new RandomIds();
    private static final java.time.Duration PATIENCE = java.time.Duration.ofSeconds(20);

    private static final KeyRing KEYS = new KeyRing() {
        private final DataKey key = new DataKey("test", ByteString.copyFrom(new byte[KEY_BYTES]));

        @Override
        public DataKey current() {
            return key;
        }

        @Override
        public DataKey find(String id) {
            return key;
        }
    };

    /** One manager: what it needs to start again. */
    record Member(String nodeId, TlsIdentity identity, String address, Path directory) {}

    final String clusterId = IDS.nextId();
    final RootCertificateAuthority root = RootCertificateAuthority.create(Instant.now());
    final Map<String, Manager> running = Collections.synchronizedMap(new LinkedHashMap<>());
    final Map<String, Member> members = new ConcurrentHashMap<>();
    private final Path directory;
    private final String host;
    private final Duration heartbeat;

    TestCluster(Path directory, String host, java.time.Duration heartbeat) {
        this.directory = directory;
        this.host = host;
        this.heartbeat = Duration.newBuilder()
                .setSeconds(heartbeat.getSeconds())
                .setNanos(heartbeat.getNano())
                .build();
    }

    /** Starts the first manager. */
    Manager bootstrap() throws Exception {
        return bootstrap(freePort());
    }

    Manager bootstrap(int port) throws Exception {
        String nodeId = IDS.nextId();
        TlsIdentity identity = identity(nodeId, NodeRole.MANAGER);
        Cluster.Builder cluster = Cluster.newBuilder().setId(clusterId);
        cluster.getRootCaBuilder().setCaCert(root.certificatePem()).setCaKey(root.keyPem());
        cluster.getSpecBuilder().getDispatcherBuilder().setHeartbeatPeriod(heartbeat);
        Node node = Node.newBuilder()
                .setId(nodeId)
                .setCertificate(Certificate.newBuilder()
                        .setRole(NodeRole.MANAGER)
                        .setCn(nodeId)
                        .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED)))
                .build();
        Start start = new Start.Bootstrap(
                InitCluster.newBuilder().setCluster(cluster).setNode(node).build());
        return start(member(nodeId, identity, port), start);
    }

    /** Lets another manager join, with the certificate that a Skep node gets for the manager token. */
    Manager join(Manager through) throws Exception {
        return join(through, freePort());
    }

    Manager join(Manager through, int port) throws Exception {
        StockWorker joining = new StockWorker(host + ":" + through.port(), root.trustRoot()).asSkep();
        try (joining) {
            joining.join(managerToken(through));
            Member member = member(joining.nodeId(), joining.identity(), port);
            return start(member, new Start.Join(List.of(host + ":" + through.port())));
        }
    }

    private Member member(String nodeId, TlsIdentity identity, int port) {
        return new Member(nodeId, identity, host + ":" + port, directory.resolve(nodeId));
    }

    Member member(Manager manager) {
        return Objects.requireNonNull(members.get(manager.nodeId()));
    }

    /** Starts a manager that becomes ready only with others. */
    CompletableFuture<Manager> startLater(Member member, Start start) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return start(member, start);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    Manager start(Member member, Start start) throws IOException, InterruptedException {
        Manager manager = Manager.start(settings(member, start));
        running.put(member.nodeId(), manager);
        members.put(member.nodeId(), member);
        if (!manager.awaitReady(PATIENCE)) {
            throw new IllegalStateException("manager " + member.nodeId() + " does not become ready");
        }
        return manager;
    }

    ManagerSettings settings(Member member, Start start) {
        String[] address = member.address().split(":", 2);
        return new ManagerSettings(
                member.identity(),
                new InetSocketAddress(address[0], Integer.parseInt(address[1])),
                member.address(),
                member.directory(),
                KEYS,
                start,
                RaftTiming.DEFAULT);
    }

    /** Returns an identity with a certificate of this cluster's root. */
    TlsIdentity identity(String nodeId, NodeRole role) throws CredentialException {
        return identity(root, new NodeIdentity(nodeId, role, clusterId));
    }

    static TlsIdentity identity(RootCertificateAuthority root, NodeIdentity who) throws CredentialException {
        CertificateRequest request = CertificateRequest.generate();
        ByteString chain = root.sign(request.pem(), who, RootCertificateAuthority.DEFAULT_VALIDITY, Instant.now());
        NodeCredentials credentials = NodeCredentials.accept(root.trustRoot(), chain, request, Instant.now());
        return new TlsIdentity(TlsMaterial.of(credentials), InstantSource.system());
    }

    String address(Manager manager) {
        return host + ":" + manager.port();
    }

    static String workerToken(Manager manager) {
        return tokens(manager).getWorker();
    }

    static String managerToken(Manager manager) {
        return tokens(manager).getManager();
    }

    private static JoinTokens tokens(Manager manager) {
        return Objects.requireNonNull(manager.local().cluster()).getRootCa().getJoinTokens();
    }

    /** Returns a node that must be there. */
    static Node node(Manager manager, String nodeId) {
        return Objects.requireNonNull(manager.local().nodes().get(nodeId));
    }

    static Command.Builder command() {
        return Command.newBuilder().setRequestId(IDS.nextId());
    }

    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    /** Ends one manager as a crash would. */
    void crash(Manager manager) {
        running.remove(manager.nodeId());
        manager.end();
    }

    @Override
    public void close() {
        running.values().forEach(Manager::end);
    }
}
