package io.skep.control;

import com.google.protobuf.Timestamp;
import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.BlacklistedCertificate;
import io.skep.wire.Cluster;
import io.skep.wire.CommandResult;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.RegisterNode;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.Task;
import io.skep.wire.UpdateNodeRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.function.Supplier;

/** The commands about nodes: they register, change role, and are removed (swarm-wire 2.5, 3.1, 8.5). */
final class NodeCommands {
    /** Engine label by which a Skep node is known: only these become managers. */
    static final String SKEP_LABEL = "io.skep.version";

    /** Engine label that the leader adds to a node that runs no containers; its value says why. */
    static final String WITHOUT_EXECUTOR_LABEL = "io.skep.without-executor";

    private static final Duration BLACKLIST_KEPT_AFTER_EXPIRY = Duration.ofDays(7);

    private final NodeLiveness liveness;
    private final Supplier<List<Member>> members;

    NodeCommands(NodeLiveness liveness, Supplier<List<Member>> members) {
        this.liveness = liveness;
        this.members = members;
    }

    CommandResult register(Transaction transaction, Instant now, RegisterNode command) {
        Node node = transaction.state().nodes().get(command.getNodeId());
        if (node == null) {
            throw new CommandException(Code.UNKNOWN, "node " + command.getNodeId() + " not found");
        }
        Node.Builder registered = node.toBuilder()
                .setStatus(NodeStatus.newBuilder()
                        .setState(NodeStatus.State.READY)
                        .setAddr(command.getAddress())
                        .setMessage(command.getWithoutExecutor()));
        NodeDescription.Builder description = command.getDescription().toBuilder();
        if (!command.getWithoutExecutor().isEmpty()) {
            description.getEngineBuilder().putLabels(WITHOUT_EXECUTOR_LABEL, command.getWithoutExecutor());
            registered.getSpecBuilder().setAvailability(NodeSpec.Availability.DRAIN);
        } else if (!withoutExecutor(node).isEmpty()) {
            // It was drained because it ran no containers, and now it does.
            registered.getSpecBuilder().setAvailability(NodeSpec.Availability.ACTIVE);
        }
        registered.setDescription(description);
        liveness.registered(command.getNodeId(), command.getManagerId(), now);
        Node after = registered.build();
        return Answers.of(after.equals(node) ? node : transaction.put(Kind.NODE, after));
    }

