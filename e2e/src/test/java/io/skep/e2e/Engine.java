package io.skep.e2e;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What runs on a host: Skep, or a stock Docker Engine to compare with. */
enum Engine {
    SKEP,
    DOCKER;

    private static final Duration BUILD_TIMEOUT = Duration.ofMinutes(10);

    private static boolean built;

    List<String> command(Host host, String cgroupParent) {
        List<String> command = new ArrayList<>();
        if (this == DOCKER) {
            // Without it dockerd tries to pull each image first, from a registry that no host reaches.
            command.addAll(List.of("env", "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1", "dockerd"));
            command.addAll(List.of("--cgroup-parent", cgroupParent));
        } else {
            command.addAll(List.of(skepd(), "--engine", "none"));
        }
        command.addAll(places(host));
        return command;
    }

    /** Returns what starts Skep as a node that runs containers itself. */
    static List<String> withContainers(Host host, String cgroupParent) {
        List<String> command =
                new ArrayList<>(List.of(skepd(), "--engine", "containerd", "--cgroup-parent", cgroupParent));
        command.addAll(places(host));
        return command;
    }

    private static List<String> places(Host host) {
        return List.of("--data-root", host.folder() + "/data", "-H", host.socket(), "--pidfile", "/run/docker.pid");
    }

    /** Returns the daemon's launcher, which has built the daemon: what starts it on a host shall not wait for that. */
    private static synchronized String skepd() {
        String skepd = Path.of(System.getProperty("skep.home"), "bin/skepd").toString();
        if (!built) {
            Shell.run(BUILD_TIMEOUT, Map.of(), List.of(skepd, "--version")).expect();
            built = true;
        }
        return skepd;
    }
}
