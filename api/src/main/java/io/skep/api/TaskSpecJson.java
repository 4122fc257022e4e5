package io.skep.api;

import com.google.protobuf.BoolValue;
import com.google.protobuf.Duration;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.FileTarget;
import io.skep.wire.HealthConfig;
import io.skep.wire.Mount;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Placement;
import io.skep.wire.PlacementPreference;
import io.skep.wire.Platform;
import io.skep.wire.Privileges;
import io.skep.wire.ResourceRequirements;
import io.skep.wire.RestartPolicy;
import io.skep.wire.RuntimeTarget;
import io.skep.wire.SecretReference;
import io.skep.wire.SpreadOver;
import io.skep.wire.TaskSpec;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Task templates to and from JSON. What an older API version did not know yet is dropped on reading (engine-api 5). */
final class TaskSpecJson {
    private TaskSpecJson() {}

    static void write(JsonOut out, TaskSpec spec) {
        switch (spec.getRuntimeCase()) {
            case CONTAINER -> out.object("ContainerSpec", container -> container(container, spec.getContainer()));
            case ATTACHMENT ->
                out.object(
                        "NetworkAttachmentSpec",
                        attachment -> attachment.text(
                                "ContainerID", spec.getAttachment().getContainerId()));
            case GENERIC, RUNTIME_NOT_SET -> {}
        }
        if (spec.hasResources() || hasPidsLimit(spec)) {
            out.object("Resources", resources -> resources(resources, spec));
        }
        if (spec.hasRestart()) {
            out.object("RestartPolicy", restart -> restart(restart, spec.getRestart()));
        }
        if (spec.hasPlacement()) {
            out.object("Placement", placement -> placement(placement, spec.getPlacement()));
        }
        networks(out, spec.getNetworksList());
        if (spec.hasLogDriver()) {
            out.object("LogDriver", driver -> CommonJson.driver(driver, spec.getLogDriver()));
        }
        out.unsigned("ForceUpdate", spec.getForceUpdate());
    }

    /**
     * Reads a task template.
     *
     * @throws ApiException 400 when it is not that of a container, or a value is unknown
     */
    static TaskSpec read(JsonIn in, ApiVersion version) {
        String runtime = in.text("Runtime");
        JsonIn container = in.objectOrNull("ContainerSpec");
        if (runtime.equals("plugin") || in.has("PluginSpec")) {
            throw new ApiException(501, "plugin services are not supported: Skep runs containers only");
        }
        if (!runtime.isEmpty() && !runtime.equals("container")) {
            throw new ApiException(400, "unsupported runtime");
        }
        if (container == null || in.has("NetworkAttachmentSpec")) {
            throw new ApiException(400, "mismatched Runtime and *Spec fields");
        }
        ContainerSpec.Builder containerSpec = readContainer(container, version);
        TaskSpec.Builder spec =
                TaskSpec.newBuilder().setForceUpdate(in.unsigned("ForceUpdate")).addAllNetworks(readNetworks(in));
        in.ifObject("Resources", resources -> {
            ResourceRequirements.Builder requirements = ResourceRequirements.newBuilder();
            resources.ifObject("Limits", limits -> {
                requirements.setLimits(CommonJson.resources(limits).toBuilder().clearGeneric());
                if (!version.before(1, 41)) {
                    containerSpec.setPidsLimit(limits.number("Pids"));
                }
            });
            resources.ifObject("Reservations", wanted -> requirements.setReservations(CommonJson.resources(wanted)));
            spec.setResources(requirements);
        });
        in.ifObject("RestartPolicy", restart -> spec.setRestart(readRestart(restart)));
        in.ifObject("Placement", placement -> spec.setPlacement(readPlacement(placement, version)));
        in.ifObject("LogDriver", driver -> spec.setLogDriver(CommonJson.driver(driver)));
        return spec.setContainer(containerSpec).build();
    }

    private static boolean hasPidsLimit(TaskSpec spec) {
        return spec.hasContainer() && spec.getContainer().getPidsLimit() > 0;
    }

