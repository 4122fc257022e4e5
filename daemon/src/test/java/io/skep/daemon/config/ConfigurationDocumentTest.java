package io.skep.daemon.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The tables of docs/configuration.md are those of the code; as they should be they are written beside the classes. */
class ConfigurationDocumentTest {
    private static final Path DOCUMENT = Path.of("../docs/configuration.md");

    @Test
    void theTableOfKeysIsThatOfTheCode() throws IOException {
        assertTable(
                "keys",
                "| key | flag | value | default | reload | meaning |",
                Arrays.stream(Key.values()).map(ConfigurationDocumentTest::row).toList());
    }

    @Test
    void theTableOfRefusedKeysIsThatOfTheCode() throws IOException {
        assertTable(
                "refused",
                "| key | flag | instead |",
                RefusedKey.ALL.stream()
                        .map(refused -> "| " + code(refused.key() == null ? List.of() : List.of(refused.key())) + " | "
                                + code(refused.flags()) + " | " + refused.hint() + " |")
                        .sorted()
                        .toList());
    }

    private static String row(Key key) {
        Surroundings linux = new Surroundings(Map.of(), false, Path.of("~"), false);
        Settings settings = new Settings(Map.of(), Map.of(), linux);
        settings.resolve();
        String standard = settings.rows().getOrDefault(key, List.of()).stream()
                .map(Settings.Row::value)
                .map(value -> value.replace(Path.of("~").toAbsolutePath().toString(), "~"))
                .collect(Collectors.joining(", "));
        String placeholder = key.placeholder.isEmpty() ? "" : ", `" + key.placeholder.replace("|", "\\|") + "`";
        return "| `" + key.key + "` | " + code(List.of(key.flags())) + " | " + kind(key) + placeholder + " | "
                + (standard.isEmpty() ? "" : "`" + standard + "`") + " | "
                + (Key.RELOADABLE.contains(key) ? "yes" : "no") + " | " + key.description + " |";
    }

    private static String kind(Key key) {
        return switch (key.type) {
            case STRING -> "string";
            case BOOLEAN -> "boolean";
            case INTEGER -> "whole number";
            case STRINGS -> "array of strings";
            case RUNTIMES -> "object of `NAME: {\"path\": FILE}`";
            case POOLS -> "array of `{\"base\": CIDR, \"size\": BITS}`";
        };
    }

    private static String code(List<String> words) {
        return words.stream().map(word -> "`" + word + "`").collect(Collectors.joining(" "));
    }

    private static void assertTable(String name, String header, List<String> rows) throws IOException {
        String line = header.replaceAll("[^|]+", " --- ");
        String table = header + "\n" + line + "\n" + String.join("\n", rows) + "\n";
        Path expected = Path.of("target", "configuration-" + name + ".md");
        Files.writeString(expected, table);
        assertThat(Files.readString(DOCUMENT)).as("the table in %s", expected).contains(table);
    }
}
