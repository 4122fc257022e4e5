package io.skep.network;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * The bridges of one engine, in the network namespace of the host, and the cables from them into containers.
 *
 * <p>Every link that is made carries the engine's mark, so that what a killed engine left is known, and nothing of
 * anybody else is ever touched.
 */
public final class Bridges {
    private static final Path SETTINGS = Path.of("/proc/sys/net");
    private static final byte LOCAL_UNICAST = 2;

    private final NetworkNamespace host;
    private final String mark;
    private final SecureRandom random = new SecureRandom();

    /** @param mark what is written on links; no other engine of the host has the same */
    public Bridges(NetworkNamespace host, String mark) {
        this.host = host;
        this.mark = mark;
    }

    /**
     * A container's end of a cable.
     *
     * @param bridge name of the bridge
     * @param hostLink name of the end at the bridge
     * @param link name of the end in the container
     * @param hardware address of the end in the container
     * @param addresses those of the container
     * @param apart whether it may not reach others at the bridge
     * @param mtu 0 for the usual one
     */
    public record Cable(
            String bridge,
            String hostLink,
            String link,
            String hardware,
            List<Subnet> addresses,
            boolean apart,
            int mtu) {
        public Cable {
            addresses = List.copyOf(addresses);
        }
    }

    /**
     * Makes a bridge that is up and has exactly these addresses, whatever is there of it.
     *
     * @param own whether the engine makes and deletes it, rather than somebody else
     * @throws IOException when a link of that name is not the engine's
     */
    public void make(String name, List<Subnet> addresses, int mtu, boolean own) throws IOException {
        host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                Optional<Netlink.Link> there = netlink.link(name);
                if (there.isEmpty()) {
                    if (!own) {
                        throw new IOException("there is no bridge " + name);
                    }
                    netlink.addBridge(name, hardware(), mtu);
                } else if (!there.get().kind().equals("bridge")
                        || (own && !there.get().alias().equals(mark))) {
                    if (own) {
                        throw new IOException(
                                "there is a link " + name + " already, which Skep did not make; choose another name");
                    }
                    throw new IOException("the link " + name + " is no bridge");
                }
                int index = netlink.require(name).index();
                if (own) {
                    netlink.alias(index, mark);
                    List<Subnet> before = netlink.addresses(index);
                    for (Subnet address : before) {
                        if (!addresses.contains(address) && !address.address().isLinkLocalAddress()) {
                            netlink.deleteAddress(index, address);
                        }
                    }
                    boolean six = addresses.stream().anyMatch(each -> !each.isIpv4());
                    set("ipv6/conf/" + name + "/disable_ipv6", six ? "0" : "1");
                    set("ipv6/conf/" + name + "/accept_ra", "0");
                    for (Subnet address : addresses) {
                        netlink.addAddress(index, address);
                    }
                }
                // Lets the host reach published ports by 127.0.0.1; the firewall keeps containers from the host's own.
                set("ipv4/conf/" + name + "/route_localnet", "1");
                netlink.up(index);
            }
            return true;
        });
    }

    /** Deletes a bridge that the engine made. */
    public void delete(String name) throws IOException {
        host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                Optional<Netlink.Link> there = netlink.link(name);
                if (there.isPresent() && there.get().alias().equals(mark)) {
                    netlink.delete(there.get().index());
                }
            }
            return true;
        });
    }

    /** Deletes every link with the engine's mark that is not among those named. */
    public void deleteOthers(Set<String> kept) throws IOException {
        host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                for (Netlink.Link link : netlink.links()) {
                    if (link.alias().equals(mark) && !kept.contains(link.name())) {
                        netlink.delete(link.index());
                    }
                }
            }
            return true;
        });
    }

    /** Returns the subnets that this host can reach without its default routes, and those of its links. */
    public List<Subnet> subnetsInUse(Set<String> exceptLinks) throws IOException {
        return host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                List<Integer> except = netlink.links().stream()
                        .filter(link -> exceptLinks.contains(link.name()))
                        .map(Netlink.Link::index)
                        .toList();
                return netlink.routes().stream()
                        .filter(route -> route.destination().length() > 0 && !except.contains(route.link()))
                        .map(Netlink.Route::destination)
                        .toList();
            }
        });
    }

    /** Returns the names of all links of the host. */
    public List<String> linkNames() throws IOException {
        return host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                return netlink.links().stream().map(Netlink.Link::name).toList();
            }
        });
    }

    /** Returns the addresses of a bridge that somebody else made. */
    public List<Subnet> addresses(String name) throws IOException {
        return host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                return netlink.addresses(netlink.require(name).index());
            }
        });
    }

    /** Connects a container's namespace with a bridge. When it fails nothing is left. */
    public void plug(NetworkNamespace container, Cable cable) throws IOException {
        Path file = Objects.requireNonNull(container.path());
        host.run(() -> {
            int descriptor = SystemCalls.open(file);
            try (Netlink netlink = Netlink.open()) {
                netlink.addCable(
                        cable.hostLink(),
                        netlink.require(cable.bridge()).index(),
                        cable.mtu(),
                        cable.link(),
                        bytes(cable.hardware()),
                        descriptor);
                int index = netlink.require(cable.hostLink()).index();
                netlink.alias(index, mark);
                // Where the kernel filters in bridges too, a container gets to its own published port over its own
                // link.
                netlink.port(index, true, cable.apart());
                // The end in the host needs no address, nor any of its own making.
                set("ipv6/conf/" + cable.hostLink() + "/disable_ipv6", "1");
            } finally {
                SystemCalls.close(descriptor);
            }
            return true;
        });
        boolean done = false;
        try {
            container.run(() -> {
                try (Netlink netlink = Netlink.open()) {
                    int index = netlink.require(cable.link()).index();
                    boolean six = cable.addresses().stream().anyMatch(each -> !each.isIpv4());
                    set("ipv6/conf/" + cable.link() + "/disable_ipv6", six ? "0" : "1");
                    set("ipv6/conf/" + cable.link() + "/accept_ra", "0");
                    for (Subnet address : cable.addresses()) {
                        netlink.addAddress(index, address);
                    }
                    netlink.up(index);
                }
                return true;
            });
            done = true;
        } finally {
            if (!done) {
                unplug(cable.hostLink());
            }
        }
    }

    /** Takes both ends of a cable away; it is no error when there are none. */
    public void unplug(String hostLink) throws IOException {
        host.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                netlink.delete(hostLink);
            }
            return true;
        });
    }

    /** Sends what a container has no other route for by these gateways, one of each family at most. */
    public static void setGateways(NetworkNamespace container, List<InetAddress> gateways, String link)
            throws IOException {
        container.run(() -> {
            try (Netlink netlink = Netlink.open()) {
                for (Netlink.Route route : netlink.routes()) {
                    InetAddress gateway = route.gateway();
                    if (route.destination().length() == 0 && gateway != null) {
                        netlink.deleteDefaultRoute(gateway, route.link());
                    }
                }
                if (!gateways.isEmpty()) {
                    int index = netlink.require(link).index();
                    for (InetAddress gateway : gateways) {
                        netlink.addDefaultRoute(gateway, index);
                    }
                }
            }
            return true;
        });
    }

    /** Lets the host pass packets on between its links. Returns whether it did not before. */
    public boolean forward(boolean six) throws IOException {
        return host.run(() -> {
            boolean changed = setIfOther("ipv4/ip_forward", "1");
            if (six) {
                changed |= setIfOther("ipv6/conf/all/forwarding", "1");
            }
            return changed;
        });
    }

    private static boolean setIfOther(String name, String value) throws IOException {
        Path file = SETTINGS.resolve(name);
        if (!Files.exists(file) || KernelFiles.read(file).equals(value)) {
            return false;
        }
        Files.writeString(file, value);
        return true;
    }

    /**
     * Changes a setting of the thread's namespace; one that the kernel does not have, such as without IPv6, is none.
     */
    private static void set(String name, String value) throws IOException {
        var _ = setIfOther(name, value);
    }

    private static byte[] bytes(String hardware) {
        return HexFormat.ofDelimiter(":").parseHex(hardware);
    }

    private byte[] hardware() {
        byte[] bytes = new byte[6];
        random.nextBytes(bytes);
        bytes[0] = LOCAL_UNICAST;
        return bytes;
    }
}
