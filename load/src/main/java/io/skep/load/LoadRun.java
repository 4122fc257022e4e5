package io.skep.load;

import io.skep.certs.JoinToken;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One run: agents join, services are created, scaled, updated and removed, and what that cost the managers is written
 * down.
 *
 * <p>Times end when the agents know (a report was taken, an assignment came), so waiting asks nothing of the managers.
 * Then the API is asked until it tells the same. Processor time of a phase is that of the managers from its beginning
 * until the API agreed; collecting a JVM's garbage and reading memory happen between phases and are left out.
 */
final class LoadRun {
    private static final String PREFIX = "load-";
    private static final String IMAGE = "bb:1";
    private static final String IMAGE_NEXT = "bb:2";
    private static final long POLL_MILLIS = 250;
    private static final long PROBE_MILLIS = 100;
    private static final double PERCENT = 100;

    /**
     * What to do.
     *
     * @param managers addresses where agents join, by turns
     * @param services over which the tasks are spread
     * @param agentsFirst how many of the agents join before the others, measured apart from them; 0 for none
     * @param joinParallel how many agents join at a time
     * @param steps which of create, scale, update, remove
     * @param timeoutSeconds after which a phase has failed
     */
    record Plan(
            List<InetSocketAddress> managers,
            JoinToken token,
            DockerApi.Target api,
            int agents,
            int agentsFirst,
            int tasks,
            int services,
            int joinParallel,
            List<Step> steps,
            int idleSeconds,
            int timeoutSeconds,
            AgentSettings agentSettings,
            long seed) {}

    enum Step {
        CREATE,
        SCALE,
        UPDATE,
        REMOVE
    }

    private final Plan plan;
    private final ManagerProcesses processes;
    private final PrintWriter progress;
    private final Map<String, Object> result = new LinkedHashMap<>();
    private final Map<String, String> serviceIds = new LinkedHashMap<>();

    LoadRun(Plan plan, ManagerProcesses processes, PrintWriter progress) {
        this.plan = plan;
        this.processes = processes;
        this.progress = progress;
    }

    /** Returns what was measured, in the form in which it is printed. */
    Map<String, Object> run() throws LoadException, InterruptedException {
        result.put("agents", plan.agents());
        result.put("tasks", plan.tasks());
        result.put("services", plan.services());
        result.put("statusesPerCall", plan.agentSettings().statusesPerCall());
        say("making keys for " + plan.agents() + " agents");
        try (DockerApi api = new DockerApi(plan.api());
                DockerApi probeApi = new DockerApi(plan.api());
                Fleet fleet =
                        new Fleet(plan.managers(), plan.token(), plan.agents(), plan.agentSettings(), plan.seed())) {
            if (!api.getList("list", "/services?filters=" + filter("name", PREFIX))
                    .isEmpty()) {
                throw new LoadException("there are services named " + PREFIX + "… already; remove them first");
            }
            ManagerProcesses.@Nullable Memory before = memory("memoryBefore");
            if (plan.agentsFirst() > 0) {
                join("joinFirst", fleet, api, 0, plan.agentsFirst());
            }
            join("join", fleet, api, plan.agentsFirst(), plan.agents());
            ManagerProcesses.@Nullable Memory joined = memory("memoryJoined");
            if (before != null && joined != null) {
                perUnit("PerWorker", before, joined, plan.agents());
            }
            idle("idle");
            Map<String, Latencies> latencies = new TreeMap<>();
            try (Probe probe = new Probe(probeApi, latencies)) {
                probe.start();
                steps(fleet, api, joined, probe);
            }
            latencies.putAll(api.latencies());
            Map<String, Object> calls = new LinkedHashMap<>();
            latencies.forEach((name, times) -> calls.put(name, percentiles(times)));
            result.put("api", calls);
            Observations seen = fleet.ask(Function.identity());
            result.put("reports", seen.reports());
            result.put("reportCalls", seen.reportCalls());
            result.put("sessionsLost", seen.sessionsLost());
        }
        result.put(
                "generatorCpuSeconds",
                ProcessHandle.current()
                        .info()
                        .totalCpuDuration()
                        .map(duration -> duration.toMillis() / 1000.0)
                        .orElse(0.0));
        return result;
    }

