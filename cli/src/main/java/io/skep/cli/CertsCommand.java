package io.skep.cli;

import io.skep.certs.CertificateFolder;
import io.skep.certs.CertificateOptions;
import io.skep.certs.CredentialException;
import io.skep.certs.HostAddress;
import io.skep.certs.HostsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code skep certs}: certificates for the Docker API's mutual TLS. */
@Command(
        name = "certs",
        description = "Makes the certificates that secure the engines' API (port 2376).",
        synopsisSubcommandLabel = "COMMAND",
        mixinStandardHelpOptions = true)
final class CertsCommand implements Runnable {
    private static final String PASSPHRASE_VARIABLE = "SKEP_CA_PASSPHRASE";

    @Spec
    private CommandSpec spec = CommandSpec.create();

    private CertsCommand() {}

    static CommandLine commandLine(Terminal terminal) {
        return new CommandLine(new CertsCommand())
                .addSubcommand(new Init(terminal))
                .addSubcommand(new Server(terminal))
                .addSubcommand(new Client(terminal))
                .addSubcommand(new Fleet(terminal))
                .addSubcommand(new Show(terminal))
                .addSubcommand(new Renew(terminal));
    }

    @Override
    public void run() {
        spec.commandLine().usage(spec.commandLine().getOut());
    }

    /** Where everything is kept, and how its authority's key is opened. */
    private static final class Place {
        @Option(
                names = "--dir",
                paramLabel = "FOLDER",
                defaultValue = "skep-certs",
                description = "Folder of the authority and all it has certified (default: ./skep-certs).")
        private Path folder = Path.of("skep-certs");

        @Option(
                names = "--passphrase-file",
                paramLabel = "FILE",
                description = "File whose first line is the passphrase of the authority's key. Otherwise the variable "
                        + PASSPHRASE_VARIABLE + " is used, or you are asked.")
        private @Nullable Path passphraseFile;

        CertificateFolder open(Terminal terminal) throws CredentialException {
            return CertificateFolder.open(folder, keyFile -> {
                char[] given = given(terminal);
                return given != null ? given : terminal.secrets().ask("Passphrase of " + keyFile);
            });
        }

        /** The passphrase from the file or the environment; null when there is none. */
        char @Nullable [] given(Terminal terminal) throws CredentialException {
            String text = terminal.environment().get(PASSPHRASE_VARIABLE);
            String origin = "the variable " + PASSPHRASE_VARIABLE;
            if (passphraseFile != null) {
                origin = passphraseFile.toString();
                text = readFirstLine(passphraseFile);
            }
            if (text == null) {
                return null;
            }
            return requireUsable(text.toCharArray(), origin);
        }

        private static String readFirstLine(Path file) throws CredentialException {
            try {
                return Files.readString(file).lines().findFirst().orElse("");
            } catch (NoSuchFileException e) {
                throw new CredentialException("the passphrase file " + file + " does not exist", e);
            } catch (IOException e) {
                throw new CredentialException("the passphrase file " + file + " cannot be read as text", e);
            }
        }

        static char[] requireUsable(char[] passphrase, String origin) throws CredentialException {
            if (passphrase.length == 0) {
                throw new CredentialException(origin + " holds an empty passphrase; give one with characters in it");
            }
            return passphrase;
        }
    }

    /** How new certificates are made. */
    private static final class Making {
        private static final int MAXIMUM_DAYS = 36_500;

        @Option(names = "--rsa", description = "RSA keys of 3072 bits instead of ECDSA P-256.")
        private boolean rsa;

        @Option(
                names = "--days",
                paramLabel = "DAYS",
                defaultValue = "730",
                description = "How long it is valid (default: ${DEFAULT-VALUE}).")
        private int days;

        @Option(
                names = "--port",
                paramLabel = "PORT",
                defaultValue = "2376",
                description = "Port of the engines' API (default: ${DEFAULT-VALUE}).")
        private int port;

        @Option(
                names = "--install-dir",
                paramLabel = "FOLDER",
                defaultValue = "/etc/skep/certs",
                description = "Where machines will keep their certificates; stands in daemon.json"
                        + " (default: ${DEFAULT-VALUE}).")
        private String installFolder = "";

        @Option(names = "--replace", description = "Replace what exists already.")
        private boolean replace;

        CertificateOptions options() throws CredentialException {
            if (port < 1 || port > 65_535) {
                throw new CredentialException("--port " + port + " is no port; give 1 to 65535");
            }
            return new CertificateOptions(rsa, validity(days), port, installFolder, replace);
        }

