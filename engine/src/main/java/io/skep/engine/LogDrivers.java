package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.LogConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The kinds of logs there are, and the options each has. */
final class LogDrivers {
    /** The one that is used when a user names none. */
    static final String NORMAL = "json-file";

    /** All there are. */
    static final List<String> NAMES = List.of(NORMAL, "none");

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
    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})([kmgKMG]?)[bB]?");

    private final ContainerFolder folder;

    LogDrivers(ContainerFolder folder) {
        this.folder = folder;
    }

    /** Refuses a kind of log or an option that is not known. */
    void check(LogConfig config) {
        switch (config.getType()) {
            case "json-file" -> {
                for (String option : new TreeSet<>(config.getConfigMap().keySet())) {
                    if (!FILE_OPTIONS.contains(option)) {
                        throw EngineException.invalid("unknown log opt '" + option + "' for json-file log driver");
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
            case "none" -> {}
            default ->
                throw EngineException.invalid("logger: no log driver named '" + config.getType()
                        + "' is registered: this engine has json-file and none");
        }
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
                config.getConfigOrDefault("compress", "false").equals("true"));
    }

    /** Returns where the log of a container is, as users are shown it. */
    Path file(ContainerRecord container) {
        return folder.of(container.getId()).resolve(container.getId() + "-json.log");
    }

    private static int files(LogConfig config) {
        String text = config.getConfigOrDefault("max-file", "1");
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw EngineException.invalid("max-file \"" + text + "\" is no number");
        }
    }

    private static long sizeBytes(LogConfig config) {
        String text = config.getConfigOrDefault("max-size", "");
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
