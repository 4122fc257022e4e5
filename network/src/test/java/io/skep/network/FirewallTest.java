package io.skep.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Rules in the real kernel, in a host that is a namespace of the test; what they do is tested with containers. */
@Timeout(60)
final class FirewallTest {
    @TempDir
    private Path folder;

    private NetworkNamespace host;

    @BeforeEach
    void makeHost() throws IOException {
        host = NetworkNamespace.create(folder.resolve("host"));
    }

    @AfterEach
    void deleteHost() throws IOException {
        NetworkNamespace.delete(folder.resolve("host"));
    }

    private String run(String... command) throws IOException {
        return host.run(() -> {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        });
    }

    private static Firewall.Rules rules() {
        return new Firewall.Rules(
                List.of(
                        new Firewall.Bridge(
                                "skep0",
                                List.of(Subnet.parse("172.24.0.1/16"), Subnet.parse("fd00:5::1/64")),
                                false,
                                true),
                        new Firewall.Bridge("br-inside", List.of(Subnet.parse("172.25.0.1/16")), true, true)),
                List.of(
                        new Firewall.Published(
                                "tcp", Subnet.address("0.0.0.0"), 8080, Subnet.address("172.24.0.2"), 80),
                        new Firewall.Published("udp", Subnet.address("::"), 53, Subnet.address("fd00:5::2"), 53),
                        new Firewall.Published(
                                "sctp", Subnet.address("10.0.0.1"), 9, Subnet.address("172.24.0.2"), 9)));
    }

    @Test
    void theTableIsReplacedAsAWholeAndRemoved() throws IOException {
        AtomicReference<Firewall.Rules> wanted = new AtomicReference<>(rules());
        Firewall firewall = new Firewall(host, "skep_test", wanted::get);
        firewall.apply();
        firewall.apply();
        assertThat(run("nft", "list", "ruleset"))
                .contains(
                        "meta nfproto ipv4 tcp dport 8080 dnat ip to 172.24.0.2:80",
                        "udp dport 53 dnat ip6 to [fd00:5::2]:53",
                        "ip daddr 10.0.0.1 sctp dport 9",
                        "iifname \"br-inside\" oifname != \"br-inside\" drop")
                .containsOnlyOnce("table inet");
        wanted.set(new Firewall.Rules(List.of(), List.of()));
        firewall.apply();
        assertThat(run("nft", "list", "ruleset")).doesNotContain("dnat ip", "skep0");
        firewall.remove();
        firewall.remove();
        assertThat(run("nft", "list", "ruleset")).isEmpty();
    }

    @Test
    void bridgesPassAFirewallThatDropsWhatIsForwardedAndLeaveItAsItWas() throws IOException {
        run("iptables", "-P", "FORWARD", "DROP");
        run("iptables", "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT");
        String before = run("iptables", "-S");
        AtomicReference<Firewall.Rules> wanted = new AtomicReference<>(rules());
        Firewall firewall = new Firewall(host, "skep_test", wanted::get);
        firewall.apply();
        assertThat(run("iptables", "-S"))
                .contains(
                        "-A FORWARD -j SKEP-TEST\n-A FORWARD -i docker0 -j ACCEPT",
                        "-A SKEP-TEST -i skep0 -j ACCEPT",
                        "-A SKEP-TEST -o br-inside -j ACCEPT");
        // As a new engine finds it after the end of the one before.
        new Firewall(host, "skep_test", wanted::get).apply();
        assertThat(run("iptables", "-S")).containsOnlyOnce("-j SKEP-TEST").containsOnlyOnce("-i skep0 -j ACCEPT");
        firewall.remove();
        assertThat(run("iptables", "-S")).isEqualTo(before);
        assertThat(run("ip6tables", "-S")).doesNotContain("SKEP");
    }

    @Test
    void whatNftRefusesIsSaid() {
        assertThatThrownBy(() -> new Firewall.Bridge("a b", List.of(), false, true))
                .hasMessage("no bridge can be called \"a b\"");
        Firewall firewall = new Firewall(host, "a b", () -> new Firewall.Rules(List.of(), List.of()));
        assertThatThrownBy(firewall::apply).hasMessageContaining("nft refuses the rules");
    }
}
