package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MainTest {
    private static final String TOKEN =
            "SWMTKN-1-5oaq0bjhj6un82wg98mgigso5q7qlhc63je4gw7ivixqqhkd3p-0000000000000000000000001";

    private record Outcome(int code, String out, String err) {}

    private static Outcome run(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int code = Main.run(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
        return new Outcome(code, out.toString(), err.toString().strip());
    }

    private static Outcome runWith(String... more) {
        List<String> arguments = new ArrayList<>(List.of("--agents=1", "--tasks=20"));
        arguments.addAll(List.of(more));
        for (String needed : List.of("--manager=127.0.0.1", "--token=" + TOKEN, "--api=unix:///nowhere")) {
            if (arguments.stream().noneMatch(given -> given.startsWith(needed.substring(0, needed.indexOf('='))))) {
                arguments.add(needed);
            }
        }
        return run(arguments.toArray(String[]::new));
    }

    @Test
    void tellsInOneLineWhatIsWrong() {
        assertThat(run().err()).contains("'--manager=HOST:PORT'").contains("see: load --help");
        assertThat(runWith("--manager=127.0.0.1:x").err()).startsWith("load: 'x' in '127.0.0.1:x' is no port");
        assertThat(runWith("--token=secret").err())
                .startsWith("load: not a join token")
                .doesNotContain("secret");
        assertThat(runWith("--api=http://x").err()).contains("unix:///PATH or tcp://HOST:PORT");
        assertThat(runWith("--steps=create,fly").err()).contains("there is no step 'fly'");
        assertThat(runWith("--services=21").err()).contains("more than the 20 of --tasks");
        assertThat(runWith("--idle-seconds=-1").err()).contains("--idle-seconds is -1, but must be at least 0");
        assertThat(runWith("--seed=x").err()).contains("--seed");
        assertThat(runWith("--steps=create,fly").code()).isEqualTo(2);
    }

    @Test
    void tellsThatTheApiIsNotThere(@TempDir Path folder) {
        Outcome outcome = runWith("--api=unix://" + folder.resolve("socket"));

        assertThat(outcome.code()).isEqualTo(1);
        assertThat(outcome.err()).contains("load: the API at unix://" + folder + "/socket cannot be reached");
    }

    @Test
    void putsResultsSideBySide(@TempDir Path folder) throws Exception {
        Path results = folder.resolve("results");
        Files.writeString(
                results,
                "{\"label\":\"one\",\"agents\":100,\"tasks\":1000,\"create\":{\"perSecond\":1234.5},"
                        + "\"idleCpuPercent\":[1.0,0.5]}\n"
                        + "{\"label\":\"two\",\"agents\":100,\"tasks\":1000,\"create\":{\"perSecond\":10.0}}\n");

        Outcome outcome = run("table", results.toString());

        assertThat(outcome.code()).isZero();
        assertThat(outcome.out().lines())
                .containsExactly(
                        "| | one 100 × 1,000 | two 100 × 1,000 |",
                        "|---|---|---|",
                        "| idle with all workers, % of a core | 1.00, 0.50 | – |",
                        "| tasks/s until all run | 1,235 | 10 |");
        assertThat(run("table", folder.resolve("none").toString()).err()).contains("cannot be read");
    }
}
