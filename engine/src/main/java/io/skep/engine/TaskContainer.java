package io.skep.engine;

import com.google.protobuf.Duration;
import io.avaje.json.JsonException;
import io.avaje.json.mapper.JsonMapper;
import io.skep.engine.record.BindOptions;
import io.skep.engine.record.Config;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.Driver;
import io.skep.engine.record.HealthConfig;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.LogConfig;
import io.skep.engine.record.Mount;
import io.skep.engine.record.PortBinding;
import io.skep.engine.record.PortBindings;
import io.skep.engine.record.Resources;
import io.skep.engine.record.StringList;
import io.skep.engine.record.TmpfsOptions;
import io.skep.engine.record.Ulimit;
import io.skep.engine.record.VolumeOptions;
import io.skep.wire.ContainerSpec;
import io.skep.wire.GenericResource;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.PortConfig;
import io.skep.wire.Privileges;
import io.skep.wire.Task;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * What a task of a swarm is as a container: its name, and what the engine is asked to make (swarm-wire 5.7 and 6.1).
 *
 * <p>Pure: the same task on the same node is always the same container. What this node can never give to a task is
 * refused here, by name; what it can give to containers only sometimes, such as a bind whose source has to be there, is
 * refused by the engine when it makes the container.
 *
 * @param name of the container
 * @param create what the engine is asked to make; without the task's secrets and configs
 */
record TaskContainer(String name, CreateContainer create) {
    static final String LABEL = "com.docker.swarm.";
    static final String LABEL_TASK = LABEL + "task.id";

    private static final long CPU_PERIOD_MICROS = 100_000;
    private static final long NANOS_PER_CPU = 1_000_000_000;
    private static final long NANOS_PER_SECOND = 1_000_000_000;
    private static final String PREDEFINED = LABEL + "predefined";
    private static final Set<String> PREDEFINED_NETWORKS = Set.of("bridge", "host", "none");
    /** What nodes tell managers that their tasks may ask for, as Docker names it. */
    static final List<String> NETWORK_DRIVERS = List.of("bridge", "host", "null");

    private static final JsonMapper JSON = JsonMapper.builder().build();

    /**
     * Translates a task.
     *
     * @throws EngineException when this node can never run such a task, with the reason
     */
    static TaskContainer of(Task task, TaskNode node) {
        if (!task.getSpec().hasContainer()) {
            throw EngineException.invalid("a node of Skep runs tasks that are containers; this one is of the kind "
                    + (task.getSpec().hasGeneric() ? task.getSpec().getGeneric().getKind() : "network attachment"));
        }
        TaskPlaceholders placeholders = new TaskPlaceholders(task, node);
        ContainerSpec spec = task.getSpec().getContainer();
        return new TaskContainer(
                TaskPlaceholders.name(task),
                CreateContainer.newBuilder()
                        .setConfig(config(task, spec, placeholders))
                        .setHostConfig(host(task, spec, placeholders))
                        .build());
    }

    private static Config config(Task task, ContainerSpec spec, TaskPlaceholders placeholders) {
        Config.Builder config = Config.newBuilder()
                .setImage(spec.getImage())
                .addAllEntrypoint(spec.getCommandList())
                .addAllCmd(spec.getArgsList())
                .setWorkingDir(spec.getDir())
                .setUser(spec.getUser())
                .setHostname(placeholders.expand("hostname", spec.getHostname()))
                .setTty(spec.getTty())
                .setOpenStdin(spec.getOpenStdin())
                .setStopSignal(spec.getStopSignal())
                .putAllLabels(spec.getLabelsMap())
                .putAllLabels(labels(task));
        spec.getEnvList().forEach(each -> config.addEnv(placeholders.expandVariable(each)));
        config.addAllEnv(resourceVariables(task.getAssignedGenericResourcesList()));
        for (PortConfig port : hostPorts(task)) {
            config.addExposedPorts(containerPort(port));
        }
        if (spec.hasHealthcheck()) {
            config.setHealthcheck(HealthConfig.newBuilder()
                    .addAllTest(spec.getHealthcheck().getTestList())
                    .setInterval(nanos(spec.getHealthcheck().getInterval()))
                    .setTimeout(nanos(spec.getHealthcheck().getTimeout()))
                    .setRetries(spec.getHealthcheck().getRetries())
                    .setStartPeriod(nanos(spec.getHealthcheck().getStartPeriod()))
                    .setStartInterval(nanos(spec.getHealthcheck().getStartInterval())));
        }
        return config.build();
    }

