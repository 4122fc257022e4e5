package io.skep.simulation;

import com.google.protobuf.Timestamp;
import io.skep.agent.StatusReporter;
import io.skep.agent.TaskRunner;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The containers of one simulated node: they start, run, fail, hang, are slow and stop, as the name of their image says
 * and the seed decides. All end with the program that runs them.
 */
final class SimulatedRunner implements TaskRunner {
    /** Hears of what truly runs on the node. */
    interface Witness {
        void assigned(Task task);

        void starts(Task task);

        void ends(String taskId);

        /** A task cannot start, because a secret or config that it uses is not here. */
        void misses(Task task, String dependency);
    }

    /** Starts and runs. */
    static final String GOOD = "good";

    /** Never starts. */
    static final String BAD = "bad";

    /** Fails after a while. */
    static final String FLAKY = "flaky";

    /** Takes its time to come and to go. */
    static final String SLOW = "slow";

    /** Is never there to be started, and does not say so. */
    static final String HANGING = "hanging";

    /** Is refused by the node. */
    static final String REFUSED = "refused";

    static final List<String> IMAGES = List.of(GOOD, GOOD, GOOD, BAD, FLAKY, FLAKY, SLOW, HANGING, REFUSED);

    private final class Container {
        Task task;
        final StatusReporter reporter;
        TaskState state = TaskState.ASSIGNED;
        boolean stopping;
        boolean underWay;

        Container(Task task, StatusReporter reporter) {
            this.task = task;
            this.reporter = reporter;
        }

        private boolean is(String image) {
            return !isCalm.getAsBoolean()
                    && task.getSpec().getContainer().getImage().startsWith(image);
        }

        private void become(TaskState next, String error) {
            if (next.getNumber() <= state.getNumber()) {
                throw verdict.broken("task states never go back", task.getId() + " is " + state + ", not " + next);
            }
            boolean ran = isRunning();
            state = next;
            if (!ran && isRunning()) {
                witness.starts(task);
            } else if (ran && !isRunning()) {
                witness.ends(task.getId());
            }
            Instant now = process.instant();
            reporter.report(
                    task.getId(),
                    TaskStatus.newBuilder()
                            .setState(next)
                            .setErr(error)
                            .setTimestamp(Timestamp.newBuilder()
                                    .setSeconds(now.getEpochSecond())
                                    .setNanos(now.getNano()))
                            .build());
        }

        private boolean isRunning() {
            return state == TaskState.STARTING || state == TaskState.RUNNING;
        }

        private boolean isOver() {
            return state.getNumber() > TaskState.RUNNING_VALUE;
        }

        private void later(int millisMax, Runnable what) {
            int bound = is(SLOW) ? 20 * millisMax : millisMax;
            underWay = true;
            process.time()
                    .afterNanos(
                            1_000_000L * (1 + random.nextInt(bound)),
                            () -> process.run(() -> {
                                underWay = false;
                                if (containers.get(task.getId()) == this && !isOver()) {
                                    what.run();
                                    advance();
                                }
                            }));
        }

        /** Does the next thing that is to be done. */
        void advance() {
            if (isOver() || underWay) {
                return;
            }
            if (task.getDesiredStateValue() >= TaskState.SHUTDOWN_VALUE) {
                if (!stopping) {
                    stopping = true;
                    later(isRunning() ? 500 : 5, () -> become(TaskState.SHUTDOWN, ""));
                }
                return;
            }
            switch (state) {
                case ASSIGNED -> {
                    if (is(REFUSED) && random.nextBoolean()) {
                        become(TaskState.REJECTED, "no such image");
                    } else {
                        become(TaskState.ACCEPTED, "");
                        advance();
                    }
                }
                case ACCEPTED -> {
                    become(TaskState.PREPARING, "");
                    advance();
                }
                case PREPARING -> {
                    if (is(HANGING)) {
                        later(2000, () -> {});
                    } else {
                        later(300, () -> {
                            if (task.getDesiredStateValue() < TaskState.SHUTDOWN_VALUE) {
                                become(TaskState.READY, "");
                            }
                        });
                    }
                }
                case READY -> {
                    if (task.getDesiredState() != TaskState.READY) {
                        String missing = missing(task);
                        if (missing != null) {
                            witness.misses(task, missing);
                            become(TaskState.REJECTED, missing + " is not there");
                            return;
                        }
                        become(TaskState.STARTING, "");
                        later(200, () -> {
                            if (is(BAD)) {
                                become(TaskState.FAILED, "exit 1");
                            } else if (task.getDesiredStateValue() < TaskState.SHUTDOWN_VALUE) {
                                become(TaskState.RUNNING, "");
                            }
                        });
                    }
                }
                case STARTING -> later(50, () -> become(TaskState.RUNNING, ""));
                case RUNNING -> run();
                default -> throw new IllegalStateException("a container cannot be " + state);
            }
        }

