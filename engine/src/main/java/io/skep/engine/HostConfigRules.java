package io.skep.engine;

import io.skep.engine.record.HostConfig;
import io.skep.engine.record.Resources;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Refuses, when a container is created, what this engine or this machine cannot do and what contradicts itself; what it
 * lets pass is honoured.
 */
final class HostConfigRules {
    private static final long MEMORY_BYTES_MIN = 6L << 20;
    private static final int BLKIO_WEIGHT_MIN = 10;
    private static final int BLKIO_WEIGHT_MAX = 1000;
    private static final int OOM_SCORE_MAX = 1000;

    /** Begins a mode that names another container. */
    static final String JOINED = "container:";

    private HostConfigRules() {}

    static void check(HostConfig host, boolean unifiedCgroups) {
        mode("ipc", host.getIpcMode(), "private", "host", "shareable", "none");
        mode("PID", host.getPidMode(), "host");
        mode("UTS", host.getUtsMode(), "host");
        mode("cgroup namespace", host.getCgroupnsMode(), "private", "host");
        if (!Set.of("", "host").contains(host.getUsernsMode())) {
            throw EngineException.invalid("invalid user namespace mode: " + host.getUsernsMode()
                    + ": UsernsMode is not supported, containers run in the user namespace of the host");
        }
        refuse(!Set.of("", "default").contains(host.getIsolation()), "Isolation", "it is for Windows");
        refuse(!host.getCgroup().isEmpty(), "Cgroup", "use CgroupParent or CgroupnsMode");
        refuse(
                host.getStorageOptCount() > 0,
                "StorageOpt",
                "the file systems of containers have no limits of their own here");
        if (Math.abs(host.getOomScoreAdj()) > OOM_SCORE_MAX) {
            throw EngineException.invalid(
                    "Invalid value " + host.getOomScoreAdj() + ", range for oom score adj is [-1000, 1000]");
        }
        capabilities("CapAdd", host.getCapAddList());
        capabilities("CapDrop", host.getCapDropList());
        SecurityOptions.of(host);
        check(host.getResources(), unifiedCgroups);
    }

    private static void mode(String what, String mode, String... known) {
        boolean joins = mode.startsWith(JOINED)
                && mode.length() > JOINED.length()
                && !what.startsWith("cgroup")
                && !what.equals("UTS");
        if (!mode.isEmpty() && !joins && !List.of(known).contains(mode)) {
            throw EngineException.invalid("invalid " + what + " mode: " + mode);
        }
    }

    private static void refuse(boolean asked, String field, String why) {
        if (asked) {
            throw EngineException.invalid(field + " is not supported: " + why);
        }
    }

    private static void capabilities(String field, List<String> names) {
        for (String name : names) {
            String upper = name.toUpperCase(Locale.ROOT);
            String whole = upper.startsWith("CAP_") ? upper : "CAP_" + upper;
            if (!whole.equals("CAP_ALL") && !OciSpecification.EVERY_CAPABILITY.contains(whole)) {
                throw EngineException.invalid("invalid " + field + ": unknown capability: \"" + whole + "\"");
            }
        }
    }

    /** Refuses limits that cannot be set, when a container is created and when it is updated. */
    static void check(Resources asked, boolean unifiedCgroups) {
        if (asked.getMemory() != 0 && asked.getMemory() < MEMORY_BYTES_MIN) {
            throw EngineException.invalid("Minimum memory limit allowed is 6MB");
        }
        if (asked.getMemorySwap() > 0 && asked.getMemory() == 0) {
            throw EngineException.invalid(
                    "You should always set the Memory limit when using Memoryswap limit, see usage");
        }
        if (asked.getMemorySwap() > 0 && asked.getMemorySwap() < asked.getMemory()) {
            throw EngineException.invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
        }
        if (asked.getMemory() > 0 && asked.getMemoryReservation() > asked.getMemory()) {
            throw EngineException.invalid(
                    "Minimum memory limit can not be less than memory reservation limit, see usage");
        }
        if (asked.getNanoCpus() > 0 && (asked.getCpuPeriod() > 0 || asked.getCpuQuota() > 0)) {
            throw EngineException.invalid(
                    "Conflicting options: Nano CPUs and CPU Period or CPU Quota cannot both be set");
        }
        if (asked.getNanoCpus() > Runtime.getRuntime().availableProcessors() * 1_000_000_000L
                || asked.getNanoCpus() < 0) {
            throw EngineException.invalid("Range of CPUs is from 0.01 to "
                    + Runtime.getRuntime().availableProcessors() + ".00, as there are only "
                    + Runtime.getRuntime().availableProcessors() + " CPUs available");
        }
        if (asked.getCpuPeriod() != 0 && (asked.getCpuPeriod() < 1000 || asked.getCpuPeriod() > 1_000_000)) {
            throw EngineException.invalid(
                    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e." + " 1000000)");
        }
        if (asked.getCpuQuota() > 0 && asked.getCpuQuota() < 1000) {
            throw EngineException.invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
        }
        if (asked.getBlkioWeight() != 0
                && (asked.getBlkioWeight() < BLKIO_WEIGHT_MIN || asked.getBlkioWeight() > BLKIO_WEIGHT_MAX)) {
            throw EngineException.invalid("Range of blkio weight is from 10 to 1000");
        }
        long swappiness = asked.hasMemorySwappiness() ? asked.getMemorySwappiness() : -1;
        if (swappiness < -1 || swappiness > 100) {
            throw EngineException.invalid("Invalid value: " + swappiness + ", valid memory swappiness range is 0-100");
        }
        refuse(unifiedCgroups && swappiness >= 0, "MemorySwappiness", "control groups v2 have none");
        refuse(unifiedCgroups && asked.getOomKillDisable(), "OomKillDisable", "control groups v2 have none");
        refuse(asked.getKernelMemory() > 0, "KernelMemory", "kernels have it no more, it is part of Memory");
        refuse(unifiedCgroups && asked.getKernelMemoryTcp() > 0, "KernelMemoryTCP", "control groups v2 have none");
        refuse(asked.getCpuCount() != 0, "CpuCount", "it is for Windows, use NanoCpus");
        refuse(asked.getCpuPercent() != 0, "CpuPercent", "it is for Windows, use NanoCpus");
        refuse(asked.getIoMaximumIops() != 0, "IOMaximumIOps", "it is for Windows, use BlkioDeviceReadIOps");
        refuse(asked.getIoMaximumBandwidth() != 0, "IOMaximumBandwidth", "it is for Windows, use BlkioDeviceReadBps");
        if (asked.getDeviceRequestsCount() > 0) {
            throw EngineException.invalid("could not select device driver \""
                    + asked.getDeviceRequests(0).getDriver() + "\" with capabilities: "
                    + asked.getDeviceRequests(0).getCapabilitiesList().stream()
                            .map(each -> "[" + String.join(" ", each.getValuesList()) + "]")
                            .toList()
                            .toString()
                            .replace(", ", " ")
                    + ": DeviceRequests are not supported");
        }
        asked.getDeviceCgroupRulesList().forEach(Devices.Rule::of);
        asked.getUlimitsList().forEach(limit -> {
            if (limit.getSoft() > limit.getHard() && limit.getHard() >= 0) {
                throw EngineException.invalid("ulimit soft limit must be less than or equal to hard limit: "
                        + limit.getSoft() + " > " + limit.getHard());
            }
        });
    }
}
