package io.skep.engine;

import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.EndpointIpamConfig;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.NetworkMember;
import io.skep.engine.record.PortBinding;
import io.skep.engine.record.PortBindings;
import io.skep.engine.record.Sandbox;
import io.skep.engine.record.SandboxEndpoint;
import io.skep.engine.record.SandboxPort;
import io.skep.network.Bridges;
import io.skep.network.DnsServer;
import io.skep.network.Firewall;
import io.skep.network.NetworkNamespace;
import io.skep.network.PortReservations;
import io.skep.network.Subnet;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The places of containers in the networks of this host: for each container that runs a network namespace, links into
 * bridges, addresses, published ports, and a name server if it is in a network that a user made.
 *
 * <p>What was made for a container is written to a file of its own that ends with the machine, after it is made. An
 * engine that starts takes over the places of containers that are supposed to run; everything else with the engine's
 * mark it takes away. So a killed engine leaves nothing behind, and a container that runs never loses its place.
 *
 * <p>Threads: any. The calls about one container come one after the other (its lock); those about different ones run at
 * the same time.
 */
final class LocalNetworking implements Networking, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LocalNetworking.class);
    private static final String SUFFIX = ".pb";
    private static final String CONTAINER = "container:";
    private static final String OWN_NAMESPACE = "/proc/1/ns/net";
    private static final int HOST_LINK_BYTES = 4;
    private static final int ENDPOINT_ID_BYTES = 32;
    private static final int PORT_MAX = 65535;

    /** The place of a container that runs. */
    private static final class Live {
        volatile Sandbox sandbox;
        final @Nullable NetworkNamespace namespace;
        final List<PortReservations.Held> held = new ArrayList<>();

        @Nullable
        DnsServer server;

        Live(Sandbox sandbox, @Nullable NetworkNamespace namespace) {
            this.sandbox = sandbox;
            this.namespace = namespace;
        }
    }

    private final Networks networks;
    private final Path folder;
    private final NetworkFiles files;
    private final PortReservations ports;
    private final ExecutorService executor;
    private final SecureRandom random = new SecureRandom();
    private final Map<String, Live> byContainer = new ConcurrentHashMap<>();

    /**
     * @param folder where namespaces are kept; it ends with the machine
     * @param executor virtual threads
     */
    LocalNetworking(Networks networks, Path folder, NetworkFiles files, ExecutorService executor) throws IOException {
        this.networks = networks;
        this.folder = folder;
        this.files = files;
        this.executor = executor;
        ports = new PortReservations(networks.host());
        Files.createDirectories(folder);
    }

    // ---- when a container is created

    @Override
    public void check(ContainerRecord container) {
        HostConfig host = container.getHostConfig();
        for (String extra : host.getExtraHostsList()) {
            if (NetworkFiles.separator(extra) < 1) {
                throw EngineException.invalid("bad format for add-host: \"" + extra + "\"");
            }
        }
        for (String server : host.getDnsList()) {
            literal(server, "DNS server");
        }
        if (!host.getLinksList().isEmpty()) {
            throw EngineException.invalid(
                    "links are not supported: put the containers in a network of their own, where they know each other"
                            + " by name");
        }
        host.getPortBindingsMap().forEach((port, bindings) -> {
            containerPort(port);
            for (PortBinding binding : bindings.getBindingsList()) {
                hostPorts(binding.getHostPort());
                if (!binding.getHostIp().isEmpty()) {
                    literal(binding.getHostIp(), "IP address");
                }
            }
        });
        container.getConfig().getExposedPortsList().forEach(LocalNetworking::containerPort);
        String mode = mode(container);
        if (mode.startsWith(CONTAINER)) {
            if (!host.getPortBindingsMap().isEmpty() || host.getPublishAllPorts()) {
                throw EngineException.invalid(
                        "conflicting options: port publishing and the container type network mode");
            }
            return;
        }
        Map<String, EndpointSettings> planned = planned(container);
        planned.forEach((name, settings) -> checkEndpoint(networks.requireNetwork(name), settings));
        if (planned.size() > 1 && planned.keySet().stream().anyMatch(LocalNetworking::standsAlone)) {
            throw EngineException.invalid(
                    "container cannot be connected to multiple networks with one of the networks in private (none) or"
                            + " host mode");
        }
    }

    private static boolean standsAlone(String network) {
        return network.equals(LocalNetwork.HOST) || network.equals(LocalNetwork.NONE);
    }

    private void checkEndpoint(LocalNetwork network, EndpointSettings settings) {
        EndpointIpamConfig ipam = settings.getIpamConfig();
        boolean wantsAddress =
                !ipam.getIpv4Address().isEmpty() || !ipam.getIpv6Address().isEmpty();
        if (network.isPredefined()) {
            if (wantsAddress) {
                throw EngineException.invalid("user specified IP address is supported on user defined networks only");
            }
            if (!settings.getAliasesList().isEmpty()) {
                throw EngineException.invalid(
                        "network-scoped alias is supported only for containers in user defined networks");
            }
        }
        if (!ipam.getIpv4Address().isEmpty()) {
            literal(ipam.getIpv4Address(), "IPv4 address");
        }
        if (!ipam.getIpv6Address().isEmpty()) {
            literal(ipam.getIpv6Address(), "IPv6 address");
        }
        if (!settings.getMacAddress().isEmpty()) {
            hardware(settings.getMacAddress());
        }
        if (network.record().getConfigOnly()) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "network \"" + network.name() + "\" is a configuration only, no container can be in it");
        }
    }

    private static InetAddress literal(String text, String what) {
        try {
            return Subnet.address(text);
        } catch (IllegalArgumentException e) {
            throw new EngineException(EngineException.Kind.INVALID, "invalid " + what + ": " + text, e);
        }
    }

    private static String hardware(String text) {
        String plain = text.replace('-', ':').toLowerCase(Locale.ROOT);
        if (!plain.matches("([0-9a-f]{2}:){5}[0-9a-f]{2}")) {
            throw EngineException.invalid("invalid MAC address: address " + text + ": invalid MAC address");
        }
        return plain;
    }

    private String mode(ContainerRecord container) {
        if (container.getConfig().getNetworkDisabled()) {
            return LocalNetwork.NONE;
        }
        String mode = container.getHostConfig().getNetworkMode();
        return mode.isEmpty() || mode.equals("default") ? LocalNetwork.BRIDGE : mode;
    }

    @Override
    public Map<String, EndpointSettings> planned(ContainerRecord container) {
        String mode = mode(container);
        if (mode.startsWith(CONTAINER)) {
            return Map.of();
        }
        Map<String, EndpointSettings> planned = new LinkedHashMap<>();
        String first = networks.requireNetwork(mode).name();
        planned.put(first, EndpointSettings.getDefaultInstance());
        container.getEndpointsMap().entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .forEach(each -> planned.put(
                        each.getKey().equals("default")
                                ? first
                                : networks.requireNetwork(each.getKey()).name(),
                        each.getValue()));
        return planned;
    }

    // ---- ports

    private record ContainerPort(String protocol, int first, int last) {}

    /** Reads such as 80/tcp or 8000-8010/udp. */
    private static ContainerPort containerPort(String text) {
        int slash = text.indexOf('/');
        String protocol = slash < 0 ? "tcp" : text.substring(slash + 1).toLowerCase(Locale.ROOT);
        if (!Set.of("tcp", "udp", "sctp").contains(protocol)) {
            throw EngineException.invalid("invalid port specification: \"" + text + "\": unknown protocol");
        }
        int[] range = range(slash < 0 ? text : text.substring(0, slash), text);
        if (range[0] == 0) {
            throw EngineException.invalid("invalid port specification: \"" + text + "\"");
        }
        return new ContainerPort(protocol, range[0], range[1]);
    }

    /** Reads the ports of the host to try: 0 for any. */
    private static int[] hostPorts(String text) {
        return text.isEmpty() ? new int[] {0, 0} : range(text, text);
    }

    private static int[] range(String text, String whole) {
        int dash = text.indexOf('-');
        try {
            int first = Integer.parseInt(dash < 0 ? text : text.substring(0, dash));
            int last = dash < 0 ? first : Integer.parseInt(text.substring(dash + 1));
            if (first < 0 || last < first || last > PORT_MAX) {
                throw EngineException.invalid("invalid port specification: \"" + whole + "\"");
            }
            return new int[] {first, last};
        } catch (NumberFormatException e) {
            throw new EngineException(EngineException.Kind.INVALID, "invalid port specification: \"" + whole + "\"", e);
        }
    }

    /** Holds the ports of the host that a container asks for. */
    private void publish(Live live, ContainerRecord container, SandboxEndpoint through) throws IOException {
        HostConfig host = container.getHostConfig();
        Map<String, List<PortBinding>> wanted = new LinkedHashMap<>();
        host.getPortBindingsMap().entrySet().stream()
                .sorted(Comparator.comparingInt(
                        each -> containerPort(each.getKey()).first()))
                .forEach(each -> wanted.put(
                        each.getKey(),
                        each.getValue().getBindingsList().isEmpty()
                                ? List.of(PortBinding.getDefaultInstance())
                                : each.getValue().getBindingsList()));
        if (host.getPublishAllPorts()) {
            for (String exposed : container.getConfig().getExposedPortsList()) {
                wanted.putIfAbsent(exposed, List.of(PortBinding.getDefaultInstance()));
            }
        }
        Sandbox.Builder sandbox = live.sandbox.toBuilder();
        LocalNetwork network = networks.requireNetwork(through.getNetworkId());
        for (Map.Entry<String, List<PortBinding>> each : wanted.entrySet()) {
            ContainerPort port = containerPort(each.getKey());
            for (PortBinding binding : each.getValue()) {
                int[] range = hostPorts(binding.getHostPort());
                for (int number = port.first(); number <= port.last(); number++) {
                    boolean several = port.last() > port.first();
                    int first = range[0] == 0 || !several ? range[0] : range[0] + number - port.first();
                    int last = several ? first : range[1];
                    hold(
                            live,
                            sandbox,
                            port.protocol(),
                            number,
                            addresses(binding.getHostIp(), network, through),
                            first,
                            last,
                            through);
                }
            }
        }
        live.sandbox = sandbox.build();
    }

    private List<InetAddress> addresses(String asked, LocalNetwork network, SandboxEndpoint through) {
        if (!asked.isEmpty()) {
            return List.of(Subnet.address(asked));
        }
        String usual = network.record().getOptionsOrDefault(LocalNetwork.OPTION_BINDING, "");
        if (!usual.isEmpty() && !usual.equals("0.0.0.0")) {
            return List.of(Subnet.address(usual));
        }
        List<InetAddress> all = new ArrayList<>();
        if (!through.getSettings().getIpAddress().isEmpty()) {
            all.add(Subnet.address("0.0.0.0"));
        }
        if (!through.getSettings().getGlobalIpv6Address().isEmpty()) {
            all.add(Subnet.address("::"));
        }
        return all;
    }

    private void hold(
            Live live,
            Sandbox.Builder sandbox,
            String protocol,
            int port,
            List<InetAddress> addresses,
            int first,
            int last,
            SandboxEndpoint through)
            throws IOException {
        for (InetAddress address : addresses) {
            boolean four = address.getAddress().length == 4;
            if ((four
                            ? through.getSettings().getIpAddress()
                            : through.getSettings().getGlobalIpv6Address())
                    .isEmpty()) {
                throw EngineException.invalid("port " + port + "/" + protocol + " cannot be published at "
                        + Subnet.text(address) + ": the container has no IPv" + (four ? 4 : 6) + " address in "
                        + through.getNetworkName());
            }
        }
        try {
            for (PortReservations.Held each : ports.hold(protocol, addresses, first, last)) {
                live.held.add(each);
                sandbox.addPorts(SandboxPort.newBuilder()
                        .setProtocol(protocol)
                        .setContainerPort(port)
                        .setHostIp(Subnet.text(each.address().getAddress()))
                        .setHostPort(each.address().getPort()));
            }
        } catch (PortReservations.PortTakenException e) {
            throw EngineException.internal(
                    "driver failed programming external connectivity on endpoint " + sandbox.getContainerName() + " ("
                            + through.getSettings().getEndpointId() + "): " + e.getMessage(),
                    e);
        }
    }

    private static List<Firewall.Published> rules(Sandbox sandbox) {
        Optional<SandboxEndpoint> through = gatewayEndpoint(sandbox.getEndpointsList());
        List<Firewall.Published> rules = new ArrayList<>();
        for (SandboxPort port : sandbox.getPortsList()) {
            InetAddress address = Subnet.address(port.getHostIp());
            String target = through.map(SandboxEndpoint::getSettings)
                    .map(each -> address.getAddress().length == 4 ? each.getIpAddress() : each.getGlobalIpv6Address())
                    .orElse("");
            if (!target.isEmpty()) {
                rules.add(new Firewall.Published(
                        port.getProtocol(),
                        address,
                        port.getHostPort(),
                        Subnet.address(target),
                        port.getContainerPort()));
            }
        }
        return rules;
    }

    private static Map<String, PortBindings> shown(Sandbox sandbox) {
        Map<String, PortBindings.Builder> shown = new LinkedHashMap<>();
        for (SandboxPort port : sandbox.getPortsList()) {
            shown.computeIfAbsent(port.getContainerPort() + "/" + port.getProtocol(), _ -> PortBindings.newBuilder())
                    .addBindings(PortBinding.newBuilder()
                            .setHostIp(port.getHostIp())
                            .setHostPort(Integer.toString(port.getHostPort())));
        }
        Map<String, PortBindings> built = new HashMap<>();
        shown.forEach((port, bindings) -> built.put(port, bindings.build()));
        return built;
    }

    // ---- attach and detach

    @Override
    public Attached attach(ContainerRecord container) {
        try {
            if (byContainer.containsKey(container.getId())) {
                detach(container);
            }
            String mode = mode(container);
            if (mode.startsWith(CONTAINER)) {
                return share(container, mode.substring(CONTAINER.length()));
            }
            Map<String, EndpointSettings> planned = planned(container);
            Sandbox sandbox = Sandbox.newBuilder()
                    .setContainerId(container.getId())
                    .setContainerName(container.getName())
                    .setMode(mode)
                    .build();
            if (planned.containsKey(LocalNetwork.HOST)) {
                return attachToHost(container, sandbox);
            }
            NetworkNamespace namespace = NetworkNamespace.create(namespacePath(container.getId()));
            Live live = new Live(sandbox, namespace);
            byContainer.put(container.getId(), live);
            for (Map.Entry<String, EndpointSettings> each : planned.entrySet()) {
                LocalNetwork network = networks.requireNetwork(each.getKey());
                checkEndpoint(network, each.getValue());
                join(live, container, network, each.getValue());
            }
            setGateways(live);
            Optional<SandboxEndpoint> through = gatewayEndpoint(live.sandbox.getEndpointsList());
            if (through.isPresent()) {
                publish(live, container, through.get());
                networks.publish(container.getId(), rules(live.sandbox));
            }
            startServer(live, container);
            List<Mounted> mounted = files.write(
                    container, live.sandbox.getEndpointsList(), live.server != null, hostGateway(live.sandbox));
            save(live);
            return new Attached(
                    namespacePath(container.getId()).toString(), settings(live.sandbox), shown(live.sandbox), mounted);
        } catch (IOException e) {
            throw EngineException.internal("failed to set up container networking: " + e.getMessage(), e);
        }
    }

    private Attached attachToHost(ContainerRecord container, Sandbox sandbox) throws IOException {
        LocalNetwork network = networks.requireNetwork(LocalNetwork.HOST);
        EndpointSettings settings = EndpointSettings.newBuilder()
                .setNetworkId(network.id())
                .setEndpointId(randomId())
                .build();
        Sandbox made = sandbox.toBuilder()
                .addEndpoints(SandboxEndpoint.newBuilder()
                        .setNetworkId(network.id())
                        .setNetworkName(network.name())
                        .setSettings(settings))
                .build();
        Live live = new Live(made, null);
        network.join(container.getId(), member(container.getName(), settings));
        byContainer.put(container.getId(), live);
        List<Mounted> mounted = files.write(container, List.of(), false, "127.0.0.1");
        save(live);
        return new Attached("", Map.of(network.name(), settings), mounted);
    }

    /** Gives a container the place of another one, which must run. */
    private Attached share(ContainerRecord container, String reference) {
        List<Live> found = byContainer.values().stream()
                .filter(each -> each.sandbox.getContainerId().equals(reference)
                        || each.sandbox.getContainerName().equals(reference))
                .toList();
        if (found.isEmpty()) {
            found = byContainer.values().stream()
                    .filter(each -> each.sandbox.getContainerId().startsWith(reference))
                    .toList();
        }
        if (found.size() != 1 || reference.isEmpty()) {
            throw EngineException.conflict("cannot join network of a non running container: " + reference);
        }
        Sandbox other = found.getFirst().sandbox;
        NetworkNamespace namespace = found.getFirst().namespace;
        Path path = namespace == null ? null : namespace.path();
        return new Attached(
                path == null ? OWN_NAMESPACE : path.toString(),
                Map.of(),
                files.mounts(other.getContainerId(), container.getHostConfig().getReadonlyRootfs()));
    }

    private Path namespacePath(String containerId) {
        return folder.resolve(Networks.shortId(containerId));
    }

    private void save(Live live) throws IOException {
        Path file = folder.resolve(Networks.shortId(live.sandbox.getContainerId()) + SUFFIX);
        Path made = folder.resolve(file.getFileName() + ".new");
        // The folder ends with the machine, so nothing is synced to a disk.
        Files.write(made, live.sandbox.toByteArray());
        Files.move(made, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private String randomId() {
        byte[] bytes = new byte[ENDPOINT_ID_BYTES];
        random.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /** Puts a container in one network. When it fails, nothing is left of it but what {@link #detach} takes back. */
    private SandboxEndpoint join(Live live, ContainerRecord container, LocalNetwork network, EndpointSettings asked)
            throws IOException {
        EndpointSettings.Builder settings =
                asked.toBuilder().setNetworkId(network.id()).setEndpointId(randomId());
        SandboxEndpoint.Builder endpoint =
                SandboxEndpoint.newBuilder().setNetworkId(network.id()).setNetworkName(network.name());
        network.join(container.getId(), member(container.getName(), settings.build()));
        if (!network.isBridge()) {
            endpoint.setSettings(settings);
            live.sandbox = live.sandbox.toBuilder().addEndpoints(endpoint).build();
            return endpoint.build();
        }
        List<Subnet> addresses = new ArrayList<>();
        boolean done = false;
        try {
            EndpointIpamConfig ipam = asked.getIpamConfig();
            network.take(false, ipam.getIpv4Address()).ifPresent(addresses::add);
            network.take(true, ipam.getIpv6Address()).ifPresent(addresses::add);
            for (Subnet address : addresses) {
                String text = Subnet.text(address.address());
                List<InetAddress> gateways = network.gateways(!address.isIpv4());
                String gateway =
                        gateways.isEmpty() || network.record().getInternal() ? "" : Subnet.text(gateways.getFirst());
                if (address.isIpv4()) {
                    settings.setIpAddress(text).setIpPrefixLen(address.length()).setGateway(gateway);
                } else {
                    settings.setGlobalIpv6Address(text)
                            .setGlobalIpv6PrefixLen(address.length())
                            .setIpv6Gateway(gateway);
                }
            }
            String wanted =
                    asked.getMacAddress().isEmpty() ? container.getConfig().getMacAddress() : asked.getMacAddress();
            settings.setMacAddress(wanted.isEmpty() ? hardwareOf(addresses) : hardware(wanted));
            settings.clearDnsNames();
            if (!network.isDefault()) {
                settings.addAllDnsNames(dnsNames(container, asked));
            }
            byte[] name = new byte[HOST_LINK_BYTES];
            random.nextBytes(name);
            endpoint.setHostLink("veth" + HexFormat.of().formatHex(name).substring(1))
                    .setLink("eth" + nextLink(live.sandbox))
                    .setSettings(settings);
            networks.make(network);
            networks.bridges()
                    .plug(
                            requireNamespace(live),
                            new Bridges.Cable(
                                    network.link(),
                                    endpoint.getHostLink(),
                                    endpoint.getLink(),
                                    settings.getMacAddress(),
                                    addresses,
                                    !network.communicates(),
                                    network.mtu()));
            live.sandbox = live.sandbox.toBuilder().addEndpoints(endpoint).build();
            network.join(container.getId(), member(container.getName(), settings.build()));
            networks.tell(network, "connect", Map.of("container", container.getId()));
            done = true;
            return endpoint.build();
        } finally {
            if (!done) {
                addresses.forEach(each -> network.release(Subnet.text(each.address())));
                network.leave(container.getId());
            }
        }
    }

    private static NetworkNamespace requireNamespace(Live live) {
        NetworkNamespace namespace = live.namespace;
        if (namespace == null) {
            throw EngineException.invalid("the container has the network of the host");
        }
        return namespace;
    }

    private static int nextLink(Sandbox sandbox) {
        Set<String> used = new HashSet<>();
        sandbox.getEndpointsList().forEach(each -> used.add(each.getLink()));
        int number = 0;
        while (used.contains("eth" + number)) {
            number++;
        }
        return number;
    }

    /** Returns an address that is made from the container's IPv4 address, so that it is the same after a restart. */
    private String hardwareOf(List<Subnet> addresses) {
        byte[] bytes = new byte[4];
        Optional<Subnet> four = addresses.stream().filter(Subnet::isIpv4).findFirst();
        if (four.isPresent()) {
            bytes = four.get().address().getAddress();
        } else {
            random.nextBytes(bytes);
        }
        return hardwareOf(bytes);
    }

    private static String hardwareOf(byte[] bytes) {
        return "02:42:" + HexFormat.ofDelimiter(":").formatHex(bytes);
    }

    private static Set<String> dnsNames(ContainerRecord container, EndpointSettings asked) {
        Set<String> names = new LinkedHashSet<>();
        names.add(container.getName());
        names.addAll(asked.getAliasesList());
        names.add(Networks.shortId(container.getId()));
        if (!container.getConfig().getHostname().isEmpty()) {
            names.add(container.getConfig().getHostname());
        }
        return names;
    }

    private static NetworkMember member(String name, EndpointSettings settings) {
        return NetworkMember.newBuilder()
                .setName(name)
                .setEndpointId(settings.getEndpointId())
                .setMacAddress(settings.getMacAddress())
                .setIpv4Address(
                        settings.getIpAddress().isEmpty()
                                ? ""
                                : settings.getIpAddress() + "/" + settings.getIpPrefixLen())
                .setIpv6Address(
                        settings.getGlobalIpv6Address().isEmpty()
                                ? ""
                                : settings.getGlobalIpv6Address() + "/" + settings.getGlobalIpv6PrefixLen())
                .build();
    }

    private static Map<String, EndpointSettings> settings(Sandbox sandbox) {
        Map<String, EndpointSettings> settings = new HashMap<>();
        sandbox.getEndpointsList().forEach(each -> settings.put(each.getNetworkName(), each.getSettings()));
        return settings;
    }

    /** Returns the endpoint by whose gateway a container reaches everything else. */
    private static Optional<SandboxEndpoint> gatewayEndpoint(List<SandboxEndpoint> endpoints) {
        return endpoints.stream()
                .filter(each -> !each.getSettings().getGateway().isEmpty()
                        || !each.getSettings().getIpv6Gateway().isEmpty())
                .min(Comparator.comparingInt(
                                (SandboxEndpoint each) -> -each.getSettings().getGwPriority())
                        .thenComparing(SandboxEndpoint::getNetworkName));
    }

    private static void setGateways(Live live) throws IOException {
        if (live.namespace == null) {
            return;
        }
        Optional<SandboxEndpoint> through = gatewayEndpoint(live.sandbox.getEndpointsList());
        List<InetAddress> gateways = new ArrayList<>();
        through.ifPresent(each -> {
            for (String gateway :
                    List.of(each.getSettings().getGateway(), each.getSettings().getIpv6Gateway())) {
                if (!gateway.isEmpty()) {
                    gateways.add(Subnet.address(gateway));
                }
            }
        });
        Bridges.setGateways(
                live.namespace, gateways, through.map(SandboxEndpoint::getLink).orElse(""));
    }

    private static String hostGateway(Sandbox sandbox) {
        return gatewayEndpoint(sandbox.getEndpointsList())
                .map(SandboxEndpoint::getSettings)
                .map(each -> each.getGateway().isEmpty() ? each.getIpv6Gateway() : each.getGateway())
                .orElse("");
    }

    @Override
    public void detach(ContainerRecord container) {
        Live live = byContainer.remove(container.getId());
        if (live != null) {
            try {
                release(live);
            } catch (IOException e) {
                throw EngineException.internal(
                        "the networks of container " + container.getName() + " cannot be taken back: " + e.getMessage(),
                        e);
            }
        }
    }

    private void release(Live live) throws IOException {
        String id = live.sandbox.getContainerId();
        if (live.server != null) {
            live.server.close();
        }
        networks.publish(id, List.of());
        for (PortReservations.Held each : live.held) {
            each.close();
        }
        for (SandboxEndpoint endpoint : live.sandbox.getEndpointsList()) {
            leave(id, endpoint);
        }
        if (live.namespace != null) {
            NetworkNamespace.delete(namespacePath(id));
        }
        Files.deleteIfExists(folder.resolve(Networks.shortId(id) + SUFFIX));
    }

    private void leave(String containerId, SandboxEndpoint endpoint) throws IOException {
        if (!endpoint.getHostLink().isEmpty()) {
            networks.bridges().unplug(endpoint.getHostLink());
        }
        LocalNetwork network;
        try {
            network = networks.requireNetwork(endpoint.getNetworkId());
        } catch (EngineException e) {
            return;
        }
        network.release(endpoint.getSettings().getIpAddress());
        network.release(endpoint.getSettings().getGlobalIpv6Address());
        network.leave(containerId);
        if (network.isBridge()) {
            networks.tell(network, "disconnect", Map.of("container", containerId));
        }
    }

    // ---- names

    /** Starts the container's name server, if it is in a network that a user made. */
    private void startServer(Live live, ContainerRecord container) throws IOException {
        NetworkFiles.Resolver resolver = files.resolver(container.getHostConfig());
        live.sandbox = live.sandbox.toBuilder()
                .clearDns()
                .addAllDns(container.getHostConfig().getDnsList())
                .setNdotsGiven(resolver.options().stream().anyMatch(each -> each.startsWith("ndots:")))
                .build();
        startServer(live);
    }

    private void startServer(Live live) throws IOException {
        boolean named = live.sandbox.getEndpointsList().stream()
                .anyMatch(each ->
                        !each.getLink().isEmpty() && !each.getNetworkName().equals(LocalNetwork.BRIDGE));
        NetworkNamespace namespace = live.namespace;
        if (!named || live.server != null || namespace == null) {
            return;
        }
        // Servers that the user names are reached as the container reaches them, those of the host from the host.
        List<String> asked = live.sandbox.getDnsList();
        boolean ofHost = asked.isEmpty();
        List<String> servers = !ofHost
                ? asked
                : networks.settings().dns().isEmpty()
                        ? NetworkFiles.ofHost().servers()
                        : networks.settings().dns();
        List<DnsServer.Upstream> upstreams = new ArrayList<>();
        for (String server : servers) {
            try {
                upstreams.add(new DnsServer.Upstream(Subnet.address(server), ofHost ? networks.host() : namespace));
            } catch (IllegalArgumentException e) {
                LOG.debug("the name server {} is left out: {}", server, e.getMessage());
            }
        }
        live.server = new DnsServer(namespace, new KnownNames(live), upstreams, live.sandbox.getNdotsGiven(), executor);
    }

    /** What one container knows of the others in its networks. */
    private final class KnownNames implements DnsServer.Names {
        private final Live asking;

        KnownNames(Live asking) {
            this.asking = asking;
        }

        @Override
        public Optional<List<InetAddress>> addresses(String name) {
            for (SandboxEndpoint own : asking.sandbox.getEndpointsList()) {
                Optional<List<InetAddress>> linked = linked(own, name);
                List<InetAddress> found = linked.orElseGet(() -> inNetwork(own, name));
                String suffix = "." + own.getNetworkName().toLowerCase(Locale.ROOT);
                if (found.isEmpty() && name.endsWith(suffix)) {
                    found = inNetwork(own, name.substring(0, name.length() - suffix.length()));
                }
                if (!found.isEmpty()) {
                    return Optional.of(found);
                }
            }
            return Optional.empty();
        }

        /** Looks for a name that only this container gave to another one, as with {@code --link} in such a network. */
        private Optional<List<InetAddress>> linked(SandboxEndpoint own, String name) {
            for (String link : own.getSettings().getLinksList()) {
                int colon = link.indexOf(':');
                if (colon > 0 && link.substring(colon + 1).equalsIgnoreCase(name)) {
                    return Optional.of(inNetwork(own, link.substring(0, colon).toLowerCase(Locale.ROOT)));
                }
            }
            return Optional.empty();
        }

        private List<InetAddress> inNetwork(SandboxEndpoint own, String name) {
            if (own.getNetworkName().equals(LocalNetwork.BRIDGE)) {
                return List.of();
            }
            List<InetAddress> found = new ArrayList<>();
            for (Live live : byContainer.values()) {
                for (SandboxEndpoint endpoint : live.sandbox.getEndpointsList()) {
                    if (endpoint.getNetworkId().equals(own.getNetworkId())
                            && endpoint.getSettings().getDnsNamesList().stream()
                                    .anyMatch(each -> each.equalsIgnoreCase(name))) {
                        for (String address : addressesOf(endpoint)) {
                            found.add(Subnet.address(address));
                        }
                    }
                }
            }
            return found;
        }

        @Override
        public Optional<String> name(InetAddress address) {
            String text = Subnet.text(address);
            for (SandboxEndpoint own : asking.sandbox.getEndpointsList()) {
                for (Live live : byContainer.values()) {
                    for (SandboxEndpoint endpoint : live.sandbox.getEndpointsList()) {
                        if (endpoint.getNetworkId().equals(own.getNetworkId())
                                && addressesOf(endpoint).contains(text)
                                && !own.getNetworkName().equals(LocalNetwork.BRIDGE)) {
                            return Optional.of(live.sandbox.getContainerName() + "." + own.getNetworkName());
                        }
                    }
                }
            }
            return Optional.empty();
        }
    }

    private static List<String> addressesOf(SandboxEndpoint endpoint) {
        EndpointSettings settings = endpoint.getSettings();
        return Arrays.asList(settings.getIpAddress(), settings.getGlobalIpv6Address()).stream()
                .filter(each -> !each.isEmpty())
                .toList();
    }

    @Override
    public void renamed(ContainerRecord container) {
        Live live = byContainer.get(container.getId());
        if (live == null) {
            return;
        }
        Sandbox.Builder sandbox = live.sandbox.toBuilder();
        String before = sandbox.getContainerName();
        sandbox.setContainerName(container.getName());
        for (SandboxEndpoint.Builder endpoint : sandbox.getEndpointsBuilderList()) {
            List<String> names = endpoint.getSettings().getDnsNamesList().stream()
                    .map(each -> each.equals(before) ? container.getName() : each)
                    .toList();
            endpoint.getSettingsBuilder().clearDnsNames().addAllDnsNames(names);
            networks.requireNetwork(endpoint.getNetworkId())
                    .join(container.getId(), member(container.getName(), endpoint.getSettings()));
        }
        live.sandbox = sandbox.build();
        try {
            save(live);
        } catch (IOException e) {
            LOG.warn("The new name of container {} is not kept: {}", container.getName(), e.getMessage());
        }
    }

    // ---- more and fewer networks

    /** Returns what a user asked for of a place that was made. */
    static EndpointSettings asked(EndpointSettings place) {
        EndpointSettings.Builder asked = place.toBuilder()
                .clearEndpointId()
                .clearGateway()
                .clearIpAddress()
                .clearIpPrefixLen()
                .clearIpv6Gateway()
                .clearGlobalIpv6Address()
                .clearGlobalIpv6PrefixLen()
                .clearDnsNames();
        if (!place.getIpAddress().isEmpty()
                && place.getMacAddress()
                        .equals(hardwareOf(Subnet.address(place.getIpAddress()).getAddress()))) {
            asked.clearMacAddress();
        }
        return asked.build();
    }

    @Override
    public Map<String, PortBindings> ports(String containerId) {
        Live live = byContainer.get(containerId);
        return live == null ? Map.of() : shown(live.sandbox);
    }

    @Override
    public Map.Entry<String, EndpointSettings> connect(
            ContainerRecord container, String reference, EndpointSettings asked) {
        LocalNetwork network = networks.requireNetwork(reference);
        String mode = mode(container);
        if (mode.startsWith(CONTAINER) || mode.equals(LocalNetwork.HOST)) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "container sharing network namespace with another container or host cannot be connected to any other"
                            + " network");
        }
        if (network.name().equals(LocalNetwork.HOST)) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "container cannot be disconnected from host network or connected to host network");
        }
        if (network.name().equals(LocalNetwork.NONE) || container.containsEndpoints(LocalNetwork.NONE)) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "container cannot be connected to multiple networks with one of the networks in private (none)"
                            + " mode");
        }
        if (container.containsEndpoints(network.name())) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "endpoint with name " + container.getName() + " already exists in network " + network.name());
        }
        checkEndpoint(network, asked);
        Live live = byContainer.get(container.getId());
        if (live == null) {
            return Map.entry(
                    network.name(), asked.toBuilder().setNetworkId(network.id()).build());
        }
        try {
            Sandbox before = live.sandbox;
            SandboxEndpoint made = join(live, container, network, asked);
            boolean done = false;
            try {
                follow(live, container);
                startServer(live, container);
                files.write(container, live.sandbox.getEndpointsList(), live.server != null, hostGateway(live.sandbox));
                save(live);
                done = true;
            } finally {
                if (!done) {
                    live.sandbox = before;
                    leave(container.getId(), made);
                }
            }
            return Map.entry(network.name(), made.getSettings());
        } catch (IOException e) {
            throw EngineException.internal(
                    "container " + container.getName() + " cannot be connected to network " + network.name() + ": "
                            + e.getMessage(),
                    e);
        }
    }

    @Override
    public String disconnect(ContainerRecord container, String reference) {
        LocalNetwork network = networks.requireNetwork(reference);
        if (network.name().equals(LocalNetwork.HOST)) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "container cannot be disconnected from host network or connected to host network");
        }
        Live live = byContainer.get(container.getId());
        Optional<SandboxEndpoint> there = live == null
                ? Optional.empty()
                : live.sandbox.getEndpointsList().stream()
                        .filter(each -> each.getNetworkId().equals(network.id()))
                        .findFirst();
        if (!container.containsEndpoints(network.name()) && there.isEmpty()) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "container " + container.getId() + " is not connected to network " + network.name());
        }
        if (live != null && there.isPresent()) {
            try {
                Sandbox.Builder sandbox = live.sandbox.toBuilder().clearEndpoints();
                for (SandboxEndpoint each : live.sandbox.getEndpointsList()) {
                    if (!each.equals(there.get())) {
                        sandbox.addEndpoints(each);
                    }
                }
                live.sandbox = sandbox.build();
                leave(container.getId(), there.get());
                follow(live, container);
                files.writeHosts(container, live.sandbox.getEndpointsList(), hostGateway(live.sandbox));
                save(live);
            } catch (IOException e) {
                throw EngineException.internal(
                        "container " + container.getName() + " cannot be disconnected from network " + network.name()
                                + ": " + e.getMessage(),
                        e);
            }
        }
        return network.name();
    }

    /** Lets routes and published ports follow the networks that a container is in now. */
    private void follow(Live live, ContainerRecord container) throws IOException {
        setGateways(live);
        Optional<SandboxEndpoint> through = gatewayEndpoint(live.sandbox.getEndpointsList());
        if (live.held.isEmpty() && through.isPresent()) {
            publish(live, container, through.get());
        }
        networks.publish(container.getId(), rules(live.sandbox));
    }

    // ---- after a start of the engine

    @Override
    public void recover(Set<String> supposedToRun) throws IOException {
        Set<String> links = new HashSet<>();
        Set<String> used = new HashSet<>();
        Map<String, List<Firewall.Published>> published = new HashMap<>();
        Set<Path> kept = new HashSet<>();
        for (Sandbox sandbox : load()) {
            String id = sandbox.getContainerId();
            Path path = namespacePath(id);
            boolean host = sandbox.getMode().equals(LocalNetwork.HOST);
            if (!supposedToRun.contains(id) || !(host || NetworkNamespace.isAt(path))) {
                continue;
            }
            Live live = new Live(sandbox, host ? null : NetworkNamespace.at(path));
            takeOver(live);
            byContainer.put(id, live);
            kept.add(path);
            kept.add(folder.resolve(path.getFileName() + SUFFIX));
            for (SandboxEndpoint endpoint : sandbox.getEndpointsList()) {
                links.add(endpoint.getHostLink());
                used.add(endpoint.getNetworkId());
            }
            List<Firewall.Published> rules = rules(sandbox);
            if (!rules.isEmpty()) {
                published.put(id, rules);
            }
        }
        links.remove("");
        try (DirectoryStream<Path> all = Files.newDirectoryStream(folder)) {
            for (Path each : all) {
                if (!kept.contains(each)) {
                    NetworkNamespace.delete(each);
                }
            }
        }
        networks.recover(links, published, used);
        for (Live live : byContainer.values()) {
            try {
                startServer(live);
            } catch (IOException e) {
                LOG.error("Container {} has no name server: {}", live.sandbox.getContainerName(), e.getMessage());
            }
        }
    }

    private List<Sandbox> load() throws IOException {
        List<Sandbox> sandboxes = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
            for (Path file : all) {
                try {
                    sandboxes.add(Sandbox.parseFrom(Files.readAllBytes(file)));
                } catch (InvalidProtocolBufferException e) {
                    LOG.error("What is written of the networks of a container, {}, cannot be read", file);
                }
            }
        }
        return sandboxes;
    }

    /** Makes the engine know again what a container has. */
    private void takeOver(Live live) {
        String id = live.sandbox.getContainerId();
        for (SandboxEndpoint endpoint : live.sandbox.getEndpointsList()) {
            try {
                LocalNetwork network = networks.requireNetwork(endpoint.getNetworkId());
                for (String address : addressesOf(endpoint)) {
                    network.take(!Subnet.parse(address + "/0").isIpv4(), address);
                }
                network.join(id, member(live.sandbox.getContainerName(), endpoint.getSettings()));
            } catch (EngineException e) {
                LOG.error(
                        "Container {} has a place in network {} that cannot be taken over: {}",
                        live.sandbox.getContainerName(),
                        endpoint.getNetworkName(),
                        e.text());
            }
        }
        for (SandboxPort port : live.sandbox.getPortsList()) {
            try {
                live.held.addAll(ports.hold(
                        port.getProtocol(),
                        List.of(Subnet.address(port.getHostIp())),
                        port.getHostPort(),
                        port.getHostPort()));
            } catch (IOException e) {
                LOG.warn(
                        "Port {} of container {} is published, but another program has it too: {}",
                        port.getHostPort(),
                        live.sandbox.getContainerName(),
                        e.getMessage());
            }
        }
    }

    /** Lets go of sockets; the places of containers that run stay, and without any the host is left as it was. */
    @Override
    public void close() throws IOException {
        letGo();
        networks.close();
    }

    /** Closes sockets, as the end of the process does. */
    void letGo() throws IOException {
        for (Live live : byContainer.values()) {
            if (live.server != null) {
                live.server.close();
            }
            for (PortReservations.Held each : live.held) {
                each.close();
            }
        }
    }
}
