package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SubnetTest {
    @ParameterizedTest
    @CsvSource({
        "10.0.1.77/24, 10.0.1.0/24",
        "0.0.0.0/0, 0.0.0.0/0",
        "255.255.255.255/32, 255.255.255.255/32",
        "fd00:0:0:1::5/64, fd00:0:0:1::/64",
        "2001:db8:0:1:1:1:1:1/128, 2001:db8:0:1:1:1:1:1/128",
        "::1/128, ::1/128"
    })
    void dropsTheBitsAfterThePrefix(String text, String subnet) {
        assertThat(Subnet.parse(text)).hasToString(subnet);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "10.0.0.0",
                "10.0.0/8",
                "10.0.0.0/33",
                "10.0.0.0/-1",
                "10.0.0.0/",
                "host/8",
                "fe80::1%1/64",
                "1.2.3.4.5/8",
                "10.0.0.256/8",
                "/8",
                "::g/64"
            })
    void refusesWhatIsNoSubnet(String text) {
        assertThatIllegalArgumentException().isThrownBy(() -> Subnet.parse(text));
    }

    @Property
    void namesEachAddressByItsDistance(
            @ForAll @Size(16) byte[] address, @ForAll @IntRange(min = 1, max = 128) int prefix, @ForAll boolean ipv4) {
        byte[] own = ipv4 ? Arrays.copyOf(address, 4) : address;
        Subnet subnet = Subnet.parse(Subnet.text(own) + "/" + (ipv4 ? (prefix + 3) / 4 : prefix));
        long offset = subnet.offset(own);
        if (offset >= 0) {
            assertThat(Subnet.parseAddress(subnet.address(offset))).isEqualTo(own);
            assertThat(subnet.cidr(offset)).isEqualTo(subnet.address(offset) + "/" + subnet.prefix());
        } else {
            assertThat(subnet.bits() - subnet.prefix()).isGreaterThan(62);
        }
    }

    @Property
    void overlapsExactlyWhatSharesAnAddress(
            @ForAll @LongRange(min = 0, max = 255) long first,
            @ForAll @IntRange(min = 24, max = 32) int firstPrefix,
            @ForAll @LongRange(min = 0, max = 255) long second,
            @ForAll @IntRange(min = 24, max = 32) int secondPrefix) {
        Subnet one = Subnet.parse("10.0.0." + first + "/" + firstPrefix);
        Subnet other = Subnet.parse("10.0.0." + second + "/" + secondPrefix);
        boolean shared = false;
        for (int i = 0; i < 256; i++) {
            byte[] address = Subnet.parseAddress("10.0.0." + i);
            shared |= one.offset(address) >= 0 && other.offset(address) >= 0;
        }
        assertThat(one.overlaps(other)).isEqualTo(shared).isEqualTo(other.overlaps(one));
    }

    @Test
    void familiesNeverOverlap() {
        assertThat(Subnet.parse("0.0.0.0/0").overlaps(Subnet.parse("::/0"))).isFalse();
    }
}
