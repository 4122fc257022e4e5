package io.skep.daemon;

import io.skep.agent.HostDescription;
import io.skep.api.ApiServer;
import io.skep.api.EngineInfo;
import io.skep.daemon.config.Configuration;
import io.skep.daemon.config.Configuration.LogLevel;
import io.skep.daemon.config.Configuration.TlsMode;
import io.skep.daemon.config.ConfigurationException;
import io.skep.daemon.config.LoadedConfiguration;
import io.skep.daemon.node.NodeRunner;
import io.skep.daemon.node.NodeSettings;
import io.skep.engine.Engine;
import io.skep.engine.EngineException;
import io.skep.engine.EngineExecutor;
import io.skep.engine.EngineSettings;
import io.skep.engine.NetworkSettings;
import io.skep.engine.TaskNode;
import io.skep.wire.NodeDescription;
import java.io.IOException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of a daemon: its parts are started in order, it runs until it is told to stop, and the parts are closed in
 * the opposite order.
 *
 * <p>Threads: the caller's, which starts and then waits; one for the chores of {@link #housekeeping}; one for each
 * signal that comes. The configuration is replaced as a whole at a reload; what cannot change while the daemon runs
 * keeps its value of the start.
 */
final class Daemon {
    private static final Logger LOG = LoggerFactory.getLogger(Daemon.class);
    private static final int FORCED = 1;
    private static final String WITHOUT_EXECUTOR = "Skep runs no containers on this node: ";
    private static final Duration CERTIFICATE_CHECK = Duration.ofSeconds(2);
    private static final Duration EXPIRY_CHECK = Duration.ofHours(1);

