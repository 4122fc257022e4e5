package io.skep.control;

import io.skep.wire.Node;
import java.util.Arrays;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The nodes that meet a requirement, branched by the labels over which tasks are to be spread.
 *
 * <p>It is brought up to date from what changed at the loads since it was last used. While a group of tasks is placed
 * from it, {@link GroupPlacement} suspends nodes in the tournaments and brings them back afterwards.
 */
final class NodePool {
    private static final int NO_SEAT = 0;

    /** The nodes that have the same values of the first few labels. */
    static final class Branch {
        final @Nullable Branch parent;
        final String label;
        final TreeMap<String, Branch> branches = new TreeMap<>();
        final NodeTournament nodes;

        Branch(@Nullable Branch parent, String label, boolean knowsRoom) {
            this.parent = parent;
            this.label = label;
            this.nodes = new NodeTournament(knowsRoom);
        }
    }

    final NodeRequirement requirement;
    private final NodeLoads loads;
    private final NodeIndex index;
    private Branch root;
    private long upTo = -1;

    /** The seat of each member by its slot; seats are numbered from 1. */
    private SlotCounts seats = new SlotCounts();

    private @Nullable Branch[] branchOfSeat = new Branch[16];
    private int[] positionOfSeat = new int[16];
    private int[] freeSeats = new int[16];
    private int freeSeatsCount;
    private int seatsEnd = 1;

    NodePool(NodeRequirement requirement, NodeLoads loads, NodeIndex index) {
        this.requirement = requirement;
        this.loads = loads;
        this.index = index;
        this.root = newBranch(null, "");
    }

    private Branch newBranch(@Nullable Branch parent, String label) {
        return new Branch(parent, label, requirement.reserves());
    }

    Branch root() {
        return root;
    }

    int size() {
        return seats.size();
    }

    boolean holds(NodeLoad load) {
        return seats.get(load.slot()) != NO_SEAT;
    }

    /** Returns the branch, of those without further branches, in which a member is. */
    Branch branchOf(NodeLoad load) {
        Branch branch = branchOfSeat[seats.get(load.slot())];
        if (branch == null) {
            throw new IllegalArgumentException("not here: node " + load.nodeId());
        }
        return branch;
    }

    int positionOf(NodeLoad load) {
        return positionOfSeat[seats.get(load.slot())];
    }

    /** Returns the branch below this one, for that label of a node, or null if no member is there. */
    @Nullable
    Branch branchBelow(Branch branch, int level, Node node) {
        return branch.branches.get(labelOf(node, level));
    }

    private String labelOf(Node node, int level) {
        String value = Constraint.label(requirement.levels().get(level), node);
        return value == null ? "" : value;
    }

    void forEach(SlotCounts.Visitor visitor) {
        seats.forEach(visitor);
    }

    /** Takes note of all that changed since the last time. */
    void catchUp() {
        if (upTo < 0 || !loads.remembers(upTo)) {
            rebuild();
        } else if (upTo < loads.now()) {
            long since = upTo;
            loads.forEachChange(since, slot -> catchUp(slot, since));
        }
        upTo = loads.now();
    }

    /** Takes note that whoever used this pool has entered all changes up to now himself. */
    void isUpToDate() {
        upTo = loads.now();
    }

    private void rebuild() {
        root = newBranch(null, "");
        seats = new SlotCounts();
        Arrays.fill(branchOfSeat, null);
        freeSeatsCount = 0;
        seatsEnd = 1;
        index.forEachThatMayMatch(requirement.constraints(), load -> {
            Node node = load.node();
            if (node != null && !holds(load) && requirement.isMetBy(load)) {
                enter(load, node);
            }
        });
        playAll(root);
    }

    private static void playAll(Branch branch) {
        branch.nodes.play();
        branch.branches.values().forEach(NodePool::playAll);
    }

    private void catchUp(int slot, long since) {
        NodeLoad load = loads.at(slot);
        int seat = seats.get(slot);
        if (load != null && load.nodeChangedAt() < since) {
            if (seat != NO_SEAT) {
                update(seat);
            }
            return;
        }
        Node node = load == null ? null : load.node();
        if (seat != NO_SEAT) {
            leave(slot, seat);
        }
        if (load != null && node != null && requirement.isMetBy(load)) {
            update(enter(load, node));
        }
    }

    private void update(int seat) {
        Branch branch = branchOfSeat[seat];
        if (branch != null) {
            branch.nodes.update(positionOfSeat[seat]);
        }
    }

    private int enter(NodeLoad load, Node node) {
        Branch branch = root;
        for (int level = 0; level < requirement.levels().size(); level++) {
            Branch above = branch;
            branch = above.branches.computeIfAbsent(labelOf(node, level), label -> newBranch(above, label));
        }
        if (freeSeatsCount == 0 && seatsEnd == branchOfSeat.length) {
            int capacity = 2 * seatsEnd;
            branchOfSeat = Arrays.copyOf(branchOfSeat, capacity);
            positionOfSeat = Arrays.copyOf(positionOfSeat, capacity);
            freeSeats = Arrays.copyOf(freeSeats, capacity);
        }
        int seat = freeSeatsCount > 0 ? freeSeats[--freeSeatsCount] : seatsEnd++;
        seats.set(load.slot(), seat);
        branchOfSeat[seat] = branch;
        positionOfSeat[seat] = branch.nodes.enter(load);
        return seat;
    }

    private void leave(int slot, int seat) {
        Branch branch = branchOfSeat[seat];
        if (branch == null) {
            return;
        }
        branch.nodes.leave(positionOfSeat[seat]);
        seats.set(slot, NO_SEAT);
        branchOfSeat[seat] = null;
        freeSeats[freeSeatsCount++] = seat;
        while (branch.parent != null && branch.nodes.size() == 0 && branch.branches.isEmpty()) {
            branch.parent.branches.remove(branch.label);
            branch = branch.parent;
        }
    }
}
