package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.wire.Cluster;
import io.skep.wire.NodeRole;
import io.skep.wire.Peer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** {@code /_ping}, {@code /version} and {@code /info}. */
final class SystemEndpoints {
    private final EngineInfo engine;
    private final SwarmNode node;
    private final EventBuffer events;

    SystemEndpoints(EngineInfo engine, SwarmNode node, EventBuffer events) {
        this.events = events;
        this.engine = engine;
        this.node = node;
    }

    void addTo(Router router) {
        router.add("GET", "/_ping", call -> ping("OK"));
        router.add("HEAD", "/_ping", call -> ping(""));
        router.add("GET", "/version", call -> Reply.json(JsonOut.object(this::version)));
        router.add("GET", "/info", call -> Reply.json(JsonOut.object(out -> info(out, call.version()))));
    }

    private Reply ping(String body) {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("Builder-Version", "1");
        headers.put("Swarm", swarmHeader(node.status()));
        headers.put("Cache-Control", "no-cache, no-store, must-revalidate");
        headers.put("Pragma", "no-cache");
        return Reply.text(body, headers);
    }

    private static String swarmHeader(SwarmNode.Status status) {
        String state = status.state().name().toLowerCase(Locale.ROOT);
        return status.state() != SwarmNode.LocalState.ACTIVE
                ? state
                : state + (status.controlAvailable() ? "/manager" : "/worker");
    }

    private void version(JsonOut out) {
        Map<String, String> details = new LinkedHashMap<>();
        details.put("ApiVersion", ApiVersion.NEWEST.toString());
        details.put("Arch", Host.goArchitecture());
        details.put("BuildTime", engine.buildTime());
        details.put("Experimental", "false");
        details.put("GitCommit", engine.commit());
        details.put("GoVersion", "");
        details.put("JavaVersion", Runtime.version().toString());
        details.put("KernelVersion", Host.kernelVersion());
        details.put("MinAPIVersion", ApiVersion.OLDEST.toString());
        details.put("Os", Host.osType());
        out.object("Platform", platform -> platform.text("Name", "Skep"));
        out.array("Components", List.of("Engine"), (component, name) -> {
            component.text("Name", name);
            component.text("Version", engine.version());
            component.map("Details", details);
        });
        out.text("Version", engine.version());
        out.text("ApiVersion", ApiVersion.NEWEST.toString());
        out.text("MinAPIVersion", ApiVersion.OLDEST.toString());
        out.text("GitCommit", engine.commit());
        out.text("GoVersion", "");
        out.text("Os", Host.osType());
        out.text("Arch", Host.goArchitecture());
        out.textOrOmit("KernelVersion", Host.kernelVersion());
        out.textOrOmit("BuildTime", engine.buildTime());
    }

    private void info(JsonOut out, ApiVersion version) {
        Instant now = Instant.now();
        out.text("ID", engine.id());
        out.number("Containers", 0);
        out.number("ContainersRunning", 0);
        out.number("ContainersPaused", 0);
        out.number("ContainersStopped", 0);
        out.number("Images", 0);
        out.text("Driver", "none");
        out.tree("DriverStatus", List.of());
        out.object("Plugins", plugins -> {
            plugins.texts("Volume", List.of());
            plugins.texts("Network", List.of("overlay"));
            plugins.nothing("Authorization");
            plugins.texts("Log", List.of());
        });
        for (String ability : List.of(
                "MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit")) {
            out.flag(ability, true);
        }
        out.flag("IPv4Forwarding", true);
        if (version.before(1, 50)) {
            out.flag("BridgeNfIptables", true);
            out.flag("BridgeNfIp6tables", true);
        }
        out.flag("Debug", engine.debug().getAsBoolean());
        out.number("NFd", 0);
        out.flag("OomKillDisable", false);
        out.number("NGoroutines", 0);
        out.time(
                "SystemTime",
                Timestamp.newBuilder()
                        .setSeconds(now.getEpochSecond())
                        .setNanos(now.getNano())
                        .build());
        out.text("LoggingDriver", "none");
        out.text("CgroupDriver", "none");
        out.number("NEventsListener", events.listeners());
        out.text("KernelVersion", Host.kernelVersion());
        out.text("OperatingSystem", Host.osRelease("PRETTY_NAME", Host.osType()));
        out.text("OSVersion", Host.osRelease("VERSION_ID", ""));
        out.text("OSType", Host.osType());
        out.text("Architecture", Host.unameArchitecture());
        out.text("IndexServerAddress", "https://index.docker.io/v1/");
        out.object("RegistryConfig", registry -> {
            registry.texts("InsecureRegistryCIDRs", List.of());
            registry.object("IndexConfigs", indexes -> {});
            registry.texts("Mirrors", List.of());
        });
        out.number("NCPU", Host.processors());
        out.number("MemTotal", Host.memoryBytes());
        out.nothing("GenericResources");
        out.text("DockerRootDir", engine.dataRoot().toString());
        out.text("HttpProxy", "");
        out.text("HttpsProxy", "");
        out.text("NoProxy", "");
        out.text("Name", engine.hostname());
        out.texts("Labels", engine.labels().get());
        out.flag("ExperimentalBuild", false);
        out.text("ServerVersion", engine.version());
        out.object("Runtimes", runtimes -> {});
        out.text("DefaultRuntime", "");
        List<String> warnings = new ArrayList<>(engine.warnings().get());
        out.object("Swarm", this::swarm);
        out.flag("LiveRestoreEnabled", false);
        out.text("Isolation", "");
        out.text("InitBinary", "");
        for (String part : List.of("ContainerdCommit", "RuncCommit", "InitCommit")) {
            out.object(part, commit -> {
                commit.text("ID", "");
                if (version.before(1, 49)) {
                    commit.text("Expected", "");
                }
            });
        }
        out.texts("SecurityOptions", List.of());
        out.nothing("CDISpecDirs");
        out.textsOrNull("Warnings", warnings);
    }

    private void swarm(JsonOut out) {
        SwarmNode.Status status = node.status();
        out.text("NodeID", status.nodeId());
        out.text("NodeAddr", status.nodeAddress());
        out.text("LocalNodeState", status.state().name().toLowerCase(Locale.ROOT));
        ClusterAccess cluster = status.controlAvailable() ? node.cluster() : null;
        out.flag("ControlAvailable", cluster != null);
        out.text("Error", status.error());
        out.arrayOrNull("RemoteManagers", status.remoteManagers(), SystemEndpoints::peer);
        if (cluster != null) {
            // What this manager has must do: information is asked for most when the cluster is in trouble.
            ClusterState state = cluster.local();
            out.numberOrOmit("Nodes", state.nodes().size());
            out.numberOrOmit("Managers", managers(state));
            Cluster object = state.cluster();
            if (object != null) {
                out.object("Cluster", part -> ClusterJson.writeInfo(part, object));
            }
        }
    }

    private static long managers(ClusterState state) {
        return state.nodes().values().stream()
                .filter(candidate -> candidate.getSpec().getDesiredRole() == NodeRole.MANAGER)
                .count();
    }

    private static void peer(JsonOut out, Peer peer) {
        out.text("NodeID", peer.getNodeId());
        out.text("Addr", peer.getAddr());
    }
}