    private final Supplier<LoadedConfiguration> reader;
    private final ServiceManager serviceManager;
    private final StopSignal stop = new StopSignal();
    private final Deque<Part> parts = new ArrayDeque<>();
    private final ScheduledExecutorService housekeeping = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("housekeeping").factory());
    private final LoadedConfiguration atStart;
    private volatile Configuration configuration;
    private String withoutExecutor = "";
    private volatile @Nullable ServerCertificates certificates;

    /** Something that was started and has to be closed. */
    private record Part(String name, AutoCloseable resource) {}

    /** @param reader reads the configuration anew, for a reload */
    Daemon(LoadedConfiguration atStart, Supplier<LoadedConfiguration> reader, ServiceManager serviceManager) {
        this.atStart = atStart;
        this.configuration = atStart.configuration();
        this.reader = reader;
        this.serviceManager = serviceManager;
    }

    /**
     * Starts, serves, stops; returns the exit code.
     *
     * @param whenReady called once the API is served
     */
    int run(Runnable whenReady) throws StartException {
        Signals.handle("TERM", this::end);
        Signals.handle("INT", this::end);
        try {
            start();
        } catch (StartException e) {
            close();
            throw e;
        }
        serviceManager.ready();
        LOG.info("skepd {} is ready", Version.CURRENT.version());
        whenReady.run();
        awaitStop();
        return stop();
    }

    /** Ends the daemon as a signal does. */
    void end() {
        stop.raise();
    }

    private void start() throws StartException {
        atStart.file().ifPresent(file -> LOG.info("configuration read from {}", file));

        DataFolder dataFolder = keep("data-root", DataFolder.open(configuration.dataRoot()));
        DataFolder.create(configuration.execRoot(), "rwx--x--x", "exec-root");
        keep("pidfile", PidFile.write(configuration.pidFile()));

        ServerCertificates serverCertificates = null;
        if (configuration.tls().mode() != TlsMode.OFF) {
            serverCertificates = ServerCertificates.open(configuration.tls());
            certificates = serverCertificates;
            repeat(CERTIFICATE_CHECK, serverCertificates::check);
            repeat(EXPIRY_CHECK, serverCertificates::logExpiry);
        }

        Engine engine = engine();
        Listeners listeners = keep("listeners", new Listeners(configuration, serviceManager, serverCertificates));
        NodeRunner node = new NodeRunner(nodeSettings(engine == null ? null : tasksOn(engine)));
        ApiServer server = keep("API server", new ApiServer(engineInfo(dataFolder.engineId()), node, engine));
        // Closed first, so that callers here are still answered while leadership goes to another manager.
        keep("node", node);
        node.start();
        if (configuration.metricsAddress().isPresent()) {
            keep("metrics", Metrics.serve(configuration.metricsAddress().get(), Version.CURRENT, node));
        }
        listeners.open(server);
        Signals.handle("HUP", () -> housekeeping.execute(this::reload));
    }

    /** Begins to start the engine; without one this node is a manager only. */
    private @Nullable Engine engine() {
        Configuration.Engine wanted = configuration.engine();
        if (!wanted.wanted()) {
            withoutExecutor = WITHOUT_EXECUTOR + "its engine is \"none\"";
            LOG.info("this node runs no containers: its engine is \"none\"");
            return null;
        }
        List<NetworkSettings.Pool> pools = configuration.defaultAddressPools().stream()
                .map(each -> NetworkSettings.Pool.of(each.base(), each.size()))
                .toList();
        EngineSettings settings = new EngineSettings(
                configuration.dataRoot(),
                configuration.execRoot(),
                wanted.containerd(),
                wanted.runtimes(),
                wanted.defaultRuntime(),
                wanted.cgroupParent(),
                wanted.registries(),
                NetworkSettings.ofPools(pools));
        try {
            return keep("engine", new Engine(settings));
        } catch (EngineException | IOException e) {
            withoutExecutor = WITHOUT_EXECUTOR + String.valueOf(e.getMessage()).replaceAll("[^ -~]", "?");
            LOG.warn("this node runs no containers, as with engine \"none\": {}", e.getMessage());
            return null;
        }
    }

    private EngineExecutor tasksOn(Engine engine) {
        NodeDescription machine = new HostDescription("", Map.of(), List.of(), List.of()).get();
        return keep(
                "tasks",
                new EngineExecutor(
                        engine,
                        () -> new TaskNode(
                                HostDescription.hostname(),
                                machine.getPlatform().getArchitecture(),
                                machine.getPlatform().getOs()),
                        configuration.execRoot().resolve("tasks")));
    }

    private NodeSettings nodeSettings(@Nullable EngineExecutor executor) {
        Configuration.Swarm swarm = configuration.swarm();
        return new NodeSettings(
                configuration.dataRoot(),
                Version.CURRENT.version(),
                () -> configuration.labels(),
                configuration.nodeGenericResources(),
                executor,
                withoutExecutor,
                swarm.defaultAdvertiseAddress(),
                swarm.advertiseAddress(),
                swarm.managers().stream().map(Configuration.Endpoint::toString).toList(),
                Clock.systemUTC());
    }

    private EngineInfo engineInfo(String engineId) {
        return new EngineInfo(
                engineId,
                HostDescription.hostname(),
                Version.CURRENT.version(),
                Version.CURRENT.commit(),
                "",
                configuration.dataRoot(),
                this::labels,
                () -> configuration.log().level().compareTo(LogLevel.DEBUG) <= 0,
                this::warnings);
    }

    private List<String> labels() {
        return configuration.labels().entrySet().stream()
                .map(label -> label.getKey() + "=" + label.getValue())
                .toList();
    }

    private List<String> warnings() {
        ServerCertificates current = certificates;
        return current == null ? List.of() : current.expiryWarnings(Instant.now());
    }

    private <T extends AutoCloseable> T keep(String name, T resource) {
        parts.push(new Part(name, resource));
        return resource;
    }

    private void repeat(Duration period, Runnable chore) {
        Runnable guarded = () -> {
            try {
                chore.run();
            } catch (RuntimeException e) {
                LOG.error("a chore failed; it is tried again in {}", period, e);
            }
        };
        var _ = housekeeping.scheduleWithFixedDelay(guarded, 0, period.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Takes over what can change while the daemon runs; a mistake leaves all as it was. */
    private void reload() {
        try {
            LoadedConfiguration next = reader.get();
            configuration = configuration.reloaded(next.configuration());
            StandardErrorLog.configure(configuration.log());
            List<String> later = atStart.changesThatNeedRestart(next);
            if (!later.isEmpty()) {
                LOG.warn("reload: {} changed, which takes effect at the next start", String.join(", ", later));
            }
            LOG.info("configuration reloaded");
        } catch (ConfigurationException mistake) {
            LOG.warn("configuration not reloaded, the old one stays in use: {}", mistake.getMessage());
        }
        ServerCertificates current = certificates;
        if (current != null) {
            current.reload();
        }
    }

    private void awaitStop() {
        try {
            stop.await();
        } catch (InterruptedException _) {
            LOG.debug("interrupted, which means to stop");
        }
    }

    private int stop() {
        LOG.info("stopping");
        serviceManager.stopping();
        StopSignal.End end = stop.run(this::close, configuration.shutdownTimeout());
        return switch (end) {
            case CLEAN -> {
                LOG.info("stopped");
                yield 0;
            }
            case TIMEOUT -> {
                LOG.warn("not stopped within shutdown-timeout; ending at once");
                yield FORCED;
            }
            case INSISTED -> {
                LOG.warn("second signal: ending at once");
                yield FORCED;
            }
        };
    }

    private void close() {
        housekeeping.shutdownNow();
        while (!parts.isEmpty()) {
            Part part = parts.pop();
            try {
                part.resource().close();
            } catch (Exception e) {
                LOG.error("{} could not be closed", part.name(), e);
            }
        }
    }
}
