package io.skep.control;

import com.google.protobuf.ByteString;
import io.skep.store.Kind;
import io.skep.wire.Annotations;
import io.skep.wire.Certificate;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.EngineDescription;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.JoinTokens;
import io.skep.wire.Network;
import io.skep.wire.NetworkSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.OrchestrationConfig;
import io.skep.wire.Platform;
import io.skep.wire.PluginDescription;
import io.skep.wire.ReplicatedService;
import io.skep.wire.Resources;
import io.skep.wire.RootCA;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.Version;
import java.math.BigInteger;
import java.time.Instant;
import java.util.Random;

/** Objects as tests of the control room need them: complete enough to be true, and no more. */
final class TestKit {
    static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
    static final String WORKER_TOKEN = token('w');
    static final String MANAGER_TOKEN = token('m');

    private TestKit() {}

    /** Returns a source of ids that gives the same ones for the same seed. */
    static IdSource ids(long seed) {
        Random random = new Random(seed);
        return new IdSource() {
            @Override
            public String nextId() {
                String digits = new BigInteger(136, random).toString(36);
                return ("0".repeat(27) + digits).substring(digits.length() + 2, digits.length() + 27);
            }

            @Override
            public byte[] randomBytes(int count) {
                byte[] bytes = new byte[count];
                random.nextBytes(bytes);
                return bytes;
            }

            @Override
            public int nextInt(int bound) {
                return random.nextInt(bound);
            }
        };
    }

    /** Returns a cluster with tokens and without networks; history limit 5. */
    static Cluster.Builder cluster() {
        return Cluster.newBuilder()
                .setId("cluster")
                .setSpec(ClusterSpec.newBuilder()
                        .setAnnotations(name("default"))
                        .setOrchestration(OrchestrationConfig.newBuilder().setTaskHistoryRetentionLimit(5)))
                .setRootCa(RootCA.newBuilder()
                        .setCaCert(ByteString.copyFromUtf8("root"))
                        .setJoinTokens(
                                JoinTokens.newBuilder().setWorker(WORKER_TOKEN).setManager(MANAGER_TOKEN)));
    }

    /** Returns a ready worker with 4 CPUs and 8 GiB, as a stock engine describes it. */
    static Node.Builder node(String id) {
        return Node.newBuilder()
                .setId(id)
                .setRole(NodeRole.WORKER)
                .setSpec(NodeSpec.newBuilder()
                        .setMembership(NodeSpec.Membership.ACCEPTED)
                        .setAvailability(NodeSpec.Availability.ACTIVE))
                .setStatus(
                        NodeStatus.newBuilder().setState(NodeStatus.State.READY).setAddr("192.0.2.1"))
                .setCertificate(Certificate.newBuilder()
                        .setStatus(IssuanceStatus.newBuilder().setState(IssuanceStatus.State.ISSUED)))
                .setDescription(description("host-" + id));
    }

    static NodeDescription.Builder description(String hostname) {
        return NodeDescription.newBuilder()
                .setHostname(hostname)
                .setPlatform(Platform.newBuilder().setOs("linux").setArchitecture("x86_64"))
                .setResources(Resources.newBuilder().setNanoCpus(4_000_000_000L).setMemoryBytes(8L << 30))
                .setEngine(EngineDescription.newBuilder()
                        .setEngineVersion("28.0.0")
                        .addPlugins(PluginDescription.newBuilder()
                                .setType("Network")
                                .setName("overlay"))
                        .addPlugins(
                                PluginDescription.newBuilder().setType("Volume").setName("local")));
    }

    static Annotations.Builder name(String name) {
        return Annotations.newBuilder().setName(name);
    }

    /** Returns the spec of a replicated service of containers. */
    static ServiceSpec.Builder spec(String name, long replicas) {
        return ServiceSpec.newBuilder()
                .setAnnotations(name(name))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder().setImage("nginx:1")))
                .setReplicated(ReplicatedService.newBuilder().setReplicas(replicas));
    }

    /** Returns a replicated service whose id is that of its name with "-id" added. */
    static Service.Builder service(String name, long replicas) {
        return Service.newBuilder()
                .setId(name + "-id")
                .setSpec(spec(name, replicas))
                .setSpecVersion(Version.getDefaultInstance());
    }

    /** Returns a task of the service as an orchestrator makes it: state NEW, to be RUNNING. */
    static Task.Builder task(String id, Service service, long slot) {
        return Task.newBuilder()
                .setId(id)
                .setServiceId(service.getId())
                .setServiceAnnotations(service.getSpec().getAnnotations())
                .setSpec(service.getSpec().getTask())
                .setSpecVersion(service.getSpecVersion())
                .setSlot(slot)
                .setDesiredState(TaskState.RUNNING)
                .setStatus(status(TaskState.NEW, START));
    }

    static TaskStatus.Builder status(TaskState state, Instant at) {
        return TaskStatus.newBuilder().setState(state).setTimestamp(Times.timestamp(at));
    }

    static Network.Builder network(String name) {
        return Network.newBuilder()
                .setId(name + "-id")
                .setSpec(NetworkSpec.newBuilder().setAnnotations(name(name)));
    }

    /** Returns a world that holds the cluster of {@link #cluster()} and these nodes. */
    static TestWorld world(Node... nodes) {
        TestWorld world = new TestWorld();
        world.change(transaction -> {
            transaction.put(Kind.CLUSTER, cluster().build());
            for (Node node : nodes) {
                transaction.put(Kind.NODE, node);
            }
        });
        return world;
    }

    private static String token(char role) {
        return "SWMTKN-1-" + "0".repeat(50) + "-" + String.valueOf(role).repeat(25);
    }
}
