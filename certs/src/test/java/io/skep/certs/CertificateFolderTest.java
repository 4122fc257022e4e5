package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.protobuf.ByteString;
import io.skep.certs.CertificateFolder.Entry;
import io.skep.certs.CertificateFolder.Kind;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CertificateFolderTest {
    private static final CertificateOptions OPTIONS = CertificateOptions.defaults();
    private static final CertificateOptions REPLACE =
            new CertificateOptions(false, Duration.ofDays(10), 2376, "/etc/skep/certs", true);
    private final Instant now = Instant.now();

    @TempDir
    private Path temporary;

    private Path folder() {
        return temporary.resolve("certs");
    }

    private CertificateFolder create() throws Exception {
        return CertificateFolder.create(folder(), false, CertificateFolder.AUTHORITY_VALIDITY, null, now);
    }

    private CertificateFolder open() throws CredentialException {
        return CertificateFolder.open(folder(), keyFile -> "secret".toCharArray());
    }

    private static List<HostAddress> addresses(String... texts) throws CredentialException {
        List<HostAddress> addresses = new ArrayList<>();
        for (String text : texts) {
            addresses.add(HostAddress.parse(text));
        }
        return addresses;
    }

    private String openssl(String... arguments) throws Exception {
        return Openssl.run(folder(), arguments);
    }

    @Test
    void opensslAcceptsServerAndClient() throws Exception {
        create();
        open().addServer("pi-1", addresses("10.0.0.11", "pi-1.lan", "fd00::11"), OPTIONS, now);
        open().addClient("alice", List.of(), OPTIONS, now);

        for (String check : List.of(
                "-verify_ip 10.0.0.11",
                "-verify_ip fd00::11",
                "-verify_hostname pi-1.lan",
                "-verify_hostname pi-1",
                "-verify_hostname localhost",
                "-verify_ip 127.0.0.1")) {
            String[] words = check.split(" ", -1);
            assertThat(openssl(
                            "verify",
                            "-x509_strict",
                            "-purpose",
                            "sslserver",
                            words[0],
                            words[1],
                            "-CAfile",
                            "ca.pem",
                            "machines/pi-1/server-cert.pem"))
                    .contains("OK");
        }
        assertThat(openssl(
                        "verify",
                        "-x509_strict",
                        "-purpose",
                        "sslclient",
                        "-CAfile",
                        "ca.pem",
                        "clients/alice/cert.pem"))
                .contains("OK");
        assertThatThrownBy(
                        () -> openssl("verify", "-purpose", "sslserver", "-CAfile", "ca.pem", "clients/alice/cert.pem"))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() -> openssl(
                        "verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "machines/pi-1/server-cert.pem"))
                .isInstanceOf(IOException.class);
        assertThat(openssl("x509", "-in", "ca.pem", "-noout", "-text")).contains("ecdsa-with-SHA256", "CA:TRUE");
    }

    @Test
    void keysAreForTheirOwnerOnly() throws Exception {
        create();
        open().addFleet(HostsFile.parse("pi-1 10.0.0.11", "test"), OPTIONS, now);
        open().addClient("alice", List.of(), OPTIONS, now);

        try (Stream<Path> files = Files.walk(folder())) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                String name = file.getFileName().toString();
                boolean secret = name.contains("key") || name.endsWith(".dockercontext");
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                        .as(file.toString())
                        .isEqualTo(secret ? "rw-------" : "rw-r--r--");
            }
        }
    }

    @Test
    void rsaIsMadeOnRequest() throws Exception {
        create();
        open().addClient(
                        "old",
                        List.of("10.0.0.1"),
                        new CertificateOptions(true, Duration.ofDays(1), 2376, "/x", false),
                        now);

        assertThat(openssl("x509", "-in", "clients/old/cert.pem", "-noout", "-text"))
                .contains("Public-Key: (3072 bit)", "Digital Signature, Key Encipherment");
    }

    @Test
    void thePassphraseGuardsTheAuthority() throws Exception {
        CertificateFolder.create(folder(), false, Duration.ofDays(10), "secret".toCharArray(), now);
        open().addClient("alice", List.of("10.0.0.1"), OPTIONS, now);

        openssl("pkey", "-in", "ca-key.pem", "-passin", "pass:secret", "-noout");
        CertificateFolder wrong = CertificateFolder.open(folder(), keyFile -> "wrong".toCharArray());
        assertThatThrownBy(() -> wrong.addClient("bob", List.of("10.0.0.1"), OPTIONS, now))
                .isInstanceOf(CredentialException.class)
                .hasMessageStartingWith(
                        folder().resolve("ca-key.pem") + " cannot be decrypted: the passphrase is wrong");
        try (Stream<Path> clients = Files.list(folder().resolve("clients"))) {
            assertThat(clients).containsExactly(folder().resolve("clients/alice"));
        }
        assertThat(wrong.list()).hasSize(2);
    }

    @Test
    void nothingIsOverwrittenSilently() throws Exception {
        create();
        open().addServer("pi-1", addresses("10.0.0.11"), OPTIONS, now);
        byte[] before = Files.readAllBytes(folder().resolve("machines/pi-1/server-cert.pem"));

        assertThatThrownBy(this::create).hasMessageContaining("ca.pem exists already");
        assertThatThrownBy(() -> open().addServer("pi-1", addresses("10.0.0.12"), OPTIONS, now))
                .hasMessageContaining("skep certs renew pi-1")
                .hasMessageContaining("--replace");
        assertThatThrownBy(() -> open().addFleet(HostsFile.parse("pi-0 10.0.0.1\npi-1 10.0.0.12", "t"), OPTIONS, now))
                .hasMessageContaining("--replace");
        assertThat(folder().resolve("machines/pi-0"))
                .as("made before the trouble was seen")
                .doesNotExist();
        assertThat(Files.readAllBytes(folder().resolve("machines/pi-1/server-cert.pem")))
                .isEqualTo(before);

        open().addServer("pi-1", addresses("10.0.0.12"), REPLACE, now);

        assertThat(open().list().get(1).addresses())
                .containsExactly("10.0.0.12", "pi-1", "localhost", "127.0.0.1", "::1");
    }

    @Test
    void aFleetCanGrowAndReplacingAServerKeepsItsClient() throws Exception {
        create();
        String one = "pi-1 10.0.0.11\n";
        assertThat(open().addFleet(HostsFile.parse(one, "t"), OPTIONS, now)).hasSize(1);
        assertThat(open().addFleet(HostsFile.parse(one, "t"), OPTIONS, now)).isEmpty();
        assertThat(open().addFleet(HostsFile.parse(one + "win-1 win-1.lan 10.0.0.12", "t"), OPTIONS, now))
                .containsExactly(folder().resolve("machines/win-1"));
        open().addServer("pi-1", addresses("10.0.0.13"), REPLACE, now);

        assertThat(open().list().stream().map(entry -> entry.kind() + " " + entry.name()))
                .containsExactly("AUTHORITY ca", "SERVER pi-1", "CLIENT pi-1", "SERVER win-1", "CLIENT win-1");
        assertThat(folder().resolve("machines/win-1/daemon.json"))
                .content()
                .contains("\"tcp://0.0.0.0:2376\"", "\"/etc/skep/certs/server-key.pem\"");
        assertThat(folder().resolve("machines/win-1/client/env.sh"))
                .content()
                .contains("DOCKER_HOST=tcp://win-1.lan:2376");
        try (Stream<Path> rest = Files.list(folder().resolve("machines"))) {
            assertThat(rest.map(path -> path.getFileName().toString())).containsExactlyInAnyOrder("pi-1", "win-1");
        }
    }

    @Test
    void aClientKnowsTheMachinesByName() throws Exception {
        create();
        assertThatThrownBy(() -> open().addClient("alice", List.of(), OPTIONS, now))
                .hasMessageContaining("give --host ADDRESS");
        open().addServer("pi-1", addresses("10.0.0.11"), OPTIONS, now);
        open().addServer("pi-2", addresses("fd00::2"), OPTIONS, now);

        open().addClient("alice", List.of("pi-2", "10.9.9.9"), OPTIONS, now);

        Path alice = folder().resolve("clients/alice");
        assertThat(ClientBundle.contexts(alice))
                .containsExactly(alice.resolve("10.9.9.9.dockercontext"), alice.resolve("pi-2.dockercontext"));
        assertThat(alice.resolve("env.ps1")).content().contains("$Env:DOCKER_HOST = \"tcp://[fd00::2]:2376\"");
        open().addClient("bob", List.of(), OPTIONS, now);
        assertThat(ClientBundle.contexts(folder().resolve("clients/bob"))).hasSize(2);
    }

    @Test
    void renewingKeepsKeysUnlessAskedAndRefreshesContexts() throws Exception {
        create();
        open().addFleet(HostsFile.parse("pi-1 10.0.0.11", "t"), REPLACE, now);
        Path client = folder().resolve("machines/pi-1/client");
        byte[] key = Files.readAllBytes(client.resolve("key.pem"));
        Instant later = now.plus(Duration.ofMinutes(5));

        List<Entry> renewed = open().renew(List.of(), Duration.ofDays(30), false, Duration.ofDays(100), later);

        assertThat(renewed).extracting(Entry::kind).containsExactly(Kind.SERVER, Kind.CLIENT);
        assertThat(renewed.getFirst().notAfter())
                .isCloseTo(later.plus(Duration.ofDays(100)), within(1, ChronoUnit.SECONDS));
        assertThat(Files.readAllBytes(client.resolve("key.pem"))).isEqualTo(key);
        assertContextHolds(client, "cert.pem");
        assertThat(openssl("verify", "-CAfile", "ca.pem", "machines/pi-1/server-cert.pem"))
                .contains("OK");
        assertThat(open().renew(List.of(), Duration.ofDays(30), false, null, later))
                .isEmpty();

        open().renew(List.of("pi-1"), Duration.ZERO, true, null, later);

        assertThat(Files.readAllBytes(client.resolve("key.pem"))).isNotEqualTo(key);
        assertContextHolds(client, "key.pem");
        TlsMaterial.load(client.resolve("ca.pem"), client.resolve("cert.pem"), client.resolve("key.pem"));
    }

    private static void assertContextHolds(Path client, String file) throws IOException {
        String context = Files.readString(client.resolve("pi-1.dockercontext"), StandardCharsets.ISO_8859_1);
        assertThat(context)
                .contains(Files.readString(client.resolve(file)))
                .contains("\"Host\":\"tcp://10.0.0.11:2376\"");
    }

    @Test
    void aKeyThatWasMovedAwayDoesNotHinderRenewal() throws Exception {
        create();
        open().addFleet(HostsFile.parse("pi-1 10.0.0.11", "t"), OPTIONS, now);
        Files.delete(folder().resolve("machines/pi-1/server-key.pem"));
        Files.delete(folder().resolve("machines/pi-1/client/key.pem"));

        assertThat(open().renew(List.of("pi-1"), Duration.ZERO, false, null, now))
                .hasSize(2);
    }

    @Test
    void aPassphraseThatIsWrongLeavesKeyAndCertificateTogether() throws Exception {
        CertificateFolder made = CertificateFolder.create(
                folder(), false, CertificateFolder.AUTHORITY_VALIDITY, "another".toCharArray(), now);
        Path machine = made.addServer("pi-1", addresses("10.0.0.11"), OPTIONS, now);
        byte[] key = Files.readAllBytes(machine.resolve("server-key.pem"));

        assertThatThrownBy(() -> open().renew(List.of("pi-1"), Duration.ZERO, true, null, now))
                .isInstanceOf(CredentialException.class)
                .hasMessageContaining("passphrase");

        assertThat(Files.readAllBytes(machine.resolve("server-key.pem"))).isEqualTo(key);
    }

    @Test
    void theAuthorityIsRenewedWithTheSameKey() throws Exception {
        CertificateFolder.create(folder(), false, Duration.ofDays(20), null, now);
        open().addFleet(HostsFile.parse("pi-1 10.0.0.11", "t"), OPTIONS, now);
        Files.copy(folder().resolve("ca.pem"), folder().resolve("old-ca.pem"));
        assertThat(open().list().get(1).notAfter())
                .as("a certificate does not outlive its authority")
                .isEqualTo(open().list().get(0).notAfter());

        open().renew(List.of("ca"), Duration.ZERO, false, null, now);
        open().renew(List.of("pi-1"), Duration.ZERO, false, null, now);

        assertThat(folder().resolve("machines/pi-1/client/ca.pem")).hasSameBinaryContentAs(folder().resolve("ca.pem"));
        assertThat(openssl("verify", "-CAfile", "ca.pem", "machines/pi-1/server-cert.pem"))
                .contains("OK");
        assertThat(openssl("verify", "-CAfile", "old-ca.pem", "machines/pi-1/server-cert.pem"))
                .contains("OK");
        assertThatThrownBy(() -> open().renew(List.of("ca"), Duration.ZERO, true, null, now))
                .hasMessageContaining("another authority");
        assertThatThrownBy(() -> open().renew(List.of("nobody"), Duration.ZERO, true, null, now))
                .hasMessageContaining("is called nobody");
        Instant after = now.plus(Duration.ofDays(4000));
        assertThatThrownBy(() -> open().addClient("bob", List.of("pi-1"), OPTIONS, after))
                .hasMessageContaining("renew it first: skep certs renew ca");
    }

    @Test
    void anAuthorityMadeWithOpensslIsTaken() throws Exception {
        Files.createDirectory(folder());
        openssl("genrsa", "-aes256", "-passout", "pass:secret", "-out", "ca-key.pem", "2048");
        openssl(
                "req",
                "-new",
                "-x509",
                "-days",
                "365",
                "-key",
                "ca-key.pem",
                "-passin",
                "pass:secret",
                "-sha256",
                "-subj",
                "/C=DE/O=Home/CN=host",
                "-out",
                "ca.pem");

        open().addServer("pi-1", addresses("10.0.0.11"), OPTIONS, now);

        assertThat(openssl("verify", "-CAfile", "ca.pem", "machines/pi-1/server-cert.pem"))
                .contains("OK");
    }

    @Test
    void whatIsNoAuthorityIsNamed() throws Exception {
        assertThatThrownBy(this::open).hasMessageContaining("skep certs init");
        create();
        Files.copy(folder().resolve("ca.pem"), temporary.resolve("other.pem"));
        Files.delete(folder().resolve("ca.pem"));
        Files.delete(folder().resolve("ca-key.pem"));
        create();
        Files.copy(temporary.resolve("other.pem"), folder().resolve("ca.pem"), StandardCopyOption.REPLACE_EXISTING);

        assertThatThrownBy(() -> open().addClient("a", List.of("10.0.0.1"), OPTIONS, now))
                .hasMessageContaining("does not belong to " + folder().resolve("ca.pem"));
        assertThatThrownBy(() -> DockerContext.withCertificates(
                        ByteString.copyFromUtf8("x".repeat(2000)),
                        "f",
                        ByteString.EMPTY,
                        ByteString.EMPTY,
                        ByteString.EMPTY))
                .hasMessageContaining("f is no docker context");
    }
}
