package io.skep.api;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** The machine that the daemon runs on, in the words of the Docker API. */
final class Host {
    private Host() {}

    static String osType() {
        return property("os.name").toLowerCase(Locale.ROOT).contains("windows") ? "windows" : "linux";
    }

    /** Returns the architecture as Go names it. */
    static String goArchitecture() {
        return switch (property("os.arch")) {
            case "amd64", "x86_64" -> "amd64";
            case "aarch64" -> "arm64";
            case String other -> other;
        };
    }

    /** Returns the architecture as {@code uname -m} names it. */
    static String unameArchitecture() {
        return switch (property("os.arch")) {
            case "amd64" -> "x86_64";
            case String other -> other;
        };
    }

    static String kernelVersion() {
        return property("os.version");
    }

    static int processors() {
        return Runtime.getRuntime().availableProcessors();
    }

    static long memoryBytes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean system
                ? system.getTotalMemorySize()
                : 0;
    }

    /** Returns the value of a key of {@code /etc/os-release}, or the given one. */
    static String osRelease(String key, String otherwise) {
        try {
            for (String line : Files.readAllLines(Path.of("/etc/os-release"))) {
                if (line.startsWith(key + "=")) {
                    return line.substring(key.length() + 1).replace("\"", "");
                }
            }
        } catch (IOException e) {
            return otherwise;
        }
        return otherwise;
    }

    /** Returns whether an open descriptor is a unix socket. */
    static boolean isUnixSocket(int fd) throws IOException {
        Path link = Path.of("/proc/self/fd/" + fd);
        String target;
        try {
            target = Files.readSymbolicLink(link).toString();
        } catch (IOException e) {
            throw new IOException("fd://" + fd + ": no such descriptor was inherited", e);
        }
        if (!target.startsWith("socket:[")) {
            throw new IOException("fd://" + fd + ": it is no socket but " + target);
        }
        String inode = target.substring("socket:[".length(), target.length() - 1);
        List<String> lines = Files.readAllLines(Path.of("/proc/net/unix"), StandardCharsets.ISO_8859_1);
        for (String line : lines) {
            String[] columns = line.trim().split("\\s+", -1);
            if (columns.length > 6 && columns[6].equals(inode)) {
                return true;
            }
        }
        return false;
    }

    private static String property(String name) {
        return System.getProperty(name, "");
    }
}
