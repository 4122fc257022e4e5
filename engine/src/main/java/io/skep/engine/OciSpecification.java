package io.skep.engine;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import io.avaje.json.stream.BytesJsonWriter;
import io.avaje.json.stream.JsonStream;
import io.skep.engine.Devices.Device;
import io.skep.engine.record.Config;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.Resources;
import io.skep.engine.record.StringList;
import io.skep.engine.record.ThrottleDevice;
import io.skep.engine.record.Ulimit;
import io.skep.engine.record.WeightDevice;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the runtime is told of a container (OCI runtime specification 1.0, config.json), made from what the user asked
 * for and with the defaults that Docker's users know.
 *
 * <p>A tree of maps and lists: the runtime reads it once, and nothing in the engine reads it again.
 */
final class OciSpecification {
    /** The type under which containerd keeps the specification of a container. */
    private static final String SPECIFICATION_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

    private static final String PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    private static final String RESOURCES_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

    /** Where the program is mounted that is the first process with {@code --init}. */
    private static final String INIT_PATH = "/sbin/docker-init";

    private static final JsonStream STREAM = JsonStream.builder().build();

    private static final int SHM_BYTES_DEFAULT = 64 << 20;
    private static final String DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /** The modes in which a container has shared memory of its own. */
    private static final Set<String> SHM_MODES = Set.of("", "private");

    /** The capabilities a container has unless its user says otherwise. */
    private static final Set<String> CAPABILITIES = Set.of(
            "CAP_AUDIT_WRITE",
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_MKNOD",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_RAW",
            "CAP_SETFCAP",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_SETUID",
            "CAP_SYS_CHROOT");

    /** All capabilities of Linux 5.9 and later, by their numbers. */
    static final List<String> EVERY_CAPABILITY = List.of(
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_LINUX_IMMUTABLE",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_BROADCAST",
            "CAP_NET_ADMIN",
            "CAP_NET_RAW",
            "CAP_IPC_LOCK",
            "CAP_IPC_OWNER",
            "CAP_SYS_MODULE",
            "CAP_SYS_RAWIO",
            "CAP_SYS_CHROOT",
            "CAP_SYS_PTRACE",
            "CAP_SYS_PACCT",
            "CAP_SYS_ADMIN",
            "CAP_SYS_BOOT",
            "CAP_SYS_NICE",
            "CAP_SYS_RESOURCE",
            "CAP_SYS_TIME",
            "CAP_SYS_TTY_CONFIG",
            "CAP_MKNOD",
            "CAP_LEASE",
            "CAP_AUDIT_WRITE",
            "CAP_AUDIT_CONTROL",
            "CAP_SETFCAP",
            "CAP_MAC_OVERRIDE",
            "CAP_MAC_ADMIN",
            "CAP_SYSLOG",
            "CAP_WAKE_ALARM",
            "CAP_BLOCK_SUSPEND",
            "CAP_AUDIT_READ",
            "CAP_PERFMON",
            "CAP_BPF",
            "CAP_CHECKPOINT_RESTORE");

    private static final List<String> MASKED_PATHS = List.of(
            "/proc/acpi",
            "/proc/asound",
            "/proc/interrupts",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/sys/devices/virtual/powercap",
            "/sys/firmware");

    private static final List<String> READONLY_PATHS =
            List.of("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger");

    private OciSpecification() {}

    /**
     * What the host adds to what the user asked for.
     *
     * @param id of the container
     * @param uid user id of the first process
     * @param gid group id of the first process
     * @param groups further group ids
     * @param networkNamespace path of the namespace to join, or empty for one of the container's own
     * @param cgroupPath where the container is counted and limited
     * @param unifiedCgroups whether the host has version 2 of control groups only
     * @param mounts what is mounted beside the defaults, in their order
     * @param capabilities bits of those that the engine can give
     * @param joined paths of namespaces of other containers that are joined, by their kind
     * @param devices what is there beside the devices of every container
     * @param init path of the program that is the first process, or empty for the container's own
     */
    record Surroundings(
            String id,
            long uid,
            long gid,
            List<Long> groups,
            String networkNamespace,
            String cgroupPath,
            boolean unifiedCgroups,
            List<Mounted> mounts,
            long capabilities,
            Map<String, String> joined,
            List<Device> devices,
            String init) {
        Surroundings {
            joined = Map.copyOf(joined);
            devices = List.copyOf(devices);
            groups = List.copyOf(groups);
            mounts = List.copyOf(mounts);
        }
    }

