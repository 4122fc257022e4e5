package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.wire.NodeRole;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RootCertificateAuthorityTest {
    private static final Instant NOW = Instant.parse("2026-03-01T12:00:10Z");
    private static final NodeIdentity WORKER = new NodeIdentity("node1", NodeRole.WORKER, "cluster1");
    private static final NodeIdentity MANAGER = new NodeIdentity("node2", NodeRole.MANAGER, "cluster1");

    @TempDir
    private Path folder;

    private final RootCertificateAuthority authority = RootCertificateAuthority.create(NOW);

    private ByteString issue(NodeIdentity identity) throws CredentialException {
        return authority.sign(CertificateRequest.generate().pem(), identity, Duration.ofDays(90), NOW);
    }

    private static X509Certificate leaf(ByteString pem) throws CredentialException {
        return Certificates.parse(pem, "test").getFirst();
    }

    @Test
    void theRootIsWhatStockNodesExpect() throws Exception {
        Files.write(folder.resolve("root.crt"), authority.certificatePem().toByteArray());
        String text = Openssl.run(folder, "x509", "-in", "root.crt", "-noout", "-text");

        assertThat(text)
                .contains(
                        "Issuer: CN = swarm-ca\n", "Subject: CN = swarm-ca\n", "ecdsa-with-SHA256", "NIST CURVE: P-256")
                .contains("X509v3 Basic Constraints: critical\n                CA:TRUE\n")
                .contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n")
                .contains("X509v3 Subject Key Identifier")
                .contains("Not Before: Mar  1 11:55:00 2026 GMT", "Not After : Feb 24 11:55:00 2046 GMT");
        assertThat(Openssl.run(folder, "verify", "-CAfile", "root.crt", "root.crt"))
                .contains("OK");
    }

    @Test
    void aManagersCertificateIsWhatStockNodesExpect() throws Exception {
        Files.write(folder.resolve("root.crt"), authority.certificatePem().toByteArray());
        Files.write(folder.resolve("node.crt"), issue(MANAGER).toByteArray());
        String text = Openssl.run(folder, "x509", "-in", "node.crt", "-noout", "-text");

        assertThat(text)
                .contains("Subject: O = cluster1, OU = swarm-manager, CN = node2\n")
                .contains("DNS:swarm-manager, DNS:node2, DNS:swarm-ca\n")
                .contains("X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n")
                .contains("TLS Web Server Authentication, TLS Web Client Authentication\n")
                .contains("X509v3 Basic Constraints: critical\n                CA:FALSE\n")
                .contains("Not Before: Mar  1 11:00:10 2026 GMT", "Not After : May 30 12:00:10 2026 GMT");
        for (String purpose : List.of("sslserver", "sslclient")) {
            assertThat(Openssl.run(
                            folder,
                            "verify",
                            "-attime",
                            Long.toString(NOW.getEpochSecond()),
                            "-purpose",
                            purpose,
                            "-x509_strict",
                            "-verify_hostname",
                            "swarm-manager",
                            "-CAfile",
                            "root.crt",
                            "node.crt"))
                    .contains("OK");
        }
    }

    @Test
    void aWorkerDoesNotPassForTheAuthority() throws Exception {
        X509Certificate worker = leaf(issue(WORKER));

        assertThat(worker.getSubjectAlternativeNames())
                .containsExactly(List.of(2, "swarm-worker"), List.of(2, "node1"));
        assertThat(NodeIdentity.of(worker)).isEqualTo(WORKER);
        assertThat(NodeIdentity.of(leaf(issue(MANAGER)))).isEqualTo(MANAGER);
    }

    @Test
    void aValidityBelowAnHourMeansTheDefault() throws Exception {
        ByteString pem = authority.sign(CertificateRequest.generate().pem(), WORKER, Duration.ofMinutes(59), NOW);

        assertThat(leaf(pem).getNotAfter().toInstant()).isEqualTo(NOW.plus(Duration.ofDays(90)));
    }

    @Test
    void aRequestMadeByOpensslIsSignedAndItsSubjectIgnored() throws Exception {
        Openssl.run(
                folder,
                "req",
                "-new",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "k",
                "-subj",
                "/CN=evil",
                "-out",
                "r");
        ByteString request = ByteString.copyFrom(Files.readAllBytes(folder.resolve("r")));

        X509Certificate leaf = leaf(authority.sign(request, WORKER, Duration.ofDays(1), NOW));

        assertThat(NodeIdentity.of(leaf)).isEqualTo(WORKER);
    }

    @Test
    void aRequestOnEachStrongCurveIsSigned() throws Exception {
        for (String curve : List.of("prime256v1", "secp384r1", "secp521r1")) {
            Openssl.run(folder, "ecparam", "-name", curve, "-genkey", "-out", "k");
            Openssl.run(folder, "req", "-new", "-key", "k", "-subj", "/", "-out", "r");
            ByteString request = ByteString.copyFrom(Files.readAllBytes(folder.resolve("r")));

            X509Certificate leaf = leaf(authority.sign(request, WORKER, Duration.ofDays(1), NOW));

            assertThat(NodeIdentity.of(leaf)).isEqualTo(WORKER);
        }
    }

    @Test
    void weakForgedAndDamagedRequestsAreRefused() throws Exception {
        Openssl.run(folder, "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-subj", "/", "-out", "r");
        ByteString weak = ByteString.copyFrom(Files.readAllBytes(folder.resolve("r")));
        byte[] forgedDer = Pem.parse(CertificateRequest.generate().pem(), "test")
                .getFirst()
                .content()
                .toByteArray();
        forgedDer[forgedDer.length - 1] ^= 1;
        ByteString forged = ByteString.copyFromUtf8(new Pem(Pem.CERTIFICATE_REQUEST, forgedDer).encode());

        for (ByteString request : List.of(weak, forged, ByteString.EMPTY, authority.certificatePem())) {
            assertThatThrownBy(() -> authority.sign(request, WORKER, Duration.ofDays(1), NOW))
                    .isInstanceOf(CredentialException.class);
        }
    }

    @Test
    void aRootOfTheUserIsTakenWithEachFormOfKey() throws Exception {
        Openssl.run(
                folder,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "rsa.key",
                "-subj",
                "/CN=mine",
                "-out",
                "rsa.crt");
        Openssl.run(folder, "rsa", "-in", "rsa.key", "-traditional", "-out", "rsa1.key");
        Openssl.run(folder, "ecparam", "-name", "secp384r1", "-genkey", "-out", "ec.key");
        Openssl.run(folder, "req", "-x509", "-key", "ec.key", "-subj", "/CN=mine", "-out", "ec.crt");

        for (List<String> pair :
                List.of(List.of("rsa.crt", "rsa.key"), List.of("rsa.crt", "rsa1.key"), List.of("ec.crt", "ec.key"))) {
            RootCertificateAuthority loaded = RootCertificateAuthority.load(read(pair.get(0)), read(pair.get(1)));
            Files.write(
                    folder.resolve("node.crt"),
                    loaded.sign(CertificateRequest.generate().pem(), WORKER, Duration.ofDays(1), Instant.now())
                            .toByteArray());
            assertThat(Openssl.run(folder, "verify", "-CAfile", pair.get(0), "node.crt"))
                    .contains("OK");
        }
        assertThatThrownBy(() -> RootCertificateAuthority.load(read("rsa.crt"), read("ec.key")))
                .hasMessageContaining("does not belong");
    }

    @Test
    void rootsThatAreNotGoodEnoughAreRefused() throws Exception {
        Openssl.run(
                folder,
                "req",
                "-x509",
                "-newkey",
                "rsa:1024",
                "-nodes",
                "-keyout",
                "k",
                "-subj",
                "/CN=w",
                "-out",
                "weak");
        Openssl.run(
                folder,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "k",
                "-sha1",
                "-subj",
                "/CN=s",
                "-out",
                "sha1");
        Files.write(folder.resolve("leaf"), issue(WORKER).toByteArray());

        assertThatThrownBy(() -> TrustRoot.parse(read("weak"))).hasMessageContaining("weak key");
        assertThatThrownBy(() -> TrustRoot.parse(read("sha1"))).hasMessageContaining("signed with SHA1withRSA");
        assertThatThrownBy(() -> TrustRoot.parse(read("leaf"))).hasMessageContaining("not signed by itself");
        assertThatThrownBy(() -> authority.trustRoot().requireInDate(Instant.parse("2050-01-01T00:00:00Z")))
                .hasMessageContaining("expired");
        assertThatThrownBy(() -> authority.trustRoot().requireInDate(Instant.EPOCH))
                .hasMessageContaining("clock");
    }

    @Test
    void duringARotationThoseWhoKnowOnlyTheOldRootTrustTheNewKey() throws Exception {
        RootCertificateAuthority next = RootCertificateAuthority.create(NOW);
        ByteString crossSigned = authority.crossSign(next.trustRoot());
        RootCertificateAuthority rotating = authority.rotatingTo(next, crossSigned);
        CertificateRequest request = CertificateRequest.generate();
        ByteString chain = rotating.sign(request.pem(), WORKER, Duration.ofDays(90), NOW);
        Files.write(folder.resolve("old.crt"), authority.certificatePem().toByteArray());
        Files.write(folder.resolve("new.crt"), next.certificatePem().toByteArray());
        Files.write(folder.resolve("cross.crt"), crossSigned.toByteArray());
        Files.write(folder.resolve("chain.crt"), chain.toByteArray());
        String time = Long.toString(NOW.getEpochSecond());

        assertThat(rotating.trustRoot()).isEqualTo(authority.trustRoot());
        assertThat(Openssl.run(
                        folder,
                        "verify",
                        "-attime",
                        time,
                        "-CAfile",
                        "old.crt",
                        "-untrusted",
                        "cross.crt",
                        "chain.crt"))
                .contains("OK");
        assertThat(Openssl.run(folder, "verify", "-attime", time, "-CAfile", "new.crt", "chain.crt"))
                .contains("OK");
        NodeCredentials old = NodeCredentials.accept(authority.trustRoot(), chain, request, NOW);
        NodeCredentials moved = old.withRoot(next.trustRoot(), NOW);
        assertThat(moved.issuerPublicKey()).isEqualTo(next.issuerPublicKey());
        assertThat(old.issuerPublicKey()).isEqualTo(next.issuerPublicKey());
        assertThatThrownBy(() -> authority.rotatingTo(RootCertificateAuthority.create(NOW), crossSigned))
                .hasMessageContaining("not of the new root");
    }

    private ByteString read(String name) throws Exception {
        return ByteString.copyFrom(Files.readAllBytes(folder.resolve(name)));
    }
}
