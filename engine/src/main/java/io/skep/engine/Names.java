package io.skep.engine;

import java.util.List;
import java.util.random.RandomGenerator;

/** Names for containers whose users gave none: a quality and a bee-keeper's word, such as {@code calm_comb}. */
final class Names {
    private static final List<String> QUALITIES = List.of(
            "amber", "bold", "brave", "bright", "busy", "calm", "clever", "curious", "dancing", "eager", "early",
            "fair", "gentle", "gilded", "glad", "golden", "happy", "honest", "humming", "keen", "kind", "lively",
            "loyal", "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "proud", "quick",
            "quiet", "ready", "silent", "steady", "sunny", "sweet", "swift", "tender", "tidy", "warm", "wise");
    private static final List<String> THINGS = List.of(
            "acacia",
            "alder",
            "apiary",
            "aster",
            "balm",
            "basil",
            "bloom",
            "borage",
            "brood",
            "bumble",
            "chive",
            "clover",
            "colony",
            "comb",
            "crocus",
            "daisy",
            "drone",
            "fennel",
            "field",
            "flower",
            "forager",
            "garden",
            "hazel",
            "heather",
            "hive",
            "honey",
            "ivy",
            "lavender",
            "linden",
            "maple",
            "meadow",
            "mint",
            "nectar",
            "orchard",
            "petal",
            "phacelia",
            "pollen",
            "poppy",
            "queen",
            "rose",
            "sage",
            "skep",
            "smoker",
            "swarm",
            "thyme",
            "tulip",
            "violet",
            "wax",
            "willow",
            "wing");
    private static final int NUMBERS = 1000;

    private Names() {}

    static String random(RandomGenerator random) {
        return QUALITIES.get(random.nextInt(QUALITIES.size())) + "_" + THINGS.get(random.nextInt(THINGS.size()))
                + random.nextInt(NUMBERS);
    }
}
