package io.skep.e2e;

import io.skep.e2e.Operation.Action;
import io.skep.e2e.Operation.Outcome;
import io.skep.e2e.SocketApi.Answer;
import io.skep.e2e.SocketApi.NotSentException;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Clients that use configs and services without tasks as registers, on all managers of a cluster at once, and write
 * down what they asked and heard.
 *
 * <p>A register is a name: created, read, swapped for another value by an update under the version that was read, and
 * removed by id. The value is a label. Clients share a few registers, so that they get into each other's way. After
 * some hundred operations, or when nobody knows whether it was created, a register is given up: its history is then
 * complete and is checked, so that the search stays short and a violation is seen while the logs are fresh.
 *
 * <p>Outcomes are told with care: what was not sent, or was answered before it could reach a leader, did not happen and
 * is left out; a refusal that states the register's state counts as having seen it; all else is unknown.
 */
final class TortureClients implements AutoCloseable {
    private static final int REGISTERS = 8;
    private static final int OPERATIONS_MAX = 400;
    private static final int PADDING_MAX = 8000;
    private static final String CONFIG_DATA = "eA==";

    private static final Pattern ID = Pattern.compile("\"ID\":\"([a-z0-9]+)\"");
    private static final Pattern VERSION = Pattern.compile("\"Version\":\\{\"Index\":(\\d+)\\}");
    private static final Pattern VALUE = Pattern.compile("\"Spec\":\\{.*?\"value\":\"([^\"]*)\"");

    /** What a client remembers of a register: enough to swap its value or to remove it. */
    private record Sight(String id, long version, String value) {}

    private static final class Register {
        private final String name;
        private final String kind;
        private final List<Operation> history = new ArrayList<>();
        private int begun;
        private int running;
        private boolean givenUp;

        private Register(String name, String kind) {
            this.name = name;
            this.kind = kind;
        }

        private synchronized boolean enter() {
            if (givenUp) {
                return false;
            }
            begun++;
            running++;
            givenUp = begun >= OPERATIONS_MAX;
            return true;
        }

        /** Returns whether the history is complete now. */
        private synchronized boolean leave(@Nullable Operation operation) {
            if (operation != null) {
                history.add(operation);
                givenUp |= operation.action() == Action.CREATE && operation.outcome() == Outcome.UNKNOWN;
            }
            running--;
            return givenUp && running == 0;
        }
    }

    private final List<SocketApi> managers;
    private final PrintWriter record;
    private final BiConsumer<String, List<Operation>> complete;
    private final List<Thread> threads = new ArrayList<>();
    private final Register[] registers = new Register[REGISTERS];
    private final AtomicLong names = new AtomicLong();
    private final AtomicLong values = new AtomicLong();
    private final long origin = System.nanoTime();
    private volatile boolean closed;

    final Map<String, LongAdder> outcomes = new ConcurrentHashMap<>();
    final Map<String, LongAdder> failures = new ConcurrentHashMap<>();
    private long lastWrite = System.nanoTime();
    private final List<long[]> gaps = new ArrayList<>();

    /**
     * Makes the clients; {@link #start} starts them.
     *
     * @param record takes each operation, one a line
     * @param complete takes each complete history of a register, on the thread of a client
     */
    TortureClients(List<SocketApi> managers, PrintWriter record, BiConsumer<String, List<Operation>> complete) {
        this.managers = List.copyOf(managers);
        this.record = record;
        this.complete = complete;
        for (int i = 0; i < REGISTERS; i++) {
            registers[i] = newRegister();
        }
    }

    /** Starts clients: two that stay with each manager, and as many again that ask now one, now another. */
    void start(long seed) {
        int client = 0;
        for (int round = 0; round < 4; round++) {
            for (int manager = 1; manager <= managers.size(); manager++) {
                int number = ++client;
                int stays = round < 2 ? manager : 0;
                threads.add(Thread.startVirtualThread(() -> run(number, stays, new Random(seed + number))));
            }
        }
    }

