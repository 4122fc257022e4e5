package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.certs.NodeCredentialStore.Stored;
import io.skep.wire.NodeRole;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodeCredentialStoreTest {
    private static final Instant NOW = Instant.parse("2026-03-01T12:00:00Z");
    private static final UnlockKey UNLOCK_KEY = UnlockKey.generate(new Random(1));
    private static final ByteString LOG_KEY = ByteString.copyFromUtf8("the key of the raft log");

    @TempDir
    private Path temporary;

    private final RootCertificateAuthority authority = RootCertificateAuthority.create(NOW);

    private Path folder() {
        return temporary.resolve("swarm/certificates");
    }

    private NodeCredentialStore store() {
        return new NodeCredentialStore(folder());
    }

    private NodeCredentials issue(String nodeId) throws CredentialException {
        CertificateRequest request = CertificateRequest.generate();
        NodeIdentity identity = new NodeIdentity(nodeId, NodeRole.MANAGER, "cluster1");
        return NodeCredentials.accept(
                        authority.trustRoot(),
                        authority.sign(request.pem(), identity, Duration.ofDays(90), NOW),
                        request,
                        NOW)
                .withSecret("raft-dek", LOG_KEY)
                .withKeyEncryptionVersion(7);
    }

    private NodeCredentials ready(@Nullable UnlockKey key) throws Exception {
        assertThat(store().load(key)).isInstanceOf(Stored.Ready.class);
        return ((Stored.Ready) store().load(key)).credentials();
    }

    @Test
    void anEmptyFolderHoldsNothing() throws Exception {
        assertThat(store().load(null)).isEqualTo(new Stored.Nothing());
        assertThat(store().loadRoot()).isEmpty();

        store().saveRoot(authority.trustRoot());

        assertThat(store().load(null)).isEqualTo(new Stored.Nothing());
        assertThat(store().loadRoot()).contains(authority.trustRoot());
    }

    @Test
    void credentialsComeBackAsTheyWere() throws Exception {
        NodeCredentials credentials = issue("node1");
        store().save(credentials, null);

        assertThat(ready(null)).isEqualTo(credentials);
        assertThat(ready(UNLOCK_KEY)).isEqualTo(credentials);
        assertThat(Files.readString(folder().resolve("swarm-node.key")))
                .startsWith("-----BEGIN PRIVATE KEY-----\nkek-version: 7\nraft-dek: ");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder().resolve("swarm-node.key"))))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(folder())))
                .isEqualTo("rwx------");

        store().delete();

        assertThat(store().load(null)).isEqualTo(new Stored.Nothing());
        assertThat(folder()).isEmptyDirectory();
    }

    @Test
    void withAnUnlockKeyNothingSecretIsReadable() throws Exception {
        NodeCredentials credentials = issue("node1");
        store().save(credentials, UNLOCK_KEY);

        assertThat(ready(UNLOCK_KEY)).isEqualTo(credentials);
        assertThat(store().load(null)).isEqualTo(new Stored.Locked());
        assertThat(store().load(UnlockKey.generate(new Random(2)))).isEqualTo(new Stored.Locked());
        Pem file = Pem.parse(ByteString.copyFrom(Files.readAllBytes(folder().resolve("swarm-node.key"))), "test")
                .getFirst();
        assertThat(file.type()).isEqualTo("ENCRYPTED PRIVATE KEY");
        assertThat(file.headers()).containsEntry("kek-version", "7").containsKey("raft-dek");
        assertThat(file.headers().get("raft-dek"))
                .isNotEqualTo(Base64.getEncoder().encodeToString(LOG_KEY.toByteArray()));
    }

    @Test
    void theUnlockKeyCanBeExchangedAndTakenAway() throws Exception {
        NodeCredentials credentials = issue("node1");
        UnlockKey other = UnlockKey.generate(new Random(2));
        store().save(credentials, UNLOCK_KEY);
        store().save(credentials.withKeyEncryptionVersion(8), other);

        assertThat(store().load(UNLOCK_KEY)).isEqualTo(new Stored.Locked());
        assertThat(ready(other).keyEncryptionVersion()).isEqualTo(8);

        store().save(credentials.withoutSecrets(Set.of("raft-dek")), null);

        assertThat(ready(null).secrets()).isEmpty();
    }

    @Test
    void aHeaderOfAnOlderFileDoesNotFitANewerOne() throws Exception {
        NodeCredentials credentials = issue("node1");
        Path file = folder().resolve("swarm-node.key");
        store().save(credentials, UNLOCK_KEY);
        String oldHeader = secretLine(Files.readString(file));
        store().save(credentials.withSecret("raft-dek", ByteString.copyFromUtf8("newer")), UNLOCK_KEY);
        String text = Files.readString(file);

        Files.writeString(file, text.replace(secretLine(text), oldHeader));

        assertThat(store().load(UNLOCK_KEY)).isEqualTo(new Stored.Locked());
    }

    private static String secretLine(String text) {
        return text.lines()
                .filter(line -> line.startsWith("raft-dek"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aCrashBeforeTheCertificateIsReplacedKeepsTheOldPair() throws Exception {
        NodeCredentials before = issue("node1");
        store().save(before, null);
        Path aside = temporary.resolve("aside");
        new NodeCredentialStore(aside).save(issue("node1"), null);

        Files.copy(aside.resolve("swarm-node.key"), folder().resolve("swarm-node.key.next"));

        assertThat(ready(null)).isEqualTo(before);
    }

    @Test
    void aCrashAfterTheCertificateIsReplacedGivesTheNewPair() throws Exception {
        store().save(issue("node1"), UNLOCK_KEY);
        NodeCredentials after = issue("node1");
        Path aside = temporary.resolve("aside");
        new NodeCredentialStore(aside).save(after, UNLOCK_KEY);

        Files.copy(aside.resolve("swarm-node.key"), folder().resolve("swarm-node.key.next"));
        Files.copy(
                aside.resolve("swarm-node.crt"),
                folder().resolve("swarm-node.crt"),
                StandardCopyOption.REPLACE_EXISTING);

        assertThat(ready(UNLOCK_KEY)).isEqualTo(after);
        assertThat(folder().resolve("swarm-node.key.next")).doesNotExist();
        assertThat(ready(UNLOCK_KEY)).isEqualTo(after);
    }

    @Test
    void aKeyThatIsMissingOrAnothersIsNamed() throws Exception {
        store().save(issue("node1"), null);
        Path aside = temporary.resolve("aside");
        new NodeCredentialStore(aside).save(issue("node1"), null);

        Files.copy(
                aside.resolve("swarm-node.key"),
                folder().resolve("swarm-node.key"),
                StandardCopyOption.REPLACE_EXISTING);
        assertThatThrownBy(() -> store().load(null)).hasMessageContaining("swarm-node.key is missing or belongs to");

        Files.delete(folder().resolve("swarm-node.key"));
        assertThatThrownBy(() -> store().load(null)).hasMessageContaining("swarm-node.key is missing or belongs to");

        Files.writeString(folder().resolve("swarm-node.key"), "-----BEGIN PRIVATE KEY-----\nAAAA");
        assertThatThrownBy(() -> store().load(null)).hasMessageContaining("the file is cut");
    }

    @Test
    void aNodeChecksWhatItIsGiven() throws Exception {
        CertificateRequest request = CertificateRequest.generate();
        NodeIdentity identity = new NodeIdentity("node1", NodeRole.WORKER, "cluster1");
        ByteString chain = authority.sign(request.pem(), identity, Duration.ofDays(90), NOW);
        TrustRoot root = authority.trustRoot();

        assertThat(NodeCredentials.accept(root, chain, request, NOW).identity()).isEqualTo(identity);
        assertThatThrownBy(() -> NodeCredentials.accept(root, chain, CertificateRequest.generate(), NOW))
                .hasMessageContaining("not of the key");
        assertThatThrownBy(() -> NodeCredentials.accept(root, chain, request, NOW.plus(Duration.ofDays(91))))
                .hasMessageContaining("expired");
        assertThatThrownBy(() -> NodeCredentials.accept(root, chain, request, NOW.minus(Duration.ofHours(2))))
                .hasMessageContaining("not valid before");
        assertThatThrownBy(() -> NodeCredentials.accept(
                        RootCertificateAuthority.create(NOW).trustRoot(), chain, request, NOW))
                .hasMessageContaining("not an authority that is trusted here");
        assertThatThrownBy(() -> NodeCredentials.accept(root, root.pem(), request, NOW))
                .hasMessageContaining("itself the root");
    }
}
