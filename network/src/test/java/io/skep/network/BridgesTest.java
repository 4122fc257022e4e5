package io.skep.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Bridges and cables in the real kernel, in a host that is a namespace of the test. */
@Timeout(60)
final class BridgesTest {
    @TempDir
    private Path folder;

    private NetworkNamespace host;
    private Bridges bridges;

    @BeforeEach
    void makeHost() throws IOException {
        host = NetworkNamespace.create(folder.resolve("host"));
        bridges = new Bridges(host, "skep test");
    }

    @AfterEach
    void deleteHost() throws IOException {
        try (var files = Files.list(folder)) {
            for (Path file : files.toList()) {
                NetworkNamespace.delete(file);
            }
        }
    }

    private static String run(NetworkNamespace namespace, String... command) throws IOException {
        return namespace.run(() -> {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        });
    }

    private NetworkNamespace plugged(String name, String address, String address6, boolean apart) throws IOException {
        NetworkNamespace container = NetworkNamespace.create(folder.resolve(name));
        bridges.plug(
                container,
                new Bridges.Cable(
                        "skep0",
                        "veth" + name,
                        "eth0",
                        "02:42:00:00:00:6" + name,
                        List.of(Subnet.parse(address), Subnet.parse(address6)),
                        apart,
                        1400));
        return container;
    }

    @Test
    void containersAtABridgeReachEachOtherAndTheHostUnlessSetApart() throws IOException {
        bridges.make("skep0", List.of(Subnet.parse("172.24.0.1/16"), Subnet.parse("fd00:5::1/64")), 1400, true);
        NetworkNamespace a = plugged("a", "172.24.0.2/16", "fd00:5::2/64", false);
        plugged("b", "172.24.0.3/16", "fd00:5::3/64", false);
        NetworkNamespace c = plugged("c", "172.24.0.4/16", "fd00:5::4/64", true);
        plugged("d", "172.24.0.5/16", "fd00:5::5/64", true);
        Bridges.setGateways(a, List.of(Subnet.address("172.24.0.1"), Subnet.address("fd00:5::1")), "eth0");

        assertThat(run(a, "ip", "-o", "link", "show", "eth0")).contains("mtu 1400", "02:42:00:00:00:6a", "UP");
        assertThat(run(a, "ip", "route")).contains("default via 172.24.0.1 dev eth0");
        assertThat(run(a, "ip", "-6", "route")).contains("default via fd00:5::1 dev eth0");
        assertThat(run(a, "busybox", "ping", "-c1", "-W2", "172.24.0.1")).contains("1 packets received");
        assertThat(run(a, "busybox", "ping", "-c1", "-W2", "172.24.0.3")).contains("1 packets received");
        assertThat(run(a, "busybox", "ping", "-c1", "-W2", "fd00:5::3")).contains("1 packets received");
        assertThat(run(c, "busybox", "ping", "-c1", "-W2", "172.24.0.1")).contains("1 packets received");
        assertThat(run(c, "busybox", "ping", "-c1", "-W1", "172.24.0.5")).contains("0 packets received");

        Bridges.setGateways(a, List.of(), "eth0");
        assertThat(run(a, "ip", "route")).doesNotContain("default");
        assertThat(bridges.subnetsInUse(Set.of())).contains(Subnet.parse("172.24.0.0/16"));
        assertThat(bridges.subnetsInUse(Set.of("skep0"))).doesNotContain(Subnet.parse("172.24.0.0/16"));
    }

    @Test
    void anotherEngineFindsWhatIsItsOwnAndTouchesNothingElse() throws IOException {
        run(host, "ip", "link", "add", "other0", "type", "bridge");
        bridges.make("skep0", List.of(Subnet.parse("172.24.0.1/16")), 0, true);
        plugged("a", "172.24.0.2/16", "fd00:5::2/64", false);
        // As it is when it comes back, with other addresses.
        bridges.make("skep0", List.of(Subnet.parse("172.25.0.1/16")), 0, true);
        assertThat(run(host, "ip", "-4", "-o", "address", "show", "skep0"))
                .contains("172.25.0.1/16")
                .doesNotContain("172.24.0.1");
        assertThatThrownBy(() -> bridges.make("other0", List.of(), 0, true))
                .hasMessageContaining("other0")
                .hasMessageContaining("which Skep did not make");
        bridges.delete("other0");
        bridges.deleteOthers(Set.of("skep0"));
        assertThat(bridges.linkNames()).containsExactlyInAnyOrder("lo", "other0", "skep0");
        bridges.delete("skep0");
        assertThat(bridges.linkNames()).containsExactlyInAnyOrder("lo", "other0");
    }

    @Test
    void aNamespaceThatIsGoneIsKnown() throws IOException {
        Path file = folder.resolve("a");
        NetworkNamespace.create(file);
        assertThat(NetworkNamespace.isAt(file)).isTrue();
        NetworkNamespace.delete(file);
        NetworkNamespace.delete(file);
        Files.createFile(file);
        assertThat(NetworkNamespace.isAt(file)).isFalse();
        assertThat(NetworkNamespace.isAt(folder.resolve("never"))).isFalse();
    }
}
