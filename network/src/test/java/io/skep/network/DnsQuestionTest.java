package io.skep.network;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

final class DnsQuestionTest {
    private static byte[] message(String name, int type, int more) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(new byte[] {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, (byte) more});
        for (String label : name.split("\\.", -1)) {
            out.write(label.length());
            out.writeBytes(label.getBytes(StandardCharsets.US_ASCII));
        }
        out.writeBytes(new byte[] {0, (byte) (type >> 8), (byte) type, 0, 1});
        return out.toByteArray();
    }

    private static DnsQuestion parsed(byte[] message) {
        return DnsQuestion.parse(message).orElseThrow();
    }

    @Test
    void aQuestionIsReadAndAnswered() {
        DnsQuestion question = parsed(message("Web.Hive", DnsQuestion.TYPE_A, 0));
        assertThat(question.name()).isEqualTo("web.hive");
        byte[] answer = question.addresses(List.of(Subnet.address("10.0.0.9"), Subnet.address("fd00::9")), true);
        assertThat(Arrays.copyOf(answer, 12)).containsExactly(0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0);
        assertThat(Arrays.copyOfRange(answer, answer.length - 6, answer.length)).containsExactly(0, 4, 10, 0, 0, 9);
        assertThat(question.code(DnsQuestion.SERVER_FAILURE)[3] & 0xf).isEqualTo(2);
    }

    @Test
    void whatIsTooLongForADatagramIsAskedForAgainByConnection() {
        DnsQuestion question = parsed(message("many", DnsQuestion.TYPE_A, 0));
        List<InetAddress> addresses = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            addresses.add(Subnet.parse("10.0.0.0/24").at(i));
        }
        byte[] datagram = question.addresses(addresses, true);
        assertThat(datagram[2] & 2).isEqualTo(2);
        assertThat(datagram.length).isLessThan(512);
        assertThat(question.addresses(addresses, false)).hasSizeGreaterThan(1600);
    }

    @Test
    void theAddressOfAReverseQuestion() {
        assertThat(parsed(message("9.0.0.10.in-addr.arpa", DnsQuestion.TYPE_PTR, 0))
                        .reverse())
                .contains(Subnet.address("10.0.0.9"));
        assertThat(parsed(message("9." + "0.".repeat(29) + "d.f.ip6.arpa", DnsQuestion.TYPE_PTR, 0))
                        .reverse())
                .contains(Subnet.address("fd00::9"));
        assertThat(parsed(message("999.0.0.10.in-addr.arpa", DnsQuestion.TYPE_PTR, 0))
                        .reverse())
                .isEqualTo(Optional.empty());
        assertThat(parsed(message("x." + "0.".repeat(31) + "ip6.arpa", DnsQuestion.TYPE_PTR, 0))
                        .reverse())
                .isEmpty();
    }

    @Property
    void noBytesDoHarm(@ForAll @Size(max = 80) byte[] message) {
        DnsQuestion.parse(message).ifPresent(DnsQuestion::reverse);
    }

    @Property
    void aBrokenQuestionDoesNoHarm(
            @ForAll @IntRange(max = 60) int at, @ForAll byte value, @ForAll @IntRange(max = 60) int length) {
        byte[] message = message("9.0.0.10.in-addr.arpa.of.somebody", DnsQuestion.TYPE_PTR, 1);
        message[Math.min(at, message.length - 1)] = value;
        DnsQuestion.parse(Arrays.copyOf(message, length)).ifPresent(question -> {
            question.reverse();
            question.code(DnsQuestion.REFUSED);
        });
    }
}
