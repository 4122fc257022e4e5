package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.handler.ssl.SslContext;
import io.skep.certs.TlsMaterial;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The API over mutual TLS with the real docker CLI, and what is said of handshakes that fail. */
class TlsTest {
    @TempDir
    static Path certificates;

    private final FakeNode node = new FakeNode();
    private final AtomicReference<SslContext> context = new AtomicReference<>();
    private ApiServer server;
    private InetSocketAddress address;

    /** Makes a CA, server certificates, and client certificates good, expired and of a foreign CA, with openssl. */
    @BeforeAll
    static void makeCertificates() throws Exception {
        authority("ca");
        authority("other");
        leaf("ca", "server", "IP:127.0.0.1", "serverAuth", "-days", "30");
        leaf("ca", "server2", "IP:127.0.0.1", "serverAuth", "-days", "31");
        leaf("ca", "client", "DNS:client", "clientAuth", "-days", "30");
        leaf(
                "ca",
                "expired",
                "DNS:client",
                "clientAuth",
                "-not_before",
                "20200101000000Z",
                "-not_after",
                "20200201000000Z");
        leaf("ca", "wrong", "DNS:client", "serverAuth", "-days", "30");
        leaf("other", "foreign", "DNS:client", "clientAuth", "-days", "30");
    }

    private static void authority(String name) throws Exception {
        openssl(
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=" + name,
                "-keyout",
                name + "-key.pem",
                "-out",
                name + ".pem");
    }

    private static void leaf(String issuer, String name, String san, String usage, String... validity)
            throws Exception {
        openssl(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=" + name,
                "-keyout",
                name + "-key.pem",
                "-out",
                name + ".csr");
        Files.writeString(
                certificates.resolve(name + ".ext"), "subjectAltName=" + san + "\nextendedKeyUsage=" + usage + "\n");
        if (validity[0].equals("-days")) {
            openssl(
                    "x509",
                    "-req",
                    "-in",
                    name + ".csr",
                    "-CA",
                    issuer + ".pem",
                    "-CAkey",
                    issuer + "-key.pem",
                    "-CAcreateserial",
                    "-extfile",
                    name + ".ext",
                    "-days",
                    validity[1],
                    "-out",
                    name + ".pem");
            return;
        }
        Files.writeString(certificates.resolve("index.txt"), "");
        Files.writeString(certificates.resolve("serial"), "01");
        Files.writeString(certificates.resolve("ca.cnf"), """
                [ca]
                default_ca=d
                [d]
                database=index.txt
                serial=serial
                new_certs_dir=.
                default_md=sha256
                policy=p
                [p]
                commonName=supplied
                """);
        openssl(
                "ca",
                "-batch",
                "-config",
                "ca.cnf",
                "-in",
                name + ".csr",
                "-cert",
                issuer + ".pem",
                "-keyfile",
                issuer + "-key.pem",
                "-extfile",
                name + ".ext",
                "-startdate",
                validity[1],
                "-enddate",
                validity[3],
                "-notext",
                "-out",
                name + ".pem");
    }

    private static void openssl(String... arguments) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("openssl");
        builder.command().addAll(List.of(arguments));
        Path log = certificates.resolve("openssl.log");
        Process process = builder.directory(certificates.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        process.getOutputStream().close();
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(Files.readString(log)).isZero();
    }

    @BeforeEach
    void listen() throws Exception {
        context.set(context("server"));
        server = new ApiServer(ApiServerTest.engine(certificates), node, null);
        address = (InetSocketAddress) server.listen(
                new ListenAddress.Tcp(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), context::get));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private static SslContext context(String name) throws Exception {
        TlsMaterial material = TlsMaterial.load(
                certificates.resolve("ca.pem"),
                certificates.resolve(name + ".pem"),
                certificates.resolve(name + "-key.pem"));
        return TlsContexts.server(material, true);
    }

