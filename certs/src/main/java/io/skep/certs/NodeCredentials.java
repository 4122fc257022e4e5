package io.skep.certs;

import com.google.protobuf.ByteString;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Everything a node proves itself with: the root it trusts, its certificate chain and key, and the secrets that are
 * kept beside the key.
 *
 * @param root what the node trusts
 * @param identity what the leaf says
 * @param chain the leaf and its intermediates, as the manager sent them; never empty
 * @param privateKey belongs to the leaf
 * @param keyEncryptionVersion version of the cluster's unlock keys that the key file was last written with
 * @param secrets further secrets of the node under header names, such as {@code raft-dek}; stored as the key is
 */
public record NodeCredentials(
        TrustRoot root,
        NodeIdentity identity,
        List<X509Certificate> chain,
        PrivateKey privateKey,
        long keyEncryptionVersion,
        Map<String, ByteString> secrets) {
    public NodeCredentials {
        chain = List.copyOf(chain);
        secrets = Map.copyOf(secrets);
    }

    /**
     * Accepts the certificate that a manager issued for a request, after the checks that a stock node makes: the chain
     * is in date, leads to the trusted root over at least one signature, is of the request's key, good for a server,
     * and names a node.
     */
    public static NodeCredentials accept(TrustRoot root, ByteString chainPem, CertificateRequest request, Instant now)
            throws CredentialException {
        List<X509Certificate> chain = Certificates.parse(chainPem, "the issued certificate");
        NodeIdentity identity = check(root, chain, now);
        if (!chain.getFirst().getPublicKey().equals(request.publicKey())) {
            throw new CredentialException("the issued certificate is not of the key that was handed in");
        }
        return new NodeCredentials(root, identity, chain, request.privateKey(), 0, Map.of());
    }

    /** These credentials with a new certificate; the unlock key's version and the secrets stay. */
    public NodeCredentials renewed(ByteString chainPem, CertificateRequest request, Instant now)
            throws CredentialException {
        NodeCredentials next = accept(root, chainPem, request, now);
        return new NodeCredentials(root, next.identity, next.chain, next.privateKey, keyEncryptionVersion, secrets);
    }

    /**
     * These credentials trusting another root.
     *
     * @throws CredentialException when the certificate does not lead to that root
     */
    public NodeCredentials withRoot(TrustRoot next, Instant now) throws CredentialException {
        check(next, chain, now);
        return new NodeCredentials(next, identity, chain, privateKey, keyEncryptionVersion, secrets);
    }

    public NodeCredentials withKeyEncryptionVersion(long version) {
        return new NodeCredentials(root, identity, chain, privateKey, version, secrets);
    }

    /** Adds or replaces a secret. */
    public NodeCredentials withSecret(String name, ByteString secret) {
        Map<String, ByteString> next = new HashMap<>(secrets);
        next.put(name, secret);
        return new NodeCredentials(root, identity, chain, privateKey, keyEncryptionVersion, next);
    }

    public NodeCredentials withoutSecrets(Set<String> names) {
        Map<String, ByteString> next = new HashMap<>(secrets);
        next.keySet().removeAll(names);
        return new NodeCredentials(root, identity, chain, privateKey, keyEncryptionVersion, next);
    }

    private static NodeIdentity check(TrustRoot root, List<X509Certificate> chain, Instant now)
            throws CredentialException {
        try {
            List<X509Certificate> path = TrustPath.verify(chain, root.certificates(), now, TrustPath.Purpose.SERVER);
            if (path.size() < 2) {
                throw new CredentialException("the node's certificate is itself the root");
            }
        } catch (PeerRefusedException e) {
            throw new CredentialException("the node's certificate cannot be used: " + e.getMessage(), e);
        }
        return NodeIdentity.of(chain.getFirst());
    }

    public X509Certificate leaf() {
        return chain.getFirst();
    }

    /** DER of the issuer's subject, for the node's TLS description. */
    public ByteString issuerSubject() {
        return ByteString.copyFrom(leaf().getIssuerX500Principal().getEncoded());
    }

    /**
     * DER of the issuer's public key, for the node's TLS description; empty when neither the chain nor the root holds
     * the issuer.
     */
    public ByteString issuerPublicKey() {
        if (chain.size() > 1) {
            return ByteString.copyFrom(chain.get(1).getPublicKey().getEncoded());
        }
        for (X509Certificate candidate : root.certificates()) {
            if (TrustPath.isSignedBy(leaf(), candidate)) {
                return ByteString.copyFrom(candidate.getPublicKey().getEncoded());
            }
        }
        return ByteString.EMPTY;
    }

    @Override
    public String toString() {
        return "NodeCredentials[" + identity + ", until " + leaf().getNotAfter().toInstant() + "]";
    }
}
