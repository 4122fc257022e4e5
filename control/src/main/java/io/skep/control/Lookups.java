package io.skep.control;

import com.google.protobuf.Message;
import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.Cluster;
import io.skep.wire.ConfigReference;
import io.skep.wire.EndpointSpec;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.PortConfig;
import io.skep.wire.SecretReference;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.Version;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How commands and loops find the objects that something names. */
final class Lookups {
    private Lookups() {}

    /**
     * Returns the object of that id.
     *
     * @throws CommandException INVALID_ARGUMENT without an id, NOT_FOUND without the object
     */
    static <T extends Message> T require(ClusterState state, Kind<T> kind, String id) {
        if (id.isEmpty()) {
            throw invalidArgument();
        }
        T found = state.table(kind).get(id);
        if (found == null) {
            throw new CommandException(Code.NOT_FOUND, kind + " " + id + " not found");
        }
        return found;
    }

    /**
     * Checks that an update was made from the newest version of the object (swarm-wire 8.1).
     *
     * @throws CommandException INVALID_ARGUMENT without a version, UNKNOWN with another one than the stored
     */
    static <T extends Message> void requireVersion(Kind<T> kind, T stored, boolean given, Version version) {
        if (!given) {
            throw invalidArgument();
        }
        if (kind.meta(stored).getVersion().getIndex() != version.getIndex()) {
            throw new CommandException(Code.UNKNOWN, "update out of sequence");
        }
    }

    /**
     * Returns the cluster.
     *
     * @throws CommandException UNAVAILABLE before it is made
     */
    static Cluster requireCluster(ClusterState state) {
        Cluster cluster = state.cluster();
        if (cluster == null) {
            throw new CommandException(
                    Code.UNAVAILABLE, "the cluster is not made yet: its first manager is still starting");
        }
        return cluster;
    }

    static CommandException invalidArgument() {
        return new CommandException(Code.INVALID_ARGUMENT, "invalid argument");
    }

    /** Returns the network of that id, or else of that name, or null. */
    static @Nullable Network network(ClusterState state, String idOrName) {
        Network byId = state.networks().get(idOrName);
        return byId != null ? byId : state.networks().byName(idOrName);
    }

    static @Nullable Network ingress(ClusterState state) {
        for (Network network : state.networks().values()) {
            if (network.getSpec().getIngress()) {
                return network;
            }
        }
        return null;
    }

    /** Returns the networks a service asks for: those of its task, or else those of the old field (swarm-wire 5.6). */
    static List<NetworkAttachmentConfig> networksOf(ServiceSpec spec) {
        return spec.getTask().getNetworksCount() > 0 ? spec.getTask().getNetworksList() : spec.getNetworksList();
    }

    /**
     * Returns what a spec from earlier refers to although it was removed since, as words for a message, or null if all
     * is there: networks, secrets and configs that only a previous spec names may be removed.
     */
    static @Nullable String missing(ClusterState state, ServiceSpec spec) {
        for (NetworkAttachmentConfig config : networksOf(spec)) {
            if (network(state, config.getTarget()) == null) {
                return "network " + config.getTarget();
            }
        }
        for (SecretReference reference : spec.getTask().getContainer().getSecretsList()) {
            if (state.secrets().get(reference.getSecretId()) == null) {
                return "secret " + reference.getSecretName();
            }
        }
        for (ConfigReference reference : spec.getTask().getContainer().getConfigsList()) {
            if (state.configs().get(reference.getConfigId()) == null) {
                return "config " + reference.getConfigName();
            }
        }
        return hasMeshPorts(spec.getEndpoint()) && ingress(state) == null ? "network ingress" : null;
    }

    /** Returns whether ports are published through the routing mesh. */
    static boolean hasMeshPorts(EndpointSpec spec) {
        return spec.getPortsList().stream().anyMatch(port -> port.getPublishMode() == PortConfig.PublishMode.INGRESS);
    }

    /** Returns the networks a task asks for. */
    static List<NetworkAttachmentConfig> networksOf(Task task, @Nullable Service service) {
        if (task.getSpec().getNetworksCount() > 0 || service == null) {
            return task.getSpec().getNetworksList();
        }
        return service.getSpec().getNetworksList();
    }
}
