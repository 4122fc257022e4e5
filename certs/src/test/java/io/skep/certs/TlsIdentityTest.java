package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.wire.NodeRole;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TlsIdentityTest {
    private final Instant now = Instant.now();
    private static final InstantSource CLOCK = InstantSource.system();

    private final RootCertificateAuthority authority = RootCertificateAuthority.create(now.minus(Duration.ofHours(9)));

    @TempDir
    private Path folder;

    private NodeCredentials issue(RootCertificateAuthority by, NodeRole role, Instant at) throws CredentialException {
        CertificateRequest request = CertificateRequest.generate();
        ByteString chain = by.sign(request.pem(), new NodeIdentity("n", role, "c"), Duration.ofHours(2), at);
        return NodeCredentials.accept(by.trustRoot(), chain, request, at);
    }

    private TlsIdentity identity(NodeRole role) throws CredentialException {
        return new TlsIdentity(TlsMaterial.of(issue(authority, role, now)), CLOCK);
    }

    private static SSLContext context(KeyManager keys, TrustManager trust) throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {keys}, new TrustManager[] {trust}, null);
        return context;
    }

    /** What each side saw of the other: a session, or the failure. */
    private record Meeting(
            @Nullable SSLSession server, @Nullable Throwable serverFailure) {}

    /** One real connection over loopback; the server demands a client certificate. */
    private static Meeting meet(SSLContext server, SSLContext client, String protocol) throws Exception {
        try (SSLServerSocket listener =
                (SSLServerSocket) server.getServerSocketFactory().createServerSocket()) {
            listener.setNeedClientAuth(true);
            listener.setEnabledProtocols(new String[] {protocol});
            listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            CompletableFuture<SSLSession> accepted = new CompletableFuture<>();
            Thread.ofVirtual().start(() -> {
                try (SSLSocket socket = (SSLSocket) listener.accept()) {
                    socket.startHandshake();
                    socket.getOutputStream().write(1);
                    accepted.complete(socket.getSession());
                } catch (IOException e) {
                    accepted.completeExceptionally(e);
                }
            });
            try (SSLSocket socket = (SSLSocket)
                    client.getSocketFactory().createSocket(InetAddress.getLoopbackAddress(), listener.getLocalPort())) {
                socket.startHandshake();
                try (InputStream in = socket.getInputStream()) {
                    in.read();
                }
            } catch (IOException e) {
                // Either side may notice first; the server's view is what is asserted.
                assertThat(e).isNotNull();
            }
            try {
                return new Meeting(accepted.get(20, TimeUnit.SECONDS), null);
            } catch (ExecutionException e) {
                return new Meeting(null, e.getCause());
            }
        }
    }

    private static PeerRefusal.Reason refusal(Meeting meeting) {
        assertThat(meeting.serverFailure()).as("the server's failure").isNotNull();
        return PeerRefusal.of(Objects.requireNonNull(meeting.serverFailure()))
                .orElseThrow(() -> new AssertionError("no reason", meeting.serverFailure()));
    }

    private SSLContext managerContext() throws Exception {
        TlsIdentity manager = identity(NodeRole.MANAGER);
        return context(manager.keyManager(), manager.clientTrust());
    }

    @ParameterizedTest
    @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
    void nodesOfOneSwarmMeet(String protocol) throws Exception {
        TlsIdentity worker = identity(NodeRole.WORKER);

        Meeting meeting =
                meet(managerContext(), context(worker.keyManager(), worker.serverTrust("swarm-manager")), protocol);

        SSLSession session = Objects.requireNonNull(meeting.server());
        assertThat(NodeIdentity.of((X509Certificate) session.getPeerCertificates()[0])
                        .role())
                .isEqualTo(NodeRole.WORKER);
    }

    @ParameterizedTest
    @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
    void eachRefusalSaysWhy(String protocol) throws Exception {
        RootCertificateAuthority foreign = RootCertificateAuthority.create(now);
        TlsIdentity server = identity(NodeRole.MANAGER);
        SSLContext serverContext = context(server.keyManager(), server.clientTrust());
        TrustManager trusting = TlsIdentity.unverifiedServerTrust();
        TlsIdentity none = new TlsIdentity(TlsMaterial.anonymous(authority.trustRoot()), CLOCK);
        TlsIdentity stranger = new TlsIdentity(TlsMaterial.of(issue(foreign, NodeRole.WORKER, now)), CLOCK);
        TlsIdentity late = new TlsIdentity(
                TlsMaterial.of(issue(authority, NodeRole.WORKER, now.minus(Duration.ofHours(4)))), CLOCK);
        TlsIdentity early = new TlsIdentity(
                TlsMaterial.of(issue(authority, NodeRole.WORKER, now.plus(Duration.ofHours(4)))), CLOCK);

        assertThat(refusal(meet(serverContext, context(none.keyManager(), trusting), protocol))
                        .refusal())
                .isEqualTo(PeerRefusal.MISSING);
        assertThat(refusal(meet(serverContext, context(stranger.keyManager(), trusting), protocol)))
                .satisfies(reason -> {
                    assertThat(reason.refusal()).isEqualTo(PeerRefusal.UNKNOWN_ISSUER);
                    assertThat(reason.message()).contains("CN=n,OU=swarm-worker,O=c", "CN=swarm-ca");
                });
        assertThat(refusal(meet(serverContext, context(late.keyManager(), trusting), protocol))
                        .refusal())
                .isEqualTo(PeerRefusal.EXPIRED);
        assertThat(refusal(meet(serverContext, context(early.keyManager(), trusting), protocol))
                        .refusal())
                .isEqualTo(PeerRefusal.NOT_YET_VALID);
    }

    @Test
    void aWorkerDoesNotPassForAManager() throws Exception {
        TlsIdentity worker = identity(NodeRole.WORKER);
        X509Certificate[] workerChain = worker.current().chain().toArray(X509Certificate[]::new);
        X509Certificate[] managerChain =
                identity(NodeRole.MANAGER).current().chain().toArray(X509Certificate[]::new);

        worker.serverTrust("swarm-manager").checkServerTrusted(managerChain, "EC");
        worker.serverTrust("Swarm-CA").checkServerTrusted(managerChain, "EC");
        assertThatThrownBy(() -> worker.serverTrust("swarm-manager").checkServerTrusted(workerChain, "EC"))
                .isInstanceOfSatisfying(
                        PeerRefusedException.class, e -> assertThat(e.refusal()).isEqualTo(PeerRefusal.WRONG_NAME));
        assertThatThrownBy(() -> worker.clientTrust().checkServerTrusted(managerChain, "EC"))
                .hasMessageContaining("other side");
        assertThatThrownBy(() -> TlsIdentity.unverifiedServerTrust().checkClientTrusted(workerChain, "EC"))
                .hasMessageContaining("never");
    }

    @Test
    void exchangedMaterialIsUsedFromTheNextHandshakeOn() throws Exception {
        TlsIdentity server = identity(NodeRole.MANAGER);
        SSLContext serverContext = context(server.keyManager(), server.clientTrust());
        RootCertificateAuthority other = RootCertificateAuthority.create(now);
        TlsIdentity stranger = new TlsIdentity(TlsMaterial.of(issue(other, NodeRole.WORKER, now)), CLOCK);
        SSLContext strangerContext = context(stranger.keyManager(), stranger.serverTrust("swarm-manager"));
        assertThat(meet(serverContext, strangerContext, "TLSv1.3").server()).isNull();

        server.replace(TlsMaterial.of(issue(other, NodeRole.MANAGER, now)));

        assertThat(meet(serverContext, strangerContext, "TLSv1.3").server()).isNotNull();
    }

    @Test
    void anExchangeInTheMiddleOfAHandshakeDoesNotMixKeyAndChain() throws Exception {
        TlsIdentity identity = identity(NodeRole.MANAGER);
        TlsMaterial first = identity.current();
        String alias = identity.keyManager().chooseEngineServerAlias("EC", null, null);

        identity.replace(TlsMaterial.of(issue(authority, NodeRole.MANAGER, now)));

        assertThat(identity.keyManager().getCertificateChain(alias)).containsExactlyElementsOf(first.chain());
        assertThat(identity.keyManager().getPrivateKey(alias)).isEqualTo(first.privateKey());
        assertThat(identity.keyManager().chooseEngineServerAlias("EC", null, null))
                .isNotEqualTo(alias);
        assertThat(identity.keyManager().chooseEngineServerAlias("RSA", null, null))
                .isNull();
    }

    @Test
    void duringARotationBothSidesOfTheSwarmMeet() throws Exception {
        RootCertificateAuthority next = RootCertificateAuthority.create(now);
        RootCertificateAuthority rotating = authority.rotatingTo(next, authority.crossSign(next.trustRoot()));
        TlsIdentity moved = new TlsIdentity(TlsMaterial.of(issue(rotating, NodeRole.WORKER, now)), CLOCK);
        TlsIdentity finished = new TlsIdentity(TlsMaterial.of(issue(next, NodeRole.MANAGER, now)), CLOCK);

        assertThat(meet(managerContext(), context(moved.keyManager(), moved.serverTrust("swarm-manager")), "TLSv1.3")
                        .server())
                .isNotNull();
        assertThat(meet(
                                context(finished.keyManager(), finished.clientTrust()),
                                context(moved.keyManager(), TlsIdentity.unverifiedServerTrust()),
                                "TLSv1.3")
                        .server())
                .isNotNull();
    }

    /** The commands of Docker's page "Protect the Docker daemon socket", without its passphrase. */
    private void makeCertificatesAsDockerDocuments() throws Exception {
        Openssl.run(folder, "genrsa", "-aes256", "-passout", "pass:x", "-out", "ca-key.pem", "4096");
        Openssl.run(
                folder,
                "req",
                "-new",
                "-x509",
                "-days",
                "365",
                "-key",
                "ca-key.pem",
                "-passin",
                "pass:x",
                "-sha256",
                "-subj",
                "/C=DE/O=Home/CN=host",
                "-out",
                "ca.pem");
        Openssl.run(folder, "genrsa", "-out", "server-key.pem", "4096");
        Openssl.run(
                folder, "req", "-subj", "/CN=host", "-sha256", "-new", "-key", "server-key.pem", "-out", "server.csr");
        Files.writeString(
                folder.resolve("extfile.cnf"),
                "subjectAltName = DNS:host,IP:10.10.10.20,IP:127.0.0.1\nextendedKeyUsage = serverAuth\n");
        Openssl.run(
                folder,
                "x509",
                "-req",
                "-days",
                "365",
                "-sha256",
                "-in",
                "server.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-passin",
                "pass:x",
                "-CAcreateserial",
                "-out",
                "server-cert.pem",
                "-extfile",
                "extfile.cnf");
        Openssl.run(folder, "genrsa", "-out", "key.pem", "4096");
        Openssl.run(folder, "req", "-subj", "/CN=client", "-new", "-key", "key.pem", "-out", "client.csr");
        Files.writeString(folder.resolve("extfile-client.cnf"), "extendedKeyUsage = clientAuth\n");
        Openssl.run(
                folder,
                "x509",
                "-req",
                "-days",
                "365",
                "-sha256",
                "-in",
                "client.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-passin",
                "pass:x",
                "-CAcreateserial",
                "-out",
                "cert.pem",
                "-extfile",
                "extfile-client.cnf");
    }

    @Test
    void certificatesMadeAsDockerDocumentsWork() throws Exception {
        makeCertificatesAsDockerDocuments();
        TlsIdentity server = new TlsIdentity(
                TlsMaterial.load(
                        folder.resolve("ca.pem"), folder.resolve("server-cert.pem"), folder.resolve("server-key.pem")),
                CLOCK);
        TlsIdentity client = new TlsIdentity(
                TlsMaterial.load(folder.resolve("ca.pem"), folder.resolve("cert.pem"), folder.resolve("key.pem")),
                CLOCK);
        TlsIdentity swapped = new TlsIdentity(server.current(), CLOCK);
        SSLContext serverContext = context(server.keyManager(), server.clientTrust());

        for (String protocol : List.of("TLSv1.2", "TLSv1.3")) {
            assertThat(meet(serverContext, context(client.keyManager(), client.serverTrust("host")), protocol)
                            .server())
                    .isNotNull();
        }
        assertThat(refusal(meet(
                                serverContext,
                                context(swapped.keyManager(), TlsIdentity.unverifiedServerTrust()),
                                "TLSv1.3"))
                        .refusal())
                .as("a server's certificate does not pass for a client's")
                .isEqualTo(PeerRefusal.WRONG_PURPOSE);
        assertThatThrownBy(() -> TlsMaterial.load(null, folder.resolve("server-cert.pem"), folder.resolve("key.pem")))
                .hasMessageContaining("does not belong to the certificate");
        assertThatThrownBy(() -> TlsMaterial.load(null, folder.resolve("ca.pem"), folder.resolve("ca-key.pem")))
                .hasMessageContaining("is encrypted");
        assertThatThrownBy(() -> TlsMaterial.load(null, folder.resolve("no.pem"), folder.resolve("key.pem")))
                .hasMessageContaining("no.pem does not exist");
    }
}