    /**
     * One mount.
     *
     * @param type of the file system, or bind
     * @param options as mount(8) knows them
     */
    record Mounted(String destination, String type, String source, List<String> options) {
        Mounted {
            options = List.copyOf(options);
        }
    }

    /** Returns the whole specification, as containerd wants it. */
    static Any of(Config config, HostConfig host, Surroundings around) {
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("path", "rootfs");
        root.put("readonly", host.getReadonlyRootfs());

        Map<String, Object> all = new LinkedHashMap<>();
        all.put("ociVersion", "1.0.2");
        all.put("process", process(config, host, around, around.init()));
        all.put("root", root);
        if (!host.getUtsMode().equals("host")) {
            all.put("hostname", config.getHostname().isEmpty() ? shortId(around.id()) : config.getHostname());
        }
        all.put("mounts", mounts(host, around));
        all.put("annotations", host.getAnnotationsMap());
        if (!config.getDomainname().isEmpty() && !host.getUtsMode().equals("host")) {
            all.put("domainname", config.getDomainname());
        }
        all.put("linux", linux(host, around));
        return any(SPECIFICATION_TYPE, all);
    }

    /** Returns limits that are changed while the container runs. */
    static Any resources(Resources resources, boolean unifiedCgroups) {
        return any(RESOURCES_TYPE, limits(resources, unifiedCgroups));
    }

    /** Returns one more process for a running container. */
    static Any process(Config config, HostConfig host, Surroundings around, boolean privileged) {
        HostConfig asked = privileged ? host.toBuilder().setPrivileged(true).build() : host;
        return any(PROCESS_TYPE, process(config, asked, around, ""));
    }

    private static String shortId(String id) {
        return id.substring(0, Math.min(12, id.length()));
    }

    private static Map<String, Object> process(Config config, HostConfig host, Surroundings around, String init) {
        List<String> args = new ArrayList<>();
        if (!init.isEmpty()) {
            args.addAll(List.of(INIT_PATH, "--"));
        }
        args.addAll(config.getEntrypointList());
        args.addAll(config.getCmdList());

        List<String> environment = new ArrayList<>();
        if (config.getEnvList().stream().noneMatch(each -> each.startsWith("PATH="))) {
            environment.add(DEFAULT_PATH);
        }
        if (config.getEnvList().stream().noneMatch(each -> each.startsWith("HOSTNAME="))) {
            environment.add(
                    "HOSTNAME=" + (config.getHostname().isEmpty() ? shortId(around.id()) : config.getHostname()));
        }
        if (config.getTty() && config.getEnvList().stream().noneMatch(each -> each.startsWith("TERM="))) {
            environment.add("TERM=xterm");
        }
        environment.addAll(config.getEnvList());

        Map<String, Object> user = new LinkedHashMap<>();
        user.put("uid", around.uid());
        user.put("gid", around.gid());
        user.put("additionalGids", around.groups());

        Collection<String> granted = capabilities(host, around.capabilities());
        Map<String, Object> capabilities = new LinkedHashMap<>();
        capabilities.put("bounding", granted);
        // A process of another user gets its capabilities only through the files it executes.
        if (around.uid() == 0) {
            capabilities.put("effective", granted);
            capabilities.put("permitted", granted);
        }

        Map<String, Object> process = new LinkedHashMap<>();
        process.put("terminal", config.getTty());
        process.put("user", user);
        process.put("args", args);
        process.put("env", environment);
        process.put("cwd", config.getWorkingDir().isEmpty() ? "/" : config.getWorkingDir());
        process.put("capabilities", capabilities);
        SecurityOptions security = SecurityOptions.of(host);
        process.put("noNewPrivileges", security.noNewPrivileges());
        putText(process, "apparmorProfile", security.apparmor());
        if (config.getTty() && host.getConsoleSizeCount() == 2) {
            Map<String, Object> size = new LinkedHashMap<>();
            size.put("height", host.getConsoleSize(0));
            size.put("width", host.getConsoleSize(1));
            process.put("consoleSize", size);
        }
        process.put("rlimits", limitsOfProcess(host.getResources().getUlimitsList()));
        process.put("oomScoreAdj", host.getOomScoreAdj());
        return process;
    }