    private void join(String name, Fleet fleet, DockerApi api, int from, int to)
            throws LoadException, InterruptedException {
        say("joining " + (to - from) + " agents");
        Phase phase = new Phase(name, to - from);
        fleet.join(from, to, plan.joinParallel());
        phase.agentsDone();
        until("all agents are ready", () -> {
            int ready = 0;
            for (Map<String, Object> node : api.getList("nodes", "/nodes?filters=" + filter("role", "worker"))) {
                if (node.get("Status") instanceof Map<?, ?> status && "ready".equals(status.get("State"))) {
                    ready++;
                }
            }
            return ready >= to;
        });
        phase.apiDone();
    }

    private void steps(Fleet fleet, DockerApi api, ManagerProcesses.@Nullable Memory joined, Probe probe)
            throws LoadException, InterruptedException {
        for (Step step : plan.steps()) {
            switch (step) {
                case CREATE -> {
                    create(fleet, api);
                    probe.pause();
                    ManagerProcesses.@Nullable Memory running = memory("memoryRunning");
                    if (joined != null && running != null) {
                        perUnit("PerTask", joined, running, plan.tasks());
                    }
                    idle("idleRunning");
                    probe.resume();
                }
                case SCALE -> scale(fleet, api);
                case UPDATE -> update(fleet, api);
                case REMOVE -> {
                    remove(fleet, api);
                    probe.pause();
                    memory("memoryRemoved");
                }
            }
        }
    }

    private void create(Fleet fleet, DockerApi api) throws LoadException, InterruptedException {
        say("creating " + plan.tasks() + " tasks");
        long logBefore = processes.logBytes();
        long reportsBefore = fleet.ask(Observations::reports);
        long callsBefore = fleet.ask(Observations::reportCalls);
        Phase phase = new Phase("create", plan.tasks());
        for (int i = 0; i < plan.services(); i++) {
            String name = PREFIX + i;
            long now = System.nanoTime();
            fleet.ask(seen -> {
                seen.serviceAsked(name, now);
                return true;
            });
            Map<String, Object> answer = api.post("service create", "/services/create", spec(name, IMAGE, replicas(i)));
            serviceIds.put(name, String.valueOf(answer.get("ID")));
        }
        await(fleet, "all tasks run", seen -> seen.running() >= plan.tasks());
        phase.agentsDone();
        fleet.ask(seen -> {
            seen.stopTiming();
            return true;
        });
        awaitRunning(api, plan.tasks());
        phase.apiDone();
        result.put("createToAssigned", percentiles(fleet.ask(Observations::toAssigned)));
        result.put("createToRunning", percentiles(fleet.ask(Observations::toRunning)));
        result.put(
                "reportsPerTask", rounded((fleet.ask(Observations::reports) - reportsBefore) / (double) plan.tasks()));
        result.put(
                "reportCallsPerTask",
                rounded((fleet.ask(Observations::reportCalls) - callsBefore) / (double) plan.tasks()));
        if (processes.hasFolders()) {
            result.put("logBytesPerTask", rounded((processes.logBytes() - logBefore) / (double) plan.tasks()));
        }
    }

    /** The first service gets a tenth of all tasks more, and loses them again. */
    private void scale(Fleet fleet, DockerApi api) throws LoadException, InterruptedException {
        int more = Math.max(1, plan.tasks() / 10);
        say("scaling by " + more + " tasks");
        Phase up = new Phase("scaleUp", more);
        change(api, PREFIX + 0, spec(PREFIX + 0, IMAGE, replicas(0) + more));
        await(fleet, "the new tasks run", seen -> seen.running() >= plan.tasks() + more);
        up.agentsDone();
        awaitRunning(api, plan.tasks() + more);
        up.apiDone();
        Phase down = new Phase("scaleDown", more);
        change(api, PREFIX + 0, spec(PREFIX + 0, IMAGE, replicas(0)));
        await(fleet, "the tasks are gone", seen -> seen.held() <= plan.tasks());
        down.agentsDone();
        awaitRunning(api, plan.tasks());
        down.apiDone();
    }

