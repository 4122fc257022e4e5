package io.skep.network;

import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The packet filter of one engine: a table of its own in nftables, which each change replaces as a whole, in one step
 * of the kernel. So there is never a moment without rules, and it does not matter what a killed engine left.
 *
 * <ul>
 *   <li>{@code prerouting} and {@code output} send what comes for a published port of the host to its container.
 *   <li>{@code postrouting} gives packets that leave a bridge the host's address, also those that go back to where they
 *       came from by a published port.
 *   <li>{@code forward} lets into a bridge only what answers or was published, and nothing in or out of an internal
 *       one.
 *   <li>{@code redirects} keeps the host from telling containers to talk to each other without it.
 *   <li>{@code guard} keeps containers from the host's 127.0.0.1, which is routed to bridges for published ports.
 * </ul>
 *
 * <p>A verdict of this table is none for others: what a firewall of the host drops stays dropped. Where the host
 * filters with iptables, as Docker does, bridges get a chain of their own there that lets them through.
 *
 * <p>Threads: any. Changes that arrive while one is made are made together by the next.
 */
public final class Firewall {
    private static final Logger LOG = LoggerFactory.getLogger(Firewall.class);
    private static final Pattern NAME = Pattern.compile("[a-zA-Z0-9_.:@+-]{1,15}");

    /**
     * A bridge.
     *
     * @param internal whether nothing gets in or out
     * @param masquerade whether what leaves it has the host's address
     */
    public record Bridge(String name, List<Subnet> subnets, boolean internal, boolean masquerade) {
        public Bridge {
            subnets = List.copyOf(subnets);
            if (!NAME.matcher(name).matches()) {
                throw new IllegalArgumentException("no bridge can be called \"" + name + "\"");
            }
        }
    }

    /**
     * A port of the host that is one of a container.
     *
     * @param protocol tcp, udp or sctp
     * @param address of the host; the unspecified one for all of its family
     */
    public record Published(String protocol, InetAddress address, int port, InetAddress target, int targetPort) {}

    /** All there is to filter. */
    public record Rules(List<Bridge> bridges, List<Published> published) {
        public Rules {
            bridges = List.copyOf(bridges);
            published = List.copyOf(published);
        }
    }

    private final NetworkNamespace host;
    private final String table;
    private final Supplier<Rules> rules;
    private final ReentrantLock lock = new ReentrantLock();
    private final AtomicLong asked = new AtomicLong();
    private long done;
    private List<Bridge> letThrough = List.of();

    /**
     * @param table its name, which no other engine of the host has
     * @param rules returns what is wanted at the moment
     */
    public Firewall(NetworkNamespace host, String table, Supplier<Rules> rules) {
        this.host = host;
        this.table = table;
        this.rules = rules;
    }

    /** Makes the rules what is wanted by now. */
    public void apply() throws IOException {
        long ticket = asked.incrementAndGet();
        lock.lock();
        try {
            if (done >= ticket) {
                return;
            }
            long newest = asked.get();
            Rules wanted = rules.get();
            var _ = run(text(table, wanted), "nft", "-f", "-");
            if (!wanted.bridges().equals(letThrough)) {
                passIptables("iptables", wanted.bridges());
                passIptables("ip6tables", wanted.bridges());
                letThrough = wanted.bridges();
            }
            done = newest;
        } finally {
            lock.unlock();
        }
    }

    /** Takes all rules away. */
    public void remove() throws IOException {
        lock.lock();
        try {
            var _ = run("table inet " + table + "\ndelete table inet " + table + "\n", "nft", "-f", "-");
            passIptables("iptables", List.of());
            passIptables("ip6tables", List.of());
            letThrough = List.of();
        } finally {
            lock.unlock();
        }
    }

