package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.e2e.Operation.Action;
import io.skep.e2e.Operation.Outcome;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** The checker of the torture test: what it accepts, what it refuses, and that it agrees with trying all orders. */
class LinearizabilityTest {
    private static final long NEVER = Long.MAX_VALUE;

    private final List<Operation> history = new ArrayList<>();

    private void add(Action action, String expected, String value, long begin, long end, Outcome outcome) {
        long version = action == Action.READ && !value.isEmpty() ? 100 + Math.abs((long) value.hashCode()) : 0;
        history.add(new Operation(1, 1, action, expected, value, version, begin, end, outcome));
    }

    private void create(String value, long begin, long end) {
        add(Action.CREATE, "", value, begin, end, Outcome.DONE);
    }

    private void read(String value, long begin, long end) {
        add(Action.READ, "", value, begin, end, Outcome.DONE);
    }

    private void swap(String expected, String value, long begin, long end) {
        add(Action.SWAP, expected, value, begin, end, Outcome.DONE);
    }

    private void assertLinearizable() {
        assertThat(Linearizability.violation(history)).isNull();
    }

    private void assertViolation(String reason) {
        assertThat(Linearizability.violation(history)).contains(reason);
    }

    @Test
    void acceptsOneAfterTheOther() {
        read("", 0, 1);
        create("a.1", 2, 3);
        read("a.1", 4, 5);
        swap("a.1", "a.2", 6, 7);
        read("a.2", 8, 9);
        add(Action.REMOVE, "a", "", 10, 11, Outcome.DONE);
        read("", 12, 13);
        create("b.1", 14, 15);
        read("b.1", 16, 17);
        assertLinearizable();
    }

    @Test
    void acceptsEitherValueWhileAWriteRuns() {
        create("a.1", 0, 1);
        swap("a.1", "a.2", 2, 10);
        read("a.1", 3, 4);
        read("a.2", 5, 6);
        assertLinearizable();
    }

    @Test
    void refusesAStaleRead() {
        create("a.1", 0, 1);
        swap("a.1", "a.2", 2, 3);
        read("a.1", 4, 5);
        assertViolation("what cannot follow");
    }

    @Test
    void refusesToGoBackWhileAWriteRuns() {
        create("a.1", 0, 1);
        swap("a.1", "a.2", 2, 10);
        read("a.2", 3, 4);
        read("a.1", 5, 6);
        assertViolation("what cannot follow");
    }

    @Test
    void refusesALostWrite() {
        create("a.1", 0, 1);
        swap("a.1", "a.2", 2, 3);
        swap("a.1", "a.3", 4, 5);
        assertViolation("what cannot follow");
    }

    @Test
    void refusesALostCreation() {
        create("a.1", 0, 1);
        read("", 2, 3);
        assertViolation("what cannot follow");
    }

    @Test
    void refusesTwoCreationsOfOneName() {
        create("a.1", 0, 10);
        create("b.1", 1, 9);
        assertViolation("what cannot follow");
    }

    @Test
    void refusesAWriteThatHappensTwice() {
        create("a.1", 0, 1);
        history.add(new Operation(1, 1, Action.READ, "", "a.1", 7, 2, 3, Outcome.DONE));
        history.add(new Operation(1, 1, Action.READ, "", "a.1", 8, 4, 5, Outcome.DONE));
        assertViolation("a value was written twice");
    }

    @Test
    void refusesTwoValuesOfOneVersion() {
        create("a.1", 0, 1);
        history.add(new Operation(1, 1, Action.READ, "", "a.1", 7, 2, 3, Outcome.DONE));
        swap("a.1", "a.2", 4, 5);
        history.add(new Operation(1, 1, Action.READ, "", "a.2", 7, 6, 7, Outcome.DONE));
        assertViolation("two values were read under one version");
    }

    @Test
    void refusesAVersionThatGoesBack() {
        create("a.1", 0, 1);
        history.add(new Operation(1, 1, Action.READ, "", "a.1", 7, 2, 3, Outcome.DONE));
        swap("a.1", "a.2", 4, 5);
        history.add(new Operation(1, 1, Action.READ, "", "a.2", 6, 6, 7, Outcome.DONE));
        assertViolation("a version went back");
    }

    @Test
    void anUnknownWriteMayHappenLateOrNever() {
        create("a.1", 0, 1);
        add(Action.SWAP, "a.1", "a.2", 2, NEVER, Outcome.UNKNOWN);
        read("a.1", 4, 5);
        assertLinearizable();
        read("a.2", 6, 7);
        assertLinearizable();
        read("a.1", 8, 9);
        assertViolation("what cannot follow");
    }

