package io.skep.engine;

import io.skep.engine.record.CreateNetwork;
import io.skep.engine.record.NetworkIpam;
import io.skep.engine.record.NetworkIpamConfig;
import io.skep.engine.record.NetworkRecord;
import io.skep.network.Bridges;
import io.skep.network.Firewall;
import io.skep.network.NetworkNamespace;
import io.skep.network.Subnet;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All networks of this host: {@code bridge}, {@code host}, {@code none}, and those that users make.
 *
 * <p>A network's record is on the disk before anyone hears of it. Its bridge is made with it, and again by each engine
 * that starts; that of the default network when the first container needs it, so that an engine which is not used
 * leaves the host as it is. All names that are visible on the host carry a mark that is made from the folder of the
 * engine, so engines that share a host never take each other's things.
 *
 * <p>Threads: any; those that make or remove a network hold {@link #lock}.
 */
public final class Networks implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Networks.class);
    private static final String DEFAULT_LINK = "skep";
    private static final String RECORD = ".pb";
    private static final int ID_BYTES = 32;
    private static final int SHORT_ID = 12;
    private static final int ULA_LENGTH = 64;
    private static final int MTU_MAX = 65535;
    private static final Set<String> OPTIONS = Set.of(
            LocalNetwork.OPTION_NAME,
            LocalNetwork.OPTION_COMMUNICATION,
            LocalNetwork.OPTION_MASQUERADE,
            LocalNetwork.OPTION_BINDING,
            LocalNetwork.OPTION_DEFAULT,
            LocalNetwork.OPTION_MTU);

    /** Private subnets, beginning with those that Docker takes last, so that both find room on one host. */
    private static final List<NetworkSettings.Pool> POOLS = pools();

    private final Path folder;
    private final Path rulesMark;
    private final NetworkSettings settings;
    private final InstantSource clock;
    private final Consumer<EngineEvent> events;
    private final Bridges bridges;
    private final Firewall firewall;
    private final NetworkNamespace host;
    private final String tag;
    private final SecureRandom random = new SecureRandom();
    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, LocalNetwork> byId = new ConcurrentHashMap<>();
    private final Map<String, List<Firewall.Published>> published = new ConcurrentHashMap<>();

    /**
     * Reads the records of all networks; nothing on the host is changed before {@link #recover}.
     *
     * @param folder of the records
     * @param execRoot where files are that end with the machine
     * @param host the network namespace of the host
     */
    Networks(
            Path folder,
            Path execRoot,
            NetworkNamespace host,
            NetworkSettings settings,
            InstantSource clock,
            Consumer<EngineEvent> events)
            throws IOException {
        this.folder = folder;
        this.rulesMark = execRoot.resolve("network-rules");
        this.host = host;
        this.settings = settings;
        this.clock = clock;
        this.events = events;
        tag = tag(execRoot);
        bridges = new Bridges(host, "skep " + tag);
        firewall = new Firewall(host, "skep_" + tag, this::rules);
        Files.createDirectories(folder);
        load();
        predefine();
    }

    private static String tag(Path execRoot) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256")
                    .digest(execRoot.toAbsolutePath().normalize().toString().getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest, 0, 4);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<NetworkSettings.Pool> pools() {
        List<NetworkSettings.Pool> pools = new ArrayList<>();
        for (int second = 24; second <= 31; second++) {
            pools.add(new NetworkSettings.Pool(Subnet.parse("172." + second + ".0.0/16"), 16));
        }
        for (int second = 17; second <= 23; second++) {
            pools.add(new NetworkSettings.Pool(Subnet.parse("172." + second + ".0.0/16"), 16));
        }
        pools.add(new NetworkSettings.Pool(Subnet.parse("192.168.0.0/16"), 20));
        return List.copyOf(pools);
    }

    // ---- records

    private void load() throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*" + RECORD)) {
            for (Path file : files) {
                try {
                    NetworkRecord record = NetworkRecord.parseFrom(Files.readAllBytes(file));
                    byId.put(record.getId(), new LocalNetwork(record));
                } catch (IOException | IllegalArgumentException e) {
                    LOG.error(
                            "The record of a network, {}, cannot be read, the network is left out: {}",
                            file,
                            e.getMessage());
                }
            }
        }
    }

    private void save(NetworkRecord record) throws IOException {
        AtomicFiles.write(folder.resolve(record.getId() + RECORD), record.toByteArray());
    }

    private void predefine() throws IOException {
        if (byName(LocalNetwork.HOST).isEmpty()) {
            add(plain(LocalNetwork.HOST, LocalNetwork.HOST).build());
        }
        if (byName(LocalNetwork.NONE).isEmpty()) {
            add(plain(LocalNetwork.NONE, "null").build());
        }
        NetworkRecord wanted = defaultBridge();
        Optional<LocalNetwork> there = byName(LocalNetwork.BRIDGE);
        if (there.isEmpty()
                || !there.get()
                        .record()
                        .equals(wanted.toBuilder()
                                .setId(there.get().id())
                                .setCreated(there.get().record().getCreated())
                                .build())) {
            if (there.isPresent()) {
                byId.remove(there.get().id());
                wanted = wanted.toBuilder().setId(there.get().id()).build();
            }
            add(wanted);
        }
    }

    private LocalNetwork add(NetworkRecord record) throws IOException {
        LocalNetwork network = new LocalNetwork(record);
        save(record);
        byId.put(record.getId(), network);
        return network;
    }

    private NetworkRecord.Builder plain(String name, String driver) {
        byte[] bytes = new byte[ID_BYTES];
        random.nextBytes(bytes);
        return NetworkRecord.newBuilder()
                .setName(name)
                .setId(HexFormat.of().formatHex(bytes))
                .setCreated(Times.of(clock.instant()))
                .setScope("local")
                .setDriver(driver)
                .setEnableIpv4(true)
                .setIpam(NetworkIpam.newBuilder().setDriver("default"));
    }

    /**
     * Returns the default bridge as it should be now: as it was, unless the configuration or the host says otherwise.
     */
    private NetworkRecord defaultBridge() throws IOException {
        Optional<NetworkRecord> before = byName(LocalNetwork.BRIDGE).map(LocalNetwork::record);
        NetworkIpamConfig.Builder config = NetworkIpamConfig.newBuilder();
        Set<String> names = new HashSet<>(bridges.linkNames());
        String link = before.map(NetworkRecord::getLink).orElse("");
        if (link.isEmpty()) {
            int number = 0;
            while (names.contains(DEFAULT_LINK + number)) {
                number++;
            }
            link = DEFAULT_LINK + number;
        }
        if (!settings.bridgeAddress().isEmpty()) {
            Subnet address = Subnet.parse(settings.bridgeAddress());
            config.setSubnet(address.network().toString()).setGateway(Subnet.text(address.address()));
        } else {
            String subnet = before.map(record -> record.getIpam().getConfig(0).getSubnet())
                    .orElse("");
            List<Subnet> taken = bridges.subnetsInUse(Set.of(link));
            if (subnet.isEmpty() || overlapsAny(Subnet.parse(subnet), taken)) {
                subnet = freeSubnet(Set.of(LocalNetwork.BRIDGE), Set.of(link)).toString();
            }
            config.setSubnet(subnet).setGateway(Subnet.text(Subnet.parse(subnet).at(1)));
        }
        if (!settings.fixedRange().isEmpty()) {
            config.setIpRange(settings.fixedRange());
        }
        return plain(LocalNetwork.BRIDGE, LocalNetwork.BRIDGE)
                .setLink(link)
                .setIpam(NetworkIpam.newBuilder().setDriver("default").addConfig(config))
                .putOptions(LocalNetwork.OPTION_DEFAULT, "true")
                .putOptions(LocalNetwork.OPTION_NAME, link)
                .putOptions(LocalNetwork.OPTION_COMMUNICATION, Boolean.toString(settings.communication()))
                .putOptions(LocalNetwork.OPTION_MASQUERADE, Boolean.toString(settings.masquerade()))
                .putOptions(
                        LocalNetwork.OPTION_BINDING,
                        settings.bindAddress().isEmpty() ? "0.0.0.0" : settings.bindAddress())
                .putOptions(LocalNetwork.OPTION_MTU, Integer.toString(settings.mtu() == 0 ? 1500 : settings.mtu()))
                .build();
    }

    private static boolean overlapsAny(Subnet subnet, List<Subnet> others) {
        return others.stream().anyMatch(subnet::overlaps);
    }

    /** Returns a subnet of the pools that neither a network nor a route of the host has. */
    private Subnet freeSubnet(Set<String> exceptNetworks, Set<String> exceptLinks) throws IOException {
        List<Subnet> taken = new ArrayList<>(bridges.subnetsInUse(exceptLinks));
        for (LocalNetwork network : byId.values()) {
            if (!exceptNetworks.contains(network.name())) {
                taken.addAll(network.subnets());
            }
        }
        List<NetworkSettings.Pool> own =
                settings.pools().stream().filter(each -> each.base().isIpv4()).toList();
        for (NetworkSettings.Pool pool : own.isEmpty() ? POOLS : own) {
            long count = 1L << Math.min(30, pool.length() - pool.base().length());
            for (long place = 0; place < count; place++) {
                Subnet subnet = new Subnet(pool.base().at(place << (32 - pool.length())), pool.length());
                if (!overlapsAny(subnet, taken)) {
                    return subnet;
                }
            }
        }
        throw new EngineException(
                EngineException.Kind.INVALID, "all predefined address pools have been fully subnetted");
    }

    /** Returns a subnet of the unique local addresses of this engine (RFC 4193). */
    private Subnet freeSubnet6() {
        byte[] prefix = new byte[16];
        prefix[0] = (byte) 0xfd;
        System.arraycopy(HexFormat.of().parseHex(tag), 0, prefix, 2, 4);
        List<Subnet> taken =
                byId.values().stream().flatMap(each -> each.subnets().stream()).toList();
        for (int number = 0; ; number++) {
            prefix[6] = (byte) (number >> 8);
            prefix[7] = (byte) number;
            try {
                Subnet subnet = new Subnet(InetAddress.getByAddress(prefix), ULA_LENGTH);
                if (!overlapsAny(subnet, taken)) {
                    return subnet;
                }
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    // ---- what users see

    private Optional<LocalNetwork> byName(String name) {
        return byId.values().stream().filter(each -> each.name().equals(name)).findFirst();
    }

    /**
     * Finds a network by its id, its name or the beginning of its id.
     *
     * @throws EngineException NOT_FOUND when there is none, INVALID when several ids begin so
     */
    LocalNetwork requireNetwork(String reference) {
        LocalNetwork full = byId.get(reference);
        if (full != null) {
            return full;
        }
        Optional<LocalNetwork> named = byName(reference);
        if (named.isPresent()) {
            return named.get();
        }
        List<LocalNetwork> found = reference.isEmpty()
                ? List.of()
                : byId.values().stream()
                        .filter(each -> each.id().startsWith(reference))
                        .toList();
        if (found.size() > 1) {
            throw EngineException.invalid(
                    "network " + reference + " is ambiguous (" + found.size() + " matches found based on ID prefix)");
        }
        if (found.isEmpty()) {
            throw EngineException.notFound("network " + reference + " not found");
        }
        return found.getFirst();
    }

    /** Returns a network with the containers in it; fails as {@link #requireNetwork} does. */
    public NetworkRecord inspect(String reference) {
        return shown(requireNetwork(reference));
    }

    private static NetworkRecord shown(LocalNetwork network) {
        return network.record().toBuilder().putAllContainers(network.members()).build();
    }

    /** Returns all networks with the containers in them, the newest first. */
    public List<NetworkRecord> all() {
        return byId.values().stream()
                .map(Networks::shown)
                .sorted(Comparator.comparing((NetworkRecord each) -> Times.of(each.getCreated()))
                        .reversed()
                        .thenComparing(NetworkRecord::getName))
                .toList();
    }

    /** Whether a network is there without anybody having made it. */
    public static boolean isPredefined(NetworkRecord network) {
        return new LocalNetwork(network).isPredefined();
    }

    /** Makes a network and returns its id. */
    public String create(CreateNetwork asked) {
        lock.lock();
        try {
            NetworkRecord record = newRecord(asked);
            LocalNetwork network = new LocalNetwork(record);
            if (network.isBridge()) {
                make(network);
            }
            try {
                byId.put(record.getId(), network);
                save(record);
                if (network.isBridge()) {
                    applyRules();
                }
            } catch (IOException | RuntimeException e) {
                byId.remove(record.getId());
                unmake(network);
                Files.deleteIfExists(folder.resolve(record.getId() + RECORD));
                throw e;
            }
            tell(network, "create", Map.of());
            return record.getId();
        } catch (IOException e) {
            throw EngineException.internal("the network cannot be made: " + e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    private NetworkRecord newRecord(CreateNetwork asked) throws IOException {
        String name = asked.getName().strip();
        if (name.isEmpty()) {
            throw EngineException.invalid("invalid network name: name is empty");
        }
        if (Set.of(LocalNetwork.BRIDGE, LocalNetwork.HOST, LocalNetwork.NONE, "default")
                .contains(name)) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN, "operation is not permitted on predefined " + name + " network ");
        }
        if (name.startsWith("container:")) {
            throw EngineException.invalid("invalid network name: \"" + name + "\" names the network of a container");
        }
        if (byName(name).isPresent()) {
            throw EngineException.conflict("network with name " + name + " already exists");
        }
        String driver = asked.getDriver().isEmpty() || asked.getDriver().equals("default")
                ? LocalNetwork.BRIDGE
                : asked.getDriver();
        switch (driver) {
            case LocalNetwork.BRIDGE -> {}
            case LocalNetwork.HOST, "null" ->
                throw new EngineException(
                        EngineException.Kind.FORBIDDEN, "only one instance of \"" + driver + "\" network is allowed");
            default ->
                throw EngineException.notFound("could not find plugin " + driver
                        + " in v1 plugin registry: plugin not found: networks of this engine have the driver bridge");
        }
        if (asked.getIngress()) {
            throw EngineException.invalid("Ingress network can only be global (swarm) scoped");
        }
        if (!asked.getScope().isEmpty() && !asked.getScope().equals("local")) {
            throw EngineException.invalid("invalid network scope: \"" + asked.getScope() + "\"");
        }
        NetworkIpam ipam = asked.getIpam();
        if (!ipam.getDriver().isEmpty() && !ipam.getDriver().equals("default")) {
            throw EngineException.notFound("could not find plugin " + ipam.getDriver()
                    + " in v1 plugin registry: plugin not found: addresses are given by the driver default");
        }
        NetworkRecord.Builder record = plain(name, driver)
                .setEnableIpv4(!asked.hasEnableIpv4() || asked.getEnableIpv4())
                .setEnableIpv6(asked.getEnableIpv6())
                .setInternal(asked.getInternal())
                .setAttachable(asked.getAttachable())
                .setConfigOnly(asked.getConfigOnly())
                .putAllOptions(asked.getOptionsMap())
                .putAllLabels(asked.getLabelsMap());
        String from = asked.getConfigFrom().getNetwork();
        if (!from.isEmpty()) {
            NetworkRecord source = requireNetwork(from).record();
            if (!source.getConfigOnly()) {
                throw new EngineException(
                        EngineException.Kind.FORBIDDEN, "config from network \"" + from + "\" is not a configuration");
            }
            ipam = source.getIpam();
            record.setConfigFrom(asked.getConfigFrom())
                    .setEnableIpv4(source.getEnableIpv4())
                    .setEnableIpv6(source.getEnableIpv6())
                    .setInternal(source.getInternal())
                    .putAllOptions(source.getOptionsMap())
                    .putAllLabels(source.getLabelsMap());
        }
        if (asked.getConfigOnly()) {
            return record.setIpam(ipam.toBuilder().setDriver("default")).build();
        }
        checkOptions(record.getOptionsMap());
        String link = record.getOptionsOrDefault(
                LocalNetwork.OPTION_NAME, "br-" + record.getId().substring(0, SHORT_ID));
        if (byId.values().stream().anyMatch(each -> each.link().equals(link))) {
            throw EngineException.conflict("the bridge " + link + " is that of another network");
        }
        List<NetworkIpamConfig> configs = ipam(ipam, record.getEnableIpv4(), record.getEnableIpv6());
        NetworkRecord made = record.setLink(link)
                .setIpam(NetworkIpam.newBuilder()
                        .setDriver("default")
                        .putAllOptions(ipam.getOptionsMap())
                        .addAllConfig(configs))
                .build();
        try {
            var _ = new LocalNetwork(made).filtered();
        } catch (IllegalArgumentException e) {
            throw EngineException.invalid(String.valueOf(e.getMessage()));
        }
        return made;
    }

    private static void checkOptions(Map<String, String> options) {
        options.forEach((option, value) -> {
            if (!OPTIONS.contains(option)) {
                throw EngineException.invalid("the option \"" + option + "\" of a network is not supported");
            }
            switch (option) {
                case LocalNetwork.OPTION_COMMUNICATION, LocalNetwork.OPTION_MASQUERADE, LocalNetwork.OPTION_DEFAULT -> {
                    if (!value.equals("true") && !value.equals("false")) {
                        throw EngineException.invalid(
                                "the option \"" + option + "\" is true or false, not \"" + value + "\"");
                    }
                }
                case LocalNetwork.OPTION_MTU -> {
                    int mtu = value.chars().allMatch(Character::isDigit) && value.length() < 6 && !value.isEmpty()
                            ? Integer.parseInt(value)
                            : -1;
                    if (mtu < 0 || mtu > MTU_MAX) {
                        throw EngineException.invalid("invalid value for " + option + ": \"" + value + "\"");
                    }
                }
                case LocalNetwork.OPTION_BINDING -> {
                    if (!value.isEmpty()) {
                        checkedAddress(value, option);
                    }
                }
                default -> {}
            }
        });
    }

    private static InetAddress checkedAddress(String text, String what) {
        try {
            return Subnet.address(text);
        } catch (IllegalArgumentException e) {
            throw new EngineException(
                    EngineException.Kind.INVALID, "invalid address for " + what + ": \"" + text + "\"", e);
        }
    }

    private static Subnet checkedSubnet(String text, String what) {
        try {
            return Subnet.parse(text);
        } catch (IllegalArgumentException e) {
            throw new EngineException(EngineException.Kind.INVALID, "invalid " + what + ": " + e.getMessage(), e);
        }
    }

    /** Completes the subnets of a new network. */
    private List<NetworkIpamConfig> ipam(NetworkIpam asked, boolean four, boolean six) throws IOException {
        List<NetworkIpamConfig> configs = new ArrayList<>();
        boolean hasFour = false;
        boolean hasSix = false;
        for (NetworkIpamConfig config : asked.getConfigList()) {
            if (config.getSubnet().isEmpty()) {
                if (!config.getIpRange().isEmpty() || !config.getGateway().isEmpty()) {
                    throw EngineException.invalid(
                            "invalid network config: an ip-range or gateway needs the subnet it is of");
                }
                continue;
            }
            Subnet subnet = checkedSubnet(config.getSubnet(), "subnet");
            if (!subnet.network().equals(subnet)) {
                throw EngineException.invalid("invalid network config:\ninvalid subnet " + config.getSubnet()
                        + ": it should be " + subnet.network());
            }
            for (LocalNetwork other : byId.values()) {
                if (overlapsAny(subnet, other.subnets())) {
                    throw new EngineException(
                            EngineException.Kind.FORBIDDEN,
                            "invalid pool request: Pool overlaps with other one on this address space");
                }
            }
            if (!config.getIpRange().isEmpty() && !subnet.contains(checkedSubnet(config.getIpRange(), "ip-range"))) {
                throw EngineException.invalid("invalid network config:\ninvalid ip-range " + config.getIpRange()
                        + ": parent subnet is " + subnet);
            }
            NetworkIpamConfig.Builder made = config.toBuilder();
            if (config.getGateway().isEmpty()) {
                made.setGateway(Subnet.text(subnet.at(1)));
            } else if (!subnet.contains(checkedAddress(config.getGateway(), "gateway"))) {
                throw EngineException.invalid("invalid network config:\ninvalid gateway " + config.getGateway()
                        + ": parent subnet is " + subnet);
            }
            config.getAuxiliaryAddressesMap().forEach((name, address) -> {
                if (!subnet.contains(checkedAddress(address, name))) {
                    throw EngineException.invalid("invalid network config:\ninvalid auxiliary address " + address
                            + ": parent subnet is " + subnet);
                }
            });
            if (subnet.isIpv4() ? four : six) {
                configs.add(made.build());
                hasFour |= subnet.isIpv4();
                hasSix |= !subnet.isIpv4();
            }
        }
        if (four && !hasFour) {
            Subnet subnet = freeSubnet(Set.of(), Set.of());
            configs.addFirst(configOf(subnet));
        }
        if (six && !hasSix) {
            configs.add(configOf(freeSubnet6()));
        }
        return configs;
    }

    private static NetworkIpamConfig configOf(Subnet subnet) {
        return NetworkIpamConfig.newBuilder()
                .setSubnet(subnet.toString())
                .setGateway(Subnet.text(subnet.at(1)))
                .build();
    }

    /** Removes a network that no running container is in. */
    public void remove(String reference) {
        lock.lock();
        try {
            LocalNetwork network = requireNetwork(reference);
            if (network.isPredefined()) {
                throw new EngineException(
                        EngineException.Kind.FORBIDDEN,
                        network.name() + " is a pre-defined network and cannot be removed");
            }
            if (!network.close()) {
                List<String> names = network.members().entrySet().stream()
                        .map(each -> "name:\"" + each.getValue().getName() + "\" id:\""
                                + each.getKey().substring(0, SHORT_ID) + "\"")
                        .toList();
                throw new EngineException(
                        EngineException.Kind.FORBIDDEN,
                        "error while removing network: network " + network.name() + " has active endpoints ("
                                + String.join(", ", names) + ")");
            }
            byId.remove(network.id());
            Files.deleteIfExists(folder.resolve(network.id() + RECORD));
            if (network.isBridge()) {
                unmake(network);
                applyRules();
            }
            tell(network, "destroy", Map.of());
        } catch (IOException e) {
            throw EngineException.internal("the network cannot be removed: " + e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    /** Removes the networks that no container is in, and returns their names. */
    public List<String> prune(Predicate<NetworkRecord> wanted) {
        List<String> removed = new ArrayList<>();
        for (NetworkRecord each : all()) {
            if (isPredefined(each) || each.getContainersCount() > 0 || !wanted.test(each)) {
                continue;
            }
            try {
                remove(each.getId());
                removed.add(each.getName());
            } catch (EngineException e) {
                LOG.debug("network {} is not pruned: {}", each.getName(), e.text());
            }
        }
        return removed;
    }

    void tell(LocalNetwork network, String action, Map<String, String> more) {
        Map<String, String> attributes = new HashMap<>(more);
        attributes.put("name", network.name());
        attributes.put("type", network.record().getDriver());
        events.accept(new EngineEvent("network", action, network.id(), attributes, clock.instant()));
    }

    // ---- the host

    NetworkNamespace host() {
        return host;
    }

    Bridges bridges() {
        return bridges;
    }

    NetworkSettings settings() {
        return settings;
    }

    /** Makes the bridge of a network, if it is not there. */
    void make(LocalNetwork network) throws IOException {
        lock.lock();
        try {
            if (network.made()) {
                return;
            }
            Files.createDirectories(rulesMark.toAbsolutePath().getParent());
            if (!Files.exists(rulesMark)) {
                Files.createFile(rulesMark);
            }
            bridges.make(network.link(), network.bridgeAddresses(), network.mtu(), true);
            if (settings.forward() && bridges.forward(network.subnets().stream().anyMatch(each -> !each.isIpv4()))) {
                LOG.info("this host now passes packets on between its networks: containers need it");
            }
            network.made(true);
            if (network.isDefault()) {
                applyRules();
            }
        } finally {
            lock.unlock();
        }
    }

    private void unmake(LocalNetwork network) throws IOException {
        network.made(false);
        if (!network.link().isEmpty()) {
            bridges.delete(network.link());
        }
    }

    private Firewall.Rules rules() {
        List<Firewall.Bridge> filtered = byId.values().stream()
                .filter(each -> each.isBridge() && each.made())
                .map(LocalNetwork::filtered)
                .sorted(Comparator.comparing(Firewall.Bridge::name))
                .toList();
        return new Firewall.Rules(
                filtered, published.values().stream().flatMap(List::stream).toList());
    }

    /** Publishes ports of a container; an empty list takes them back. */
    void publish(String containerId, List<Firewall.Published> ports) throws IOException {
        List<Firewall.Published> before =
                ports.isEmpty() ? published.remove(containerId) : published.put(containerId, ports);
        if (!ports.equals(before == null ? List.of() : before)) {
            applyRules();
        }
    }

    private void applyRules() throws IOException {
        if (byId.values().stream().noneMatch(each -> each.isBridge() && each.made())) {
            clear();
            return;
        }
        try {
            firewall.apply();
        } catch (IOException e) {
            throw Engine.program("nft").isPresent()
                    ? e
                    : new IOException("bridge networks need the program nft: install nftables", e);
        }
    }

    /**
     * Makes the host what the records say, whatever an engine before this one left.
     *
     * @param keptLinks ends of cables of containers that run
     * @param ports of those containers, by their ids
     */
    void recover(Set<String> keptLinks, Map<String, List<Firewall.Published>> ports, Set<String> networksInUse)
            throws IOException {
        lock.lock();
        try {
            boolean some = Files.exists(rulesMark);
            Set<String> kept = new HashSet<>(keptLinks);
            for (LocalNetwork network : byId.values()) {
                if (network.isBridge() && (!network.isDefault() || networksInUse.contains(network.id()))) {
                    try {
                        make(network);
                        kept.add(network.link());
                    } catch (IOException e) {
                        LOG.error("The network {} cannot be made: {}", network.name(), e.getMessage());
                    }
                }
            }
            if (some) {
                bridges.deleteOthers(kept);
            }
            published.putAll(ports);
            applyRules();
        } finally {
            lock.unlock();
        }
    }

    private void clear() throws IOException {
        if (Files.exists(rulesMark)) {
            firewall.remove();
            Files.delete(rulesMark);
        }
    }

    /** Leaves the host as it was, unless containers run on. */
    @Override
    public void close() throws IOException {
        lock.lock();
        try {
            boolean used = byId.values().stream()
                    .anyMatch(each -> each.isBridge() && !each.members().isEmpty());
            if (used) {
                return;
            }
            for (LocalNetwork network : byId.values()) {
                if (network.made()) {
                    unmake(network);
                }
            }
            clear();
        } finally {
            lock.unlock();
        }
    }

    static String shortId(String id) {
        return id.substring(0, Math.min(SHORT_ID, id.length()));
    }

    static List<String> words(String line) {
        return Arrays.stream(line.strip().split("\\s+", -1))
                .filter(each -> !each.isEmpty())
                .toList();
    }
}
