package io.skep.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** The map does what a {@link HashMap} does, and what it was before a change it stays. */
final class HashTrieTest {
    /** Each version beside a model of it, looked at again when many later ones were made. */
    @Property(tries = 300)
    void everyVersionIsWhatItsChangesMadeIt(@ForAll long seed, @ForAll @IntRange(min = 1, max = 4000) int range) {
        Random random = new Random(seed);
        List<HashTrie<Integer>> versions = new ArrayList<>();
        List<Map<String, Integer>> models = new ArrayList<>();
        HashTrie<Integer> trie = HashTrie.empty();
        Map<String, Integer> model = new HashMap<>();
        boolean grows = true;
        for (int change = 0; change < 2000; change++) {
            grows = random.nextInt(200) == 0 ? !grows : grows;
            String key = key(random, range);
            if (random.nextInt(10) < (grows ? 8 : 2)) {
                trie = trie.with(key, change);
                model.put(key, change);
            } else {
                HashTrie<Integer> before = trie;
                trie = trie.without(key);
                assertThat(trie == before).isEqualTo(model.remove(key) == null);
            }
            if (change % 250 == 0) {
                versions.add(trie);
                models.add(new HashMap<>(model));
            }
        }
        versions.add(trie);
        models.add(model);
        for (int i = 0; i < versions.size(); i++) {
            assertSame(versions.get(i), models.get(i), random, range);
        }
        for (String key : List.copyOf(model.keySet())) {
            trie = trie.without(key);
        }
        assertThat(trie.size()).isZero();
        assertThat(trie.values()).isEmpty();
    }

    /** Whatever came and went before, the same keys lie in the same order, but for those with equal hashes. */
    @Property(tries = 100)
    void theOrderFollowsFromTheKeys(@ForAll long seed) {
        Random random = new Random(seed);
        HashTrie<String> one = HashTrie.empty();
        HashTrie<String> other = HashTrie.empty();
        List<String> keys = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            String key = "key " + random.nextInt(1000);
            one = one.with(key, key);
            keys.add(key);
        }
        for (int i = 0; i < 300; i++) {
            String passing = "passing " + random.nextInt(1000);
            other = other.with(passing, passing);
        }
        for (String key : keys.reversed()) {
            other = other.with(key, key);
        }
        for (String each : List.copyOf(other.values())) {
            other = each.startsWith("passing") ? other.without(each) : other;
        }
        assertThat(other.values()).containsExactlyElementsOf(one.values());
    }

    @Test
    void anIteratorEnds() {
        Iterator<String> iterator = HashTrie.<String>empty().values().iterator();
        assertThat(iterator.hasNext()).isFalse();
        assertThatThrownBy(iterator::next).isInstanceOf(NoSuchElementException.class);
    }

    private static void assertSame(HashTrie<Integer> trie, Map<String, Integer> model, Random random, int range) {
        assertThat(trie.size()).isEqualTo(model.size());
        assertThat(trie.values()).hasSameSizeAs(model.values()).containsExactlyInAnyOrderElementsOf(model.values());
        List<Integer> visited = new ArrayList<>();
        trie.values().forEach(visited::add);
        assertThat(trie.values()).containsExactlyElementsOf(visited);
        model.forEach((key, value) -> assertThat(trie.get(key)).isEqualTo(value));
        for (int i = 0; i < 50; i++) {
            String key = key(random, range);
            assertThat(trie.get(key)).isEqualTo(model.get(key));
        }
    }

    /** Some keys have the same hash: "Aa" and "BB" do, and so does every chain of them. */
    private static String key(Random random, int range) {
        int number = random.nextInt(range);
        if (number % 3 != 0) {
            return "key " + number;
        }
        StringBuilder chain = new StringBuilder();
        for (int bit = 0; bit < 4; bit++) {
            chain.append((number >> bit & 1) == 0 ? "Aa" : "BB");
        }
        return chain.append(number >> 4).toString();
    }
}
