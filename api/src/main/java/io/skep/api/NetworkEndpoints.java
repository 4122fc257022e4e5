package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.control.CommandException;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.CreateNetworkRequest;
import io.skep.wire.Endpoint;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkSpec;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** {@code /networks}, those of the cluster: networks of a single engine come with the engine. */
final class NetworkEndpoints {
    private static final String PREDEFINED = "com.docker.swarm.predefined";

    private final Gate gate;

    NetworkEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/networks", this::list);
        router.add("GET", "/networks/{id}", this::inspect);
        router.add("POST", "/networks/create", this::create);
        router.add("POST", "/networks/prune", this::prune);
        router.add("DELETE", "/networks/{id}", this::remove);
    }

    private Reply list(Call call) {
        Filters filters = call.filters("dangling", "driver", "id", "label", "name", "scope", "type");
        for (String type : filters.get("type")) {
            if (!type.equals("custom") && !type.equals("builtin")) {
                throw new ApiException(400, "invalid filter: 'type'='" + type + "'");
            }
        }
        ClusterAccess cluster = gate.clusterOrNull();
        // Where there is no swarm, or it is in trouble, the local networks would still be listed.
        ClusterState state = cluster == null ? ClusterState.empty() : readable(cluster);
        Set<String> used = filters.has("dangling") ? used(state) : Set.of();
        List<Network> networks = Lookup.list(
                state,
                Kind.NETWORK,
                network -> !isPredefined(network)
                        && filters.matchesExactly("driver", driver(network))
                        && filters.matchesText("id", network.getId())
                        && filters.matchesText(
                                "name", network.getSpec().getAnnotations().getName())
                        && filters.matchesLabels(
                                "label", network.getSpec().getAnnotations().getLabelsMap())
                        && filters.matchesExactly("scope", "swarm")
                        && filters.matchesExactly("type", "custom")
                        && (!filters.has("dangling") || filters.flag("dangling") != used.contains(network.getId())));
        return Reply.json(
                JsonOut.array(networks, (out, network) -> NetworkJson.write(out, network, null, call.version())));
    }

    private static ClusterState readable(ClusterAccess cluster) {
        try {
            return cluster.read();
        } catch (CommandException e) {
            return cluster.local();
        }
    }

    private static String driver(Network network) {
        return network.hasDriverState()
                ? network.getDriverState().getName()
                : network.getSpec().getDriverConfig().getName();
    }

    private static boolean isPredefined(Network network) {
        return "true".equals(network.getSpec().getAnnotations().getLabelsMap().get(PREDEFINED));
    }

    /** Returns the ids of networks that a service or a task is attached to. */
    private static Set<String> used(ClusterState state) {
        Set<String> used = new HashSet<>();
        for (Service service : state.services().values()) {
            service.getSpec().getNetworksList().forEach(network -> used.add(network.getTarget()));
            service.getSpec().getTask().getNetworksList().forEach(network -> used.add(network.getTarget()));
        }
        for (Task task : state.tasks().values()) {
            task.getNetworksList()
                    .forEach(attachment -> used.add(attachment.getNetwork().getId()));
        }
        return used;
    }

    private Reply inspect(Call call) {
        boolean verbose = call.flag("verbose");
        String input = call.path("id");
        ClusterAccess cluster = gate.clusterOrNull();
        if (cluster == null || call.query("scope").equals("local")) {
            throw new ApiException(404, "network " + input + " not found");
        }
        ClusterState state = cluster.read();
        Network network = Lookup.find(state, Kind.NETWORK, input);
        List<NetworkJson.ServiceOn> services = verbose ? services(state, network) : null;
        return Reply.json(JsonOut.object(out -> NetworkJson.write(out, network, services, call.version())));
    }

    private static List<NetworkJson.ServiceOn> services(ClusterState state, Network network) {
        List<NetworkJson.ServiceOn> services = new ArrayList<>();
        for (Service service : Lookup.list(state, Kind.SERVICE, any -> true)) {
            Map<Task, String> tasks = new LinkedHashMap<>();
            for (Task task : state.tasksOfService(service.getId())) {
                String address = addressOn(task, network);
                if (address != null && task.getStatus().getState() == TaskState.RUNNING) {
                    tasks.put(task, address);
                }
            }
            String virtual = "";
            for (Endpoint.VirtualIP candidate : service.getEndpoint().getVirtualIpsList()) {
                if (candidate.getNetworkId().equals(network.getId())) {
                    virtual = withoutMask(candidate.getAddr());
                }
            }
            if (!virtual.isEmpty() || !tasks.isEmpty()) {
                services.add(new NetworkJson.ServiceOn(service, virtual, tasks));
            }
        }
        return services;
    }

    private static @Nullable String addressOn(Task task, Network network) {
        for (NetworkAttachment attachment : task.getNetworksList()) {
            if (attachment.getNetwork().getId().equals(network.getId()) && attachment.getAddressesCount() > 0) {
                return withoutMask(attachment.getAddresses(0));
            }
        }
        return null;
    }

    private static String withoutMask(String address) {
        int slash = address.indexOf('/');
        return slash < 0 ? address : address.substring(0, slash);
    }

    private Reply create(Call call) {
        JsonIn in = call.json();
        String driver = in.text("Driver");
        boolean ofSwarm = in.text("Scope").equals("swarm") || driver.equals("overlay");
        if (!ofSwarm) {
            throw new ApiException(
                    501,
                    "networks of driver \"" + (driver.isEmpty() ? "bridge" : driver)
                            + "\" belong to one engine, and Skep's own engine is not there yet; use --driver overlay for"
                            + " a network of the swarm");
        }
        NetworkSpec spec = NetworkJson.readSpec(in);
        String name = spec.getAnnotations().getName();
        if (gate.cluster().read().networks().byName(name) != null) {
            throw new ApiException(409, "network with name " + name + " already exists");
        }
        String id = gate.execute(command -> command.setCreateNetwork(
                        CreateNetworkRequest.newBuilder().setSpec(spec)))
                .getNetwork()
                .getId();
        return Reply.json(201, JsonOut.object(out -> {
            out.text("Id", id);
            out.text("Warning", "");
        }));
    }

    private Reply remove(Call call) {
        Network network = Lookup.find(gate.cluster().read(), Kind.NETWORK, call.path("id"));
        remove(network);
        return Reply.empty(204);
    }

    private void remove(Network network) {
        gate.execute(command ->
                command.setRemoveNetwork(RemoveNetworkRequest.newBuilder().setNetworkId(network.getId())));
    }

    private Reply prune(Call call) {
        Filters filters = call.filters("label", "label!", "until");
        Timestamp until = filters.get("until").stream()
                .findFirst()
                .map(text -> Times.parse("until", text))
                .orElse(null);
        ClusterAccess cluster = gate.clusterOrNull();
        List<String> removed = new ArrayList<>();
        if (cluster != null) {
            ClusterState state = cluster.read();
            Set<String> used = used(state);
            for (Network network : Lookup.list(
                    state,
                    Kind.NETWORK,
                    candidate -> !isPredefined(candidate)
                            && !candidate.getSpec().getIngress()
                            && !used.contains(candidate.getId()))) {
                Map<String, String> labels = network.getSpec().getAnnotations().getLabelsMap();
                boolean wanted = filters.matchesLabels("label", labels)
                        && !(filters.has("label!") && filters.matchesLabels("label!", labels))
                        && (until == null || Times.compare(network.getMeta().getCreatedAt(), until) < 0);
                if (wanted) {
                    remove(network);
                    removed.add(network.getSpec().getAnnotations().getName());
                }
            }
        }
        return Reply.json(JsonOut.object(out -> out.textsOrNull("NetworksDeleted", removed)));
    }
}
