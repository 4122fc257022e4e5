package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.raft.Effect.Apply;
import io.skep.raft.Effect.Completed;
import io.skep.raft.Effect.DiskEffect;
import io.skep.raft.Effect.Failed;
import io.skep.raft.Effect.LeadershipChanged;
import io.skep.raft.Effect.Note;
import io.skep.raft.Effect.Restore;
import io.skep.raft.Effect.Send;
import io.skep.raft.Effect.TakeSnapshot;
import io.skep.wire.RaftEntry;
import io.skep.wire.RaftEntryType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A cluster under virtual time, decided by a seed: messages are lost, repeated, late and overtaken, links break one
 * way, power fails in the middle of a write, disks are slow or full, a directory is lost, members come and go,
 * leadership is handed over; and after each step what Raft promises is checked.
 *
 * <p>{@code java io.skep.raft.RaftSimulation FIRST_SEED COUNT [trace]} runs many or shows one.
 */
final class RaftSimulation {
    private static final RaftLimits LIMITS = new RaftLimits(25, 16 << 10, 6, 4 << 10, 1 << 20, 3000);
    private static final long FAULTS_MILLIS = 15_000;
    private static final long END_MILLIS = 35_000;

    private record Event(long at, long order, Runnable what) {}

    private record Committed(long term, RaftEntryType type, ByteString data) {}

    /** What a user waits for. */
    private record Ticket(String value, Set<String> mustSee) {}

    private final long seed;
    private final Random random;
    private final boolean trace;
    private final PriorityQueue<Event> events =
            new PriorityQueue<>(Comparator.comparingLong(Event::at).thenComparingLong(Event::order));
    private final Map<String, Machine> machines = new TreeMap<>();
    private final Map<Long, String> leaders = new HashMap<>();
    private final Map<Long, Committed> committed = new TreeMap<>();
    private final Set<String> acknowledged = new HashSet<>();
    private final Set<String> blocked = new HashSet<>();
    private final Map<Long, Integer> proposedInTerm = new HashMap<>();
    private long now;
    private long order;
    private int values;
    private boolean faults = true;
    private boolean wiped;
    private int eventsNow;
    private int reads;
    private int elections;

    RaftSimulation(long seed, boolean trace) {
        this.seed = seed;
        this.random = new Random(seed);
        this.trace = trace;
    }

    /** Runs it to the end; fails with the seed in the message. */
    String run() {
        try {
            simulate();
            return "seed " + seed + ": " + acknowledged.size() + " of " + values + " values acknowledged, " + reads
                    + " reads, " + elections + " elections, " + committed.size() + " entries";
        } catch (RuntimeException | IOException | AssertionError e) {
            throw new AssertionError("seed " + seed + " at " + now + " ms: " + e.getMessage(), e);
        }
    }

    private void simulate() throws IOException {
        for (String id : List.of("a", "b", "c")) {
            machines.put(id, new Machine(id));
        }
        machine("a").boot(RaftFiles::bootstrap);
        machine("b").boot(RaftFiles::join);
        machine("c").boot(RaftFiles::join);
        at(500, () -> add("b"));
        at(510, () -> add("c"));
        at(1000, this::work);
        at(3000, this::trouble);
        at(FAULTS_MILLIS, this::heal);
        letHappen();
        checkEnd();
    }

    /**
     * One of two managers is taken out, and the leader loses its power before it has written that. It must come to lead
     * again, with or without the other.
     */
    void loseRemoval() throws IOException {
        faults = false;
        for (String id : List.of("a", "b")) {
            machines.put(id, new Machine(id));
        }
        machine("a").boot(RaftFiles::bootstrap);
        machine("b").boot(RaftFiles::join);
        at(500, () -> add("b"));
        at(3000, () -> {
            for (Machine machine : machines.values()) {
                if (machine.ready()) {
                    machine.slowMillis = 500;
                    remove(machine.id.equals("a") ? "b" : "a");
                    after(200, () -> {
                        machine.slowMillis = 0;
                        machine.crash(true);
                    });
                }
            }
        });
        letHappen();
        checkEnd();
    }

    private void letHappen() {
        while (now < END_MILLIS) {
            Event event = events.poll();
            if (event == null) {
                throw new AssertionError("nothing is left to happen");
            }
            eventsNow = event.at() > now ? 0 : eventsNow + 1;
            if (eventsNow > 10_000) {
                throw new AssertionError("it does not stop");
            }
            now = Math.max(now, event.at());
            event.what().run();
        }
    }