        static Duration validity(int days) throws CredentialException {
            if (days < 1 || days > MAXIMUM_DAYS) {
                throw new CredentialException("--days " + days + " is out of range; give 1 to " + MAXIMUM_DAYS);
            }
            return Duration.ofDays(days);
        }
    }

    /** The first step: the authority. */
    @Command(
            name = "init",
            description = "Makes the authority that all other certificates come from.",
            mixinStandardHelpOptions = true)
    private static final class Init implements Callable<Integer> {
        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        @Option(names = "--passphrase", description = "Ask for a passphrase and encrypt the authority's key with it.")
        private boolean askPassphrase;

        @Option(names = "--rsa", description = "An RSA key of 3072 bits instead of ECDSA P-256.")
        private boolean rsa;

        @Option(
                names = "--days",
                paramLabel = "DAYS",
                defaultValue = "3650",
                description = "How long it is valid (default: ${DEFAULT-VALUE}).")
        private int days;

        private Init(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            char @Nullable [] passphrase = place.given(terminal);
            if (passphrase == null && askPassphrase) {
                passphrase = askTwice();
            }
            CertificateFolder.create(
                    place.folder,
                    rsa,
                    Making.validity(days),
                    passphrase,
                    terminal.clock().instant());
            terminal.out().println("Made the authority in " + place.folder + ":");
            terminal.out().println("  ca.pem      everybody may have it");
            terminal.out()
                    .println("  ca-key.pem  keep it secret: it opens every engine; "
                            + (passphrase == null
                                    ? "not encrypted (--passphrase would)"
                                    : "encrypted with your passphrase"));
            terminal.out()
                    .println("Next: skep certs server NAME --address ADDRESS, or for many: skep certs fleet FILE");
            return CommandLine.ExitCode.OK;
        }

        private char[] askTwice() throws CredentialException {
            char[] first =
                    Place.requireUsable(terminal.secrets().ask("Passphrase for the authority's key"), "your answer");
            if (!Arrays.equals(first, terminal.secrets().ask("The same again"))) {
                throw new CredentialException("the two passphrases differ; nothing was made, try again");
            }
            return first;
        }
    }

    /** One engine. */
    @Command(name = "server", description = "Makes the certificate of one engine.", mixinStandardHelpOptions = true)
    private static final class Server implements Callable<Integer> {
        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        @Mixin
        private Making making = new Making();

        @Parameters(paramLabel = "NAME", description = "The machine's name, such as pi-1.")
        private String name = "";

        @Option(
                names = "--address",
                paramLabel = "ADDRESS",
                required = true,
                split = ",",
                description = "DNS name or IP address by which clients call it; may be repeated.")
        private List<String> addresses = new ArrayList<>();

        private Server(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            List<HostAddress> parsed = new ArrayList<>();
            for (String address : addresses) {
                parsed.add(HostAddress.parse(address));
            }
            Path made = place.open(terminal)
                    .addServer(name, parsed, making.options(), terminal.clock().instant());
            terminal.out().println("Made " + made + ": copy it to " + name + " as " + making.installFolder);
            return CommandLine.ExitCode.OK;
        }
    }

    /** One person. */
    @Command(
            name = "client",
            description = "Makes the certificate of somebody who may command the engines.",
            mixinStandardHelpOptions = true)
    private static final class Client implements Callable<Integer> {
        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        @Mixin
        private Making making = new Making();

        @Parameters(paramLabel = "NAME", description = "The person's or program's name, such as alice.")
        private String name = "";

        @Option(
                names = "--host",
                paramLabel = "HOST",
                split = ",",
                description = "Engine to command: a machine made here, or an address; may be repeated"
                        + " (default: all machines made here).")
        private List<String> hosts = new ArrayList<>();

        private Client(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            Path made = place.open(terminal)
                    .addClient(name, hosts, making.options(), terminal.clock().instant());
            terminal.out().println("Made " + made + "; use it with one of these:");
            terminal.out().println("  bash, zsh:   source " + made.resolve("env.sh"));
            terminal.out().println("  PowerShell:  . " + made.resolve("env.ps1"));
            try (var contexts = Files.newDirectoryStream(made, "*.dockercontext")) {
                for (Path context : contexts) {
                    String engine = context.getFileName().toString().replace(".dockercontext", "");
                    terminal.out().println("  any shell:   docker context import " + engine + " " + context);
                }
            }
            return CommandLine.ExitCode.OK;
        }
    }

