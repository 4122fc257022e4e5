package io.skep.certs;

import io.skep.wire.NodeRole;
import java.security.cert.X509Certificate;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1String;
import org.bouncycastle.asn1.x500.AttributeTypeAndValue;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.style.BCStyle;

/**
 * Who a node is, as its certificate says (swarm-wire 1.3): the common name is the node's id, the organizational unit
 * its role and the organization the cluster's id.
 */
public record NodeIdentity(String nodeId, NodeRole role, String clusterId) {
    /** The name under which every manager can be verified once a node has joined. */
    public static final String MANAGER_NAME = "swarm-manager";

    /** The name under which a manager is verified while a node has no certificate yet. */
    public static final String AUTHORITY_NAME = "swarm-ca";

    private static final String WORKER_NAME = "swarm-worker";

    public NodeIdentity {
        if (nodeId.isEmpty() || clusterId.isEmpty()) {
            throw new IllegalArgumentException("a node's identity needs a node id and a cluster id");
        }
        roleName(role);
    }

    /** Reads the subject; all three parts must be there. Verifies nothing: that is the trust manager's part. */
    public static NodeIdentity of(X509Certificate certificate) throws CredentialException {
        String what = "the certificate " + Certificates.name(certificate);
        X500Name subject;
        try {
            subject = X500Name.getInstance(certificate.getSubjectX500Principal().getEncoded());
        } catch (IllegalArgumentException e) {
            throw new CredentialException(what + " has a damaged subject", e);
        }
        String nodeId = attribute(subject, BCStyle.CN, "common name (the node's id)", what);
        String unit = attribute(subject, BCStyle.OU, "organizational unit (the role)", what);
        String clusterId = attribute(subject, BCStyle.O, "organization (the cluster's id)", what);
        NodeRole role = switch (unit) {
            case MANAGER_NAME -> NodeRole.MANAGER;
            case WORKER_NAME -> NodeRole.WORKER;
            default -> throw new CredentialException(what + " names no role of a node: " + unit);
        };
        return new NodeIdentity(nodeId, role, clusterId);
    }

    private static String attribute(X500Name subject, ASN1ObjectIdentifier type, String meaning, String what)
            throws CredentialException {
        RDN[] found = subject.getRDNs(type);
        if (found.length > 0) {
            for (AttributeTypeAndValue value : found[0].getTypesAndValues()) {
                if (value.getType().equals(type)
                        && value.getValue() instanceof ASN1String text
                        && !text.getString().isEmpty()) {
                    return text.getString();
                }
            }
        }
        throw new CredentialException(what + " is not a node's: it has no " + meaning);
    }

    /** The role as it stands in certificates: {@code swarm-manager} or {@code swarm-worker}. */
    public String roleName() {
        return roleName(role);
    }

    private static String roleName(NodeRole role) {
        return switch (role) {
            case MANAGER -> MANAGER_NAME;
            case WORKER -> WORKER_NAME;
            case UNRECOGNIZED -> throw new IllegalArgumentException("a node is a manager or a worker");
        };
    }

    public boolean isManager() {
        return role == NodeRole.MANAGER;
    }
}
