package io.skep.engine;

import io.skep.engine.image.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Instructions as in a Dockerfile that say what containers of an imported image do. */
final class ImageChanges {
    private static final String SHELL = "/bin/sh";

    private final Map<String, Object> config = new LinkedHashMap<>();
    private final List<String> environment = new ArrayList<>();
    private final Map<String, String> labels = new LinkedHashMap<>();
    private final Map<String, Object> ports = new LinkedHashMap<>();
    private final Map<String, Object> volumes = new LinkedHashMap<>();
    private final List<String> onBuild = new ArrayList<>();

    private ImageChanges() {}

    /**
     * Returns the configuration that instructions make, as a tree.
     *
     * @throws EngineException INVALID when one of them is not understood
     */
    static Map<String, Object> apply(List<String> changes) {
        ImageChanges made = new ImageChanges();
        for (String change : changes) {
            if (!change.isBlank()) {
                made.apply(change.strip());
            }
        }
        return made.tree();
    }

    private Map<String, Object> tree() {
        if (!environment.isEmpty()) {
            config.put("Env", environment);
        }
        if (!labels.isEmpty()) {
            config.put("Labels", labels);
        }
        if (!ports.isEmpty()) {
            config.put("ExposedPorts", ports);
        }
        if (!volumes.isEmpty()) {
            config.put("Volumes", volumes);
        }
        if (!onBuild.isEmpty()) {
            config.put("OnBuild", onBuild);
        }
        return config;
    }

    private void apply(String change) {
        int space = change.indexOf(' ');
        String instruction = (space < 0 ? change : change.substring(0, space)).toUpperCase(Locale.ROOT);
        String rest = space < 0 ? "" : change.substring(space).strip();
        switch (instruction) {
            case "CMD" -> config.put("Cmd", command(rest));
            case "ENTRYPOINT" -> config.put("Entrypoint", command(rest));
            case "ENV" -> pairs(instruction, rest).forEach((key, value) -> environment.add(key + "=" + value));
            case "LABEL" -> labels.putAll(pairs(instruction, rest));
            case "EXPOSE" -> {
                for (String port : words(rest)) {
                    ports.put(port.contains("/") ? port : port + "/tcp", Map.of());
                }
            }
            case "VOLUME" -> {
                for (String volume : rest.startsWith("[") ? list(rest) : words(rest)) {
                    volumes.put(volume, Map.of());
                }
            }
            case "USER" -> config.put("User", rest);
            case "WORKDIR" -> config.put("WorkingDir", rest);
            case "STOPSIGNAL" -> config.put("StopSignal", rest);
            case "ONBUILD" -> onBuild.add(rest);
            case "HEALTHCHECK" -> config.put("Healthcheck", Map.of("Test", healthCheck(rest)));
            default ->
                throw EngineException.invalid(instruction.toLowerCase(Locale.ROOT) + " is not a valid change command");
        }
    }

    private static List<String> healthCheck(String rest) {
        if (rest.equalsIgnoreCase("NONE")) {
            return List.of("NONE");
        }
        if (!rest.toUpperCase(Locale.ROOT).startsWith("CMD ")) {
            throw EngineException.invalid(
                    "HEALTHCHECK is understood as a change when it is NONE or CMD without options, not as: " + rest);
        }
        String command = rest.substring("CMD ".length()).strip();
        List<String> test = new ArrayList<>();
        if (command.startsWith("[")) {
            test.add("CMD");
            test.addAll(list(command));
        } else {
            test.add("CMD-SHELL");
            test.add(command);
        }
        return test;
    }

    private static List<String> command(String rest) {
        return rest.startsWith("[") ? list(rest) : List.of(SHELL, "-c", rest);
    }

    private static List<String> list(String rest) {
        try {
            return Json.parse(("{\"list\":" + rest + "}").getBytes(StandardCharsets.UTF_8))
                    .texts("list");
        } catch (IOException e) {
            throw EngineException.invalid("not a list of texts: " + rest);
        }
    }

    /** Reads {@code key=value} several times, or {@code key value} once. */
    private static Map<String, String> pairs(String instruction, String rest) {
        Map<String, String> pairs = new LinkedHashMap<>();
        List<String> words = words(rest);
        if (words.isEmpty()) {
            throw EngineException.invalid(instruction + " requires at least one argument");
        }
        if (words.getFirst().indexOf('=') < 0) {
            int space = rest.indexOf(' ');
            if (space < 0) {
                throw EngineException.invalid(instruction + " must have two arguments");
            }
            pairs.put(rest.substring(0, space), rest.substring(space).strip());
            return pairs;
        }
        for (String word : words) {
            int equals = word.indexOf('=');
            if (equals <= 0) {
                throw EngineException.invalid(
                        "Syntax error - can't find = in \"" + word + "\". Must be of the form: name=value");
            }
            pairs.put(word.substring(0, equals), word.substring(equals + 1));
        }
        return pairs;
    }

    /** Splits at blanks that are not in quotes, and takes the quotes away. */
    private static List<String> words(String text) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        boolean within = false;
        char quote = 0;
        for (int i = 0; i < text.length(); i++) {
            char each = text.charAt(i);
            if (quote != 0) {
                if (each == quote) {
                    quote = 0;
                } else if (each == '\\' && quote == '"' && i + 1 < text.length()) {
                    word.append(text.charAt(++i));
                } else {
                    word.append(each);
                }
            } else if (each == '"' || each == '\'') {
                quote = each;
                within = true;
            } else if (Character.isWhitespace(each)) {
                if (within) {
                    words.add(word.toString());
                    word.setLength(0);
                    within = false;
                }
            } else {
                word.append(each);
                within = true;
            }
        }
        if (within) {
            words.add(word.toString());
        }
        return words;
    }
}