        private void run() {
            if (task.getDesiredState() == TaskState.COMPLETE) {
                later(3000, () -> {
                    if (task.getDesiredState() == TaskState.COMPLETE) {
                        become(TaskState.COMPLETE, "");
                    }
                });
            } else if (is(FLAKY)) {
                long lifeMillis = 100L + random.nextInt(20_000);
                String id = task.getId();
                process.time()
                        .afterNanos(
                                1_000_000L * lifeMillis,
                                () -> process.run(() -> {
                                    if (containers.get(id) == this && state == TaskState.RUNNING && is(FLAKY)) {
                                        become(
                                                random.nextInt(4) == 0 ? TaskState.COMPLETE : TaskState.FAILED,
                                                "exit 2");
                                    }
                                }));
            }
        }
    }

    private final SimulatedProcess process;
    private final Random random;
    private final Witness witness;
    private final Verdict verdict;
    private final BooleanSupplier isCalm;
    private final Map<String, Container> containers = new LinkedHashMap<>();
    private final Set<String> secrets = new HashSet<>();
    private final Set<String> configs = new HashSet<>();

    /**
     * Makes it.
     *
     * @param isCalm whether all images are good by now
     */
    SimulatedRunner(SimulatedProcess process, Random random, Witness witness, Verdict verdict, BooleanSupplier isCalm) {
        this.process = process;
        this.random = random;
        this.witness = witness;
        this.verdict = verdict;
        this.isCalm = isCalm;
    }

    @Override
    public String unavailable() {
        return "";
    }

    @Override
    public void provide(List<Secret> newSecrets, List<Config> newConfigs) {
        secrets.clear();
        configs.clear();
        newSecrets.forEach(secret -> secrets.add(secret.getId()));
        newConfigs.forEach(config -> configs.add(config.getId()));
    }

    /** Returns a secret or config that a task uses and that is not here, or null. */
    private @Nullable String missing(Task task) {
        for (SecretReference reference : task.getSpec().getContainer().getSecretsList()) {
            if (!secrets.contains(reference.getSecretId())) {
                return reference.getSecretId();
            }
        }
        for (ConfigReference reference : task.getSpec().getContainer().getConfigsList()) {
            if (!configs.contains(reference.getConfigId())) {
                return reference.getConfigId();
            }
        }
        return null;
    }

    @Override
    public void assign(Task task, StatusReporter reporter) {
        witness.assigned(task);
        Container known = containers.get(task.getId());
        if (known == null) {
            Container made = new Container(task, reporter);
            containers.put(task.getId(), made);
            int told = task.getStatus().getStateValue();
            if (told > TaskState.RUNNING_VALUE) {
                made.state = task.getStatus().getState();
            } else if (told > TaskState.READY_VALUE) {
                // It ran here before this program began, and ended with the one before.
                made.state = task.getStatus().getState();
                made.become(TaskState.FAILED, "the container is gone");
            } else {
                made.advance();
            }
            return;
        }
        if (task.getDesiredStateValue() < known.task.getDesiredStateValue()) {
            throw verdict.broken("task states never go back", task.getId() + " is wanted less than before");
        }
        known.task = task;
        known.advance();
    }

    @Override
    public void remove(String taskId) {
        Container known = containers.remove(taskId);
        if (known != null && known.isRunning()) {
            witness.ends(taskId);
        }
    }

    /** The program ended, and all containers with it. */
    void crash() {
        for (Container each : containers.values()) {
            if (each.isRunning()) {
                witness.ends(each.task.getId());
            }
        }
        containers.clear();
    }

    Collection<String> secrets() {
        return secrets;
    }

    Collection<String> configs() {
        return configs;
    }

    Collection<String> tasks() {
        return containers.keySet();
    }

    /** Returns the state of a task here, or null when it is not known here. */
    @Nullable
    TaskState state(String taskId) {
        Container known = containers.get(taskId);
        return known == null ? null : known.state;
    }
}
