package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.CreateNetwork;
import io.skep.engine.record.EndpointIpamConfig;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.NetworkIpam;
import io.skep.engine.record.NetworkIpamConfig;
import io.skep.engine.record.NetworkRecord;
import io.skep.engine.record.NetworkingConfig;
import io.skep.engine.record.PortBinding;
import io.skep.engine.record.PortBindings;
import io.skep.network.NetworkNamespace;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/**
 * Real containers in the networks of a host that is a network namespace of the test. Another namespace is the world
 * around it: it reaches the host at 192.0.2.1 and knows no way to containers.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(180)
final class LocalNetworkingTest {
    private static final String HOST_ADDRESS = "192.0.2.1";
    private static final String OUTSIDE_ADDRESS = "192.0.2.100";

    private TestEngine engine;
    private Path namespaces;
    private NetworkNamespace host;
    private NetworkNamespace outside;

    @SuppressWarnings("NullAway.Init") // made with each life of the engine
    private Networks networks;

    @SuppressWarnings("NullAway.Init")
    private LocalNetworking networking;

    private String before;

    @BeforeAll
    void start() throws Exception {
        namespaces = Files.createTempDirectory(Path.of("/var/tmp"), "skep-network-test");
        host = NetworkNamespace.create(namespaces.resolve("host"));
        outside = NetworkNamespace.create(namespaces.resolve("outside"));
        in(host, "ip", "link", "add", "uplink", "type", "veth", "peer", "name", "toward");
        Process process = new ProcessBuilder(
                        "nsenter",
                        "--net=" + namespaces.resolve("host"),
                        "ip",
                        "link",
                        "set",
                        "toward",
                        "netns",
                        namespaces.resolve("outside").toString())
                .inheritIO()
                .start();
        assertThat(process.waitFor()).isZero();
        in(host, "ip", "address", "add", HOST_ADDRESS + "/24", "dev", "uplink");
        in(host, "ip", "address", "add", "2001:db8::1/64", "dev", "uplink", "nodad");
        in(host, "ip", "link", "set", "uplink", "up");
        in(outside, "ip", "address", "add", OUTSIDE_ADDRESS + "/24", "dev", "toward");
        in(outside, "ip", "address", "add", "2001:db8::100/64", "dev", "toward", "nodad");
        in(outside, "ip", "link", "set", "toward", "up");
        engine = new TestEngine(Config.newBuilder().addCmd("sh").build(), (folder, executor, events) -> {
            Path root = engineRoot();
            networks = new Networks(
                    root.resolve("networks"),
                    root.resolve("run"),
                    host,
                    NetworkSettings.USUAL,
                    InstantSource.system(),
                    events);
            networking = new LocalNetworking(
                    networks, root.resolve("run/netns"), new NetworkFiles(folder, NetworkSettings.USUAL), executor);
            return networking;
        });
    }

    private Path engineRoot() {
        return namespaces.resolve("engine");
    }

    @AfterAll
    void stop() throws Exception {
        engine.close();
        NetworkNamespace.delete(namespaces.resolve("host"));
        NetworkNamespace.delete(namespaces.resolve("outside"));
        AtomicFiles.deleteTree(namespaces);
    }

    @BeforeEach
    void look() throws Exception {
        before = traces();
    }

    /** After each test the host is as it was before it. */
    @AfterEach
    void leaveNothing() throws Exception {
        engine.clear();
        networks.prune(_ -> true);
        networks.close();
        assertThat(traces()).isEqualTo(before);
    }

    private String traces() throws Exception {
        StringBuilder traces = new StringBuilder();
        traces.append(in(host, "ip", "-o", "link").replaceAll(" state \\S+| qlen \\d+", ""));
        traces.append(in(host, "ip", "-o", "address").replaceAll("(?m)( tentative)? *\\\\ *valid_lft.*$", ""));
        traces.append(in(host, "ip", "route"));
        traces.append(in(host, "nft", "list", "ruleset"));
        if (Files.exists(engineRoot().resolve("run"))) {
            try (var files = Files.walk(engineRoot().resolve("run"))) {
                traces.append(files.filter(each -> !Files.isDirectory(each))
                        .map(Path::toString)
                        .collect(Collectors.joining("\n")));
            }
        }
        return traces.toString();
    }

    // ---- tools

    private static String in(NetworkNamespace namespace, String... command) throws IOException {
        Process process = namespace.run(
                () -> new ProcessBuilder(command).redirectErrorStream(true).start());
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    private static NetworkNamespace of(Container container) {
        return NetworkNamespace.at(Path.of(container.record().getSandboxKey()));
    }

    /** Returns what a server says there; waits long, as it is to be heard. */
    private static String talk(NetworkNamespace from, String address, int port) throws IOException {
        return talk(from, address, port, 15);
    }

    /** Returns what is heard where nothing should be. */
    private static String overhear(NetworkNamespace from, String address, int port) throws IOException {
        return talk(from, address, port, 1);
    }

    private static String talk(NetworkNamespace from, String address, int port, int seconds) throws IOException {
        String command = "busybox nc -w " + seconds + " " + address + " " + port;
        return in(from, "sh", "-c", "timeout " + (seconds + 1) + " " + command + " </dev/null 2>/dev/null")
                .strip();
    }

    private static String address(Container container, String network) {
        return container.record().getEndpointsOrThrow(network).getIpAddress();
    }

    private Container made(String name, CreateContainer asked) {
        return engine.containers().create(name, asked, "");
    }

    private Container sleeper(String name, HostConfig host) throws Exception {
        Container container = made(name, TestEngine.asked(host, "sleep", "100000"));
        container.start();
        return container;
    }

    private static HostConfig mode(String mode) {
        return HostConfig.newBuilder().setNetworkMode(mode).build();
    }

    /** Makes a container that says its name to whoever connects to port 80. */
    private Container server(String name, HostConfig host) throws Exception {
        Container container = made(
                name,
                TestEngine.asked(
                        host,
                        "sh",
                        "-c",
                        "echo 'echo " + name + "' > /tmp/say; chmod 755 /tmp/say; "
                                + "busybox nc -ll -p 80 -e sh /tmp/say & while ! grep -q ':0050 ' /proc/net/tcp6"
                                + " /proc/net/tcp; do sleep 0.01; done; echo up; wait"));
        container.start();
        TestEngine.awaitLine(container, "up");
        return container;
    }

    private static HostConfig publishing(String mode, String port, String... hostPorts) {
        PortBindings.Builder bindings = PortBindings.newBuilder();
        for (String each : hostPorts) {
            int colon = each.lastIndexOf(':');
            bindings.addBindings(PortBinding.newBuilder()
                    .setHostIp(colon < 0 ? "" : each.substring(0, colon))
                    .setHostPort(each.substring(colon + 1)));
        }
        return HostConfig.newBuilder()
                .setNetworkMode(mode)
                .putPortBindings(port, bindings.build())
                .build();
    }

    private static CreateNetwork.Builder network(String name) {
        return CreateNetwork.newBuilder().setName(name);
    }

    private static void assertRefused(EngineException.Kind kind, String text, Runnable what) {
        assertThatThrownBy(what::run)
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(kind))
                .hasMessageContaining(text);
    }

    // ---- host, none, container, the default bridge

    @Test
    void theDefaultBridgeGivesAddressesNamesAndAWayOut() throws Exception {
        Container one = sleeper(
                "one",
                HostConfig.newBuilder()
                        .addExtraHosts("elsewhere:192.0.2.7")
                        .addExtraHosts("up:host-gateway")
                        .addDns("192.0.2.53")
                        .build());
        Container two = sleeper("two", HostConfig.getDefaultInstance());
        assertThat(address(one, "bridge")).isEqualTo("172.24.0.2");
        assertThat(address(two, "bridge")).isEqualTo("172.24.0.3");
        EndpointSettings place = one.record().getEndpointsOrThrow("bridge");
        assertThat(place.getGateway()).isEqualTo("172.24.0.1");
        assertThat(place.getMacAddress()).isEqualTo("02:42:ac:18:00:02");
        assertThat(in(of(one), "ip", "-o", "link", "show", "eth0")).contains("02:42:ac:18:00:02");

        assertThat(in(of(one), "busybox", "ping", "-c1", "-W3", "172.24.0.3")).contains("1 packets received");
        assertThat(in(of(one), "busybox", "ping", "-c1", "-W3", OUTSIDE_ADDRESS))
                .contains("1 packets received");
        // Nobody outside gets in unasked, even if it knows the way.
        in(outside, "ip", "route", "add", "172.24.0.0/16", "via", HOST_ADDRESS);
        assertThat(in(outside, "busybox", "ping", "-c1", "-W1", "172.24.0.2")).contains("0 packets received");
        in(outside, "ip", "route", "del", "172.24.0.0/16");

        Path folder = engine.fixture.folder.resolve("containers").resolve(one.id());
        String shortId = one.id().substring(0, 12);
        assertThat(folder.resolve("hosts"))
                .content()
                .startsWith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
                .endsWith("192.0.2.7\telsewhere\n172.24.0.1\tup\n172.24.0.2\t" + shortId + "\n");
        assertThat(folder.resolve("hostname")).hasContent(shortId);
        assertThat(folder.resolve("resolv.conf")).content().startsWith("nameserver 192.0.2.53\n");
        assertThat(networks.inspect("bridge").getContainersOrThrow(one.id()).getIpv4Address())
                .isEqualTo("172.24.0.2/16");

        one.stop("KILL", null);
        assertThat(one.record().getEndpointsOrThrow("bridge").getIpAddress()).isEmpty();
        assertThat(one.record().getSandboxKey()).isEmpty();
        one.start();
        assertThat(address(one, "bridge")).isEqualTo("172.24.0.2");
    }

    @Test
    void containersSeeTheFilesAndAContainerSharesThePlaceOfAnother() throws Exception {
        assertThat(engine.run(TestEngine.asked(
                        "sh", "-c", "cat /etc/hosts | grep 172.24; cat /etc/hostname; echo $HOSTNAME")))
                .hasSize(3)
                .first()
                .asString()
                .startsWith("172.24.0.2");
        Container one = sleeper("one", HostConfig.getDefaultInstance());
        assertThat(engine.run(TestEngine.asked(
                        mode("container:one"),
                        "sh",
                        "-c",
                        "busybox ip -o -4 address show eth0; grep -c 172.24.0.2 /etc/hosts")))
                .hasSize(2)
                .anySatisfy(line -> assertThat(line).contains("172.24.0.2/16"))
                .contains("1");
        assertThat(engine.run(TestEngine.asked(mode("none"), "sh", "-c", "busybox ip -o link | busybox wc -l")))
                .containsExactly("1");
        Container late = made("late", TestEngine.asked(mode("container:missing"), "true"));
        assertRefused(
                EngineException.Kind.CONFLICT, "cannot join network of a non running container: missing", late::start);
        assertRefused(
                EngineException.Kind.NOT_FOUND,
                "network nowhere not found",
                () -> made("", TestEngine.asked(mode("nowhere"), "true")));
        Container ofHost = sleeper("ofhost", mode("host"));
        assertThat(networks.inspect("host").getContainersMap()).containsKey(ofHost.id());
        assertThat(one.record().getSandboxKey()).isNotEmpty();
    }

    // ---- published ports

    @Test
    void aPublishedPortIsReachedFromEverywhere() throws Exception {
        Container web = server("web", publishing("bridge", "80/tcp", "8080"));
        Container other = sleeper("other", HostConfig.getDefaultInstance());
        networks.create(network("apart").build());
        Container apart = sleeper("apart", mode("apart"));
        assertThat(talk(outside, HOST_ADDRESS, 8080)).isEqualTo("web");
        assertThat(talk(host, HOST_ADDRESS, 8080)).isEqualTo("web");
        assertThat(talk(host, "127.0.0.1", 8080)).isEqualTo("web");
        assertThat(talk(host, "172.24.0.1", 8080)).isEqualTo("web");
        assertThat(talk(of(other), HOST_ADDRESS, 8080)).isEqualTo("web");
        assertThat(talk(of(other), "172.24.0.1", 8080)).isEqualTo("web");
        assertThat(talk(of(apart), HOST_ADDRESS, 8080)).isEqualTo("web");
        // Through the host to itself.
        assertThat(talk(of(web), HOST_ADDRESS, 8080)).isEqualTo("web");
        // Its own port is no business of other networks, nor of those outside.
        assertThat(overhear(of(apart), address(web, "bridge"), 80)).isEmpty();
        assertThat(talk(of(other), address(web, "bridge"), 80)).isEqualTo("web");
        assertThat(web.record().getPortsOrThrow("80/tcp").getBindingsList())
                .containsExactly(PortBinding.newBuilder()
                        .setHostIp("0.0.0.0")
                        .setHostPort("8080")
                        .build());
        web.stop("KILL", null);
        assertThat(overhear(outside, HOST_ADDRESS, 8080)).isEmpty();
        assertThat(web.record().getPortsMap()).isEmpty();
    }

    @Test
    void aContainerDoesNotReachWhatListensAtTheHostsOwnLoopback() throws Exception {
        Container one = sleeper("one", HostConfig.getDefaultInstance());
        ServerSocketChannel local = host.run(() -> ServerSocketChannel.open(StandardProtocolFamily.INET)
                .bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 7777)));
        try (local) {
            Thread.startVirtualThread(() -> greet(local));
            assertThat(talk(host, "127.0.0.1", 7777)).isEqualTo("no");
            in(of(one), "ip", "route", "add", "127.0.0.0/8", "via", "172.24.0.1");
            in(of(one), "ip", "address", "del", "127.0.0.1/8", "dev", "lo");
            in(
                    of(one),
                    "sh",
                    "-c",
                    "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip route del local 127.0.0.0/8 table local");
            assertThat(overhear(of(one), "127.0.0.1", 7777)).isEmpty();
        }
    }

    private static void greet(ServerSocketChannel server) {
        try {
            while (true) {
                try (SocketChannel client = server.accept()) {
                    client.write(ByteBuffer.wrap("no".getBytes(StandardCharsets.UTF_8)));
                }
            }
        } catch (IOException e) {
            // The test is over.
        }
    }

    @Test
    void portsInUseAreNotTaken() throws Exception {
        Container first = sleeper("first", publishing("bridge", "80/tcp", "8080"));
        Container second = made("second", TestEngine.asked(publishing("bridge", "80/tcp", "8080"), "sleep", "100"));
        assertRefused(
                EngineException.Kind.INTERNAL,
                "Bind for 0.0.0.0:8080 failed: port is already allocated",
                second::start);
        assertThat(second.record().getState().getError()).contains("on endpoint second (");
        Container at =
                made("at", TestEngine.asked(publishing("bridge", "80/tcp", HOST_ADDRESS + ":8080"), "sleep", "100"));
        assertRefused(
                EngineException.Kind.INTERNAL,
                "Bind for " + HOST_ADDRESS + ":8080 failed: port is already allocated",
                at::start);
        first.stop("KILL", null);
        second.start();

        Process program = host.run(() -> new ProcessBuilder("busybox", "nc", "-l", "-p", "9090").start());
        try {
            while (!in(host, "cat", "/proc/net/tcp", "/proc/net/tcp6").contains(":2382 ")) {
                Thread.onSpinWait();
            }
            Container third = made("third", TestEngine.asked(publishing("bridge", "80/tcp", "9090"), "sleep", "100"));
            assertRefused(
                    EngineException.Kind.INTERNAL,
                    "failed to bind host port 0.0.0.0:9090/tcp: address already in use",
                    third::start);
            Container range = sleeper("range", publishing("bridge", "80/tcp", "9090-9095"));
            assertThat(range.record().getPortsOrThrow("80/tcp").getBindings(0).getHostPort())
                    .isEqualTo("9091");
        } finally {
            program.destroyForcibly().waitFor();
        }
        Container any = sleeper("any", publishing("bridge", "53/udp", ""));
        assertThat(Integer.parseInt(
                        any.record().getPortsOrThrow("53/udp").getBindings(0).getHostPort()))
                .isGreaterThan(1024);
        assertRefused(
                EngineException.Kind.INVALID,
                "invalid port specification: \"99999\"",
                () -> made("", TestEngine.asked(publishing("bridge", "80/tcp", "99999"), "true")));
    }

    // ---- networks that users make

    @Test
    void containersInANetworkKnowEachOtherByName() throws Exception {
        networks.create(network("hive")
                .setIpam(NetworkIpam.newBuilder()
                        .addConfig(NetworkIpamConfig.newBuilder()
                                .setSubnet("10.77.0.0/24")
                                .setIpRange("10.77.0.128/25")
                                .setGateway("10.77.0.254")
                                .putAuxiliaryAddresses("printer", "10.77.0.129")))
                .putOptions("com.docker.network.bridge.name", "br-hive")
                .build());
        Container queen = made(
                "queen",
                TestEngine.asked(mode("hive"), "sleep", "100000").toBuilder()
                        .setNetworkingConfig(NetworkingConfig.newBuilder()
                                .putEndpointsConfig(
                                        "hive",
                                        EndpointSettings.newBuilder()
                                                .addAliases("mother")
                                                .setIpamConfig(EndpointIpamConfig.newBuilder()
                                                        .setIpv4Address("10.77.0.9"))
                                                .build()))
                        .build());
        queen.start();
        Container bee = sleeper("bee", mode("hive"));
        assertThat(address(queen, "hive")).isEqualTo("10.77.0.9");
        assertThat(address(bee, "hive")).isEqualTo("10.77.0.128");
        assertThat(in(host, "ip", "-o", "-4", "address", "show", "br-hive")).contains("10.77.0.254/24");
        for (String name : List.of("queen", "MOTHER", "queen.hive", queen.id().substring(0, 12))) {
            assertThat(in(of(bee), "busybox", "nslookup", name, "127.0.0.11")).contains("10.77.0.9");
        }
        assertThat(in(of(bee), "busybox", "nslookup", "10.77.0.9", "127.0.0.11"))
                .contains("queen.hive");
        assertThat(engine.run(TestEngine.asked(mode("hive"), "busybox", "ping", "-c1", "-W3", "mother")))
                .anySatisfy(line -> assertThat(line).contains("1 packets received"));
        assertThat(engine.fixture.folder.resolve("containers").resolve(bee.id()).resolve("resolv.conf"))
                .content()
                .startsWith("nameserver 127.0.0.11\n")
                .contains("ndots:0");
        Container stranger = sleeper("stranger", HostConfig.getDefaultInstance());
        assertThat(in(of(stranger), "busybox", "ping", "-c1", "-W1", "10.77.0.9"))
                .contains("0 packets received");
        queen.stop("KILL", null);
        assertThat(in(of(bee), "busybox", "nslookup", "queen", "127.0.0.11")).doesNotContain("10.77.0.9");
        engine.containers().rename(bee, "worker");
        assertThat(in(of(bee), "busybox", "nslookup", "worker", "127.0.0.11")).contains("10.77.0.128");

        assertRefused(
                EngineException.Kind.FORBIDDEN, "has active endpoints (name:\"worker\"", () -> networks.remove("hive"));
        assertRefused(
                EngineException.Kind.CONFLICT,
                "network with name hive already exists",
                () -> networks.create(network("hive").build()));
        assertRefused(
                EngineException.Kind.FORBIDDEN,
                "Pool overlaps with other one",
                () -> networks.create(network("again")
                        .setIpam(NetworkIpam.newBuilder()
                                .addConfig(NetworkIpamConfig.newBuilder().setSubnet("10.77.0.0/16")))
                        .build()));
        assertRefused(
                EngineException.Kind.INVALID,
                "the option \"speed\" of a network is not supported",
                () -> networks.create(
                        network("fast").putOptions("speed", "high").build()));
        assertRefused(
                EngineException.Kind.FORBIDDEN,
                "bridge is a pre-defined network and cannot be removed",
                () -> networks.remove("bridge"));
    }

    @Test
    void questionsAboutTheWorldAreAskedOfTheServersTheContainerNames() throws Exception {
        DatagramChannel server = outside.run(() ->
                DatagramChannel.open(StandardProtocolFamily.INET).bind(new InetSocketAddress(OUTSIDE_ADDRESS, 53)));
        try (server) {
            Thread.startVirtualThread(() -> answer(server));
            networks.create(network("hive").build());
            Container bee = sleeper(
                    "bee", mode("hive").toBuilder().addDns(OUTSIDE_ADDRESS).build());
            assertThat(in(of(bee), "busybox", "nslookup", "-type=a", "far.example", "127.0.0.11"))
                    .contains("192.0.2.42");
        }
    }

    /** Answers every question with the address 192.0.2.42. */
    private static void answer(DatagramChannel server) {
        try {
            ByteBuffer message = ByteBuffer.allocate(512);
            while (true) {
                SocketAddress client = server.receive(message.clear());
                message.putShort(2, (short) 0x8180).putShort(6, (short) 1).putShort(10, (short) 0);
                message.put(new byte[] {(byte) 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, (byte) 192, 0, 2, 42});
                server.send(message.flip(), client);
            }
        } catch (IOException e) {
            // The test is over.
        }
    }

    @Test
    void anInternalNetworkHasNoWayOutAndOneWithoutCommunicationNoneBetweenContainers() throws Exception {
        networks.create(network("inside").setInternal(true).build());
        Container one = sleeper("one", mode("inside"));
        Container two = sleeper("two", mode("inside"));
        assertThat(in(of(one), "ip", "route")).doesNotContain("default");
        assertThat(in(of(one), "busybox", "ping", "-c1", "-W3", address(two, "inside")))
                .contains("1 packets received");
        in(
                of(one),
                "ip",
                "route",
                "add",
                "default",
                "via",
                networks.inspect("inside").getIpam().getConfig(0).getGateway());
        assertThat(in(of(one), "busybox", "ping", "-c1", "-W1", OUTSIDE_ADDRESS))
                .contains("0 packets received");

        networks.create(network("quiet")
                .putOptions("com.docker.network.bridge.enable_icc", "false")
                .build());
        Container three = sleeper("three", mode("quiet"));
        Container four = sleeper("four", mode("quiet"));
        assertThat(in(of(three), "busybox", "ping", "-c1", "-W1", address(four, "quiet")))
                .contains("0 packets received");
        assertThat(in(of(three), "busybox", "ping", "-c1", "-W3", OUTSIDE_ADDRESS))
                .contains("1 packets received");
    }

    // ---- more and fewer networks, IPv6, a new engine

    @Test
    void aRunningContainerIsConnectedAndDisconnected() throws Exception {
        networks.create(network("hive").build());
        networks.create(network("meadow").build());
        Container bee = sleeper("bee", publishing("hive", "80/tcp", "8080"));
        Container flower = sleeper("flower", mode("meadow"));
        assertThat(in(of(bee), "busybox", "nslookup", "flower", "127.0.0.11"))
                .doesNotContain(address(flower, "meadow"));
        bee.connect(
                "meadow", EndpointSettings.newBuilder().addAliases("visitor").build());
        assertThat(in(of(bee), "busybox", "nslookup", "flower", "127.0.0.11")).contains(address(flower, "meadow"));
        assertThat(in(of(flower), "busybox", "nslookup", "visitor", "127.0.0.11"))
                .contains(address(bee, "meadow"));
        assertThat(in(of(bee), "busybox", "ping", "-c1", "-W3", address(flower, "meadow")))
                .contains("1 packets received");
        assertThat(bee.record().getEndpointsMap()).containsOnlyKeys("hive", "meadow");
        assertRefused(
                EngineException.Kind.FORBIDDEN,
                "endpoint with name bee already exists in network meadow",
                () -> bee.connect("meadow", EndpointSettings.getDefaultInstance()));
        bee.disconnect("hive");
        assertThat(in(of(bee), "ip", "route")).contains("default via ", "dev eth1");
        assertThat(bee.record().getEndpointsMap()).containsOnlyKeys("meadow");
        assertRefused(EngineException.Kind.FORBIDDEN, "is not connected to network hive", () -> bee.disconnect("hive"));
        bee.connect("hive", EndpointSettings.getDefaultInstance());
        bee.stop("KILL", null);
        bee.disconnect("meadow");
        bee.start();
        assertThat(bee.record().getEndpointsMap()).containsOnlyKeys("hive");
    }

    @Test
    void aNetworkWithIpv6() throws Exception {
        String id = networks.create(network("six").setEnableIpv6(true).build());
        NetworkRecord six = networks.inspect(id);
        assertThat(six.getIpam().getConfigList()).hasSize(2);
        Container web = server("web", publishing("six", "80/tcp", "8080"));
        Container bee = sleeper("bee", mode("six"));
        EndpointSettings place = web.record().getEndpointsOrThrow("six");
        assertThat(place.getGlobalIpv6Address()).startsWith("fd00:").endsWith("::2");
        assertThat(in(of(bee), "busybox", "nslookup", "-type=aaaa", "web", "127.0.0.11"))
                .contains(place.getGlobalIpv6Address());
        assertThat(in(of(bee), "busybox", "ping", "-6", "-c1", "-W3", "2001:db8::100"))
                .contains("1 packets received");
        assertThat(talk(outside, "2001:db8::1", 8080)).isEqualTo("web");
        assertThat(talk(of(bee), "2001:db8::1", 8080)).isEqualTo("web");
        assertThat(web.record().getPortsOrThrow("80/tcp").getBindingsList())
                .extracting(PortBinding::getHostIp)
                .containsExactly("0.0.0.0", "::");
    }

    @Test
    void aKilledEngineLeavesPlacesToTheNextAndNothingElse() throws Exception {
        networks.create(network("hive").build());
        Container web = server("web", publishing("hive", "80/tcp", "8080"));
        Container gone = sleeper("gone", HostConfig.getDefaultInstance());
        String address = address(web, "hive");
        // The machine forgets one container while no engine looks.
        networking.letGo();
        engine.life.close();
        new ContainerdTasks(engine.fixture.containerd).kill(gone.id(), "", Signals.KILL, true);
        engine.startAgain();
        Container again = engine.containers().require("web");
        assertThat(talk(outside, HOST_ADDRESS, 8080)).isEqualTo("web");
        Container bee = sleeper("bee", mode("hive"));
        assertThat(address(bee, "hive")).isNotEqualTo(address);
        assertThat(in(of(bee), "busybox", "nslookup", "web", "127.0.0.11")).contains(address);
        assertThat(in(of(again), "busybox", "nslookup", "bee", "127.0.0.11")).contains(address(bee, "hive"));
        Container second = made("second", TestEngine.asked(publishing("bridge", "80/tcp", "8080"), "sleep", "100"));
        assertRefused(
                EngineException.Kind.INTERNAL,
                "Bind for 0.0.0.0:8080 failed: port is already allocated",
                second::start);
        again.stop("KILL", null);
        assertThat(overhear(outside, HOST_ADDRESS, 8080)).isEmpty();
    }

    @Test
    void whatAnEngineLeftOfContainersThatAreGoneIsTakenAway() throws Exception {
        Path other = namespaces.resolve("other");
        LocalNetworking killed = otherEngine(other);
        killed.attach(ContainerRecord.newBuilder()
                .setId("0123456789abcdef")
                .setName("lost")
                .setHostConfig(publishing("bridge", "80/tcp", "8080"))
                .build());
        assertThat(in(host, "ip", "-o", "link")).contains("veth", "skep0");
        assertThat(in(host, "nft", "list", "ruleset")).contains("dport 8080");
        assertThat(other.resolve("run/netns")).isNotEmptyDirectory();
        killed.letGo();
        otherEngine(other).recover(Set.of());
        assertThat(in(host, "ip", "-o", "link")).doesNotContain("veth", "skep0");
        assertThat(in(host, "nft", "list", "ruleset")).isEmpty();
        assertThat(other.resolve("run/netns")).isEmptyDirectory();
    }

    private LocalNetworking otherEngine(Path root) throws IOException {
        return new LocalNetworking(
                new Networks(
                        root.resolve("networks"),
                        root.resolve("run"),
                        host,
                        NetworkSettings.USUAL,
                        InstantSource.system(),
                        _ -> {}),
                root.resolve("run/netns"),
                new NetworkFiles(new ContainerFolder(root.resolve("containers")), NetworkSettings.USUAL),
                engine.life.executor);
    }
}
