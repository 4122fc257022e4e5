package io.skep.load;

import io.skep.certs.CertificateRequest;
import io.skep.certs.JoinToken;
import io.skep.wire.EngineDescription;
import io.skep.wire.NodeDescription;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.Resources;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/**
 * All agents of a run. Its methods are for any thread but that of the agents: they hand over to it and may wait for it.
 */
final class Fleet implements AutoCloseable {
    private static final long NANO_CPUS = 4_000_000_000L;
    private static final long MEMORY_BYTES = 8L << 30;

    private final Links links = new Links();
    private final Observations seen = new Observations();
    private final List<LoadAgent> agents = new ArrayList<>();
    private final List<CertificateRequest> requests;
    private final JoinToken token;

    /**
     * Makes agents that have not joined yet, and their keys.
     *
     * @param managers by turns the first manager of each agent
     */
    Fleet(List<InetSocketAddress> managers, JoinToken token, int count, AgentSettings settings, long seed) {
        this.token = token;
        this.requests = IntStream.range(0, count)
                .parallel()
                .mapToObj(i -> CertificateRequest.generate())
                .toList();
        SplittableRandom seeds = new SplittableRandom(seed);
        for (int i = 0; i < count; i++) {
            RandomGenerator random = seeds.split();
            InetSocketAddress manager = managers.get(i % managers.size());
            agents.add(new LoadAgent(links, seen, settings, manager, describe(i), random));
        }
    }

    /** As a Docker Engine of Debian 12 on a board of four cores describes itself. */
    private static NodeDescription describe(int number) {
        EngineDescription.Builder engine = EngineDescription.newBuilder().setEngineVersion("20.10.24+dfsg1");
        for (String log : List.of(
                "awslogs",
                "fluentd",
                "gcplogs",
                "gelf",
                "journald",
                "json-file",
                "local",
                "logentries",
                "splunk",
                "syslog")) {
            engine.addPlugins(PluginDescription.newBuilder().setType("Log").setName(log));
        }
        for (String network : List.of("bridge", "host", "ipvlan", "macvlan", "null", "overlay")) {
            engine.addPlugins(PluginDescription.newBuilder().setType("Network").setName(network));
        }
        engine.addPlugins(PluginDescription.newBuilder().setType("Volume").setName("local"));
        return NodeDescription.newBuilder()
                .setHostname(String.format("load%05d", number))
                .setPlatform(Platform.newBuilder().setArchitecture("x86_64").setOs("linux"))
                .setResources(Resources.newBuilder().setNanoCpus(NANO_CPUS).setMemoryBytes(MEMORY_BYTES))
                .setEngine(engine)
                .build();
    }

    /**
     * Lets some agents join and returns when each has its session and was told its tasks.
     *
     * @param from the number of the first of them
     * @param to the number after the last of them
     * @param parallel how many join at a time
     */
    void join(int from, int to, int parallel) throws LoadException, InterruptedException {
        CompletableFuture<Void> all = new CompletableFuture<>();
        Progress progress = new Progress(from, to);
        links.loop().execute(() -> {
            for (int i = 0; i < Math.min(parallel, to - from); i++) {
                joinNext(progress, all);
            }
        });
        await(all);
    }

    /** How far agents have joined; on their thread. */
    private static final class Progress {
        final int end;
        int next;
        int left;

        Progress(int from, int to) {
            this.end = to;
            this.next = from;
            this.left = to - from;
        }
    }

    private void joinNext(Progress progress, CompletableFuture<Void> all) {
        if (progress.next == progress.end || all.isDone()) {
            return;
        }
        int number = progress.next++;
        var _ = agents.get(number).join(token, requests.get(number)).whenComplete((done, failure) -> {
            if (failure != null) {
                all.completeExceptionally(failure);
            } else if (--progress.left == 0) {
                all.complete(null);
            } else {
                joinNext(progress, all);
            }
        });
    }

    /** Completes when the agents have seen that. */
    CompletableFuture<Void> when(Function<Observations, Boolean> reached) {
        BooleanSupplier check = () -> reached.apply(seen);
        CompletableFuture<Void> future = new CompletableFuture<>();
        links.loop().execute(() -> seen.when(check, future));
        return future;
    }

    /** Runs something on the agents' thread and returns what it makes of what they have seen. */
    <T> T ask(Function<Observations, T> question) throws LoadException, InterruptedException {
        Supplier<T> answer = () -> question.apply(seen);
        return await(CompletableFuture.supplyAsync(answer, links.loop()));
    }

    private static <T> T await(CompletableFuture<T> future) throws LoadException, InterruptedException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            while (cause instanceof CompletionException && cause.getCause() != null) {
                cause = cause.getCause();
            }
            if (cause instanceof LoadException failure) {
                throw failure;
            }
            throw new IllegalStateException(cause);
        }
    }

    @Override
    public void close() {
        CompletableFuture.runAsync(() -> agents.forEach(LoadAgent::close), links.loop())
                .join();
        links.close();
    }
}
