package io.skep.control;

import com.google.protobuf.Duration;
import com.google.protobuf.ProtocolMessageEnum;
import io.skep.control.CommandException.Code;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.EndpointSpec;
import io.skep.wire.FileTarget;
import io.skep.wire.GenericResource;
import io.skep.wire.HealthConfig;
import io.skep.wire.Mount;
import io.skep.wire.PortConfig;
import io.skep.wire.Resources;
import io.skep.wire.RestartPolicy;
import io.skep.wire.SecretReference;
import io.skep.wire.ServiceSpec;
import io.skep.wire.TaskSpec;
import io.skep.wire.UpdateConfig;
import java.math.BigDecimal;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The checks of a service spec that need nothing but the spec. The texts are those that users and their tools know from
 * Docker (swarm-wire 8.5).
 */
final class ServiceValidation {
    private static final long NANO_CPUS_MIN = 1_000_000;
    private static final double NANO_CPUS_PER_CPU = 1e9;
    private static final long MEMORY_BYTES_MIN = 4L << 20;
    private static final long PORT_MAX = 65535;
    private static final long NANOS_PER_MILLI = 1_000_000;

    private ServiceValidation() {}

    /**
     * Checks a spec whose mode is set.
     *
     * @throws CommandException for the first thing that is wrong
     */
    static void check(ServiceSpec spec) {
        Names.requireName(spec.getAnnotations());
        checkTask(spec.getTask());
        checkMode(spec);
        if (spec.hasUpdate()) {
            checkUpdate(spec.getUpdate());
        }
        if (spec.hasRollback()) {
            checkUpdate(spec.getRollback());
        }
        checkEndpoint(spec.getEndpoint());
        checkSecretReferences(spec.getTask().getContainer().getSecretsList());
        checkConfigReferences(spec.getTask().getContainer().getConfigsList());
    }

    private static void checkMode(ServiceSpec spec) {
        boolean job = false;
        switch (spec.getModeCase()) {
            case REPLICATED ->
                requireCount(spec.getReplicated().getReplicas(), "Number of replicas must be non-negative");
            case REPLICATED_JOB -> {
                job = true;
                requireCount(
                        spec.getReplicatedJob().getMaxConcurrent(), "Maximum concurrent jobs must not be negative");
                requireCount(
                        spec.getReplicatedJob().getTotalCompletions(), "Total completed jobs must not be negative");
            }
            case GLOBAL_JOB -> job = true;
            case GLOBAL -> {}
            case MODE_NOT_SET -> throw invalid("Unrecognized service mode");
        }
        if (job && spec.hasUpdate()) {
            throw invalid("Jobs may not have an update config");
        }
    }

    /** Unsigned on the wire; what users and old clients send as a negative number arrives as a huge one. */
    private static void requireCount(long count, String text) {
        if (count < 0) {
            throw invalid(text);
        }
    }

    private static void checkTask(TaskSpec task) {
        checkResources(task.getResources().getLimits());
        checkResources(task.getResources().getReservations());
        if (task.hasRestart()) {
            checkRestart(task.getRestart());
        }
        Constraints.parse(task.getPlacement().getConstraintsList());
        switch (task.getRuntimeCase()) {
            case CONTAINER -> checkContainer(task.getContainer());
            case GENERIC -> {
                if (task.getGeneric().getKind().isEmpty()) {
                    throw invalid("Generic runtime: Kind not specified");
                }
                if (task.getGeneric().getPayload().getTypeUrl().isEmpty()) {
                    throw invalid("Generic runtime: Payload not specified");
                }
            }
            case ATTACHMENT ->
                throw new CommandException(
                        Code.UNIMPLEMENTED, "RuntimeSpec: unimplemented runtime in service spec: attachment");
            case RUNTIME_NOT_SET -> throw invalid("TaskSpec: missing runtime");
        }
    }

    private static void checkResources(Resources resources) {
        long nanoCpus = resources.getNanoCpus();
        if (nanoCpus != 0 && nanoCpus < NANO_CPUS_MIN) {
            throw invalid("invalid cpu value " + shortest(nanoCpus / NANO_CPUS_PER_CPU) + ": Must be at least "
                    + shortest(NANO_CPUS_MIN / NANO_CPUS_PER_CPU));
        }
        long memory = resources.getMemoryBytes();
        if (memory != 0 && memory < MEMORY_BYTES_MIN) {
            throw invalid("invalid memory value " + memory + ": Must be at least 4MiB");
        }
        for (GenericResource generic : resources.getGenericList()) {
            if (generic.hasDiscreteResourceSpec()
                    && generic.getDiscreteResourceSpec().getValue() <= 0) {
                throw invalid("invalid argument for resource "
                        + generic.getDiscreteResourceSpec().getKind() + ": must be a positive integer");
            }
            if (generic.hasNamedResourceSpec()) {
                throw invalid("invalid argument for resource "
                        + generic.getNamedResourceSpec().getKind()
                        + ": a service asks for a number of them, not for one by its name");
            }
        }
    }

    /** Writes a number with the fewest digits, in the form with an exponent when that is how Docker prints it. */
    private static String shortest(double value) {
        if (value != 0 && Math.abs(value) < 1e-4) {
            String text = String.format(Locale.ROOT, "%.6e", value);
            int exponent = text.indexOf('e');
            String digits = text.substring(0, exponent).replaceAll("0+$", "").replaceAll("\\.$", "");
            return digits + text.substring(exponent);
        }
        return BigDecimal.valueOf(value).stripTrailingZeros().toPlainString();
    }

