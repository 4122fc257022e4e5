package io.skep.control;

import io.skep.wire.Node;
import io.skep.wire.Placement;
import io.skep.wire.PlacementPreference;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The nodes that can take the tasks of one service, branched by the labels over which it wants them spread (swarm-wire
 * 6.10).
 *
 * <p>Each task goes, level by level, to the branch with the fewest tasks of the service that has a node left, and there
 * to the best node. Tasks on nodes that can take no more count for their branch too. Nodes without the label are a
 * branch of their own.
 */
final class PlainPlacementTree {
    private static final class Branch {
        final Map<String, Branch> branches = new TreeMap<>();
        final PriorityQueue<PlainNodeLoad> nodes;
        int tasks;

        Branch(Comparator<PlainNodeLoad> bestFirst) {
            this.nodes = new PriorityQueue<>(bestFirst);
        }
    }

    private final List<String> levels;
    private final String serviceId;
    private final Comparator<PlainNodeLoad> bestFirst;
    private final Branch root;

    PlainPlacementTree(Placement placement, String serviceId, Comparator<PlainNodeLoad> bestFirst) {
        List<String> descriptors = new ArrayList<>();
        for (PlacementPreference preference : placement.getPreferencesList()) {
            String descriptor = preference.getSpread().getSpreadDescriptor();
            if (Constraint.label(descriptor, Node.getDefaultInstance()) != null) {
                descriptors.add(descriptor);
            }
        }
        this.levels = descriptors;
        this.serviceId = serviceId;
        this.bestFirst = bestFirst;
        this.root = new Branch(bestFirst);
    }

    /** Counts the tasks of a node for its branches and, if it can take more, offers it. */
    void add(PlainNodeLoad load, Node node, boolean offered) {
        int tasks = load.active(serviceId);
        Branch branch = root;
        branch.tasks += tasks;
        for (String level : levels) {
            String value = Constraint.label(level, node);
            branch = branch.branches.computeIfAbsent(value == null ? "" : value, label -> new Branch(bestFirst));
            branch.tasks += tasks;
        }
        if (offered) {
            branch.nodes.add(load);
        }
    }

    /**
     * Takes out the node for the next task, or null if there is none left. It is offered again by {@link #giveBack}.
     */
    @Nullable
    PlainNodeLoad take() {
        return take(root);
    }

    private static @Nullable PlainNodeLoad take(Branch branch) {
        if (branch.branches.isEmpty()) {
            PlainNodeLoad best = branch.nodes.poll();
            branch.tasks += best == null ? 0 : 1;
            return best;
        }
        while (!branch.branches.isEmpty()) {
            Map.Entry<String, Branch> emptiest = null;
            for (Map.Entry<String, Branch> entry : branch.branches.entrySet()) {
                if (emptiest == null || entry.getValue().tasks < emptiest.getValue().tasks) {
                    emptiest = entry;
                }
            }
            if (emptiest == null) {
                return null;
            }
            PlainNodeLoad found = take(emptiest.getValue());
            if (found != null) {
                branch.tasks++;
                return found;
            }
            branch.branches.remove(emptiest.getKey());
        }
        return null;
    }

    /** Offers a node again that was taken. */
    void giveBack(PlainNodeLoad load, Node node) {
        Branch branch = root;
        for (String level : levels) {
            String value = Constraint.label(level, node);
            branch = branch.branches.computeIfAbsent(value == null ? "" : value, label -> new Branch(bestFirst));
        }
        branch.nodes.add(load);
    }
}
