package io.skep.engine;

import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.HealthConfig;
import io.skep.engine.record.HealthProbe;
import io.skep.engine.record.HealthRecord;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks a container again and again, by a process in it, whether it is well, as long as one run lasts.
 *
 * <p>The next probe is due when the last one is over, so there is never more than one. A failure counts only after the
 * start period, or once the container has been well; as many in a row as {@code retries} says make it unhealthy. The
 * last {@value #PROBES_KEPT} probes are kept, with up to {@value #OUTPUT_BYTES_MAX} bytes of what each wrote.
 */
final class HealthMonitor {
    static final String STARTING = "starting";
    static final String HEALTHY = "healthy";
    static final String UNHEALTHY = "unhealthy";

    private static final Logger LOG = LoggerFactory.getLogger(HealthMonitor.class);
    private static final int PROBES_KEPT = 5;
    private static final int OUTPUT_BYTES_MAX = 4096;
    private static final int TIMED_OUT_CODE = -1;
    private static final Duration INTERVAL = Duration.ofSeconds(30);
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final Duration START_INTERVAL = Duration.ofSeconds(5);
    private static final Duration KILL_TIMEOUT = Duration.ofSeconds(5);
    private static final int RETRIES = 3;
    private static final long MILLISECOND_NANOS = 1_000_000;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final ContainerParts parts;
    private final Container container;
    private final HealthConfig config;
    private final List<String> command;
    private @Nullable Future<?> next;
    private boolean stopped;

    private HealthMonitor(ContainerParts parts, Container container, List<String> command) {
        this.parts = parts;
        this.container = container;
        this.config = container.record().getConfig().getHealthcheck();
        this.command = command;
    }

    /** Returns one for a container that has a check, else null. */
    static @Nullable HealthMonitor of(ContainerParts parts, Container container) {
        List<String> command = command(container.record().getConfig());
        return command.isEmpty() ? null : new HealthMonitor(parts, container, command);
    }

    /** Refuses a check that cannot be made. */
    static void check(Config config) {
        HealthConfig health = config.getHealthcheck();
        for (String test : health.getTestList().stream().limit(1).toList()) {
            if (!List.of("NONE", "CMD", "CMD-SHELL").contains(test)) {
                throw EngineException.invalid("Unknown healthcheck type '" + test + "' (expected 'CMD')");
            }
        }
        checkTime("Interval", health.getInterval());
        checkTime("Timeout", health.getTimeout());
        checkTime("StartPeriod", health.getStartPeriod());
        checkTime("StartInterval", health.getStartInterval());
        if (health.getRetries() < 0) {
            throw EngineException.invalid("Retries in Healthcheck cannot be negative");
        }
    }

    private static void checkTime(String name, long nanos) {
        if (nanos != 0 && nanos < MILLISECOND_NANOS) {
            throw EngineException.invalid(name + " in Healthcheck cannot be less than 1ms");
        }
    }

    private static List<String> command(Config config) {
        List<String> test = config.getHealthcheck().getTestList();
        if (test.size() < 2) {
            return List.of();
        }
        return switch (test.getFirst()) {
            case "CMD" -> test.subList(1, test.size());
            case "CMD-SHELL" -> {
                List<String> all =
                        new ArrayList<>(config.getShellCount() > 0 ? config.getShellList() : List.of("/bin/sh", "-c"));
                all.add(test.get(1));
                yield all;
            }
            default -> List.of();
        };
    }

    /** Returns what is known of the health of a container that begins a run. */
    static HealthRecord begun(HealthRecord before) {
        return before.toBuilder().setStatus(STARTING).setFailingStreak(0).build();
    }

    /** Plans the first probe. */
    synchronized void start() {
        if (!stopped) {
            boolean starting = isStarting();
            Duration pause = starting && config.getStartPeriod() > 0
                    ? orElse(config.getStartInterval(), START_INTERVAL)
                    : orElse(config.getInterval(), INTERVAL);
            try {
                next = parts.timer()
                        .schedule(() -> parts.executor().execute(this::probe), pause.toMillis(), TimeUnit.MILLISECONDS);
            } catch (RejectedExecutionException e) {
                LOG.debug("the engine is stopping");
            }
        }
    }

    private boolean isStarting() {
        ContainerState state = container.record().getState();
        return state.getHealth().getStatus().equals(STARTING)
                && parts.clock()
                        .instant()
                        .isBefore(Times.of(state.getStartedAt()).plusNanos(config.getStartPeriod()));
    }

    private static Duration orElse(long nanos, Duration normal) {
        return nanos == 0 ? normal : Duration.ofNanos(nanos);
    }

    /** Makes an end; a probe that is under way counts no more. */
    synchronized void stop() {
        stopped = true;
        if (next != null) {
            next.cancel(false);
        }
    }

    private synchronized boolean isStopped() {
        return stopped;
    }

    private void probe() {
        if (container.record().getState().getStatus() == ContainerStatus.RUNNING) {
            try {
                Instant begun = parts.clock().instant();
                HealthProbe.Builder probe = ask();
                if (!isStopped()) {
                    note(probe.setStart(Times.of(begun))
                            .setEnd(Times.of(parts.clock().instant()))
                            .build());
                }
            } catch (InterruptedException e) {
                return;
            } catch (RuntimeException e) {
                LOG.warn(
                        "The health of container {} cannot be told: {}",
                        container.record().getName(),
                        e.getMessage());
            }
        }
        start();
    }

    private HealthProbe.Builder ask() throws InterruptedException {
        byte[] id = new byte[32];
        RANDOM.nextBytes(id);
        Exec exec = new Exec(
                parts,
                container,
                HexFormat.of().formatHex(id),
                ExecConfig.newBuilder()
                        .addAllCmd(command)
                        .setAttachStdout(true)
                        .setAttachStderr(true)
                        .build());
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        exec.listen(new Output.Listener() {
            @Override
            public void bytes(OutputStreamKind stream, byte[] bytes, int length) {
                synchronized (output) {
                    output.write(bytes, 0, Math.min(length, OUTPUT_BYTES_MAX - output.size()));
                }
            }

            @Override
            public void end() {
                // The exit code is awaited.
            }
        });
        HealthProbe.Builder probe = HealthProbe.newBuilder();
        try {
            exec.start(false, 0, 0);
        } catch (EngineException e) {
            int code = exec.exit().isDone() ? exec.exit().join() : TIMED_OUT_CODE;
            return probe.setExitCode(code).setOutput(e.text());
        }
        Duration timeout = orElse(config.getTimeout(), TIMEOUT);
        try {
            probe.setExitCode(exec.exit().get(timeout.toNanos(), TimeUnit.NANOSECONDS));
            synchronized (output) {
                probe.setOutput(output.toString(StandardCharsets.UTF_8));
            }
        } catch (TimeoutException e) {
            exec.kill(Signals.KILL);
            probe.setExitCode(TIMED_OUT_CODE).setOutput("Health check exceeded timeout (" + text(timeout) + ")");
            try {
                // So that no two run at a time.
                exec.exit().get(KILL_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException | ExecutionException late) {
                LOG.debug("a probe of {} does not end", container.id());
            }
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
        return probe;
    }

    private static String text(Duration timeout) {
        return timeout.toMillis() % 1000 == 0 ? timeout.toSeconds() + "s" : timeout.toMillis() + "ms";
    }

    private void note(HealthProbe probe) {
        boolean lenient = isStarting();
        int retries = config.getRetries() == 0 ? RETRIES : config.getRetries();
        container.noteHealth(before -> {
            HealthRecord.Builder health = before.toBuilder();
            health.clearProbes();
            List<HealthProbe> probes = before.getProbesList();
            health.addAllProbes(probes.subList(Math.max(0, probes.size() + 1 - PROBES_KEPT), probes.size()));
            health.addProbes(probe);
            if (probe.getExitCode() == 0) {
                return health.setStatus(HEALTHY).setFailingStreak(0).build();
            }
            if (lenient) {
                return health.build();
            }
            health.setFailingStreak(before.getFailingStreak() + 1);
            if (health.getFailingStreak() >= retries) {
                health.setStatus(UNHEALTHY);
            }
            return health.build();
        });
    }
}
