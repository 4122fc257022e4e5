package io.skep.daemon.config;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/**
 * A key of the configuration file together with its flags: the one table from which the file, the command line, the
 * explanation and the check of the documentation are made.
 */
enum Key {
    HOSTS(
            "hosts",
            "-H",
            "--host",
            Type.STRINGS,
            "ADDRESS",
            "where to serve the API: unix://PATH, tcp://HOST:PORT, fd:// (systemd's sockets), fd://NAME, fd://NUMBER"),
    GROUP("group", "-G", "--group", Type.STRING, "GROUP", "group that may use the unix sockets"),
    TLS("tls", "", "--tls", Type.BOOLEAN, "", "serve tcp:// with TLS; implied by tlsverify"),
    TLSVERIFY(
            "tlsverify",
            "",
            "--tlsverify",
            Type.BOOLEAN,
            "",
            "serve tcp:// with TLS and only to clients with a certificate of tlscacert"),
    TLSCACERT("tlscacert", "", "--tlscacert", Type.STRING, "FILE", "CA certificates that vouch for clients (PEM)"),
    TLSCERT("tlscert", "", "--tlscert", Type.STRING, "FILE", "the server's certificate and its chain (PEM)"),
    TLSKEY("tlskey", "", "--tlskey", Type.STRING, "FILE", "the server's private key (PEM)"),
    INSECURE_PLAIN_TCP(
            "insecure-plain-tcp",
            "",
            "--insecure-plain-tcp",
            Type.BOOLEAN,
            "",
            "allow tcp:// beyond this machine without client certificates: whoever reaches it controls the cluster"),
    DATA_ROOT("data-root", "", "--data-root", Type.STRING, "FOLDER", "where the state lives"),
    EXEC_ROOT("exec-root", "", "--exec-root", Type.STRING, "FOLDER", "where files live that a reboot may remove"),
    PIDFILE("pidfile", "-p", "--pidfile", Type.STRING, "FILE", "where to write the process id"),
    LABELS("labels", "", "--label", Type.STRINGS, "KEY=VALUE", "labels of this engine, usable in constraints"),
    NODE_GENERIC_RESOURCES(
            "node-generic-resources",
            "",
            "--node-generic-resource",
            Type.STRINGS,
            "KIND=VALUE",
            "resources that services can reserve: KIND=NUMBER, or KIND=NAME once for each"),
    DEFAULT_ADDRESS_POOLS(
            "default-address-pools",
            "",
            "--default-address-pool",
            Type.POOLS,
            "base=CIDR,size=BITS",
            "subnets for the networks of this node's engine, each of SIZE bits"),
    SWARM_DEFAULT_ADVERTISE_ADDR(
            "swarm-default-advertise-addr",
            "",
            "--swarm-default-advertise-addr",
            Type.STRING,
            "ADDRESS|INTERFACE",
            "address to advertise to the swarm when swarm init or join names none"),
    SWARM_ADVERTISE_ADDR(
            "swarm-advertise-addr",
            "",
            "--swarm-advertise-addr",
            Type.STRING,
            "ADDRESS|INTERFACE",
            "address to advertise to the swarm from this start on, whatever was advertised before"),
    SWARM_MANAGERS(
            "swarm-managers",
            "",
            "--swarm-manager",
            Type.STRINGS,
            "HOST:PORT",
            "where managers of this node's swarm may be found besides the addresses it knows"),
    DEBUG("debug", "-D", "--debug", Type.BOOLEAN, "", "log as log-level debug does"),
    LOG_LEVEL(
            "log-level",
            "-l",
            "--log-level",
            Type.STRING,
            "LEVEL",
            "least severe messages to log: trace, debug, info, warn, error, fatal"),
    LOG_FORMAT("log-format", "", "--log-format", Type.STRING, "FORMAT", "text or json"),
    RAW_LOGS(
            "raw-logs",
            "",
            "--raw-logs",
            Type.BOOLEAN,
            "",
            "full times and no colours in the log, which is what Skep always writes"),
    METRICS_ADDR("metrics-addr", "", "--metrics-addr", Type.STRING, "HOST:PORT", "where to serve /metrics"),
    SHUTDOWN_TIMEOUT(
            "shutdown-timeout",
            "",
            "--shutdown-timeout",
            Type.INTEGER,
            "SECONDS",
            "how long a stop may take before it is forced; -1 waits without limit"),
    ENGINE(
            "engine",
            "",
            "--engine",
            Type.STRING,
            "KIND",
            "what runs containers on this node: containerd, or none for a node without containers"),
    CONTAINERD(
            "containerd",
            "",
            "--containerd",
            Type.STRING,
            "ADDRESS",
            "socket of a containerd that is there; when it is not set, skepd starts one of its own"),
    RUNTIMES(
            "runtimes",
            "",
            "--add-runtime",
            Type.RUNTIMES,
            "NAME=FILE",
            "programs that run containers, besides runc; a container can ask for one by its name"),
    DEFAULT_RUNTIME(
            "default-runtime",
            "",
            "--default-runtime",
            Type.STRING,
            "NAME",
            "the program that runs containers which ask for none"),
    CGROUP_PARENT(
            "cgroup-parent",
            "",
            "--cgroup-parent",
            Type.STRING,
            "CGROUP",
            "parent of the cgroups of containers that name none; /skep when it is not set"),
    REGISTRY_MIRRORS(
            "registry-mirrors",
            "",
            "--registry-mirror",
            Type.STRINGS,
            "URL",
            "registries that are asked first for images that name none"),
    INSECURE_REGISTRIES(
            "insecure-registries",
            "",
            "--insecure-registry",
            Type.STRINGS,
            "HOST:PORT|CIDR",
            "registries that may have any certificate, or no TLS; those of this machine always may"),
    MAX_CONCURRENT_DOWNLOADS(
            "max-concurrent-downloads",
            "",
            "--max-concurrent-downloads",
            Type.INTEGER,
            "NUMBER",
            "layers of an image that are fetched at the same time"),
    MAX_CONCURRENT_UPLOADS(
            "max-concurrent-uploads",
            "",
            "--max-concurrent-uploads",
            Type.INTEGER,
            "NUMBER",
            "layers of an image that are sent at the same time"),
    MAX_DOWNLOAD_ATTEMPTS(
            "max-download-attempts",
            "",
            "--max-download-attempts",
            Type.INTEGER,
            "NUMBER",
            "how often a layer is asked for before its pull fails");

