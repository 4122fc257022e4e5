package io.skep.engine;

import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.SandboxEndpoint;
import io.skep.network.Subnet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The files that tell a container its names and those of others: hosts, hostname and resolv.conf, in its folder and
 * mounted over its own. They are written in place, so that a container that runs sees a change.
 */
final class NetworkFiles {
    /** The name server in the container's own namespace. */
    static final String OWN_SERVER = "127.0.0.11";

    private static final Path HOST_RESOLVER = Path.of("/etc/resolv.conf");
    /** What systemd's resolver asks, where the host's file names only the resolver itself. */
    private static final Path SYSTEMD_RESOLVER = Path.of("/run/systemd/resolve/resolv.conf");

    private static final List<String> PUBLIC_SERVERS = List.of("8.8.8.8", "8.8.4.4");
    private static final String LOCAL = """
            127.0.0.1\tlocalhost
            ::1\tlocalhost ip6-localhost ip6-loopback
            fe00::\tip6-localnet
            ff00::\tip6-mcastprefix
            ff02::1\tip6-allnodes
            ff02::2\tip6-allrouters
            """;

    private final ContainerFolder folder;
    private final NetworkSettings settings;

    NetworkFiles(ContainerFolder folder, NetworkSettings settings) {
        this.folder = folder;
        this.settings = settings;
    }

    /** What a resolv.conf says. */
    record Resolver(List<String> servers, List<String> search, List<String> options) {
        Resolver {
            servers = List.copyOf(servers);
            search = List.copyOf(search);
            options = List.copyOf(options);
        }

        static Resolver parse(List<String> lines) {
            List<String> servers = new ArrayList<>();
            List<String> search = new ArrayList<>();
            Set<String> options = new LinkedHashSet<>();
            for (String line : lines) {
                List<String> words = Networks.words(line);
                if (words.size() < 2) {
                    continue;
                }
                switch (words.getFirst()) {
                    case "nameserver" -> servers.add(words.get(1));
                    case "search", "domain" -> search = words.subList(1, words.size());
                    case "options" -> options.addAll(words.subList(1, words.size()));
                    default -> {}
                }
            }
            return new Resolver(servers, search, List.copyOf(options));
        }

        String text() {
            StringBuilder text = new StringBuilder();
            servers.forEach(each -> text.append("nameserver ").append(each).append('\n'));
            if (!search.isEmpty()) {
                text.append("search ").append(String.join(" ", search)).append('\n');
            }
            if (!options.isEmpty()) {
                text.append("options ").append(String.join(" ", options)).append('\n');
            }
            return text.toString();
        }
    }

    private static boolean isLoopback(String server) {
        try {
            int zone = server.indexOf('%');
            return Subnet.address(zone < 0 ? server : server.substring(0, zone)).isLoopbackAddress();
        } catch (IllegalArgumentException e) {
            return true;
        }
    }

    /** Returns what the host asks, without what is only to be reached in the host itself. */
    static Resolver ofHost() throws IOException {
        Resolver host = read(HOST_RESOLVER);
        if (host.servers().stream().allMatch(NetworkFiles::isLoopback) && Files.exists(SYSTEMD_RESOLVER)) {
            host = new Resolver(read(SYSTEMD_RESOLVER).servers(), host.search(), host.options());
        }
        return host;
    }

    private static Resolver read(Path file) throws IOException {
        return Resolver.parse(Files.exists(file) ? Files.readAllLines(file) : List.of());
    }

    /** Returns what a container resolves names with: what it was asked for, the engine's defaults, the host's. */
    Resolver resolver(HostConfig host) throws IOException {
        Resolver ofHost = ofHost();
        List<String> servers = first(host.getDnsList(), settings.dns(), ofHost.servers());
        List<String> search = first(host.getDnsSearchList(), settings.dnsSearch(), ofHost.search());
        List<String> options = first(host.getDnsOptionsList(), settings.dnsOptions(), ofHost.options());
        // A single dot takes the search list away.
        return new Resolver(servers, search.equals(List.of(".")) ? List.of() : search, options);
    }

