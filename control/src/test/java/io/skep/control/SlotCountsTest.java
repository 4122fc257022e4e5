package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class SlotCountsTest {
    @Property(tries = 200)
    void holdsWhatAMapHolds(
            @ForAll @Size(max = 400) List<@IntRange(max = 60) Integer> slots,
            @ForAll @Size(min = 1, max = 50) List<@IntRange(min = -2, max = 2) Integer> changes) {
        SlotCounts counts = new SlotCounts();
        Map<Integer, Integer> expected = new HashMap<>();
        for (int i = 0; i < slots.size(); i++) {
            int change = changes.get(i % changes.size());
            counts.add(slots.get(i), change);
            expected.merge(slots.get(i), change, Integer::sum);
            expected.values().removeIf(count -> count == 0);

            assertThat(counts.size()).isEqualTo(expected.size());
        }
        Map<Integer, Integer> actual = new HashMap<>();
        counts.forEach(actual::put);
        assertThat(actual).isEqualTo(expected);
        for (int slot = 0; slot <= 60; slot++) {
            assertThat(counts.get(slot)).isEqualTo(expected.getOrDefault(slot, 0));
        }
        assertThat(counts.isEmpty()).isEqualTo(expected.isEmpty());
    }
}