    private static List<Map<String, Object>> limitsOfProcess(List<Ulimit> limits) {
        List<Map<String, Object>> all = new ArrayList<>();
        for (Ulimit limit : limits) {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("type", "RLIMIT_" + limit.getName().toUpperCase(Locale.ROOT));
            one.put("hard", unsigned(limit.getHard()));
            one.put("soft", unsigned(limit.getSoft()));
            all.add(one);
        }
        return all;
    }

    /** No limit is -1 to users, and the largest number to the kernel. */
    private static Object unsigned(long limit) {
        return limit < 0 ? new BigInteger("18446744073709551615") : (Object) limit;
    }

    /** Returns the capabilities that are left after {@code --cap-drop} and {@code --cap-add}, sorted. */
    static Collection<String> capabilities(HostConfig host, long given) {
        List<String> known = new ArrayList<>();
        for (int i = 0; i < EVERY_CAPABILITY.size(); i++) {
            if ((given >>> i & 1) != 0) {
                known.add(EVERY_CAPABILITY.get(i));
            }
        }
        if (host.getPrivileged()) {
            return new TreeSet<>(known);
        }
        List<String> add =
                host.getCapAddList().stream().map(OciSpecification::capability).toList();
        List<String> drop =
                host.getCapDropList().stream().map(OciSpecification::capability).toList();
        Set<String> granted = new TreeSet<>();
        if (add.contains("CAP_ALL")) {
            granted.addAll(known);
        } else if (!drop.contains("CAP_ALL")) {
            granted.addAll(CAPABILITIES);
        }
        drop.forEach(granted::remove);
        granted.addAll(add);
        granted.retainAll(known);
        return granted;
    }

    private static String capability(String name) {
        String upper = name.toUpperCase(Locale.ROOT);
        return upper.startsWith("CAP_") ? upper : "CAP_" + upper;
    }

    private static List<Map<String, Object>> mounts(HostConfig host, Surroundings around) {
        List<Mounted> all = new ArrayList<>();
        String writable = host.getPrivileged() ? "rw" : "ro";
        all.add(new Mounted("/proc", "proc", "proc", List.of("nosuid", "noexec", "nodev")));
        all.add(new Mounted("/dev", "tmpfs", "tmpfs", List.of("nosuid", "strictatime", "mode=755", "size=65536k")));
        all.add(new Mounted(
                "/dev/pts",
                "devpts",
                "devpts",
                List.of("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")));
        all.add(new Mounted("/sys", "sysfs", "sysfs", List.of("nosuid", "noexec", "nodev", writable)));
        all.add(new Mounted("/sys/fs/cgroup", "cgroup", "cgroup", List.of(writable, "nosuid", "noexec", "nodev")));
        all.add(new Mounted("/dev/mqueue", "mqueue", "mqueue", List.of("nosuid", "noexec", "nodev")));
        if (host.getIpcMode().equals("host")) {
            all.add(new Mounted("/dev/shm", "bind", "/dev/shm", List.of("rbind", "nosuid", "noexec", "nodev")));
        }
        long shmBytes = host.getShmSize() > 0 ? host.getShmSize() : SHM_BYTES_DEFAULT;
        if (SHM_MODES.contains(host.getIpcMode())) {
            all.add(new Mounted(
                    "/dev/shm", "tmpfs", "shm", List.of("nosuid", "noexec", "nodev", "mode=1777", "size=" + shmBytes)));
        }
        if (!around.init().isEmpty()) {
            all.add(new Mounted(INIT_PATH, "bind", around.init(), List.of("bind", "ro")));
        }
        // What a user mounts takes the place of a default.
        for (Mounted mounted : around.mounts()) {
            all.removeIf(each -> each.destination().equals(mounted.destination()));
            all.add(mounted);
        }
        List<Map<String, Object>> list = new ArrayList<>();
        for (Mounted mounted : all) {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("destination", mounted.destination());
            one.put("type", mounted.type());
            one.put("source", mounted.source());
            one.put("options", mounted.options());
            list.add(one);
        }
        return list;
    }

