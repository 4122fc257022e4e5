package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HostsFileTest {
    @TempDir
    private Path folder;

    @Test
    void machinesCommentsAndSpaceAreRead() throws Exception {
        String text = "\uFEFF# my boards\r\n\r\npi-1\t10.0.0.11   pi-1.lan # the old one\r\n  win2 FD00::2 \r\n";

        List<HostsFile.Machine> machines = HostsFile.parse(text, "hosts");

        assertThat(machines)
                .containsExactly(
                        new HostsFile.Machine(
                                "pi-1",
                                List.of(new HostAddress("10.0.0.11", true), new HostAddress("pi-1.lan", false))),
                        new HostsFile.Machine("win2", List.of(new HostAddress("fd00::2", true))));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "a|hosts, line 2: a has no address; write: NAME ADDRESS [ADDRESS…]",
                "a/b 10.0.0.1|hosts, line 2: \"a/b\" is no name for a machine",
                ".. 10.0.0.1|hosts, line 2: \"..\" is no name for a machine",
                "ca 10.0.0.1|hosts, line 2: \"ca\" names the authority itself",
                "a 10.0.0.1:2376|hosts, line 2: \"10.0.0.1:2376\" cannot stand in a certificate: write it without the port",
                "a tcp://b|hosts, line 2: \"tcp://b\" cannot stand in a certificate: write it without the protocol",
                "a 10.0.0.256|hosts, line 2: \"10.0.0.256\" cannot stand in a certificate: the parts",
                "a 10.0.0|hosts, line 2: \"10.0.0\" cannot stand in a certificate: write a DNS name or an IP address",
                "a b_-|hosts, line 2: \"b_-\" cannot stand in a certificate: write a DNS name or an IP address",
                "a fe80::1%eth0|hosts, line 2: \"fe80::1%eth0\" cannot stand in a certificate: an address with an interface",
                "a 1::2::3|hosts, line 2: \"1::2::3\" cannot stand in a certificate: it is no IPv6 address",
                "FIRST b|hosts, line 2: FIRST stands already in line 1",
            })
    void errorsNameTheLineAndTheWord(String line, String message) {
        assertThatThrownBy(() -> HostsFile.parse("first 10.0.0.1\n" + line + "\n", "hosts"))
                .isInstanceOf(CredentialException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void filesThatAreNoListAreNamed() throws Exception {
        Path file = folder.resolve("hosts");
        assertThatThrownBy(() -> HostsFile.read(file)).hasMessageStartingWith(file + " does not exist");
        Files.writeString(file, "# nothing\n");
        assertThatThrownBy(() -> HostsFile.read(file)).hasMessageStartingWith(file + " names no machine");
        Files.write(file, new byte[] {(byte) 0xff, (byte) 0xfe});
        assertThatThrownBy(() -> HostsFile.read(file)).hasMessageContaining("is not UTF-8");
        assertThatThrownBy(() -> HostsFile.read(folder)).isInstanceOf(CredentialException.class);
    }

    @ParameterizedTest
    @CsvSource({
        "10.0.0.01, 10.0.0.1",
        "[2001:DB8:0:0:0:0:0:1], 2001:db8::1",
        "::, ::",
        "::1, ::1",
        "1::, 1::",
        "Host.Example, host.example",
        "*.example.org, *.example.org",
        "1:0:0:2:0:0:0:3, 1:0:0:2::3"
    })
    void addressesHaveOneForm(String written, String text) throws Exception {
        assertThat(HostAddress.parse(written).text()).isEqualTo(text);
    }

    @Property
    void anyTextIsReadOrRefused(@ForAll String text) {
        try {
            assertThat(HostsFile.parse(text, "hosts")).isNotEmpty();
        } catch (CredentialException e) {
            assertThat(e.getMessage()).startsWith("hosts");
        }
    }

    @Property
    void anAddressThatIsAcceptedStandsForItself(@ForAll String text) throws Exception {
        HostAddress address;
        try {
            address = HostAddress.parse(text);
        } catch (CredentialException e) {
            assertThat(e.getMessage()).contains("cannot stand in a certificate");
            return;
        }
        assertThat(HostAddress.parse(address.text())).isEqualTo(address);
    }
}
