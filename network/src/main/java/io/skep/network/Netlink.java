package io.skep.network;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Links, addresses and routes of the network namespace in which it was opened, through a socket of the kernel's
 * rtnetlink.
 *
 * <p>Threads: any, one request at a time.
 */
public final class Netlink implements AutoCloseable {
    private static final int RECEIVE_BYTES = 1 << 16;
    private static final int NAME_BYTES_MAX = 15;

    private static final int REQUEST = 1;
    private static final int ACKNOWLEDGE = 4;
    private static final int EXCLUSIVE = 0x200;
    private static final int CREATE = 0x400;
    private static final int DUMP = 0x300;
    private static final int ERROR = 2;
    private static final int DONE = 3;

    private static final int NEW_LINK = 16;
    private static final int DELETE_LINK = 17;
    private static final int GET_LINK = 18;
    private static final int SET_LINK = 19;
    private static final int NEW_ADDRESS = 20;
    private static final int DELETE_ADDRESS = 21;
    private static final int GET_ADDRESS = 22;
    private static final int NEW_ROUTE = 24;
    private static final int DELETE_ROUTE = 25;
    private static final int GET_ROUTE = 26;

    private static final int LINK_ADDRESS = 1;
    private static final int LINK_NAME = 3;
    private static final int LINK_MTU = 4;
    private static final int LINK_MASTER = 10;
    private static final int LINK_PROTOCOL_INFO = 12;
    private static final int LINK_INFO = 18;
    private static final int LINK_ALIAS = 20;
    private static final int LINK_NAMESPACE = 28;
    private static final int INFO_KIND = 1;
    private static final int INFO_DATA = 2;
    private static final int VETH_PEER = 1;
    private static final int PORT_BACK = 4;
    private static final int PORT_ISOLATED = 33;
    private static final int IFF_UP = 1;

    private static final int ADDRESS_ADDRESS = 1;
    private static final int ADDRESS_LOCAL = 2;
    private static final int ADDRESS_NO_DUPLICATE_DETECTION = 2;

    private static final int ROUTE_DESTINATION = 1;
    private static final int ROUTE_LINK = 4;
    private static final int ROUTE_GATEWAY = 5;
    private static final int ROUTE_TABLE_MAIN = 254;
    private static final int ROUTE_TABLE_LOCAL = 255;
    private static final int ROUTE_PROTOCOL_BOOT = 3;
    private static final int ROUTE_SCOPE_LINK = 253;
    private static final int ROUTE_UNICAST = 1;

    private static final int AF_BRIDGE = 7;

    /**
     * A link.
     *
     * @param kind such as bridge or veth; empty for a real one
     * @param alias what somebody wrote on it, or empty
     * @param master index of the bridge it is a port of, or 0
     */
    public record Link(
            int index, String name, String kind, String alias, int master, int mtu, boolean up, String hardware) {}

    private final int descriptor;
    private int sequence;
    private boolean closed;

    private Netlink(int descriptor) {
        this.descriptor = descriptor;
    }

    /** Opens a socket in the network namespace of the calling thread. */
    public static Netlink open() throws IOException {
        return new Netlink(SystemCalls.socket(SystemCalls.AF_NETLINK, SystemCalls.SOCK_RAW, 0));
    }

    // ---- links

    public List<Link> links() throws IOException {
        List<Link> links = new ArrayList<>();
        for (ByteBuffer each : dump(new NetlinkMessage(GET_LINK, REQUEST | DUMP).link(0, 0, 0, 0), NEW_LINK)) {
            links.add(link(each));
        }
        return links;
    }

    public Optional<Link> link(String name) throws IOException {
        NetlinkMessage message =
                new NetlinkMessage(GET_LINK, REQUEST).link(0, 0, 0, 0).attribute(LINK_NAME, name);
        try {
            return Optional.of(link(request(message, NEW_LINK).getFirst()));
        } catch (LinuxException e) {
            if (e.number() == LinuxException.ENODEV) {
                return Optional.empty();
            }
            throw e;
        }
    }

    public Link require(String name) throws IOException {
        return link(name).orElseThrow(() -> new LinuxException("link " + name, LinuxException.ENODEV));
    }