    private void at(long time, Runnable what) {
        events.add(new Event(time, order++, what));
    }

    private void after(long millis, Runnable what) {
        at(now + millis, what);
    }

    private Machine machine(String id) {
        Machine machine = machines.get(id);
        if (machine == null) {
            throw new AssertionError("no machine " + id);
        }
        return machine;
    }

    private Machine anyMachine() {
        List<Machine> all = List.copyOf(machines.values());
        return all.get(random.nextInt(all.size()));
    }

    private void trace(String text) {
        if (trace) {
            System.out.println(now + " " + text);
        }
    }

    // Users

    private void work() {
        for (Machine machine : machines.values()) {
            if (machine.ready()) {
                int count = 1 + random.nextInt(4);
                for (int i = 0; i < count; i++) {
                    machine.propose();
                }
            }
        }
        if (random.nextInt(3) == 0) {
            anyMachine().read();
        }
        if (now < END_MILLIS - 12_000) {
            after(10 + random.nextInt(60), this::work);
        }
    }

    private void add(String id) {
        Machine target = machine(id);
        for (Machine machine : machines.values()) {
            if (machine.ready()) {
                machine.input(new Input.PutMember(machine.ticket(), id, target.address));
                return;
            }
        }
        after(300, () -> add(id));
    }

    private void remove(String id) {
        for (Machine machine : machines.values()) {
            if (machine.ready()) {
                machine.input(new Input.RemoveMember(machine.ticket(), id));
                return;
            }
        }
    }

    // Trouble

    private void trouble() {
        if (!faults) {
            return;
        }
        Machine machine = anyMachine();
        switch (random.nextInt(14)) {
            case 0, 1, 2 -> machine.crash(random.nextBoolean());
            case 3 -> machine.disk.losePowerAfter(random.nextInt(12));
            case 4, 5 -> {
                Machine other = anyMachine();
                blocked.add(machine.id + ">" + other.id);
                trace("cut " + machine.id + ">" + other.id);
                if (random.nextBoolean()) {
                    blocked.add(other.id + ">" + machine.id);
                }
            }
            case 6 -> {
                trace("isolate " + machine.id);
                for (String other : machines.keySet()) {
                    blocked.add(machine.id + ">" + other);
                    blocked.add(other + ">" + machine.id);
                }
            }
            case 7, 8 -> blocked.clear();
            case 9 -> {
                machine.slowMillis = random.nextInt(400);
                after(2000, () -> machine.slowMillis = 0);
            }
            case 10 -> {
                trace("disk of " + machine.id + " is full");
                machine.disk.full(true);
                after(500 + random.nextInt(3000), () -> machine.disk.full(false));
            }
            case 11 -> {
                if (machines.size() < 5) {
                    String id = String.valueOf((char) ('a' + machines.size()));
                    machines.put(id, new Machine(id));
                    machine(id).boot(RaftFiles::join);
                    add(id);
                } else if (random.nextBoolean()) {
                    remove(machine.id);
                } else {
                    add(machine.id);
                }
            }
            case 12 -> {
                if (machine.core != null) {
                    machine.input(new Input.Transfer(machine.ticket()));
                }
            }
            default -> {
                // More than one lost directory is more than a log can stand.
                if (!wiped && random.nextInt(3) == 0 && !machine.id.equals("a")) {
                    wiped = true;
                    trace("wipe " + machine.id);
                    machine.crash(true);
                    machine.disk.wipe();
                } else {
                    for (Machine other : machines.values()) {
                        other.input(new Input.Disconnected(machine.id));
                    }
                }
            }
        }
        after(50 + random.nextInt(800), this::trouble);
    }

    private void heal() {
        trace("heal");
        faults = false;
        blocked.clear();
        for (Machine machine : machines.values()) {
            machine.disk.full(false);
            machine.disk.losePowerAfter(-1);
            machine.slowMillis = 0;
            if (machine.core == null) {
                machine.boot(RaftFiles::join);
            }
        }
    }

    // Checks

