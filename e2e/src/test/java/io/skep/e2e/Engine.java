package io.skep.e2e;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What runs on a host: Skep, or a stock Docker Engine to compare with. */
enum Engine {
    SKEP,
    DOCKER;

    List<String> command(Host host, String cgroupParent) {
        List<String> command = new ArrayList<>();
        if (this == DOCKER) {
            // Without it dockerd tries to pull each image first, from a registry that no host reaches.
            command.addAll(List.of("env", "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1", "dockerd"));
            command.addAll(List.of("--cgroup-parent", cgroupParent));
        } else {
            command.add(Path.of(System.getProperty("skep.home"), "bin/skepd").toString());
        }
        command.addAll(
                List.of("--data-root", host.folder() + "/data", "-H", host.socket(), "--pidfile", "/run/docker.pid"));
        return command;
    }
}
