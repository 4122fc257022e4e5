package io.skep.api;

import com.google.protobuf.Timestamp;
import io.skep.control.CommandException;
import io.skep.engine.Engine;
import io.skep.engine.EngineException;
import io.skep.engine.Networks;
import io.skep.engine.record.ConnectNetwork;
import io.skep.engine.record.CreateNetwork;
import io.skep.engine.record.DisconnectNetwork;
import io.skep.engine.record.NetworkRecord;
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
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * {@code /networks}: those of the cluster and those of this node's engine, as one list. A name or id is looked for
 * among the engine's first, as Docker does.
 */
final class NetworkEndpoints {
    private static final String PREDEFINED = "com.docker.swarm.predefined";

    private final Gate gate;
    private final EngineGate engineGate;

    NetworkEndpoints(Gate gate, EngineGate engineGate) {
        this.gate = gate;
        this.engineGate = engineGate;
    }

    void addTo(Router router) {
        router.add("GET", "/networks", this::list);
        router.add("GET", "/networks/{id}", this::inspect);
        router.add("POST", "/networks/create", this::create);
        router.add("POST", "/networks/prune", this::prune);
        router.add("POST", "/networks/{id}/connect", this::connect);
        router.add("POST", "/networks/{id}/disconnect", this::disconnect);
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
        List<Consumer<JsonOut>> shown = new ArrayList<>();
        networks.forEach(network -> shown.add(out -> NetworkJson.write(out, network, null, call.version())));
        local().stream()
                .filter(network -> matches(filters, network))
                .forEach(network -> shown.add(out -> out.fields(
                        RecordJson.fields(network.toBuilder().clearContainers().build()))));
        return Reply.json(JsonOut.array(shown, (out, write) -> write.accept(out)));
    }

    /** Returns the networks of this node's engine, none while it has none. */
    private List<NetworkRecord> local() {
        Engine engine = engineGate.engineOrNull();
        return engine == null ? List.of() : engine.networks().all();
    }

    /** Finds a network of this node's engine. */
    private Optional<NetworkRecord> local(String reference) {
        Engine engine = engineGate.engineOrNull();
        if (engine == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(engine.networks().inspect(reference));
        } catch (EngineException e) {
            if (e.kind() == EngineException.Kind.NOT_FOUND) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private static boolean matches(Filters filters, NetworkRecord network) {
        boolean builtIn = Networks.isPredefined(network);
        return filters.matchesExactly("driver", network.getDriver())
                && filters.matchesText("id", network.getId())
                && filters.matchesText("name", network.getName())
                && filters.matchesLabels("label", network.getLabelsMap())
                && filters.matchesExactly("scope", network.getScope())
                && filters.matchesExactly("type", builtIn ? "builtin" : "custom")
                && (!filters.has("dangling")
                        || filters.flag("dangling") == (!builtIn && network.getContainersCount() == 0));
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
        if (!call.query("scope").equals("swarm")) {
            Optional<NetworkRecord> found = local(input);
            if (found.isPresent()) {
                return Reply.json(RecordJson.object(found.get()));
            }
        }
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
            Engine engine = engineGate.engineOrNull();
            if (engine == null) {
                throw new ApiException(
                        501,
                        "networks of driver \"" + (driver.isEmpty() ? "bridge" : driver)
                                + "\" belong to one engine, and this node has none; use --driver overlay for a network"
                                + " of the swarm");
            }
            String made = engine.networks().create(RecordJson.read(call, CreateNetwork.getDefaultInstance()));
            return created(made);
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
        return created(id);
    }

    private static Reply created(String id) {
        return Reply.json(201, JsonOut.object(out -> {
            out.text("Id", id);
            out.text("Warning", "");
        }));
    }

    private Reply connect(Call call) {
        ConnectNetwork asked = RecordJson.read(call, ConnectNetwork.getDefaultInstance());
        String network = requireLocal(call).getId();
        engineGate.containers().require(asked.getContainer()).connect(network, asked.getEndpointConfig());
        return Reply.empty(200);
    }

    private Reply disconnect(Call call) {
        DisconnectNetwork asked = RecordJson.read(call, DisconnectNetwork.getDefaultInstance());
        String network = requireLocal(call).getId();
        engineGate.containers().require(asked.getContainer()).disconnect(network);
        return Reply.empty(200);
    }

    private NetworkRecord requireLocal(Call call) {
        String reference = call.path("id");
        Optional<NetworkRecord> found = local(reference);
        if (found.isPresent()) {
            return found.get();
        }
        Network ofSwarm = Lookup.find(gate.cluster().read(), Kind.NETWORK, reference);
        throw new ApiException(
                501,
                "network " + ofSwarm.getSpec().getAnnotations().getName()
                        + " is one of the swarm: only tasks of services can be in it so far");
    }

    private Reply remove(Call call) {
        Optional<NetworkRecord> found = local(call.path("id"));
        if (found.isPresent()) {
            engineGate.engine().networks().remove(found.get().getId());
            return Reply.empty(204);
        }
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
        Engine engine = engineGate.engineOrNull();
        if (engine != null) {
            removed.addAll(engine.networks()
                    .prune(network -> isWanted(filters, until, network.getLabelsMap(), network.getCreated())));
        }
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
                if (isWanted(filters, until, labels, network.getMeta().getCreatedAt())) {
                    remove(network);
                    removed.add(network.getSpec().getAnnotations().getName());
                }
            }
        }
        return Reply.json(JsonOut.object(out -> out.textsOrNull("NetworksDeleted", removed)));
    }

    private static boolean isWanted(
            Filters filters, @Nullable Timestamp until, Map<String, String> labels, Timestamp created) {
        return filters.matchesLabels("label", labels)
                && !(filters.has("label!") && filters.matchesLabels("label!", labels))
                && (until == null || Times.compare(created, until) < 0);
    }
}
