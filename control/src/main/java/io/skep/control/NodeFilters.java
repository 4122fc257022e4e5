package io.skep.control;

import io.skep.wire.Mount;
import io.skep.wire.Node;
import io.skep.wire.Placement;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The conditions that a node must meet to take a task (swarm-wire 6.10).
 *
 * <p>Equal ones turn down the same nodes for the same reasons.
 *
 * @param requirement what depends on the node alone
 * @param reserved what the task takes from the node
 * @param hostPorts the ports of the node that the task needs
 * @param maxReplicas how many tasks of the service a node may have, or 0 for any number
 * @param serviceId the service whose tasks count for that; empty where it does not matter
 * @param clusterVolumes whether the task mounts volumes of the cluster, which no node has
 */
record NodeFilters(
        NodeRequirement requirement,
        Resources reserved,
        List<NodeLoad.Port> hostPorts,
        long maxReplicas,
        String serviceId,
        boolean clusterVolumes) {
    static NodeFilters of(Task task) {
        Placement placement = task.getSpec().getPlacement();
        boolean clusterVolumes = false;
        for (Mount mount : task.getSpec().getContainer().getMountsList()) {
            clusterVolumes |= mount.getType() == Mount.Type.CLUSTER;
        }
        return new NodeFilters(
                NodeRequirement.of(task),
                task.getSpec().getResources().getReservations(),
                NodeLoad.hostPorts(task),
                placement.getMaxReplicas(),
                placement.getMaxReplicas() > 0 ? task.getServiceId() : "",
                clusterVolumes);
    }

    /**
     * Returns whether a node that meets the requirement has room for one more task.
     *
     * @param ofService how many tasks of the service it has
     */
    boolean admits(NodeLoad load, int ofService) {
        return (!reservesAnything() || load.hasRoom(reserved))
                && (hostPorts.isEmpty() || load.hasPortsFree(hostPorts))
                && (maxReplicas == 0 || ofService < maxReplicas)
                && !clusterVolumes;
    }

    /**
     * Returns the first reason why a node cannot take the task, or null if it can.
     *
     * @param ofService how many tasks of the service it has
     */
    @Nullable
    NodeFilter rejection(NodeLoad load, int ofService) {
        Node node = load.node();
        if (node == null || !load.isAvailable()) {
            return NodeFilter.READY;
        }
        if (reservesAnything() && !load.hasRoom(reserved)) {
            return NodeFilter.RESOURCES;
        }
        if (!requirement.hasPlugins(node)) {
            return NodeFilter.PLUGIN;
        }
        if (!Constraints.match(requirement.constraints(), node)) {
            return NodeFilter.CONSTRAINT;
        }
        if (!Platforms.match(requirement.platforms(), node.getDescription().getPlatform())) {
            return NodeFilter.PLATFORM;
        }
        if (!load.hasPortsFree(hostPorts)) {
            return NodeFilter.HOST_PORT;
        }
        if (maxReplicas > 0 && ofService >= maxReplicas) {
            return NodeFilter.MAX_REPLICAS;
        }
        return clusterVolumes ? NodeFilter.VOLUMES : null;
    }

    private boolean reservesAnything() {
        return requirement.reserves() || reserved.getGenericCount() > 0;
    }
}
