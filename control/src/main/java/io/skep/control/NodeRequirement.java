package io.skep.control;

import io.skep.wire.GenericResource;
import io.skep.wire.Mount;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.Node;
import io.skep.wire.Placement;
import io.skep.wire.PlacementPreference;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a task asks of a node regardless of other tasks, and how it wants nodes told apart. Equal for many services, and
 * answered by a node alike until the node itself changes.
 *
 * @param logPlugin the log driver, or null if any node can do it
 * @param generics the kinds of generic resources, of which a node must own some
 * @param reserves whether CPU or memory is reserved
 * @param levels the labels over which tasks are to be spread, outermost first
 */
record NodeRequirement(
        List<Constraint> constraints,
        List<Platform> platforms,
        List<Plugin> plugins,
        @Nullable Plugin logPlugin,
        List<String> generics,
        boolean reserves,
        List<String> levels) {
    /** A plugin of an engine. */
    record Plugin(String type, String name) {}

    static NodeRequirement of(Task task) {
        Placement placement = task.getSpec().getPlacement();
        Resources reserved = task.getSpec().getResources().getReservations();
        String logDriver = task.getLogDriver().getName();
        return new NodeRequirement(
                Constraints.of(placement),
                placement.getPlatformsList(),
                plugins(task),
                logDriver.isEmpty() || logDriver.equals("none") ? null : new Plugin("Log", logDriver),
                generics(reserved),
                reserved.getNanoCpus() > 0 || reserved.getMemoryBytes() > 0,
                levels(placement));
    }

    private static List<Plugin> plugins(Task task) {
        List<Plugin> plugins = new ArrayList<>();
        for (Mount mount : task.getSpec().getContainer().getMountsList()) {
            String driver = mount.getVolumeOptions().getDriverConfig().getName();
            if (mount.getType() == Mount.Type.VOLUME && !driver.isEmpty() && !driver.equals("local")) {
                plugins.add(new Plugin("Volume", driver));
            }
        }
        for (NetworkAttachment attachment : task.getNetworksList()) {
            String driver = attachment.getNetwork().getDriverState().getName();
            if (!driver.isEmpty()) {
                plugins.add(new Plugin("Network", driver));
            }
        }
        return plugins.isEmpty() ? List.of() : plugins;
    }

    private static List<String> generics(Resources reserved) {
        if (reserved.getGenericCount() == 0) {
            return List.of();
        }
        List<String> kinds = new ArrayList<>();
        for (GenericResource resource : reserved.getGenericList()) {
            if (resource.hasNamedResourceSpec()) {
                kinds.add(resource.getNamedResourceSpec().getKind());
            } else if (resource.getDiscreteResourceSpec().getValue() > 0) {
                kinds.add(resource.getDiscreteResourceSpec().getKind());
            }
        }
        return kinds;
    }

    /** Returns the labels of the preferences; what does not name a label is ignored (swarm-wire 6.10). */
    private static List<String> levels(Placement placement) {
        if (placement.getPreferencesCount() == 0) {
            return List.of();
        }
        List<String> levels = new ArrayList<>();
        for (PlacementPreference preference : placement.getPreferencesList()) {
            String descriptor = preference.getSpread().getSpreadDescriptor();
            if (Constraint.label(descriptor, Node.getDefaultInstance()) != null) {
                levels.add(descriptor);
            }
        }
        return levels;
    }

    /** Returns whether the node could take such a task if nothing else ran there. */
    boolean isMetBy(NodeLoad load) {
        Node node = load.node();
        return node != null
                && load.isAvailable()
                && ownsGenerics(node)
                && hasPlugins(node)
                && Constraints.match(constraints, node)
                && Platforms.match(platforms, node.getDescription().getPlatform());
    }

    private boolean ownsGenerics(Node node) {
        for (String kind : generics) {
            boolean found = false;
            for (GenericResource owned : node.getDescription().getResources().getGenericList()) {
                found |= owned.hasNamedResourceSpec()
                        ? owned.getNamedResourceSpec().getKind().equals(kind)
                        : owned.getDiscreteResourceSpec().getKind().equals(kind);
            }
            if (!found) {
                return false;
            }
        }
        return true;
    }

    /** Returns whether the engine has the plugins; one that does not describe itself is believed to have them. */
    boolean hasPlugins(Node node) {
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
}
