package io.skep.store;

import com.google.protobuf.Message;
import io.skep.wire.Cluster;
import io.skep.wire.Config;
import io.skep.wire.LogChange;
import io.skep.wire.Meta;
import io.skep.wire.Network;
import io.skep.wire.Node;
import io.skep.wire.ObjectKind;
import io.skep.wire.Secret;
import io.skep.wire.Service;
import io.skep.wire.Task;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * A kind of object that the state holds, and how to read what all objects have in common.
 *
 * @param <T> the message type of its objects
 */
public final class Kind<T extends Message> {
    public static final Kind<Node> NODE = new Kind<>(
            ObjectKind.OBJECT_KIND_NODE,
            "node",
            Node::getId,
            node -> "",
            Node::getMeta,
            (node, meta) -> node.toBuilder().setMeta(meta).build(),
            node -> LogChange.newBuilder().setNode(node.toBuilder().clearMeta()));
    public static final Kind<Service> SERVICE = new Kind<>(
            ObjectKind.OBJECT_KIND_SERVICE,
            "service",
            Service::getId,
            service -> service.getSpec().getAnnotations().getName(),
            Service::getMeta,
            (service, meta) -> service.toBuilder().setMeta(meta).build(),
            service -> LogChange.newBuilder().setService(service.toBuilder().clearMeta()));
    public static final Kind<Task> TASK = new Kind<>(
            ObjectKind.OBJECT_KIND_TASK,
            "task",
            Task::getId,
            task -> "",
            Task::getMeta,
            (task, meta) -> task.toBuilder().setMeta(meta).build(),
            task -> {
                throw new IllegalArgumentException("tasks are written by a TaskEncoder");
            });
    public static final Kind<Network> NETWORK = new Kind<>(
            ObjectKind.OBJECT_KIND_NETWORK,
            "network",
            Network::getId,
            network -> network.getSpec().getAnnotations().getName(),
            Network::getMeta,
            (network, meta) -> network.toBuilder().setMeta(meta).build(),
            network -> LogChange.newBuilder().setNetwork(network.toBuilder().clearMeta()));
    public static final Kind<Cluster> CLUSTER = new Kind<>(
            ObjectKind.OBJECT_KIND_CLUSTER,
            "cluster",
            Cluster::getId,
            cluster -> cluster.getSpec().getAnnotations().getName(),
            Cluster::getMeta,
            (cluster, meta) -> cluster.toBuilder().setMeta(meta).build(),
            cluster -> LogChange.newBuilder().setCluster(cluster.toBuilder().clearMeta()));
    public static final Kind<Secret> SECRET = new Kind<>(
            ObjectKind.OBJECT_KIND_SECRET,
            "secret",
            Secret::getId,
            secret -> secret.getSpec().getAnnotations().getName(),
            Secret::getMeta,
            (secret, meta) -> secret.toBuilder().setMeta(meta).build(),
            secret -> LogChange.newBuilder().setSecret(secret.toBuilder().clearMeta()));
    public static final Kind<Config> CONFIG = new Kind<>(
            ObjectKind.OBJECT_KIND_CONFIG,
            "config",
            Config::getId,
            config -> config.getSpec().getAnnotations().getName(),
            Config::getMeta,
            (config, meta) -> config.toBuilder().setMeta(meta).build(),
            config -> LogChange.newBuilder().setConfig(config.toBuilder().clearMeta()));

    /** All kinds, in the order in which a snapshot holds them: what is referred to comes first. */
    public static final List<Kind<?>> ALL = List.of(CLUSTER, NODE, NETWORK, SECRET, CONFIG, SERVICE, TASK);

    private final ObjectKind wire;
    private final String label;
    private final Function<T, String> id;
    private final Function<T, String> name;
    private final Function<T, Meta> meta;
    private final BiFunction<T, Meta, T> withMeta;
    private final Function<T, LogChange.Builder> change;

    private Kind(
            ObjectKind wire,
            String label,
            Function<T, String> id,
            Function<T, String> name,
            Function<T, Meta> meta,
            BiFunction<T, Meta, T> withMeta,
            Function<T, LogChange.Builder> change) {
        this.wire = wire;
        this.label = label;
        this.id = id;
        this.name = name;
        this.meta = meta;
        this.withMeta = withMeta;
        this.change = change;
    }

    static Kind<?> of(ObjectKind wire) {
        for (Kind<?> kind : ALL) {
            if (kind.wire == wire) {
                return kind;
            }
        }
        throw new IllegalArgumentException("no such kind of object: " + wire);
    }

    public String id(T object) {
        return id.apply(object);
    }

    /** Returns the unique name of the object, or the empty string for kinds that have none. */
    public String name(T object) {
        return name.apply(object);
    }

    public Meta meta(T object) {
        return meta.apply(object);
    }

    T withMeta(T object, Meta newMeta) {
        return withMeta.apply(object, newMeta);
    }

    /** Returns the change that writes the object, without its meta data: appliers stamp these anew. */
    LogChange.Builder change(T object) {
        return change.apply(object);
    }

    ObjectKind wire() {
        return wire;
    }

    @Override
    public String toString() {
        return label;
    }
}
