package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.PortBindings;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The port through which a container gets its place in networks. */
interface Networking {
    /**
     * What a container got.
     *
     * @param namespace path of the network namespace to join; empty for a new one with only a loopback
     * @param endpoints by the name of the network, filled in
     * @param ports of the host that are the container's, by its own ports
     * @param files what is mounted over files of the container, such as its hosts
     */
    record Attached(
            String namespace,
            Map<String, EndpointSettings> endpoints,
            Map<String, PortBindings> ports,
            List<OciSpecification.Mounted> files) {
        public Attached {
            endpoints = Map.copyOf(endpoints);
            ports = Map.copyOf(ports);
            files = List.copyOf(files);
        }

        /** A place without ports. */
        Attached(String namespace, Map<String, EndpointSettings> endpoints, List<OciSpecification.Mounted> files) {
            this(namespace, endpoints, Map.of(), files);
        }
    }

    /** Refuses what no container can have, when a container is created. */
    void check(ContainerRecord container);

    /** Returns the networks that a container will be in, by their names, when it is created. */
    default Map<String, EndpointSettings> planned(ContainerRecord container) {
        return container.getEndpointsMap();
    }

    /** Makes the container's place in its networks, before it starts. */
    Attached attach(ContainerRecord container);

    /** Takes back all that was made; it is no error when nothing is left. */
    void detach(ContainerRecord container);

    /**
     * Takes over the places of containers that are supposed to run, and takes back those of all others, after a start
     * of the engine and before any container is dealt with.
     */
    default void recover(Set<String> supposedToRun) throws IOException {
        // Nothing outlives an engine whose networks need nothing made.
    }

    /**
     * Puts a container in one more network, at once if it has a place.
     *
     * @return the network's name and the container's place in it
     */
    default Map.Entry<String, EndpointSettings> connect(
            ContainerRecord container, String network, EndpointSettings asked) {
        throw EngineException.notFound("network " + network + " not found");
    }

    /** Takes a container out of a network and returns the network's name. */
    default String disconnect(ContainerRecord container, String network) {
        throw EngineException.notFound("network " + network + " not found");
    }

    /** Returns the ports of the host that are a container's at the moment. */
    default Map<String, PortBindings> ports(String containerId) {
        return Map.of();
    }

    /** The container is known by another name from now on. */
    default void renamed(ContainerRecord container) {
        // Nobody asks for names.
    }
}
