package io.skep.simulation;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A whole run, as its seed makes it: how large the cluster is, and what is done to it when.
 *
 * @param seed decides everything
 * @param managers how many there are at first
 * @param workers how many there are at first
 * @param heartbeatSeconds how often nodes are to send a heartbeat
 * @param snapshotEntries after how many entries a manager replaces its log by a snapshot
 * @param serialised whether messages are written and read on their way
 * @param faultsEndNanos when nothing bad is done any more
 * @param deeds what is done, in order
 */
record Plan(
        long seed,
        int managers,
        int workers,
        int heartbeatSeconds,
        int snapshotEntries,
        boolean serialised,
        long faultsEndNanos,
        List<Deed> deeds) {
    /** When the cluster is complete and the first deed may be done. */
    static final long BEGIN_NANOS = 6_000_000_000L;

    private static final int[] MANAGERS = {1, 3, 3, 3, 3, 5};

    Plan {
        deeds = List.copyOf(deeds);
    }

    static Plan of(long seed) {
        Random random = new Random(seed * 0x9E3779B97F4A7C15L + 1);
        int managers = MANAGERS[random.nextInt(MANAGERS.length)];
        int workers = 1 + random.nextInt(6);
        int heartbeat = random.nextInt(3) == 0 ? 5 : 1 + random.nextInt(2);
        int snapshot = 5 + random.nextInt(random.nextBoolean() ? 20 : 200);
        boolean serialised = random.nextInt(8) == 0;
        long length = (20 + random.nextInt(60)) * 1_000_000_000L;
        int count = 20 + random.nextInt(80);
        // Some runs are all operators, some are all bad luck.
        int faultWeight = random.nextInt(4);
        List<Deed> deeds = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            long at = BEGIN_NANOS + (long) (random.nextDouble() * length);
            deeds.add(new Deed(at, kind(random, faultWeight), random.nextLong()));
        }
        deeds.sort((a, b) -> Long.compare(a.atNanos(), b.atNanos()));
        return new Plan(seed, managers, workers, heartbeat, snapshot, serialised, BEGIN_NANOS + length, deeds);
    }

    private static Deed.Kind kind(Random random, int faultWeight) {
        int sum = 0;
        for (Deed.Kind kind : Deed.Kind.values()) {
            sum += weight(kind, faultWeight);
        }
        int point = random.nextInt(sum);
        for (Deed.Kind kind : Deed.Kind.values()) {
            point -= weight(kind, faultWeight);
            if (point < 0) {
                return kind;
            }
        }
        throw new IllegalStateException("weights do not add up");
    }

    private static int weight(Deed.Kind kind, int faultWeight) {
        return kind.isFault() ? kind.weight() * faultWeight : 2 * kind.weight();
    }

    /** Returns the plan as text, which {@link #parse} reads. */
    String text() {
        StringBuilder text = new StringBuilder();
        text.append("%d %d %d %d %d %b %d%n"
                .formatted(seed, managers, workers, heartbeatSeconds, snapshotEntries, serialised, faultsEndNanos));
        for (Deed deed : deeds) {
            text.append("%d %s %d%n".formatted(deed.atNanos(), deed.kind(), deed.seed()));
        }
        return text.toString();
    }

    static Plan parse(String text) {
        List<String> lines = text.lines().filter(line -> !line.startsWith("#")).toList();
        String[] first = lines.getFirst().split(" ", -1);
        List<Deed> deeds = new ArrayList<>();
        for (String line : lines.subList(1, lines.size())) {
            String[] parts = line.split(" ", -1);
            deeds.add(new Deed(Long.parseLong(parts[0]), Deed.Kind.valueOf(parts[1]), Long.parseLong(parts[2])));
        }
        return new Plan(
                Long.parseLong(first[0]),
                Integer.parseInt(first[1]),
                Integer.parseInt(first[2]),
                Integer.parseInt(first[3]),
                Integer.parseInt(first[4]),
                Boolean.parseBoolean(first[5]),
                Long.parseLong(first[6]),
                deeds);
    }

    Plan with(List<Deed> others) {
        return new Plan(seed, managers, workers, heartbeatSeconds, snapshotEntries, serialised, faultsEndNanos, others);
    }
}
