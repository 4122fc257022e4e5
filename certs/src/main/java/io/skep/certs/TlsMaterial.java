package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one side of TLS connections needs: whom it trusts and what it shows.
 *
 * @param roots authorities whose certificates are accepted; may be empty where peers are not verified
 * @param chain shown to peers, leaf first; empty for a client that stays anonymous
 * @param privateKey belongs to the leaf; null exactly when the chain is empty
 */
public record TlsMaterial(
        List<X509Certificate> roots,
        List<X509Certificate> chain,
        @Nullable PrivateKey privateKey) {
    public TlsMaterial {
        roots = List.copyOf(roots);
        chain = List.copyOf(chain);
        if (chain.isEmpty() != (privateKey == null)) {
            throw new IllegalArgumentException("a certificate chain and a key belong together");
        }
    }

    public static TlsMaterial of(NodeCredentials credentials) {
        return new TlsMaterial(credentials.root().certificates(), credentials.chain(), credentials.privateKey());
    }

    /** For a node that knows the root but has no certificate yet. */
    public static TlsMaterial anonymous(TrustRoot root) {
        return new TlsMaterial(root.certificates(), List.of(), null);
    }

    /**
     * Reads PEM files as Docker's options name them.
     *
     * @param authorityFile {@code tlscacert}; null where peers are not verified
     * @param certificateFile {@code tlscert}, with intermediates behind the leaf if there are any
     * @param keyFile {@code tlskey}, not under a passphrase
     * @throws CredentialException one line that names the file, the reason and the way out
     */
    public static TlsMaterial load(@Nullable Path authorityFile, Path certificateFile, Path keyFile)
            throws CredentialException {
        List<X509Certificate> roots =
                authorityFile == null ? List.of() : Certificates.parse(read(authorityFile), authorityFile.toString());
        List<X509Certificate> chain = Certificates.parse(read(certificateFile), certificateFile.toString());
        PrivateKey key = PrivateKeys.parse(read(keyFile), keyFile.toString(), null);
        if (!PrivateKeys.match(chain.getFirst().getPublicKey(), key)) {
            throw new CredentialException("the key " + keyFile + " does not belong to the certificate "
                    + certificateFile + "; give the two that were made together");
        }
        return new TlsMaterial(roots, chain, key);
    }

    static ByteString read(Path file) throws CredentialException {
        try {
            return ByteString.copyFrom(Files.readAllBytes(file));
        } catch (NoSuchFileException e) {
            throw new CredentialException(file + " does not exist", e);
        } catch (AccessDeniedException e) {
            throw new CredentialException(file + " may not be read by this user", e);
        } catch (IOException e) {
            throw new CredentialException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    @Override
    public String toString() {
        return "TlsMaterial[" + (chain.isEmpty() ? "anonymous" : Certificates.name(chain.getFirst())) + ", "
                + roots.size() + " roots]";
    }
}