    private static List<String> first(List<String> asked, List<String> usual, List<String> host) {
        return !asked.isEmpty() ? asked : !usual.isEmpty() ? usual : host;
    }

    /** Writes all three files of a container and returns how they are mounted. */
    List<Mounted> write(ContainerRecord container, List<SandboxEndpoint> endpoints, boolean ownServer, String gateway)
            throws IOException {
        Path own = folder.of(container.getId());
        Files.createDirectories(own);
        boolean host = container.getHostConfig().getNetworkMode().equals("host");
        writeHosts(container, endpoints, gateway);
        Files.writeString(
                own.resolve("hostname"),
                (container.getConfig().getHostname().isEmpty()
                                ? Networks.shortId(container.getId())
                                : container.getConfig().getHostname())
                        + "\n");
        Resolver resolver = resolver(container.getHostConfig());
        if (ownServer) {
            List<String> options = new ArrayList<>(resolver.options());
            if (options.stream().noneMatch(each -> each.startsWith("ndots:"))) {
                options.add("ndots:0");
            }
            resolver = new Resolver(List.of(OWN_SERVER), resolver.search(), options);
        } else if (!host) {
            List<String> reachable = resolver.servers().stream()
                    .filter(each -> !isLoopback(each))
                    .toList();
            resolver = new Resolver(
                    reachable.isEmpty() ? PUBLIC_SERVERS : reachable, resolver.search(), resolver.options());
        }
        Files.writeString(own.resolve("resolv.conf"), resolver.text());
        return mounts(container.getId(), container.getHostConfig().getReadonlyRootfs());
    }

    /** Writes only the names of hosts, when a container that runs has a network more or less. */
    void writeHosts(ContainerRecord container, List<SandboxEndpoint> endpoints, String gateway) throws IOException {
        Path file = folder.of(container.getId()).resolve("hosts");
        HostConfig host = container.getHostConfig();
        StringBuilder text = new StringBuilder();
        if (host.getNetworkMode().equals("host")) {
            text.append(Files.exists(Path.of("/etc/hosts")) ? Files.readString(Path.of("/etc/hosts")) : LOCAL);
            if (!text.isEmpty() && text.charAt(text.length() - 1) != '\n') {
                text.append('\n');
            }
        } else {
            text.append(LOCAL);
        }
        for (String extra : host.getExtraHostsList()) {
            int colon = separator(extra);
            String address = extra.substring(colon + 1);
            if (address.startsWith("[") && address.endsWith("]")) {
                address = address.substring(1, address.length() - 1);
            }
            if (address.equals("host-gateway")) {
                address = gateway;
            }
            if (!address.isEmpty()) {
                text.append(address).append('\t').append(extra, 0, colon).append('\n');
            }
        }
        Config config = container.getConfig();
        String names = config.getDomainname().isEmpty()
                ? config.getHostname()
                : config.getHostname() + "." + config.getDomainname() + " " + config.getHostname();
        for (SandboxEndpoint endpoint : endpoints) {
            for (String address : List.of(
                    endpoint.getSettings().getIpAddress(),
                    endpoint.getSettings().getGlobalIpv6Address())) {
                if (!address.isEmpty()) {
                    text.append(address).append('\t').append(names).append('\n');
                }
            }
        }
        Files.writeString(file, text);
    }

    /** Returns where the name ends in such as {@code name:10.0.0.1} or {@code name=::1}. */
    static int separator(String extra) {
        int equals = extra.indexOf('=');
        return equals >= 0 ? equals : extra.indexOf(':');
    }

    List<Mounted> mounts(String containerId, boolean readOnly) {
        Path own = folder.of(containerId);
        List<Mounted> mounts = new ArrayList<>();
        for (String name : List.of("resolv.conf", "hostname", "hosts")) {
            mounts.add(new Mounted(
                    "/etc/" + name,
                    "bind",
                    own.resolve(name).toString(),
                    List.of("rbind", "rprivate", readOnly ? "ro" : "rw")));
        }
        return mounts;
    }
}
