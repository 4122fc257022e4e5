package io.skep.daemon.config;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A key of dockerd (20.10 to 29) that Skep knows and does not support, with what to do instead. It is refused by name:
 * to ignore it would leave the user with a setting that does nothing.
 *
 * @param key its name in the file, or null where dockerd has only the flag
 * @param flags its flags, or empty where dockerd has only the key
 */
record RefusedKey(@Nullable String key, List<String> flags, String hint) {
    private static final String CONTAINERS =
            "Skep's engine has no such default; set it for each container or service that needs it";
    private static final String BRIDGE =
            "Skep's engine has no such setting; make a network that is as you want it with docker network create";
    private static final String IMAGES = "Skep's engine has no such setting";
    private static final String CONTAINER_LOGS =
            "Skep's engine writes json-file unless a container or service asks for another with --log-driver";
    private static final String CLUSTER_STORE = "Docker itself removed it; the swarm keeps its own state";
    private static final String RAFT_TICKS = "Skep chooses the times of its consensus itself; remove it";

    static final List<RefusedKey> ALL = List.of(
            both("default-ulimit", "default-ulimits", CONTAINERS),
            both("default-shm-size", CONTAINERS),
            both("default-ipc-mode", CONTAINERS),
            both("default-cgroupns-mode", CONTAINERS),
            keyOnly("default-init", CONTAINERS),
            both("cpu-rt-period", CONTAINERS),
            both("cpu-rt-runtime", CONTAINERS),
            both("exec-opt", "exec-opts", CONTAINERS),
            both("init", CONTAINERS),
            both("init-path", CONTAINERS),
            both("no-new-privileges", CONTAINERS),
            both("seccomp-profile", CONTAINERS),
            both("apparmor-profile", CONTAINERS),
            both("selinux-enabled", CONTAINERS),
            both("userns-remap", CONTAINERS),
            both("cdi-spec-dir", "cdi-spec-dirs", CONTAINERS),
            both("nri-opts", CONTAINERS),
            both("live-restore", "tasks outlive a stop of skepd anyhow; remove it"),
            both("containerd-namespace", CONTAINERS),
            new RefusedKey("containerd-plugin-namespace", List.of("--containerd-plugins-namespace"), CONTAINERS),
            both("cri-containerd", CONTAINERS),
            new RefusedKey("storage-driver", List.of("-s", "--storage-driver"), CONTAINERS),
            both("storage-opt", "storage-opts", CONTAINERS),
            both("dns", CONTAINERS),
            both("dns-opt", "dns-opts", CONTAINERS),
            both("dns-search", CONTAINERS),
            keyOnly("resolv-conf", CONTAINERS),
            both("host-gateway-ip", CONTAINERS),
            keyOnly("host-gateway-ips", CONTAINERS),
            both("log-driver", CONTAINER_LOGS),
            both("log-opt", "log-opts", CONTAINER_LOGS),
            new RefusedKey("bridge", List.of("-b", "--bridge"), BRIDGE),
            both("bip", BRIDGE),
            both("bip6", BRIDGE),
            both("bridge-accept-fwmark", BRIDGE),
            both("allow-direct-routing", BRIDGE),
            both("default-gateway", BRIDGE),
            both("default-gateway-v6", BRIDGE),
            both("default-network-opt", "default-network-opts", BRIDGE),
            both("fixed-cidr", BRIDGE),
            both("fixed-cidr-v6", BRIDGE),
            both("icc", BRIDGE),
            both("ip", BRIDGE),
            both("ip-forward", BRIDGE),
            both("ip-forward-no-drop", BRIDGE),
            both("ip-masq", BRIDGE),
            both("iptables", BRIDGE),
            both("ip6tables", BRIDGE),
            both("ipv6", BRIDGE),
            both("firewall-backend", BRIDGE),
            both("mtu", BRIDGE),
            both("network-control-plane-mtu", BRIDGE),
            both("userland-proxy", BRIDGE),
            both("userland-proxy-path", BRIDGE),
            both("network-diagnostic-port", "Skep has no such server; see metrics-addr"),
            both("allow-nondistributable-artifacts", IMAGES),
            keyOnly("proxies", IMAGES),
            both("http-proxy", IMAGES),
            both("https-proxy", IMAGES),
            both("no-proxy", IMAGES),
            keyOnly("builder", "Skep does not build images; use docker buildx with a builder of its own"),
            both("api-cors-header", "Docker itself removed it; put a proxy in front of the API if a browser needs it"),
            both(
                    "authorization-plugin",
                    "authorization-plugins",
                    "Skep loads no plugins; give client certificates only to those who may control the cluster"),
            both("experimental", "Skep has no experimental mode; remove it"),
            both("feature", "features", "Skep has no features to switch; remove it"),
            both("oom-score-adjust", "set OOMScoreAdjust= in the systemd unit"),
            new RefusedKey(null, List.of("--rootless"), "run skepd as a user with folders of its own instead"),
            new RefusedKey("graph", List.of("-g", "--graph"), "Docker itself removed it; its name is data-root today"),
            new RefusedKey(
                    null, List.of("-r", "--restart"), "Docker itself removed it; services have restart policies"),
            both("swarm-raft-heartbeat-tick", RAFT_TICKS),
            both("swarm-raft-election-tick", RAFT_TICKS),
            both("cluster-store", CLUSTER_STORE),
            both("cluster-store-opt", "cluster-store-opts", CLUSTER_STORE),
            both("cluster-advertise", CLUSTER_STORE),
            keyOnly("deprecated-key-path", "Docker itself removed it; nodes have certificates of the swarm"));

    private static final Map<String, RefusedKey> BY_KEY = new TreeMap<>();
    private static final Map<String, RefusedKey> BY_FLAG = new TreeMap<>();

    static {
        for (RefusedKey refused : ALL) {
            if (refused.key != null) {
                BY_KEY.put(refused.key, refused);
            }
            refused.flags.forEach(flag -> BY_FLAG.put(flag, refused));
        }
    }

    private static RefusedKey both(String name, String hint) {
        return both(name, name, hint);
    }

    private static RefusedKey both(String flag, String key, String hint) {
        return new RefusedKey(key, List.of("--" + flag), hint);
    }

    private static RefusedKey keyOnly(String key, String hint) {
        return new RefusedKey(key, List.of(), hint);
    }

    static @Nullable RefusedKey byKey(String key) {
        return BY_KEY.get(key);
    }

    /** Finds by a flag as it stands in the command line, with or without {@code =VALUE}. */
    static @Nullable RefusedKey byFlag(String argument) {
        int end = argument.startsWith("--") ? argument.indexOf('=') : Math.min(2, argument.length());
        return BY_FLAG.get(end < 0 ? argument : argument.substring(0, end));
    }
}
