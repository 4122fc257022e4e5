package io.skep.engine;

import io.skep.engine.record.BlockEntry;
import io.skep.engine.record.BlockStats;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerStats;
import io.skep.engine.record.CpuStats;
import io.skep.engine.record.CpuUsage;
import io.skep.engine.record.InterfaceStats;
import io.skep.engine.record.MemoryStats;
import io.skep.engine.record.PidsStats;
import io.skep.engine.record.ThrottlingData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a container uses at this moment, read from its control groups, of version 1 or 2, and from its network
 * namespace. What this kernel does not count is left out.
 */
final class ContainerStatistics {
    private static final String NEVER = "0001-01-01T00:00:00Z";
    private static final Path GROUPS = Path.of("/sys/fs/cgroup");
    private static final long TICK_NANOS = 10_000_000;
    private static final long MICROSECOND_NANOS = 1000;
    private static final long UNLIMITED = 1L << 62;

    private final Map<String, Path> folders = new HashMap<>();
    private final boolean unified;
    private final int pid;

    private ContainerStatistics(int pid) throws IOException {
        this.pid = pid;
        boolean onlyUnified = true;
        for (String line : Files.readAllLines(Path.of("/proc", Integer.toString(pid), "cgroup"))) {
            String[] fields = line.split(":", 3);
            if (fields.length < 3) {
                continue;
            }
            String under = fields[2].startsWith("/") ? fields[2].substring(1) : fields[2];
            for (String controller : fields[1].split(",", -1)) {
                if (controller.isEmpty()) {
                    folders.put("", GROUPS.resolve(under));
                } else if (!controller.startsWith("name=")) {
                    onlyUnified = false;
                    Path together = GROUPS.resolve(fields[1]);
                    folders.put(
                            controller,
                            (Files.isDirectory(together) ? together : GROUPS.resolve(controller)).resolve(under));
                }
            }
        }
        this.unified = onlyUnified;
    }

    /**
     * Takes a sample.
     *
     * @param before the last one, or null
     */
    static ContainerStats sample(ContainerRecord container, @Nullable ContainerStats before, Instant now) {
        ContainerStats.Builder stats = ContainerStats.newBuilder()
                .setName("/" + container.getName())
                .setId(container.getId())
                .setRead(NEVER)
                .setPreread(before == null ? NEVER : before.getRead());
        if (before != null) {
            stats.setPrecpuStats(before.getCpuStats());
        }
        int pid = container.getState().getPid();
        if (pid == 0) {
            return stats.build();
        }
        try {
            new ContainerStatistics(pid).fill(stats);
            return stats.setRead(now.toString()).build();
        } catch (IOException e) {
            // It has just ended.
            return stats.build();
        }
    }

    private void fill(ContainerStats.Builder stats) throws IOException {
        CpuStats.Builder cpu = unified ? unifiedCpu() : cpu();
        cpu.setSystemCpuUsage(systemNanos()).setOnlineCpus(Runtime.getRuntime().availableProcessors());
        stats.setCpuStats(cpu);
        stats.setMemoryStats(unified ? unifiedMemory() : memory());
        stats.setBlkioStats(unified ? unifiedBlocks() : blocks());
        stats.setPidsStats(PidsStats.newBuilder()
                .setCurrent(number("pids", "pids.current"))
                .setLimit(number("pids", "pids.max")));
        networks(stats);
    }

    // ---- reading

    private Path file(String controller, String name) {
        return folders.getOrDefault(unified ? "" : controller, GROUPS).resolve(name);
    }

