package io.skep.engine;

import io.skep.engine.record.Config;
import io.skep.engine.record.HealthConfig;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.LogConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Puts together what a user asked for and what the image brings, and fills in what neither says. */
final class ContainerDefaults {
    private static final long SHM_BYTES = 64L << 20;

    private ContainerDefaults() {}

    /** Returns the user's configuration with the gaps filled from the image's. */
    static Config config(Config user, Config image) {
        Config.Builder config = user.toBuilder();
        if (user.getUser().isEmpty()) {
            config.setUser(image.getUser());
        }
        if (user.getWorkingDir().isEmpty()) {
            config.setWorkingDir(image.getWorkingDir());
        }
        if (user.getStopSignal().isEmpty()) {
            config.setStopSignal(image.getStopSignal());
        }
        if (user.getEntrypointCount() == 0) {
            if (user.getCmdCount() == 0) {
                config.addAllCmd(image.getCmdList());
            }
            config.addAllEntrypoint(image.getEntrypointList());
        } else if (user.getEntrypointList().equals(List.of(""))) {
            // An empty text in its place takes the image's entrypoint away.
            config.clearEntrypoint();
        }
        if (user.getShellCount() == 0) {
            config.addAllShell(image.getShellList());
        }
        config.clearEnv().addAllEnv(environment(image.getEnvList(), user.getEnvList()));
        Map<String, String> labels = new LinkedHashMap<>(image.getLabelsMap());
        labels.putAll(user.getLabelsMap());
        config.putAllLabels(labels);
        config.clearExposedPorts().addAllExposedPorts(union(image.getExposedPortsList(), user.getExposedPortsList()));
        config.clearVolumes().addAllVolumes(union(image.getVolumesList(), user.getVolumesList()));
        if (image.hasHealthcheck()) {
            config.setHealthcheck(healthcheck(user.getHealthcheck(), image.getHealthcheck()));
        }
        return config.build();
    }

    /** A variable of the user replaces the image's; one without a value takes it away. */
    static List<String> environment(List<String> image, List<String> user) {
        Map<String, String> byName = new LinkedHashMap<>();
        for (String each : image) {
            byName.put(name(each), each);
        }
        for (String each : user) {
            if (each.indexOf('=') < 0) {
                byName.remove(each);
            } else {
                byName.put(name(each), each);
            }
        }
        return List.copyOf(byName.values());
    }

    private static String name(String variable) {
        int equals = variable.indexOf('=');
        return equals < 0 ? variable : variable.substring(0, equals);
    }

    private static Set<String> union(List<String> image, List<String> user) {
        Set<String> all = new LinkedHashSet<>(image);
        all.addAll(user);
        return all;
    }

    private static HealthConfig healthcheck(HealthConfig user, HealthConfig image) {
        HealthConfig.Builder health = user.toBuilder();
        if (user.getTestCount() == 0) {
            health.addAllTest(image.getTestList());
        }
        if (user.getInterval() == 0) {
            health.setInterval(image.getInterval());
        }
        if (user.getTimeout() == 0) {
            health.setTimeout(image.getTimeout());
        }
        if (user.getStartPeriod() == 0) {
            health.setStartPeriod(image.getStartPeriod());
        }
        if (user.getStartInterval() == 0) {
            health.setStartInterval(image.getStartInterval());
        }
        if (user.getRetries() == 0) {
            health.setRetries(image.getRetries());
        }
        return health.build();
    }

    /** Returns the user's host configuration with Docker's defaults filled in. */
    static HostConfig hostConfig(HostConfig user) {
        HostConfig.Builder host = user.toBuilder();
        if (user.getNetworkMode().isEmpty() || user.getNetworkMode().equals("default")) {
            host.setNetworkMode("bridge");
        }
        if (user.getRestartPolicy().getName().isEmpty()) {
            host.getRestartPolicyBuilder().setName("no");
        }
        if (user.getShmSize() == 0) {
            host.setShmSize(SHM_BYTES);
        }
        if (user.getIpcMode().isEmpty()) {
            host.setIpcMode("private");
        }
        if (user.getLogConfig().getType().isEmpty()) {
            host.setLogConfig(LogConfig.newBuilder(user.getLogConfig()).setType(LogDrivers.NORMAL));
        }
        List<String> conflicts = conflicts(host.build());
        if (!conflicts.isEmpty()) {
            throw EngineException.invalid(String.join("; ", conflicts));
        }
        return host.build();
    }

    private static List<String> conflicts(HostConfig host) {
        List<String> conflicts = new ArrayList<>();
        String policy = host.getRestartPolicy().getName();
        if (!Set.of("no", "always", "unless-stopped", "on-failure").contains(policy)) {
            conflicts.add("invalid restart policy: unknown policy '" + policy
                    + "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
        }
        if (host.getRestartPolicy().getMaximumRetryCount() < 0) {
            conflicts.add("invalid restart policy: maximum retry count cannot be negative");
        }
        if (host.getRestartPolicy().getMaximumRetryCount() > 0 && !policy.equals("on-failure")) {
            conflicts.add("invalid restart policy: maximum retry count can only be used with 'on-failure'");
        }
        if (host.getAutoRemove() && !policy.equals("no")) {
            conflicts.add("can't create 'AutoRemove' container with restart policy");
        }
        if (host.getShmSize() < 0) {
            conflicts.add("SHM size can not be less than 0");
        }
        return conflicts;
    }
}