    private void checkLeader(Machine machine, RaftCore core) {
        if (core.role() != RaftCore.Role.LEADER) {
            return;
        }
        String known = leaders.putIfAbsent(core.term(), machine.id);
        if (known == null) {
            elections++;
            RaftLog log = core.log();
            for (Map.Entry<Long, Committed> entry : committed.entrySet()) {
                if (entry.getKey() > log.startIndex()
                        && log.term(entry.getKey()) != entry.getValue().term()) {
                    throw new AssertionError("the leader " + machine.id + " of term " + core.term()
                            + " lacks the committed entry " + entry.getKey());
                }
            }
        } else if (!known.equals(machine.id)) {
            throw new AssertionError(known + " and " + machine.id + " both lead in term " + core.term());
        }
    }

    private void checkApplied(Machine machine, RaftEntry entry) {
        Committed now = new Committed(entry.getTerm(), entry.getType(), entry.getData());
        Committed before = committed.putIfAbsent(entry.getIndex(), now);
        if (before != null && !before.equals(now)) {
            throw new AssertionError(machine.id + " applied " + entry + " where another applied " + before);
        }
    }

    private void checkLogs() {
        List<RaftCore> cores = machines.values().stream()
                .map(machine -> machine.core)
                .filter(core -> core != null)
                .toList();
        for (RaftCore one : cores) {
            for (RaftCore other : cores) {
                boolean agreed = false;
                long last = Math.min(one.log().lastIndex(), other.log().lastIndex());
                long first = Math.max(one.log().startIndex(), other.log().startIndex());
                for (long index = last; index > first; index--) {
                    boolean same = one.log().term(index) == other.log().term(index);
                    if (agreed && !same) {
                        throw new AssertionError("logs agree after index " + index + " but not there");
                    }
                    agreed |= same;
                }
            }
        }
    }

    private void checkEnd() {
        checkLogs();
        List<ByteString> longest = List.of();
        for (Machine machine : machines.values()) {
            List<ByteString> entries = machine.state.entries();
            if (entries.size() > longest.size()) {
                longest = entries;
            }
        }
        Set<String> seen = new HashSet<>();
        Map<Integer, Integer> next = new HashMap<>();
        for (ByteString entry : longest) {
            String value = entry.toStringUtf8();
            if (!seen.add(value)) {
                throw new AssertionError("applied twice: " + value);
            }
            String[] parts = value.split("-", -1);
            int term = Integer.parseInt(parts[0]);
            int number = Integer.parseInt(parts[1]);
            if (number != next.getOrDefault(term, 0)) {
                throw new AssertionError(
                        value + " was applied, but number " + next.getOrDefault(term, 0) + " of its term was not");
            }
            next.put(term, number + 1);
        }
        for (String value : acknowledged) {
            if (!seen.contains(value)) {
                throw new AssertionError("acknowledged and lost: " + value);
            }
        }
        Machine leader = null;
        for (Machine machine : machines.values()) {
            RaftCore core = machine.core;
            if (core != null && core.ready() && (leader == null || core.term() > leader.term())) {
                leader = machine;
            }
        }
        if (leader == null || leader.core == null) {
            throw new AssertionError("no leader long after all was healed");
        }
        for (RaftCore.View view : leader.core.views()) {
            Machine machine = machine(view.nodeId());
            if (!machine.state.entries().equals(leader.state.entries())) {
                throw new AssertionError(view.nodeId() + " differs from the leader " + leader.id + " long after all was"
                        + " healed: " + machine.state.entries().size() + " and "
                        + leader.state.entries().size() + " entries");
            }
            if (!view.voter()) {
                throw new AssertionError(view.nodeId() + " still has no vote long after all was healed");
            }
        }
        if (leader.core.log().lastIndex() - leader.core.log().startIndex() > 4L * LIMITS.snapshotEntries()) {
            throw new AssertionError("the log was not kept short");
        }
    }

    /** One manager: its disk, which outlives it, and what runs on it. */
    private final class Machine {
        private final String id;
        private final String address;
        private final MemoryDisk disk;
        private ListState state = new ListState();
        private @Nullable RaftCore core;
        private @Nullable SnapshotFiles snapshots;
        private @Nullable DiskWorker worker;
        private final List<DiskEffect> diskWork = new ArrayList<>();
        private boolean diskBusy;
        private int slowMillis;
        private int life;
        private long wakeAt = Long.MAX_VALUE;
        private final Map<Long, Ticket> tickets = new HashMap<>();
        private long lastTicket;

