package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.LogConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The kinds of logs there are, and the options each has. */
final class LogDrivers {
    /** The one that is used when a user names none. */
    static final String NORMAL = "json-file";

    /** Files that only the engine reads; what is in them is what is in json-file's. */
    private static final String LOCAL = "local";

    /** All there are. */
    static final List<String> NAMES = List.of(NORMAL, LOCAL, "none");

    private static final Set<String> FILE_OPTIONS = Set.of(
            "max-size",
            "max-file",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
            "mode",
            "max-buffer-size");
    private static final Set<String> LOCAL_OPTIONS = Set.of("max-size", "max-file", "compress");

    /**
     * What the driver local does unless its user says otherwise: its files are packed, and there are at most so many.
     */
    private static final Map<String, String> LOCAL_DEFAULTS =
            Map.of("max-size", "20m", "max-file", "5", "compress", "true");

    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([kmgKMG]?)[bB]?");

    private final ContainerFolder folder;

    LogDrivers(ContainerFolder folder) {
        this.folder = folder;
    }

    /** Refuses a kind of log or an option that is not known. */
    void check(LogConfig config) {
        switch (config.getType()) {
            case NORMAL -> check(config, FILE_OPTIONS);
            case LOCAL -> check(config, LOCAL_OPTIONS);
            case "none" -> {}
            default ->
                throw EngineException.invalid("logger: no log driver named '" + config.getType()
                        + "' is registered: this engine has " + String.join(", ", NAMES));
        }
    }

    private static void check(LogConfig config, Set<String> options) {
        for (String option : new TreeSet<>(config.getConfigMap().keySet())) {
            if (!options.contains(option)) {
                throw EngineException.invalid(
                        "unknown log opt '" + option + "' for " + config.getType() + " log driver");
            }
        }
        long size = sizeBytes(config);
        int files = files(config);
        if (files < 1) {
            throw EngineException.invalid("max-file cannot be less than 1");
        }
        if (files > 1 && size == 0) {
            throw EngineException.invalid("max-file must be used with max-size");
        }
    }

    /** Returns an option of a driver, or what stands for it. */
    private static String option(LogConfig config, String name, String normal) {
        return config.getConfigOrDefault(
                name, config.getType().equals(LOCAL) ? LOCAL_DEFAULTS.getOrDefault(name, normal) : normal);
    }

    /** Opens the log of a container. */
    ContainerLog open(ContainerRecord container) throws IOException {
        LogConfig config = container.getHostConfig().getLogConfig();
        if (config.getType().equals("none")) {
            return new NoLog();
        }
        return new JsonFileLog(
                file(container),
                sizeBytes(config),
                files(config),
                option(config, "compress", "false").equals("true"));
    }

    /** Returns where the log of a container is, as users are shown it. */
    Path file(ContainerRecord container) {
        return folder.of(container.getId()).resolve(container.getId() + "-json.log");
    }

    private static int files(LogConfig config) {
        String text = option(config, "max-file", "1");
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw EngineException.invalid("max-file \"" + text + "\" is no number");
        }
    }

    private static long sizeBytes(LogConfig config) {
        String text = option(config, "max-size", "");
        if (text.isEmpty() || text.equals("-1")) {
            return 0;
        }
        Matcher matcher = SIZE.matcher(text);
        if (!matcher.matches()) {
            throw EngineException.invalid("max-size \"" + text + "\" is no size: write a number with k, m or g");
        }
        long number = Long.parseLong(matcher.group(1));
        return switch (matcher.group(2).toLowerCase(Locale.ROOT)) {
            case "k" -> number << 10;
            case "m" -> number << 20;
            case "g" -> number << 30;
            default -> number;
        };
    }
}
