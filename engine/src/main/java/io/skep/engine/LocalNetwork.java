package io.skep.engine;

import io.skep.engine.record.NetworkIpamConfig;
import io.skep.engine.record.NetworkMember;
import io.skep.engine.record.NetworkRecord;
import io.skep.network.AddressPool;
import io.skep.network.Firewall;
import io.skep.network.Subnet;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * One network of this host, with the addresses in use and the containers that are in it now.
 *
 * <p>Threads: any. A network that is closed takes no more containers.
 */
final class LocalNetwork {
    static final String BRIDGE = "bridge";
    static final String HOST = "host";
    static final String NONE = "none";

    static final String OPTION_NAME = "com.docker.network.bridge.name";
    static final String OPTION_COMMUNICATION = "com.docker.network.bridge.enable_icc";
    static final String OPTION_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade";
    static final String OPTION_BINDING = "com.docker.network.bridge.host_binding_ipv4";
    static final String OPTION_DEFAULT = "com.docker.network.bridge.default_bridge";
    static final String OPTION_MTU = "com.docker.network.driver.mtu";

    private final NetworkRecord record;
    private final List<Part> parts = new ArrayList<>();
    private final Map<String, NetworkMember> members = new TreeMap<>();
    private boolean closed;
    private boolean made;

    /** One subnet of the network. */
    private record Part(AddressPool pool, Optional<InetAddress> gateway) {}

    LocalNetwork(NetworkRecord record) {
        this.record = record;
        for (NetworkIpamConfig config : record.getIpam().getConfigList()) {
            if (config.getSubnet().isEmpty() || !isBridge()) {
                continue;
            }
            Subnet subnet = Subnet.parse(config.getSubnet());
            List<InetAddress> reserved = new ArrayList<>();
            Optional<InetAddress> gateway = config.getGateway().isEmpty()
                    ? Optional.empty()
                    : Optional.of(Subnet.address(withoutLength(config.getGateway())));
            gateway.ifPresent(reserved::add);
            config.getAuxiliaryAddressesMap().values().forEach(each -> reserved.add(Subnet.address(each)));
            Subnet range = config.getIpRange().isEmpty() ? subnet : Subnet.parse(config.getIpRange());
            parts.add(new Part(new AddressPool(subnet, range, reserved), gateway));
        }
    }

    static String withoutLength(String address) {
        int slash = address.indexOf('/');
        return slash < 0 ? address : address.substring(0, slash);
    }

    NetworkRecord record() {
        return record;
    }

    String id() {
        return record.getId();
    }

    String name() {
        return record.getName();
    }

    boolean isBridge() {
        return record.getDriver().equals(BRIDGE) && !record.getConfigOnly();
    }

    /** Whether it is the bridge that is there without anybody having made it. */
    boolean isDefault() {
        return record.getName().equals(BRIDGE);
    }

    boolean isPredefined() {
        return isDefault() || !record.getDriver().equals(BRIDGE);
    }

    boolean communicates() {
        return flag(OPTION_COMMUNICATION);
    }

    private boolean flag(String option) {
        return record.getOptionsOrDefault(option, "true").equals("true");
    }

    int mtu() {
        return Integer.parseInt(record.getOptionsOrDefault(OPTION_MTU, "0"));
    }

    String link() {
        return record.getLink();
    }

    /** Returns the addresses of the bridge itself: the gateways of its subnets. */
    List<Subnet> bridgeAddresses() {
        List<Subnet> addresses = new ArrayList<>();
        for (Part part : parts) {
            part.gateway()
                    .ifPresent(each ->
                            addresses.add(new Subnet(each, part.pool().subnet().length())));
        }
        return addresses;
    }

    List<Subnet> subnets() {
        return parts.stream().map(part -> part.pool().subnet()).toList();
    }

    /** Returns the gateways that its containers use, none for an internal network. */
    List<InetAddress> gateways(boolean six) {
        return parts.stream()
                .filter(part -> part.pool().subnet().isIpv4() != six)
                .flatMap(part -> part.gateway().stream())
                .limit(1)
                .toList();
    }

    Firewall.Bridge filtered() {
        return new Firewall.Bridge(link(), subnets(), record.getInternal(), flag(OPTION_MASQUERADE));
    }

    synchronized boolean made() {
        return made;
    }

    synchronized void made(boolean now) {
        made = now;
    }

    // ---- containers

    /** Keeps the network from being removed while a container gets its place. */
    synchronized void join(String containerId, NetworkMember member) {
        if (closed) {
            throw EngineException.notFound("network " + name() + " not found");
        }
        members.put(containerId, member);
    }

    synchronized void leave(String containerId) {
        members.remove(containerId);
    }

    synchronized Map<String, NetworkMember> members() {
        return Map.copyOf(members);
    }

    /** Lets no more containers in; false when there are some. */
    synchronized boolean close() {
        closed = members.isEmpty();
        return closed;
    }

    /**
     * Takes an address of one family.
     *
     * @param wanted the one a user asked for, or empty
     * @return nothing when the network has no subnet of the family
     */
    Optional<Subnet> take(boolean six, String wanted) {
        boolean some = false;
        for (Part part : parts) {
            AddressPool pool = part.pool();
            if (pool.subnet().isIpv4() == six) {
                continue;
            }
            some = true;
            if (wanted.isEmpty()) {
                Optional<InetAddress> taken = pool.take();
                if (taken.isPresent()) {
                    return Optional.of(new Subnet(taken.get(), pool.subnet().length()));
                }
            } else if (pool.subnet().contains(Subnet.address(wanted))) {
                if (!pool.take(Subnet.address(wanted))) {
                    throw new EngineException(EngineException.Kind.FORBIDDEN, "Address already in use");
                }
                return Optional.of(
                        new Subnet(Subnet.address(wanted), pool.subnet().length()));
            }
        }
        if (!wanted.isEmpty()) {
            throw EngineException.invalid("no configured subnet or ip-range contain the IP address " + wanted);
        }
        if (some) {
            throw new EngineException(
                    EngineException.Kind.FORBIDDEN,
                    "no available IPv" + (six ? 6 : 4) + " addresses on this network's address pools: " + name() + " ("
                            + id() + ")");
        }
        return Optional.empty();
    }

    void release(String address) {
        if (!address.isEmpty()) {
            parts.forEach(part -> part.pool().release(Subnet.address(address)));
        }
    }
}
