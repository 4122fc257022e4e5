package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.EndpointSettings;
import java.util.List;
import java.util.Map;

/** The port through which a container gets its place in networks. */
interface Networking {
    /**
     * What a container got.
     *
     * @param namespace path of the network namespace to join; empty for a new one with only a loopback
     * @param endpoints by the name of the network, filled in
     * @param files what is mounted over files of the container, such as its hosts
     */
    record Attached(String namespace, Map<String, EndpointSettings> endpoints, List<OciSpecification.Mounted> files) {
        public Attached {
            endpoints = Map.copyOf(endpoints);
            files = List.copyOf(files);
        }
    }

    /** Refuses what no container can have, when a container is created. */
    void check(ContainerRecord container);

    /** Makes the container's place in its networks, before it starts. */
    Attached attach(ContainerRecord container);

    /** Takes back all that was made; it is no error when nothing is left. */
    void detach(ContainerRecord container);
}
