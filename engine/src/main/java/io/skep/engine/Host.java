package io.skep.engine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What this machine can do.
 *
 * @param unifiedCgroups whether it has version 2 of control groups only
 * @param capabilities bits of those that this engine has and can give to containers
 * @param init path of a program that can be the first of a container, or empty when there is none
 */
record Host(boolean unifiedCgroups, long capabilities, String init) {
    private static final Logger LOG = LoggerFactory.getLogger(Host.class);
    private static final List<String> INITS = List.of("docker-init", "tini-static", "tini", "catatonit");
    private static final List<String> FOLDERS =
            List.of("/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin", "/usr/libexec/docker", "/usr/libexec/podman");

    static Host probe() {
        boolean unified = Files.exists(Path.of("/sys/fs/cgroup/cgroup.controllers"));
        return new Host(unified, ownCapabilities(), findInit());
    }

    /** A process can give on only what it has itself, which on a machine that is a guest may be less than all. */
    private static long ownCapabilities() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("CapPrm:")) {
                    return Long.parseUnsignedLong(
                            line.substring("CapPrm:".length()).strip(), 16);
                }
            }
        } catch (IOException | NumberFormatException e) {
            LOG.warn("The capabilities of this process cannot be read: {}", e.getMessage());
        }
        return -1;
    }

    private static String findInit() {
        for (String name : INITS) {
            for (String folder : FOLDERS) {
                Path program = Path.of(folder, name);
                if (Files.isExecutable(program)) {
                    return program.toString();
                }
            }
        }
        return "";
    }
}