    int count() {
        return threads.size();
    }

    /** Returns the intervals of more than 200 ms without an acknowledged write, in nanoseconds. */
    List<long[]> gaps() {
        synchronized (gaps) {
            return List.copyOf(gaps);
        }
    }

    private Register newRegister() {
        long number = names.incrementAndGet();
        return new Register("R-" + number, number % 3 == 0 ? "services" : "configs");
    }

    private Register enter(Random random) {
        int slot = random.nextInt(REGISTERS);
        synchronized (registers) {
            while (!registers[slot].enter()) {
                registers[slot] = newRegister();
            }
            return registers[slot];
        }
    }

    private void run(int client, int stays, Random random) {
        Map<String, Sight> sights = new TreeMap<>();
        while (!closed) {
            int manager = stays == 0 ? 1 + random.nextInt(managers.size()) : stays;
            Register register = enter(random);
            Operation operation = null;
            try {
                operation = operate(client, manager, register, sights, random);
            } finally {
                if (operation != null) {
                    note(register, operation);
                }
                if (register.leave(operation)) {
                    sights.remove(register.name);
                    complete.accept(register.kind + " " + register.name, register.history);
                    forget(manager, register);
                }
            }
            while (sights.size() > 2 * REGISTERS) {
                sights.remove(sights.keySet().iterator().next());
            }
            LockSupport.parkNanos(random.nextLong(30_000_000));
        }
    }

    private void note(Register register, Operation operation) {
        outcomes.computeIfAbsent(operation.action() + " " + operation.outcome(), key -> new LongAdder())
                .increment();
        synchronized (record) {
            record.println(register.kind + " " + register.name + "  " + operation);
        }
        if (operation.action() != Action.READ && operation.outcome() == Outcome.DONE) {
            synchronized (gaps) {
                long now = System.nanoTime();
                if (now - lastWrite > 200_000_000) {
                    gaps.add(new long[] {lastWrite, now});
                }
                lastWrite = now;
            }
        }
    }

    /** Returns what is to be written down, or null when nothing happened. */
    private @Nullable Operation operate(
            int client, int manager, Register register, Map<String, Sight> sights, Random random) {
        Sight sight = sights.get(register.name);
        int dice = random.nextInt(100);
        Action action = sight == null || dice < 45
                ? (dice < 20 && sight == null ? Action.CREATE : Action.READ)
                : dice < 90 ? Action.SWAP : dice < 95 ? Action.REMOVE : Action.CREATE;
        String unique = Long.toString(values.incrementAndGet());
        String incarnation = sight == null ? "" : Operation.incarnation(sight.value());
        String expected = switch (action) {
            case SWAP -> sight == null ? "" : sight.value();
            case REMOVE -> incarnation;
            case CREATE, READ -> "";
        };
        String value = switch (action) {
            case CREATE -> "i" + unique + "." + unique;
            case SWAP -> incarnation + "." + unique;
            case READ, REMOVE -> "";
        };
        int patienceDice = random.nextInt(100);
        Duration patience = Duration.ofMillis(patienceDice < 80 ? 2000 : patienceDice < 95 ? 300 : 20_000);
        String spec = value.isEmpty() ? "" : spec(register, value, random);
        String path = switch (action) {
            case CREATE -> "/" + register.kind + "/create";
            case READ -> "/" + register.kind + "/" + register.name;
            case SWAP ->
                "/" + register.kind + "/" + (sight == null ? "" : sight.id()) + "/update?version="
                        + (sight == null ? 0 : sight.version());
            case REMOVE -> "/" + register.kind + "/" + (sight == null ? "" : sight.id());
        };
        String method = switch (action) {
            case CREATE, SWAP -> "POST";
            case READ -> "GET";
            case REMOVE -> "DELETE";
        };
        long begin = System.nanoTime() - origin;
        Outcome outcome;
        long version = 0;
        try {
            Answer answer = managers.get(manager - 1).send(method, path, spec, patience);
            outcome = outcome(action, answer);
            if (action == Action.READ && outcome == Outcome.DONE) {
                Sight seen = sight(answer.body());
                value = seen.value();
                version = seen.version();
                sights.put(register.name, seen);
            } else if (action == Action.READ && outcome == Outcome.REFUSED) {
                outcome = Outcome.DONE; // it saw that there is nothing
                sights.remove(register.name);
            } else if (action == Action.READ || wasNotTried(answer)) {
                fail("answered " + answer.status() + " " + message(answer.body()));
                return null;
            } else if (outcome == Outcome.UNKNOWN) {
                fail("unknown outcome: " + answer.status() + " " + message(answer.body()));
            }
        } catch (NotSentException e) {
            fail("not sent");
            return null;
        } catch (IOException e) {
            fail("no answer");
            if (action == Action.READ) {
                return null;
            }
            outcome = Outcome.UNKNOWN;
        }
        if (action != Action.READ) {
            sights.remove(register.name);
        }
        long end = System.nanoTime() - origin;
        return new Operation(client, manager, action, expected, value, version, begin, end, outcome);
    }

