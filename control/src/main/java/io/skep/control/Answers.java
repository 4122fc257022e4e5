package io.skep.control;

import io.skep.wire.Annotations;
import io.skep.wire.Cluster;
import io.skep.wire.CommandResult;
import io.skep.wire.Config;
import io.skep.wire.ConfigSpec;
import io.skep.wire.Network;
import io.skep.wire.NetworkSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.Secret;
import io.skep.wire.SecretSpec;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;

/**
 * What commands answer: the object by its id, version and name, without its content.
 *
 * <p>Answers are kept for some time, on every manager, for requests that are sent again. So they hold no secrets and
 * little else; whoever wants the object reads it from the state, which holds it when the answer arrives.
 */
final class Answers {
    private Answers() {}

    static CommandResult of(Service service) {
        return CommandResult.newBuilder()
                .setService(Service.newBuilder()
                        .setId(service.getId())
                        .setMeta(service.getMeta())
                        .setSpec(ServiceSpec.newBuilder()
                                .setAnnotations(name(service.getSpec().getAnnotations()))))
                .build();
    }

    /** Also says the role and whether the node is accepted, which the node waits to know. */
    static CommandResult of(Node node) {
        return CommandResult.newBuilder()
                .setNode(Node.newBuilder()
                        .setId(node.getId())
                        .setMeta(node.getMeta())
                        .setRole(node.getRole())
                        .setSpec(NodeSpec.newBuilder()
                                .setMembership(node.getSpec().getMembership())
                                .setDesiredRole(node.getSpec().getDesiredRole())
                                .setAvailability(node.getSpec().getAvailability())))
                .build();
    }

    static CommandResult of(Cluster cluster) {
        return CommandResult.newBuilder()
                .setCluster(Cluster.newBuilder().setId(cluster.getId()).setMeta(cluster.getMeta()))
                .build();
    }

    static CommandResult of(Network network) {
        return CommandResult.newBuilder()
                .setNetwork(Network.newBuilder()
                        .setId(network.getId())
                        .setMeta(network.getMeta())
                        .setSpec(NetworkSpec.newBuilder()
                                .setAnnotations(name(network.getSpec().getAnnotations()))))
                .build();
    }

    static CommandResult of(Secret secret) {
        return CommandResult.newBuilder()
                .setSecret(Secret.newBuilder()
                        .setId(secret.getId())
                        .setMeta(secret.getMeta())
                        .setSpec(SecretSpec.newBuilder()
                                .setAnnotations(name(secret.getSpec().getAnnotations()))))
                .build();
    }

    static CommandResult of(Config config) {
        return CommandResult.newBuilder()
                .setConfig(Config.newBuilder()
                        .setId(config.getId())
                        .setMeta(config.getMeta())
                        .setSpec(ConfigSpec.newBuilder()
                                .setAnnotations(name(config.getSpec().getAnnotations()))))
                .build();
    }

    static CommandResult ofId(String id) {
        return CommandResult.newBuilder().setId(id).build();
    }

    /** Answers what has nothing to say. */
    static CommandResult done() {
        return CommandResult.getDefaultInstance();
    }

    private static Annotations name(Annotations annotations) {
        return Annotations.newBuilder().setName(annotations.getName()).build();
    }
}
