package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.engine.Container;
import io.skep.engine.Engine;
import io.skep.engine.EngineDescription;
import io.skep.engine.Images;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.wire.Cluster;
import io.skep.wire.NodeRole;
import io.skep.wire.Peer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** {@code /_ping}, {@code /version}, {@code /info} and {@code /system/df}. */
final class SystemEndpoints {
    private static final Set<String> DISK_USERS = Set.of("container", "image", "volume", "build-cache");

    private final EngineInfo engine;
    private final SwarmNode node;
    private final EventBuffer events;
    private final EngineGate gate;

    SystemEndpoints(EngineInfo engine, SwarmNode node, EventBuffer events, EngineGate gate) {
        this.gate = gate;
        this.events = events;
        this.engine = engine;
        this.node = node;
    }

    void addTo(Router router) {
        router.add("GET", "/_ping", call -> ping("OK"));
        router.add("HEAD", "/_ping", call -> ping(""));
        router.add("GET", "/version", call -> Reply.json(JsonOut.object(this::version)));
        router.add("GET", "/system/df", this::diskUsage);
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
        List<Component> components = new ArrayList<>();
        components.add(new Component("Engine", engine.version(), details));
        EngineDescription described = description();
        if (described != null && described.ready()) {
            components.add(new Component(
                    "containerd", described.containerdVersion(), Map.of("GitCommit", described.containerdCommit())));
            components.add(new Component(
                    described.defaultRuntime(),
                    described.runtimeVersion(),
                    Map.of("GitCommit", described.runtimeCommit())));
        }
        out.array("Components", components, (item, component) -> {
            item.text("Name", component.name());
            item.text("Version", component.version());
            item.map("Details", component.details());
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
        EngineDescription described = description();
        counts(out, described);
        boolean ready = described != null && described.ready();
        out.number("Images", ready ? gate.engine().images().count() : 0);
        out.text("Driver", described == null ? "none" : described.snapshotter());
        out.tree("DriverStatus", List.of());
        out.object("Plugins", plugins -> {
            plugins.texts("Volume", described == null ? List.of() : List.of("local"));
            plugins.texts(
                    "Network", described == null ? List.of("overlay") : List.of("bridge", "host", "null", "overlay"));
            plugins.nothing("Authorization");
            plugins.texts("Log", described == null ? List.of() : described.logDrivers());
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
        out.text("LoggingDriver", described == null ? "none" : "json-file");
        out.text("CgroupDriver", described == null ? "none" : "cgroupfs");
        if (described != null) {
            out.text("CgroupVersion", described.unifiedCgroups() ? "2" : "1");
        }
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
        out.object("Runtimes", runtimes -> {
            if (described != null) {
                new TreeMap<>(described.runtimes())
                        .forEach((name, path) -> runtimes.object(name, runtime -> runtime.text("path", path)));
            }
        });
        out.text("DefaultRuntime", described == null ? "" : described.defaultRuntime());
        List<String> warnings = new ArrayList<>(engine.warnings().get());
        out.object("Swarm", this::swarm);
        out.flag("LiveRestoreEnabled", false);
        out.text("Isolation", "");
        out.text("InitBinary", "");
        commit(out, version, "ContainerdCommit", described == null ? "" : described.containerdCommit());
        commit(out, version, "RuncCommit", described == null ? "" : described.runtimeCommit());
        commit(out, version, "InitCommit", "");
        out.texts("SecurityOptions", List.of());
        out.nothing("CDISpecDirs");
        if (described != null) {
            out.object("Containerd", containerd -> {
                containerd.text("Address", described.containerdAddress());
                containerd.object("Namespaces", namespaces -> {
                    namespaces.text("Containers", described.namespace());
                    namespaces.text("Plugins", "");
                });
            });
        }
        out.textsOrNull("Warnings", warnings);
    }

    private record Component(String name, String version, Map<String, String> details) {}

    private @Nullable EngineDescription description() {
        Engine containers = gate.engineOrNull();
        return containers == null ? null : containers.description();
    }

    private static void commit(JsonOut out, ApiVersion version, String name, String id) {
        out.object(name, commit -> {
            commit.text("ID", id);
            if (version.before(1, 49)) {
                commit.text("Expected", id);
            }
        });
    }

    /** Counts the containers by what they do; an engine that is being started is not waited for. */
    private void counts(JsonOut out, @Nullable EngineDescription described) {
        int running = 0;
        int paused = 0;
        int stopped = 0;
        if (described != null && described.ready()) {
            for (Container container : gate.containers().all()) {
                switch (container.record().getState().getStatus()) {
                    case RUNNING, RESTARTING -> running++;
                    case PAUSED -> paused++;
                    default -> stopped++;
                }
            }
        }
        out.number("Containers", running + paused + stopped);
        out.number("ContainersRunning", running);
        out.number("ContainersPaused", paused);
        out.number("ContainersStopped", stopped);
    }

    private Reply diskUsage(Call call) {
        List<String> types =
                call.version().before(1, 42) ? List.of() : call.query().getOrDefault("type", List.of());
        for (String type : types) {
            if (!DISK_USERS.contains(type)) {
                throw new ApiException(400, "unknown object type: " + type);
            }
        }
        Engine containers = gate.engine();
        Instant now = Instant.now();
        return Reply.json(JsonOut.object(out -> {
            boolean withImages = types.isEmpty() || types.contains("image");
            out.number("LayersSize", withImages ? containers.images().layerBytes() : 0);
            out.tree("Images", withImages ? images(containers) : List.of());
            boolean withContainers = types.isEmpty() || types.contains("container");
            out.array(
                    "Containers",
                    withContainers ? containers.containers().all() : List.<Container>of(),
                    (item, container) -> ContainerJson.summary(item, container.record(), container.size(), now));
            boolean withVolumes = types.isEmpty() || types.contains("volume");
            out.tree(
                    "Volumes",
                    withVolumes
                            ? containers.volumes().all().stream()
                                    .map(volume -> RecordJson.fields(volume.toBuilder()
                                            .setUsageData(containers.volumes().usage(volume.getName()))
                                            .build()))
                                    .toList()
                            : List.of());
            out.tree("BuildCache", List.of());
        }));
    }

    /** Returns the images with the number of containers that were made from each. */
    private static List<Map<String, @Nullable Object>> images(Engine engine) {
        List<String> used = engine.containers().all().stream()
                .map(container -> container.record().getImageId())
                .toList();
        return engine.images().list(Images.Filter.NONE, true, false).stream()
                .map(image -> RecordJson.fields(image.toBuilder()
                        .setContainers(Collections.frequency(used, image.getId()))
                        .build()))
                .toList();
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
