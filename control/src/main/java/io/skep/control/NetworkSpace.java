package io.skep.control;

import io.skep.wire.Cluster;
import io.skep.wire.Driver;
import io.skep.wire.IPAMConfig;
import io.skep.wire.IPAMOptions;
import io.skep.wire.Network;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The subnets, VXLAN numbers and addresses of all overlay networks, and who owns them.
 *
 * <p>Rebuilt from the state by a new leader. Invariants: no two networks have overlapping subnets or a VXLAN number in
 * common, no address has two owners (swarm-wire 7.1, 7.2).
 */
final class NetworkSpace {
    static final String OVERLAY = "overlay";
    static final String VNI_LIST = "com.docker.network.driver.overlay.vxlanid_list";

    /** Drivers whose networks each node makes for itself: nothing is allocated for them. */
    private static final Set<String> NODE_LOCAL_DRIVERS = Set.of(
            "bridge",
            "host",
            "macvlan",
            "ipvlan",
            "null",
            "nat",
            "ics",
            "internal",
            "l2bridge",
            "l2tunnel",
            "private",
            "transparent");

    private static final String DEFAULT_IPAM_DRIVER = "default";
    private static final String DEFAULT_POOL = "10.0.0.0/8";
    private static final int DEFAULT_SUBNET_PREFIX = 24;
    private static final long VNI_FIRST = 4096;
    private static final long VNI_LAST = (1 << 24) - 1;

    private final Map<String, List<AddressPool>> pools = new HashMap<>();
    private final Map<Long, String> vniOwners = new HashMap<>();
    private long nextVni = VNI_FIRST;

    static boolean isNodeLocal(String driver) {
        return NODE_LOCAL_DRIVERS.contains(driver);
    }

    /** Returns whether a network of that driver spans nodes; the empty name stands for the default driver. */
    static boolean isOverlay(String driver) {
        return driver.isEmpty() || driver.equals(OVERLAY);
    }

    static boolean isOverlay(Network network) {
        return isOverlay(network.getSpec().getDriverConfig().getName());
    }

    static boolean isAllocated(Network network) {
        return network.hasDriverState();
    }

    /** Takes note of a network that is allocated; one that is known already is left alone. */
    void add(Network network) {
        if (!isOverlay(network) || !isAllocated(network) || pools.containsKey(network.getId())) {
            return;
        }
        pools.put(network.getId(), poolsOf(network.getIpam().getConfigsList()));
        for (long vni : vnis(network.getDriverState())) {
            vniOwners.putIfAbsent(vni, network.getId());
            nextVni = Math.max(nextVni, vni + 1);
        }
    }

    void remove(Network network) {
        pools.remove(network.getId());
        vniOwners.values().removeIf(owner -> owner.equals(network.getId()));
    }

    /**
     * Gives a network its driver, and if it spans nodes its subnets and VXLAN numbers.
     *
     * @param cluster whose address pools subnets are taken from
     * @return the network as it is to be stored
     * @throws AllocationException when they are used up or taken
     */
    Network allocate(Network network, Cluster cluster) throws AllocationException {
        String driver = network.getSpec().getDriverConfig().getName();
        if (!isOverlay(driver)) {
            return network.toBuilder()
                    .setDriverState(Driver.newBuilder().setName(driver))
                    .setIpam(IPAMOptions.newBuilder().setDriver(Driver.getDefaultInstance()))
                    .build();
        }
        List<IPAMConfig> configs = allocateSubnets(network, cluster);
        long ipv4Subnets = configs.stream()
                .filter(config -> Subnet.parse(config.getSubnet()).isIpv4())
                .count();
        Driver driverConfig = network.getSpec().getDriverConfig();
        List<Long> vnis = allocateVnis(network, driverConfig, ipv4Subnets);
        Network allocated = network.toBuilder()
                .setDriverState(Driver.newBuilder()
                        .setName(OVERLAY)
                        .putAllOptions(driverConfig.getOptionsMap())
                        .putOptions(VNI_LIST, vnis.stream().map(String::valueOf).collect(Collectors.joining(","))))
                .setIpam(IPAMOptions.newBuilder()
                        .setDriver(ipamDriver(network.getSpec().getIpam().getDriver()))
                        .addAllConfigs(configs))
                .build();
        add(allocated);
        return allocated;
    }

    /** Returns whether the network has addresses to give. */
    boolean hasPools(String networkId) {
        return pools.containsKey(networkId);
    }

    /**
     * Takes one free address, with prefix length, from each address family of a network.
     *
     * @throws AllocationException when there is none, then none is taken
     */
    List<String> take(Network network, String owner) throws AllocationException {
        List<String> taken = new ArrayList<>();
        taken.add(takeIpv4(network, owner));
        for (AddressPool pool : poolsOf(network.getId())) {
            if (!pool.subnet().isIpv4()) {
                String address = pool.take(owner);
                if (address != null) {
                    taken.add(address);
                    break;
                }
            }
        }
        return taken;
    }