    private void fail(String how) {
        failures.computeIfAbsent(how, key -> new LongAdder()).increment();
    }

    private static Outcome outcome(Action action, Answer answer) {
        if (answer.status() / 100 == 2) {
            return Outcome.DONE;
        }
        boolean refused = switch (action) {
            case CREATE -> answer.status() == 409;
            case READ, REMOVE -> answer.status() == 404;
            case SWAP -> answer.status() == 404 || answer.body().contains("update out of sequence");
        };
        return refused ? Outcome.REFUSED : Outcome.UNKNOWN;
    }

    /** Whether a manager said that it is none yet, which it does before it asks the leader for anything. */
    private static boolean wasNotTried(Answer answer) {
        return answer.body().contains("This node is not a swarm manager");
    }

    private static String message(String body) {
        return body.length() > 160 ? body.substring(0, 160) : body.strip();
    }

    private static Sight sight(String body) throws IOException {
        Matcher id = ID.matcher(body);
        Matcher version = VERSION.matcher(body);
        Matcher value = VALUE.matcher(body);
        if (!id.find() || !version.find() || !value.find()) {
            throw new IOException("no register, but: " + body);
        }
        return new Sight(id.group(1), Long.parseLong(version.group(1)), value.group(1));
    }

    private static String spec(Register register, String value, Random random) {
        String labels = "{\"value\":\"" + value + "\",\"padding\":\""
                + "x".repeat(random.nextInt(4) == 0 ? random.nextInt(PADDING_MAX) : 10) + "\"}";
        return "{\"Name\":\"" + register.name + "\",\"Labels\":" + labels + ","
                + (register.kind.equals("configs")
                        ? "\"Data\":\"" + CONFIG_DATA + "\"}"
                        : "\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"bb:1\"}},"
                                + "\"Mode\":{\"Replicated\":{\"Replicas\":0}}}");
    }

    /**
     * Removes what is left of a register whose history is over, so that the state stays small; as far as that works.
     */
    private void forget(int manager, Register register) {
        try {
            managers.get(manager - 1)
                    .send("DELETE", "/" + register.kind + "/" + register.name, "", Duration.ofSeconds(2));
        } catch (IOException e) {
            fail("not removed");
        }
    }

    /** Ends the clients and hands over the histories of the registers that are still in use. */
    @Override
    public void close() {
        closed = true;
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
        threads.clear();
        for (Register register : registers) {
            if (register.givenUp) {
                continue; // its last client has handed it over
            }
            complete.accept(register.kind + " " + register.name, register.history);
        }
        synchronized (gaps) {
            gaps.add(new long[] {lastWrite, System.nanoTime()});
        }
    }
}