    private static KeyStore keyStore(String name) throws Exception {
        openssl(
                "pkcs12",
                "-export",
                "-in",
                name + ".pem",
                "-inkey",
                name + "-key.pem",
                "-name",
                "it",
                "-passout",
                "pass:",
                "-out",
                name + ".p12");
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(Files.readAllBytes(certificates.resolve(name + ".p12"))), new char[0]);
        return store;
    }

    private static X509Certificate certificate(String name) throws Exception {
        return (X509Certificate) java.security.cert.CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(certificates.resolve(name + ".pem"))));
    }

    private DockerCli docker(String client) throws IOException {
        Path folder = Files.createTempDirectory(certificates, "client");
        Files.copy(certificates.resolve("ca.pem"), folder.resolve("ca.pem"));
        if (!client.isEmpty()) {
            Files.copy(certificates.resolve(client + ".pem"), folder.resolve("cert.pem"));
            Files.copy(certificates.resolve(client + "-key.pem"), folder.resolve("key.pem"));
        }
        return new DockerCli(
                DockerCli.programs().findFirst().orElseThrow(),
                Map.of(
                        "DOCKER_HOST",
                        "tcp://127.0.0.1:" + address.getPort(),
                        "DOCKER_TLS_VERIFY",
                        "1",
                        "DOCKER_CERT_PATH",
                        folder.toString()));
    }

    @Test
    void clientWithCertificateIsServed() throws Exception {
        assertThat(docker("client")
                        .ok("version", "--format", "{{.Server.Version}}")
                        .trim())
                .isEqualTo("0.1.0");
    }

    @Test
    void otherClientsAreRefusedAtTheHandshakeAndTheLogSaysWhy() throws Exception {
        assertThat(refusal("expired")).contains("127.0.0.1").contains("the client certificate has expired");
        assertThat(refusal("foreign")).contains("the client certificate was signed by an unknown CA");
        assertThat(refusal("wrong")).contains("the client certificate is not meant for clients");
        assertThat(refusal("")).contains("the client sent no certificate");
    }

    @Test
    void sessionsThatSkipVerificationWhenResumedAreShort() throws Exception {
        assertThat(context("server").sessionTimeout()).isEqualTo(300);
    }

    private String refusal(String client) throws Exception {
        try (LogCapture log = new LogCapture()) {
            DockerCli docker = client.isEmpty() ? new DockerCli("/usr/bin/curl", Map.of()) : docker(client);
            DockerCli.Result result = client.isEmpty()
                    ? docker.run("-sk", "https://127.0.0.1:" + address.getPort() + "/_ping")
                    : docker.run("version");
            assertThat(result.exit()).isNotZero();
            return log.await("TLS handshake");
        }
    }

    @Test
    void plainTextIsToldWhatIsWrong() throws Exception {
        try (Socket socket = new Socket(address.getAddress(), address.getPort())) {
            socket.getOutputStream().write("GET /_ping HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII))
                    .contains("400 Bad Request")
                    .contains("Client sent an HTTP request to an HTTPS server.");
        }
    }

    @Test
    void renewedCertificateServesNewConnectionsWhileOldOnesGoOn() throws Exception {
        var tls = javax.net.ssl.SSLContext.getInstance("TLS");
        var keys = javax.net.ssl.KeyManagerFactory.getInstance("PKIX");
        keys.init(keyStore("client"), new char[0]);
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        roots.setCertificateEntry("ca", certificate("ca"));
        var trust = javax.net.ssl.TrustManagerFactory.getInstance("PKIX");
        trust.init(roots);
        tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        try (var old = (javax.net.ssl.SSLSocket)
                tls.getSocketFactory().createSocket(address.getAddress(), address.getPort())) {
            assertThat(subject(old)).isEqualTo("CN=server");
            context.set(context("server2"));
            try (var fresh = (javax.net.ssl.SSLSocket)
                    tls.getSocketFactory().createSocket(address.getAddress(), address.getPort())) {
                assertThat(subject(fresh)).isEqualTo("CN=server2");
            }
            assertThat(ping(old)).contains("200 OK");
        }
    }

    private static String subject(javax.net.ssl.SSLSocket socket) throws IOException {
        assertThat(ping(socket)).contains("200 OK");
        return ((X509Certificate)
                        Arrays.asList(socket.getSession().getPeerCertificates()).getFirst())
                .getSubjectX500Principal()
                .getName();
    }

    private static String ping(Socket socket) throws IOException {
        socket.setSoTimeout(20_000);
        socket.getOutputStream().write("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        StringBuilder text = new StringBuilder();
        while (!text.toString().endsWith("OK") || !text.toString().contains("\r\n\r\n")) {
            int next = socket.getInputStream().read();
            if (next < 0) {
                break;
            }
            text.append((char) next);
        }
        return text.toString();
    }
}