    private static Map<String, Object> linux(HostConfig host, Surroundings around) {
        List<Map<String, Object>> namespaces = new ArrayList<>();
        namespaces.add(namespace("mount", ""));
        if (!host.getNetworkMode().equals("host")) {
            namespaces.add(namespace("network", around.networkNamespace()));
        }
        if (!host.getUtsMode().equals("host")) {
            namespaces.add(namespace("uts", ""));
        }
        if (!host.getPidMode().equals("host")) {
            namespaces.add(namespace("pid", around.joined().getOrDefault("pid", "")));
        }
        if (!host.getIpcMode().equals("host")) {
            namespaces.add(namespace("ipc", around.joined().getOrDefault("ipc", "")));
        }
        boolean ownCgroups = host.getCgroupnsMode().isEmpty()
                ? around.unifiedCgroups() && !host.getPrivileged()
                : host.getCgroupnsMode().equals("private");
        if (ownCgroups) {
            namespaces.add(namespace("cgroup", ""));
        }

        Map<String, Object> linux = new LinkedHashMap<>();
        linux.put("namespaces", namespaces);
        linux.put("cgroupsPath", around.cgroupPath());
        putText(linux, "rootfsPropagation", propagation(around.mounts()));
        linux.put("sysctl", host.getSysctlsMap());
        linux.put("resources", limits(host.getResources(), around, host.getPrivileged()));
        linux.put("devices", nodes(around.devices()));
        SecurityOptions security = SecurityOptions.of(host);
        boolean unconfined = security.seccomp().equals(SecurityOptions.UNCONFINED)
                || (security.seccomp().isEmpty() && host.getPrivileged());
        if (!unconfined) {
            Seccomp seccomp = new Seccomp(System.getProperty("os.arch"));
            Collection<String> granted = capabilities(host, around.capabilities());
            linux.put(
                    "seccomp",
                    security.seccomp().isEmpty() ? seccomp.normal(granted) : seccomp.of(security.seccomp(), granted));
        }
        linux.put("maskedPaths", paths(host.hasMaskedPaths(), host.getMaskedPaths(), MASKED_PATHS, host));
        linux.put("readonlyPaths", paths(host.hasReadonlyPaths(), host.getReadonlyPaths(), READONLY_PATHS, host));
        return linux;
    }

    /** What a container sees of later mounts of the host, and the host of the container's, goes through its root. */
    private static String propagation(List<Mounted> mounts) {
        String found = "";
        for (Mounted mounted : mounts) {
            if (mounted.options().contains("shared") || mounted.options().contains("rshared")) {
                return "shared";
            }
            if (mounted.options().contains("slave") || mounted.options().contains("rslave")) {
                found = "rslave";
            }
        }
        return found;
    }

    private static List<String> paths(boolean given, StringList list, List<String> normal, HostConfig host) {
        if (given) {
            return list.getValuesList();
        }
        return host.getPrivileged() || SecurityOptions.of(host).systemPaths() ? List.of() : normal;
    }

    private static Map<String, Object> namespace(String type, String path) {
        Map<String, Object> namespace = new LinkedHashMap<>();
        namespace.put("type", type);
        if (!path.isEmpty()) {
            namespace.put("path", path);
        }
        return namespace;
    }

