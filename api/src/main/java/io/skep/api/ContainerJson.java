package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.engine.Container;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.HealthProbe;
import io.skep.engine.record.HealthRecord;
import io.skep.engine.record.PortBinding;
import io.skep.engine.record.PortBindings;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Containers as the API shows them, in lists and one by one (engine-api 3.2). */
final class ContainerJson {
    private ContainerJson() {}

    /** One port of a container, with its place on the host if it is published. */
    record Port(String address, int privatePort, int publicPort, String protocol) {}

    // ---- in lists

    /** @param size what it takes on the disk, or null when nobody asked */
    static void summary(JsonOut out, ContainerRecord record, Container.@Nullable Size size, Instant now) {
        Config config = record.getConfig();
        out.text("Id", record.getId());
        out.texts("Names", List.of("/" + record.getName()));
        out.text("Image", config.getImage());
        out.text("ImageID", record.getImageId());
        out.text("Command", command(config));
        out.number("Created", record.getCreated().getSeconds());
        out.array("Ports", ports(record), (item, port) -> {
            item.textOrOmit("IP", port.address());
            item.number("PrivatePort", port.privatePort());
            item.numberOrOmit("PublicPort", port.publicPort());
            item.text("Type", port.protocol());
        });
        if (size != null) {
            out.numberOrOmit("SizeRw", size.own());
            out.numberOrOmit("SizeRootFs", size.all());
        }
        out.map("Labels", config.getLabelsMap());
        out.text("State", Container.word(record.getState().getStatus()));
        out.text("Status", status(record.getState(), now));
        out.object("HostConfig", host -> {
            host.text("NetworkMode", record.getHostConfig().getNetworkMode());
            host.mapOrOmit("Annotations", record.getHostConfig().getAnnotationsMap());
        });
        out.object("NetworkSettings", settings -> settings.tree("Networks", networks(record)));
        out.tree(
                "Mounts",
                record.getMountsList().stream().map(RecordJson::fields).toList());
    }

