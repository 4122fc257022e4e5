package io.skep.api;

import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.store.Kind;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.UpdateNodeRequest;
import io.skep.wire.Version;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** {@code /nodes}. */
final class NodeEndpoints {
    private final Gate gate;

    NodeEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/nodes", this::list);
        router.add("GET", "/nodes/{id}", this::inspect);
        router.add("DELETE", "/nodes/{id}", this::remove);
        router.add("POST", "/nodes/{id}/update", this::update);
    }

    private Reply list(Call call) {
        Filters filters = call.filters("id", "label", "membership", "name", "node.label", "role");
        Set<String> roles = filters.get("role");
        roles.forEach(role -> Enums.parse(role, NodeRole.WORKER, "Invalid role filter: '%s'"));
        Set<String> memberships = filters.get("membership");
        memberships.forEach(
                membership -> Enums.parse(membership, NodeSpec.Membership.PENDING, "Invalid membership filter: '%s'"));
        ClusterAccess cluster = gate.cluster();
        ClusterState state = cluster.read();
        List<Node> nodes = Lookup.list(
                state,
                Kind.NODE,
                node -> filters.matchesPrefix("id", node.getId())
                        && filters.matchesPrefix("name", Lookup.nodeName(node))
                        && filters.matchesLabels(
                                "label", node.getDescription().getEngine().getLabelsMap())
                        && filters.matchesLabels(
                                "node.label", node.getSpec().getAnnotations().getLabelsMap())
                        && matchesEnum(roles, node.getSpec().getDesiredRole())
                        && matchesEnum(memberships, node.getSpec().getMembership()));
        Map<String, Member> members = members(cluster);
        return Reply.json(JsonOut.array(nodes, (out, node) -> NodeJson.write(out, node, members.get(node.getId()))));
    }

    private static boolean matchesEnum(Set<String> wanted, Enum<?> value) {
        return wanted.isEmpty() || wanted.stream().anyMatch(text -> text.equalsIgnoreCase(value.name()));
    }

    private Reply inspect(Call call) {
        ClusterAccess cluster = gate.cluster();
        Node node = Lookup.find(cluster.read(), Kind.NODE, call.path("id"));
        return Reply.json(
                JsonOut.object(out -> NodeJson.write(out, node, members(cluster).get(node.getId()))));
    }

    private static Map<String, Member> members(ClusterAccess cluster) {
        Map<String, Member> members = new HashMap<>();
        cluster.members().forEach(member -> members.put(member.nodeId(), member));
        return members;
    }

    private Reply remove(Call call) {
        Node node = Lookup.find(gate.cluster().read(), Kind.NODE, call.path("id"));
        gate.execute(command -> command.setRemoveNode(
                RemoveNodeRequest.newBuilder().setNodeId(node.getId()).setForce(call.flag("force"))));
        return Reply.empty(200);
    }

    private Reply update(Call call) {
        NodeSpec spec = NodeJson.readSpec(call.json());
        long version = call.versionIndex("node");
        Node node = Lookup.find(gate.cluster().read(), Kind.NODE, call.path("id"));
        gate.execute(command -> command.setUpdateNode(UpdateNodeRequest.newBuilder()
                .setNodeId(node.getId())
                .setNodeVersion(Version.newBuilder().setIndex(version))
                .setSpec(spec.toBuilder().setMembership(node.getSpec().getMembership()))));
        return Reply.empty(200);
    }
}