    static String text(String table, Rules rules) {
        StringBuilder text = new StringBuilder(1024);
        // Declared first, so that it can be deleted even if it is not there.
        text.append("table inet ").append(table).append("\ndelete table inet ").append(table);
        text.append("\ntable inet ").append(table).append(" {\n");
        text.append(" chain guard {\n  type filter hook prerouting priority raw; policy accept;\n");
        for (Bridge bridge : rules.bridges()) {
            line(text, "iifname \"", bridge.name(), "\" ip daddr 127.0.0.0/8 drop");
        }
        text.append(" }\n chain published {\n");
        for (Published each : rules.published()) {
            boolean four = each.target().getAddress().length == 4;
            line(
                    text,
                    each.address().isAnyLocalAddress()
                            ? "meta nfproto " + (four ? "ipv4" : "ipv6")
                            : (four ? "ip daddr " : "ip6 daddr ") + Subnet.text(each.address()),
                    " ",
                    each.protocol(),
                    " dport ",
                    Integer.toString(each.port()),
                    four
                            ? " dnat ip to " + Subnet.text(each.target())
                            : " dnat ip6 to [" + Subnet.text(each.target()) + "]",
                    ":",
                    Integer.toString(each.targetPort()));
        }
        text.append(" }\n chain prerouting {\n  type nat hook prerouting priority dstnat; policy accept;\n");
        line(text, "fib daddr type local jump published");
        text.append(" }\n chain output {\n  type nat hook output priority -100; policy accept;\n");
        // Of IPv6 the loopback cannot be routed to a bridge: a proxy of the engine answers there.
        line(text, "ip6 daddr ::1 return");
        line(text, "fib daddr type local jump published");
        text.append(" }\n chain postrouting {\n  type nat hook postrouting priority srcnat; policy accept;\n");
        for (Bridge bridge : rules.bridges()) {
            for (Subnet subnet : bridge.subnets()) {
                String source = (subnet.isIpv4() ? "ip" : "ip6") + " saddr " + subnet.network();
                if (bridge.masquerade() && !bridge.internal()) {
                    line(text, source, " oifname != \"", bridge.name(), "\" masquerade");
                }
                line(text, "oifname \"", bridge.name(), "\" ", source, " ct status dnat masquerade");
                if (subnet.isIpv4()) {
                    line(text, "oifname \"", bridge.name(), "\" ip saddr 127.0.0.0/8 masquerade");
                }
            }
        }
        // A shorter way to a published port is none: there, nobody would translate back.
        text.append(" }\n chain redirects {\n  type filter hook output priority filter; policy accept;\n");
        for (Bridge bridge : rules.bridges()) {
            line(text, "oifname \"", bridge.name(), "\" icmp type redirect drop");
            line(text, "oifname \"", bridge.name(), "\" icmpv6 type nd-redirect drop");
        }
        text.append(" }\n chain forward {\n  type filter hook forward priority filter; policy accept;\n");
        for (Bridge bridge : rules.bridges()) {
            String in = "oifname \"" + bridge.name() + "\" iifname != \"" + bridge.name() + "\"";
            if (bridge.internal()) {
                line(text, in, " drop");
                line(text, "iifname \"", bridge.name(), "\" oifname != \"", bridge.name(), "\" drop");
            } else {
                line(text, in, " ct state established,related accept");
                line(text, in, " ct status dnat accept");
                line(text, in, " drop");
            }
        }
        return text.append(" }\n}\n").toString();
    }

    private static void line(StringBuilder text, String... parts) {
        text.append("  ");
        for (String part : parts) {
            text.append(part);
        }
        text.append('\n');
    }

    // ---- beside iptables

    private String chain() {
        return table.toUpperCase(Locale.ROOT).replace('_', '-');
    }

    /** Lets bridges through what filters with iptables; a host that does not is left as it is. */
    private void passIptables(String program, List<Bridge> bridges) {
        try {
            String now = run("", program, "-w", "-S");
            boolean filters = now.lines()
                    .anyMatch(line -> line.equals("-P FORWARD DROP")
                            || (line.startsWith("-A FORWARD ") && !line.contains(chain())));
            boolean there = now.lines().anyMatch(line -> line.equals("-N " + chain()));
            if (!there && (!filters || bridges.isEmpty())) {
                return;
            }
            List<String> batch = new ArrayList<>();
            batch.add("*filter");
            batch.add(":" + chain() + " - [0:0]");
            if (there) {
                batch.add("-D FORWARD -j " + chain());
            }
            if (filters && !bridges.isEmpty()) {
                for (Bridge bridge : bridges) {
                    batch.add("-A " + chain() + " -i " + bridge.name() + " -j ACCEPT");
                    batch.add("-A " + chain() + " -o " + bridge.name() + " -j ACCEPT");
                }
                batch.add("-I FORWARD -j " + chain());
            } else {
                batch.add("-X " + chain());
            }
            batch.add("COMMIT");
            var _ = run(String.join("\n", batch) + "\n", program + "-restore", "-w", "--noflush");
        } catch (IOException e) {
            LOG.debug("{} is not used: {}", program, e.getMessage());
        }
    }

    private String run(String input, String... command) throws IOException {
        return Programs.run(host, input, command);
    }
}
