package io.skep.e2e;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;

/**
 * The torture test: three real managers, clients on all of them ({@link TortureClients}), a {@link Nemesis} that breaks
 * what can break, and a checker that wants to know whether all that clients saw could have come from one machine that
 * never fails ({@link Linearizability}).
 *
 * <p>{@code bin/torture} runs it by hand. Everything random is drawn from the seed; when it happens also depends on the
 * machine, so a seed repeats the faults but not the run.
 */
final class Torture {
    private static final String DISK = "96m";
    private static final int PRINTED_MAX = 5;

    private final Duration duration;
    private final long seed;
    private final Path folder;
    private final Lab lab;
    private final ConcurrentLinkedQueue<String> findings = new ConcurrentLinkedQueue<>();
    private final LongAdder registers = new LongAdder();

    /**
     * Prepares a run.
     *
     * @param lab closed by the caller
     * @param folder where everything is kept; the history only when something is found
     */
    Torture(Lab lab, Duration duration, long seed, Path folder) {
        this.lab = lab;
        this.duration = duration;
        this.seed = seed;
        this.folder = folder;
    }

    /** Usage: {@code Torture SECONDS SEED FOLDER}. Ends with status 1 when something is found. */
    public static void main(String[] arguments) {
        Duration duration = Duration.ofSeconds(Long.parseLong(arguments[0]));
        long seed = Long.parseLong(arguments[1]);
        boolean good;
        try (Lab lab = new Lab("tort", "10.95.0")) {
            Torture torture = new Torture(lab, duration, seed, Path.of(arguments[2]));
            List<String> found = torture.run();
            found.stream().limit(PRINTED_MAX).forEach(finding -> System.out.println("FOUND: " + finding));
            good = found.isEmpty();
        }
        System.exit(good ? 0 : 1);
    }