    private static void resources(JsonOut out, TaskSpec spec) {
        ResourceRequirements resources = spec.getResources();
        if (resources.hasLimits() || hasPidsLimit(spec)) {
            out.object("Limits", limits -> {
                limits.numberOrOmit("NanoCPUs", resources.getLimits().getNanoCpus());
                limits.numberOrOmit("MemoryBytes", resources.getLimits().getMemoryBytes());
                if (hasPidsLimit(spec)) {
                    limits.number("Pids", spec.getContainer().getPidsLimit());
                }
            });
        }
        if (resources.hasReservations()) {
            out.object("Reservations", wanted -> CommonJson.resources(wanted, resources.getReservations()));
        }
    }

    private static void restart(JsonOut out, RestartPolicy restart) {
        out.text("Condition", Enums.dashed(restart.getCondition()));
        if (restart.hasDelay()) {
            out.duration("Delay", restart.getDelay());
        }
        out.unsigned("MaxAttempts", restart.getMaxAttempts());
        if (restart.hasWindow()) {
            out.duration("Window", restart.getWindow());
        }
    }

    private static RestartPolicy readRestart(JsonIn in) {
        RestartPolicy.Builder restart = RestartPolicy.newBuilder()
                .setCondition(Enums.parse(
                        in.text("Condition"), RestartPolicy.RestartCondition.ANY, "invalid RestartCondition: \"%s\""))
                .setMaxAttempts(in.unsigned("MaxAttempts"));
        ifDuration(in, "Delay", restart::setDelay);
        ifDuration(in, "Window", restart::setWindow);
        return restart.build();
    }

    private static void ifDuration(JsonIn in, String name, Consumer<Duration> reader) {
        if (in.has(name)) {
            reader.accept(in.duration(name));
        }
    }

    private static void placement(JsonOut out, Placement placement) {
        out.textsOrOmit("Constraints", placement.getConstraintsList());
        out.arrayOrOmit(
                "Preferences",
                placement.getPreferencesList(),
                (item, preference) -> item.object(
                        "Spread",
                        spread -> spread.text(
                                "SpreadDescriptor", preference.getSpread().getSpreadDescriptor())));
        out.unsignedOrOmit("MaxReplicas", placement.getMaxReplicas());
        out.arrayOrOmit("Platforms", placement.getPlatformsList(), CommonJson::platform);
    }

    private static Placement readPlacement(JsonIn in, ApiVersion version) {
        Placement.Builder placement = Placement.newBuilder().addAllConstraints(in.texts("Constraints"));
        for (JsonIn item : in.objects("Preferences")) {
            item.ifObject(
                    "Spread",
                    spread -> placement.addPreferences(PlacementPreference.newBuilder()
                            .setSpread(SpreadOver.newBuilder().setSpreadDescriptor(spread.text("SpreadDescriptor")))));
        }
        if (!version.before(1, 40)) {
            placement.setMaxReplicas(in.unsigned("MaxReplicas"));
        }
        if (!version.before(1, 30)) {
            for (JsonIn item : in.objects("Platforms")) {
                placement.addPlatforms(Platform.newBuilder()
                        .setArchitecture(item.text("Architecture"))
                        .setOs(item.text("OS")));
            }
        }
        return placement.build();
    }

    static void networks(JsonOut out, List<NetworkAttachmentConfig> networks) {
        out.arrayOrOmit("Networks", networks, (item, network) -> {
            item.textOrOmit("Target", network.getTarget());
            item.textsOrOmit("Aliases", network.getAliasesList());
            item.mapOrOmit("DriverOpts", network.getDriverAttachmentOptsMap());
        });
    }

    static List<NetworkAttachmentConfig> readNetworks(JsonIn in) {
        List<NetworkAttachmentConfig> networks = new ArrayList<>();
        for (JsonIn item : in.objects("Networks")) {
            networks.add(NetworkAttachmentConfig.newBuilder()
                    .setTarget(item.text("Target"))
                    .addAllAliases(item.texts("Aliases"))
                    .putAllDriverAttachmentOpts(item.map("DriverOpts"))
                    .build());
        }
        return networks;
    }

