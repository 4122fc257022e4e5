package io.skep.api;

import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/** Names for services whose user gave none: two words and a number. */
final class RandomNames {
    private static final List<String> FIRST = List.of(
            "amber", "brave", "busy", "calm", "clever", "eager", "gentle", "golden", "happy", "humming", "keen",
            "lively", "merry", "nimble", "patient", "quick", "quiet", "steady", "sunny", "wise");
    private static final List<String> SECOND = List.of(
            "acorn", "aster", "beacon", "birch", "clover", "drone", "elder", "field", "garden", "heather", "hive",
            "larch", "linden", "meadow", "nectar", "orchard", "poppy", "sage", "thyme", "willow");

    private RandomNames() {}

    static String next() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        return FIRST.get(random.nextInt(FIRST.size())) + "_" + SECOND.get(random.nextInt(SECOND.size()))
                + random.nextInt(10_000);
    }
}