    /**
     * Takes one free IPv4 address, with prefix length.
     *
     * @throws AllocationException when there is none
     */
    String takeIpv4(Network network, String owner) throws AllocationException {
        for (AddressPool pool : poolsOf(network.getId())) {
            if (pool.subnet().isIpv4()) {
                String address = pool.take(owner);
                if (address != null) {
                    return address;
                }
            }
        }
        throw new AllocationException("no free address in network "
                + network.getSpec().getAnnotations().getName() + ": make a network with a larger subnet");
    }

    /**
     * Takes the addresses that somebody asks for.
     *
     * @return the addresses, with prefix length
     * @throws AllocationException when one is outside the network or taken, then none is taken
     */
    List<String> takeWanted(Network network, List<String> wanted, String owner) throws AllocationException {
        List<String> taken = new ArrayList<>();
        for (String text : wanted) {
            byte[] address;
            try {
                address = Subnet.parseAddress(text);
            } catch (IllegalArgumentException e) {
                release(network.getId(), taken, owner);
                throw new AllocationException(e.getMessage() + ", so it cannot be taken");
            }
            AddressPool pool = poolOf(network.getId(), address);
            if (pool == null || !pool.claim(address, owner)) {
                release(network.getId(), taken, owner);
                throw new AllocationException("address " + text + (pool == null ? " is outside" : " is taken in")
                        + " network " + network.getSpec().getAnnotations().getName());
            }
            taken.add(pool.subnet().cidr(pool.subnet().offset(address)));
        }
        return taken;
    }

    /** Takes note of an address that is in use, with prefix length. */
    void claim(String networkId, String cidr, String owner) {
        byte[] address = Subnet.parseAddress(cidr);
        AddressPool pool = poolOf(networkId, address);
        if (pool != null) {
            pool.claim(address, owner);
        }
    }

    /** Gives addresses back; returns whether the owner had one of them. */
    boolean release(String networkId, Iterable<String> cidrs, String owner) {
        boolean released = false;
        for (String cidr : cidrs) {
            byte[] address = Subnet.parseAddress(cidr);
            AddressPool pool = poolOf(networkId, address);
            released |= pool != null && pool.release(address, owner);
        }
        return released;
    }

    private List<AddressPool> poolsOf(String networkId) throws AllocationException {
        List<AddressPool> found = pools.get(networkId);
        if (found == null) {
            throw new AllocationException("network " + networkId + " has no addresses yet");
        }
        return found;
    }

    private @Nullable AddressPool poolOf(String networkId, byte[] address) {
        for (AddressPool pool : pools.getOrDefault(networkId, List.of())) {
            if (pool.contains(address)) {
                return pool;
            }
        }
        return null;
    }

    private List<IPAMConfig> allocateSubnets(Network network, Cluster cluster) throws AllocationException {
        List<IPAMConfig> configs = new ArrayList<>();
        List<Subnet> own = new ArrayList<>();
        boolean ipv4 = false;
        for (IPAMConfig wanted : network.getSpec().getIpam().getConfigsList()) {
            Subnet subnet;
            if (wanted.getSubnet().isEmpty()) {
                subnet = freeSubnet(cluster, own);
            } else {
                try {
                    subnet = Subnet.parse(wanted.getSubnet());
                } catch (IllegalArgumentException e) {
                    throw new AllocationException("the network has a subnet that cannot be read: " + e.getMessage());
                }
                requireFree(subnet, own);
            }
            own.add(subnet);
            ipv4 |= subnet.isIpv4();
            configs.add(resolved(wanted, subnet));
        }
        if (!ipv4) {
            configs.add(0, resolved(IPAMConfig.getDefaultInstance(), freeSubnet(cluster, own)));
        }
        return configs;
    }

    private static IPAMConfig resolved(IPAMConfig wanted, Subnet subnet) {
        IPAMConfig.Builder config = wanted.toBuilder()
                .setFamily(subnet.isIpv4() ? IPAMConfig.AddressFamily.IPV4 : IPAMConfig.AddressFamily.IPV6)
                .setSubnet(subnet.toString());
        if (wanted.getGateway().isEmpty()) {
            config.setGateway(subnet.address(Math.min(1, subnet.size() - 1)));
        }
        return config.build();
    }