    private static void container(JsonOut out, ContainerSpec spec) {
        out.textOrOmit("Image", spec.getImage());
        out.mapOrOmit("Labels", spec.getLabelsMap());
        out.textsOrOmit("Command", spec.getCommandList());
        out.textsOrOmit("Args", spec.getArgsList());
        out.textOrOmit("Hostname", spec.getHostname());
        out.textsOrOmit("Env", spec.getEnvList());
        out.textOrOmit("Dir", spec.getDir());
        out.textOrOmit("User", spec.getUser());
        out.textsOrOmit("Groups", spec.getGroupsList());
        if (spec.hasPrivileges()) {
            out.object("Privileges", privileges -> privileges(privileges, spec.getPrivileges()));
        }
        if (spec.hasInit()) {
            out.flag("Init", spec.getInit().getValue());
        }
        out.textOrOmit("StopSignal", spec.getStopSignal());
        out.flagOrOmit("TTY", spec.getTty());
        out.flagOrOmit("OpenStdin", spec.getOpenStdin());
        out.flagOrOmit("ReadOnly", spec.getReadOnly());
        out.arrayOrOmit("Mounts", spec.getMountsList(), TaskSpecJson::mount);
        if (spec.hasStopGracePeriod()) {
            out.duration("StopGracePeriod", spec.getStopGracePeriod());
        }
        if (spec.hasHealthcheck()) {
            out.object("Healthcheck", health -> health(health, spec.getHealthcheck()));
        }
        out.textsOrOmit("Hosts", spec.getHostsList());
        if (spec.hasDnsConfig()) {
            out.object("DNSConfig", dns -> {
                dns.textsOrOmit("Nameservers", spec.getDnsConfig().getNameserversList());
                dns.textsOrOmit("Search", spec.getDnsConfig().getSearchList());
                dns.textsOrOmit("Options", spec.getDnsConfig().getOptionsList());
            });
        }
        out.arrayOrOmit("Secrets", spec.getSecretsList(), (item, reference) -> {
            file(item, reference.hasFile() ? reference.getFile() : null);
            item.text("SecretID", reference.getSecretId());
            item.text("SecretName", reference.getSecretName());
        });
        out.arrayOrOmit("Configs", spec.getConfigsList(), TaskSpecJson::configReference);
        out.text("Isolation", Enums.lower(spec.getIsolation()).replace("isolation_", ""));
        out.mapOrOmit("Sysctls", spec.getSysctlsMap());
        out.textsOrOmit("CapabilityAdd", spec.getCapabilityAddList());
        out.textsOrOmit("CapabilityDrop", spec.getCapabilityDropList());
        out.arrayOrOmit("Ulimits", spec.getUlimitsList(), (item, limit) -> {
            item.text("Name", limit.getName());
            item.number("Hard", limit.getHard());
            item.number("Soft", limit.getSoft());
        });
        out.numberOrOmit("OomScoreAdj", spec.getOomScoreAdj());
    }

    private static ContainerSpec.Builder readContainer(JsonIn in, ApiVersion version) {
        ContainerSpec.Builder spec = ContainerSpec.newBuilder()
                .setImage(in.text("Image"))
                .putAllLabels(in.map("Labels"))
                .addAllCommand(in.texts("Command"))
                .addAllArgs(in.texts("Args"))
                .setHostname(in.text("Hostname"))
                .addAllEnv(in.texts("Env"))
                .setDir(in.text("Dir"))
                .setUser(in.text("User"))
                .addAllGroups(in.texts("Groups"))
                .setStopSignal(in.text("StopSignal"))
                .setTty(in.flag("TTY"))
                .setOpenStdin(in.flag("OpenStdin"))
                .setReadOnly(in.flag("ReadOnly"))
                .addAllHosts(in.texts("Hosts"))
                .setIsolation(isolation(in.lowerText("Isolation")));
        in.ifObject("Privileges", privileges -> spec.setPrivileges(readPrivileges(privileges, version)));
        if (in.has("Init")) {
            spec.setInit(BoolValue.of(in.flag("Init")));
        }
        for (JsonIn mount : in.objects("Mounts")) {
            spec.addMounts(readMount(mount, version));
        }
        ifDuration(in, "StopGracePeriod", spec::setStopGracePeriod);
        in.ifObject("Healthcheck", health -> spec.setHealthcheck(readHealth(health, version)));
        in.ifObject(
                "DNSConfig",
                dns -> spec.setDnsConfig(ContainerSpec.DNSConfig.newBuilder()
                        .addAllNameservers(dns.texts("Nameservers"))
                        .addAllSearch(dns.texts("Search"))
                        .addAllOptions(dns.texts("Options"))));
        for (JsonIn item : in.objects("Secrets")) {
            SecretReference.Builder reference = SecretReference.newBuilder()
                    .setSecretId(item.text("SecretID"))
                    .setSecretName(item.text("SecretName"));
            item.ifObject("File", file -> reference.setFile(readFile(file)));
            spec.addSecrets(reference);
        }
        for (JsonIn item : in.objects("Configs")) {
            spec.addConfigs(readConfigReference(item));
        }
        if (!version.before(1, 40)) {
            spec.putAllSysctls(in.map("Sysctls"));
        }
        if (!version.before(1, 41)) {
            spec.addAllCapabilityAdd(in.texts("CapabilityAdd")).addAllCapabilityDrop(in.texts("CapabilityDrop"));
            for (JsonIn item : in.objects("Ulimits")) {
                spec.addUlimits(ContainerSpec.Ulimit.newBuilder()
                        .setName(item.text("Name"))
                        .setSoft(item.number("Soft"))
                        .setHard(item.number("Hard")));
            }
        }
        if (!version.before(1, 46)) {
            spec.setOomScoreAdj(in.number("OomScoreAdj"));
        }
        return spec;
    }

