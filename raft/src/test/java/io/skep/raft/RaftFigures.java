package io.skep.raft;

import com.google.protobuf.ByteString;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Measures three managers in one process, with real files and a transport in memory: what idleness costs, how long a
 * commit takes, and how soon writes are accepted after the leader was killed or cut off. {@code java
 * io.skep.raft.RaftFigures DIRECTORY TRIES}.
 */
final class RaftFigures {
    private static final ByteString VALUE = ByteString.copyFrom(new byte[300]);

    private final Path directory;
    private final MemoryTransport.Net net = new MemoryTransport.Net();
    private final Map<String, RaftNode> nodes = new TreeMap<>();
    private final Map<String, MemoryTransport> transports = new TreeMap<>();

    private RaftFigures(Path directory) {
        this.directory = directory;
    }

    public static void main(String[] arguments) throws Exception {
        RaftFigures figures = new RaftFigures(Files.createTempDirectory(Path.of(arguments[0]), "raft-figures"));
        int tries = Integer.parseInt(arguments[1]);
        figures.begin();
        figures.latency();
        figures.throughput();
        figures.idle();
        figures.failover(tries, true);
        figures.failover(tries, false);
        System.exit(0);
    }

    private void begin() throws Exception {
        start("a", RaftNode::bootstrap);
        for (String id : List.of("b", "c")) {
            start(id, RaftNode::join);
            leader().putMember(id, id + ":1").get(10, TimeUnit.SECONDS);
        }
    }

    private void latency() throws Exception {
        RaftNode leader = leader();
        long term = leader.leadership().term();
        long[] micros = new long[2000];
        for (int i = 0; i < micros.length; i++) {
            long begin = System.nanoTime();
            leader.propose(term, VALUE).get();
            micros[i] = (System.nanoTime() - begin) / 1000;
        }
        print("commit, one at a time, microseconds", Arrays.copyOfRange(micros, 500, micros.length));
    }

    private void throughput() throws Exception {
        RaftNode leader = leader();
        long term = leader.leadership().term();
        long begin = System.nanoTime();
        int count = 50_000;
        List<CompletableFuture<Long>> window = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            window.add(leader.propose(term, VALUE));
            if (window.size() == 1000) {
                window.removeFirst().get();
            }
        }
        for (CompletableFuture<Long> future : window) {
            future.get();
        }
        System.out.printf(
                "commits, 1000 in flight: %d per second%n", count * 1_000_000_000L / (System.nanoTime() - begin));
    }

    private void idle() {
        OperatingSystemMXBean system =
                Objects.requireNonNull(ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class));
        pause(3000);
        long cpu = system.getProcessCpuTime();
        long begin = System.nanoTime();
        pause(20_000);
        double share = 100.0 * (system.getProcessCpuTime() - cpu) / (System.nanoTime() - begin);
        System.out.printf("idle, all three managers together: %.2f %% of a core%n", share);
    }

    private void failover(int tries, boolean kill) throws Exception {
        long[] millis = new long[tries];
        for (int i = 0; i < tries; i++) {
            RaftNode old = leader();
            String id = old.selfId();
            MemoryTransport transport = Objects.requireNonNull(transports.get(id));
            // At any point between two heartbeats.
            pause(300 + i * 37L % 250);
            nodes.remove(id);
            long begin = System.nanoTime();
            if (kill) {
                net.kill(transport);
            } else {
                transport.cut(true);
            }
            accepted();
            millis[i] = (System.nanoTime() - begin) / 1_000_000;
            if (kill) {
                old.stop();
                old.close();
                start(id, RaftNode::open);
            } else {
                transport.cut(false);
                nodes.put(id, old);
            }
            while (nodes.values().stream()
                    .anyMatch(node -> !Objects.equals(node.leadership().leaderId(), leader().selfId()))) {
                pause(5);
            }
        }
        print((kill ? "leader killed" : "leader cut off silently") + ", milliseconds to the next commit", millis);
    }

    private void accepted() throws InterruptedException {
        while (true) {
            RaftNode node = leader();
            try {
                node.propose(node.leadership().term(), VALUE).get();
                return;
            } catch (ExecutionException e) {
                pause(1);
            }
        }
    }

    private static void print(String what, long[] values) {
        Arrays.sort(values);
        System.out.printf(
                "%s: median %d, 99th percentile %d, worst %d (%d tries)%n",
                what,
                values[values.length / 2],
                values[Math.min(values.length - 1, values.length * 99 / 100)],
                values[values.length - 1],
                values.length);
    }

    @FunctionalInterface
    private interface Start {
        RaftNode start(RaftSettings settings, RaftTransport transport, ReplicatedState state) throws IOException;
    }

    private void start(String id, Start how) throws IOException {
        MemoryTransport transport = new MemoryTransport(net, id, id + ":1");
        transports.put(id, transport);
        RaftSettings settings = new RaftSettings(id, id + ":1", directory.resolve(id), new TestKeys());
        nodes.put(id, how.start(settings, transport, new Nothing()));
    }

    private RaftNode leader() {
        while (true) {
            RaftNode found = find();
            if (found != null) {
                return found;
            }
            pause(1);
        }
    }

    private @Nullable RaftNode find() {
        for (RaftNode node : nodes.values()) {
            if (node.leadership().ready()) {
                return node;
            }
        }
        return null;
    }

    private static void pause(long millis) {
        LockSupport.parkNanos(millis * 1_000_000);
    }

    /** A state that keeps nothing. */
    private static final class Nothing implements ReplicatedState {
        @Override
        public void apply(long index, ByteString entry) {}

        @Override
        public Frozen freeze() {
            return out -> out.write(0);
        }

        @Override
        public void restore(InputStream in) {}
    }
}