    @Test
    void anUnknownWriteDoesNotHappenBeforeItBegins() {
        create("a.1", 0, 1);
        read("a.2", 2, 3);
        add(Action.SWAP, "a.1", "a.2", 4, NEVER, Outcome.UNKNOWN);
        assertViolation("what cannot follow");
    }

    @Test
    void aRefusalNeedsItsReason() {
        create("a.1", 0, 1);
        add(Action.SWAP, "a.1", "a.2", 2, 3, Outcome.REFUSED);
        assertViolation("what cannot follow");
        history.clear();
        create("a.1", 0, 1);
        swap("a.1", "a.3", 2, 5);
        add(Action.SWAP, "a.1", "a.2", 3, 4, Outcome.REFUSED);
        add(Action.CREATE, "", "b.1", 6, 7, Outcome.REFUSED);
        add(Action.REMOVE, "b", "", 8, 9, Outcome.REFUSED);
        assertLinearizable();
        add(Action.REMOVE, "a", "", 10, 11, Outcome.REFUSED);
        assertViolation("what cannot follow");
    }

    @Test
    void manyUnknownRemovalsAreDecided() {
        long time = 0;
        for (int round = 0; round < 12; round++) {
            String incarnation = "i" + round;
            create(incarnation + ".1", time, time + 1);
            add(Action.REMOVE, incarnation, "", time + 2, NEVER, Outcome.UNKNOWN);
            add(Action.SWAP, incarnation + ".1", incarnation + ".2", time + 2, NEVER, Outcome.UNKNOWN);
            read("", time + 4, time + 5);
            time += 10;
        }
        assertLinearizable();
    }

    @Property
    void acceptsWhateverARegisterDid(@ForAll long seed) {
        assertThat(Linearizability.violation(recorded(new Random(seed), 200, 5)))
                .isNull();
    }

    @Property
    void refusesAReadOfWhatWasReplacedLongAgo(@ForAll long seed) {
        Random random = new Random(seed);
        List<Operation> real = recorded(random, 120, 4);
        List<Operation> reads = real.stream()
                .filter(operation -> operation.action() == Action.READ
                        && !operation.value().isEmpty()
                        && real.stream()
                                .anyMatch(later -> later.action() == Action.READ
                                        && later.begin() > operation.end()
                                        && !later.value().equals(operation.value())))
                .toList();
        if (reads.isEmpty()) {
            return;
        }
        Operation old = reads.get(random.nextInt(reads.size()));
        long end = real.stream()
                        .mapToLong(operation -> operation.outcome() == Outcome.UNKNOWN ? 0 : operation.end())
                        .max()
                        .orElseThrow()
                + 1;
        List<Operation> planted = new ArrayList<>(real);
        planted.add(new Operation(9, 1, Action.READ, "", old.value(), old.version(), end, end + 1, Outcome.DONE));
        assertThat(Linearizability.violation(planted)).isNotNull();
    }

    @Property(tries = 3000)
    void agreesWithTryingAllOrders(@ForAll long seed) {
        Random random = new Random(seed);
        List<Operation> some = random.nextBoolean() ? recorded(random, 6, 3) : arbitrary(random, 6);
        if (random.nextInt(3) == 0 && !some.isEmpty()) {
            // Something that happened, told as if at another time.
            int index = random.nextInt(some.size());
            Operation moved = some.get(index);
            long begin = random.nextInt(40);
            some.set(
                    index,
                    new Operation(
                            moved.client(),
                            moved.manager(),
                            moved.action(),
                            moved.expected(),
                            moved.value(),
                            moved.version(),
                            begin,
                            moved.outcome() == Outcome.UNKNOWN ? NEVER : begin + 1 + random.nextInt(9),
                            moved.outcome()));
        }
        String found = Linearizability.violation(some);
        if (found == null || found.startsWith("no order")) {
            assertThat(found == null).isEqualTo(someOrderFits(some, new ArrayList<>(), Operation.ABSENT));
        }
    }

