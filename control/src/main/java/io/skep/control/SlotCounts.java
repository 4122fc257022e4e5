package io.skep.control;

import java.util.Arrays;

/**
 * A number for each of some slots (see {@link NodeLoads}), 0 for all others.
 *
 * <p>A hash table of two arrays with open addressing: where a million entries must fit, objects would take ten times
 * the memory. It shrinks when entries go.
 */
final class SlotCounts {
    private static final int CAPACITY_MIN = 4;
    private static final int FREE = -1;

    /** What to do with an entry. */
    @FunctionalInterface
    interface Visitor {
        void visit(int slot, int count);
    }

    private int[] slots = new int[CAPACITY_MIN];
    private int[] counts = new int[CAPACITY_MIN];
    private int size;

    SlotCounts() {
        Arrays.fill(slots, FREE);
    }

    /** Returns how many slots have another number than 0. */
    int size() {
        return size;
    }

    boolean isEmpty() {
        return size == 0;
    }

    int get(int slot) {
        int at = find(slot);
        return slots[at] == FREE ? 0 : counts[at];
    }

    void add(int slot, int change) {
        set(slot, get(slot) + change);
    }

    void set(int slot, int count) {
        int at = find(slot);
        if (slots[at] != FREE) {
            counts[at] = count;
            if (count == 0) {
                remove(at);
            }
        } else if (count != 0) {
            slots[at] = slot;
            counts[at] = count;
            size++;
            if (size * 4 > slots.length * 3) {
                resize(slots.length * 2);
            }
        }
    }

    /** Visits all entries, in no particular order. */
    void forEach(Visitor visitor) {
        for (int at = 0; at < slots.length; at++) {
            if (slots[at] != FREE) {
                visitor.visit(slots[at], counts[at]);
            }
        }
    }

    private int find(int slot) {
        int at = home(slot);
        while (slots[at] != FREE && slots[at] != slot) {
            at = next(at);
        }
        return at;
    }

    private int home(int slot) {
        int hash = slot * 0x9E3779B9;
        return (hash ^ hash >>> 16) & slots.length - 1;
    }

    private int next(int at) {
        return at + 1 & slots.length - 1;
    }

    /** Empties a place, and moves those up that were pushed on by the one in it. */
    private void remove(int place) {
        int hole = place;
        for (int at = next(hole); slots[at] != FREE; at = next(at)) {
            int wish = home(slots[at]);
            boolean mayMove = hole <= at ? wish <= hole || wish > at : wish <= hole && wish > at;
            if (mayMove) {
                slots[hole] = slots[at];
                counts[hole] = counts[at];
                hole = at;
            }
        }
        slots[hole] = FREE;
        size--;
        if (slots.length > CAPACITY_MIN && size * 8 < slots.length) {
            resize(slots.length / 2);
        }
    }

    private void resize(int capacity) {
        int[] oldSlots = slots;
        int[] oldCounts = counts;
        slots = new int[capacity];
        counts = new int[capacity];
        Arrays.fill(slots, FREE);
        for (int i = 0; i < oldSlots.length; i++) {
            if (oldSlots[i] != FREE) {
                int at = find(oldSlots[i]);
                slots[at] = oldSlots[i];
                counts[at] = oldCounts[i];
            }
        }
    }
}
