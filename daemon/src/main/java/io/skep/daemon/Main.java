package io.skep.daemon;

import io.skep.daemon.config.Arguments;
import io.skep.daemon.config.ConfigurationException;
import io.skep.daemon.config.LoadedConfiguration;
import io.skep.daemon.config.Surroundings;
import java.util.List;

/** The program skepd. */
public final class Main {
    private static final int SUCCESS = 0;
    private static final int FAILURE = 1;
    private static final int USAGE = 2;

    private Main() {}

    /** Runs until a signal ends it; exit code 1 for a mistake in the configuration or at start, 2 for a bad flag. */
    public static void main(String[] arguments) {
        System.exit(run(List.of(arguments)));
    }

    private static int run(List<String> words) {
        try {
            Arguments arguments = Arguments.parse(words);
            if (arguments.help()) {
                System.out.print(Arguments.usage());
                return SUCCESS;
            }
            if (arguments.version()) {
                System.out.println(Version.CURRENT.sentence());
                return SUCCESS;
            }
            ServiceManager serviceManager =
                    ServiceManager.of(System.getenv(), ProcessHandle.current().pid());
            Surroundings surroundings =
                    Surroundings.ofThisProcess(!serviceManager.sockets().isEmpty());
            LoadedConfiguration loaded = LoadedConfiguration.load(arguments, surroundings);
            if (arguments.validate()) {
                return validate(loaded);
            }
            StandardErrorLog.configure(loaded.configuration().log());
            return new Daemon(loaded, () -> LoadedConfiguration.load(arguments, surroundings), serviceManager)
                    .run(() -> {});
        } catch (ConfigurationException mistake) {
            System.err.println("skepd: " + mistake.getMessage());
            return mistake.isUsage() ? USAGE : FAILURE;
        } catch (StartException failure) {
            System.err.println("skepd: " + failure.getMessage());
            return FAILURE;
        }
    }

    private static int validate(LoadedConfiguration loaded) {
        loaded.file().ifPresent(file -> System.out.println("configuration file: " + file));
        System.out.print(loaded.explanation());
        loaded.configuration().missingFiles().forEach(file -> System.err.println("warning: " + file));
        System.err.println("configuration OK");
        return SUCCESS;
    }
}
