package io.skep.store;

import com.google.protobuf.Message;
import io.skep.wire.Cluster;
import io.skep.wire.CommandResult;
import io.skep.wire.Config;
import io.skep.wire.Network;
import io.skep.wire.Node;
import io.skep.wire.Secret;
import io.skep.wire.Service;
import io.skep.wire.Task;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.pcollections.HashTreePMap;
import org.pcollections.PMap;
import org.pcollections.PVector;
import org.pcollections.TreePVector;

/**
 * The whole state of a cluster at one version, immutable.
 *
 * <p>The version counts the transactions since the cluster began, so every manager that applied the same log has the
 * same state under the same number. Objects carry the version of the transaction that last wrote them, and an update by
 * a user must name it (swarm-wire 8.1).
 */
public final class ClusterState {
    /** How many answered requests are remembered, so that a repeated one has its effect once. */
    static final int REQUESTS_REMEMBERED_MAX = 4096;

    private static final ClusterState EMPTY = new ClusterState(
            0,
            Table.empty(Kind.CLUSTER),
            Table.empty(Kind.NODE),
            Table.empty(Kind.SERVICE),
            Table.empty(Kind.TASK),
            Table.empty(Kind.NETWORK),
            Table.empty(Kind.SECRET),
            Table.empty(Kind.CONFIG),
            HashTreePMap.empty(),
            HashTreePMap.empty(),
            HashTreePMap.empty(),
            TreePVector.empty());

    private final long version;
    private final Table<Cluster> clusters;
    private final Table<Node> nodes;
    private final Table<Service> services;
    private final Table<Task> tasks;
    private final Table<Network> networks;
    private final Table<Secret> secrets;
    private final Table<Config> configs;
    private final PMap<String, PMap<String, Task>> tasksByService;
    private final PMap<String, PMap<String, Task>> tasksByNode;
    private final PMap<String, CommandResult> outcomes;
    private final PVector<String> requests;

    private ClusterState(
            long version,
            Table<Cluster> clusters,
            Table<Node> nodes,
            Table<Service> services,
            Table<Task> tasks,
            Table<Network> networks,
            Table<Secret> secrets,
            Table<Config> configs,
            PMap<String, PMap<String, Task>> tasksByService,
            PMap<String, PMap<String, Task>> tasksByNode,
            PMap<String, CommandResult> outcomes,
            PVector<String> requests) {
        this.version = version;
        this.clusters = clusters;
        this.nodes = nodes;
        this.services = services;
        this.tasks = tasks;
        this.networks = networks;
        this.secrets = secrets;
        this.configs = configs;
        this.tasksByService = tasksByService;
        this.tasksByNode = tasksByNode;
        this.outcomes = outcomes;
        this.requests = requests;
    }

    public static ClusterState empty() {
        return EMPTY;
    }

    /** Returns the number of transactions applied since the cluster began. */
    public long version() {
        return version;
    }

    /** Returns the cluster object, or null before the cluster is made. */
    public @Nullable Cluster cluster() {
        return clusters.size() == 0 ? null : clusters.values().iterator().next();
    }

    public Table<Node> nodes() {
        return nodes;
    }

    public Table<Service> services() {
        return services;
    }

    public Table<Task> tasks() {
        return tasks;
    }

    public Table<Network> networks() {
        return networks;
    }

    public Table<Secret> secrets() {
        return secrets;
    }

    public Table<Config> configs() {
        return configs;
    }

    /** Returns the tasks of a service, in no particular order. */
    public Collection<Task> tasksOfService(String serviceId) {
        Map<String, Task> found = tasksByService.get(serviceId);
        return found == null ? List.of() : found.values();
    }

    /** Returns the tasks that name a node, in no particular order. */
    public Collection<Task> tasksOfNode(String nodeId) {
        Map<String, Task> found = tasksByNode.get(nodeId);
        return found == null ? List.of() : found.values();
    }

    /** Returns what a request was answered, if it is one of the last that were. */
    public @Nullable CommandResult outcome(String requestId) {
        return outcomes.get(requestId);
    }

    /** Returns the remembered requests, oldest first. */
    List<String> requests() {
        return requests;
    }