    /** Runs, prints figures, and returns what was found. */
    List<String> run() {
        try {
            Files.createDirectories(folder);
            Files.writeString(folder.resolve("seed"), seed + "\n");
            form();
            try (PrintWriter history = writer("history");
                    PrintWriter faults = writer("faults");
                    ExecutorService checker = Executors.newSingleThreadExecutor()) {
                torture(history, faults, checker);
            }
            for (Host host : lab.hosts()) {
                Files.copy(host.log(), folder.resolve(host.name() + ".log"), StandardCopyOption.REPLACE_EXISTING);
            }
            if (findings.isEmpty()) {
                Files.delete(folder.resolve("history"));
            }
            System.out.println(
                    "faults and logs" + (findings.isEmpty() ? "" : " and the history") + " are in " + folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return List.copyOf(findings);
    }

    private void form() {
        String token = "";
        for (int i = 1; i <= 3; i++) {
            Host host = lab.add(i, "--disk", DISK);
            host.start(Engine.SKEP);
            if (i == 1) {
                host.docker("swarm", "init", "--advertise-addr", host.address()).expect();
                token = host.docker("swarm", "join-token", "-q", "manager").expect();
            } else {
                String first = lab.host(1).address() + ":2377";
                host.docker("swarm", "join", "--token", token, "--advertise-addr", host.address(), first)
                        .expect();
            }
        }
        Await.until(
                "three managers",
                Duration.ofMinutes(1),
                () -> managers().filter(state -> !state.isEmpty()).count() == 3,
                () -> managers().toList().toString());
    }

    private Stream<String> managers() {
        return lab.host(1)
                .docker("node", "ls", "--format", "{{.ManagerStatus}}")
                .out()
                .lines();
    }

    private PrintWriter writer(String name) throws IOException {
        return new PrintWriter(Files.newBufferedWriter(folder.resolve(name)), false);
    }

    private void torture(PrintWriter history, PrintWriter faults, ExecutorService checker) {
        TortureClients clients = new TortureClients(
                lab.hosts().stream().map(Host::api).toList(),
                history,
                (register, seen) -> checker.execute(() -> check(register, seen)));
        long begin = System.nanoTime();
        Nemesis nemesis = new Nemesis(
                lab, seed, what -> faults.println("%10d  %s".formatted((System.nanoTime() - begin) / 1000, what)));
        clients.start(seed);
        int count = clients.count();
        try (clients) {
            nemesis.run(begin + duration.toNanos(), () -> !findings.isEmpty());
        } catch (AssertionError e) {
            findings.add(String.valueOf(e.getMessage()));
        }
        long end = System.nanoTime();
        checker.shutdown();
        try {
            if (!checker.awaitTermination(10, TimeUnit.MINUTES)) {
                findings.add("the checker did not end");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        compareManagers();
        report(clients, count, nemesis, begin, end);
    }

    private void check(String register, List<Operation> seen) {
        registers.increment();
        String violation = Linearizability.violation(seen);
        if (violation == null) {
            return;
        }
        findings.add(register + ": " + violation);
        writeLines(
                "history-of-" + register.replace(' ', '-'),
                seen.stream()
                        .sorted(Comparator.comparingLong(Operation::begin))
                        .map(Operation::toString)
                        .toList());
    }

    private void writeLines(String name, List<String> lines) {
        try {
            Files.write(folder.resolve(name), lines);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** In the end, all managers show the same. */
    private void compareManagers() {
        for (String path : List.of("/configs", "/services")) {
            Map<String, List<String>> shown = new TreeMap<>();
            for (Host host : lab.hosts()) {
                try {
                    shown.computeIfAbsent(
                                    host.api()
                                            .send("GET", path, "", Duration.ofSeconds(20))
                                            .body(),
                                    key -> new ArrayList<>())
                            .add(host.name());
                } catch (IOException e) {
                    findings.add(host.name() + " does not show " + path + " in the end: " + e);
                }
            }
            if (shown.size() > 1) {
                findings.add("managers show different " + path + " in the end: " + shown.values());
                writeLines("different" + path.replace('/', '-'), List.copyOf(shown.keySet()));
            }
        }
    }

    private void report(TortureClients clients, int count, Nemesis nemesis, long begin, long end) {
        double seconds = (end - begin) / 1e9;
        Map<String, Long> sums = new TreeMap<>();
        clients.outcomes.forEach(
                (key, number) -> sums.merge(key.substring(key.indexOf(' ') + 1), number.sum(), Long::sum));
        long all = sums.values().stream().mapToLong(Long::longValue).sum();
        long lost = clients.failures.values().stream().mapToLong(LongAdder::sum).sum();
        System.out.printf(
                Locale.ROOT,
                "seed %d: %.0f s, %d clients, %d operations (%.0f/s) on %d registers: %s; %d without effect or answer%n",
                seed,
                seconds,
                count,
                all,
                all / seconds,
                registers.sum(),
                sums,
                lost);
        System.out.println("  by kind " + new TreeMap<>(clients.outcomes));
        System.out.println("  without effect or answer " + new TreeMap<>(clients.failures));
        System.out.println("  faults "
                + nemesis.injected.values().stream().mapToInt(Integer::intValue).sum() + " " + nemesis.injected);
        long longest = 0;
        long longestHealthy = 0;
        double healthyAt = 0;
        for (long[] gap : clients.gaps()) {
            longest = Math.max(longest, gap[1] - gap[0]);
            List<Nemesis.Health> health = nemesis.health();
            for (int i = 0; i < health.size(); i++) {
                long until = i + 1 < health.size() ? health.get(i + 1).nanos() : gap[1];
                long from = Math.max(health.get(i).nanos(), gap[0]);
                if (health.get(i).majority() && Math.min(until, gap[1]) - from > longestHealthy) {
                    longestHealthy = Math.min(until, gap[1]) - from;
                    healthyAt = (from - begin) / 1e9;
                }
            }
        }
        System.out.printf(
                Locale.ROOT,
                "  longest without an acknowledged write: %.2f s; of that while a majority was untouched: %.2f s, from"
                        + " %.2f s on; slowest recovery of all three: %.2f s%n",
                longest / 1e9,
                longestHealthy / 1e9,
                healthyAt,
                nemesis.slowestRecoveryNanos() / 1e9);
    }
}
