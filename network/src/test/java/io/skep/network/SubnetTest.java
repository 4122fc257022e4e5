package io.skep.network;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SubnetTest {
    @ParameterizedTest
    @CsvSource({
        "10.0.0.0/8, 10.1.0.0/16, true",
        "10.1.0.0/16, 10.0.0.0/8, true",
        "10.1.0.0/16, 10.2.0.0/16, false",
        "10.1.2.3/16, 10.1.9.0/24, true",
        "fd00::/8, fd12:3::/64, true",
        "fd00::/64, 10.0.0.0/8, false",
        "0.0.0.0/0, ::/0, false",
    })
    void overlaps(String one, String other, boolean expected) {
        assertThat(Subnet.parse(one).overlaps(Subnet.parse(other))).isEqualTo(expected);
        assertThat(Subnet.parse(other).overlaps(Subnet.parse(one))).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({
        "0:0:0:0:0:0:0:0, ::",
        "fd00:0:0:0:0:0:0:1, fd00::1",
        "1:0:0:2:0:0:0:3, 1:0:0:2::3",
        "1:2:3:4:5:6:7:8, 1:2:3:4:5:6:7:8",
        "0:0:0:0:0:0:0:1, ::1",
        "1:0:0:0:0:0:0:0, 1::",
        "10.0.0.1, 10.0.0.1",
    })
    void textIsTheShortest(String address, String expected) {
        assertThat(Subnet.text(Subnet.address(address))).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/x", "name/8", "fd00::/129", "/8"})
    void refuses(String text) {
        assertThatThrownBy(() -> Subnet.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("invalid CIDR address: " + text);
    }

    @Test
    void addressesAreGivenOutFromTheLowestAndTakenBack() {
        AddressPool pool = new AddressPool(
                Subnet.parse("10.0.0.0/29"), Subnet.parse("10.0.0.0/29"), List.of(Subnet.address("10.0.0.1")));
        assertThat(pool.take()).contains(Subnet.address("10.0.0.2"));
        assertThat(pool.take(Subnet.address("10.0.0.4"))).isTrue();
        assertThat(pool.take(Subnet.address("10.0.0.4"))).isFalse();
        assertThat(pool.take(Subnet.address("10.0.1.4"))).isFalse();
        assertThat(pool.take(Subnet.address("10.0.0.7"))).isFalse();
        assertThat(pool.take()).contains(Subnet.address("10.0.0.3"));
        assertThat(pool.take()).contains(Subnet.address("10.0.0.5"));
        assertThat(pool.take()).contains(Subnet.address("10.0.0.6"));
        assertThat(pool.take()).isEqualTo(Optional.empty());
        pool.release(Subnet.address("10.0.0.3"));
        assertThat(pool.take()).contains(Subnet.address("10.0.0.3"));
    }

    @Test
    void addressesOfAPartOfASubnet() {
        AddressPool pool = new AddressPool(Subnet.parse("fd00::/64"), Subnet.parse("fd00::1:0/127"), List.of());
        assertThat(pool.take()).contains(Subnet.address("fd00::1:0"));
        assertThat(pool.take()).contains(Subnet.address("fd00::1:1"));
        assertThat(pool.take()).isEmpty();
        assertThat(pool.take(Subnet.address("fd00::9"))).isTrue();
    }
}