    private static ContainerSpec.Isolation isolation(String text) {
        return switch (text) {
            case "", "default" -> ContainerSpec.Isolation.ISOLATION_DEFAULT;
            case "process" -> ContainerSpec.Isolation.ISOLATION_PROCESS;
            case "hyperv" -> ContainerSpec.Isolation.ISOLATION_HYPERV;
            default -> throw new ApiException(400, "invalid Isolation: \"" + text + "\"");
        };
    }

    private static void file(JsonOut out, @Nullable FileTarget file) {
        if (file == null) {
            out.nothing("File");
            return;
        }
        out.object("File", target -> {
            target.text("Name", file.getName());
            target.text("UID", file.getUid());
            target.text("GID", file.getGid());
            target.number("Mode", Integer.toUnsignedLong(file.getMode()));
        });
    }

    private static FileTarget readFile(JsonIn in) {
        return FileTarget.newBuilder()
                .setName(in.text("Name"))
                .setUid(in.text("UID"))
                .setGid(in.text("GID"))
                .setMode(in.unsigned32("Mode"))
                .build();
    }

    private static void configReference(JsonOut out, ConfigReference reference) {
        if (reference.hasFile()) {
            file(out, reference.getFile());
        }
        if (reference.hasRuntime()) {
            out.object("Runtime", runtime -> {});
        }
        out.text("ConfigID", reference.getConfigId());
        out.text("ConfigName", reference.getConfigName());
    }

    private static ConfigReference readConfigReference(JsonIn in) {
        ConfigReference.Builder reference =
                ConfigReference.newBuilder().setConfigId(in.text("ConfigID")).setConfigName(in.text("ConfigName"));
        if (in.has("File") && in.has("Runtime")) {
            throw new ApiException(400, "invalid config: cannot specify both File and Runtime");
        }
        in.ifObject("File", file -> reference.setFile(readFile(file)));
        in.ifObject("Runtime", runtime -> reference.setRuntime(RuntimeTarget.getDefaultInstance()));
        return reference.build();
    }

    private static void privileges(JsonOut out, Privileges privileges) {
        if (privileges.hasCredentialSpec()) {
            Privileges.CredentialSpec credential = privileges.getCredentialSpec();
            out.object("CredentialSpec", spec -> {
                spec.text("Config", credential.getConfig());
                spec.text("File", credential.getFile());
                spec.text("Registry", credential.getRegistry());
            });
        } else {
            out.nothing("CredentialSpec");
        }
        if (privileges.hasSelinuxContext()) {
            Privileges.SELinuxContext context = privileges.getSelinuxContext();
            out.object("SELinuxContext", spec -> {
                spec.flag("Disable", context.getDisable());
                spec.text("User", context.getUser());
                spec.text("Role", context.getRole());
                spec.text("Type", context.getType());
                spec.text("Level", context.getLevel());
            });
        } else {
            out.nothing("SELinuxContext");
        }
        if (privileges.hasSeccomp()) {
            out.object("Seccomp", spec -> {
                spec.text("Mode", Enums.lower(privileges.getSeccomp().getMode()));
                spec.bytesOrOmit("Profile", privileges.getSeccomp().getProfile());
            });
        }
        if (privileges.hasApparmor()) {
            out.object(
                    "AppArmor",
                    spec -> spec.text(
                            "Mode", Enums.lower(privileges.getApparmor().getMode())));
        }
        out.flag("NoNewPrivileges", privileges.getNoNewPrivileges());
    }