    /** Returns a number, 0 for {@code max} and for what is not counted. */
    private long number(String controller, String name) throws IOException {
        Path file = file(controller, name);
        if (!Files.exists(file)) {
            return 0;
        }
        String text = Files.readAllLines(file).stream().findFirst().orElse("").strip();
        try {
            return text.equals("max") ? 0 : Long.parseLong(text);
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    /** Returns lines of a name and a number. */
    private Map<String, Long> numbers(String controller, String name) throws IOException {
        Map<String, Long> all = new HashMap<>();
        Path file = file(controller, name);
        if (Files.exists(file)) {
            for (String line : Files.readAllLines(file)) {
                String[] fields = line.split(" ", -1);
                if (fields.length == 2 && fields[1].matches("\\d{1,18}")) {
                    all.put(fields[0], Long.parseLong(fields[1]));
                }
            }
        }
        return all;
    }

    private static long systemNanos() throws IOException {
        String[] fields = Files.readAllLines(Path.of("/proc/stat")).getFirst().split("\\s+", -1);
        long ticks = 0;
        for (int i = 1; i <= 8 && i < fields.length; i++) {
            ticks += Long.parseLong(fields[i]);
        }
        return ticks * TICK_NANOS;
    }

    private static long machineBytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
            if (line.startsWith("MemTotal:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        return 0;
    }

    // ---- version 1

    private CpuStats.Builder cpu() throws IOException {
        Map<String, Long> modes = numbers("cpuacct", "cpuacct.stat");
        Map<String, Long> throttled = numbers("cpu", "cpu.stat");
        return CpuStats.newBuilder()
                .setCpuUsage(CpuUsage.newBuilder()
                        .setTotalUsage(number("cpuacct", "cpuacct.usage"))
                        .setUsageInKernelmode(modes.getOrDefault("system", 0L) * TICK_NANOS)
                        .setUsageInUsermode(modes.getOrDefault("user", 0L) * TICK_NANOS))
                .setThrottlingData(ThrottlingData.newBuilder()
                        .setPeriods(throttled.getOrDefault("nr_periods", 0L))
                        .setThrottledPeriods(throttled.getOrDefault("nr_throttled", 0L))
                        .setThrottledTime(throttled.getOrDefault("throttled_time", 0L)));
    }

    private MemoryStats.Builder memory() throws IOException {
        long limit = number("memory", "memory.limit_in_bytes");
        return MemoryStats.newBuilder()
                .setUsage(number("memory", "memory.usage_in_bytes"))
                .setMaxUsage(number("memory", "memory.max_usage_in_bytes"))
                .setFailcnt(number("memory", "memory.failcnt"))
                .setLimit(limit == 0 || limit > UNLIMITED ? machineBytes() : Math.min(limit, machineBytes()))
                .putAllStats(numbers("memory", "memory.stat"));
    }

    private BlockStats.Builder blocks() throws IOException {
        BlockStats.Builder all = BlockStats.newBuilder();
        String bytes = Files.exists(file("blkio", "blkio.io_service_bytes_recursive"))
                ? "blkio.io_service_bytes_recursive"
                : "blkio.throttle.io_service_bytes_recursive";
        all.addAllIoServiceBytesRecursive(entries(bytes));
        all.addAllIoServicedRecursive(entries(bytes.replace("service_bytes", "serviced")));
        return all;
    }

    private List<BlockEntry> entries(String name) throws IOException {
        Path file = file("blkio", name);
        if (!Files.exists(file)) {
            return List.of();
        }
        return Files.readAllLines(file).stream()
                .map(line -> line.split("[ :]", -1))
                .filter(fields -> fields.length == 4)
                .map(fields -> entry(fields[0], fields[1], fields[2], fields[3]))
                .toList();
    }

    private static BlockEntry entry(String major, String minor, String operation, String value) {
        return BlockEntry.newBuilder()
                .setMajor(Long.parseLong(major))
                .setMinor(Long.parseLong(minor))
                .setOp(operation.toLowerCase(Locale.ROOT))
                .setValue(Long.parseLong(value))
                .build();
    }

    // ---- version 2

    private CpuStats.Builder unifiedCpu() throws IOException {
        Map<String, Long> all = numbers("", "cpu.stat");
        return CpuStats.newBuilder()
                .setCpuUsage(CpuUsage.newBuilder()
                        .setTotalUsage(all.getOrDefault("usage_usec", 0L) * MICROSECOND_NANOS)
                        .setUsageInKernelmode(all.getOrDefault("system_usec", 0L) * MICROSECOND_NANOS)
                        .setUsageInUsermode(all.getOrDefault("user_usec", 0L) * MICROSECOND_NANOS))
                .setThrottlingData(ThrottlingData.newBuilder()
                        .setPeriods(all.getOrDefault("nr_periods", 0L))
                        .setThrottledPeriods(all.getOrDefault("nr_throttled", 0L))
                        .setThrottledTime(all.getOrDefault("throttled_usec", 0L) * MICROSECOND_NANOS));
    }

    private MemoryStats.Builder unifiedMemory() throws IOException {
        long limit = number("", "memory.max");
        return MemoryStats.newBuilder()
                .setUsage(number("", "memory.current"))
                .setLimit(limit == 0 ? machineBytes() : Math.min(limit, machineBytes()))
                .putAllStats(numbers("", "memory.stat"));
    }

    private BlockStats.Builder unifiedBlocks() throws IOException {
        BlockStats.Builder all = BlockStats.newBuilder();
        Path file = file("", "io.stat");
        if (!Files.exists(file)) {
            return all;
        }
        for (String line : Files.readAllLines(file)) {
            String[] fields = line.split("[ :]", -1);
            for (int i = 2; i < fields.length; i++) {
                String[] pair = fields[i].split("=", -1);
                if (pair.length != 2) {
                    continue;
                }
                switch (pair[0]) {
                    case "rbytes" -> all.addIoServiceBytesRecursive(entry(fields[0], fields[1], "read", pair[1]));
                    case "wbytes" -> all.addIoServiceBytesRecursive(entry(fields[0], fields[1], "write", pair[1]));
                    case "rios" -> all.addIoServicedRecursive(entry(fields[0], fields[1], "read", pair[1]));
                    case "wios" -> all.addIoServicedRecursive(entry(fields[0], fields[1], "write", pair[1]));
                    default -> {}
                }
            }
        }
        return all;
    }

    // ---- network

    private void networks(ContainerStats.Builder stats) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc", Integer.toString(pid), "net/dev"))) {
            int colon = line.indexOf(':');
            String name = colon < 0 ? "" : line.substring(0, colon).strip();
            if (name.isEmpty() || name.equals("lo")) {
                continue;
            }
            String[] fields = line.substring(colon + 1).strip().split("\\s+", -1);
            if (fields.length < 12) {
                continue;
            }
            stats.putNetworks(
                    name,
                    InterfaceStats.newBuilder()
                            .setRxBytes(Long.parseLong(fields[0]))
                            .setRxPackets(Long.parseLong(fields[1]))
                            .setRxErrors(Long.parseLong(fields[2]))
                            .setRxDropped(Long.parseLong(fields[3]))
                            .setTxBytes(Long.parseLong(fields[8]))
                            .setTxPackets(Long.parseLong(fields[9]))
                            .setTxErrors(Long.parseLong(fields[10]))
                            .setTxDropped(Long.parseLong(fields[11]))
                            .build());
        }
    }
}
