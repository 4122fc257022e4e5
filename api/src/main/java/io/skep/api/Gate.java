package io.skep.api;

import io.skep.manager.ClusterAccess;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Duration;
import java.util.UUID;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The way from endpoints to the cluster: open on a manager that runs, else closed with the reason (swarm-wire 8.2). */
final class Gate {
    /** How long a request waits for a manager that is being started, before it hears of it. */
    private static final Duration START_PATIENCE = Duration.ofSeconds(10);

    private final SwarmNode node;

    Gate(SwarmNode node) {
        this.node = node;
    }

    /**
     * Returns the cluster. Blocks for {@link #START_PATIENCE} at most, so that a restart is not seen by clients.
     *
     * @throws ApiException 503 when this node is no manager, or none that runs
     */
    ClusterAccess cluster() {
        ClusterAccess cluster = await();
        if (cluster != null) {
            return cluster;
        }
        SwarmNode.Status status = node.status();
        throw new ApiException(
                503,
                switch (status.state()) {
                    case LOCKED ->
                        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm"
                                + " unlock\" to unlock it.";
                    case INACTIVE ->
                        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to"
                                + " connect this node to swarm and try again.";
                    case ERROR ->
                        "This node is not a swarm manager. Its part in the swarm ended with an error: "
                                + status.error();
                    case PENDING -> preparing();
                    case ACTIVE ->
                        status.controlAvailable()
                                ? preparing()
                                : "This node is not a swarm manager. Worker nodes can't be used to view or modify"
                                        + " cluster state. Please run this command on a manager node or promote the"
                                        + " current node to a manager.";
                });
    }

    private @Nullable ClusterAccess await() {
        try {
            return node.awaitCluster(START_PATIENCE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new ApiException(503, "the engine is stopping");
        }
    }

    private static String preparing() {
        return "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.";
    }

    /** Returns the cluster, or null when this node is no manager that runs. */
    @Nullable
    ClusterAccess clusterOrNull() {
        return node.cluster();
    }

    /** Runs a command under a request id of its own. */
    CommandResult execute(Consumer<Command.Builder> command) {
        Command.Builder builder =
                Command.newBuilder().setRequestId(UUID.randomUUID().toString());
        command.accept(builder);
        return cluster().execute(builder.build());
    }
}
