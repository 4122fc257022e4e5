package io.skep.control;

import io.skep.wire.Mount;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.Placement;
import io.skep.wire.PluginDescription;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The conditions that a node must meet to take a task, and the count of the nodes that do not, by reason.
 *
 * <p>Made once for all tasks of one version of a service, which ask for the same.
 */
final class PlainNodeFilters {
    private record Plugin(String type, String name) {}

    private final Task task;
    private final Resources reserved;
    private final boolean reservesAnything;
    private final List<Plugin> plugins = new ArrayList<>();
    private final @Nullable Plugin logPlugin;
    private final List<Constraint> constraints;
    private final Placement placement;
    private final boolean hasHostPorts;
    private final boolean hasClusterVolumes;
    private final Map<NodeFilter, Integer> rejections = new EnumMap<>(NodeFilter.class);

    PlainNodeFilters(Task task) {
        this.task = task;
        this.reserved = task.getSpec().getResources().getReservations();
        this.reservesAnything =
                reserved.getNanoCpus() > 0 || reserved.getMemoryBytes() > 0 || reserved.getGenericCount() > 0;
        this.placement = task.getSpec().getPlacement();
        this.constraints = Constraints.of(placement);
        this.hasHostPorts = PlainNodeLoad.hasHostPorts(task);
        boolean clusterVolumes = false;
        for (Mount mount : task.getSpec().getContainer().getMountsList()) {
            String driver = mount.getVolumeOptions().getDriverConfig().getName();
            if (mount.getType() == Mount.Type.VOLUME && !driver.isEmpty() && !driver.equals("local")) {
                plugins.add(new Plugin("Volume", driver));
            }
            clusterVolumes |= mount.getType() == Mount.Type.CLUSTER;
        }
        this.hasClusterVolumes = clusterVolumes;
        for (NetworkAttachment attachment : task.getNetworksList()) {
            String driver = attachment.getNetwork().getDriverState().getName();
            if (!driver.isEmpty()) {
                plugins.add(new Plugin("Network", driver));
            }
        }
        String logDriver = task.getLogDriver().getName();
        this.logPlugin = logDriver.isEmpty() || logDriver.equals("none") ? null : new Plugin("Log", logDriver);
    }

    /** Returns whether the node can take the task; if not, counts it under the first reason against it. */
    boolean accept(PlainNodeLoad load) {
        NodeFilter reason = rejection(load);
        if (reason != null) {
            rejections.merge(reason, 1, Integer::sum);
        }
        return reason == null;
    }

    private @Nullable NodeFilter rejection(PlainNodeLoad load) {
        Node node = load.node();
        if (node == null
                || node.getStatus().getState() != NodeStatus.State.READY
                || node.getSpec().getAvailability() != Availability.ACTIVE) {
            return NodeFilter.READY;
        }
        if (reservesAnything && !load.hasRoom(reserved)) {
            return NodeFilter.RESOURCES;
        }
        if (!hasPlugins(node)) {
            return NodeFilter.PLUGIN;
        }
        if (!Constraints.match(constraints, node)) {
            return NodeFilter.CONSTRAINT;
        }
        if (!Platforms.match(placement.getPlatformsList(), node.getDescription().getPlatform())) {
            return NodeFilter.PLATFORM;
        }
        if (hasHostPorts && !load.hasPortsFree(task)) {
            return NodeFilter.HOST_PORT;
        }
        if (placement.getMaxReplicas() > 0 && load.active(task.getServiceId()) >= placement.getMaxReplicas()) {
            return NodeFilter.MAX_REPLICAS;
        }
        return hasClusterVolumes ? NodeFilter.VOLUMES : null;
    }

    /** Returns whether the engine has the plugins; one that does not describe itself is believed to have them. */
    private boolean hasPlugins(Node node) {
        if ((plugins.isEmpty() && logPlugin == null) || !node.getDescription().hasEngine()) {
            return true;
        }
        List<PluginDescription> installed = node.getDescription().getEngine().getPluginsList();
        for (Plugin plugin : plugins) {
            if (!has(installed, plugin)) {
                return false;
            }
        }
        boolean tellsLogDrivers =
                installed.stream().anyMatch(plugin -> plugin.getType().equals("Log"));
        return logPlugin == null || !tellsLogDrivers || has(installed, logPlugin);
    }

    private static boolean has(List<PluginDescription> installed, Plugin wanted) {
        for (PluginDescription plugin : installed) {
            if (plugin.getType().equals(wanted.type())
                    && (plugin.getName().equals(wanted.name())
                            || plugin.getName().equals(wanted.name() + ":latest"))) {
                return true;
            }
        }
        return false;
    }

    /** Returns why nodes were turned down, the most frequent reason first; empty when none was. */
    String explanation() {
        StringBuilder text = new StringBuilder();
        rejections.entrySet().stream()
                .sorted(Map.Entry.<NodeFilter, Integer>comparingByValue().reversed())
                .forEach(entry -> text.append(text.isEmpty() ? "" : "; ")
                        .append(entry.getKey().explain(entry.getValue())));
        return text.toString();
    }
}
