package io.skep.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.daemon.config.Arguments;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The shipped units, judged by systemd; how the daemon acts under them is in {@link SkepdTest}. */
class SystemdUnitsTest {
    private static final Path UNITS = Path.of("../packaging/systemd");

    @TempDir
    private Path folder;

    @Test
    void systemdFindsNothingWrong() throws Exception {
        // The one difference to an installed Skep: there, the program is in /usr/bin.
        Path program = Path.of("../bin/skepd").toRealPath();
        for (String unit : List.of("skepd.service", "skepd.socket")) {
            String text = Files.readString(UNITS.resolve(unit)).replace("/usr/bin/skepd", program.toString());
            Files.writeString(folder.resolve(unit), text);
        }
        Program verdict = Program.run(
                "systemd-analyze",
                "verify",
                folder.resolve("skepd.service").toString(),
                folder.resolve("skepd.socket").toString());
        assertThat(verdict.exitCode()).as(verdict.output()).isZero();
        assertThat(verdict.lines()).noneMatch(line -> line.contains("skepd."));
    }

    @Test
    void theServiceTakesTheSocketAndItsFlagsAreKnown() throws Exception {
        List<String> command = Files.readAllLines(UNITS.resolve("skepd.service")).stream()
                .filter(line -> line.startsWith("ExecStart="))
                .map(line -> List.of(line.substring("ExecStart=".length()).split(" ", -1)))
                .findFirst()
                .orElseThrow();
        assertThat(command).startsWith("/usr/bin/skepd").containsSubsequence("-H", "fd://");
        assertThat(Arguments.parse(command.subList(1, command.size())).validate())
                .isFalse();
    }

    @Test
    void socketsAreNumberedAndNamedAsSystemdDoes() {
        ServiceManager two =
                ServiceManager.of(Map.of("LISTEN_PID", "7", "LISTEN_FDS", "2", "LISTEN_FDNAMES", "a:b"), 7);
        assertThat(two.select(""))
                .containsExactly(new ServiceManager.Socket(3, "a"), new ServiceManager.Socket(4, "b"));
        assertThat(two.select("b")).containsExactly(new ServiceManager.Socket(4, "b"));
        assertThat(two.select("3")).containsExactly(new ServiceManager.Socket(3, "a"));
        assertThat(two.select("5")).isEmpty();
        assertThat(ServiceManager.of(Map.of("LISTEN_PID", "7", "LISTEN_FDS", "1"), 7)
                        .sockets())
                .containsExactly(new ServiceManager.Socket(3, "unknown"));
    }

    @Test
    void socketsMeantForAnotherProcessAreLeftAlone() {
        assertThat(ServiceManager.of(Map.of("LISTEN_PID", "7", "LISTEN_FDS", "2"), 8)
                        .sockets())
                .isEmpty();
        assertThat(ServiceManager.of(Map.of("LISTEN_PID", "7", "LISTEN_FDS", "many"), 7)
                        .sockets())
                .isEmpty();
    }
}