    private void update(Fleet fleet, DockerApi api) throws LoadException, InterruptedException {
        int count = replicas(0);
        say("updating " + count + " tasks");
        Phase phase = new Phase("update", count);
        change(api, PREFIX + 0, spec(PREFIX + 0, IMAGE_NEXT, count));
        await(fleet, "all tasks of the service run the new image", seen -> seen.runningOf(IMAGE_NEXT) >= count);
        phase.agentsDone();
        awaitRunning(api, plan.tasks());
        phase.apiDone();
    }

    private void remove(Fleet fleet, DockerApi api) throws LoadException, InterruptedException {
        say("removing all services");
        Phase phase = new Phase("remove", plan.tasks());
        for (String name : serviceIds.keySet()) {
            api.delete("service remove", "/services/" + name);
        }
        await(fleet, "no task is left", seen -> seen.held() == 0);
        phase.agentsDone();
        until(
                "the API knows no task",
                () -> api.getList("tasks", "/tasks?filters=" + filter("name", PREFIX))
                        .isEmpty());
        phase.apiDone();
    }

    private int replicas(int service) {
        return plan.tasks() / plan.services() + (service < plan.tasks() % plan.services() ? 1 : 0);
    }

    private static Map<String, Object> spec(String name, String image, int replicas) {
        return Map.of(
                "Name",
                name,
                "TaskTemplate",
                Map.of(
                        "ContainerSpec", Map.of("Image", image, "Args", List.of("sleep", "1000000")),
                        "Placement", Map.of("Constraints", List.of("node.role==worker"))),
                "Mode",
                Map.of("Replicated", Map.of("Replicas", replicas)),
                "UpdateConfig",
                Map.of("Parallelism", 0, "Order", "stop-first"),
                "EndpointSpec",
                Map.of("Mode", "dnsrr"));
    }

    private static void change(DockerApi api, String name, Map<String, Object> spec)
            throws LoadException, InterruptedException {
        Map<String, Object> service = api.getObject("service inspect", "/services/" + name);
        if (!(service.get("Version") instanceof Map<?, ?> version) || !(version.get("Index") instanceof Number index)) {
            throw new LoadException("the API tells no version of service " + name);
        }
        var _ = api.post(
                "service update", "/services/" + service.get("ID") + "/update?version=" + index.longValue(), spec);
    }

    private void awaitRunning(DockerApi api, int count) throws LoadException, InterruptedException {
        until("the API tells that " + count + " tasks run", () -> {
            long running = 0;
            for (Map<String, Object> service :
                    api.getList("services with status", "/services?status=true&filters=" + filter("name", PREFIX))) {
                if (service.get("ServiceStatus") instanceof Map<?, ?> status
                        && status.get("RunningTasks") instanceof Number number) {
                    running += number.longValue();
                }
            }
            return running == count;
        });
    }

    private interface Check {
        boolean passes() throws LoadException, InterruptedException;
    }

