package io.skep.agent;

import io.skep.wire.EngineDescription;
import io.skep.wire.GenericResource;
import io.skep.wire.NodeDescription;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.Resources;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What this machine tells managers of itself: name, platform in the spelling of {@code uname}, capacity, version,
 * labels and the drivers it has (swarm-wire 3.6).
 *
 * @param engineVersion shown as the version of the engine
 * @param labels of the engine: the user's and Skep's own
 * @param genericResources that the user declared
 * @param drivers of logs, networks and volumes that tasks may ask for
 */
public record HostDescription(
        String engineVersion,
        Map<String, String> labels,
        List<GenericResource> genericResources,
        List<PluginDescription> drivers)
        implements Supplier<NodeDescription> {
    /** Engine label by which managers know a node of Skep; its value is the version. */
    public static final String LABEL_VERSION = "io.skep.version";

    private static final long NANO_CPUS = 1_000_000_000L;

    public HostDescription {
        labels = Map.copyOf(labels);
        genericResources = List.copyOf(genericResources);
        drivers = List.copyOf(drivers);
    }

    /** Looks at the machine as it is now. */
    @Override
    public NodeDescription get() {
        return NodeDescription.newBuilder()
                .setHostname(hostname())
                .setPlatform(
                        Platform.newBuilder().setArchitecture(architecture()).setOs(operatingSystem()))
                .setResources(Resources.newBuilder()
                        .setNanoCpus(Runtime.getRuntime().availableProcessors() * NANO_CPUS)
                        .setMemoryBytes(memoryBytes())
                        .addAllGeneric(genericResources))
                .setEngine(EngineDescription.newBuilder()
                        .setEngineVersion(engineVersion)
                        .putAllLabels(labels)
                        .addAllPlugins(drivers))
                .build();
    }

    /** The name of this machine: on Linux as the kernel tells it, for the namespace this process is in. */
    public static String hostname() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
        } catch (IOException e) {
            try {
                return InetAddress.getLocalHost().getHostName();
            } catch (UnknownHostException unknown) {
                return "localhost";
            }
        }
    }

    private static String operatingSystem() {
        String name = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        return name.startsWith("windows") ? "windows" : name.startsWith("mac") ? "darwin" : name;
    }

    private static String architecture() {
        String name = System.getProperty("os.arch", "");
        return switch (name) {
            case "amd64" -> "x86_64";
            case "arm" -> armVariant();
            default -> name;
        };
    }

    /** A 32-bit JVM does not say which ARM it runs on; the kernel does. */
    private static String armVariant() {
        try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("CPU architecture"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .map(version -> version.startsWith("6") ? "armv6l" : "armv7l")
                    .orElse("armv7l");
        } catch (IOException e) {
            return "armv7l";
        }
    }

    private static long memoryBytes() {
        return ManagementFactory.getPlatformMXBean(com.sun.management.OperatingSystemMXBean.class)
                .getTotalMemorySize();
    }
}