    /** Many engines. */
    @Command(
            name = "fleet",
            description = {
                "Makes all certificates for many machines: one folder for each, ready to copy.",
                "HOSTS_FILE has one line per machine: NAME ADDRESS [ADDRESS...]; # begins a comment."
            },
            mixinStandardHelpOptions = true)
    private static final class Fleet implements Callable<Integer> {
        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        @Mixin
        private Making making = new Making();

        @Parameters(paramLabel = "HOSTS_FILE", description = "The list of machines.")
        private Path hostsFile = Path.of("");

        private Fleet(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            List<HostsFile.Machine> machines = HostsFile.read(hostsFile);
            List<Path> made = place.open(terminal)
                    .addFleet(machines, making.options(), terminal.clock().instant());
            for (Path machine : made) {
                terminal.out()
                        .println("Made " + machine + ": copy it to " + machine.getFileName() + " as "
                                + making.installFolder + ", all but its folder client, which is for you");
            }
            int unchanged = machines.size() - made.size();
            if (unchanged > 0) {
                terminal.out()
                        .println(unchanged + " of " + machines.size() + " machines had their certificates already");
            }
            return CommandLine.ExitCode.OK;
        }
    }

    /** What there is. */
    @Command(name = "show", description = "Lists all certificates and when they end.", mixinStandardHelpOptions = true)
    private static final class Show implements Callable<Integer> {
        private static final String ROW = "%-24s %-9s %-10s %9s  %s";

        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        private Show(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            Instant now = terminal.clock().instant();
            List<CertificateFolder.Entry> entries = place.open(terminal).list();
            terminal.out().println(ROW.formatted("NAME", "KIND", "EXPIRES", "DAYS LEFT", "ADDRESSES"));
            for (CertificateFolder.Entry entry : entries) {
                long days = Duration.between(now, entry.notAfter()).toDays();
                terminal.out()
                        .println(ROW.formatted(
                                        entry.name(),
                                        entry.kind().name().toLowerCase(Locale.ROOT),
                                        day(entry.notAfter()),
                                        entry.notAfter().isBefore(now) ? "expired" : Long.toString(days),
                                        String.join(", ", entry.addresses()))
                                .stripTrailing());
            }
            return CommandLine.ExitCode.OK;
        }
    }

    /** The same again for longer. */
    @Command(
            name = "renew",
            description = {
                "Issues certificates anew for the same names and addresses: those named, or all that end soon.",
                "The authority itself is renewed only when named: skep certs renew ca"
            },
            mixinStandardHelpOptions = true)
    private static final class Renew implements Callable<Integer> {
        private final Terminal terminal;

        @Mixin
        private Place place = new Place();

        @Parameters(paramLabel = "NAME", arity = "0..*", description = "Machines or clients.")
        private List<String> names = new ArrayList<>();

        @Option(
                names = "--within",
                paramLabel = "DAYS",
                defaultValue = "30",
                description = "Without names: renew what ends within so many days (default: ${DEFAULT-VALUE}).")
        private int withinDays;

        @Option(names = "--new-keys", description = "Make new keys too; otherwise only certificates change.")
        private boolean newKeys;

        @Option(
                names = "--days",
                paramLabel = "DAYS",
                description = "How long it is valid from now (default: 730, the authority 3650).")
        private @Nullable Integer days;

        private Renew(Terminal terminal) {
            this.terminal = terminal;
        }

        @Override
        public Integer call() throws CredentialException, IOException {
            if (withinDays < 0) {
                throw new CredentialException("--within " + withinDays + " is out of range; give 0 or more");
            }
            List<CertificateFolder.Entry> renewed = place.open(terminal)
                    .renew(
                            names,
                            Duration.ofDays(withinDays),
                            newKeys,
                            days == null ? null : Making.validity(days),
                            terminal.clock().instant());
            for (CertificateFolder.Entry entry : renewed) {
                terminal.out().println("Renewed " + entry.file() + " until " + day(entry.notAfter()) + advice(entry));
            }
            if (renewed.isEmpty()) {
                terminal.out().println("Nothing ends within " + withinDays + " days");
            }
            return CommandLine.ExitCode.OK;
        }

        private String advice(CertificateFolder.Entry entry) {
            return switch (entry.kind()) {
                case AUTHORITY -> ": copy the new ca.pem to every machine and client";
                case SERVER ->
                    newKeys ? ": copy it and server-key.pem to " + entry.name() : ": copy it to " + entry.name();
                case CLIENT -> newKeys ? ": hand it and key.pem out" : ": hand it out";
            };
        }
    }

    private static String day(Instant instant) {
        return LocalDate.ofInstant(instant, ZoneOffset.UTC).toString();
    }
}
