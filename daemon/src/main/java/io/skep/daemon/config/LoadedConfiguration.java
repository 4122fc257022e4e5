package io.skep.daemon.config;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The configuration and the account of where it came from.
 *
 * @param file the configuration file that was read, or none
 * @param values all keys in their order, a line for each element of a list
 */
public record LoadedConfiguration(Configuration configuration, Optional<Path> file, List<Value> values) {
    public LoadedConfiguration {
        values = List.copyOf(values);
    }

    /**
     * A value in effect.
     *
     * @param text empty when nothing is set
     * @param sources where it was set, the weakest first
     */
    public record Value(String key, String text, List<Source> sources) {
        public Value {
            sources = List.copyOf(sources);
        }
    }

    /**
     * Reads the file and puts it together with the flags and the environment.
     *
     * @throws ConfigurationException at the first mistake
     */
    public static LoadedConfiguration load(Arguments arguments, Surroundings surroundings) {
        Path named = arguments.configurationFile();
        Path path = named == null ? surroundings.defaultConfigurationFile() : named;
        boolean read = named != null || Files.exists(path);
        Map<Key, List<Setting>> file = read ? ConfigurationFile.read(path) : Map.of();
        Settings settings = new Settings(file, arguments.flags(), surroundings);
        Configuration configuration = settings.resolve();
        List<Value> values = new ArrayList<>();
        settings.rows().forEach((key, rows) -> {
            if (rows.isEmpty()) {
                values.add(new Value(key.key, "", List.of(new Source.Default())));
            }
            rows.forEach(row -> values.add(new Value(key.key, row.value(), row.sources())));
        });
        return new LoadedConfiguration(configuration, read ? Optional.of(path) : Optional.empty(), values);
    }

    /** Returns the keys whose values differ in another one and take effect only at a start. */
    public List<String> changesThatNeedRestart(LoadedConfiguration other) {
        return Arrays.stream(Key.values())
                .filter(key -> !Key.RELOADABLE.contains(key))
                .map(key -> key.key)
                .filter(key -> !texts(key).equals(other.texts(key)))
                .toList();
    }

    private List<String> texts(String key) {
        return values.stream()
                .filter(value -> value.key().equals(key))
                .map(Value::text)
                .toList();
    }

    /** Returns a table of all values in effect: key, value, source. */
    public String explanation() {
        int keyWidth = width(Value::key);
        int valueWidth = width(Value::text);
        StringBuilder table = new StringBuilder();
        String format = "%-" + keyWidth + "s  %-" + valueWidth + "s  %s%n";
        table.append(String.format(format, "KEY", "VALUE", "SOURCE"));
        for (Value value : values) {
            String sources = value.sources().stream().map(Source::toString).collect(Collectors.joining(", "));
            table.append(String.format(format, value.key(), value.text().isEmpty() ? "-" : value.text(), sources));
        }
        return table.toString();
    }

    private int width(Function<Value, String> column) {
        return values.stream()
                .mapToInt(value -> column.apply(value).length())
                .max()
                .orElse(0);
    }
}
