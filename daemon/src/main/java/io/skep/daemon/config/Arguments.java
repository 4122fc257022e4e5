package io.skep.daemon.config;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** skepd's command line, which is dockerd's where the meaning is the same. */
public final class Arguments {
    private static final String HELP = "--help";
    private static final String VERSION = "--version";
    private static final String VALIDATE = "--validate";
    private static final String CONFIG_FILE = "--config-file";
    private static final int USAGE_COLUMNS = 110;

    private final boolean help;
    private final boolean version;
    private final boolean validate;
    private final @Nullable Path configurationFile;
    private final Map<Key, List<Setting>> flags;

    private Arguments(ParseResult result) {
        help = result.hasMatchedOption(HELP);
        version = result.hasMatchedOption(VERSION);
        validate = result.hasMatchedOption(VALIDATE);
        String path = result.matchedOptionValue(CONFIG_FILE, "");
        try {
            configurationFile = path.isEmpty() ? null : Path.of(path).toAbsolutePath();
        } catch (InvalidPathException e) {
            throw ConfigurationException.usage("flag " + CONFIG_FILE + ": \"" + path + "\": " + e.getReason());
        }
        flags = new EnumMap<>(Key.class);
        for (Key key : Key.values()) {
            if (result.hasMatchedOption(key.flag)) {
                List<Setting> settings = new ArrayList<>();
                for (String text : result.matchedOption(key.flag).originalStringValues()) {
                    settings.add(new Setting(text, new Source.Flag(key.flag)));
                }
                flags.put(key, settings);
            }
        }
    }

    /**
     * Parses the arguments; of a flag for one value that is there repeatedly the last holds.
     *
     * @throws ConfigurationException that is a usage mistake
     */
    public static Arguments parse(List<String> arguments) {
        for (String argument : arguments) {
            RefusedKey refused = RefusedKey.byFlag(argument);
            if (refused != null) {
                throw ConfigurationException.usage(
                        "Skep does not support the flag " + argument + ": " + refused.hint());
            }
        }
        CommandLine parser = parser();
        try {
            return new Arguments(parser.parseArgs(arguments.toArray(new String[0])));
        } catch (CommandLine.UnmatchedArgumentException e) {
            String first = e.getUnmatched().getFirst();
            if (!first.startsWith("-")) {
                throw ConfigurationException.usage("skepd takes only flags, so \"" + first + "\" is one word too many");
            }
            int equals = first.indexOf('=');
            String name = equals < 0 ? first : first.substring(0, equals);
            throw ConfigurationException.usage("unknown flag " + name + "; did you mean "
                    + Nearest.to(
                            name, parser.getCommandSpec().options().stream().map(OptionSpec::longestName))
                    + "?");
        } catch (CommandLine.ParameterException e) {
            String message = String.valueOf(e.getMessage());
            throw ConfigurationException.usage(message.lines().findFirst().orElse(message));
        }
    }

    /** Returns the text of {@code --help}. */
    public static String usage() {
        CommandLine parser = parser();
        parser.getCommandSpec()
                .usageMessage()
                .customSynopsis("skepd [FLAGS]")
                .header("A node of a swarm, driven by the docker command line.", "")
                .optionListHeading("%nFlags (those marked * may be repeated):%n")
                .footer("", "The same can be set in the configuration file: see docs/configuration.md.")
                .width(USAGE_COLUMNS);
        return parser.getUsageMessage(Help.Ansi.OFF);
    }

    /** Whether {@code --help} was asked for. */
    public boolean help() {
        return help;
    }

    /** Whether {@code --version} was asked for. */
    public boolean version() {
        return version;
    }

    /** Whether only the configuration is to be checked. */
    public boolean validate() {
        return validate;
    }

    @Nullable
    Path configurationFile() {
        return configurationFile;
    }

    Map<Key, List<Setting>> flags() {
        return flags;
    }

    private static CommandLine parser() {
        CommandSpec spec = CommandSpec.create().name("skepd");
        Stream.of(
                        OptionSpec.builder("-h", HELP).usageHelp(true).description("print this and exit"),
                        OptionSpec.builder("-v", VERSION).versionHelp(true).description("print the version and exit"),
                        OptionSpec.builder(VALIDATE)
                                .arity("0")
                                .type(boolean.class)
                                .description("check the configuration, print it with where each value came from, exit"),
                        OptionSpec.builder(CONFIG_FILE)
                                .arity("1")
                                .type(String.class)
                                .paramLabel("FILE")
                                .description("configuration file; without it "
                                        + Surroundings.ofThisProcess(false).defaultConfigurationFile()
                                        + " is read if it is there"))
                .forEach(option -> spec.addOption(option.build()));
        Arrays.stream(Key.values()).map(Arguments::option).forEach(spec::addOption);
        return new CommandLine(spec).setOverwrittenOptionsAllowed(true);
    }

    private static OptionSpec option(Key key) {
        OptionSpec.Builder option = OptionSpec.builder(key.flags());
        if (key.type == Key.Type.BOOLEAN) {
            option.arity("0..1").fallbackValue("true").type(String.class).hideParamSyntax(true);
        } else {
            option.arity("1").type(key.isList() ? String[].class : String.class);
        }
        return option.paramLabel(key.placeholder)
                .description((key.isList() ? "* " : "") + key.description)
                .build();
    }
}
