package io.skep.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.certs.CredentialException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CertsCommandTest {
    @TempDir
    private Path temporary;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private final Map<String, String> environment = new HashMap<>();
    private final Deque<String> answers = new ArrayDeque<>();
    private Instant now = Instant.parse("2026-03-01T12:00:00Z");

    private Path folder() {
        return temporary.resolve("certs");
    }

    /** Runs {@code skep certs WORDS --dir FOLDER}; what it printed before is forgotten. */
    private int certs(String... words) {
        List<String> arguments = new ArrayList<>(List.of("certs"));
        arguments.addAll(List.of(words));
        arguments.addAll(List.of("--dir", folder().toString()));
        return skep(arguments.toArray(String[]::new));
    }

    private int skep(String... arguments) {
        out.getBuffer().setLength(0);
        err.getBuffer().setLength(0);
        Terminal terminal = new Terminal(
                new PrintWriter(out), new PrintWriter(err), environment, InstantSource.fixed(now), question -> {
                    String answer = answers.poll();
                    if (answer == null) {
                        throw new CredentialException("nobody answers: " + question);
                    }
                    return answer.toCharArray();
                });
        return Main.run(terminal, arguments);
    }

    private void assertFails(int code, String message) {
        assertThat(out.toString()).isEmpty();
        assertThat(err.toString()).startsWith("skep: ").contains(message).hasLineCount(1);
        assertThat(code).isBetween(1, 2);
    }

    @Test
    void theWholeWayFromNothingToAFleet() throws Exception {
        Path hosts =
                Files.writeString(temporary.resolve("hosts"), "# boards\npi-1 10.0.0.11\npi-2 10.0.0.12 pi-2.lan\n");

        assertThat(certs("init")).isZero();
        assertThat(out.toString()).contains("Made the authority", "not encrypted", "Next: skep certs server");
        assertThat(certs("server", "nas", "--address", "nas.lan,10.0.0.9", "--address", "fd00::9"))
                .isZero();
        assertThat(certs("fleet", hosts.toString())).isZero();
        assertThat(out.toString().lines()).hasSize(2);
        assertThat(certs("fleet", hosts.toString())).isZero();
        assertThat(out.toString()).isEqualTo("2 of 2 machines had their certificates already" + System.lineSeparator());
        assertThat(certs("client", "alice")).isZero();
        assertThat(out.toString())
                .contains("source " + folder().resolve("clients/alice/env.sh"))
                .contains("docker context import pi-2 " + folder().resolve("clients/alice/pi-2.dockercontext"));

        assertThat(certs("show")).isZero();
        assertThat(out.toString().lines().map(line -> line.replaceAll(" +", " ")))
                .containsExactly(
                        "NAME KIND EXPIRES DAYS LEFT ADDRESSES",
                        "ca authority 2036-02-27 3650",
                        "nas server 2028-02-29 730 nas.lan, 10.0.0.9, fd00::9, nas, localhost, 127.0.0.1, ::1",
                        "pi-1 server 2028-02-29 730 10.0.0.11, pi-1, localhost, 127.0.0.1, ::1",
                        "pi-1 client 2028-02-29 730",
                        "pi-2 server 2028-02-29 730 10.0.0.12, pi-2.lan, pi-2, localhost, 127.0.0.1, ::1",
                        "pi-2 client 2028-02-29 730",
                        "alice client 2028-02-29 730");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void whatEndsSoonIsRenewed() throws Exception {
        certs("init");
        certs("server", "nas", "--address", "10.0.0.9", "--days", "40");
        certs("client", "alice");
        assertThat(certs("renew")).isZero();
        assertThat(out.toString()).isEqualTo("Nothing ends within 30 days" + System.lineSeparator());

        now = Instant.parse("2026-04-05T12:00:00Z");
        assertThat(certs("renew")).isZero();
        assertThat(out.toString())
                .isEqualTo("Renewed " + folder().resolve("machines/nas/server-cert.pem")
                        + " until 2028-04-04: copy it to nas" + System.lineSeparator());
        assertThat(certs("renew", "alice", "ca", "--days", "7")).isZero();
        assertThat(out.toString()).contains("until 2026-04-12: copy the new ca.pem to every machine and client");
        assertThat(certs("renew", "alice", "--new-keys")).isZero();
        assertThat(out.toString()).contains("cert.pem until 2026-04-12: hand it and key.pem out");

        now = Instant.parse("2026-05-01T12:00:00Z");
        assertThat(certs("show")).isZero();
        assertThat(out.toString().lines().filter(line -> line.contains("expired")))
                .hasSize(2);
    }

    @Test
    void thePassphraseComesFromFileEnvironmentOrAPerson() throws Exception {
        answers.addAll(List.of("secret", "secret"));
        assertThat(certs("init", "--passphrase")).isZero();
        assertThat(out.toString()).contains("encrypted with your passphrase");
        assertThat(folder().resolve("ca-key.pem")).content().startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----");

        assertFails(certs("client", "alice", "--host", "10.0.0.1"), "nobody answers: Passphrase of " + folder());
        answers.add("secret");
        assertThat(certs("client", "alice", "--host", "10.0.0.1")).isZero();
        Path file = Files.writeString(temporary.resolve("passphrase"), "secret\n");
        assertThat(certs("client", "bob", "--host", "10.0.0.1", "--passphrase-file", file.toString()))
                .isZero();
        environment.put("SKEP_CA_PASSPHRASE", "wrong");
        assertFails(certs("client", "carol", "--host", "10.0.0.1"), "the passphrase is wrong");
        environment.put("SKEP_CA_PASSPHRASE", "");
        assertFails(certs("client", "carol", "--host", "10.0.0.1"), "holds an empty passphrase");
        assertFails(
                certs("client", "carol", "--host", "10.0.0.1", "--passphrase-file", "/nowhere"),
                "the passphrase file /nowhere does not exist");
    }

    @Test
    void whereNobodySitsTheOtherWaysAreNamed() {
        assertThatThrownBy(() -> Terminal.system().secrets().ask("Passphrase"))
                .isInstanceOf(CredentialException.class)
                .hasMessageContaining("give --passphrase-file FILE or set SKEP_CA_PASSPHRASE");
    }

    @Test
    void aMistypedPassphraseMakesNothing() {
        answers.addAll(List.of("secret", "secrte"));

        assertFails(certs("init", "--passphrase"), "the two passphrases differ");
        assertThat(folder()).doesNotExist();
    }

    @Test
    void failuresAreOneLineAndSayTheWayOut() {
        assertFails(certs("show"), "make one with: skep certs init");
        certs("init");
        assertFails(certs("init"), "ca.pem exists already");
        assertFails(certs("server", "nas"), "--address");
        assertFails(certs("server", "nas", "--address", "10.0.0.300"), "\"10.0.0.300\" cannot stand in a certificate");
        assertFails(certs("server", "../nas", "--address", "10.0.0.1"), "\"../nas\" is no name");
        assertFails(certs("server", "nas", "--address", "a", "--days", "0"), "--days 0 is out of range");
        assertFails(certs("server", "nas", "--address", "a", "--port", "99999"), "--port 99999 is no port");
        assertFails(certs("server", "nas", "--address", "a", "--days", "x"), "see: skep certs server --help");
        assertFails(certs("fleet", "/nowhere"), "/nowhere does not exist");
        assertFails(certs("renew", "nobody"), "see: skep certs show");
        assertFails(certs("renew", "--within", "-1"), "--within -1 is out of range");
        assertFails(certs("rewen"), "see: skep certs --help");
    }

    @Test
    void exitCodesTellMisuseFromFailure() {
        assertThat(certs("init")).isEqualTo(0);
        assertThat(certs("init")).isEqualTo(1);
        assertThat(certs("init", "--nonsense")).isEqualTo(2);
        assertThat(skep("--help")).isEqualTo(0);
        assertThat(skep("--version")).isEqualTo(0);
        assertThat(skep("certs")).isEqualTo(0);
        assertThat(out.toString()).contains("init", "server", "client", "fleet", "show", "renew");
    }
}