    private static Link link(ByteBuffer message) {
        message.position(message.position() + 4);
        int index = message.getInt();
        int flags = message.getInt();
        message.getInt();
        String name = "";
        String kind = "";
        String alias = "";
        String hardware = "";
        int master = 0;
        int mtu = 0;
        for (Attribute attribute : attributes(message)) {
            switch (attribute.type) {
                case LINK_NAME -> name = attribute.text();
                case LINK_ALIAS -> alias = attribute.text();
                case LINK_MASTER -> master = attribute.value.getInt(attribute.value.position());
                case LINK_MTU -> mtu = attribute.value.getInt(attribute.value.position());
                case LINK_ADDRESS -> hardware = HexFormat.ofDelimiter(":").formatHex(attribute.bytes());
                case LINK_INFO -> {
                    for (Attribute inner : attributes(attribute.value)) {
                        if (inner.type == INFO_KIND) {
                            kind = inner.text();
                        }
                    }
                }
                default -> {}
            }
        }
        return new Link(index, name, kind, alias, master, mtu, (flags & IFF_UP) != 0, hardware);
    }

    /** Makes a bridge, which is down. */
    public void addBridge(String name, byte[] hardware, int mtu) throws IOException {
        NetlinkMessage message = new NetlinkMessage(NEW_LINK, REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE)
                .link(0, 0, 0, 0)
                .attribute(LINK_NAME, checked(name))
                .attribute(LINK_ADDRESS, hardware);
        if (mtu > 0) {
            message.attribute(LINK_MTU, mtu);
        }
        int info = message.begin(LINK_INFO);
        message.attribute(INFO_KIND, "bridge").end(info);
        change(message, "make the bridge " + name);
    }

    /**
     * Makes two links that are the ends of one cable: one here, which is up and a port of a bridge, one in another
     * namespace, which is down.
     *
     * @param mtu 0 for the usual one
     */
    void addCable(String name, int bridge, int mtu, String peer, byte[] peerHardware, int peerNamespace)
            throws IOException {
        NetlinkMessage message = new NetlinkMessage(NEW_LINK, REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE)
                .link(0, 0, IFF_UP, IFF_UP)
                .attribute(LINK_NAME, checked(name))
                .attribute(LINK_MASTER, bridge);
        if (mtu > 0) {
            message.attribute(LINK_MTU, mtu);
        }
        int info = message.begin(LINK_INFO);
        message.attribute(INFO_KIND, "veth");
        int data = message.begin(INFO_DATA);
        int inner = message.begin(VETH_PEER);
        message.link(0, 0, 0, 0)
                .attribute(LINK_NAME, checked(peer))
                .attribute(LINK_ADDRESS, peerHardware)
                .attribute(LINK_NAMESPACE, peerNamespace);
        if (mtu > 0) {
            message.attribute(LINK_MTU, mtu);
        }
        message.end(inner).end(data).end(info);
        change(message, "make the link " + name);
    }

    public void up(int index) throws IOException {
        change(
                new NetlinkMessage(NEW_LINK, REQUEST | ACKNOWLEDGE).link(0, index, IFF_UP, IFF_UP),
                "set link " + index + " up");
    }

    /** Writes something on a link, for whoever looks at it later. */
    public void alias(int index, String alias) throws IOException {
        change(
                new NetlinkMessage(NEW_LINK, REQUEST | ACKNOWLEDGE)
                        .link(0, index, 0, 0)
                        .attribute(LINK_ALIAS, alias.getBytes(StandardCharsets.UTF_8)),
                "write on link " + index);
    }

    /**
     * Sets how a bridge treats one of its ports.
     *
     * @param back whether what came from the port may go back to it
     * @param apart whether it reaches no other port that is set apart too
     */
    void port(int index, boolean back, boolean apart) throws IOException {
        NetlinkMessage message = new NetlinkMessage(SET_LINK, REQUEST | ACKNOWLEDGE).link(AF_BRIDGE, index, 0, 0);
        int info = message.begin(LINK_PROTOCOL_INFO);
        message.attribute(PORT_BACK, new byte[] {(byte) (back ? 1 : 0)})
                .attribute(PORT_ISOLATED, new byte[] {(byte) (apart ? 1 : 0)})
                .end(info);
        change(message, "set up link " + index + " as port of a bridge");
    }

    /** Deletes a link and, of a cable, its other end; it is no error when there is none. */
    public void delete(int index) throws IOException {
        try {
            change(new NetlinkMessage(DELETE_LINK, REQUEST | ACKNOWLEDGE).link(0, index, 0, 0), "delete link " + index);
        } catch (LinuxException e) {
            if (e.number() != LinuxException.ENODEV) {
                throw e;
            }
        }
    }

    /** Deletes a link that may be gone already. */
    public void delete(String name) throws IOException {
        Optional<Link> link = link(name);
        if (link.isPresent()) {
            delete(link.get().index());
        }
    }

