package io.skep.daemon.config;

import io.skep.daemon.config.Configuration.AddressPool;
import io.skep.daemon.config.Configuration.Endpoint;
import io.skep.daemon.config.Configuration.LogFormat;
import io.skep.daemon.config.Configuration.LogLevel;
import io.skep.daemon.config.Configuration.TlsMode;
import io.skep.engine.image.RegistrySettings;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.GenericResource;
import io.skep.wire.NamedGenericResource;
import java.net.InetAddress;
import java.net.URI;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The values that were written, turned into the typed ones that hold, with the source of each.
 *
 * <p>Precedence: a flag over the file, the file over the environment, that over the default. Lists add up, the file's
 * elements first, and equal elements collapse into one that knows all its sources; of two labels with one key the
 * flag's holds.
 */
final class Settings {
    private static final String RUNC = "runc";
    private static final Source DEFAULT = new Source.Default();
    private static final Duration LONGEST_SHUTDOWN = Duration.ofDays(1);
    private static final int SWARM_PORT = 2377;
    private static final Pattern RESOURCE = Pattern.compile("([^=,\\s]+)=([^=,\\s]+)");
    private static final Pattern INTEGER = Pattern.compile("-?[0-9]{1,10}");

    private final Map<Key, List<Setting>> file;
    private final Map<Key, List<Setting>> flags;
    private final Surroundings surroundings;
    private final Map<Key, List<Row>> rows = new EnumMap<>(Key.class);

    /** One line of the explanation: a value in effect and its sources. */
    record Row(String value, List<Source> sources) {}

    Settings(Map<Key, List<Setting>> file, Map<Key, List<Setting>> flags, Surroundings surroundings) {
        this.file = file;
        this.flags = flags;
        this.surroundings = surroundings;
    }

    /** Returns what is in effect for each key; complete after {@link #resolve()}. */
    Map<Key, List<Row>> rows() {
        return rows;
    }

    Configuration resolve() {
        Configuration.Tls tls = tls();
        boolean insecure = bool(Key.INSECURE_PLAIN_TCP, "false", DEFAULT);
        List<Host> hosts = hosts(tls.mode(), insecure);
        Setting group = single(Key.GROUP, "docker", DEFAULT);
        String pidFile = single(Key.PIDFILE, surroundings.defaultPidFile().toString(), DEFAULT)
                .text();
        Configuration.Log log = log();
        bool(Key.RAW_LOGS, "true", DEFAULT);
        return new Configuration(
                hosts,
                group.text(),
                !group.source().equals(DEFAULT),
                tls,
                insecure,
                path(Key.DATA_ROOT, surroundings.defaultDataRoot()),
                path(Key.EXEC_ROOT, surroundings.defaultExecRoot()),
                pidFile.isEmpty() ? Optional.empty() : Optional.of(absolute(Key.PIDFILE, pidFile)),
                labels(),
                resources(),
                parsed(Key.DEFAULT_ADDRESS_POOLS, Settings::pool),
                new Configuration.Swarm(
                        single(Key.SWARM_DEFAULT_ADVERTISE_ADDR, "", DEFAULT).text(),
                        single(Key.SWARM_ADVERTISE_ADDR, "", DEFAULT).text(),
                        parsed(Key.SWARM_MANAGERS, text -> endpoint(text, SWARM_PORT))),
                log,
                metricsAddress(),
                shutdownTimeout(),
                engine());
    }

