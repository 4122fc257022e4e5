package io.skep.simulation;

import io.skep.simulation.World.Result;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Locale;

/** The command {@code bin/simulate}. */
public final class Simulate {
    private static final String USAGE = """
            usage: simulate --seeds N [--start S]   run N seeds, from S on (default: 1); with --stop until one fails
                   simulate --minutes M [--start S] run as many seeds as fit in that time
                   simulate --seed S [--trace]      run one seed, and show what happens
                   simulate --seed S --shrink       cut a failing run down, and show what is left of it
                   simulate --plan FILE [--trace]   run what is left of one, as --shrink printed it
            """;
    private static final long PROGRESS_NANOS = 2_000_000_000L;

    private final PrintStream out;

    private Simulate(PrintStream out) {
        this.out = out;
    }

    /** Runs the command; its exit status tells whether every run kept the rules. */
    public static void main(String[] arguments) {
        System.exit(new Simulate(System.out).run(arguments));
    }

    private int run(String[] arguments) {
        ArrayDeque<String> left = new ArrayDeque<>(Arrays.asList(arguments));
        long seeds = -1;
        long start = 1;
        long seed = -1;
        double minutes = 0;
        boolean trace = false;
        boolean shrink = false;
        boolean stop = false;
        Path plan = null;
        try {
            while (!left.isEmpty()) {
                switch (left.remove()) {
                    case "--seeds" -> seeds = Long.parseLong(left.remove());
                    case "--start" -> start = Long.parseLong(left.remove());
                    case "--minutes" -> minutes = Double.parseDouble(left.remove());
                    case "--seed" -> seed = Long.parseLong(left.remove());
                    case "--plan" -> plan = Path.of(left.remove());
                    case "--trace" -> trace = true;
                    case "--stop" -> stop = true;
                    case "--shrink" -> shrink = true;
                    default -> {
                        out.print(USAGE);
                        return 2;
                    }
                }
            }
        } catch (RuntimeException e) {
            out.print(USAGE);
            return 2;
        }
        if (plan != null) {
            try {
                return one(Plan.parse(Files.readString(plan)), trace);
            } catch (IOException e) {
                out.println("the plan cannot be read: " + e);
                return 2;
            }
        }
        if (seed >= 0 && shrink) {
            return shrink(seed, trace);
        }
        if (seed >= 0) {
            return one(Plan.of(seed), trace);
        }
        if (seeds < 0 && minutes <= 0) {
            out.print(USAGE);
            return 2;
        }
        return many(start, seeds < 0 ? Long.MAX_VALUE : seeds, minutes, stop);
    }

    private int one(Plan plan, boolean trace) {
        Result result = World.run(plan, trace ? out::println : null);
        out.printf(
                Locale.ROOT,
                "seed %d: %s; %.1f s, %d events, fingerprint %016x: %s%n",
                plan.seed(),
                result.summary(),
                result.nanos() / 1e9,
                result.events(),
                result.fingerprint(),
                describe(result));
        return result.violation() == null ? 0 : 1;
    }

    static String describe(Result result) {
        Violation violation = result.violation();
        if (violation == null) {
            return "all rules kept";
        }
        StringBuilder text = new StringBuilder("BROKEN: ").append(violation.getMessage());
        for (Throwable cause = violation.getCause(); cause != null; cause = cause.getCause()) {
            text.append("\n  because of ").append(cause);
            StackTraceElement[] stack = cause.getStackTrace();
            for (int i = 0; i < Math.min(stack.length, 15); i++) {
                text.append("\n    at ").append(stack[i]);
            }
        }
        return text.toString();
    }

    private int many(long start, long count, double minutes, boolean stop) {
        long begin = System.nanoTime();
        long end = minutes > 0
                ? begin + Duration.ofMillis((long) (minutes * 60_000)).toNanos()
                : Long.MAX_VALUE;
        long next = begin + PROGRESS_NANOS;
        long done = 0;
        long events = 0;
        double virtual = 0;
        int failed = 0;
        for (long seed = start; done < count && System.nanoTime() - end < 0 && !(stop && failed > 0); seed++) {
            Result result = World.run(Plan.of(seed), null);
            done++;
            events += result.events();
            virtual += result.nanos() / 1e9;
            if (result.violation() != null) {
                failed++;
                out.printf(
                        "%nseed %d: %s%n  replay it: bin/simulate --seed %d --trace%n", seed, describe(result), seed);
            }
            long now = System.nanoTime();
            if (now - next > 0) {
                next = now + PROGRESS_NANOS;
                progress(done, count, failed, events, virtual, now - begin, "\r");
            }
        }
        progress(done, done, failed, events, virtual, System.nanoTime() - begin, "\n");
        return failed == 0 ? 0 : 1;
    }

    private void progress(long done, long count, int failed, long events, double virtual, long nanos, String lineEnd) {
        double seconds = nanos / 1e9;
        out.printf(
                Locale.ROOT,
                "%d%s seeds, %d failed; %.1f seeds/s, %.0f events/s, %.0f s of a cluster per s%s",
                done,
                count == Long.MAX_VALUE || count == done ? "" : " of " + count,
                failed,
                done / seconds,
                events / seconds,
                virtual / seconds,
                lineEnd);
        out.flush();
    }

    private int shrink(long seed, boolean trace) {
        Plan plan = Plan.of(seed);
        Result result = World.run(plan, null);
        Violation violation = result.violation();
        if (violation == null) {
            out.println("seed " + seed + " keeps all rules: there is nothing to shrink");
            return 0;
        }
        out.printf(
                "seed %d: %s%n%d deeds; shrinking%n",
                seed, describe(result), plan.deeds().size());
        Plan smallest = new Shrink(out::println).shrink(plan, violation);
        out.printf("%d deeds are left; as a plan:%n%s", smallest.deeds().size(), smallest.text());
        return one(smallest, trace);
    }
}