    private static Map<String, Object> limits(Resources asked, Surroundings around, boolean privileged) {
        Map<String, Object> limits = limits(asked, around.unifiedCgroups());
        List<Map<String, Object>> devices = new ArrayList<>(devices(privileged));
        if (!privileged) {
            for (Device each : around.devices()) {
                devices.add(device(true, each.block() ? "b" : "c", each.major(), each.minor(), each.access()));
            }
            for (String text : asked.getDeviceCgroupRulesList()) {
                Devices.Rule rule = Devices.Rule.of(text);
                devices.add(device(true, rule.type(), rule.major(), rule.minor(), rule.access()));
            }
        }
        limits.put("devices", devices);
        return limits;
    }

    private static Map<String, Object> limits(Resources asked, boolean unifiedCgroups) {
        Map<String, Object> memory = new LinkedHashMap<>();
        putPositive(memory, "limit", asked.getMemory());
        putPositive(memory, "reservation", asked.getMemoryReservation());
        if (asked.getMemorySwap() != 0) {
            memory.put("swap", asked.getMemorySwap());
        } else if (asked.getMemory() > 0) {
            memory.put("swap", 2 * asked.getMemory());
        }
        if (asked.hasMemorySwappiness() && asked.getMemorySwappiness() >= 0 && !unifiedCgroups) {
            memory.put("swappiness", asked.getMemorySwappiness());
        }
        putPositive(memory, "kernelTCP", asked.getKernelMemoryTcp());
        if (asked.getOomKillDisable() && !unifiedCgroups) {
            memory.put("disableOOMKiller", true);
        }

        Map<String, Object> cpu = new LinkedHashMap<>();
        putPositive(cpu, "shares", asked.getCpuShares());
        if (asked.getNanoCpus() > 0) {
            cpu.put("period", 100_000L);
            cpu.put("quota", asked.getNanoCpus() / 10_000);
        } else {
            putPositive(cpu, "period", asked.getCpuPeriod());
            putPositive(cpu, "quota", asked.getCpuQuota());
        }
        putPositive(cpu, "realtimePeriod", asked.getCpuRealtimePeriod());
        putPositive(cpu, "realtimeRuntime", asked.getCpuRealtimeRuntime());
        putText(cpu, "cpus", asked.getCpusetCpus());
        putText(cpu, "mems", asked.getCpusetMems());

        Map<String, Object> limits = new LinkedHashMap<>();
        limits.put("memory", memory);
        limits.put("cpu", cpu);
        if (asked.hasPidsLimit() && asked.getPidsLimit() != 0) {
            Map<String, Object> pids = new LinkedHashMap<>();
            pids.put("limit", asked.getPidsLimit() < 0 ? -1L : asked.getPidsLimit());
            limits.put("pids", pids);
        }
        Map<String, Object> block = new LinkedHashMap<>();
        putPositive(block, "weight", asked.getBlkioWeight());
        putThrottles(block, "throttleReadBpsDevice", asked.getBlkioDeviceReadBpsList());
        putThrottles(block, "throttleWriteBpsDevice", asked.getBlkioDeviceWriteBpsList());
        putThrottles(block, "throttleReadIOPSDevice", asked.getBlkioDeviceReadIopsList());
        putThrottles(block, "throttleWriteIOPSDevice", asked.getBlkioDeviceWriteIopsList());
        if (asked.getBlkioWeightDeviceCount() > 0) {
            List<Map<String, Object>> weights = new ArrayList<>();
            for (WeightDevice each : asked.getBlkioWeightDeviceList()) {
                Map<String, Object> weight = numbers(each.getPath());
                weight.put("weight", each.getWeight());
                weights.add(weight);
            }
            block.put("weightDevice", weights);
        }
        if (!block.isEmpty()) {
            limits.put("blockIO", block);
        }
        return limits;
    }

