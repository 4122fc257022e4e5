package io.skep.cli;

import io.skep.daemon.config.Arguments;
import io.skep.daemon.config.LoadedConfiguration;
import io.skep.daemon.config.Surroundings;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Unmatched;

/** {@code skep config}: what skepd would be told. */
@Command(
        name = "config",
        description = "Explains the configuration of skepd.",
        synopsisSubcommandLabel = "COMMAND",
        mixinStandardHelpOptions = true)
final class ConfigCommand implements Runnable {
    @Spec
    private CommandSpec spec = CommandSpec.create();

    private ConfigCommand() {}

    static CommandLine commandLine(Terminal terminal) {
        return new CommandLine(new ConfigCommand()).addSubcommand(new Explain(terminal));
    }

    @Override
    public void run() {
        spec.commandLine().usage(spec.commandLine().getOut());
    }

    /** Prints the values in effect. */
    @Command(
            name = "explain",
            description = {
                "Prints each value in effect and where it comes from: the default, the environment, the configuration file"
                        + " or a flag.",
                "Takes the flags of skepd, so: skep config explain --config-file FILE -H fd://"
            },
            customSynopsis = "skep config explain [FLAGS OF SKEPD]",
            mixinStandardHelpOptions = true)
    private static final class Explain implements Runnable {
        private final Terminal terminal;

        @Unmatched
        private List<String> flags = new ArrayList<>();

        Explain(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public void run() {
            PrintWriter out = terminal.out();
            LoadedConfiguration loaded =
                    LoadedConfiguration.load(Arguments.parse(flags), Surroundings.ofThisProcess(false));
            out.println("configuration file: "
                    + loaded.file().map(Object::toString).orElse("none, there is no file at the default place"));
            out.print(loaded.explanation());
        }
    }
}
