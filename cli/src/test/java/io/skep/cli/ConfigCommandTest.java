package io.skep.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConfigCommandTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @TempDir
    private Path folder;

    @Test
    void explainTellsEachValueAndItsSource() throws Exception {
        Path file = Files.writeString(folder.resolve("daemon.json"), "{\"hosts\": [\"fd://\"], \"debug\": true}");
        assertThat(skep("config", "explain", "--config-file", file.toString(), "-H", "fd://", "--label=a=b"))
                .isZero();
        assertThat(out.toString())
                .startsWith("configuration file: " + file)
                .containsPattern("hosts +fd:// +" + file + ":1:12, flag --host")
                .containsPattern("labels +a=b +flag --label")
                .containsPattern("debug +true +" + file + ":1:31")
                .containsPattern("shutdown-timeout +15 +default");
    }

    @Test
    void mistakesAreOneLine() throws Exception {
        Path file = Files.writeString(folder.resolve("daemon.json"), "{\"iptables\": false}");
        assertThat(skep("config", "explain", "--config-file=" + file)).isEqualTo(1);
        assertThat(err.toString())
                .startsWith("skep: " + file + ":1:2: Skep does not support \"iptables\"")
                .hasLineCount(1);
        err.getBuffer().setLength(0);
        assertThat(skep("config", "explain", "--tlsverfy")).isEqualTo(2);
        assertThat(err.toString()).isEqualTo("skep: unknown flag --tlsverfy; did you mean --tlsverify?\n");
    }

    private int skep(String... arguments) {
        Terminal terminal = new Terminal(
                new PrintWriter(out), new PrintWriter(err), Map.of(), InstantSource.system(), _ -> new char[0]);
        return Main.run(terminal, arguments);
    }
}