    private static void putThrottles(Map<String, Object> block, String name, List<ThrottleDevice> asked) {
        List<Map<String, Object>> throttles = new ArrayList<>();
        for (ThrottleDevice each : asked) {
            Map<String, Object> throttle = numbers(each.getPath());
            throttle.put("rate", each.getRate());
            throttles.add(throttle);
        }
        if (!throttles.isEmpty()) {
            block.put(name, throttles);
        }
    }

    private static Map<String, Object> numbers(String path) {
        TreeArchive.Status status = Devices.numbers(path);
        Map<String, Object> numbers = new LinkedHashMap<>();
        numbers.put("major", status.major());
        numbers.put("minor", status.minor());
        return numbers;
    }

    private static List<Map<String, Object>> nodes(List<Device> devices) {
        List<Map<String, Object>> nodes = new ArrayList<>();
        for (Device device : devices) {
            Map<String, Object> node = new LinkedHashMap<>();
            node.put("path", device.path());
            node.put("type", device.block() ? "b" : "c");
            node.put("major", device.major());
            node.put("minor", device.minor());
            node.put("fileMode", device.mode());
            node.put("uid", device.uid());
            node.put("gid", device.gid());
            nodes.add(node);
        }
        return nodes;
    }

    private static void putPositive(Map<String, Object> object, String name, long value) {
        if (value > 0) {
            object.put(name, value);
        }
    }

    private static void putText(Map<String, Object> object, String name, String value) {
        if (!value.isEmpty()) {
            object.put(name, value);
        }
    }

    /** Returns the devices a container may use: making any node is allowed, opening only those that harm nobody. */
    private static List<Map<String, Object>> devices(boolean privileged) {
        if (privileged) {
            return List.of(device(true, "", -1, -1, "rwm"));
        }
        List<Map<String, Object>> rules = new ArrayList<>();
        rules.add(device(false, "", -1, -1, "rwm"));
        rules.add(device(true, "c", -1, -1, "m"));
        rules.add(device(true, "b", -1, -1, "m"));
        rules.add(device(true, "c", 1, 3, "rwm")); // null
        rules.add(device(true, "c", 1, 5, "rwm")); // zero
        rules.add(device(true, "c", 1, 7, "rwm")); // full
        rules.add(device(true, "c", 1, 8, "rwm")); // random
        rules.add(device(true, "c", 1, 9, "rwm")); // urandom
        rules.add(device(true, "c", 5, 0, "rwm")); // tty
        rules.add(device(true, "c", 5, 2, "rwm")); // ptmx
        rules.add(device(true, "c", 136, -1, "rwm")); // pts
        return rules;
    }

    private static Map<String, Object> device(boolean allow, String type, long major, long minor, String access) {
        Map<String, Object> rule = new LinkedHashMap<>();
        rule.put("allow", allow);
        putText(rule, "type", type);
        if (major >= 0) {
            rule.put("major", major);
        }
        if (minor >= 0) {
            rule.put("minor", minor);
        }
        rule.put("access", access);
        return rule;
    }

    private static Any any(String type, Map<String, Object> tree) {
        BytesJsonWriter writer = STREAM.bufferedWriterAsBytes();
        write(writer, tree);
        return Any.newBuilder()
                .setTypeUrl(type)
                .setValue(ByteString.copyFrom(writer.result()))
                .build();
    }

    private static void write(BytesJsonWriter writer, Object value) {
        switch (value) {
            case Map<?, ?> object -> {
                writer.beginObject();
                object.forEach((name, field) -> {
                    writer.name(String.valueOf(name));
                    write(writer, field);
                });
                writer.endObject();
            }
            case Collection<?> list -> {
                writer.beginArray();
                list.forEach(each -> write(writer, each));
                writer.endArray();
            }
            case String text -> writer.value(text);
            case Boolean truth -> writer.value(truth.booleanValue());
            case BigInteger number -> writer.value(number);
            case Number number -> writer.value(number.longValue());
            default -> throw new IllegalStateException("no JSON for " + value.getClass());
        }
    }
}
