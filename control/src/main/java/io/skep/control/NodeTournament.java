package io.skep.control;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Nodes among which the one with the fewest tasks is found fast: a tournament, in which the better of each two goes on.
 *
 * <p>A change of one node costs as many comparisons as the tree is high. Where tasks reserve CPU or memory, each game
 * also knows the most that any node below it has left of either, so that the search passes over whole branches of full
 * nodes. Keys are copied from the loads when a node is entered or {@link #update}d. At equal numbers of tasks the lower
 * id wins.
 */
final class NodeTournament {
    private static final int CAPACITY_MIN = 4;
    private static final int NOBODY = -1;

    private final boolean knowsRoom;
    private int capacity = CAPACITY_MIN;
    private int end;
    private int[] free = new int[CAPACITY_MIN];
    private int freeCount;
    private @Nullable NodeLoad[] loads = new NodeLoad[CAPACITY_MIN];
    private long[] orders = new long[CAPACITY_MIN];
    /** The winner of each game, the final at 1; those of game n come from 2n and 2n + 1. Entries begin at capacity. */
    private int[] winners = new int[2 * CAPACITY_MIN];

    private long[] mostNanoCpus;
    private long[] mostMemoryBytes;

    NodeTournament(boolean knowsRoom) {
        this.knowsRoom = knowsRoom;
        Arrays.fill(winners, NOBODY);
        mostNanoCpus = new long[knowsRoom ? 2 * CAPACITY_MIN : 0];
        mostMemoryBytes = new long[knowsRoom ? 2 * CAPACITY_MIN : 0];
        Arrays.fill(mostNanoCpus, Long.MIN_VALUE);
        Arrays.fill(mostMemoryBytes, Long.MIN_VALUE);
    }

    int size() {
        return end - freeCount;
    }

    NodeLoad at(int position) {
        NodeLoad load = loads[position];
        if (load == null) {
            throw new IllegalArgumentException("nobody at " + position);
        }
        return load;
    }

    /** Enters a node; the games are played by {@link #update}, or by {@link #play} for many at once. */
    int enter(NodeLoad load) {
        if (freeCount == 0 && end == capacity) {
            grow();
        }
        int position = freeCount > 0 ? free[--freeCount] : end++;
        loads[position] = load;
        return position;
    }

    private void grow() {
        capacity *= 2;
        free = Arrays.copyOf(free, capacity);
        loads = Arrays.copyOf(loads, capacity);
        orders = Arrays.copyOf(orders, capacity);
        int[] oldWinners = winners;
        winners = new int[2 * capacity];
        Arrays.fill(winners, NOBODY);
        System.arraycopy(oldWinners, capacity / 2, winners, capacity, capacity / 2);
        if (knowsRoom) {
            mostNanoCpus = grown(mostNanoCpus);
            mostMemoryBytes = grown(mostMemoryBytes);
        }
        for (int game = capacity - 1; game > 0; game--) {
            play(game);
        }
    }

    private long[] grown(long[] most) {
        long[] grown = new long[2 * capacity];
        Arrays.fill(grown, Long.MIN_VALUE);
        System.arraycopy(most, capacity / 2, grown, capacity, capacity / 2);
        return grown;
    }

    void leave(int position) {
        suspend(position);
        loads[position] = null;
        free[freeCount++] = position;
    }

    /** Copies the keys of all nodes and plays all games. */
    void play() {
        for (int position = 0; position < end; position++) {
            NodeLoad load = loads[position];
            if (load != null) {
                seat(position, load);
            }
        }
        for (int game = capacity - 1; game > 0; game--) {
            play(game);
        }
    }

    /** Copies the keys of a node and plays its games; a suspended one takes part again. */
    void update(int position) {
        seat(position, at(position));
        playUp(position);
    }

    /** Lets a node sit out until it is updated. */
    void suspend(int position) {
        winners[capacity + position] = NOBODY;
        if (knowsRoom) {
            mostNanoCpus[capacity + position] = Long.MIN_VALUE;
            mostMemoryBytes[capacity + position] = Long.MIN_VALUE;
        }
        playUp(position);
    }

    private void seat(int position, NodeLoad load) {
        winners[capacity + position] = position;
        orders[position] = load.order();
        if (knowsRoom) {
            mostNanoCpus[capacity + position] = load.freeNanoCpus();
            mostMemoryBytes[capacity + position] = load.freeMemoryBytes();
        }
    }

    private void playUp(int position) {
        for (int game = (capacity + position) / 2; game > 0; game /= 2) {
            play(game);
        }
    }

    private void play(int game) {
        int left = 2 * game;
        winners[game] = better(winners[left], winners[left + 1]);
        if (knowsRoom) {
            mostNanoCpus[game] = Math.max(mostNanoCpus[left], mostNanoCpus[left + 1]);
            mostMemoryBytes[game] = Math.max(mostMemoryBytes[left], mostMemoryBytes[left + 1]);
        }
    }

    private int better(int a, int b) {
        if (a == NOBODY) {
            return b;
        }
        if (b == NOBODY) {
            return a;
        }
        if (orders[a] != orders[b]) {
            return orders[a] < orders[b] ? a : b;
        }
        return at(a).nodeId().compareTo(at(b).nodeId()) <= 0 ? a : b;
    }

    /** Returns the position of the best node that has so much left, or a negative number if none has. */
    int best(long nanoCpus, long memoryBytes) {
        return knowsRoom ? best(1, NOBODY, nanoCpus, memoryBytes) : winners[1];
    }

    private int best(int game, int bestSoFar, long nanoCpus, long memoryBytes) {
        int winner = winners[game];
        if (winner == NOBODY
                || mostNanoCpus[game] < nanoCpus
                || mostMemoryBytes[game] < memoryBytes
                || (bestSoFar != NOBODY && better(bestSoFar, winner) == bestSoFar)) {
            return bestSoFar;
        }
        if (mostNanoCpus[capacity + winner] >= nanoCpus && mostMemoryBytes[capacity + winner] >= memoryBytes) {
            return winner;
        }
        if (game >= capacity) {
            return bestSoFar;
        }
        boolean leftFirst = winners[2 * game] == winner;
        int first = best(leftFirst ? 2 * game : 2 * game + 1, bestSoFar, nanoCpus, memoryBytes);
        return best(leftFirst ? 2 * game + 1 : 2 * game, first, nanoCpus, memoryBytes);
    }
}