    private static Map<String, String> labels(Task task) {
        Map<String, String> labels = new LinkedHashMap<>();
        labels.put(LABEL + "task", "");
        labels.put(LABEL_TASK, task.getId());
        labels.put(LABEL + "task.name", TaskPlaceholders.name(task));
        labels.put(LABEL + "node.id", task.getNodeId());
        labels.put(LABEL + "service.id", task.getServiceId());
        labels.put(LABEL + "service.name", task.getServiceAnnotations().getName());
        return labels;
    }

    private static List<String> resourceVariables(List<GenericResource> claimed) {
        Map<String, String> byKind = new LinkedHashMap<>();
        for (GenericResource each : claimed) {
            switch (each.getResourceCase()) {
                case NAMED_RESOURCE_SPEC ->
                    byKind.merge(
                            each.getNamedResourceSpec().getKind(),
                            each.getNamedResourceSpec().getValue(),
                            (one, other) -> one + "," + other);
                case DISCRETE_RESOURCE_SPEC ->
                    byKind.put(
                            each.getDiscreteResourceSpec().getKind(),
                            Long.toString(each.getDiscreteResourceSpec().getValue()));
                case RESOURCE_NOT_SET -> {
                    // It claims nothing.
                }
            }
        }
        List<String> variables = new ArrayList<>();
        byKind.forEach((kind, value) ->
                variables.add("DOCKER_RESOURCE_" + kind.toUpperCase(Locale.ROOT).replace('-', '_') + "=" + value));
        return variables;
    }

    private static HostConfig host(Task task, ContainerSpec spec, TaskPlaceholders placeholders) {
        HostConfig.Builder host = HostConfig.newBuilder()
                .setResources(resources(task, spec))
                .addAllGroupAdd(spec.getGroupsList())
                .setReadonlyRootfs(spec.getReadOnly())
                .putAllSysctls(spec.getSysctlsMap())
                .addAllCapAdd(spec.getCapabilityAddList())
                .addAllCapDrop(spec.getCapabilityDropList())
                .setOomScoreAdj(Math.toIntExact(spec.getOomScoreAdj()))
                .addAllDns(spec.getDnsConfig().getNameserversList())
                .addAllDnsSearch(spec.getDnsConfig().getSearchList())
                .addAllDnsOptions(spec.getDnsConfig().getOptionsList())
                .addAllSecurityOpt(securityOptions(spec.getPrivileges()))
                .setNetworkMode(networkMode(task));
        if (spec.hasInit()) {
            host.setInit(spec.getInit().getValue());
        }
        switch (spec.getIsolation()) {
            case ISOLATION_DEFAULT -> {
                // The only one Linux has.
            }
            case ISOLATION_PROCESS, ISOLATION_HYPERV, UNRECOGNIZED ->
                throw EngineException.invalid("invalid isolation \""
                        + spec.getIsolation().name().replace("ISOLATION_", "").toLowerCase(Locale.ROOT)
                        + "\" on linux: only Windows has isolation technologies");
        }
        for (String entry : spec.getHostsList()) {
            String[] words = entry.strip().split("\\s+", -1);
            for (int i = 1; i < words.length; i++) {
                host.addExtraHosts(words[i] + ":" + words[0]);
            }
        }
        for (io.skep.wire.Mount mount : spec.getMountsList()) {
            host.addMounts(mount(mount, placeholders));
        }
        for (PortConfig port : hostPorts(task)) {
            PortBindings.Builder bindings =
                    host.getPortBindingsOrDefault(containerPort(port), PortBindings.getDefaultInstance()).toBuilder();
            host.putPortBindings(
                    containerPort(port),
                    bindings.addBindings(PortBinding.newBuilder()
                                    .setHostPort(
                                            port.getPublishedPort() == 0
                                                    ? ""
                                                    : Integer.toString(port.getPublishedPort())))
                            .build());
        }
        if (task.hasLogDriver()) {
            host.setLogConfig(LogConfig.newBuilder()
                    .setType(task.getLogDriver().getName())
                    .putAllConfig(task.getLogDriver().getOptionsMap()));
        }
        return host.build();
    }

