package io.skep.control;

import io.skep.wire.Node;
import io.skep.wire.Task;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * The choice of nodes for the tasks of one group, one after the other (swarm-wire 6.10).
 *
 * <p>Each task goes, level by level, to the branch with the fewest tasks of the service that has a node left, and there
 * to the best node: one that did not fail the service again and again, then the one with the fewest tasks of the
 * service, then with the fewest tasks, then with the lowest id. Tasks on nodes that can take no more count for their
 * branch too.
 *
 * <p>Few nodes have tasks of the service, or failures. These, the special ones, sit out of the tournaments of the pool
 * and are offered in queues of their own; as all others are equal in this respect and better, a queue is asked only
 * when its tournament has no winner that fits. A node that is taken becomes special. Where most nodes are special, all
 * go into the queues. {@link #end} brings everyone back into the tournaments.
 */
final class GroupPlacement {
    /** From this part of the nodes on that have tasks of the service, all are offered in queues. */
    private static final int SPECIAL_PART = 4;

    private record Candidate(NodeLoad load, int failures, int ofService, long order) {
        static final Comparator<Candidate> BEST_FIRST = Comparator.comparingInt(Candidate::failures)
                .thenComparingInt(Candidate::ofService)
                .thenComparingLong(Candidate::order)
                .thenComparing(candidate -> candidate.load().nodeId());
    }

    /** How many tasks of the service are in a branch, and in which order its branches get the next ones. */
    private static final class Count {
        static final Comparator<Count> FEWEST_FIRST =
                Comparator.<Count>comparingInt(count -> count.tasks).thenComparing(count -> count.branch.label);

        final NodePool.Branch branch;
        final PriorityQueue<Count> used = new PriorityQueue<>(FEWEST_FIRST);
        /** The branches of this one; those without tasks are taken from here, in the order of their labels. */
        final Iterator<NodePool.Branch> unused;

        int tasks;

        Count(NodePool.Branch branch) {
            this.branch = branch;
            this.unused = branch.branches.values().iterator();
        }
    }

    private final NodePool pool;
    private final NodeFilters filters;
    private final SlotCounts ofService;
    private final Map<NodeLoad, Integer> failing = new HashMap<>();
    private final Map<NodePool.Branch, PriorityQueue<Candidate>> queues = new HashMap<>();
    private final Map<NodePool.Branch, Count> counts = new HashMap<>();
    private final boolean allQueued;
    private final List<NodeLoad> suspended = new ArrayList<>();
    private final Count root;

    /**
     * Begins to place.
     *
     * @param pool up to date
     * @param ofService how many tasks of the service each node has, kept up to date while tasks are placed
     */
    GroupPlacement(
            NodePool pool,
            NodeLoads loads,
            NodeFilters filters,
            SlotCounts ofService,
            Failures failures,
            Task sample,
            Instant now) {
        this.pool = pool;
        this.filters = filters;
        this.ofService = ofService;
        failures.forEach(sample, now, (load, count) -> {
            if (count >= Scheduler.FAILURES_MAX) {
                failing.put(load, count);
            }
        });
        this.allQueued = (long) (ofService.size() + failing.size()) * SPECIAL_PART > pool.size();
        if (allQueued) {
            pool.forEach((slot, seat) -> offer(loads.at(slot)));
        } else {
            ofService.forEach((slot, count) -> setApart(loads.at(slot)));
            for (NodeLoad load : failing.keySet()) {
                if (ofService.get(load.slot()) == 0) {
                    setApart(load);
                }
            }
        }
        this.root = new Count(pool.root());
        if (!pool.requirement.levels().isEmpty()) {
            ofService.forEach((slot, count) -> countTasks(loads.at(slot), count));
            for (Count count : counts.values()) {
                Count above = count.branch.parent == pool.root() ? root : counts.get(count.branch.parent);
                if (above != null) {
                    above.used.add(count);
                }
            }
        }
    }

    private void setApart(@Nullable NodeLoad load) {
        if (load != null && pool.holds(load)) {
            suspend(load, pool.branchOf(load));
            offer(load);
        }
    }

    private void suspend(NodeLoad load, NodePool.Branch branch) {
        branch.nodes.suspend(pool.positionOf(load));
        suspended.add(load);
    }

    private void offer(@Nullable NodeLoad load) {
        if (load == null) {
            return;
        }
        int count = ofService.get(load.slot());
        if (filters.admits(load, count)) {
            queues.computeIfAbsent(pool.branchOf(load), branch -> new PriorityQueue<>(Candidate.BEST_FIRST))
                    .add(new Candidate(load, failing.getOrDefault(load, 0), count, load.order()));
        }
    }

    /** Counts the tasks of a node, which need not be of the pool, for all branches in which it is. */
    private void countTasks(@Nullable NodeLoad load, int tasks) {
        Node node = load == null ? null : load.node();
        if (node == null) {
            return;
        }
        NodePool.Branch branch = pool.root();
        for (int level = 0; level < pool.requirement.levels().size(); level++) {
            branch = pool.branchBelow(branch, level, node);
            if (branch == null) {
                return;
            }
            counts.computeIfAbsent(branch, Count::new).tasks += tasks;
        }
    }

    /**
     * Takes out the node for the next task, or returns null if there is none left. It is offered again by
     * {@link #giveBack}.
     */
    @Nullable
    NodeLoad take() {
        return take(root);
    }

    private @Nullable NodeLoad take(Count count) {
        if (count.branch.branches.isEmpty()) {
            NodeLoad best = takeNode(count.branch);
            count.tasks += best == null ? 0 : 1;
            return best;
        }
        while (true) {
            Count emptiest = emptiest(count);
            if (emptiest == null) {
                return null;
            }
            NodeLoad found = take(emptiest);
            if (found != null) {
                count.used.add(emptiest);
                count.tasks++;
                return found;
            }
        }
    }

    /** Takes out the branch with the fewest tasks; one in which there is no node left is not put back. */
    private @Nullable Count emptiest(Count count) {
        while (count.unused.hasNext()) {
            NodePool.Branch branch = count.unused.next();
            if (!counts.containsKey(branch)) {
                return new Count(branch);
            }
        }
        return count.used.poll();
    }

    private @Nullable NodeLoad takeNode(NodePool.Branch branch) {
        if (!allQueued) {
            while (true) {
                int position = branch.nodes.best(
                        filters.reserved().getNanoCpus(), filters.reserved().getMemoryBytes());
                if (position < 0) {
                    break;
                }
                NodeLoad load = branch.nodes.at(position);
                suspend(load, branch);
                if (filters.admits(load, 0)) {
                    return load;
                }
            }
        }
        PriorityQueue<Candidate> queue = queues.get(branch);
        Candidate best = queue == null ? null : queue.poll();
        return best == null ? null : best.load();
    }

    /** Offers a node again that was taken, if it has room for one more. */
    void giveBack(NodeLoad load) {
        offer(load);
    }

    /** Leaves the pool as others expect it. */
    void end() {
        for (NodeLoad load : suspended) {
            pool.branchOf(load).nodes.update(pool.positionOf(load));
        }
        if (!allQueued) {
            pool.isUpToDate();
        }
    }
}