        private Machine(String id) {
            this.id = id;
            this.address = id + ":1";
            this.disk = new MemoryDisk(random);
        }

        private boolean ready() {
            RaftCore running = core;
            return running != null && running.ready();
        }

        private long term() {
            RaftCore running = core;
            return running == null ? 0 : running.term();
        }

        private void boot(Opener opener) {
            try {
                RaftFiles.Opened opened = opener.open(
                        disk, new RaftSettings(id, address, Path.of(id), new TestKeys(), RaftTiming.DEFAULT, LIMITS));
                state = new ListState();
                snapshots = opened.snapshots();
                worker = new DiskWorker(opened.logFiles(), opened.snapshots());
                if (opened.snapshot().getIndex() > 0) {
                    try (SnapshotFiles.Reader reader =
                            opened.snapshots().read(opened.snapshot().getIndex())) {
                        state.restore(reader);
                    }
                }
                core = new RaftCore(
                        id,
                        address,
                        RaftTiming.DEFAULT,
                        LIMITS,
                        random,
                        opened.hardState(),
                        opened.log(),
                        opened.snapshot(),
                        now);
                trace("boot " + id + " in term " + opened.hardState().getTerm() + " with entries to "
                        + opened.log().lastIndex());
                step(List.of());
            } catch (MemoryDisk.PowerLoss e) {
                crash(true);
            } catch (IOException e) {
                if (String.valueOf(e.getMessage()).contains("No space")) {
                    after(300, () -> bootAgain());
                } else {
                    throw new AssertionError(id + " does not start again: " + e.getMessage(), e);
                }
            }
        }

        private void bootAgain() {
            if (core == null) {
                boot(RaftFiles::join);
            }
        }

        /** Ends it without warning; the power is lost, or only the process. */
        private void crash(boolean power) {
            trace("crash " + id);
            life++;
            core = null;
            worker = null;
            diskWork.clear();
            diskBusy = false;
            tickets.clear();
            wakeAt = Long.MAX_VALUE;
            disk.losePowerAfter(-1);
            if (power) {
                disk.powerLost();
            }
            for (Machine other : machines.values()) {
                if (other != this && random.nextInt(4) > 0) {
                    after(1, () -> other.input(new Input.Disconnected(id)));
                }
            }
            after(random.nextInt(3000), this::bootAgain);
        }

        private long ticket() {
            tickets.put(++lastTicket, new Ticket("", Set.of()));
            return lastTicket;
        }

        private void propose() {
            RaftCore running = core;
            if (running == null) {
                return;
            }
            long term = running.term();
            int number = proposedInTerm.merge(term, 1, Integer::sum) - 1;
            String value = term + "-" + number + "-" + "x".repeat(random.nextInt(200));
            values++;
            tickets.put(++lastTicket, new Ticket(value, Set.of()));
            input(new Input.Propose(lastTicket, term, ByteString.copyFromUtf8(value)));
        }

        private void read() {
            if (core != null) {
                tickets.put(++lastTicket, new Ticket("", Set.copyOf(acknowledged)));
                input(new Input.Read(lastTicket));
            }
        }

        private void input(Input input) {
            if (core != null) {
                step(List.of(input));
            }
        }

        private void step(List<Input> inputs) {
            RaftCore running = core;
            if (running == null) {
                return;
            }
            for (Effect effect : running.step(now, inputs)) {
                perform(effect);
            }
            checkLeader(this, running);
            if (random.nextInt(50) == 0) {
                checkLogs();
            }
            long deadline = Math.max(running.deadline(), now);
            if (deadline < wakeAt || wakeAt <= now) {
                wakeAt = deadline;
                int current = life;
                at(deadline, () -> {
                    if (life == current) {
                        wakeAt = Long.MAX_VALUE;
                        step(List.of());
                    }
                });
            }
        }