    private static Privileges readPrivileges(JsonIn in, ApiVersion version) {
        Privileges.Builder privileges = Privileges.newBuilder();
        in.ifObject("CredentialSpec", spec -> privileges.setCredentialSpec(readCredentialSpec(spec, version)));
        in.ifObject(
                "SELinuxContext",
                spec -> privileges.setSelinuxContext(Privileges.SELinuxContext.newBuilder()
                        .setDisable(spec.flag("Disable"))
                        .setUser(spec.text("User"))
                        .setRole(spec.text("Role"))
                        .setType(spec.text("Type"))
                        .setLevel(spec.text("Level"))));
        if (!version.before(1, 44)) {
            in.ifObject(
                    "Seccomp",
                    spec -> privileges.setSeccomp(Privileges.SeccompOpts.newBuilder()
                            .setMode(Enums.parse(
                                    spec.text("Mode"),
                                    Privileges.SeccompOpts.SeccompMode.DEFAULT,
                                    "invalid seccomp Mode: \"%s\""))
                            .setProfile(spec.bytes("Profile"))));
            in.ifObject(
                    "AppArmor",
                    spec -> privileges.setApparmor(Privileges.AppArmorOpts.newBuilder()
                            .setMode(Enums.parse(
                                    spec.text("Mode"),
                                    Privileges.AppArmorOpts.AppArmorMode.DEFAULT,
                                    "invalid AppArmor Mode: \"%s\""))));
            privileges.setNoNewPrivileges(in.flag("NoNewPrivileges"));
        }
        return privileges.build();
    }

    private static Privileges.CredentialSpec readCredentialSpec(JsonIn in, ApiVersion version) {
        String config = version.before(1, 40) ? "" : in.text("Config");
        String file = in.text("File");
        String registry = in.text("Registry");
        long given = List.of(config, file, registry).stream()
                .filter(source -> !source.isEmpty())
                .count();
        if (given == 0) {
            throw new ApiException(
                    400,
                    "invalid CredentialSpec: must either provide \"file\", \"registry\", or \"config\" option for"
                            + " credential spec");
        }
        if (given > 1) {
            throw new ApiException(
                    400,
                    "invalid CredentialSpec: cannot specify more than one of \"config\", \"file\" and"
                            + " \"registry\"");
        }
        Privileges.CredentialSpec.Builder spec = Privileges.CredentialSpec.newBuilder();
        if (!config.isEmpty()) {
            spec.setConfig(config);
        } else if (!file.isEmpty()) {
            spec.setFile(file);
        } else {
            spec.setRegistry(registry);
        }
        return spec.build();
    }

    private static void health(JsonOut out, HealthConfig health) {
        out.textsOrOmit("Test", health.getTestList());
        out.durationOrOmit("Interval", health.getInterval());
        out.durationOrOmit("Timeout", health.getTimeout());
        out.durationOrOmit("StartPeriod", health.getStartPeriod());
        out.durationOrOmit("StartInterval", health.getStartInterval());
        out.numberOrOmit("Retries", health.getRetries());
    }

    private static HealthConfig readHealth(JsonIn in, ApiVersion version) {
        HealthConfig.Builder health =
                HealthConfig.newBuilder().addAllTest(in.texts("Test")).setRetries(in.number32("Retries"));
        ifDuration(in, "Interval", health::setInterval);
        ifDuration(in, "Timeout", health::setTimeout);
        ifDuration(in, "StartPeriod", health::setStartPeriod);
        if (!version.before(1, 44)) {
            ifDuration(in, "StartInterval", health::setStartInterval);
        }
        return health.build();
    }