    private static String checked(String name) throws LinuxException {
        if (name.isEmpty() || name.getBytes(StandardCharsets.UTF_8).length > NAME_BYTES_MAX) {
            throw new LinuxException(
                    "a link cannot be called \"" + name + "\" (at most " + NAME_BYTES_MAX + " bytes)",
                    LinuxException.EINVAL);
        }
        return name;
    }

    // ---- addresses

    /** Adds an address with its prefix to a link; one that is there is left. */
    public void addAddress(int index, Subnet address) throws IOException {
        byte[] bytes = address.address().getAddress();
        NetlinkMessage message = new NetlinkMessage(NEW_ADDRESS, REQUEST | ACKNOWLEDGE | CREATE)
                .bytes(family(bytes), address.length(), bytes.length == 16 ? ADDRESS_NO_DUPLICATE_DETECTION : 0, 0)
                .number(index)
                .attribute(ADDRESS_LOCAL, bytes)
                .attribute(ADDRESS_ADDRESS, bytes);
        try {
            change(message, "give link " + index + " the address " + address);
        } catch (LinuxException e) {
            if (e.number() != LinuxException.EEXIST) {
                throw e;
            }
        }
    }

    public void deleteAddress(int index, Subnet address) throws IOException {
        byte[] bytes = address.address().getAddress();
        NetlinkMessage message = new NetlinkMessage(DELETE_ADDRESS, REQUEST | ACKNOWLEDGE)
                .bytes(family(bytes), address.length(), 0, 0)
                .number(index)
                .attribute(ADDRESS_LOCAL, bytes);
        change(message, "take the address " + address + " from link " + index);
    }

    /** Returns the addresses of a link, each with its prefix. */
    public List<Subnet> addresses(int index) throws IOException {
        List<Subnet> addresses = new ArrayList<>();
        NetlinkMessage message = new NetlinkMessage(GET_ADDRESS, REQUEST | DUMP)
                .bytes(0, 0, 0, 0)
                .number(0);
        for (ByteBuffer each : dump(message, NEW_ADDRESS)) {
            each.get();
            int length = each.get() & 0xff;
            each.getShort();
            if (each.getInt() != index) {
                continue;
            }
            byte[] found = null;
            for (Attribute attribute : attributes(each)) {
                if (attribute.type == ADDRESS_LOCAL || (attribute.type == ADDRESS_ADDRESS && found == null)) {
                    found = attribute.bytes();
                }
            }
            if (found != null) {
                addresses.add(new Subnet(address(found), length));
            }
        }
        return addresses;
    }

    // ---- routes

    /** A route of the main table, to what is behind it. */
    public record Route(
            Subnet destination, int link, @Nullable InetAddress gateway) {}

    public List<Route> routes() throws IOException {
        List<Route> routes = new ArrayList<>();
        NetlinkMessage message = new NetlinkMessage(GET_ROUTE, REQUEST | DUMP)
                .bytes(0, 0, 0, 0, 0, 0, 0, 0)
                .number(0);
        for (ByteBuffer each : dump(message, NEW_ROUTE)) {
            int family = each.get();
            int length = each.get() & 0xff;
            each.getShort();
            int table = each.get() & 0xff;
            each.position(each.position() + 7);
            byte[] destination = new byte[family == SystemCalls.AF_INET ? 4 : 16];
            InetAddress gateway = null;
            int link = 0;
            for (Attribute attribute : attributes(each)) {
                switch (attribute.type) {
                    case ROUTE_DESTINATION -> destination = attribute.bytes();
                    case ROUTE_LINK -> link = attribute.value.getInt(attribute.value.position());
                    case ROUTE_GATEWAY -> gateway = address(attribute.bytes());
                    default -> {}
                }
            }
            if (table != ROUTE_TABLE_LOCAL && (family == SystemCalls.AF_INET || family == SystemCalls.AF_INET6)) {
                routes.add(new Route(new Subnet(address(destination), length), link, gateway));
            }
        }
        return routes;
    }

    /** Adds the default route of a family. */
    void addDefaultRoute(InetAddress gateway, int link) throws IOException {
        change(defaultRoute(NEW_ROUTE, CREATE | EXCLUSIVE, gateway, link), "add the default route by " + gateway);
    }

    /** Deletes the default route that goes by a gateway; it is no error when there is none. */
    void deleteDefaultRoute(InetAddress gateway, int link) throws IOException {
        try {
            change(defaultRoute(DELETE_ROUTE, 0, gateway, link), "delete the default route by " + gateway);
        } catch (LinuxException e) {
            if (e.number() != LinuxException.ESRCH) {
                throw e;
            }
        }
    }