    /** As with dockerd, to mention {@code tlsverify} at all, even as false, asks for TLS. */
    private Configuration.Tls tls() {
        String environment = surroundings.variables().getOrDefault("DOCKER_TLS_VERIFY", "");
        Setting verify = environment.isEmpty()
                ? single(Key.TLSVERIFY, "false", DEFAULT)
                : single(Key.TLSVERIFY, "true", new Source.Environment("DOCKER_TLS_VERIFY"));
        boolean verified = bool(Key.TLSVERIFY, verify);
        boolean mentioned = !verify.source().equals(DEFAULT);
        boolean asked = bool(Key.TLS, Boolean.toString(mentioned), verify.source());
        if (mentioned && !asked) {
            rows.put(Key.TLS, List.of(new Row("true", List.of(verify.source()))));
        }
        TlsMode mode = verified ? TlsMode.MUTUAL : asked || mentioned ? TlsMode.SERVER : TlsMode.OFF;
        Path folder = surroundings.defaultCertificates();
        Source folderSource =
                surroundings.variables().getOrDefault("DOCKER_CERT_PATH", "").isEmpty()
                        ? DEFAULT
                        : new Source.Environment("DOCKER_CERT_PATH");
        return new Configuration.Tls(
                mode,
                path(Key.TLSCACERT, folder.resolve("ca.pem"), folderSource),
                path(Key.TLSCERT, folder.resolve("cert.pem"), folderSource),
                path(Key.TLSKEY, folder.resolve("key.pem"), folderSource));
    }

    private List<Host> hosts(TlsMode mode, boolean insecure) {
        List<Setting> written = all(Key.HOSTS);
        if (written.isEmpty()) {
            String fallback = surroundings.inheritedSockets() ? "fd://" : "unix://" + surroundings.defaultSocket();
            Source source = surroundings.inheritedSockets() ? new Source.Environment("LISTEN_FDS") : DEFAULT;
            written = List.of(new Setting(fallback, source));
        }
        List<Host> hosts =
                parsed(Key.HOSTS, written, text -> Host.parse(text, mode != TlsMode.OFF, surroundings.defaultSocket()));
        for (int i = 0; i < hosts.size(); i++) {
            if (hosts.get(i) instanceof Host.Tcp tcp && mode != TlsMode.MUTUAL && !insecure && !tcp.isLoopback()) {
                String lack = mode == TlsMode.OFF ? "it has no TLS" : "it asks clients for no certificate";
                throw ConfigurationException.value(
                        rowsOf(Key.HOSTS).get(i).sources().getFirst() + ": " + tcp
                                + " would give everyone who reaches it full control, as " + lack
                                + "; set tlsverify with tlscacert, tlscert and tlskey, or allow it with --insecure-plain-tcp");
            }
        }
        return hosts;
    }

    private Map<String, String> labels() {
        Map<String, Setting> byKey = new LinkedHashMap<>();
        for (Setting label : all(Key.LABELS)) {
            int equals = label.text().indexOf('=');
            if (equals <= 0) {
                throw mistake(Key.LABELS, label, "KEY=VALUE is wanted");
            }
            Setting other = byKey.put(label.text().substring(0, equals), label);
            boolean sameRank =
                    other != null && other.source().getClass() == label.source().getClass();
            if (other != null && sameRank && !other.text().equals(label.text())) {
                throw mistake(Key.LABELS, label, "it conflicts with \"" + other.text() + "\"; remove one");
            }
        }
        Map<String, String> labels = new LinkedHashMap<>();
        List<Row> lines = new ArrayList<>();
        byKey.forEach((key, label) -> {
            labels.put(key, label.text().substring(key.length() + 1));
            lines.add(new Row(label.text(), List.of(label.source())));
        });
        rows.put(Key.LABELS, lines);
        return Collections.unmodifiableMap(labels);
    }

    private List<GenericResource> resources() {
        Map<String, Boolean> isAmount = new HashMap<>();
        return parsed(Key.NODE_GENERIC_RESOURCES, text -> {
            var match = RESOURCE.matcher(text);
            if (!match.matches()) {
                throw new IllegalArgumentException("KIND=NUMBER or KIND=NAME is wanted");
            }
            String kind = match.group(1);
            boolean amount = INTEGER.matcher(match.group(2)).matches();
            Boolean before = isAmount.put(kind, amount);
            if (before != null && (before || amount)) {
                throw new IllegalArgumentException(
                        "\"" + kind + "\" is there more than once, which only names may be, not amounts");
            }
            if (!amount) {
                return GenericResource.newBuilder()
                        .setNamedResourceSpec(
                                NamedGenericResource.newBuilder().setKind(kind).setValue(match.group(2)))
                        .build();
            }
            long value = Long.parseLong(match.group(2));
            if (value < 0) {
                throw new IllegalArgumentException("an amount is not negative");
            }
            return GenericResource.newBuilder()
                    .setDiscreteResourceSpec(
                            DiscreteGenericResource.newBuilder().setKind(kind).setValue(value))
                    .build();
        });
    }

