package io.skep.control;

import com.sun.management.OperatingSystemMXBean;
import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.EndpointSpec;
import io.skep.wire.GenericResource;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PlacementPreference;
import io.skep.wire.Platform;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.SpreadOver;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.lang.management.ManagementFactory;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Measures how many tasks the scheduler places in a second of CPU time: {@code bin/benchmark placement}.
 *
 * <p>Each round begins with a scheduler that is new, so what it has to learn about the nodes is part of the time, and
 * with tasks that wait; it ends when all are placed, or after two seconds. Writing the placements into the state is
 * part of it, as in production. What is written is not logged.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(
        value = 1,
        jvmArgs = {
            "--sun-misc-unsafe-memory-access=allow",
            "-Xms1500m",
            "-Xmx1500m",
            "-XX:+UseSerialGC",
            "-XX:+UseCompactObjectHeaders"
        })
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class SchedulerBenchmark {
    private static final int TASKS = 10_000;
    private static final long ROUND_NANOS = 2_000_000_000L;
    private static final OperatingSystemMXBean MACHINE =
            ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

    /** What is placed, and where. */
    public enum Work {
        ONE_SERVICE("1 service of 10,000 tasks", 1),
        MANY_SERVICES("1,000 services of 10 tasks", 1_000),
        CONSTRAINTS("1,000 services of 10 tasks, each bound to one of 10 zones and a platform", 1_000),
        RESERVATIONS("1,000 services of 10 tasks that reserve CPU and memory", 1_000),
        CROWDED("1,000 services of 10 tasks that reserve memory, of which nine nodes of ten have too little", 1_000),
        SPREAD_ONE("1 service of 10,000 tasks, spread over 10 zones and 100 racks in them", 1),
        SPREAD_MANY("1,000 services of 10 tasks, spread over 10 zones and 100 racks in them", 1_000),
        MAX_REPLICAS("1,000 services of 10 tasks, at most one per node", 1_000),
        HOST_PORTS("1,000 services of 10 tasks with ports of the nodes, 100 different ones", 1_000),
        GENERIC("1,000 services of 10 tasks that want a GPU, which one node of ten has", 1_000),
        NOT_READY("1,000 services of 10 tasks, three nodes of ten drained or down", 1_000),
        MIXED("1,000 services of 10 tasks, of all these sorts", 1_000);

        private final String text;
        private final int services;

        Work(String text, int services) {
            this.text = text;
            this.services = services;
        }
    }

    /** What places. */
    public enum Algorithm {
        SCHEDULER {
            @Override
            Loop begin(ClusterState state, Instant now) {
                return new Scheduler(state, now);
            }
        },
        PLAIN {
            @Override
            Loop begin(ClusterState state, Instant now) {
                return new PlainScheduler(state, now);
            }
        };

        abstract Loop begin(ClusterState state, Instant now);
    }

    @Param({"1000", "5000", "100000"})
    public int nodes;

    @Param
    public Work work = Work.ONE_SERVICE;

    @Param("SCHEDULER")
    public Algorithm algorithm = Algorithm.SCHEDULER;

    private ClusterState begin = ClusterState.empty();
    private Loop scheduler = new PlainScheduler(begin, TestKit.START);

    /** What a round adds up, besides the time that JMH takes. */
    @State(Scope.Thread)
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    public static class Counters {
        public long placements;
        public long processorNanos;
    }

    @Setup(Level.Trial)
    public void fill() {
        IdSource ids = TestKit.ids(1);
        Transaction transaction = new Transaction(ClusterState.empty(), TestKit.START);
        for (int i = 0; i < nodes; i++) {
            transaction.put(Kind.NODE, node(ids.nextId(), i));
        }
        int perService = TASKS / work.services;
        for (int i = 0; i < work.services; i++) {
            Service service = service(ids.nextId(), i);
            for (int slot = 1; slot <= perService; slot++) {
                Task.Builder task = TestKit.task(ids.nextId(), service, slot)
                        .setStatus(TestKit.status(TaskState.PENDING, TestKit.START));
                task.getEndpointBuilder()
                        .setSpec(service.getSpec().getEndpoint())
                        .addAllPorts(service.getSpec().getEndpoint().getPortsList());
                transaction.put(Kind.TASK, task.build());
            }
        }
        begin = transaction.commit();
    }

    private Node node(String id, int i) {
        Node.Builder node = TestKit.node(id);
        node.getSpecBuilder()
                .getAnnotationsBuilder()
                .putLabels("zone", "z" + i % 10)
                .putLabels("rack", "r" + i % 100);
        if (i / 10 % 10 == 0) {
            node.getDescriptionBuilder()
                    .getResourcesBuilder()
                    .setMemoryBytes(512L << 30)
                    .addGeneric(gpus(1_000));
        }
        boolean someNotReady = work == Work.NOT_READY || work == Work.MIXED;
        if (someNotReady && i / 10 % 10 == 3) {
            node.getStatusBuilder().setState(NodeStatus.State.DOWN);
        } else if (someNotReady && i / 10 % 10 > 7) {
            node.getSpecBuilder().setAvailability(Availability.DRAIN);
        }
        return node.build();
    }

    private Service service(String id, int i) {
        Service.Builder service =
                TestKit.service("service" + i, TASKS / work.services).setId(id);
        Work sort = work == Work.MIXED ? Work.values()[i % (Work.values().length - 1)] : work;
        describe(service, sort, i);
        return service.build();
    }

    private static void describe(Service.Builder service, Work sort, int i) {
        switch (sort) {
            case ONE_SERVICE, MANY_SERVICES, NOT_READY, MIXED -> {}
            case CONSTRAINTS ->
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getPlacementBuilder()
                        .addConstraints("node.labels.zone==z" + (i % 3 == 0 ? i % 10 : i % 3))
                        .addConstraints("node.role==worker")
                        .addPlatforms(Platform.newBuilder().setOs("linux").setArchitecture("arm64"))
                        .addPlatforms(Platform.newBuilder().setOs("linux").setArchitecture("amd64"));
            case RESERVATIONS ->
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getResourcesBuilder()
                        .getReservationsBuilder()
                        .setNanoCpus(100_000_000L + i % 7)
                        .setMemoryBytes(64L << 20);
            case CROWDED ->
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getResourcesBuilder()
                        .getReservationsBuilder()
                        .setMemoryBytes((9L << 28) * 4);
            case SPREAD_ONE, SPREAD_MANY ->
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getPlacementBuilder()
                        .addPreferences(spread("node.labels.zone"))
                        .addPreferences(spread("node.labels.rack"));
            case MAX_REPLICAS ->
                service.getSpecBuilder().getTaskBuilder().getPlacementBuilder().setMaxReplicas(1);
            case HOST_PORTS ->
                service.getSpecBuilder()
                        .setEndpoint(EndpointSpec.newBuilder()
                                .addPorts(PortConfig.newBuilder()
                                        .setTargetPort(80)
                                        .setPublishedPort(8000 + i % 100)
                                        .setPublishMode(PortConfig.PublishMode.HOST)));
            case GENERIC ->
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getResourcesBuilder()
                        .getReservationsBuilder()
                        .addGeneric(gpus(1));
        }
    }

    private static PlacementPreference spread(String label) {
        return PlacementPreference.newBuilder()
                .setSpread(SpreadOver.newBuilder().setSpreadDescriptor(label))
                .build();
    }

    private static GenericResource gpus(long count) {
        return GenericResource.newBuilder()
                .setDiscreteResourceSpec(
                        DiscreteGenericResource.newBuilder().setKind("gpu").setValue(count))
                .build();
    }

    @Setup(Level.Invocation)
    public void beginToLead() {
        scheduler = algorithm.begin(begin, TestKit.START);
    }

    @Benchmark
    public ClusterState place(Counters counters) {
        ClusterState state = begin;
        long processorBegin = processorNanos();
        long end = System.nanoTime() + ROUND_NANOS;
        int placed = 0;
        while (placed < TASKS && System.nanoTime() - end < 0) {
            Transaction transaction = new Transaction(state, TestKit.START);
            transaction.allow(ControlLoop.CHANGES_OF_A_LOOP_MAX);
            scheduler.act(transaction, TestKit.START);
            for (Event<?> event : transaction.events()) {
                scheduler.observe(event, transaction.state());
                Event<Task> task = event.as(Kind.TASK);
                if (task == null
                        || task.after() == null
                        || task.after().getStatus().getState() != TaskState.ASSIGNED) {
                    throw new AssertionError("not placed: " + event);
                }
                placed++;
            }
            state = transaction.commit();
        }
        counters.placements += placed;
        counters.processorNanos += processorNanos() - processorBegin;
        return state;
    }

    private static long processorNanos() {
        return MACHINE.getProcessCpuTime();
    }

    /**
     * Runs the benchmark and prints a table.
     *
     * @param arguments options of JMH; with {@code -p algorithm=PLAIN,SCHEDULER} also the ratio of the two is printed
     */
    public static void main(String[] arguments) throws RunnerException, CommandLineOptionException {
        ChainedOptionsBuilder options = new OptionsBuilder()
                .parent(new CommandLineOptions(arguments))
                .include(SchedulerBenchmark.class.getName())
                .shouldFailOnError(true);
        if (arguments.length == 0 || !List.of(arguments).contains("-v")) {
            options.verbosity(VerboseMode.SILENT);
        }
        print(new Runner(options.build()).run());
    }

    private static void print(Collection<RunResult> results) {
        Map<String, Map<String, Map<Integer, Double>>> table = new TreeMap<>();
        List<Integer> sizes = new ArrayList<>();
        for (RunResult result : results) {
            int size = Integer.parseInt(result.getParams().getParam("nodes"));
            if (!sizes.contains(size)) {
                sizes.add(size);
            }
            table.computeIfAbsent(result.getParams().getParam("work"), key -> new TreeMap<>())
                    .computeIfAbsent(result.getParams().getParam("algorithm"), key -> new TreeMap<>())
                    .put(size, perProcessorSecond(result));
        }
        System.out.printf("placements per second of CPU%n%-14s", "");
        sizes.forEach(size -> System.out.printf(" %,14d nodes", size));
        System.out.println();
        for (Work work : Work.values()) {
            table.getOrDefault(work.name(), Map.of()).forEach((algorithm, scores) -> {
                System.out.printf("%-14s", work.name());
                sizes.forEach(size -> System.out.printf(" %,20.0f", scores.getOrDefault(size, Double.NaN)));
                System.out.printf("  %s, %s%n", algorithm, work.text);
            });
        }
    }

    private static double perProcessorSecond(RunResult result) {
        Result<?> placements = result.getSecondaryResults().get("placements");
        Result<?> nanos = result.getSecondaryResults().get("processorNanos");
        return placements == null || nanos == null ? Double.NaN : placements.getScore() / nanos.getScore() * 1e9;
    }
}
