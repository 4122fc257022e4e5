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
import java.util.AbstractCollection;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The whole state of a cluster at one version, immutable.
 *
 * <p>The version counts the transactions since the cluster began, so every manager that applied the same log has the
 * same state under the same number. Objects carry the version of the transaction that last wrote them, and an update by
 * a user must name it (swarm-wire 8.1).
 */
public final class ClusterState {
    private static final ClusterState EMPTY = new ClusterState(
            0,
            Table.empty(Kind.CLUSTER),
            Table.empty(Kind.NODE),
            Table.empty(Kind.SERVICE),
            Table.empty(Kind.TASK),
            Table.empty(Kind.NETWORK),
            Table.empty(Kind.SECRET),
            Table.empty(Kind.CONFIG),
            HashTrie.empty(),
            HashTrie.empty(),
            Outcomes.none());

    private final long version;
    private final Table<Cluster> clusters;
    private final Table<Node> nodes;
    private final Table<Service> services;
    private final Table<Task> tasks;
    private final Table<Network> networks;
    private final Table<Secret> secrets;
    private final Table<Config> configs;
    /** The ids of the tasks of each service; the tasks themselves change more often than what they belong to. */
    private final HashTrie<HashTrie<String>> tasksByService;

    private final HashTrie<HashTrie<String>> tasksByNode;
    private final Outcomes outcomes;

    private ClusterState(
            long version,
            Table<Cluster> clusters,
            Table<Node> nodes,
            Table<Service> services,
            Table<Task> tasks,
            Table<Network> networks,
            Table<Secret> secrets,
            Table<Config> configs,
            HashTrie<HashTrie<String>> tasksByService,
            HashTrie<HashTrie<String>> tasksByNode,
            Outcomes outcomes) {
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
        return tasks(tasksByService.get(serviceId));
    }

    /** Returns the tasks that name a node, in no particular order. */
    public Collection<Task> tasksOfNode(String nodeId) {
        return tasks(tasksByNode.get(nodeId));
    }

    private Collection<Task> tasks(@Nullable HashTrie<String> ids) {
        if (ids == null) {
            return List.of();
        }
        return new AbstractCollection<>() {
            @Override
            public int size() {
                return ids.size();
            }

            @Override
            public Iterator<Task> iterator() {
                Iterator<String> each = ids.values().iterator();
                return new Iterator<>() {
                    @Override
                    public boolean hasNext() {
                        return each.hasNext();
                    }

                    @Override
                    public Task next() {
                        return Objects.requireNonNull(tasks.get(each.next()));
                    }
                };
            }
        };
    }

    /** Returns what a request was answered, if it is one of the last that were. */
    public @Nullable CommandResult outcome(String requestId) {
        return outcomes.get(requestId);
    }

    /** Returns the remembered requests, oldest first. */
    List<String> requests() {
        return outcomes.requests();
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
        HashTrie<HashTrie<String>> byService = tasksByService;
        HashTrie<HashTrie<String>> byNode = tasksByNode;
        if (kind == Kind.TASK) {
            Task before = tasks.get(id);
            Task after = (Task) object;
            byService = reindex(
                    byService,
                    id,
                    before == null ? "" : before.getServiceId(),
                    after == null ? "" : after.getServiceId());
            byNode = reindex(
                    byNode, id, before == null ? "" : before.getNodeId(), after == null ? "" : after.getNodeId());
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
                outcomes);
    }

    ClusterState withOutcome(String requestId, CommandResult result) {
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
                outcomes.with(requestId, result));
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
                outcomes);
    }

    @SuppressWarnings("unchecked")
    private static <T extends Message> Table<T> replaced(
            Table<T> current, Kind<T> kind, Kind<?> changed, Table<?> changedTable) {
        return kind == changed ? (Table<T>) changedTable : current;
    }

    private static HashTrie<HashTrie<String>> reindex(
            HashTrie<HashTrie<String>> index, String id, String oldKey, String newKey) {
        if (oldKey.equals(newKey)) {
            return index;
        }
        HashTrie<HashTrie<String>> result = index;
        HashTrie<String> left = oldKey.isEmpty() ? null : result.get(oldKey);
        if (left != null) {
            HashTrie<String> smaller = left.without(id);
            result = smaller.size() == 0 ? result.without(oldKey) : result.with(oldKey, smaller);
        }
        if (!newKey.isEmpty()) {
            HashTrie<String> joined = result.get(newKey);
            result = result.with(newKey, (joined == null ? HashTrie.<String>empty() : joined).with(id, id));
        }
        return result;
    }
}