    private void requireFree(Subnet subnet, List<Subnet> own) throws AllocationException {
        for (Subnet other : own) {
            if (other.overlaps(subnet)) {
                throw new AllocationException("subnet " + subnet + " overlaps with " + other);
            }
        }
        for (Map.Entry<String, List<AddressPool>> entry : pools.entrySet()) {
            for (AddressPool pool : entry.getValue()) {
                if (pool.subnet().overlaps(subnet)) {
                    throw new AllocationException(
                            "subnet " + subnet + " overlaps with " + pool.subnet() + " of network " + entry.getKey());
                }
            }
        }
    }

    private Subnet freeSubnet(Cluster cluster, List<Subnet> own) throws AllocationException {
        List<Subnet> taken = new ArrayList<>(own);
        pools.values().forEach(list -> list.forEach(pool -> taken.add(pool.subnet())));
        int prefix = cluster.getSubnetSize() == 0 ? DEFAULT_SUBNET_PREFIX : cluster.getSubnetSize();
        List<String> defaults =
                cluster.getDefaultAddressPoolCount() == 0 ? List.of(DEFAULT_POOL) : cluster.getDefaultAddressPoolList();
        for (String text : defaults) {
            Subnet pool = Subnet.parse(text);
            Subnet candidate = new Subnet(pool.first(), Math.max(prefix, pool.prefix()), pool.bits());
            while (pool.contains(candidate)) {
                BigInteger after = endOfOverlap(candidate, taken);
                if (after == null) {
                    return candidate;
                }
                candidate = blockAtOrAfter(after, candidate);
            }
        }
        throw new AllocationException("all subnets of the default address pools "
                + String.join(", ", defaults)
                + " are in use: give the network a subnet of its own, or remove networks");
    }

    private static @Nullable BigInteger endOfOverlap(Subnet candidate, List<Subnet> taken) {
        for (Subnet other : taken) {
            if (other.overlaps(candidate)) {
                return other.end();
            }
        }
        return null;
    }

    private static Subnet blockAtOrAfter(BigInteger address, Subnet model) {
        int hostBits = model.bits() - model.prefix();
        BigInteger block = address.shiftRight(hostBits).shiftLeft(hostBits);
        if (block.compareTo(address) < 0) {
            block = block.add(BigInteger.ONE.shiftLeft(hostBits));
        }
        return new Subnet(block, model.prefix(), model.bits());
    }

    private List<Long> allocateVnis(Network network, Driver driverConfig, long count) throws AllocationException {
        List<Long> vnis = new ArrayList<>();
        for (long wanted : vnis(driverConfig)) {
            String owner = vniOwners.get(wanted);
            if (owner != null && !owner.equals(network.getId())) {
                throw new AllocationException("VXLAN number " + wanted + " belongs to network " + owner);
            }
            vnis.add(wanted);
        }
        while (vnis.size() < count) {
            vnis.add(freeVni(vnis));
        }
        return vnis;
    }

    private long freeVni(List<Long> own) throws AllocationException {
        for (long tried = VNI_FIRST; tried <= VNI_LAST; tried++) {
            long vni = nextVni > VNI_LAST ? VNI_FIRST : nextVni;
            nextVni = vni + 1;
            if (!vniOwners.containsKey(vni) && !own.contains(vni)) {
                return vni;
            }
        }
        throw new AllocationException("all VXLAN numbers are in use");
    }

    /**
     * Reads the VXLAN numbers that driver options name.
     *
     * @throws IllegalArgumentException if they are no numbers of 24 bits
     */
    static List<Long> vnis(Driver driver) {
        String list = driver.getOptionsOrDefault(VNI_LIST, "");
        List<Long> vnis = new ArrayList<>();
        for (String text : list.isEmpty() ? new String[0] : list.split(",", -1)) {
            long vni = Long.parseLong(text.strip());
            if (vni < 0 || vni > VNI_LAST) {
                throw new IllegalArgumentException("VXLAN number " + vni + " is not in 0 to " + VNI_LAST);
            }
            vnis.add(vni);
        }
        return vnis;
    }

    private static Driver ipamDriver(Driver wanted) {
        return wanted.getName().isEmpty()
                ? wanted.toBuilder().setName(DEFAULT_IPAM_DRIVER).build()
                : wanted;
    }

    private static List<AddressPool> poolsOf(List<IPAMConfig> configs) {
        List<AddressPool> pools = new ArrayList<>();
        for (IPAMConfig config : configs) {
            Subnet subnet = Subnet.parse(config.getSubnet());
            AddressPool pool =
                    new AddressPool(subnet, config.getRange().isEmpty() ? subnet : Subnet.parse(config.getRange()));
            if (!config.getGateway().isEmpty()) {
                pool.reserve(Subnet.parseAddress(config.getGateway()));
            }
            config.getReservedMap().values().forEach(address -> pool.reserve(Subnet.parseAddress(address)));
            pools.add(pool);
        }
        return pools;
    }
}