    private Configuration.Log log() {
        Setting level = single(Key.LOG_LEVEL, "info", DEFAULT);
        LogLevel chosen = switch (level.text().toLowerCase(Locale.ROOT)) {
            case "trace" -> LogLevel.TRACE;
            case "debug" -> LogLevel.DEBUG;
            case "info" -> LogLevel.INFO;
            case "warn", "warning" -> LogLevel.WARN;
            case "error", "fatal", "panic" -> LogLevel.ERROR;
            default -> throw mistake(Key.LOG_LEVEL, level, "one of trace, debug, info, warn, error, fatal is wanted");
        };
        boolean debug = bool(Key.DEBUG, "false", DEFAULT);
        Setting format = single(Key.LOG_FORMAT, "text", DEFAULT);
        LogFormat chosenFormat = switch (format.text()) {
            case "text" -> LogFormat.TEXT;
            case "json" -> LogFormat.JSON;
            default -> throw mistake(Key.LOG_FORMAT, format, "text or json is wanted");
        };
        return new Configuration.Log(
                debug && chosen.compareTo(LogLevel.DEBUG) > 0 ? LogLevel.DEBUG : chosen, chosenFormat);
    }

    private Configuration.Engine engine() {
        Setting kind = single(Key.ENGINE, "containerd", DEFAULT);
        boolean wanted = switch (kind.text()) {
            case "containerd" -> true;
            case "none" -> false;
            default -> throw mistake(Key.ENGINE, kind, "containerd or none is wanted");
        };
        String containerd = single(Key.CONTAINERD, "", DEFAULT).text();
        Map<String, String> runtimes = new TreeMap<>();
        parsed(Key.RUNTIMES, text -> {
            int equals = text.indexOf('=');
            if (equals < 1 || equals == text.length() - 1) {
                throw new IllegalArgumentException("NAME=FILE is wanted");
            }
            String name = text.substring(0, equals);
            if (name.equals(RUNC)) {
                throw new IllegalArgumentException("the name runc is that of the runtime every node has; take another");
            }
            if (runtimes.put(name, text.substring(equals + 1)) != null) {
                throw new IllegalArgumentException("the runtime " + name + " is there more than once");
            }
            return text;
        });
        runtimes.put(RUNC, RUNC);
        Setting normal = single(Key.DEFAULT_RUNTIME, RUNC, DEFAULT);
        if (!runtimes.containsKey(normal.text())) {
            throw mistake(
                    Key.DEFAULT_RUNTIME, normal, "it is none of the runtimes " + String.join(", ", runtimes.keySet()));
        }
        return new Configuration.Engine(
                wanted,
                containerd,
                runtimes,
                normal.text(),
                single(Key.CGROUP_PARENT, "", DEFAULT).text(),
                registries());
    }

    private RegistrySettings registries() {
        RegistrySettings normal = RegistrySettings.DEFAULT;
        return new RegistrySettings(
                parsed(Key.REGISTRY_MIRRORS, text -> {
                    URI uri = URI.create(text);
                    if (!Set.of("http", "https").contains(String.valueOf(uri.getScheme())) || uri.getHost() == null) {
                        throw new IllegalArgumentException("an URL with http or https is wanted");
                    }
                    if (uri.getUserInfo() != null || uri.getQuery() != null || uri.getFragment() != null) {
                        throw new IllegalArgumentException("the URL may have neither a user, nor a query or fragment");
                    }
                    return text;
                }),
                parsed(Key.INSECURE_REGISTRIES, text -> {
                    if (text.contains("://")) {
                        throw new IllegalArgumentException("HOST, HOST:PORT or a network is wanted, without scheme");
                    }
                    return text;
                }),
                normal.certificates(),
                positive(Key.MAX_CONCURRENT_DOWNLOADS, normal.downloadsMax()),
                positive(Key.MAX_CONCURRENT_UPLOADS, normal.uploadsMax()),
                positive(Key.MAX_DOWNLOAD_ATTEMPTS, normal.attemptsMax()),
                normal.retryPause(),
                normal.silenceMax());
    }

