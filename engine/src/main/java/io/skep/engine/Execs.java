package io.skep.engine;

import io.skep.engine.record.ExecConfig;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * All further processes of containers, by id.
 *
 * <p>One that is over can be asked for its exit code for {@value #KEPT_MINUTES} minutes more. One that was made and
 * never started goes with the run of its container. Both are thrown out when the next one is made, so there are never
 * more than were made in that time.
 */
public final class Execs {
    private static final int KEPT_MINUTES = 5;
    private static final Duration KEPT = Duration.ofMinutes(KEPT_MINUTES);
    private static final int ID_BYTES = 32;

    private final ContainerParts parts;
    private final SecureRandom random = new SecureRandom();
    private final Map<String, Exec> byId = new ConcurrentHashMap<>();

    Execs(ContainerParts parts) {
        this.parts = parts;
    }

    /** Makes a process for a container that runs. */
    public Exec create(Container container, ExecConfig config) {
        if (config.getCmdCount() == 0 || config.getCmd(0).isEmpty()) {
            throw EngineException.invalid("No exec command specified");
        }
        Exec exec = add(container, config);
        container.tell("exec_create: " + exec.command(), Map.of("execID", exec.id()));
        return exec;
    }

    /** Makes a process that nobody but the caller hears of. */
    private Exec add(Container container, ExecConfig config) {
        container.requireProcesses();
        forgetOld();
        byte[] bytes = new byte[ID_BYTES];
        random.nextBytes(bytes);
        Exec exec = new Exec(parts, container, HexFormat.of().formatHex(bytes), config);
        byId.put(exec.id(), exec);
        return exec;
    }

    private void forgetOld() {
        Instant now = parts.clock().instant();
        byId.values().removeIf(each -> {
            Instant over = each.over();
            return over != null
                    ? over.plus(KEPT).isBefore(now)
                    : !each.isRunning() && !each.container().isRunning();
        });
    }

    /** Returns a process, whose container must run unless the process is over. */
    public Exec require(String id) {
        Exec exec = byId.get(id);
        if (exec == null) {
            throw EngineException.notFound("No such exec instance: " + id);
        }
        return exec;
    }

    /** Returns the ids of the processes of a container that are not over, as its inspection shows them. */
    public List<String> of(Container container) {
        return byId.values().stream()
                .filter(each -> each.container() == container && each.over() == null && container.isRunning())
                .map(Exec::id)
                .sorted()
                .toList();
    }
}