    /** Whether the rest of the operations can follow in some order, each after all that ended before it began. */
    private static boolean someOrderFits(List<Operation> all, List<Operation> placed, String state) {
        List<Operation> left = new ArrayList<>(all);
        placed.forEach(left::remove);
        if (left.stream().allMatch(operation -> operation.outcome() == Outcome.UNKNOWN)) {
            return true;
        }
        for (Operation next : left) {
            boolean tooEarly =
                    left.stream().anyMatch(other -> other.outcome() != Outcome.UNKNOWN && other.end() < next.begin());
            String after = tooEarly ? null : next.apply(state);
            if (after != null) {
                placed.add(next);
                if (someOrderFits(all, placed, after)) {
                    return true;
                }
                placed.removeLast();
            }
        }
        return false;
    }

    /** Records what clients see of a real register: effects at instants between begin and end. */
    private static List<Operation> recorded(Random random, int count, int clients) {
        List<Operation> operations = new ArrayList<>();
        long[] free = new long[clients];
        List<long[]> effects = new ArrayList<>(); // instant, begin, end, client, unknown
        for (int i = 0; i < count; i++) {
            int client = random.nextInt(clients);
            long begin = free[client] + 1 + random.nextInt(5);
            long end = begin + 2 + random.nextInt(9);
            boolean unknown = random.nextInt(8) == 0;
            long instant = unknown ? begin + random.nextInt(40) : begin + random.nextLong(end - begin + 1);
            free[client] = end;
            effects.add(new long[] {instant, begin, end, client, unknown ? 1 : 0});
        }
        Collections.shuffle(effects, random);
        effects.sort((a, b) -> Long.compare(a[0], b[0]));
        String state = Operation.ABSENT;
        long version = 0;
        List<String> seen = new ArrayList<>(List.of("x.0"));
        for (int i = 0; i < effects.size(); i++) {
            long[] effect = effects.get(i);
            String guess = random.nextInt(3) > 0 ? state : seen.get(random.nextInt(seen.size()));
            Action action = List.of(Action.values()).get(random.nextInt(4));
            boolean lost = effect[4] == 1 && random.nextBoolean();
            String expected = switch (action) {
                case SWAP -> guess;
                case REMOVE -> Operation.incarnation(guess);
                default -> "";
            };
            String value = switch (action) {
                case CREATE -> "n" + i + "." + i;
                case SWAP -> Operation.incarnation(guess) + "." + i;
                case READ -> state;
                case REMOVE -> "";
            };
            if ((action == Action.SWAP || action == Action.REMOVE) && guess.isEmpty()) {
                action = Action.READ;
                expected = "";
                value = state;
            }
            boolean unknown = effect[4] == 1 && action != Action.READ;
            Operation wanted = new Operation(
                    (int) effect[3],
                    1,
                    action,
                    expected,
                    value,
                    action == Action.READ ? version : 0,
                    effect[1],
                    effect[2],
                    Outcome.DONE);
            String after = wanted.apply(state);
            Outcome outcome = unknown ? Outcome.UNKNOWN : after == null ? Outcome.REFUSED : Outcome.DONE;
            if (after != null && !(unknown && lost) && action != Action.READ) {
                state = after;
                version++;
                seen.add(value.isEmpty() ? "x.0" : value);
            }
            if (action == Action.READ && effect[4] == 1) {
                continue; // its instant may be outside of its time
            }
            operations.add(new Operation(
                    wanted.client(),
                    1,
                    action,
                    expected,
                    value,
                    state.isEmpty() ? 0 : wanted.version(),
                    effect[1],
                    unknown ? NEVER : effect[2],
                    outcome));
        }
        Collections.shuffle(operations, random);
        return operations;
    }

    private static List<Operation> arbitrary(Random random, int count) {
        List<Operation> operations = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Action action = List.of(Action.values()).get(random.nextInt(4));
            String some = random.nextInt(4) == 0 ? "" : "a." + random.nextInt(count);
            long begin = random.nextInt(30);
            Outcome outcome = action == Action.READ
                    ? Outcome.DONE
                    : List.of(Outcome.values()).get(random.nextInt(3));
            String expected = switch (action) {
                case SWAP -> "a." + random.nextInt(count);
                case REMOVE -> "a";
                default -> "";
            };
            String value = switch (action) {
                case READ -> some;
                case REMOVE -> "";
                default -> "a." + i;
            };
            operations.add(new Operation(
                    i,
                    1,
                    action,
                    expected,
                    value,
                    action == Action.READ && !value.isEmpty() ? value.charAt(2) : 0,
                    begin,
                    outcome == Outcome.UNKNOWN ? NEVER : begin + 1 + random.nextInt(12),
                    outcome));
        }
        return operations;
    }
}