    private static Resources resources(Task task, ContainerSpec spec) {
        Resources.Builder resources = Resources.newBuilder();
        for (ContainerSpec.Ulimit limit : spec.getUlimitsList()) {
            resources.addUlimits(Ulimit.newBuilder()
                    .setName(limit.getName())
                    .setSoft(limit.getSoft())
                    .setHard(limit.getHard()));
        }
        if (spec.getPidsLimit() > 0) {
            resources.setPidsLimit(spec.getPidsLimit());
        }
        io.skep.wire.ResourceRequirements wanted = task.getSpec().getResources();
        long memory = wanted.getLimits().getMemoryBytes();
        if (memory > 0) {
            resources.setMemory(memory);
        }
        if (wanted.hasSwapBytes()) {
            long swap = wanted.getSwapBytes().getValue();
            resources.setMemorySwap(swap < 0 ? -1 : memory + swap);
        }
        if (wanted.hasMemorySwappiness()) {
            resources.setMemorySwappiness(wanted.getMemorySwappiness().getValue());
        }
        if (wanted.getLimits().getNanoCpus() > 0) {
            resources
                    .setCpuPeriod(CPU_PERIOD_MICROS)
                    .setCpuQuota(wanted.getLimits().getNanoCpus() * CPU_PERIOD_MICROS / NANOS_PER_CPU);
        }
        return resources.build();
    }

    private static List<String> securityOptions(Privileges privileges) {
        List<String> options = new ArrayList<>();
        if (privileges.hasCredentialSpec()) {
            throw EngineException.invalid("a credential spec is only understood by nodes with Windows");
        }
        Privileges.SELinuxContext context = privileges.getSelinuxContext();
        if (context.getDisable()) {
            options.add("label=disable");
        }
        addLabel(options, "user", context.getUser());
        addLabel(options, "role", context.getRole());
        addLabel(options, "type", context.getType());
        addLabel(options, "level", context.getLevel());
        switch (privileges.getSeccomp().getMode()) {
            case DEFAULT -> {
                // The engine's own profile.
            }
            case UNCONFINED -> options.add("seccomp=unconfined");
            case CUSTOM ->
                options.add("seccomp=" + privileges.getSeccomp().getProfile().toString(StandardCharsets.UTF_8));
            case UNRECOGNIZED -> throw EngineException.invalid("this seccomp mode is not known");
        }
        if (privileges.getApparmor().getMode() == Privileges.AppArmorOpts.AppArmorMode.DISABLED) {
            options.add("apparmor=unconfined");
        }
        if (privileges.getNoNewPrivileges()) {
            options.add("no-new-privileges=true");
        }
        return options;
    }

    private static void addLabel(List<String> options, String part, String value) {
        if (!value.isEmpty()) {
            options.add("label=" + part + ":" + value);
        }
    }

    /** Returns the one network that the container is in. */
    private static String networkMode(Task task) {
        String mode = "bridge";
        for (NetworkAttachment attachment : task.getNetworksList()) {
            String name = attachment.getNetwork().getSpec().getAnnotations().getName();
            boolean predefined = "true"
                    .equals(attachment
                            .getNetwork()
                            .getSpec()
                            .getAnnotations()
                            .getLabelsMap()
                            .get(PREDEFINED));
            if (!predefined || !PREDEFINED_NETWORKS.contains(name)) {
                String driver = attachment.getNetwork().getDriverState().getName();
                throw EngineException.invalid("network \"" + name + "\" (driver "
                        + (driver.isEmpty() ? "overlay" : driver)
                        + ") is out of reach: a node with Skep's engine gives tasks the networks bridge, host and none;"
                        + " let the service run on nodes with Docker's engine, or without this network");
            }
            mode = name;
        }
        return mode;
    }