    private static NetlinkMessage defaultRoute(int type, int flags, InetAddress gateway, int link) {
        byte[] bytes = gateway.getAddress();
        return new NetlinkMessage(type, REQUEST | ACKNOWLEDGE | flags)
                .bytes(family(bytes), 0, 0, 0, ROUTE_TABLE_MAIN, ROUTE_PROTOCOL_BOOT, 0, ROUTE_UNICAST)
                .number(0)
                .attribute(ROUTE_GATEWAY, bytes)
                .attribute(ROUTE_LINK, link);
    }

    /** Adds a route to what is on the link itself. */
    void addLinkRoute(Subnet destination, int link) throws IOException {
        byte[] bytes = destination.address().getAddress();
        change(
                new NetlinkMessage(NEW_ROUTE, REQUEST | ACKNOWLEDGE | CREATE)
                        .bytes(
                                family(bytes),
                                destination.length(),
                                0,
                                0,
                                ROUTE_TABLE_MAIN,
                                ROUTE_PROTOCOL_BOOT,
                                bytes.length == 4 ? ROUTE_SCOPE_LINK : 0,
                                ROUTE_UNICAST)
                        .number(0)
                        .attribute(ROUTE_DESTINATION, bytes)
                        .attribute(ROUTE_LINK, link),
                "add the route to " + destination);
    }

    // ---- exchange

    private record Attribute(int type, ByteBuffer value) {
        byte[] bytes() {
            byte[] bytes = new byte[value.remaining()];
            value.duplicate().get(bytes);
            return bytes;
        }

        String text() {
            byte[] bytes = bytes();
            int length = bytes.length;
            while (length > 0 && bytes[length - 1] == 0) {
                length--;
            }
            return new String(bytes, 0, length, StandardCharsets.UTF_8);
        }
    }

    private static List<Attribute> attributes(ByteBuffer message) {
        List<Attribute> attributes = new ArrayList<>();
        ByteBuffer rest = message.duplicate().order(ByteOrder.nativeOrder());
        while (rest.remaining() >= 4) {
            int start = rest.position();
            int length = rest.getShort() & 0xffff;
            int type = rest.getShort() & 0x3fff;
            if (length < 4 || start + length > rest.limit()) {
                break;
            }
            ByteBuffer value = rest.duplicate().order(ByteOrder.nativeOrder()).limit(start + length);
            attributes.add(new Attribute(type, value));
            rest.position(Math.min(rest.limit(), (start + length + 3) & ~3));
        }
        return attributes;
    }

    private void change(NetlinkMessage message, String what) throws IOException {
        try {
            var _ = request(message, -1);
        } catch (LinuxException e) {
            throw new LinuxException("the kernel does not " + what, e.number());
        }
    }

    private List<ByteBuffer> dump(NetlinkMessage message, int type) throws IOException {
        return request(message, type);
    }

    /** Sends a request and returns the answers of a type, until the kernel says that there are no more. */
    private synchronized List<ByteBuffer> request(NetlinkMessage message, int type) throws IOException {
        if (closed) {
            throw new IllegalStateException("the socket is closed");
        }
        int current = ++sequence;
        SystemCalls.send(descriptor, message.finish(current));
        List<ByteBuffer> answers = new ArrayList<>();
        while (true) {
            ByteBuffer received = ByteBuffer.wrap(SystemCalls.receive(descriptor, RECEIVE_BYTES))
                    .order(ByteOrder.nativeOrder());
            boolean many = false;
            while (received.remaining() >= 16) {
                int start = received.position();
                int length = received.getInt();
                int got = received.getShort() & 0xffff;
                int flags = received.getShort();
                int answered = received.getInt();
                received.getInt();
                ByteBuffer body =
                        received.duplicate().order(ByteOrder.nativeOrder()).limit(start + length);
                received.position(Math.min(received.limit(), (start + length + 3) & ~3));
                if (answered != current) {
                    continue;
                }
                if (got == DONE) {
                    return answers;
                }
                if (got == ERROR) {
                    int number = -body.getInt();
                    if (number != 0) {
                        throw new LinuxException("rtnetlink", number);
                    }
                    return answers;
                }
                if (got == type) {
                    answers.add(body);
                }
                many |= (flags & 2) != 0;
            }
            if (!many && !answers.isEmpty()) {
                return answers;
            }
        }
    }

    private static int family(byte[] address) {
        return address.length == 4 ? SystemCalls.AF_INET : SystemCalls.AF_INET6;
    }

    private static InetAddress address(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (!closed) {
            closed = true;
            SystemCalls.close(descriptor);
        }
    }
}