        private void perform(Effect effect) {
            switch (effect) {
                case Send send -> deliver(send);
                case Note note -> trace(id + ": " + note.text());
                case DiskEffect work -> {
                    diskWork.add(work);
                    startDisk();
                }
                case Apply apply -> {
                    for (RaftEntry entry : apply.entries()) {
                        checkApplied(this, entry);
                        if (entry.getType() == RaftEntryType.RAFT_ENTRY_TYPE_DATA) {
                            state.apply(entry.getIndex(), entry.getData());
                        }
                    }
                    long index = apply.entries().getLast().getIndex();
                    later(random.nextInt(5), machine -> machine.input(new Input.Applied(index)));
                }
                case Restore restore -> restore(restore.index());
                case TakeSnapshot take -> takeSnapshot(take);
                case Completed completed -> completed(completed.ticket());
                case Failed failed -> tickets.remove(failed.ticket());
                case LeadershipChanged changed ->
                    trace(id + ": term " + changed.term() + " leader " + changed.leader() + " ready "
                            + changed.ready());
            }
        }

        /** Does something a while later, unless this life is over. */
        private void later(long millis, Consumer<Machine> what) {
            int current = life;
            after(millis, () -> {
                if (life == current) {
                    what.accept(this);
                }
            });
        }

        private void completed(long number) {
            Ticket ticket = tickets.remove(number);
            if (ticket == null) {
                return;
            }
            if (!ticket.value().isEmpty()) {
                acknowledged.add(ticket.value());
            } else if (!ticket.mustSee().isEmpty()) {
                reads++;
                Set<String> seen = new HashSet<>();
                state.entries().forEach(entry -> seen.add(entry.toStringUtf8()));
                if (!seen.containsAll(ticket.mustSee())) {
                    throw new AssertionError("a read on " + id + " missed what was acknowledged before it began");
                }
            }
        }

        private void deliver(Send send) {
            Machine target = machines.get(send.to());
            if (target == null
                    || !send.address().equals(target.address)
                    || blocked.contains(id + ">" + send.to())
                    || (faults && random.nextInt(40) == 0)) {
                return;
            }
            int copies = faults && random.nextInt(40) == 0 ? 2 : 1;
            for (int i = 0; i < copies; i++) {
                long delay = 1L + random.nextInt(faults && random.nextInt(30) == 0 ? 400 : 8);
                after(delay, () -> {
                    if (!blocked.contains(id + ">" + target.id)) {
                        target.input(new Input.Received(id, send.message()));
                    }
                });
            }
        }

        private void startDisk() {
            if (diskBusy) {
                return;
            }
            diskBusy = true;
            later((long) random.nextInt(4) + slowMillis, Machine::runDisk);
        }

        private void runDisk() {
            DiskWorker running = worker;
            if (running == null) {
                return;
            }
            List<DiskEffect> work = List.copyOf(diskWork);
            diskWork.clear();
            List<Input> results;
            try {
                results = running.perform(work);
            } catch (MemoryDisk.PowerLoss e) {
                crash(true);
                return;
            }
            diskBusy = false;
            if (!diskWork.isEmpty()) {
                startDisk();
            }
            step(results);
        }

        private void restore(long index) {
            SnapshotFiles files = snapshots;
            if (files == null) {
                return;
            }
            try (SnapshotFiles.Reader reader = files.read(index)) {
                state.restore(reader);
            } catch (IOException e) {
                throw new AssertionError("cannot restore on " + id, e);
            }
            later(random.nextInt(5), machine -> machine.input(new Input.Applied(index)));
        }

        private void takeSnapshot(TakeSnapshot take) {
            ReplicatedState.Frozen frozen = state.freeze();
            later(random.nextInt(300), machine -> {
                SnapshotFiles files = machine.snapshots;
                if (files == null) {
                    return;
                }
                Input result;
                try {
                    files.write(take.meta(), frozen::writeTo);
                    result = new Input.SnapshotTaken(take.meta());
                } catch (MemoryDisk.PowerLoss e) {
                    machine.crash(true);
                    return;
                } catch (IOException e) {
                    result = new Input.SnapshotFailed(take.meta().getIndex(), String.valueOf(e.getMessage()));
                }
                machine.input(result);
            });
        }
    }

    @FunctionalInterface
    private interface Opener {
        RaftFiles.Opened open(Disk disk, RaftSettings settings) throws IOException;
    }

    /** Runs seeds from the first on; {@code trace} prints what happens. */
    public static void main(String[] arguments) {
        long first = Long.parseLong(arguments[0]);
        int count = Integer.parseInt(arguments[1]);
        boolean trace = arguments.length > 2;
        for (long seed = first; seed < first + count; seed++) {
            System.out.println(new RaftSimulation(seed, trace).run());
        }
    }
}