    /** The type of a value in the file. */
    enum Type {
        STRING("a string"),
        BOOLEAN("a boolean"),
        INTEGER("a whole number"),
        STRINGS("an array of strings"),
        POOLS("an array of {\"base\": CIDR, \"size\": BITS}"),
        RUNTIMES("an object of NAME: {\"path\": FILE}");

        final String description;

        Type(String description) {
            this.description = description;
        }
    }

    /** Those that a reload takes over; the others wait for the next start. */
    static final Set<Key> RELOADABLE =
            Collections.unmodifiableSet(EnumSet.of(LABELS, DEBUG, LOG_LEVEL, LOG_FORMAT, SHUTDOWN_TIMEOUT));

    final String key;
    /** The flag's short form, or empty. */
    final String shortFlag;

    final String flag;
    final Type type;
    /** Stands for the value in the help; empty for a boolean. */
    final String placeholder;

    final String description;

    Key(String key, String shortFlag, String flag, Type type, String placeholder, String description) {
        this.key = key;
        this.shortFlag = shortFlag;
        this.flag = flag;
        this.type = type;
        this.placeholder = placeholder;
        this.description = description;
    }

    /** Whether values from several places add up instead of replacing each other. */
    boolean isList() {
        return type == Type.STRINGS || type == Type.POOLS || type == Type.RUNTIMES;
    }

    String[] flags() {
        return shortFlag.isEmpty() ? new String[] {flag} : new String[] {shortFlag, flag};
    }
}
