package io.skep.daemon.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.daemon.config.Configuration.AddressPool;
import io.skep.daemon.config.Configuration.Endpoint;
import io.skep.daemon.config.Configuration.LogFormat;
import io.skep.daemon.config.Configuration.LogLevel;
import io.skep.daemon.config.Configuration.TlsMode;
import io.skep.engine.image.RegistrySettings;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.GenericResource;
import io.skep.wire.NamedGenericResource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigurationTest {
    /** Each key with a value that is not its default; a new key fails {@link #fullMapping()} until it is here. */
    private static final String EVERYTHING = """
            {
              "hosts": ["tcp://0.0.0.0:2376", "fd://api", "unix:///run/x.sock"],
              "group": "wheel",
              "tls": true,
              "tlsverify": true,
              "tlscacert": "/certs/docker-ca.pem",
              "tlscert": "/certs/server-cert.pem",
              "tlskey": "/certs/server-key.pem",
              "insecure-plain-tcp": true,
              "data-root": "/srv/skep",
              "exec-root": "/run/other",
              "pidfile": "/run/other.pid",
              "labels": ["zone=a", "disk=ssd=fast"],
              "node-generic-resources": ["gpu=UUID1", "gpu=UUID2", "slots=3"],
              "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}],
              "swarm-default-advertise-addr": "eth1",
              "swarm-advertise-addr": "10.0.0.9",
              "swarm-managers": ["10.0.0.1", "manager.example:2400", "fd00::1"],
              "debug": true,
              "log-level": "error",
              "log-format": "json",
              "raw-logs": true,
              "metrics-addr": "127.0.0.1:9323",
              "shutdown-timeout": 30,
              "engine": "none",
              "containerd": "/run/containerd/containerd.sock",
              "runtimes": {"crun": {"path": "/usr/bin/crun"}},
              "default-runtime": "crun",
              "cgroup-parent": "/skep",
              "registry-mirrors": ["https://mirror.example"],
              "insecure-registries": ["registry.example:5000", "10.0.0.0/8"],
              "max-concurrent-downloads": 2,
              "max-concurrent-uploads": 4,
              "max-download-attempts": 7
            }
            """;

    private static final Configuration EVERYTHING_RESOLVED = new Configuration(
            List.of(new Host.Tcp("0.0.0.0", 2376), new Host.Inherited("api"), new Host.Unix(Path.of("/run/x.sock"))),
            "wheel",
            true,
            new Configuration.Tls(
                    TlsMode.MUTUAL,
                    Path.of("/certs/docker-ca.pem"),
                    Path.of("/certs/server-cert.pem"),
                    Path.of("/certs/server-key.pem")),
            true,
            Path.of("/srv/skep"),
            Path.of("/run/other"),
            Optional.of(Path.of("/run/other.pid")),
            Map.of("zone", "a", "disk", "ssd=fast"),
            List.of(
                    named("gpu", "UUID1"),
                    named("gpu", "UUID2"),
                    GenericResource.newBuilder()
                            .setDiscreteResourceSpec(DiscreteGenericResource.newBuilder()
                                    .setKind("slots")
                                    .setValue(3))
                            .build()),
            List.of(new AddressPool("10.10.0.0/16", 24)),
            new Configuration.Swarm(
                    "eth1",
                    "10.0.0.9",
                    List.of(
                            new Endpoint("10.0.0.1", 2377),
                            new Endpoint("manager.example", 2400),
                            new Endpoint("fd00::1", 2377))),
            new Configuration.Log(LogLevel.DEBUG, LogFormat.JSON),
            Optional.of(new Endpoint("127.0.0.1", 9323)),
            Optional.of(Duration.ofSeconds(30)),
            new Configuration.Engine(
                    false,
                    "/run/containerd/containerd.sock",
                    Map.of("runc", "runc", "crun", "/usr/bin/crun"),
                    "crun",
                    "/skep",
                    new RegistrySettings(
                            List.of("https://mirror.example"),
                            List.of("registry.example:5000", "10.0.0.0/8"),
                            RegistrySettings.DEFAULT.certificates(),
                            2,
                            4,
                            7,
                            RegistrySettings.DEFAULT.retryPause(),
                            RegistrySettings.DEFAULT.silenceMax())));

    private static final Surroundings LINUX = new Surroundings(Map.of(), false, Path.of("/root"), false);

    @TempDir
    Path folder;

    @Test
    void defaults() {
        assertThat(load("{}").configuration())
                .isEqualTo(new Configuration(
                        List.of(new Host.Unix(Path.of("/var/run/docker.sock"))),
                        "docker",
                        false,
                        new Configuration.Tls(
                                TlsMode.OFF,
                                Path.of("/root/.docker/ca.pem"),
                                Path.of("/root/.docker/cert.pem"),
                                Path.of("/root/.docker/key.pem")),
                        false,
                        Path.of("/var/lib/skep"),
                        Path.of("/run/skep"),
                        Optional.of(Path.of("/run/skepd.pid")),
                        Map.of(),
                        List.of(),
                        List.of(),
                        new Configuration.Swarm("", "", List.of()),
                        new Configuration.Log(LogLevel.INFO, LogFormat.TEXT),
                        Optional.empty(),
                        Optional.of(Duration.ofSeconds(15)),
                        new Configuration.Engine(
                                true, "", Map.of("runc", "runc"), "runc", "", RegistrySettings.DEFAULT)));
    }

    @Test
    void defaultsAreExplainedAsSuch() {
        assertThat(load("{}").values())
                .allSatisfy(value -> assertThat(value.sources()).containsExactly(new Source.Default()))
                .extracting(LoadedConfiguration.Value::key)
                .containsExactlyElementsOf(
                        Arrays.stream(Key.values()).map(key -> key.key).toList());
    }

    @Test
    void fullMapping() {
        LoadedConfiguration loaded = load(EVERYTHING);
        assertThat(loaded.configuration()).isEqualTo(EVERYTHING_RESOLVED);
        assertThat(loaded.values())
                .as("each key is in the sample, so none has its default")
                .allSatisfy(value -> assertThat(value.sources()).singleElement().isInstanceOf(Source.File.class));
    }

    @Test
    void fullMappingByFlags() {
        LoadedConfiguration loaded = load(
                "{}",
                "-H=tcp://0.0.0.0:2376",
                "-H",
                "fd://api",
                "--host",
                "unix:///run/x.sock",
                "-G",
                "wheel",
                "--tls",
                "--tlsverify",
                "--tlscacert=/certs/docker-ca.pem",
                "--tlscert=/certs/server-cert.pem",
                "--tlskey=/certs/server-key.pem",
                "--insecure-plain-tcp",
                "--data-root=/srv/skep",
                "--exec-root=/run/other",
                "-p",
                "/run/other.pid",
                "--label=zone=a",
                "--label=disk=ssd=fast",
                "--node-generic-resource=gpu=UUID1",
                "--node-generic-resource=gpu=UUID2",
                "--node-generic-resource=slots=3",
                "--default-address-pool=base=10.10.0.0/16,size=24",
                "--swarm-default-advertise-addr=eth1",
                "--swarm-advertise-addr=10.0.0.9",
                "--swarm-manager=10.0.0.1",
                "--swarm-manager=manager.example:2400",
                "--swarm-manager=fd00::1",
                "-D",
                "-l",
                "error",
                "--log-format=json",
                "--raw-logs",
                "--metrics-addr=127.0.0.1:9323",
                "--shutdown-timeout=30",
                "--engine=none",
                "--containerd=/run/containerd/containerd.sock",
                "--add-runtime=crun=/usr/bin/crun",
                "--default-runtime=crun",
                "--cgroup-parent=/skep",
                "--registry-mirror=https://mirror.example",
                "--insecure-registry=registry.example:5000",
                "--insecure-registry=10.0.0.0/8",
                "--max-concurrent-downloads=2",
                "--max-concurrent-uploads=4",
                "--max-download-attempts=7");
        assertThat(loaded.configuration()).isEqualTo(EVERYTHING_RESOLVED);
        assertThat(loaded.values())
                .allSatisfy(value -> assertThat(value.sources()).singleElement().isInstanceOf(Source.Flag.class));
    }

    @Test
    void runtimesAreKnownByName() {
        assertThat(load("{\"runtimes\": {\"a\": {\"path\": \"/a\"}}}", "--add-runtime=b=/b")
                        .configuration()
                        .engine()
                        .runtimes())
                .isEqualTo(Map.of("runc", "runc", "a", "/a", "b", "/b"));
        assertThatThrownBy(() -> load("{\"default-runtime\": \"kata\"}"))
                .hasMessageContaining("\"kata\": it is none of the runtimes runc");
        assertThatThrownBy(() -> load("{\"runtimes\": {\"a\": {\"path\": \"/a\", \"runtimeArgs\": []}}}"))
                .hasMessageContaining("not \"runtimeArgs\" as");
        assertThatThrownBy(() -> load("{\"engine\": \"podman\"}")).hasMessageContaining("containerd or none is wanted");
    }

    @Test
    void aFlagHoldsOverTheFileAndTheFileOverTheEnvironment() {
        Surroundings environment = new Surroundings(
                Map.of("DOCKER_TLS_VERIFY", "1", "DOCKER_CERT_PATH", "/env"), false, Path.of("/root"), false);
        LoadedConfiguration loaded = load(
                "{\"tlscacert\": \"/file/ca.pem\", \"tlscert\": \"/file/cert.pem\"}",
                environment,
                "--tlscert=/flag/cert.pem");
        assertThat(loaded.configuration().tls())
                .isEqualTo(new Configuration.Tls(
                        TlsMode.MUTUAL, Path.of("/file/ca.pem"), Path.of("/flag/cert.pem"), Path.of("/env/key.pem")));
        assertThat(sources(loaded, "tlsverify")).isEqualTo("environment DOCKER_TLS_VERIFY");
        assertThat(sources(loaded, "tlscacert")).isEqualTo(file() + ":1:15");
        assertThat(sources(loaded, "tlscert")).isEqualTo("flag --tlscert");
        assertThat(sources(loaded, "tlskey")).isEqualTo("environment DOCKER_CERT_PATH");
        assertThat(sources(loaded, "data-root")).isEqualTo("default");
    }

    @Test
    void hostsOfFileAndFlagsAddUpAndCollapse() {
        LoadedConfiguration loaded = load(
                "{\"tlsverify\": true, \"hosts\": [\"tcp://0.0.0.0:2376\", \"fd://\"]}",
                "-H=fd://*",
                "-H=tcp://0.0.0.0",
                "-H=unix://");
        assertThat(loaded.configuration().hosts())
                .containsExactly(
                        new Host.Tcp("0.0.0.0", 2376),
                        new Host.Inherited(""),
                        new Host.Unix(Path.of("/var/run/docker.sock")));
        assertThat(sources(loaded, "hosts"))
                .isEqualTo(file() + ":1:31, flag --host; " + file() + ":1:53, flag --host; flag --host");
    }

    @Test
    void theFilesSocketsAreServedWhenNobodySaysWhereToListen() {
        Surroundings activated = new Surroundings(Map.of(), false, Path.of("/root"), true);
        assertThat(load("{}", activated).configuration().hosts()).containsExactly(new Host.Inherited(""));
        assertThat(load("{}", activated, "-H=unix:///x").configuration().hosts())
                .containsExactly(new Host.Unix(Path.of("/x")));
    }

    @Test
    void aFlagReplacesTheLabelOfTheSameKey() {
        LoadedConfiguration loaded = load("{\"labels\": [\"zone=a\", \"disk=ssd\"]}", "--label=zone=b");
        assertThat(loaded.configuration().labels()).isEqualTo(Map.of("zone", "b", "disk", "ssd"));
        assertThat(sources(loaded, "labels")).isEqualTo("flag --label; " + file() + ":1:23");
    }

    @Test
    void theLastOfAFlagHolds() {
        assertThat(load("{\"debug\": true}", "-D", "--debug=false", "--data-root=/a", "--data-root=/b")
                        .configuration())
                .satisfies(configuration -> {
                    assertThat(configuration.log().level()).isEqualTo(LogLevel.INFO);
                    assertThat(configuration.dataRoot()).isEqualTo(Path.of("/b"));
                });
    }

    /** Docker's documented example sets most keys to the empty string, which means nothing there. */
    @Test
    void anEmptyStringInTheFileIsNoValue() {
        Configuration empty = load("{\"data-root\": \"\", \"exec-root\": \"\", \"pidfile\": \"\", \"log-level\": \"\","
                        + " \"tlscacert\": \"\", \"swarm-default-advertise-addr\": \"\", \"hosts\": [], \"labels\": []}")
                .configuration();
        assertThat(empty).isEqualTo(load("{}").configuration());
    }

    @Test
    void noPidFileOnRequest() {
        assertThat(load("{}", "--pidfile=").configuration().pidFile()).isEmpty();
    }

    @Test
    void theDefaultFileMayBeMissingButANamedOneMayNot() {
        assertThat(LoadedConfiguration.load(Arguments.parse(List.of()), windows())
                        .file())
                .isEmpty();
        Path missing = folder.resolve("missing.json");
        assertThatThrownBy(() ->
                        LoadedConfiguration.load(Arguments.parse(List.of("--config-file", missing.toString())), LINUX))
                .hasMessage(missing + ": there is no such configuration file; create it or check --config-file");
    }

    @Test
    void windowsHasItsOwnPlaces() {
        Configuration configuration =
                LoadedConfiguration.load(Arguments.parse(List.of()), windows()).configuration();
        assertThat(windows().defaultConfigurationFile()).isEqualTo(folder.resolve("skep/daemon.json"));
        assertThat(configuration.dataRoot()).isEqualTo(folder.resolve("skep/data"));
        assertThat(configuration.hosts()).containsExactly(new Host.Unix(folder.resolve("skep/skep.sock")));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{}                                     | OFF",
                "{\"tls\": true}                        | SERVER",
                "{\"tls\": false}                       | OFF",
                "{\"tlsverify\": true}                  | MUTUAL",
                "{\"tlsverify\": false}                 | SERVER",
                "{\"tls\": false, \"tlsverify\": true}  | MUTUAL",
                "{\"tls\": true, \"tlsverify\": false}  | SERVER",
            })
    void tlsAsDockerMeansIt(String json, TlsMode mode) {
        LoadedConfiguration loaded = load(json);
        assertThat(loaded.configuration().tls().mode()).isEqualTo(mode);
        String tls = loaded.values().stream()
                .filter(value -> value.key().equals("tls"))
                .map(LoadedConfiguration.Value::text)
                .findFirst()
                .orElseThrow();
        assertThat(tls).isEqualTo(mode == TlsMode.OFF ? "false" : "true");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "tcp://127.0.0.1:2375   |                       | true",
                "tcp://localhost        |                       | true",
                "tcp://[::1]:2375       |                       | true",
                ":2375                  |                       | true",
                "tcp://0.0.0.0:2375     |                       | false",
                "tcp://[::]:2375        |                       | false",
                "tcp://192.0.2.1        |                       | false",
                "tcp://board.local:2375 |                       | false",
                "tcp://127.evil.test    |                       | false",
                "tcp://0.0.0.0:2376     | --tls                 | false",
                "tcp://0.0.0.0:2376     | --tlsverify=false     | false",
                "tcp://0.0.0.0:2376     | --tlsverify           | true",
                "tcp://0.0.0.0:2375     | --insecure-plain-tcp  | true",
            })
    void noOpenPortBeyondThisMachine(String host, String flag, boolean allowed) {
        String[] flags = flag == null ? new String[] {"-H", host} : new String[] {"-H", host, flag};
        if (allowed) {
            assertThat(load("{}", flags).configuration().hosts()).hasSize(1);
        } else {
            assertThatThrownBy(() -> load("{}", flags))
                    .isInstanceOf(ConfigurationException.class)
                    .hasMessageStartingWith("flag --host: tcp://")
                    .hasMessageContaining("full control")
                    .hasMessageContaining("tlsverify")
                    .hasMessageEndingWith("--insecure-plain-tcp");
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"tlsverfy\": true}            | 1:2: unknown key \"tlsverfy\"; did you mean \"tlsverify\"?",
                "{\"host\": []}                  | 1:2: unknown key \"host\"; did you mean \"hosts\"?",
                "{\"storage-drivers\": \"x\"}    | 1:2: unknown key \"storage-drivers\"; did you mean \"storage-driver\"?",
                "{\"hosts\": \"fd://\"}          | 1:11: \"hosts\" must be an array of strings, not a string",
                "{\"hosts\": [1]}                | 1:12: each element of \"hosts\" must be a string, not a number",
                "{\"tlsverify\": \"true\"}       | 1:15: \"tlsverify\" must be a boolean, not a string",
                "{\"data-root\": null}           | 1:15: \"data-root\" must be a string, not null",
                "{\"shutdown-timeout\": \"15\"}  | 1:22: \"shutdown-timeout\" must be a whole number, not a string",
                "{\"debug\": true, \"debug\": 1} | 1:17: \"debug\" is there twice, first in line 1; remove one",
                "{\"debug\": true,}              | 1:16: a key in double quotes is missing, there is '}'",
                "{\"debug\" true}                | 1:10: ':' after the key \"debug\" is missing, there is 't'",
                "{\"debug\": true} x             | 1:17: nothing may follow the value, but there is 'x'",
                "{\"debug\": tru}                | 1:11: neither true, false, null, a number, a string, an array nor an object starts with 't'",
                "{\"pidfile\": \"a               | 1:15: a string does not end: there is the end of the file",
                "{\"data-root\": \"C:\\skep\"}   | 1:19: \\s is no escape; a backslash itself is written \\\\",
                "[]                              | 1:1: the file must hold one JSON object, not an array",
                "{\"default-address-pools\": [{\"base\": 1}]} | 1:29: an element of \"default-address-pools\" has a \"base\" (string) and a \"size\" (number), not \"base\" as a number",
            })
    void mistakesInTheFileAreToldWithTheirPlace(String json, String message) {
        assertThatThrownBy(() -> load(json)).hasMessage(file() + ":" + message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"shutdown-timeout\": 1.5}  | 1:22: shutdown-timeout: \"1.5\": whole seconds from 0 to 86400 are wanted, or -1 for no limit",
                "{\"shutdown-timeout\": -2}   | 1:22: shutdown-timeout: \"-2\": whole seconds from 0 to 86400 are wanted, or -1 for no limit",
                "{\"log-level\": \"loud\"}    | 1:15: log-level: \"loud\": one of trace, debug, info, warn, error, fatal is wanted",
                "{\"log-format\": \"xml\"}    | 1:16: log-format: \"xml\": text or json is wanted",
                "{\"labels\": [\"a\"]}        | 1:13: labels: \"a\": KEY=VALUE is wanted",
                "{\"labels\": [\"a=1\",\"a=2\"]} | 1:19: labels: \"a=2\": it conflicts with \"a=1\"; remove one",
                "{\"hosts\": [\"ssh://a\"]}   | 1:12: hosts: \"ssh://a\": ssh:// is for clients only; a daemon takes unix://PATH, tcp://HOST:PORT or fd://",
                "{\"hosts\": [\"npipe:////./pipe/docker_engine\"]} | 1:12: hosts: \"npipe:////./pipe/docker_engine\": Skep does not serve named pipes; use unix:// (it works on Windows, too) or tcp://",
                "{\"hosts\": [\"unix://a\"]}  | 1:12: hosts: \"unix://a\": the path of a unix socket must be absolute, as in unix:///run/skep.sock",
                "{\"hosts\": [\"tcp://a:99999\"]} | 1:12: hosts: \"tcp://a:99999\": HOST:PORT is wanted, an IPv6 address in brackets, PORT up to 65535",
                "{\"hosts\": [\"tcp://::1:2375\"]} | 1:12: hosts: \"tcp://::1:2375\": HOST:PORT is wanted, an IPv6 address in brackets, PORT up to 65535",
                "{\"metrics-addr\": \"localhost\"} | 1:18: metrics-addr: \"localhost\": HOST:PORT is wanted",
                "{\"node-generic-resources\": [\"a=1\",\"a=b\"]} | 1:35: node-generic-resources: \"a=b\": \"a\" is there more than once, which only names may be, not amounts",
                "{\"default-address-pools\": [{\"base\": \"10.0.0.0\", \"size\": 24}]} | 1:28: default-address-pools: \"base=10.0.0.0,size=24\": \"10.0.0.0\" is no network in CIDR notation, as 10.10.0.0/16 is",
                "{\"default-address-pools\": [{\"base\": \"10.0.0.0/16\", \"size\": 8}]} | 1:28: default-address-pools: \"base=10.0.0.0/16,size=8\": size is the prefix length of the subnets, so from 16 to 32",
            })
    void badValuesAreToldWithTheirPlace(String json, String message) {
        assertThatThrownBy(() -> load(json)).hasMessage(file() + ":" + message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--tlsverfy        | unknown flag --tlsverfy; did you mean --tlsverify?",
                "--hosts=fd://     | unknown flag --hosts; did you mean --host?",
                "start             | skepd takes only flags, so \"start\" is one word too many",
                "--data-root       | Missing required parameter for option '--data-root' (FOLDER)",
                "--iptables=false  | Skep does not support the flag --iptables=false: Skep's engine has no such setting; make a network that is as you want it with docker network create",
                "-s                | Skep does not support the flag -s: Skep's engine has no such default; set it for each container or service that needs it",
            })
    void mistakesInTheCommandLineAreUsageMistakes(String argument, String message) {
        assertThatThrownBy(() -> Arguments.parse(List.of(argument)))
                .hasMessage(message)
                .isInstanceOfSatisfying(
                        ConfigurationException.class,
                        mistake -> assertThat(mistake.isUsage()).isTrue());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--debug=maybe", "--tlsverify=1"})
    void badValuesOfFlagsNameTheFlag(String argument) {
        String flag = argument.substring(0, argument.indexOf('='));
        String value = argument.substring(argument.indexOf('=') + 1);
        assertThatThrownBy(() -> load("{}", argument))
                .hasMessage("flag " + flag + ": \"" + value + "\": true or false is wanted");
    }

    @Test
    void everyKeyOfDockersDocumentedExampleIsSupportedOrRefusedByName() {
        List<String> documented = DockerdKeys.DOCUMENTED_KEYS;
        for (String key : documented) {
            boolean supported = Arrays.stream(Key.values()).anyMatch(known -> known.key.equals(key));
            assertThat(supported ^ RefusedKey.byKey(key) != null).as(key).isTrue();
        }
    }

    @Test
    void everyFlagOfDockerdIsSupportedOrRefusedByName() {
        for (String flag : DockerdKeys.FLAGS) {
            boolean refused = RefusedKey.byFlag(flag) != null;
            boolean supported = Arguments.usage().contains(flag);
            assertThat(supported ^ refused).as(flag).isTrue();
        }
    }

    @Test
    void aRefusedKeyIsNamedWithAHint() {
        for (RefusedKey refused : RefusedKey.ALL) {
            if (refused.key() != null) {
                assertThatThrownBy(() -> load("{\"" + refused.key() + "\": 1}"))
                        .hasMessage(
                                file() + ":1:2: Skep does not support \"" + refused.key() + "\": " + refused.hint());
            }
        }
    }

    @Test
    void noKeyIsBothSupportedAndRefused() {
        assertThat(EnumSet.allOf(Key.class)).noneMatch(key -> RefusedKey.byKey(key.key) != null);
        assertThat(EnumSet.allOf(Key.class))
                .flatMap(key -> List.of(key.flags()))
                .noneMatch(flag -> RefusedKey.byFlag(flag) != null);
    }

    @Test
    void theExplanationIsATable() {
        String explanation =
                load("{\"hosts\": [\"fd://\"]}", "-H", "unix:///x", "-D").explanation();
        assertThat(explanation.lines())
                .contains(
                        "hosts                         fd://                   " + file() + ":1:12",
                        "hosts                         unix:///x               flag --host",
                        "debug                         true                    flag --debug",
                        "metrics-addr                  -                       default");
    }

    @Test
    void theHelpNamesEveryFlag() {
        assertThat(Arguments.usage())
                .contains(Arrays.stream(Key.values()).map(key -> key.flag).toList())
                .contains("--config-file", "--validate", "--version");
    }

    private static GenericResource named(String kind, String value) {
        return GenericResource.newBuilder()
                .setNamedResourceSpec(
                        NamedGenericResource.newBuilder().setKind(kind).setValue(value))
                .build();
    }

    private Surroundings windows() {
        return new Surroundings(Map.of("ProgramData", folder.toString()), true, folder, false);
    }

    private static String sources(LoadedConfiguration loaded, String key) {
        return loaded.values().stream()
                .filter(value -> value.key().equals(key))
                .map(value -> value.sources().stream().map(Source::toString).collect(Collectors.joining(", ")))
                .collect(Collectors.joining("; "));
    }

    private Path file() {
        return folder.resolve("daemon.json");
    }

    private LoadedConfiguration load(String json, String... flags) {
        return load(json, LINUX, flags);
    }

    private LoadedConfiguration load(String json, Surroundings surroundings, String... flags) {
        try {
            Files.writeString(file(), json);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        List<String> arguments = new java.util.ArrayList<>(List.of(flags));
        arguments.add("--config-file=" + file());
        return LoadedConfiguration.load(Arguments.parse(arguments), surroundings);
    }
}
