package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A node's credentials on disk, under the names that Docker uses: {@code swarm-root-ca.crt}, {@code swarm-node.crt} and
 * {@code swarm-node.key} in one folder that only its owner may enter; the key's file is 0600.
 *
 * <p>Certificate and key change together, though two files cannot: the new key is first laid beside the old one as
 * {@code swarm-node.key.next}, then the certificate is replaced, which is the moment of change, then the key is
 * renamed. After a crash {@link #load} takes the key that belongs to the certificate and finishes the renaming.
 *
 * <p>One process owns the folder; calls are serialised.
 */
public final class NodeCredentialStore {
    /** What the folder holds. */
    public sealed interface Stored {
        /** No certificate: the node has not joined a swarm. */
        record Nothing() implements Stored {}

        /** The key is encrypted, and the unlock key is missing or not the right one. */
        record Locked() implements Stored {}

        record Ready(NodeCredentials credentials) implements Stored {}
    }

    private final Path folder;
    private final Path rootFile;
    private final Path certificateFile;
    private final Path keyFile;
    private final Path nextKeyFile;
    private final SecureRandom random = new SecureRandom();

    /** @param folder made when something is saved; usually {@code <data-root>/swarm/certificates} */
    public NodeCredentialStore(Path folder) {
        this.folder = folder;
        this.rootFile = folder.resolve("swarm-root-ca.crt");
        this.certificateFile = folder.resolve("swarm-node.crt");
        this.keyFile = folder.resolve("swarm-node.key");
        this.nextKeyFile = folder.resolve("swarm-node.key.next");
    }

    /** The root alone, which is there before the first certificate is. */
    public synchronized Optional<TrustRoot> loadRoot() throws IOException, CredentialException {
        Optional<ByteString> pem = read(rootFile);
        return pem.isEmpty() ? Optional.empty() : Optional.of(TrustRoot.parse(pem.get(), rootFile.toString()));
    }

    public synchronized void saveRoot(TrustRoot root) throws IOException {
        PrivateFiles.createFolder(folder);
        PrivateFiles.write(rootFile, root.pem().toByteArray(), PrivateFiles.Readers.EVERYONE);
    }

    /**
     * Reads the credentials. Dates are not checked: an expired certificate is still needed to say who the node is.
     *
     * @param unlockKey null when none is known
     */
    public synchronized Stored load(@Nullable UnlockKey unlockKey) throws IOException, CredentialException {
        Optional<TrustRoot> root = loadRoot();
        Optional<ByteString> certificate = read(certificateFile);
        if (root.isEmpty() || certificate.isEmpty()) {
            return new Stored.Nothing();
        }
        List<X509Certificate> chain = Certificates.parse(certificate.get(), certificateFile.toString());
        boolean locked = false;
        for (Path file : List.of(keyFile, nextKeyFile)) {
            Optional<ByteString> text = read(file);
            if (text.isEmpty()) {
                continue;
            }
            Optional<NodeKeyFile> key = NodeKeyFile.decode(text.get(), file.toString(), unlockKey);
            if (key.isEmpty()) {
                locked = true;
            } else if (PrivateKeys.match(
                    chain.getFirst().getPublicKey(), key.get().key())) {
                if (file.equals(nextKeyFile)) {
                    PrivateFiles.move(nextKeyFile, keyFile);
                }
                return new Stored.Ready(new NodeCredentials(
                        root.get(),
                        NodeIdentity.of(chain.getFirst()),
                        chain,
                        key.get().key(),
                        key.get().keyEncryptionVersion(),
                        key.get().secrets()));
            }
        }
        if (locked) {
            return new Stored.Locked();
        }
        throw new CredentialException(certificateFile + " has no key: " + keyFile
                + " is missing or belongs to another certificate; restore it, or leave the swarm and join again");
    }

    /**
     * Writes all three files.
     *
     * @param unlockKey encrypts the key and the secrets; null leaves them readable for the owner of the files
     */
    public synchronized void save(NodeCredentials credentials, @Nullable UnlockKey unlockKey) throws IOException {
        saveRoot(credentials.root());
        byte[] key = new NodeKeyFile(
                        credentials.privateKey(), credentials.keyEncryptionVersion(), credentials.secrets())
                .encode(unlockKey, random)
                .getBytes(StandardCharsets.US_ASCII);
        PrivateFiles.write(nextKeyFile, key, PrivateFiles.Readers.OWNER);
        PrivateFiles.write(
                certificateFile, Certificates.encode(credentials.chain()).toByteArray(), PrivateFiles.Readers.EVERYONE);
        PrivateFiles.move(nextKeyFile, keyFile);
    }

    /** Forgets everything, as a node that leaves its swarm does. */
    public synchronized void delete() throws IOException {
        for (Path file : List.of(keyFile, nextKeyFile, certificateFile, rootFile)) {
            Files.deleteIfExists(file);
        }
    }

    private static Optional<ByteString> read(Path file) throws IOException {
        try {
            return Optional.of(ByteString.copyFrom(Files.readAllBytes(file)));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }
}
