package io.skep.daemon.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.api.ApiException;
import io.skep.daemon.node.SwarmAddresses.HostPort;
import io.skep.daemon.node.SwarmAddresses.Interface;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The texts are those of dockerd 20.10 on a machine with the same addresses. */
class SwarmAddressesTest {
    private static final SwarmAddresses ONE = new SwarmAddresses(
            List.of(nic("eth0", "10.81.0.2", "fe80::1"), nic("docker0", "172.17.0.1"), nic("veth12", "169.254.1.1")));

    @ParameterizedTest
    @CsvSource({
        "0.0.0.0, 0.0.0.0:2377",
        "0.0.0.0:2378, 0.0.0.0:2378",
        "eth0, 10.81.0.2:2377",
        "eth0:2378, 10.81.0.2:2378",
        "'[::1]:2377', '[0:0:0:0:0:0:0:1]:2377'",
        "::1, '[0:0:0:0:0:0:0:1]:2377'"
    })
    void listensOnAnAddressOrInterface(String said, String meant) {
        assertThat(ONE.listen(said)).hasToString(meant);
    }

    @ParameterizedTest
    @ValueSource(strings = {"foo", "eth9:2377", "example.com", "0.0.0.0:foo", "0.0.0.0:70000"})
    void aNameIsNotLookedUp(String said) {
        assertThatThrownBy(() -> ONE.listen(said))
                .isInstanceOfSatisfying(
                        ApiException.class,
                        refusal -> assertThat(refusal.status()).isEqualTo(400))
                .hasMessage("listen address must be an IP address or network interface (with optional port number)");
    }

    @Test
    void theOnlyAddressIsAdvertised() {
        assertThat(ONE.advertise("", "", ONE.listen("0.0.0.0:2400"))).hasToString("10.81.0.2:2400");
    }

    @Test
    void whatTheUserSaysComesBeforeTheConfiguration() {
        HostPort listen = ONE.listen("0.0.0.0");
        assertThat(ONE.advertise("192.0.2.1:99", "192.0.2.2", listen)).hasToString("192.0.2.1:99");
        assertThat(ONE.advertise("", "192.0.2.2", listen)).hasToString("192.0.2.2:2377");
        assertThat(ONE.advertise("eth0", "192.0.2.2", listen)).hasToString("10.81.0.2:2377");
    }

    @ParameterizedTest
    @ValueSource(strings = {"foo", "eth9", "0.0.0.0", "docker.example.com:2377"})
    void refusesWhatNobodyCouldReach(String said) {
        assertThatThrownBy(() -> ONE.advertise(said, "", ONE.listen("0.0.0.0")))
                .isInstanceOf(ApiException.class)
                .hasMessage("advertise address must be a non-zero IP address or network interface (with optional port"
                        + " number)");
    }

    @Test
    void severalAddressesOfAnInterfaceAreTheUsersChoice() {
        SwarmAddresses two = new SwarmAddresses(List.of(nic("eth0", "10.81.0.2", "10.81.9.2")));
        assertThatThrownBy(() -> two.advertise("", "", two.listen("0.0.0.0")))
                .hasMessage("could not choose an IP address to advertise since this system has multiple addresses on"
                        + " interface eth0 (10.81.0.2 and 10.81.9.2)");
    }

    @Test
    void severalInterfacesAreTheUsersChoice() {
        SwarmAddresses two = new SwarmAddresses(List.of(nic("eth0", "10.81.0.2"), nic("eth1", "10.82.9.2")));
        assertThatThrownBy(() -> two.advertise("", "", two.listen("0.0.0.0")))
                .hasMessage("could not choose an IP address to advertise since this system has multiple addresses on"
                        + " different interfaces (10.81.0.2 on eth0 and 10.82.9.2 on eth1)");
    }

    @Test
    void dataPathHasNoPort() {
        assertThat(ONE.dataPath("")).isEmpty();
        assertThat(ONE.dataPath("eth0")).map(InetAddress::getHostAddress).contains("10.81.0.2");
        assertThatThrownBy(() -> ONE.dataPath("10.81.0.2:4789"))
                .hasMessage("data path address must be a non-zero IP address or network interface (without a port"
                        + " number)");
    }

    @ParameterizedTest
    @CsvSource({
        "10.0.0.1, 10.0.0.1:2377",
        "10.0.0.1:99, 10.0.0.1:99",
        "manager, manager:2377",
        "fd00::1, '[fd00::1]:2377'",
        "'[fd00::1]:99', '[fd00::1]:99'"
    })
    void aManagerWithoutPortServesOnTheUsualOne(String said, String meant) {
        assertThat(SwarmAddresses.withPort(said)).isEqualTo(meant);
    }

    private static Interface nic(String name, String... addresses) {
        List<InetAddress> parsed = new ArrayList<>();
        for (String address : addresses) {
            try {
                parsed.add(InetAddress.getByName(address));
            } catch (UnknownHostException e) {
                throw new IllegalArgumentException(e);
            }
        }
        return new Interface(name, parsed);
    }
}
