package io.skep.engine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What this machine can do.
 *
 * @param unifiedCgroups whether it has version 2 of control groups only
 * @param capabilityLast number of the last capability the kernel knows
 */
record Host(boolean unifiedCgroups, int capabilityLast) {
    private static final int CAPABILITY_LAST_DEFAULT = 40;

    static Host probe() {
        boolean unified = Files.exists(Path.of("/sys/fs/cgroup/cgroup.controllers"));
        int last = CAPABILITY_LAST_DEFAULT;
        try {
            last = Integer.parseInt(
                    Files.readString(Path.of("/proc/sys/kernel/cap_last_cap")).strip());
        } catch (IOException | NumberFormatException e) {
            // An old kernel: what it does not know the runtime refuses.
        }
        return new Host(unified, last);
    }
}