    @SuppressWarnings("unchecked")
    public <T extends Message> Table<T> table(Kind<T> kind) {
        return (Table<T>)
                switch (kind.wire()) {
                    case OBJECT_KIND_CLUSTER -> clusters;
                    case OBJECT_KIND_NODE -> nodes;
                    case OBJECT_KIND_SERVICE -> services;
                    case OBJECT_KIND_TASK -> tasks;
                    case OBJECT_KIND_NETWORK -> networks;
                    case OBJECT_KIND_SECRET -> secrets;
                    case OBJECT_KIND_CONFIG -> configs;
                    case OBJECT_KIND_UNKNOWN, UNRECOGNIZED -> throw new IllegalArgumentException("no table of " + kind);
                };
    }

    /** Returns this state with one object written (object given) or removed (null), and the same version. */
    <T extends Message> ClusterState with(Kind<T> kind, String id, @Nullable T object) {
        Table<T> table = object == null ? table(kind).without(id) : table(kind).with(object);
        PMap<String, PMap<String, Task>> byService = tasksByService;
        PMap<String, PMap<String, Task>> byNode = tasksByNode;
        if (kind == Kind.TASK) {
            Task before = tasks.get(id);
            Task after = (Task) object;
            byService = reindex(
                    byService,
                    id,
                    before == null ? "" : before.getServiceId(),
                    after == null ? "" : after.getServiceId(),
                    after);
            byNode = reindex(
                    byNode,
                    id,
                    before == null ? "" : before.getNodeId(),
                    after == null ? "" : after.getNodeId(),
                    after);
        }
        return new ClusterState(
                version,
                replaced(clusters, Kind.CLUSTER, kind, table),
                replaced(nodes, Kind.NODE, kind, table),
                replaced(services, Kind.SERVICE, kind, table),
                replaced(tasks, Kind.TASK, kind, table),
                replaced(networks, Kind.NETWORK, kind, table),
                replaced(secrets, Kind.SECRET, kind, table),
                replaced(configs, Kind.CONFIG, kind, table),
                byService,
                byNode,
                outcomes,
                requests);
    }

    ClusterState withOutcome(String requestId, CommandResult result) {
        PMap<String, CommandResult> newOutcomes = outcomes.plus(requestId, result);
        PVector<String> newRequests = outcomes.containsKey(requestId) ? requests : requests.plus(requestId);
        while (newRequests.size() > REQUESTS_REMEMBERED_MAX) {
            newOutcomes = newOutcomes.minus(newRequests.get(0));
            newRequests = newRequests.minus(0);
        }
        return new ClusterState(
                version,
                clusters,
                nodes,
                services,
                tasks,
                networks,
                secrets,
                configs,
                tasksByService,
                tasksByNode,
                newOutcomes,
                newRequests);
    }

    ClusterState withVersion(long newVersion) {
        return new ClusterState(
                newVersion,
                clusters,
                nodes,
                services,
                tasks,
                networks,
                secrets,
                configs,
                tasksByService,
                tasksByNode,
                outcomes,
                requests);
    }

    @SuppressWarnings("unchecked")
    private static <T extends Message> Table<T> replaced(
            Table<T> current, Kind<T> kind, Kind<?> changed, Table<?> changedTable) {
        return kind == changed ? (Table<T>) changedTable : current;
    }

    private static PMap<String, PMap<String, Task>> reindex(
            PMap<String, PMap<String, Task>> index, String id, String oldKey, String newKey, @Nullable Task task) {
        PMap<String, PMap<String, Task>> result = index;
        if (!oldKey.isEmpty() && !oldKey.equals(newKey)) {
            PMap<String, Task> bucket = result.get(oldKey);
            if (bucket != null) {
                PMap<String, Task> smaller = bucket.minus(id);
                result = smaller.isEmpty() ? result.minus(oldKey) : result.plus(oldKey, smaller);
            }
        }
        if (!newKey.isEmpty() && task != null) {
            PMap<String, Task> bucket = result.get(newKey);
            result = result.plus(newKey, bucket == null ? HashTreePMap.singleton(id, task) : bucket.plus(id, task));
        }
        return result;
    }
}
