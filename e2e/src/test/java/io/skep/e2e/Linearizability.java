package io.skep.e2e;

import io.skep.e2e.Operation.Outcome;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Tells whether the history of one register could have come from one that does each operation at one instant between
 * its begin and its end.
 *
 * <p>The search is that of Wing and Gong: of the operations that began before any other that is still to be placed
 * ended, each is tried as the next. Lowe's addition makes it quick: a set of placed operations that was reached before
 * with the same state is not searched again. Operations of unknown outcome never end; they are placed where they change
 * the state, or not at all. Since histories are checked by register, this is as strong as checking the whole
 * (linearizability is local).
 *
 * <p>Beside it, what registers with values of their own make easy to see: a value has one version, for it was written
 * once, and a version has one value.
 */
final class Linearizability {
    /** Sets of placed operations that are remembered before the search gives up, which counts as a failure. */
    private static final int REMEMBERED_MAX = 2_000_000;

    private record Reached(BitSet placed, String state) {}

    private record Placed(Point call, String before) {}

    /** The begin or the end of an operation in the list of those that are still to be placed. */
    private static final class Point {
        private final int number;
        private final boolean begins;
        private final long nanos;

        private @Nullable Point previous;

        private @Nullable Point next;

        /** The end of an operation that began here; null when its outcome is unknown. */
        private @Nullable Point end;

        private Point(int number, boolean begins, long nanos) {
            this.number = number;
            this.begins = begins;
            this.nanos = nanos;
        }

        private void unlink() {
            if (previous != null) {
                previous.next = next;
            }
            if (next != null) {
                next.previous = previous;
            }
        }

        private void link() {
            if (previous != null) {
                previous.next = this;
            }
            if (next != null) {
                next.previous = this;
            }
        }
    }

    private Linearizability() {}

    /** Returns null when the history is linearizable, else why it is not. Operations may come in any order. */
    static @Nullable String violation(List<Operation> history) {
        String versions = violationOfVersions(history);
        return versions != null ? versions : search(history);
    }

    private static @Nullable String violationOfVersions(List<Operation> history) {
        Map<String, Operation> byValue = new HashMap<>();
        Map<Long, Operation> byVersion = new HashMap<>();
        for (Operation operation : history) {
            if (operation.action() != Operation.Action.READ || operation.value().isEmpty()) {
                continue;
            }
            Operation same = byValue.putIfAbsent(operation.value(), operation);
            if (same != null && same.version() != operation.version()) {
                return "a value was written twice: it was read under two versions:\n" + same + "\n" + operation;
            }
            Operation twin = byVersion.putIfAbsent(operation.version(), operation);
            if (twin != null && !twin.value().equals(operation.value())) {
                return "two values were read under one version:\n" + twin + "\n" + operation;
            }
        }
        for (Operation swap : history) {
            Operation before = byValue.get(swap.expected());
            Operation after = byValue.get(swap.value());
            if (swap.action() == Operation.Action.SWAP
                    && before != null
                    && after != null
                    && after.version() <= before.version()) {
                return "a version went back:\n" + before + "\n" + swap + "\n" + after;
            }
        }
        return null;
    }

    private static @Nullable String search(List<Operation> history) {
        int open = 0;
        Point head = new Point(-1, false, Long.MIN_VALUE);
        Point last = head;
        for (Point point : points(history)) {
            last.next = point;
            point.previous = last;
            last = point;
            open += point.begins ? 0 : 1;
        }
        Set<Reached> remembered = new HashSet<>();
        ArrayDeque<Placed> placed = new ArrayDeque<>();
        BitSet set = new BitSet(history.size());
        String state = Operation.ABSENT;
        Furthest furthest = new Furthest(List.of(), state, null);
        Point point = head.next;
        while (open > 0) {
            if (point != null && point.begins) {
                Operation operation = history.get(point.number);
                String after = operation.apply(state);
                if (after != null && remember(remembered, set, point.number, after)) {
                    placed.push(new Placed(point, state));
                    set.set(point.number);
                    state = after;
                    point.unlink();
                    if (point.end != null) {
                        point.end.unlink();
                        open--;
                    }
                    point = head.next;
                } else {
                    point = point.next;
                }
                if (remembered.size() > REMEMBERED_MAX) {
                    return "undecided after " + REMEMBERED_MAX + " sets of operations: the history is too tangled";
                }
                continue;
            }
            if (placed.size() >= furthest.placed().size()) {
                furthest = new Furthest(
                        placed.reversed().stream()
                                .map(each -> history.get(each.call().number))
                                .toList(),
                        state,
                        point == null ? null : history.get(point.number));
            }
            if (placed.isEmpty()) {
                return furthest.explanation();
            }
            Placed undone = placed.pop();
            state = undone.before();
            set.clear(undone.call().number);
            if (undone.call().end != null) {
                undone.call().end.link();
                open++;
            }
            undone.call().link();
            point = undone.call().next;
        }
        return null;
    }

    private static boolean remember(Set<Reached> remembered, BitSet set, int number, String state) {
        BitSet with = (BitSet) set.clone();
        with.set(number);
        return remembered.add(new Reached(with, state));
    }

    /** Begins and ends in their order; at the same time begins come first, for such operations overlap. */
    private static List<Point> points(List<Operation> history) {
        List<Point> points = new ArrayList<>();
        for (int i = 0; i < history.size(); i++) {
            Operation operation = history.get(i);
            Point begin = new Point(i, true, operation.begin());
            points.add(begin);
            if (operation.outcome() != Outcome.UNKNOWN) {
                begin.end = new Point(i, false, operation.end());
                points.add(begin.end);
            }
        }
        points.sort(Comparator.comparingLong((Point point) -> point.nanos).thenComparing(point -> !point.begins));
        return points;
    }

    /** The longest order that was found, the state after it, and what can then not be placed before it ended. */
    private record Furthest(
            List<Operation> placed, String state, @Nullable Operation stuck) {
        String explanation() {
            StringBuilder text = new StringBuilder(
                    "no order of the operations explains what was seen. The longest" + " that was found ends so:\n");
            placed.subList(Math.max(0, placed.size() - 10), placed.size())
                    .forEach(operation -> text.append(operation).append('\n'));
            text.append("state then: ").append(state.isEmpty() ? "nothing" : state);
            text.append("\nwhat cannot follow: ").append(stuck);
            return text.toString();
        }
    }
}