    private static String command(Config config) {
        List<String> words = new ArrayList<>(config.getEntrypointList());
        words.addAll(config.getCmdList());
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < words.size(); i++) {
            String word = words.get(i);
            text.append(i == 0 ? "" : " ").append(i > 0 && word.contains(" ") ? "'" + word + "'" : word);
        }
        return text.toString();
    }

    /** Returns how long a container has been what it is, in the words of {@code docker ps}. */
    static String status(ContainerState state, Instant now) {
        return switch (state.getStatus()) {
            case CREATED, UNRECOGNIZED -> "Created";
            case RUNNING -> "Up " + since(state.getStartedAt(), now) + health(state);
            case PAUSED -> "Up " + since(state.getStartedAt(), now) + " (Paused)";
            case RESTARTING -> "Restarting (" + state.getExitCode() + ") " + since(state.getFinishedAt(), now) + " ago";
            case REMOVING -> "Removal In Progress";
            case EXITED -> "Exited (" + state.getExitCode() + ") " + since(state.getFinishedAt(), now) + " ago";
            case DEAD -> "Dead";
        };
    }

    private static String health(ContainerState state) {
        return switch (state.getHealth().getStatus()) {
            case "", "none" -> "";
            case "starting" -> " (health: starting)";
            case String status -> " (" + status + ")";
        };
    }

    private static String since(Timestamp time, Instant now) {
        return lasted(Duration.between(Times.instant(time), now));
    }

    /** Returns a duration as Docker tells it to people. */
    static String lasted(Duration duration) {
        long seconds = duration.toSeconds();
        long minutes = duration.toMinutes();
        long hours = (duration.toMillis() + 1_800_000) / 3_600_000;
        if (seconds < 1) {
            return "Less than a second";
        } else if (seconds == 1) {
            return "1 second";
        } else if (seconds < 60) {
            return seconds + " seconds";
        } else if (minutes == 1) {
            return "About a minute";
        } else if (minutes < 60) {
            return minutes + " minutes";
        } else if (hours == 1) {
            return "About an hour";
        } else if (hours < 48) {
            return hours + " hours";
        } else if (hours < 24 * 7 * 2) {
            return hours / 24 + " days";
        } else if (hours < 24 * 30 * 2) {
            return hours / 24 / 7 + " weeks";
        } else if (hours < 24 * 365 * 2) {
            return hours / 24 / 30 + " months";
        }
        return hours / 24 / 365 + " years";
    }

    // ---- ports and networks

    private static boolean isUp(ContainerRecord record) {
        ContainerStatus status = record.getState().getStatus();
        return status == ContainerStatus.RUNNING || status == ContainerStatus.PAUSED;
    }

    /** Returns the ports that a container offers while it runs. */
    static List<Port> ports(ContainerRecord record) {
        List<Port> ports = new ArrayList<>();
        if (!isUp(record)) {
            return ports;
        }
        portMap(record).forEach((name, bindings) -> {
            int slash = name.indexOf('/');
            int number = number(slash < 0 ? name : name.substring(0, slash));
            String protocol = slash < 0 ? "tcp" : name.substring(slash + 1);
            if (bindings.isEmpty()) {
                ports.add(new Port("", number, 0, protocol));
            }
            for (PortBinding binding : bindings) {
                String address = binding.getHostIp().isEmpty() ? "0.0.0.0" : binding.getHostIp();
                ports.add(new Port(address, number, number(binding.getHostPort()), protocol));
            }
        });
        return ports;
    }

    private static int number(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    private static Map<String, List<PortBinding>> portMap(ContainerRecord record) {
        Map<String, PortBindings> bound = record.getPortsMap();
        Set<String> names = new LinkedHashSet<>(record.getConfig().getExposedPortsList());
        names.addAll(bound.keySet());
        Map<String, List<PortBinding>> ports = new TreeMap<>();
        for (String name : names) {
            PortBindings bindings = bound.get(name);
            ports.put(name, bindings == null ? List.of() : bindings.getBindingsList());
        }
        return ports;
    }

    private static Map<String, @Nullable Object> networks(ContainerRecord record) {
        Map<String, @Nullable Object> networks = new TreeMap<>();
        record.getEndpointsMap().forEach((name, endpoint) -> networks.put(name, RecordJson.fields(endpoint)));
        if (networks.isEmpty()) {
            String mode = record.getHostConfig().getNetworkMode();
            if (mode.equals("host") || mode.equals("none")) {
                networks.put(mode, RecordJson.fields(EndpointSettings.getDefaultInstance()));
            }
        }
        return networks;
    }

    // ---- one by one

    /** What of a container is not in its record. */
    record More(@Nullable Path log, List<String> execs, Container.@Nullable Size size) {}

    static void inspect(JsonOut out, ContainerRecord record, More more) {
        Config config = record.getConfig();
        List<String> words = new ArrayList<>(config.getEntrypointList());
        words.addAll(config.getCmdList());
        ContainerState state = record.getState();
        out.text("Id", record.getId());
        out.time("Created", record.getCreated());
        out.text("Path", words.isEmpty() ? "" : words.getFirst());
        out.texts("Args", words.isEmpty() ? List.of() : words.subList(1, words.size()));
        out.object("State", part -> state(part, state));
        out.text("Image", record.getImageId());
        for (String path : List.of("ResolvConfPath", "HostnamePath", "HostsPath")) {
            out.text(path, "");
        }
        out.text("LogPath", more.log() == null ? "" : more.log().toString());
        out.text("Name", "/" + record.getName());
        out.number("RestartCount", state.getRestartCount());
        out.text("Driver", record.getSnapshotter());
        out.text("Platform", "linux");
        out.text("MountLabel", "");
        out.text("ProcessLabel", "");
        out.text("AppArmorProfile", "");
        out.textsOrNull("ExecIDs", more.execs());
        RecordJson.write(out, "HostConfig", record.getHostConfig());
        out.object("GraphDriver", driver -> {
            driver.nothing("Data");
            driver.text("Name", record.getSnapshotter());
        });
        if (more.size() != null) {
            out.number("SizeRw", more.size().own());
            out.number("SizeRootFs", more.size().all());
        }
        out.tree(
                "Mounts",
                record.getMountsList().stream().map(RecordJson::fields).toList());
        RecordJson.write(out, "Config", config);
        out.object("NetworkSettings", settings -> settings(settings, record));
    }

    private static void state(JsonOut out, ContainerState state) {
        ContainerStatus status = state.getStatus();
        out.text("Status", Container.word(status));
        out.flag(
                "Running",
                status == ContainerStatus.RUNNING
                        || status == ContainerStatus.PAUSED
                        || status == ContainerStatus.RESTARTING);
        out.flag("Paused", status == ContainerStatus.PAUSED);
        out.flag("Restarting", status == ContainerStatus.RESTARTING);
        out.flag("OOMKilled", state.getOomKilled());
        out.flag("Dead", status == ContainerStatus.DEAD);
        out.number("Pid", state.getPid());
        out.number("ExitCode", state.getExitCode());
        out.text("Error", state.getError());
        out.time("StartedAt", state.getStartedAt());
        out.time("FinishedAt", state.getFinishedAt());
        if (state.hasHealth()) {
            HealthRecord health = state.getHealth();
            out.object("Health", part -> {
                part.text("Status", health.getStatus());
                part.number("FailingStreak", health.getFailingStreak());
                part.array("Log", health.getProbesList(), ContainerJson::probe);
            });
        }
    }

    private static void probe(JsonOut out, HealthProbe probe) {
        out.time("Start", probe.getStart());
        out.time("End", probe.getEnd());
        out.number("ExitCode", probe.getExitCode());
        out.text("Output", probe.getOutput());
    }

    private static void settings(JsonOut out, ContainerRecord record) {
        EndpointSettings bridge =
                record.getEndpointsMap().getOrDefault("bridge", EndpointSettings.getDefaultInstance());
        out.text("Bridge", "");
        out.text("SandboxID", "");
        out.text("SandboxKey", record.getSandboxKey());
        Map<String, @Nullable Object> ports = new LinkedHashMap<>();
        if (isUp(record)) {
            portMap(record)
                    .forEach((name, bindings) -> ports.put(
                            name,
                            bindings.isEmpty()
                                    ? null
                                    : bindings.stream().map(RecordJson::fields).toList()));
        }
        out.tree("Ports", ports);
        out.flag("HairpinMode", false);
        out.text("LinkLocalIPv6Address", "");
        out.number("LinkLocalIPv6PrefixLen", 0);
        out.nothing("SecondaryIPAddresses");
        out.nothing("SecondaryIPv6Addresses");
        out.text("EndpointID", bridge.getEndpointId());
        out.text("Gateway", bridge.getGateway());
        out.text("GlobalIPv6Address", bridge.getGlobalIpv6Address());
        out.number("GlobalIPv6PrefixLen", bridge.getGlobalIpv6PrefixLen());
        out.text("IPAddress", bridge.getIpAddress());
        out.number("IPPrefixLen", bridge.getIpPrefixLen());
        out.text("IPv6Gateway", bridge.getIpv6Gateway());
        out.text("MacAddress", bridge.getMacAddress());
        out.tree("Networks", networks(record));
    }
}