    private int positive(Key key, int standard) {
        Setting number = single(key, Integer.toString(standard), DEFAULT);
        return convert(key, number, text -> {
            int value = Integer.parseInt(text);
            if (value < 1) {
                throw new IllegalArgumentException("a number above 0 is wanted");
            }
            return value;
        });
    }

    private Optional<Endpoint> metricsAddress() {
        Setting address = single(Key.METRICS_ADDR, "", DEFAULT);
        if (address.text().isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(convert(Key.METRICS_ADDR, address, text -> {
            Endpoint endpoint = endpoint(text, -1);
            if (endpoint.port() < 0) {
                throw new IllegalArgumentException("HOST:PORT is wanted");
            }
            return endpoint;
        }));
    }

    private Optional<Duration> shutdownTimeout() {
        Setting timeout = single(Key.SHUTDOWN_TIMEOUT, "15", DEFAULT);
        long seconds = INTEGER.matcher(timeout.text()).matches() ? Long.parseLong(timeout.text()) : -2;
        if (seconds < -1 || seconds > LONGEST_SHUTDOWN.toSeconds()) {
            throw mistake(
                    Key.SHUTDOWN_TIMEOUT,
                    timeout,
                    "whole seconds from 0 to " + LONGEST_SHUTDOWN.toSeconds() + " are wanted, or -1 for no limit");
        }
        return seconds < 0 ? Optional.empty() : Optional.of(Duration.ofSeconds(seconds));
    }

    private static AddressPool pool(String text) {
        Map<String, String> parts = new TreeMap<>();
        for (String part : text.split(",", -1)) {
            int equals = part.indexOf('=');
            if (equals < 0 || parts.put(part.substring(0, equals), part.substring(equals + 1)) != null) {
                throw new IllegalArgumentException("base=CIDR,size=BITS is wanted");
            }
        }
        String base = parts.remove("base");
        String size = parts.remove("size");
        if (base == null
                || size == null
                || !parts.isEmpty()
                || !INTEGER.matcher(size).matches()) {
            throw new IllegalArgumentException("base=CIDR,size=BITS is wanted");
        }
        int slash = base.indexOf('/');
        InetAddress address;
        try {
            address = InetAddress.ofLiteral(slash < 0 ? "" : base.substring(0, slash));
        } catch (IllegalArgumentException _) {
            throw new IllegalArgumentException("\"" + base + "\" is no network in CIDR notation, as 10.10.0.0/16 is");
        }
        String prefix = base.substring(slash + 1);
        int bits = address.getAddress().length * 8;
        if (!INTEGER.matcher(prefix).matches() || Long.parseLong(prefix) < 1 || Long.parseLong(prefix) > bits) {
            throw new IllegalArgumentException("\"" + base + "\" is no network in CIDR notation, as 10.10.0.0/16 is");
        }
        if (Long.parseLong(size) < Long.parseLong(prefix) || Long.parseLong(size) > bits) {
            throw new IllegalArgumentException(
                    "size is the prefix length of the subnets, so from " + prefix + " to " + bits);
        }
        return new AddressPool(base, Integer.parseInt(size));
    }

    private static Endpoint endpoint(String text, int defaultPort) {
        String bracketed =
                text.chars().filter(c -> c == ':').count() > 1 && !text.startsWith("[") ? "[" + text + "]" : text;
        URI uri;
        try {
            uri = URI.create("tcp://" + (bracketed.startsWith(":") ? "0.0.0.0" + bracketed : bracketed));
        } catch (IllegalArgumentException _) {
            throw new IllegalArgumentException("HOST:PORT is wanted, an IPv6 address in brackets");
        }
        String host = uri.getHost();
        boolean more = !String.valueOf(uri.getRawPath()).isEmpty() || uri.getUserInfo() != null;
        if (host == null || more || uri.getPort() > 65535) {
            throw new IllegalArgumentException("HOST:PORT is wanted, an IPv6 address in brackets, PORT up to 65535");
        }
        String address = host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
        return new Endpoint(address, uri.getPort() < 0 ? defaultPort : uri.getPort());
    }

    private List<Setting> all(Key key) {
        List<Setting> all = new ArrayList<>(file.getOrDefault(key, List.of()));
        all.addAll(flags.getOrDefault(key, List.of()));
        return all;
    }

    private <T> List<T> parsed(Key key, Function<String, T> parser) {
        return parsed(key, all(key), parser);
    }

    /** Parses and collapses equal values; their rows are in the same order. */
    private <T> List<T> parsed(Key key, List<Setting> written, Function<String, T> parser) {
        Map<T, LinkedHashSet<Source>> values = new LinkedHashMap<>();
        Map<String, T> known = new HashMap<>();
        for (Setting setting : written) {
            T value = known.get(setting.text());
            if (value == null) {
                value = convert(key, setting, parser);
                known.put(setting.text(), value);
            }
            values.computeIfAbsent(value, _ -> new LinkedHashSet<>()).add(setting.source());
        }
        List<Row> lines = new ArrayList<>();
        values.forEach((value, sources) -> lines.add(new Row(shown(value, written, known), List.copyOf(sources))));
        rows.put(key, lines);
        return List.copyOf(values.keySet());
    }

    /** Shows hosts and endpoints in their canonical form, the rest as it was written. */
    private static <T> String shown(T value, List<Setting> written, Map<String, T> known) {
        if (value instanceof Host || value instanceof Endpoint) {
            return value.toString();
        }
        return written.stream()
                .map(Setting::text)
                .filter(text -> value.equals(known.get(text)))
                .findFirst()
                .orElseThrow();
    }

    /** Takes the last flag, else the file's value, else the fallback. */
    private Setting single(Key key, String fallback, Source fallbackSource) {
        List<Setting> all = all(key);
        boolean emptied = !all.isEmpty() && all.getLast().text().isEmpty() && key != Key.PIDFILE;
        Setting setting = all.isEmpty() || emptied ? new Setting(fallback, fallbackSource) : all.getLast();
        rows.put(key, List.of(new Row(setting.text(), List.of(setting.source()))));
        return setting;
    }

    private boolean bool(Key key, String fallback, Source fallbackSource) {
        return bool(key, single(key, fallback, fallbackSource));
    }

    private static boolean bool(Key key, Setting setting) {
        return switch (setting.text()) {
            case "true" -> true;
            case "false" -> false;
            default -> throw mistake(key, setting, "true or false is wanted");
        };
    }

    private Path path(Key key, Path fallback) {
        return path(key, fallback, DEFAULT);
    }

    private Path path(Key key, Path fallback, Source fallbackSource) {
        return absolute(key, single(key, fallback.toString(), fallbackSource).text());
    }

    /** Relative paths are relative to the working folder, as with dockerd. */
    private Path absolute(Key key, String text) {
        try {
            return Path.of(text).toAbsolutePath().normalize();
        } catch (InvalidPathException e) {
            throw mistake(
                    key, new Setting(text, rowsOf(key).getFirst().sources().getFirst()), e.getReason());
        }
    }

    private List<Row> rowsOf(Key key) {
        @Nullable List<Row> lines = rows.get(key);
        return lines == null ? List.of() : lines;
    }

    private static <T> T convert(Key key, Setting setting, Function<String, T> parser) {
        try {
            return parser.apply(setting.text());
        } catch (InvalidPathException e) {
            throw mistake(key, setting, e.getReason());
        } catch (IllegalArgumentException e) {
            throw mistake(key, setting, String.valueOf(e.getMessage()));
        }
    }

    private static ConfigurationException mistake(Key key, Setting setting, String message) {
        String subject = setting.source() instanceof Source.Flag ? "" : key.key + ": ";
        return ConfigurationException.value(
                setting.source() + ": " + subject + "\"" + setting.text() + "\": " + message);
    }
}