    private static Mount mount(io.skep.wire.Mount mount, TaskPlaceholders placeholders) {
        Mount.Builder made = Mount.newBuilder()
                .setType(mount.getType().name().toLowerCase(Locale.ROOT))
                .setSource(placeholders.expand("mounts", mount.getSource()))
                .setTarget(placeholders.expand("mounts", mount.getTarget()))
                .setReadOnly(mount.getReadonly());
        if (mount.getConsistency() != io.skep.wire.Mount.Consistency.DEFAULT) {
            made.setConsistency(mount.getConsistency().name().toLowerCase(Locale.ROOT));
        }
        switch (mount.getType()) {
            case BIND -> {
                if (mount.hasBindOptions()) {
                    var options = mount.getBindOptions();
                    made.setBindOptions(BindOptions.newBuilder()
                            .setPropagation(options.getPropagation().name().toLowerCase(Locale.ROOT))
                            .setNonRecursive(options.getNonrecursive())
                            .setCreateMountpoint(options.getCreatemountpoint())
                            .setReadOnlyNonRecursive(options.getReadonlynonrecursive())
                            .setReadOnlyForceRecursive(options.getReadonlyforcerecursive()));
                }
            }
            case VOLUME -> {
                if (mount.hasVolumeOptions()) {
                    made.setVolumeOptions(volumeOptions(mount.getVolumeOptions(), placeholders));
                }
            }
            case TMPFS -> {
                if (mount.hasTmpfsOptions()) {
                    made.setTmpfsOptions(TmpfsOptions.newBuilder()
                            .setSizeBytes(mount.getTmpfsOptions().getSizeBytes())
                            .setMode(mount.getTmpfsOptions().getMode())
                            .addAllOptions(tmpfsOptions(mount.getTmpfsOptions().getOptions())));
                }
            }
            case NPIPE, CLUSTER, UNRECOGNIZED ->
                throw EngineException.invalid("invalid mount config for \"" + mount.getTarget() + "\": a node of Skep"
                        + " has no mounts of type \"" + made.getType() + "\"; it has bind, volume and tmpfs");
        }
        return made.build();
    }

    private static VolumeOptions volumeOptions(io.skep.wire.Mount.VolumeOptions asked, TaskPlaceholders placeholders) {
        VolumeOptions.Builder options =
                VolumeOptions.newBuilder().setNoCopy(asked.getNocopy()).setSubpath(asked.getSubpath());
        asked.getLabelsMap().forEach((name, value) -> options.putLabels(name, placeholders.expand("mounts", value)));
        if (asked.hasDriverConfig()) {
            Driver.Builder driver =
                    Driver.newBuilder().setName(asked.getDriverConfig().getName());
            asked.getDriverConfig()
                    .getOptionsMap()
                    .forEach((name, value) -> driver.putOptions(name, placeholders.expand("mounts", value)));
            options.setDriverConfig(driver);
        }
        return options.build();
    }

    /** The options travel as JSON: a list of lists of one or two words. */
    private static List<StringList> tmpfsOptions(String json) {
        List<StringList> options = new ArrayList<>();
        if (json.isEmpty()) {
            return options;
        }
        try {
            for (Object option : JSON.fromJsonArray(json)) {
                StringList.Builder words = StringList.newBuilder();
                ((List<?>) option).forEach(word -> words.addValues(String.valueOf(word)));
                options.add(words.build());
            }
        } catch (JsonException | ClassCastException e) {
            throw EngineException.invalid("invalid tmpfs options " + json + ": a list of lists of words is wanted");
        }
        return options;
    }

    /** Returns the ports that are published on the node itself. */
    static List<PortConfig> hostPorts(Task task) {
        return task.getEndpoint().getPortsList().stream()
                .filter(port -> port.getPublishMode() == PortConfig.PublishMode.HOST)
                .toList();
    }

    static String containerPort(PortConfig port) {
        return port.getTargetPort() + "/" + port.getProtocol().name().toLowerCase(Locale.ROOT);
    }

    static long nanos(Duration duration) {
        return duration.getSeconds() * NANOS_PER_SECOND + duration.getNanos();
    }
}
