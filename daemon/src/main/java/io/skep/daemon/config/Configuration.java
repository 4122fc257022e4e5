package io.skep.daemon.config;

import io.skep.engine.image.RegistrySettings;
import io.skep.wire.GenericResource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * All that skepd can be told, checked and complete; see docs/configuration.md for what each means.
 *
 * @param pidFile none when {@code --pidfile ""} asks for none
 * @param socketGroup group that owns the unix sockets
 * @param groupChosen whether somebody named the group, so that its absence is a mistake rather than a difference of
 *     machines
 * @param labels in the order given
 * @param shutdownTimeout none waits without limit
 */
public record Configuration(
        List<Host> hosts,
        String socketGroup,
        boolean groupChosen,
        Tls tls,
        boolean insecurePlainTcp,
        Path dataRoot,
        Path execRoot,
        Optional<Path> pidFile,
        Map<String, String> labels,
        List<GenericResource> nodeGenericResources,
        List<AddressPool> defaultAddressPools,
        Swarm swarm,
        Log log,
        Optional<Endpoint> metricsAddress,
        Optional<Duration> shutdownTimeout,
        Engine engine) {

    public Configuration {
        hosts = List.copyOf(hosts);
        nodeGenericResources = List.copyOf(nodeGenericResources);
        defaultAddressPools = List.copyOf(defaultAddressPools);
    }

    /** Returns this configuration with what may change while the daemon runs taken from another. */
    public Configuration reloaded(Configuration next) {
        return new Configuration(
                hosts,
                socketGroup,
                groupChosen,
                tls,
                insecurePlainTcp,
                dataRoot,
                execRoot,
                pidFile,
                next.labels,
                nodeGenericResources,
                defaultAddressPools,
                swarm,
                next.log,
                metricsAddress,
                next.shutdownTimeout,
                engine);
    }

    /** Returns a sentence for each file that is needed and is not there. */
    public List<String> missingFiles() {
        Stream<Path> needed = switch (tls.mode()) {
            case OFF -> Stream.of();
            case SERVER -> Stream.of(tls.certificate(), tls.key());
            case MUTUAL -> Stream.of(tls.caCertificates(), tls.certificate(), tls.key());
        };
        return needed.filter(file -> !Files.exists(file))
                .map(file -> file + " does not exist; skepd will not start without it")
                .toList();
    }

    /** How {@code tcp://} is secured. */
    public enum TlsMode {
        /** No TLS: whoever connects has full control. */
        OFF,
        /** The server proves who it is, clients do not. */
        SERVER,
        /** Both do. */
        MUTUAL
    }

    /** The files are used only when the mode asks for them. */
    public record Tls(TlsMode mode, Path caCertificates, Path certificate, Path key) {}

    /**
     * How this node meets its swarm.
     *
     * @param defaultAdvertiseAddress an address or the name of an interface, or empty
     * @param advertiseAddress an address or the name of an interface to advertise from the next start on, whatever was
     *     advertised before, or empty
     * @param managers further addresses of managers
     */
    public record Swarm(String defaultAdvertiseAddress, String advertiseAddress, List<Endpoint> managers) {
        public Swarm {
            managers = List.copyOf(managers);
        }
    }

    /**
     * What runs the containers of this node.
     *
     * @param wanted whether this node runs containers
     * @param containerd socket of a containerd that is there, or empty for one of its own
     * @param runtimes programs by name, runc among them
     * @param defaultRuntime one of their names
     * @param cgroupParent parent of the cgroups of containers that name none, or empty
     */
    public record Engine(
            boolean wanted,
            String containerd,
            Map<String, String> runtimes,
            String defaultRuntime,
            String cgroupParent,
            RegistrySettings registries) {
        public Engine {
            runtimes = Map.copyOf(runtimes);
        }
    }

    /** Levels from the most to the least talkative; the daemon itself never logs above error. */
    public enum LogLevel {
        TRACE,
        DEBUG,
        INFO,
        WARN,
        ERROR
    }

    public enum LogFormat {
        TEXT,
        JSON
    }

    /**
     * What is logged.
     *
     * @param level after {@code debug} had its say
     */
    public record Log(LogLevel level, LogFormat format) {}

    /**
     * An address with a port.
     *
     * @param address a name or an IP address without brackets
     */
    public record Endpoint(String address, int port) {
        @Override
        public String toString() {
            return (address.contains(":") ? "[" + address + "]" : address) + ":" + port;
        }
    }

    /**
     * A range that subnets are cut from.
     *
     * @param base in CIDR notation
     * @param size prefix length of the subnets taken from it
     */
    public record AddressPool(String base, int size) {}
}
