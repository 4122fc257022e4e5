package io.skep.control;

import io.skep.wire.Node;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The nodes by what constraints ask of them, so that who looks for the nodes of a zone need not read the labels of all.
 *
 * <p>For a key such as {@code node.labels.zone} it knows which nodes have which value, in any case. It is made when the
 * key is first asked for, brought up to date from what changed at the loads when it is asked again, and made anew when
 * too much changed. What it names is a selection: a node may have changed its value back and forth and then be named
 * twice, or be named for a value that it had before. So each that is named must still be asked.
 *
 * <p><b>Bounds.</b> {@value #KEYS_MAX} keys, besides the newest; the least recently used is dropped. For each of them
 * two entries per node at most.
 */
final class NodeIndex {
    private static final int KEYS_MAX = 16;

    /** Slots in the order in which they came. */
    private static final class Slots {
        int[] slots = new int[4];
        int size;

        void add(int slot) {
            if (size == slots.length) {
                slots = Arrays.copyOf(slots, 2 * size);
            }
            slots[size++] = slot;
        }
    }

    /** The nodes by the value of one key. */
    private final class ByValue {
        private final Constraint sample;
        private final Map<String, Slots> slotsOf = new HashMap<>();
        private final Map<String, String> folded = new HashMap<>();
        private @Nullable String[] valueOf = new String[0];
        private int entries;
        private long upTo = -1;

        ByValue(Constraint sample) {
            this.sample = sample;
        }

        @Nullable
        Slots slotsOf(String value) {
            catchUp();
            return slotsOf.get(fold(value));
        }

        private void catchUp() {
            if (upTo < 0 || !loads.remembers(upTo) || entries > 2 * loads.slotsEnd()) {
                slotsOf.clear();
                folded.clear();
                valueOf = new String[loads.slotsEnd()];
                entries = 0;
                loads.forEach(this::enter);
            } else if (upTo < loads.now()) {
                long since = upTo;
                loads.forEachChange(since, slot -> {
                    NodeLoad load = loads.at(slot);
                    if (load != null && load.nodeChangedAt() >= since) {
                        enter(load);
                    }
                });
            }
            upTo = loads.now();
        }

        private void enter(NodeLoad load) {
            int slot = load.slot();
            Node node = load.node();
            String actual = node == null ? null : sample.actual(node);
            if (actual == null) {
                return;
            }
            if (slot >= valueOf.length) {
                valueOf = Arrays.copyOf(valueOf, Math.max(2 * valueOf.length, slot + 1));
            }
            String value = folded.computeIfAbsent(actual, NodeIndex::fold);
            if (!value.equals(valueOf[slot])) {
                valueOf[slot] = value;
                slotsOf.computeIfAbsent(value, key -> new Slots()).add(slot);
                entries++;
            }
        }
    }

    private final NodeLoads loads;
    private final RecentlyUsed<String, ByValue> byKey = new RecentlyUsed<>(index -> 1);

    NodeIndex(NodeLoads loads) {
        this.loads = loads;
    }

    /**
     * Visits the nodes that may match all constraints: every one that does, perhaps twice, and others.
     *
     * <p>Of the constraints that name a value, the one counts that fewest nodes match.
     */
    void forEachThatMayMatch(List<Constraint> constraints, Consumer<NodeLoad> consumer) {
        Slots fewest = null;
        for (Constraint constraint : constraints) {
            if (constraint.namesOneValue()) {
                Slots slots = byKey.getOrMake(constraint.key(), key -> new ByValue(constraint), KEYS_MAX)
                        .slotsOf(constraint.value());
                if (slots == null) {
                    return;
                }
                fewest = fewest == null || slots.size < fewest.size ? slots : fewest;
            }
        }
        if (fewest == null) {
            loads.forEach(consumer);
            return;
        }
        for (int i = 0; i < fewest.size; i++) {
            NodeLoad load = loads.at(fewest.slots[i]);
            if (load != null) {
                consumer.accept(load);
            }
        }
    }

    /** Makes equal what {@link String#equalsIgnoreCase} takes for equal. */
    private static String fold(String value) {
        char[] characters = value.toCharArray();
        for (int i = 0; i < characters.length; i++) {
            characters[i] = Character.toLowerCase(Character.toUpperCase(characters[i]));
        }
        return new String(characters);
    }
}
