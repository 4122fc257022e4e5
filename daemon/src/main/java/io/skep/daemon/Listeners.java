package io.skep.daemon;

import io.skep.api.ApiServer;
import io.skep.api.ListenAddress;
import io.skep.daemon.config.Configuration;
import io.skep.daemon.config.Configuration.TlsMode;
import io.skep.daemon.config.Host;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The addresses of {@code hosts}, opened on the API's server. */
final class Listeners implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Listeners.class);

    private final Configuration configuration;
    private final ServiceManager serviceManager;
    private final @Nullable ServerCertificates certificates;
    private final List<Path> sockets = new ArrayList<>();

    /**
     * Makes the listeners, closed as yet.
     *
     * @param certificates null exactly when TLS is off
     */
    Listeners(Configuration configuration, ServiceManager serviceManager, @Nullable ServerCertificates certificates) {
        this.configuration = configuration;
        this.serviceManager = serviceManager;
        this.certificates = certificates;
    }

    /** Opens all of them. */
    void open(ApiServer server) throws StartException {
        Set<ListenAddress.Descriptor> descriptors = new LinkedHashSet<>();
        try {
            for (Host host : configuration.hosts()) {
                switch (host) {
                    case Host.Unix unix -> {
                        server.listen(new ListenAddress.Unix(unix.path(), group()));
                        sockets.add(unix.path());
                        LOG.info("API listens on {}", host);
                    }
                    case Host.Tcp tcp -> {
                        warnOfOpenDoor(host.toString(), tcp.isLoopback());
                        server.listen(new ListenAddress.Tcp(resolve(tcp), certificates));
                        LOG.info("API listens on {}", host);
                    }
                    case Host.Inherited inherited -> descriptors.addAll(descriptors(inherited));
                }
            }
            for (ListenAddress.Descriptor descriptor : descriptors) {
                server.listen(descriptor);
                LOG.info("API listens on inherited descriptor {}", descriptor.fd());
            }
        } catch (IOException e) {
            throw new StartException(String.valueOf(e.getMessage()), e);
        }
    }

    /** Removes the files of the unix sockets that were made here. */
    @Override
    public void close() {
        for (Path socket : sockets) {
            try {
                Files.deleteIfExists(socket);
            } catch (IOException e) {
                LOG.warn("the socket {} stays behind", socket, e);
            }
        }
    }

    private static InetSocketAddress resolve(Host.Tcp tcp) throws StartException {
        InetSocketAddress address = new InetSocketAddress(tcp.address(), tcp.port());
        if (address.isUnresolved()) {
            throw new StartException(tcp + ": the name \"" + tcp.address() + "\" has no address; check it or use one");
        }
        return address;
    }

    private List<ListenAddress.Descriptor> descriptors(Host.Inherited host) throws StartException {
        List<ServiceManager.Socket> selected = serviceManager.select(host.which());
        if (selected.isEmpty()) {
            throw new StartException(
                    serviceManager.sockets().isEmpty()
                            ? host + ": no socket was handed over; start skepd by its systemd socket, or remove " + host
                            : host + ": of the sockets handed over none is called so: " + serviceManager.sockets());
        }
        List<ListenAddress.Descriptor> descriptors = new ArrayList<>();
        for (ServiceManager.Socket socket : selected) {
            Optional<InetAddress> bound;
            try {
                bound = SocketCalls.boundAddress(socket.fd());
            } catch (IOException e) {
                throw new StartException(host + ": " + e.getMessage(), e);
            }
            if (bound.isPresent()) {
                guard(host, bound.get());
            }
            descriptors.add(new ListenAddress.Descriptor(socket.fd(), certificates));
        }
        return descriptors;
    }

    /** Applies to inherited TCP sockets what the configuration checks for the others. */
    private void guard(Host host, InetAddress bound) throws StartException {
        boolean safe = configuration.tls().mode() == TlsMode.MUTUAL || bound.isLoopbackAddress();
        if (!safe && !configuration.insecurePlainTcp()) {
            throw new StartException(host + ": the socket on " + bound.getHostAddress()
                    + " would give everyone who reaches it full control; set tlsverify with tlscacert, tlscert and"
                    + " tlskey, or allow it with --insecure-plain-tcp");
        }
        warnOfOpenDoor(host + " on " + bound.getHostAddress(), bound.isLoopbackAddress());
    }

    private void warnOfOpenDoor(String where, boolean loopback) {
        if (configuration.tls().mode() == TlsMode.MUTUAL) {
            return;
        }
        if (loopback) {
            LOG.warn("{} asks for no client certificate: every user of this machine has full control", where);
        } else {
            LOG.warn(
                    "{} asks for no client certificate (insecure-plain-tcp): EVERYONE WHO REACHES IT HAS FULL CONTROL",
                    where);
        }
    }

    /** Returns the group for unix sockets; a machine without Docker's usual group has none. */
    private String group() {
        if (configuration.groupChosen()) {
            return configuration.socketGroup();
        }
        try {
            FileSystems.getDefault()
                    .getUserPrincipalLookupService()
                    .lookupPrincipalByGroupName(configuration.socketGroup());
            boolean privileged = "root".equals(System.getProperty("user.name"));
            return privileged ? configuration.socketGroup() : "";
        } catch (IOException | UnsupportedOperationException _) {
            return "";
        }
    }
}
