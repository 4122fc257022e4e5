package io.skep.daemon.node;

import io.skep.api.ApiException;
import io.skep.api.SwarmNode.InitRequest;
import io.skep.api.SwarmNode.JoinRequest;
import io.skep.control.CommandException;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.JoinTokens;
import io.skep.wire.KeyRotation;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.UpdateClusterRequest;
import io.skep.wire.UpdateNodeRequest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Nodes in one process, each with a loopback address and a data folder of its own, as if on machines of their own. */
final class Hosts implements AutoCloseable {
    static final Duration SOON = Duration.ofSeconds(40);

    private final Path root;
    private final int port;
    private final Map<Integer, NodeRunner> running = new TreeMap<>();

    Hosts(Path root) throws IOException {
        this.root = root;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
    }

    String address(int host) {
        return "127.0.0." + (10 + host) + ":" + port;
    }

    /** Takes the port of a host, so that nothing else can listen there. */
    ServerSocket occupy(int host) throws IOException {
        return new ServerSocket(port, 1, InetAddress.getByName("127.0.0." + (10 + host)));
    }

    Path swarmFolder(int host) {
        return root.resolve("host" + host).resolve("swarm");
    }

    /** Starts the daemon's node on a host, new or again. */
    NodeRunner start(int host, String... managerHints) {
        return start(host, "", managerHints);
    }

    NodeRunner start(int host, String advertise, String... managerHints) {
        NodeRunner node = new NodeRunner(new NodeSettings(
                root.resolve("host" + host),
                "0.1.0-test",
                Map::of,
                List.of(),
                null,
                "no containers in this test",
                "",
                advertise,
                List.of(managerHints),
                InstantSource.system()));
        node.start();
        running.put(host, node);
        return node;
    }

    NodeRunner node(int host) {
        NodeRunner node = running.get(host);
        if (node == null) {
            throw new IllegalArgumentException("host " + host + " does not run");
        }
        return node;
    }

    ClusterAccess cluster(int host) {
        ClusterAccess cluster = node(host).cluster();
        if (cluster == null) {
            throw new AssertionError(
                    "host " + host + " is no manager: " + node(host).status());
        }
        return cluster;
    }

    void stop(int host) {
        NodeRunner node = running.remove(host);
        if (node != null) {
            node.close();
        }
    }

    String init(int host, boolean autoLock) {
        return node(host)
                .init(new InitRequest(
                        address(host),
                        "",
                        "",
                        0,
                        false,
                        ClusterSpec.getDefaultInstance(),
                        autoLock,
                        NodeSpec.Availability.ACTIVE,
                        List.of(),
                        0));
    }

    String forceNewCluster(int host) {
        return node(host)
                .init(new InitRequest(
                        address(host),
                        "",
                        "",
                        0,
                        true,
                        ClusterSpec.getDefaultInstance(),
                        false,
                        NodeSpec.Availability.ACTIVE,
                        List.of(),
                        0));
    }

    void join(int host, int remote, String token) {
        node(host)
                .join(new JoinRequest(
                        address(host), "", "", List.of(address(remote)), token, NodeSpec.Availability.ACTIVE));
    }

    JoinTokens tokens(int host) {
        return clusterObject(host).getRootCa().getJoinTokens();
    }

    Cluster clusterObject(int host) {
        Cluster found = cluster(host).read().cluster();
        if (found == null) {
            throw new AssertionError("host " + host + " has no cluster");
        }
        return found;
    }

    /** Makes host 1 the first manager and the others up to that number join it as managers. */
    void formManagers(int count) {
        start(1);
        init(1, false);
        String token = tokens(1).getManager();
        for (int host = 2; host <= count; host++) {
            start(host);
            join(host, 1, token);
        }
    }

    Node nodeObject(int asked, int host) {
        Node found = cluster(asked).read().nodes().get(node(host).status().nodeId());
        if (found == null) {
            throw new AssertionError("host " + asked + " does not know the node of host " + host);
        }
        return found;
    }

    void setRole(int asked, int host, NodeRole role) throws InterruptedException {
        await("the role of host " + host + " can be set", () -> {
            Node node = nodeObject(asked, host);
            try {
                execute(
                        asked,
                        Command.newBuilder()
                                .setUpdateNode(UpdateNodeRequest.newBuilder()
                                        .setNodeId(node.getId())
                                        .setNodeVersion(node.getMeta().getVersion())
                                        .setSpec(node.getSpec().toBuilder().setDesiredRole(role))));
                return true;
            } catch (CommandException e) {
                if (e.text().contains("out of sequence")) {
                    return false;
                }
                throw e;
            }
        });
    }

    void updateCluster(int asked, boolean autoLock, KeyRotation rotation) {
        Cluster cluster = clusterObject(asked);
        ClusterSpec.Builder spec = cluster.getSpec().toBuilder();
        spec.getEncryptionConfigBuilder().setAutoLockManagers(autoLock);
        execute(
                asked,
                Command.newBuilder()
                        .setUpdateCluster(UpdateClusterRequest.newBuilder()
                                .setClusterId(cluster.getId())
                                .setClusterVersion(cluster.getMeta().getVersion())
                                .setSpec(spec)
                                .setRotation(rotation)));
    }

    CommandResult execute(int asked, Command.Builder command) {
        return cluster(asked)
                .execute(command.setRequestId(UUID.randomUUID().toString()).build());
    }

    int leader(int asked) {
        for (Member member : cluster(asked).members()) {
            if (member.leader()) {
                for (Map.Entry<Integer, NodeRunner> each : running.entrySet()) {
                    if (each.getValue().status().nodeId().equals(member.nodeId())) {
                        return each.getKey();
                    }
                }
            }
        }
        return 0;
    }

    long voters(int asked) {
        return cluster(asked).members().stream().filter(Member::voter).count();
    }

    /** Reads through a host, empty while it cannot. */
    ClusterState tryRead(int asked) {
        try {
            return cluster(asked).read();
        } catch (CommandException | ApiException e) {
            return ClusterState.empty();
        }
    }

    /** Looks again and again, for what several processes bring about and nobody announces. */
    static void await(String what, BooleanSupplier condition) throws InterruptedException {
        CountDownLatch never = new CountDownLatch(1);
        long end = System.nanoTime() + SOON.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + SOON.toSeconds() + " s: " + what);
            }
            if (never.await(50, TimeUnit.MILLISECONDS)) {
                return;
            }
        }
    }

    @Override
    public void close() {
        for (Integer host : List.copyOf(running.keySet())) {
            stop(host);
        }
    }
}
