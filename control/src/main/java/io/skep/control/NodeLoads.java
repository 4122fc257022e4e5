package io.skep.control;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The loads of all nodes, and a short memory of which of them changed.
 *
 * <p>Each node has a slot, a small number that is used again when the node is gone, so that others can keep what they
 * know of nodes in arrays. Who derives something from the loads notes {@link #now()} when it is done and asks later
 * what changed since. The memory is as long as there are nodes: whoever missed more has to look at all nodes anyhow.
 */
final class NodeLoads {
    private static final int CAPACITY_MIN = 1024;

    private final Map<String, NodeLoad> byId = new HashMap<>();
    private @Nullable NodeLoad[] bySlot = new NodeLoad[CAPACITY_MIN];
    private int[] freeSlots = new int[CAPACITY_MIN];
    private int freeCount;
    private int slotsEnd;

    /** The slots that changed last, a ring; the change number n is at n modulo its length. */
    private int[] changes = new int[CAPACITY_MIN];

    private long changesEnd;
    /** The first change that is remembered, unless the ring has come round since. */
    private long changesBegin;

    @Nullable
    NodeLoad get(String nodeId) {
        return byId.get(nodeId);
    }

    @Nullable
    NodeLoad at(int slot) {
        return bySlot[slot];
    }

    /** Returns the number after the last slot that is or was in use. */
    int slotsEnd() {
        return slotsEnd;
    }

    int size() {
        return byId.size();
    }

    /** Returns the load of a node, an empty one if it has none so far. */
    NodeLoad obtain(String nodeId) {
        NodeLoad known = byId.get(nodeId);
        if (known != null) {
            return known;
        }
        if (freeCount == 0 && slotsEnd == bySlot.length) {
            grow();
        }
        int slot = freeCount > 0 ? freeSlots[--freeCount] : slotsEnd++;
        NodeLoad load = new NodeLoad(nodeId, slot, changesEnd);
        bySlot[slot] = load;
        byId.put(nodeId, load);
        return load;
    }

    private void grow() {
        int capacity = bySlot.length * 2;
        bySlot = Arrays.copyOf(bySlot, capacity);
        freeSlots = Arrays.copyOf(freeSlots, capacity);
        changes = new int[capacity];
        changesBegin = changesEnd;
    }

    /** Takes note that a load changed; one of which nothing is left is forgotten. */
    void changed(NodeLoad load) {
        changes[(int) (changesEnd++ & changes.length - 1)] = load.slot();
        if (load.isEmpty()) {
            byId.remove(load.nodeId());
            bySlot[load.slot()] = null;
            freeSlots[freeCount++] = load.slot();
            load.retire();
        }
    }

    void forEach(Consumer<NodeLoad> consumer) {
        for (int slot = 0; slot < slotsEnd; slot++) {
            NodeLoad load = bySlot[slot];
            if (load != null) {
                consumer.accept(load);
            }
        }
    }

    /** Returns the number of the next change. */
    long now() {
        return changesEnd;
    }

    boolean remembers(long since) {
        return since >= changesBegin && changesEnd - since <= changes.length;
    }

    /** Visits the slots that changed since, some of them more than once. */
    void forEachChange(long since, IntConsumer consumer) {
        for (long change = since; change < changesEnd; change++) {
            consumer.accept(changes[(int) (change & changes.length - 1)]);
        }
    }
}