    private void until(String what, Check check) throws LoadException, InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(plan.timeoutSeconds());
        while (!check.passes()) {
            if (System.nanoTime() > deadline) {
                throw new LoadException("gave up after " + plan.timeoutSeconds() + " s of waiting until " + what);
            }
            Thread.sleep(POLL_MILLIS);
        }
    }

    private void await(Fleet fleet, String what, Function<Observations, Boolean> reached)
            throws LoadException, InterruptedException {
        try {
            fleet.when(reached).get(plan.timeoutSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        } catch (TimeoutException e) {
            Observations seen = fleet.ask(Function.identity());
            throw new LoadException(
                    "gave up after " + plan.timeoutSeconds() + " s of waiting until " + what + ": the agents hold "
                            + seen.held() + " tasks, " + seen.running() + " of them run, " + seen.ready()
                            + " agents have a session",
                    e);
        }
    }

    private void idle(String name) throws LoadException, InterruptedException {
        if (plan.idleSeconds() == 0 || processes.isEmpty()) {
            return;
        }
        say("idling for " + plan.idleSeconds() + " s");
        List<Double> before = processes.cpuSeconds();
        long begin = System.nanoTime();
        Thread.sleep(TimeUnit.SECONDS.toMillis(plan.idleSeconds()));
        double seconds = (System.nanoTime() - begin) / 1e9;
        List<Object> percents = new ArrayList<>();
        List<Double> after = processes.cpuSeconds();
        for (int i = 0; i < before.size(); i++) {
            percents.add(rounded(PERCENT * (after.get(i) - before.get(i)) / seconds));
        }
        result.put(name + "CpuPercent", percents);
    }

    private ManagerProcesses.@Nullable Memory memory(String name) throws LoadException {
        if (processes.isEmpty()) {
            return null;
        }
        ManagerProcesses.Memory memory = processes.memory();
        result.put(
                name,
                Map.of(
                        "anonymousBytes",
                        memory.anonymousBytes(),
                        "proportionalBytes",
                        memory.proportionalBytes(),
                        "heapBytes",
                        memory.heapBytes()));
        return memory;
    }

    private void perUnit(String suffix, ManagerProcesses.Memory before, ManagerProcesses.Memory after, int units) {
        result.put("anonymousBytes" + suffix, (after.anonymousBytes() - before.anonymousBytes()) / units);
        if (after.heapBytes() > 0) {
            result.put("heapBytes" + suffix, (after.heapBytes() - before.heapBytes()) / units);
        }
    }

    private static Map<String, Object> percentiles(Latencies times) {
        return Map.of(
                "count", times.count(),
                "p50Millis", rounded(times.percentileMillis(50)),
                "p99Millis", rounded(times.percentileMillis(99)));
    }

    private static double rounded(double value) {
        return Double.isNaN(value) ? 0 : Math.round(value * 1000) / 1000.0;
    }

    private static String filter(String key, String value) {
        return URLEncoder.encode("{\"" + key + "\":[\"" + value + "\"]}", StandardCharsets.UTF_8);
    }

    private void say(String what) {
        progress.println("load: " + what);
        progress.flush();
    }

    /** A stretch of the run that is timed. */
    private final class Phase {
        private final String name;
        private final int units;
        private final List<Double> cpuBefore;
        private final long begin = System.nanoTime();
        private final Map<String, Object> figures = new LinkedHashMap<>();

        Phase(String name, int units) throws LoadException {
            this.name = name;
            this.units = units;
            this.cpuBefore = processes.cpuSeconds();
        }

        void agentsDone() {
            double seconds = (System.nanoTime() - begin) / 1e9;
            figures.put("seconds", rounded(seconds));
            figures.put("perSecond", rounded(units / seconds));
        }

        void apiDone() throws LoadException {
            figures.put("untilApiSeconds", rounded((System.nanoTime() - begin) / 1e9));
            if (!processes.isEmpty()) {
                List<Double> after = processes.cpuSeconds();
                double sum = 0;
                List<Object> each = new ArrayList<>();
                for (int i = 0; i < after.size(); i++) {
                    double used = after.get(i) - cpuBefore.get(i);
                    sum += used;
                    each.add(rounded(used));
                }
                figures.put("cpuSeconds", each);
                figures.put("cpuMillisEach", rounded(1000 * sum / units));
            }
            result.put(name, figures);
            say(name + ": " + figures);
        }
    }

    /** Reads through the API all the time that services change, as users do who look what becomes of them. */
    private final class Probe implements AutoCloseable {
        private final DockerApi api;
        private final Map<String, Latencies> into;
        private final CountDownLatch end = new CountDownLatch(1);
        private final Thread thread =
                Thread.ofPlatform().daemon().name("load-probe").unstarted(this::run);
        private volatile boolean paused;

        Probe(DockerApi api, Map<String, Latencies> into) {
            this.api = api;
            this.into = into;
        }

        void start() {
            thread.start();
        }

        void pause() {
            paused = true;
        }

        void resume() {
            paused = false;
        }

        private void run() {
            try {
                while (!end.await(PROBE_MILLIS, TimeUnit.MILLISECONDS)) {
                    if (!paused) {
                        var _ = api.getList("service by name", "/services?filters=" + filter("name", PREFIX + 0));
                    }
                }
            } catch (LoadException e) {
                say("a reader of the API failed: " + e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() throws InterruptedException {
            end.countDown();
            thread.join();
            into.putAll(api.latencies());
        }
    }
}