    private static void mount(JsonOut out, Mount mount) {
        out.text("Type", Enums.lower(mount.getType()));
        out.textOrOmit("Source", mount.getSource());
        out.textOrOmit("Target", mount.getTarget());
        out.flagOrOmit("ReadOnly", mount.getReadonly());
        if (mount.getConsistency() != Mount.Consistency.DEFAULT) {
            out.text("Consistency", Enums.lower(mount.getConsistency()));
        }
        if (mount.hasBindOptions()) {
            Mount.BindOptions options = mount.getBindOptions();
            out.object("BindOptions", bind -> {
                bind.text("Propagation", Enums.lower(options.getPropagation()));
                bind.flagOrOmit("NonRecursive", options.getNonrecursive());
                bind.flagOrOmit("CreateMountpoint", options.getCreatemountpoint());
                bind.flagOrOmit("ReadOnlyNonRecursive", options.getReadonlynonrecursive());
                bind.flagOrOmit("ReadOnlyForceRecursive", options.getReadonlyforcerecursive());
            });
        }
        if (mount.hasVolumeOptions()) {
            Mount.VolumeOptions options = mount.getVolumeOptions();
            out.object("VolumeOptions", volume -> {
                volume.flagOrOmit("NoCopy", options.getNocopy());
                volume.mapOrOmit("Labels", options.getLabelsMap());
                volume.textOrOmit("Subpath", options.getSubpath());
                if (options.hasDriverConfig()) {
                    volume.object("DriverConfig", driver -> CommonJson.driver(driver, options.getDriverConfig()));
                }
            });
        }
        if (mount.hasTmpfsOptions()) {
            Mount.TmpfsOptions options = mount.getTmpfsOptions();
            out.object("TmpfsOptions", tmpfs -> {
                tmpfs.numberOrOmit("SizeBytes", options.getSizeBytes());
                tmpfs.numberOrOmit("Mode", Integer.toUnsignedLong(options.getMode()));
                if (!options.getOptions().isEmpty()) {
                    tmpfs.tree("Options", TmpfsOptions.parse(options.getOptions()));
                }
            });
        }
    }

    private static Mount readMount(JsonIn in, ApiVersion version) {
        Mount.Builder mount = Mount.newBuilder()
                .setType(Enums.parse(in.text("Type"), Mount.Type.BIND, "invalid MountType: \"%s\""))
                .setSource(in.text("Source"))
                .setTarget(in.text("Target"))
                .setReadonly(in.flag("ReadOnly"))
                .setConsistency(Enums.parse(
                        in.text("Consistency"), Mount.Consistency.DEFAULT, "invalid MountConsistency: \"%s\""));
        in.ifObject("BindOptions", bind -> {
            Mount.BindOptions.Builder options = Mount.BindOptions.newBuilder()
                    .setPropagation(Enums.parse(
                            bind.text("Propagation"),
                            Mount.BindOptions.Propagation.RPRIVATE,
                            "invalid MountPropagation: \"%s\""));
            if (!version.before(1, 40)) {
                options.setNonrecursive(bind.flag("NonRecursive"));
            }
            if (!version.before(1, 42)) {
                options.setCreatemountpoint(bind.flag("CreateMountpoint"));
            }
            if (!version.before(1, 44)) {
                options.setReadonlynonrecursive(bind.flag("ReadOnlyNonRecursive"))
                        .setReadonlyforcerecursive(bind.flag("ReadOnlyForceRecursive"));
            }
            mount.setBindOptions(options);
        });
        in.ifObject("VolumeOptions", volume -> {
            Mount.VolumeOptions.Builder options = Mount.VolumeOptions.newBuilder()
                    .setNocopy(volume.flag("NoCopy"))
                    .putAllLabels(volume.map("Labels"));
            if (!version.before(1, 45)) {
                options.setSubpath(volume.text("Subpath"));
            }
            volume.ifObject("DriverConfig", driver -> options.setDriverConfig(CommonJson.driver(driver)));
            mount.setVolumeOptions(options);
        });
        in.ifObject("TmpfsOptions", tmpfs -> {
            Mount.TmpfsOptions.Builder options = Mount.TmpfsOptions.newBuilder()
                    .setSizeBytes(tmpfs.number("SizeBytes"))
                    .setMode(tmpfs.unsigned32("Mode"));
            if (!version.before(1, 46) && tmpfs.tree("Options") instanceof List<?> given && !given.isEmpty()) {
                options.setOptions(TmpfsOptions.text(Collections.unmodifiableList(given)));
            }
            mount.setTmpfsOptions(options);
        });
        if (in.has("ImageOptions")) {
            throw new ApiException(400, "ImageOptions of a mount are not supported for services");
        }
        return mount.build();
    }
}
