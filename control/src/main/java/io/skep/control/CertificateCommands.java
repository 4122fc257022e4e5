package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.CommandResult;
import io.skep.wire.CompleteCertificate;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.JoinTokens;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RequestCertificate;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

/** The commands by which nodes come to certificates (swarm-wire 2.2). The signing itself is the manager's. */
final class CertificateCommands {
    private final IdSource ids;

    CertificateCommands(IdSource ids) {
        this.ids = ids;
    }

    CommandResult request(Transaction transaction, RequestCertificate command) {
        if (command.getCsr().isEmpty()) {
            throw new CommandException(Code.INVALID_ARGUMENT, "a certificate signing request must be given");
        }
        return command.getNodeId().isEmpty() ? join(transaction, command) : renew(transaction, command);
    }

    private static CommandResult renew(Transaction transaction, RequestCertificate command) {
        Node node = Lookups.require(transaction.state(), Kind.NODE, command.getNodeId());
        if (!command.getSkep() && node.getRole() == NodeRole.MANAGER) {
            throw managersAreSkepNodes();
        }
        Node renewing = node.toBuilder()
                .setCertificate(Certificate.newBuilder()
                        .setCsr(command.getCsr())
                        .setCn(node.getId())
                        .setRole(node.getRole())
                        .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.RENEW)))
                .build();
        return Answers.of(transaction.put(Kind.NODE, renewing));
    }

    private CommandResult join(Transaction transaction, RequestCertificate command) {
        ClusterState state = transaction.state();
        Cluster cluster = Lookups.requireCluster(state);
        NodeRole role = roleOf(command.getToken(), cluster.getRootCa().getJoinTokens());
        if (role == NodeRole.MANAGER && !command.getSkep()) {
            throw managersAreSkepNodes();
        }
        String id = command.getNewNodeId().isEmpty() ? ids.nextId() : command.getNewNodeId();
        Node known = state.nodes().get(id);
        if (known != null) {
            if (known.getCertificate().getCsr().equals(command.getCsr())) {
                return Answers.of(known);
            }
            throw new CommandException(Code.ABORTED, "node id " + id + " is taken: try again with another one");
        }
        Node node = Node.newBuilder()
                .setId(id)
                .setRole(role)
                .setSpec(NodeSpec.newBuilder()
                        .setDesiredRole(role)
                        .setMembership(NodeSpec.Membership.ACCEPTED)
                        .setAvailability(command.getAvailability()))
                .setCertificate(Certificate.newBuilder()
                        .setCsr(command.getCsr())
                        .setCn(id)
                        .setRole(role)
                        .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.PENDING)))
                .setVXLANUDPPort(cluster.getVXLANUDPPort())
                .build();
        return Answers.of(transaction.put(Kind.NODE, node));
    }

    CommandResult complete(Transaction transaction, CompleteCertificate command) {
        Node node = Lookups.require(transaction.state(), Kind.NODE, command.getNodeId());
        if (!command.getCertificate().getCsr().equals(node.getCertificate().getCsr())) {
            throw new CommandException(
                    Code.ABORTED, "node " + node.getId() + " has asked for another certificate meanwhile");
        }
        Node completed =
                node.toBuilder().setCertificate(command.getCertificate()).build();
        return Answers.of(transaction.put(Kind.NODE, completed));
    }

    private static NodeRole roleOf(String token, JoinTokens tokens) {
        // Both are compared whatever the first says, in a time that tells nothing about them.
        boolean manager = isSame(tokens.getManager(), token);
        boolean worker = isSame(tokens.getWorker(), token);
        if (manager) {
            return NodeRole.MANAGER;
        }
        if (worker) {
            return NodeRole.WORKER;
        }
        throw new CommandException(Code.INVALID_ARGUMENT, "A valid join token is necessary to join this cluster");
    }

    private static boolean isSame(String stored, String given) {
        return !stored.isEmpty()
                && MessageDigest.isEqual(
                        stored.getBytes(StandardCharsets.UTF_8), given.getBytes(StandardCharsets.UTF_8));
    }

    private static CommandException managersAreSkepNodes() {
        return new CommandException(
                Code.FAILED_PRECONDITION,
                "a Docker Engine cannot be a manager of this swarm: only Skep nodes can."
                        + " Join it with the worker token (docker swarm join-token worker)");
    }
}