    private static void checkRestart(RestartPolicy restart) {
        requireNotNegative(restart.getDelay(), "TaskSpec: restart-delay cannot be negative");
        requireNotNegative(restart.getWindow(), "TaskSpec: restart-window cannot be negative");
        requireKnown(restart.getCondition(), "restart condition");
    }

    private static void checkUpdate(UpdateConfig update) {
        requireNotNegative(update.getDelay(), "TaskSpec: update-delay cannot be negative");
        requireNotNegative(update.getMonitor(), "TaskSpec: update-monitor cannot be negative");
        float ratio = update.getMaxFailureRatio();
        if (!(ratio >= 0 && ratio <= 1)) {
            throw invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
        }
        requireKnown(update.getFailureAction(), "update failure action");
        requireKnown(update.getOrder(), "update order");
    }

    private static void checkContainer(ContainerSpec container) {
        if (container.getImage().isEmpty()) {
            throw invalid("ContainerSpec: image reference must be provided");
        }
        if (!ImageReference.isValid(container.getImage())) {
            throw invalid("ContainerSpec: \"" + container.getImage() + "\" is not a valid repository/tag");
        }
        Set<String> targets = new HashSet<>();
        for (Mount mount : container.getMountsList()) {
            if (!targets.add(mount.getTarget())) {
                throw invalid("ContainerSpec: duplicate mount point: " + mount.getTarget());
            }
        }
        if (container.hasHealthcheck()) {
            checkHealth(container.getHealthcheck());
        }
        requireNotNegative(container.getStopGracePeriod(), "ContainerSpec: StopGracePeriod cannot be negative");
    }

    private static void checkHealth(HealthConfig health) {
        requireMillisecond(health.getInterval(), "Interval");
        requireMillisecond(health.getTimeout(), "Timeout");
        requireMillisecond(health.getStartPeriod(), "StartPeriod");
        requireMillisecond(health.getStartInterval(), "StartInterval");
        if (health.getRetries() < 0) {
            throw invalid("ContainerSpec: Retries in HealthConfig cannot be negative");
        }
    }

    private static void requireMillisecond(Duration duration, String field) {
        boolean zero = duration.getSeconds() == 0 && duration.getNanos() == 0;
        boolean less =
                duration.getSeconds() < 0 || (duration.getSeconds() == 0 && duration.getNanos() < NANOS_PER_MILLI);
        if (!zero && less) {
            throw invalid("ContainerSpec: " + field + " in HealthConfig cannot be less than 1ms");
        }
    }

    private static void checkEndpoint(EndpointSpec endpoint) {
        record Published(PortConfig.Protocol protocol, int port) {}
        Set<Published> published = new HashSet<>();
        requireKnown(endpoint.getMode(), "endpoint mode");
        for (PortConfig port : endpoint.getPortsList()) {
            requireKnown(port.getProtocol(), "port protocol");
            requireKnown(port.getPublishMode(), "publish mode");
            if (endpoint.getMode() == EndpointSpec.ResolutionMode.DNSRR
                    && port.getPublishMode() == PortConfig.PublishMode.INGRESS) {
                throw invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
            }
            requirePort(port.getPublishedPort());
            requirePort(port.getTargetPort());
            if (port.getPublishedPort() != 0
                    && !published.add(new Published(port.getProtocol(), port.getPublishedPort()))) {
                throw invalid("EndpointSpec: duplicate published ports provided");
            }
        }
    }

    private static void requirePort(int port) {
        long unsigned = Integer.toUnsignedLong(port);
        if (unsigned > PORT_MAX) {
            throw invalid("EndpointSpec: port " + unsigned + " is not in 0 to " + PORT_MAX);
        }
    }

    private static void checkSecretReferences(List<SecretReference> references) {
        Map<String, String> targets = new HashMap<>();
        for (SecretReference reference : references) {
            if (reference.getSecretId().isEmpty() || reference.getSecretName().isEmpty()) {
                throw invalid("malformed secret reference");
            }
            if (!reference.hasFile()) {
                throw invalid("malformed secret reference, no target provided");
            }
            requireTarget("secret", reference.getFile(), reference.getSecretName(), targets);
        }
    }

    private static void checkConfigReferences(List<ConfigReference> references) {
        Map<String, String> targets = new HashMap<>();
        for (ConfigReference reference : references) {
            if (reference.getConfigId().isEmpty() || reference.getConfigName().isEmpty()) {
                throw invalid("malformed config reference");
            }
            switch (reference.getTargetCase()) {
                case FILE -> requireTarget("config", reference.getFile(), reference.getConfigName(), targets);
                case RUNTIME -> {}
                case TARGET_NOT_SET -> throw invalid("malformed config reference, no target provided");
            }
        }
    }

    private static void requireTarget(String kind, FileTarget file, String name, Map<String, String> targets) {
        if (file.getName().isEmpty()) {
            throw invalid("malformed file " + kind + " reference, invalid target file name provided");
        }
        String other = targets.putIfAbsent(file.getName(), name);
        if (other != null) {
            throw invalid(kind + " references '" + other + "' and '" + name + "' have a conflicting target: '"
                    + file.getName() + "'");
        }
    }

    private static void requireNotNegative(Duration duration, String text) {
        if (duration.getSeconds() < 0 || duration.getNanos() < 0) {
            throw invalid(text);
        }
    }

    private static void requireKnown(ProtocolMessageEnum value, String what) {
        if (value.toString().equals("UNRECOGNIZED")) {
            throw invalid("unknown " + what);
        }
    }

    private static CommandException invalid(String text) {
        return new CommandException(Code.INVALID_ARGUMENT, text);
    }
}
