package io.skep.daemon.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.daemon.config.Json.Position;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

class JsonParserTest {
    private static final String SAMPLE =
            "{\"hosts\": [\"tcp://127.0.0.1:2375\"], \"labels\": [\"a=b\"], \"debug\": true, \"shutdown-timeout\": 3,"
                    + " \"default-address-pools\": [{\"base\": \"10.0.0.0/8\", \"size\": 24}]}";

    @Example
    void valuesKnowTheirPlace() throws Exception {
        Json json = parse("\uFEFF{\n  \"a\": [1e2, \"\\u00e9\\n\"],\r\n\t\"b\": null}");
        assertThat(json)
                .isEqualTo(new Json.Members(
                        new Position(1, 1),
                        List.of(
                                new Json.Member(
                                        new Position(2, 3),
                                        "a",
                                        new Json.Array(
                                                new Position(2, 8),
                                                List.of(
                                                        new Json.Numeral(new Position(2, 9), "1e2"),
                                                        new Json.Text(new Position(2, 14), "\u00e9\n")))),
                                new Json.Member(new Position(3, 2), "b", new Json.Null(new Position(3, 7))))));
    }

    @Example
    void nestingIsBounded() {
        assertThatThrownBy(() -> parse("[".repeat(100_000)))
                .isInstanceOf(JsonParser.SyntaxException.class)
                .hasMessage("nested more than 32 deep");
    }

    @Example
    void anAddressThatIsNoneIsRefused() {
        assertThatThrownBy(() -> Host.parse("tcp://0.:2376", true, Path.of("/run/skep.sock")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("\"0.\" is no IP address");
        readsOrRefuses("{\"hosts\": [\"tcp://0.:2376\"]}".getBytes(StandardCharsets.UTF_8));
    }

    @Property(tries = 2000)
    void anyBytesAreReadOrRefusedInOneLine(@ForAll byte[] bytes) {
        readsOrRefuses(bytes);
    }

    @Property(tries = 2000)
    void aDamagedFileIsReadOrRefusedInOneLine(@ForAll("damaged") String json) {
        readsOrRefuses(json.getBytes(StandardCharsets.UTF_8));
    }

    /** A sample with a piece cut out and another put in its place. */
    @Provide
    Arbitrary<String> damaged() {
        Arbitrary<Integer> places = Arbitraries.integers().between(0, SAMPLE.length());
        Arbitrary<String> pieces = Arbitraries.strings()
                .withChars("{}[]\",:\\0123456789.eE+-truefalsn \n\u0000\u00e9")
                .ofMaxLength(4);
        return net.jqwik.api.Combinators.combine(places, places, pieces)
                .as((a, b, piece) -> SAMPLE.substring(0, Math.min(a, b)) + piece + SAMPLE.substring(Math.max(a, b)));
    }

    private static void readsOrRefuses(byte[] bytes) {
        Path path = Path.of("/etc/skep/daemon.json");
        try {
            Surroundings surroundings = new Surroundings(java.util.Map.of(), false, Path.of("/root"), false);
            new Settings(ConfigurationFile.parse(path, bytes), java.util.Map.of(), surroundings).resolve();
        } catch (ConfigurationException mistake) {
            assertThat(mistake.getMessage()).startsWith(path + ":").doesNotContain("\n", "\u0000");
        }
    }

    private static Json parse(String text) throws JsonParser.SyntaxException {
        return JsonParser.parse(text.getBytes(StandardCharsets.UTF_8));
    }
}
