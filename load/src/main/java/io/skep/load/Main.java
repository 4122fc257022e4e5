package io.skep.load;

import io.avaje.json.mapper.JsonMapper;
import io.skep.certs.CredentialException;
import io.skep.certs.JoinToken;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** The entry point of {@code load}. Exit codes: 0 done, 1 it could not be done, 2 it was called in a wrong way. */
@Command(
        name = "load",
        description =
                "Joins agents that run nothing to a swarm of Skep or of Docker, lets services run on them, and"
                        + " reports what that costs the managers. With `load table FILE...`: prints earlier results side by side.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class Main implements Callable<Integer> {
    private static final JsonMapper JSON = JsonMapper.builder().build();

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Option(
            names = "--manager",
            required = true,
            paramLabel = "HOST:PORT",
            description = "Where agents join; given several times, agents go there by turns.")
    private List<String> managers = List.of();

    @Option(names = "--token", required = true, description = "Join token of workers.")
    private String token = "";

    @Option(
            names = "--api",
            required = true,
            paramLabel = "ADDRESS",
            description = "Docker API of a manager: unix:///PATH or tcp://HOST:PORT.")
    private String api = "";

    @Option(
            names = "--api-certificates",
            paramLabel = "FOLDER",
            description = "Folder with ca.pem, cert.pem and key.pem for an API over TLS.")
    private @Nullable Path apiCertificates;

    @Option(names = "--agents", required = true, paramLabel = "N", description = "How many agents join.")
    private int agents;

    @Option(
            names = "--agents-first",
            defaultValue = "0",
            paramLabel = "N",
            description = "How many of them join before the others and are measured apart from them, because a manager"
                    + " that has just started has yet to compile what it runs (${DEFAULT-VALUE}).")
    private int agentsFirst;

    @Option(names = "--tasks", required = true, paramLabel = "R", description = "How many tasks the services have.")
    private int tasks;

    @Option(
            names = "--services",
            paramLabel = "S",
            defaultValue = "10",
            description = "Over how many services the tasks are spread (${DEFAULT-VALUE}).")
    private int services;

    @Option(
            names = "--steps",
            split = ",",
            defaultValue = "create,scale,update,remove",
            description = "What is done once all have joined, in this order (${DEFAULT-VALUE}).")
    private List<String> steps = List.of();

    @Option(
            names = "--join-parallel",
            paramLabel = "N",
            defaultValue = "20",
            description = "How many agents join at a time (${DEFAULT-VALUE}).")
    private int joinParallel;

    @Option(
            names = "--prepare-millis",
            paramLabel = "MS",
            defaultValue = "200",
            description = "How long an agent takes to make a container, on average (${DEFAULT-VALUE}).")
    private int prepareMillis;

    @Option(
            names = "--start-millis",
            paramLabel = "MS",
            defaultValue = "300",
            description = "… to start it (${DEFAULT-VALUE}).")
    private int startMillis;

    @Option(
            names = "--stop-millis",
            paramLabel = "MS",
            defaultValue = "100",
            description = "… to stop it (${DEFAULT-VALUE}).")
    private int stopMillis;

    @Option(
            names = "--statuses-per-call",
            paramLabel = "N",
            defaultValue = "1",
            description = "How many states an agent reports in one call: 1 as a Docker Engine, 100 as an agent of"
                    + " Skep (${DEFAULT-VALUE}).")
    private int statusesPerCall;

    @Option(
            names = "--idle-seconds",
            paramLabel = "S",
            defaultValue = "0",
            description = "Measures the managers for so long while nothing happens, after the joins and while the"
                    + " tasks run (${DEFAULT-VALUE}).")
    private int idleSeconds;

    @Option(
            names = "--timeout-seconds",
            paramLabel = "S",
            defaultValue = "600",
            description = "After which a step has failed (${DEFAULT-VALUE}).")
    private int timeoutSeconds;

    @Option(
            names = "--manager-pid",
            split = ",",
            paramLabel = "PID",
            description = "Processes of the managers on this machine, whose CPU time and memory are measured.")
    private List<Long> managerPids = new ArrayList<>();

    @Option(
            names = "--manager-log",
            split = ",",
            paramLabel = "FOLDER",
            description = "Folders of the managers' logs, such as DATA-ROOT/swarm/raft, whose growth is measured.")
    private List<Path> managerLogs = new ArrayList<>();

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Of all that is drawn by lot but the keys (${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--label", defaultValue = "", description = "Name of the managers in the report.")
    private String label = "";

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Appends the result to this file, as one line of JSON.")
    private @Nullable Path json;

    private Main() {}

    public static void main(String[] arguments) {
        System.exit(run(
                new PrintWriter(System.out, true, StandardCharsets.UTF_8),
                new PrintWriter(System.err, true, StandardCharsets.UTF_8),
                arguments));
    }

    static int run(PrintWriter out, PrintWriter err, String... arguments) {
        // Not a subcommand of picocli's: the options that a run must have would be demanded of it as well.
        boolean table = arguments.length > 0 && arguments[0].equals("table");
        return new CommandLine(table ? new Table() : new Main())
                .setOut(out)
                .setErr(err)
                .setUsageHelpAutoWidth(true)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler((failure, given) -> {
                    err.println("load: " + failure.getMessage() + "; see: load --help");
                    return CommandLine.ExitCode.USAGE;
                })
                .setExecutionExceptionHandler((failure, command, parsed) -> {
                    if (failure instanceof LoadException) {
                        err.println("load: " + failure.getMessage());
                    } else {
                        failure.printStackTrace(err);
                    }
                    return CommandLine.ExitCode.SOFTWARE;
                })
                .execute(table ? Arrays.copyOfRange(arguments, 1, arguments.length) : arguments);
    }

    @Override
    public Integer call() throws LoadException, InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        LoadRun.Plan plan = plan();
        ManagerProcesses processes = new ManagerProcesses(managerPids, managerLogs);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("label", label);
        result.putAll(new LoadRun(plan, processes, spec.commandLine().getErr()).run());
        if (json != null) {
            try {
                Files.writeString(
                        json, JSON.toJson(result) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new LoadException("the result cannot be written to " + json + ": " + e.getMessage(), e);
            }
        }
        out.print(ResultTable.of(List.of(result)));
        out.flush();
        return CommandLine.ExitCode.OK;
    }

    private LoadRun.Plan plan() {
        atLeast("--agents", agents, 1);
        atLeast("--agents-first", agentsFirst, 0);
        atLeast("--tasks", tasks, 1);
        atLeast("--services", services, 1);
        atLeast("--join-parallel", joinParallel, 1);
        atLeast("--prepare-millis", prepareMillis, 0);
        atLeast("--start-millis", startMillis, 0);
        atLeast("--stop-millis", stopMillis, 0);
        atLeast("--statuses-per-call", statusesPerCall, 1);
        atLeast("--idle-seconds", idleSeconds, 0);
        atLeast("--timeout-seconds", timeoutSeconds, 1);
        if (agentsFirst >= agents) {
            throw wrong("--agents-first is " + agentsFirst + ", but must be less than the " + agents + " of --agents");
        }
        if (services > tasks) {
            throw wrong("--services is " + services + ", more than the " + tasks + " of --tasks: each needs a task");
        }
        try {
            List<InetSocketAddress> addresses =
                    managers.stream().map(Endpoint::parse).toList();
            List<LoadRun.Step> wanted = new ArrayList<>();
            for (String step : steps) {
                wanted.add(step(step));
            }
            return new LoadRun.Plan(
                    addresses,
                    JoinToken.parse(token),
                    DockerApi.Target.parse(api, apiCertificates),
                    agents,
                    agentsFirst,
                    tasks,
                    services,
                    joinParallel,
                    List.copyOf(wanted),
                    idleSeconds,
                    timeoutSeconds,
                    new AgentSettings(prepareMillis, startMillis, stopMillis, statusesPerCall),
                    seed);
        } catch (CredentialException | IllegalArgumentException e) {
            throw wrong(String.valueOf(e.getMessage()));
        }
    }

    private static LoadRun.Step step(String name) {
        try {
            return LoadRun.Step.valueOf(name.strip().toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "there is no step '" + name + "'; steps are create, scale, update and remove", e);
        }
    }

    private void atLeast(String option, int value, int least) {
        if (value < least) {
            throw wrong(option + " is " + value + ", but must be at least " + least);
        }
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    /** Prints results of earlier runs side by side. */
    @Command(
            name = "load table",
            description = "Prints results that --json has written as one table in Markdown.",
            mixinStandardHelpOptions = true)
    static final class Table implements Callable<Integer> {
        @Spec
        private CommandSpec spec = CommandSpec.create();

        @Parameters(arity = "1..*", paramLabel = "FILE", description = "Files with one result in each line.")
        private List<Path> files = List.of();

        @Override
        public Integer call() throws LoadException {
            List<Map<String, Object>> results = new ArrayList<>();
            for (Path file : files) {
                try {
                    for (String line : Files.readAllLines(file)) {
                        if (!line.isBlank()) {
                            results.add(JSON.fromJsonObject(line));
                        }
                    }
                } catch (IOException e) {
                    throw new LoadException("the results in " + file + " cannot be read: " + e.getMessage(), e);
                }
            }
            spec.commandLine().getOut().print(ResultTable.of(results));
            spec.commandLine().getOut().flush();
            return CommandLine.ExitCode.OK;
        }
    }
}
