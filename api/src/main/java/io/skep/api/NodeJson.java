package io.skep.api;

import io.skep.store.Consensus.Member;
import io.skep.wire.EngineDescription;
import io.skep.wire.Node;
import io.skep.wire.NodeCSIInfo;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import org.jspecify.annotations.Nullable;

/** Nodes to JSON, and the wishes for a node from JSON. */
final class NodeJson {
    private NodeJson() {}

    /**
     * Writes a node.
     *
     * @param member its part in the quorum, or null when it has none
     */
    static void write(JsonOut out, Node node, @Nullable Member member) {
        out.text("ID", node.getId());
        CommonJson.meta(out, node.getMeta());
        out.object("Spec", spec -> spec(spec, node.getSpec()));
        out.object("Description", description -> description(description, node.getDescription()));
        out.object("Status", status -> {
            status.text("State", Enums.lower(node.getStatus().getState()));
            status.textOrOmit("Message", node.getStatus().getMessage());
            status.textOrOmit("Addr", node.getStatus().getAddr());
        });
        if (member != null) {
            out.object("ManagerStatus", status -> {
                status.flagOrOmit("Leader", member.leader());
                status.text("Reachability", member.reachable() ? "reachable" : "unreachable");
                status.textOrOmit("Addr", member.address());
            });
        }
    }

    private static void spec(JsonOut out, NodeSpec spec) {
        CommonJson.annotations(out, spec.getAnnotations());
        out.text("Role", Enums.lower(spec.getDesiredRole()));
        out.text("Availability", Enums.lower(spec.getAvailability()));
    }

    /**
     * Reads the wishes for a node.
     *
     * @throws ApiException 400 when role or availability is unknown
     */
    static NodeSpec readSpec(JsonIn in) {
        return NodeSpec.newBuilder()
                .setAnnotations(CommonJson.annotations(in))
                .setDesiredRole(Enums.parse(in.text("Role"), NodeRole.WORKER, "invalid Role: \"%s\""))
                .setMembership(NodeSpec.Membership.ACCEPTED)
                .setAvailability(availability(in))
                .build();
    }

    static NodeSpec.Availability availability(JsonIn in) {
        return Enums.parse(in.text("Availability"), NodeSpec.Availability.ACTIVE, "invalid Availability: \"%s\"");
    }

    private static void description(JsonOut out, NodeDescription description) {
        out.textOrOmit("Hostname", description.getHostname());
        out.object("Platform", platform -> CommonJson.platform(platform, description.getPlatform()));
        out.object("Resources", resources -> CommonJson.resources(resources, description.getResources()));
        out.object("Engine", engine -> engine(engine, description.getEngine()));
        out.object("TLSInfo", info -> CommonJson.tlsInfo(info, description.getTlsInfo()));
        out.arrayOrOmit("CSIInfo", description.getCsiInfoList(), NodeJson::csi);
    }

    private static void engine(JsonOut out, EngineDescription engine) {
        out.textOrOmit("EngineVersion", engine.getEngineVersion());
        out.mapOrOmit("Labels", engine.getLabelsMap());
        out.arrayOrOmit("Plugins", engine.getPluginsList(), (item, plugin) -> {
            item.textOrOmit("Type", plugin.getType());
            item.textOrOmit("Name", plugin.getName());
        });
    }

    private static void csi(JsonOut out, NodeCSIInfo info) {
        out.textOrOmit("PluginName", info.getPluginName());
        out.textOrOmit("NodeID", info.getNodeId());
        out.numberOrOmit("MaxVolumesPerNode", info.getMaxVolumesPerNode());
        if (info.hasAccessibleTopology()) {
            out.object(
                    "AccessibleTopology",
                    topology -> topology.mapOrOmit(
                            "Segments", info.getAccessibleTopology().getSegmentsMap()));
        }
    }
}
