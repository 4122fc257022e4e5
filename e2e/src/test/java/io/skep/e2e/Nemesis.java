package io.skep.e2e;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Breaks the managers of a cluster, their disks and the links between them, and mends them again; what and when is
 * drawn from a seed.
 *
 * <p>A round breaks one thing, or two that touch different managers, holds it for a while and mends it. The manager
 * that leads is the victim every other time. After some rounds all is mended and the cluster has to take writes and
 * reads on every manager again within {@link #RECOVERY}: an engine that is gone though nobody killed it, or a cluster
 * that stays silent, is a finding like a wrong answer is.
 *
 * <p>A loss of power is a real one: the file system of the host, on a disk of its own, is shut down without its journal
 * being written, so that exactly what was synced is there afterwards. On top of it the newest file of the log may get a
 * torn tail: a part of what was written but not synced, zeros, or rubbish.
 */
final class Nemesis {
    /**
     * How long a cluster whose parts all run again may take until every manager answers; most of it is for machines
     * that are so busy that a JVM starts in twenty seconds.
     */
    static final Duration RECOVERY = Duration.ofMinutes(2);

    private static final Pattern LEADER = Pattern.compile("\"Hostname\":\"([^\"]+)\"|\"Leader\":true");

    /** What is broken. */
    enum Fault {
        KILL(10),
        POWER_LOSS(14),
        DISK_DIES(4),
        STOP(4),
        PAUSE_SHORTLY(8),
        PAUSE_LONG(10),
        CUT_OFF(8),
        BREAK_CONNECTIONS(6),
        CUT_INCOMING(6),
        CUT_OUTGOING(6),
        CUT_ONE_LINK(6),
        FLAP(5),
        LOSE_PACKETS(6),
        SLOW_LINKS(4),
        FULL_DISK(7),
        SLOW_DISK(8);

        private final int weight;

        Fault(int weight) {
            this.weight = weight;
        }
    }

    /** A fault that is in force, and how it ends. */
    private record Broken(Fault fault, List<Host> victims, Runnable mend) {}

    /** The way of packets into a host from another. */
    private record Link(Host at, Host from) {}

    /** From this time on, whether a majority ran that no fault touched, or that answered since. */
    record Health(long nanos, boolean majority) {}

    private final List<Host> hosts;
    private final Map<Host, String> addresses = new HashMap<>();
    private final Lab lab;
    private final Random random;
    private final Consumer<String> timeline;
    private final Map<Link, String> rules = new HashMap<>();
    private final List<Health> health = new ArrayList<>();

    /** The managers that a fault touches, or touched and that did not answer since, and how often each was broken. */
    private final Map<Host, Integer> touched = new HashMap<>();

    private int breaks;
    private long probes;

    /** The longest that the cluster took, after all was mended, until every manager took a write. */
    private long slowestRecoveryNanos;

    final Map<Fault, Integer> injected = new EnumMap<>(Fault.class);

    /**
     * Makes a nemesis of the hosts of a lab, which have disks of their own.
     *
     * @param timeline is told each thing that is done
     */
    Nemesis(Lab lab, long seed, Consumer<String> timeline) {
        this.lab = lab;
        this.hosts = lab.hosts();
        this.random = new Random(seed);
        this.timeline = timeline;
        for (Host host : hosts) {
            addresses.put(host, host.address());
        }
        health.add(new Health(System.nanoTime(), true));
    }

    List<Health> health() {
        synchronized (health) {
            return List.copyOf(health);
        }
    }

    long slowestRecoveryNanos() {
        return slowestRecoveryNanos;
    }

    /**
     * Breaks and mends until that time, or until it is told to stop.
     *
     * @throws AssertionError when the cluster does not recover, or an engine ended by itself
     */
    void run(long untilNanos, BooleanSupplier stop) {
        int rounds = 0;
        while (System.nanoTime() < untilNanos && !stop.getAsBoolean()) {
            round();
            rounds++;
            if (rounds % 8 == 0) {
                assertRecovers();
            }
            pause(random.nextInt(2500));
        }
        assertRecovers();
    }

    private void round() {
        List<Broken> broken = new ArrayList<>();
        Set<Host> taken = new HashSet<>();
        int faults = random.nextInt(10) < 3 ? 2 : 1;
        try {
            for (int i = 0; i < faults; i++) {
                List<Host> victims = victims(taken);
                if (!victims.isEmpty()) {
                    taken.addAll(victims);
                    touch(victims);
                    broken.add(inject(draw(), victims));
                }
            }
            pause(hold());
        } finally {
            Collections.shuffle(broken, random);
            for (Broken each : broken) {
                timeline.accept("mend " + each.fault() + " of " + names(each.victims()));
                each.mend().run();
                each.victims().forEach(this::awaitAnswer);
            }
        }
    }

    /** From a tenth of a second to six seconds, short ones as often as long ones. */
    private long hold() {
        return Math.round(100 * Math.pow(60, random.nextDouble()));
    }

    private Fault draw() {
        int sum = 0;
        for (Fault fault : Fault.values()) {
            sum += fault.weight;
        }
        int dice = random.nextInt(sum);
        for (Fault fault : Fault.values()) {
            dice -= fault.weight;
            if (dice < 0) {
                return fault;
            }
        }
        throw new IllegalStateException("the weights do not add up");
    }

    /** One manager mostly, the leader every other time; sometimes two or all. */
    private List<Host> victims(Set<Host> taken) {
        int dice = random.nextInt(10);
        boolean leader = random.nextBoolean();
        List<Host> drawn = new ArrayList<>(hosts);
        Collections.shuffle(drawn, random);
        if (leader) {
            String name = leader();
            drawn.sort(Comparator.comparing((Host host) -> !host.name().equals(name)));
        }
        int count = dice < 7 ? 1 : dice < 9 ? 2 : 3;
        return drawn.subList(0, count).stream()
                .filter(host -> !taken.contains(host))
                .toList();
    }

    private @Nullable String leader() {
        for (Host host : hosts) {
            try {
                Matcher matcher = LEADER.matcher(host.api()
                        .send("GET", "/nodes", "", Duration.ofMillis(500))
                        .body());
                String name = null;
                while (matcher.find()) {
                    if (matcher.group(1) == null) {
                        return name;
                    }
                    name = matcher.group(1);
                }
            } catch (IOException e) {
                timeline.accept("a manager does not say who leads: " + e);
            }
        }
        return null;
    }

    private void touch(List<Host> victims) {
        synchronized (health) {
            breaks++;
            victims.forEach(victim -> touched.put(victim, breaks));
            noteHealth();
        }
    }

    /** Counts a manager as whole again as soon as it answers, unless it is broken again before. */
    private void awaitAnswer(Host victim) {
        Integer broken;
        synchronized (health) {
            broken = touched.get(victim);
        }
        SocketApi api = victim.api();
        Thread.startVirtualThread(() -> {
            while (true) {
                synchronized (health) {
                    if (!Objects.equals(touched.get(victim), broken)) {
                        return;
                    }
                }
                if (shows(api)) {
                    break;
                }
                pause(50);
            }
            synchronized (health) {
                if (touched.remove(victim, broken)) {
                    noteHealth();
                }
            }
        });
    }

    private static boolean shows(SocketApi api) {
        try {
            return api.send("GET", "/swarm", "", Duration.ofSeconds(1)).status() == 200;
        } catch (IOException e) {
            return false;
        }
    }

    private void noteHealth() {
        health.add(new Health(System.nanoTime(), hosts.size() - touched.size() > hosts.size() / 2));
    }

    private Broken inject(Fault fault, List<Host> victims) {
        injected.merge(fault, 1, Integer::sum);
        timeline.accept(fault + " of " + names(victims));
        Runnable mend = switch (fault) {
            case KILL -> kill(victims);
            case STOP -> stop(victims);
            case POWER_LOSS -> losePower(victims);
            case DISK_DIES -> loseDisk(victims);
            case PAUSE_SHORTLY -> pauseShortly(victims);
            case PAUSE_LONG -> pauseLong(victims);
            case CUT_OFF -> filter(victims, "both", "drop");
            case BREAK_CONNECTIONS -> filter(victims, "both", "reject with tcp reset");
            case CUT_INCOMING -> filter(victims, "in", "drop");
            case CUT_OUTGOING -> filter(victims, "out", "drop");
            case CUT_ONE_LINK -> cutOneLink(victims.getFirst());
            case FLAP -> flap(victims);
            case LOSE_PACKETS ->
                filter(victims, "both", "numgen random mod 100 < " + (3 + random.nextInt(50)) + " drop");
            case SLOW_LINKS -> slowLinks(victims);
            case FULL_DISK -> fillDisk(victims);
            case SLOW_DISK -> stallDisks(victims);
        };
        return new Broken(fault, victims, mend);
    }

    private Runnable kill(List<Host> victims) {
        inParallel(victims, Host::kill);
        return () -> inParallel(victims, this::start);
    }

    private Runnable stop(List<Host> victims) {
        inParallel(victims, Host::stop);
        return () -> inParallel(victims, this::start);
    }

    private void start(Host host) {
        host.begin();
    }

    /** Every other time the disks hang before, so that much is on its way to them in that moment. */
    private Runnable losePower(List<Host> victims) {
        inParallel(victims, this::keepTail);
        if (random.nextBoolean()) {
            inParallel(victims, this::freezeDisk);
            pause(100 + random.nextInt(1000));
        }
        lab.losePower(victims);
        return powerOn(victims);
    }

    private Runnable loseDisk(List<Host> victims) {
        lab.loseDisks(victims);
        return () -> {
            lab.losePower(victims);
            powerOn(victims).run();
        };
    }

    private Runnable powerOn(List<Host> victims) {
        int[] tails = random.ints(victims.size(), 0, 6).toArray();
        int[] sizes = random.ints(victims.size(), 1, 6000).toArray();
        return () -> {
            for (int i = 0; i < victims.size(); i++) {
                victims.get(i).powerOn();
                tear(victims.get(i), tails[i], sizes[i]);
            }
            inParallel(victims, this::start);
        };
    }

    /** Keeps the newest file of the log as the engine wrote it, synced or not. */
    private void keepTail(Host host) {
        host.exec(
                "sh",
                "-c",
                newest(host) + "cp \"$f\" /run/tail-of-log; cp /run/tail-of-log " + host.folder()
                        + "/; basename \"$f\" > " + host.folder() + "/tail-of-log.name");
    }

    private static String newest(Host host) {
        return "f=$(find " + host.folder() + "/data -name 'log-0*' | sort | tail -n 1); [ -n \"$f\" ] || exit 0; ";
    }

    /** Gives the newest file of the log an end such as a crash in the middle of a write leaves. */
    private void tear(Host host, int kind, int size) {
        String kept = host.folder() + "/tail-of-log";
        String what = switch (kind) {
            case 0, 1 ->
                // What was written and not synced, the first part of it.
                "n=$(stat -c %s \"$f\"); [ \"$(basename \"$f\")\" = \"$(cat " + kept + ".name)\" ] || exit 0; "
                        + "tail -c +$((n + 1)) " + kept + " | head -c " + size + " >> \"$f\"; "
                        + "echo $(($(stat -c %s \"$f\") - n)) written bytes";
            case 2 -> "head -c " + size + " /dev/zero >> \"$f\"; echo " + size + " zeros";
            case 3 -> "head -c " + size + " /dev/urandom >> \"$f\"; echo " + size + " random bytes";
            default -> "echo nothing";
        };
        String done =
                host.exec("sh", "-c", newest(host) + what + "; sync \"$f\"").expect();
        timeline.accept("the log of " + host.name() + " got a tail of " + done);
    }

    private Runnable pauseShortly(List<Host> victims) {
        int times = 1 + random.nextInt(4);
        int millis = 50 + random.nextInt(500);
        for (int i = 0; i < times; i++) {
            victims.forEach(Host::pause);
            pause(millis);
            victims.forEach(Host::resume);
            pause(millis / 2);
        }
        return () -> {};
    }

    private Runnable pauseLong(List<Host> victims) {
        victims.forEach(Host::pause);
        pause(700 + random.nextInt(2500));
        return () -> victims.forEach(Host::resume);
    }

    private Runnable filter(List<Host> victims, String direction, String verdict) {
        for (Host victim : victims) {
            for (Host other : hosts) {
                if (other != victim) {
                    if (!direction.equals("out")) {
                        rule(victim, other, verdict);
                    }
                    if (!direction.equals("in")) {
                        rule(other, victim, verdict);
                    }
                }
            }
        }
        return () -> victims.forEach(this::unfilter);
    }

    private Runnable cutOneLink(Host victim) {
        List<Host> others = hosts.stream().filter(host -> host != victim).toList();
        Host other = others.get(random.nextInt(others.size()));
        rule(victim, other, "drop");
        rule(other, victim, "drop");
        return () -> unfilter(victim);
    }

    private Runnable flap(List<Host> victims) {
        int times = 3 + random.nextInt(10);
        String verdict = random.nextBoolean() ? "drop" : "reject with tcp reset";
        for (int i = 0; i < times; i++) {
            Runnable mend = filter(victims, "both", verdict);
            pause(30 + random.nextInt(600));
            mend.run();
            pause(30 + random.nextInt(300));
        }
        return () -> {};
    }

    /** What a host does with packets that come from another. */
    private void rule(Host at, Host from, String verdict) {
        boolean reject = verdict.startsWith("reject");
        rules.put(
                new Link(at, from),
                "ip saddr " + addresses.get(from) + (reject ? " meta l4proto tcp " : " ") + verdict);
        apply(at);
    }

    private void unfilter(Host victim) {
        if (rules.keySet().removeIf(link -> link.at() == victim || link.from() == victim)) {
            hosts.forEach(this::apply);
        }
    }

    private void apply(Host at) {
        StringBuilder script = new StringBuilder("""
                table inet torture {}
                delete table inet torture
                table inet torture {
                chain incoming {
                type filter hook input priority 0
                """);
        rules.forEach((link, rule) -> script.append(link.at() == at ? rule + "\n" : ""));
        network(at, "nft", script.append("}\n}\n").toString());
    }

    private Runnable slowLinks(List<Host> victims) {
        int kilobits = 64 << random.nextInt(6);
        for (Host victim : victims) {
            network(
                    victim,
                    "tc",
                    "qdisc",
                    "replace",
                    "dev",
                    "eth0",
                    "root",
                    "tbf",
                    "rate",
                    kilobits + "kbit",
                    "burst",
                    "4kb",
                    "latency",
                    (50 + random.nextInt(1500)) + "ms");
        }
        return () -> victims.forEach(victim -> network(victim, "tc", "qdisc", "delete", "dev", "eth0", "root"));
    }

    /** Runs a command in the network of a host, which is there also while the host is off. */
    private void network(Host host, String... command) {
        List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", host.name()));
        all.addAll(List.of(command));
        Shell.run(all.toArray(String[]::new)).expect();
    }

    private Runnable fillDisk(List<Host> victims) {
        for (Host victim : victims) {
            String ballast = victim.folder() + "/data/ballast";
            victim.exec(
                    "sh",
                    "-c",
                    "fallocate -l $(($(stat -f -c '%a * %S' " + victim.folder() + "/data))) " + ballast
                            + "; dd if=/dev/zero of=" + ballast + "2 bs=4k");
        }
        return () -> victims.forEach(
                victim -> victim.exec("rm", "-f", victim.folder() + "/data/ballast", victim.folder() + "/data/ballast2")
                        .expect());
    }

    private Runnable stallDisks(List<Host> victims) {
        int times = 1 + random.nextInt(5);
        int millis = 20 + random.nextInt(700);
        for (int i = 0; i < times; i++) {
            inParallel(victims, this::freezeDisk);
            pause(millis);
            victims.forEach(victim ->
                    victim.exec("fsfreeze", "-u", victim.folder() + "/data").expect());
            pause(millis / 2);
        }
        return () -> {};
    }

    /** Makes everything that writes to the disk of a host wait. */
    private void freezeDisk(Host victim) {
        victim.exec("fsfreeze", "-f", victim.folder() + "/data").expect();
    }

    /** Waits until every manager takes a write and shows it, and has its engine running. */
    private void assertRecovers() {
        timeline.accept("all is mended; the cluster is to answer");
        for (Host host : hosts) {
            if (!host.runs()) {
                throw new AssertionError("the engine of " + host.name() + " ended by itself");
            }
        }
        long begin = System.nanoTime();
        long deadline = begin + RECOVERY.toNanos();
        for (Host host : hosts) {
            String name = "probe-" + ++probes;
            while (true) {
                String answer = probe(host.api(), name);
                if (answer.isEmpty()) {
                    break;
                }
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(host.name() + " takes no writes " + RECOVERY.toSeconds()
                            + " s after all was mended: " + answer);
                }
                pause(100);
            }
        }
        slowestRecoveryNanos = Math.max(slowestRecoveryNanos, System.nanoTime() - begin);
        timeline.accept("the cluster answers");
    }

    private static String probe(SocketApi api, String name) {
        try {
            SocketApi.Answer created = api.send(
                    "POST", "/configs/create", "{\"Name\":\"" + name + "\",\"Data\":\"eA==\"}", Duration.ofSeconds(5));
            if (created.status() != 201 && created.status() != 409) {
                return created.toString();
            }
            SocketApi.Answer removed = api.send("DELETE", "/configs/" + name, "", Duration.ofSeconds(5));
            return removed.status() == 204 || removed.status() == 404 ? "" : removed.toString();
        } catch (IOException e) {
            return String.valueOf(e);
        }
    }

    private static void inParallel(List<Host> hosts, Consumer<Host> action) {
        List<CompletableFuture<Void>> all = hosts.stream()
                .map(host -> CompletableFuture.runAsync(() -> action.accept(host), Thread::startVirtualThread))
                .toList();
        try {
            all.forEach(CompletableFuture::join);
        } catch (CompletionException e) {
            throw new AssertionError(String.valueOf(e.getCause()), e);
        }
    }

    private static String names(Collection<Host> hosts) {
        return String.join(", ", hosts.stream().map(Host::name).sorted().toList());
    }

    private static void pause(long millis) {
        LockSupport.parkNanos(Duration.ofMillis(millis).toNanos());
    }
}
