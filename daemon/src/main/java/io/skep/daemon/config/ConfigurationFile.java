package io.skep.daemon.config;

import io.skep.daemon.config.Json.Position;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The strict reader of {@code daemon.json}. Every key must be known and of its type. As with Docker, an empty string
 * counts as not set: Docker's documented example is full of them.
 */
final class ConfigurationFile {
    /** More than any real file has; whoever points {@code --config-file} at something else learns so at once. */
    private static final int MAXIMUM_BYTES = 1024 * 1024;

    private static final Map<String, Key> KEYS = new HashMap<>();

    static {
        for (Key key : Key.values()) {
            KEYS.put(key.key, key);
        }
    }

    private final Path path;
    private final Map<Key, List<Setting>> settings = new EnumMap<>(Key.class);

    private ConfigurationFile(Path path) {
        this.path = path;
    }

    /** Reads a file that must be there. */
    static Map<Key, List<Setting>> read(Path path) {
        byte[] bytes;
        try {
            if (Files.isRegularFile(path) && Files.size(path) > MAXIMUM_BYTES) {
                throw ConfigurationException.value(path + ": more than " + MAXIMUM_BYTES
                        + " bytes, so this is no configuration file; check --config-file");
            }
            bytes = Files.readAllBytes(path);
        } catch (NoSuchFileException e) {
            throw ConfigurationException.value(
                    path + ": there is no such configuration file; create it or check --config-file");
        } catch (AccessDeniedException e) {
            throw ConfigurationException.value(path + ": may not be read by this user; check its owner and mode");
        } catch (IOException e) {
            throw ConfigurationException.value(path + ": cannot be read: " + e.getMessage());
        }
        return parse(path, bytes);
    }

    static Map<Key, List<Setting>> parse(Path path, byte[] bytes) {
        ConfigurationFile file = new ConfigurationFile(path);
        Json document;
        try {
            document = JsonParser.parse(bytes);
        } catch (JsonParser.SyntaxException e) {
            throw file.mistake(e.position(), String.valueOf(e.getMessage()));
        }
        if (!(document instanceof Json.Members(Position _, List<Json.Member> members))) {
            throw file.mistake(document.position(), "the file must hold one JSON object, not " + document.typeName());
        }
        members.forEach(file::add);
        return file.settings;
    }

    private void add(Json.Member member) {
        Key key = KEYS.get(member.name());
        if (key == null) {
            throw mistake(member.position(), refusal(member.name()));
        }
        List<Setting> values = new ArrayList<>();
        switch (key.type) {
            case STRING -> {
                String text = text(key, member.value(), "\"" + key.key + "\"");
                if (!text.isEmpty()) {
                    values.add(setting(member.value(), text));
                }
            }
            case BOOLEAN -> {
                if (!(member.value() instanceof Json.Bool(Position _, boolean value))) {
                    throw wrongType(key, member.value());
                }
                values.add(setting(member.value(), Boolean.toString(value)));
            }
            case INTEGER -> {
                if (!(member.value() instanceof Json.Numeral(Position _, String value))) {
                    throw wrongType(key, member.value());
                }
                values.add(setting(member.value(), value));
            }
            case STRINGS -> {
                for (Json element : elements(key, member.value())) {
                    values.add(setting(element, text(key, element, "each element of \"" + key.key + "\"")));
                }
            }
            case POOLS -> {
                for (Json element : elements(key, member.value())) {
                    values.add(setting(element, pool(key, element)));
                }
            }
            case RUNTIMES -> {
                if (!(member.value() instanceof Json.Members(Position _, List<Json.Member> runtimes))) {
                    throw wrongType(key, member.value());
                }
                for (Json.Member runtime : runtimes) {
                    values.add(setting(runtime.value(), runtime.name() + "=" + runtimePath(runtime)));
                }
            }
        }
        if (!values.isEmpty()) {
            settings.put(key, values);
        }
    }

    private String refusal(String name) {
        RefusedKey refused = RefusedKey.byKey(name);
        if (refused != null) {
            return "Skep does not support \"" + name + "\": " + refused.hint();
        }
        Stream<String> supported = Arrays.stream(Key.values()).map(key -> key.key);
        Stream<String> docker = RefusedKey.ALL.stream().map(RefusedKey::key).flatMap(Stream::ofNullable);
        return "unknown key \"" + name + "\"; did you mean \"" + Nearest.to(name, Stream.concat(supported, docker))
                + "\"?";
    }

    private List<Json> elements(Key key, Json value) {
        if (!(value instanceof Json.Array(Position _, List<Json> elements))) {
            throw wrongType(key, value);
        }
        return elements;
    }

    private String text(Key key, Json value, String what) {
        if (value instanceof Json.Text(Position _, String text)) {
            return text;
        }
        if (key.isList()) {
            throw mistake(value.position(), what + " must be a string, not " + value.typeName());
        }
        throw wrongType(key, value);
    }

    /** Turns {@code {"base": "10.0.0.0/8", "size": 24}} into the form that the flag has. */
    private String pool(Key key, Json element) {
        if (!(element instanceof Json.Members(Position _, List<Json.Member> members))) {
            throw mistake(
                    element.position(),
                    "each element of \"" + key.key + "\" must be an object, not " + element.typeName());
        }
        List<String> parts = new ArrayList<>();
        for (Json.Member member : members) {
            String value = switch (member.value()) {
                case Json.Text(Position _, String text) when member.name().equals("base") -> text;
                case Json.Numeral(Position _, String text) when member.name().equals("size") -> text;
                default ->
                    throw mistake(
                            member.position(),
                            "an element of \"" + key.key
                                    + "\" has a \"base\" (string) and a \"size\" (number), not \""
                                    + member.name() + "\" as " + member.value().typeName());
            };
            parts.add(member.name() + "=" + value);
        }
        return String.join(",", parts);
    }

    private String runtimePath(Json.Member runtime) {
        if (!(runtime.value() instanceof Json.Members(Position _, List<Json.Member> members))) {
            throw mistake(
                    runtime.value().position(),
                    "the runtime \"" + runtime.name() + "\" must be an object, not "
                            + runtime.value().typeName());
        }
        String path = "";
        for (Json.Member member : members) {
            if (!(member.name().equals("path") && member.value() instanceof Json.Text(Position _, String text))) {
                throw mistake(
                        member.position(),
                        "a runtime has a \"path\" (string), not \"" + member.name() + "\" as "
                                + member.value().typeName());
            }
            path = text;
        }
        if (path.isEmpty()) {
            throw mistake(runtime.value().position(), "the runtime \"" + runtime.name() + "\" has no \"path\"");
        }
        return path;
    }

    private Setting setting(Json at, String text) {
        return new Setting(
                text, new Source.File(path, at.position().line(), at.position().column()));
    }

    private ConfigurationException wrongType(Key key, Json value) {
        return mistake(
                value.position(), "\"" + key.key + "\" must be " + key.type.description + ", not " + value.typeName());
    }

    private ConfigurationException mistake(Position position, String message) {
        return ConfigurationException.value(path + ":" + position.line() + ":" + position.column() + ": " + message);
    }
}