    CommandResult update(Transaction transaction, UpdateNodeRequest request) {
        if (!request.hasSpec() || !request.hasNodeVersion()) {
            throw Lookups.invalidArgument();
        }
        ClusterState state = transaction.state();
        Node node = Lookups.require(state, Kind.NODE, request.getNodeId());
        NodeSpec wanted = request.getSpec();
        if (wanted.getAvailability() == NodeSpec.Availability.UNRECOGNIZED
                || wanted.getDesiredRole() == NodeRole.UNRECOGNIZED) {
            throw Lookups.invalidArgument();
        }
        String withoutExecutor = withoutExecutor(node);
        if (wanted.getAvailability() == NodeSpec.Availability.ACTIVE && !withoutExecutor.isEmpty()) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION, "node " + node.getId() + " cannot be made active: " + withoutExecutor);
        }
        boolean wasManager = node.getSpec().getDesiredRole() == NodeRole.MANAGER;
        boolean promoted = !wasManager && wanted.getDesiredRole() == NodeRole.MANAGER;
        boolean demoted = wasManager && wanted.getDesiredRole() == NodeRole.WORKER;
        if (promoted && !node.getDescription().getEngine().containsLabels(SKEP_LABEL)) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION,
                    "node " + node.getId() + " cannot be promoted: it runs " + engineName(node)
                            + ", and only Skep nodes can be managers of this swarm");
        }
        if (demoted) {
            requireQuorumWithout(state, node);
        }
        Lookups.requireVersion(Kind.NODE, node, true, request.getNodeVersion());
        Node.Builder updated = node.toBuilder()
                .setSpec(wanted.toBuilder().setMembership(node.getSpec().getMembership()));
        // A demoted manager stays one until it has left the quorum.
        if (wanted.getDesiredRole() == NodeRole.MANAGER) {
            updated.setRole(NodeRole.MANAGER);
        }
        return Answers.of(transaction.put(Kind.NODE, updated.build()));
    }

    /** Returns why a node runs no containers, or the empty string. */
    static String withoutExecutor(Node node) {
        return node.getDescription().getEngine().getLabelsOrDefault(WITHOUT_EXECUTOR_LABEL, "");
    }

    private static String engineName(Node node) {
        String version = node.getDescription().getEngine().getEngineVersion();
        return version.isEmpty() ? "an engine that has not reported yet" : "Docker Engine " + version;
    }

    /**
     * Refuses to demote a manager without whom those that are there would be no majority. One that was promoted and
     * takes no part yet is no help, and it may never do; one that is about to go is none either.
     */
    private void requireQuorumWithout(ClusterState state, Node node) {
        if (managers(state) == 1) {
            throw new CommandException(Code.FAILED_PRECONDITION, "attempting to demote the last manager of the swarm");
        }
        List<Member> voters = members.get().stream().filter(Member::voter).toList();
        if (voters.stream().noneMatch(each -> each.nodeId().equals(node.getId()))) {
            return;
        }
        List<Member> rest = voters.stream()
                .filter(each -> !each.nodeId().equals(node.getId()) && isToStay(state, each))
                .toList();
        long there =
                rest.stream().filter(each -> each.reachable() || each.leader()).count();
        if (there <= rest.size() / 2) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION,
                    "can't remove member from the raft: this would result in a loss of quorum");
        }
    }

    private static boolean isToStay(ClusterState state, Member member) {
        Node node = state.nodes().get(member.nodeId());
        return node == null || node.getSpec().getDesiredRole() == NodeRole.MANAGER;
    }

    private static long managers(ClusterState state) {
        return state.nodes().values().stream()
                .filter(node -> node.getSpec().getDesiredRole() == NodeRole.MANAGER)
                .count();
    }

    CommandResult remove(Transaction transaction, Instant now, RemoveNodeRequest request) {
        ClusterState state = transaction.state();
        Node node = Lookups.require(state, Kind.NODE, request.getNodeId());
        String id = node.getId();
        if (node.getRole() == NodeRole.MANAGER || node.getSpec().getDesiredRole() == NodeRole.MANAGER) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION,
                    "node " + id + " is a cluster manager and is a member of the raft cluster."
                            + " It must be demoted to worker before removal");
        }
        if (!request.getForce() && node.getStatus().getState() == NodeStatus.State.READY) {
            throw new CommandException(Code.FAILED_PRECONDITION, "node " + id + " is not down and can't be removed");
        }
        blacklist(transaction, node, now);
        for (Task task : state.tasksOfNode(id)) {
            if (!TaskStates.isTerminal(task)) {
                transaction.put(
                        Kind.TASK, NodeLiveness.orphaned(task, now, "the node of the task was removed from the swarm"));
            }
        }
        transaction.remove(Kind.NODE, id);
        return Answers.ofId(id);
    }

    private static void blacklist(Transaction transaction, Node node, Instant now) {
        Cluster cluster = Lookups.requireCluster(transaction.state());
        Cluster.Builder updated = cluster.toBuilder();
        cluster.getBlacklistedCertificatesMap().forEach((id, entry) -> {
            if (now.isAfter(Times.instant(entry.getExpiry()).plus(BLACKLIST_KEPT_AFTER_EXPIRY))) {
                updated.removeBlacklistedCertificates(id);
            }
        });
        Timestamp expiry = Times.timestamp(LeafExpiry.of(node, cluster, now));
        updated.putBlacklistedCertificates(
                node.getId(),
                BlacklistedCertificate.newBuilder().setExpiry(expiry).build());
        transaction.put(Kind.CLUSTER, updated.build());
    }
}
