package io.skep.control;

import static io.skep.control.TestKit.START;
import static io.skep.control.TestKit.description;
import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.service;
import static io.skep.control.TestKit.status;
import static io.skep.control.TestKit.task;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.skep.control.CommandException.Code;
import io.skep.store.Consensus.Member;
import io.skep.store.Kind;
import io.skep.wire.BlacklistedCertificate;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeStatus;
import io.skep.wire.Platform;
import io.skep.wire.RegisterNode;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateNodeRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class NodeCommandsTest {
    private static final String WITHOUT_ENGINE = "this node has no container engine";

    private final TestWorld world =
            world(manager("m1").build(), node("w1").build(), skep("s1").build());
    private final TestLeader leader = new TestLeader(world, ids(1));

    private static Node.Builder skep(String id) {
        Node.Builder node = node(id);
        node.getDescriptionBuilder().getEngineBuilder().putLabels(NodeCommands.SKEP_LABEL, "0.1.0");
        return node;
    }

    private static Node.Builder manager(String id) {
        Node.Builder node = skep(id).setRole(NodeRole.MANAGER);
        node.getSpecBuilder().setDesiredRole(NodeRole.MANAGER);
        return node;
    }

    private Node stored(String id) {
        return requireNonNull(world.state().nodes().get(id));
    }

    private Command.Builder update(String id, NodeSpec.Builder spec) {
        return Command.newBuilder()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(id)
                        .setNodeVersion(stored(id).getMeta().getVersion())
                        .setSpec(spec));
    }

    private Command.Builder withRole(String id, NodeRole role) {
        return update(id, stored(id).getSpec().toBuilder().setDesiredRole(role));
    }

    private static Command.Builder remove(String id, boolean force) {
        return Command.newBuilder()
                .setRemoveNode(RemoveNodeRequest.newBuilder().setNodeId(id).setForce(force));
    }

    private static Command.Builder register(String id, String withoutExecutor) {
        return Command.newBuilder()
                .setRegisterNode(RegisterNode.newBuilder()
                        .setNodeId(id)
                        .setAddress("192.0.2.7")
                        .setManagerId("m1")
                        .setDescription(description("new-name")
                                .setPlatform(
                                        Platform.newBuilder().setOs("linux").setArchitecture("armv7l")))
                        .setWithoutExecutor(withoutExecutor));
    }

    private void assertRefused(Command.Builder command, Code code, String text) {
        CommandException refusal = requireNonNull(leader.attempt(command).refusal(), "refusal");
        assertThat(refusal.text()).isEqualTo(text);
        assertThat(refusal.code()).isEqualTo(code);
    }

    @Test
    void aRegisteredNodeIsReadyAndKeptAsItDescribesItself() {
        leader.run(register("w1", ""));
        Node node = stored("w1");
        assertThat(node.getStatus().getState()).isEqualTo(NodeStatus.State.READY);
        assertThat(node.getStatus().getAddr()).isEqualTo("192.0.2.7");
        assertThat(node.getDescription().getPlatform().getArchitecture()).isEqualTo("armv7l");
        assertThat(node.getSpec().getAvailability()).isEqualTo(NodeSpec.Availability.ACTIVE);
    }

    @Test
    void theSameRegistrationChangesNothing() {
        leader.run(register("w1", ""));
        Node before = stored("w1");
        leader.run(register("w1", ""));
        assertThat(stored("w1")).isEqualTo(before);
    }

    @Test
    void onlyKnownNodesRegister() {
        assertRefused(register("stranger", ""), Code.UNKNOWN, "node stranger not found");
    }

    @Test
    void aNodeWithoutEngineIsDrainedAndSaysWhy() {
        leader.run(register("s1", WITHOUT_ENGINE));
        Node node = stored("s1");
        assertThat(node.getSpec().getAvailability()).isEqualTo(NodeSpec.Availability.DRAIN);
        assertThat(node.getStatus().getMessage()).isEqualTo(WITHOUT_ENGINE);
        assertRefused(
                update("s1", node.getSpec().toBuilder().setAvailability(NodeSpec.Availability.ACTIVE)),
                Code.FAILED_PRECONDITION,
                "node s1 cannot be made active: " + WITHOUT_ENGINE);
        leader.run(update("s1", node.getSpec().toBuilder().setAvailability(NodeSpec.Availability.PAUSE)));
    }

    @Test
    void labelsAndAvailabilityAreSet() {
        NodeSpec.Builder spec = stored("w1").getSpec().toBuilder().setAvailability(NodeSpec.Availability.DRAIN);
        spec.getAnnotationsBuilder().putLabels("rack", "a");
        leader.run(update("w1", spec.setMembership(NodeSpec.Membership.PENDING)));
        assertThat(stored("w1").getSpec().getAvailability()).isEqualTo(NodeSpec.Availability.DRAIN);
        assertThat(stored("w1").getSpec().getAnnotations().getLabelsMap()).containsEntry("rack", "a");
        assertThat(stored("w1").getSpec().getMembership()).isEqualTo(NodeSpec.Membership.ACCEPTED);
    }

    @Test
    void anUpdateIsOfTheNewestVersion() {
        Command.Builder update = update("w1", stored("w1").getSpec().toBuilder());
        leader.run(register("w1", ""));
        assertRefused(update, Code.UNKNOWN, "update out of sequence");
        assertRefused(
                Command.newBuilder()
                        .setUpdateNode(UpdateNodeRequest.newBuilder()
                                .setNodeId("w9")
                                .setNodeVersion(stored("w1").getMeta().getVersion())
                                .setSpec(NodeSpec.getDefaultInstance())),
                Code.NOT_FOUND,
                "node w9 not found");
    }

    @Test
    void onlySkepNodesArePromoted() {
        assertRefused(
                withRole("w1", NodeRole.MANAGER),
                Code.FAILED_PRECONDITION,
                "node w1 cannot be promoted: it runs Docker Engine 28.0.0,"
                        + " and only Skep nodes can be managers of this swarm");
        leader.run(withRole("s1", NodeRole.MANAGER));
        assertThat(stored("s1").getRole()).isEqualTo(NodeRole.MANAGER);
    }

    @Test
    void aDemotedManagerIsOneUntilItHasLeft() {
        leader.run(withRole("s1", NodeRole.MANAGER));
        leader.run(withRole("m1", NodeRole.WORKER));
        assertThat(stored("m1").getRole()).isEqualTo(NodeRole.MANAGER);
        assertRefused(
                remove("m1", true),
                Code.FAILED_PRECONDITION,
                "node m1 is a cluster manager and is a member of the raft cluster."
                        + " It must be demoted to worker before removal");
        leader.change(transaction -> transaction.put(
                Kind.NODE, stored("m1").toBuilder().setRole(NodeRole.WORKER).build()));
        leader.run(remove("m1", true));
    }

    @Test
    void theLastManagerStays() {
        assertRefused(
                withRole("m1", NodeRole.WORKER),
                Code.FAILED_PRECONDITION,
                "attempting to demote the last manager of the swarm");
    }

    @Test
    void aManagerStaysWhileThoseThatAreToReplaceItTakeNoPart() {
        leader.members = List.of(new Member("m1", "10.0.0.1:2377", true, true, true));
        leader.run(withRole("s1", NodeRole.MANAGER));
        assertQuorumKeeps("m1");
        Member joining = new Member("s1", "10.0.0.2:2377", false, false, true);
        leader.members = List.of(leader.members.getFirst(), joining);
        assertQuorumKeeps("m1");
        Member away = new Member("s1", "10.0.0.2:2377", true, false, false);
        leader.members = List.of(leader.members.getFirst(), away);
        assertQuorumKeeps("m1");
        Member there = new Member("s1", "10.0.0.2:2377", true, false, true);
        leader.members = List.of(leader.members.getFirst(), there);
        leader.run(withRole("m1", NodeRole.WORKER));
        // It is taken out only later, and is no help until then.
        assertRefused(
                withRole("s1", NodeRole.WORKER),
                Code.FAILED_PRECONDITION,
                "attempting to demote the last manager of the swarm");
    }

    @Test
    void aPromotionIsTakenBackBeforeTheNodeTakesPart() {
        leader.members = List.of(new Member("m1", "10.0.0.1:2377", true, true, true));
        leader.run(withRole("s1", NodeRole.MANAGER));
        leader.run(withRole("s1", NodeRole.WORKER));
        assertThat(stored("s1").getSpec().getDesiredRole()).isEqualTo(NodeRole.WORKER);
    }

    private void assertQuorumKeeps(String id) {
        assertRefused(
                withRole(id, NodeRole.WORKER),
                Code.FAILED_PRECONDITION,
                "can't remove member from the raft: this would result in a loss of quorum");
    }

    @Test
    void aReadyNodeIsRemovedByForceOnly() {
        assertRefused(remove("w1", false), Code.FAILED_PRECONDITION, "node w1 is not down and can't be removed");
        leader.run(remove("w1", true));
        assertThat(world.state().nodes().get("w1")).isNull();
        assertRefused(remove("w1", true), Code.NOT_FOUND, "node w1 not found");
    }

    @Test
    void aRemovedNodeIsShutOutAndItsTasksAreGivenUp() {
        var service = service("web", 2).build();
        leader.change(transaction -> {
            transaction.put(Kind.SERVICE, service);
            transaction.put(
                    Kind.TASK,
                    task("runs", service, 1)
                            .setNodeId("w1")
                            .setStatus(status(TaskState.RUNNING, START))
                            .build());
            transaction.put(
                    Kind.TASK,
                    task("failed", service, 2)
                            .setNodeId("w1")
                            .setStatus(status(TaskState.FAILED, START))
                            .build());
        });
        leader.run(remove("w1", true));
        assertThat(state("runs")).isEqualTo(TaskState.ORPHANED);
        assertThat(state("failed")).isEqualTo(TaskState.FAILED);
        BlacklistedCertificate entry = cluster().getBlacklistedCertificatesOrThrow("w1");
        assertThat(Times.instant(entry.getExpiry())).isEqualTo(START.plus(Duration.ofDays(90)));
    }

    @Test
    void anOldEntryOfTheBlacklistIsDropped() {
        Instant expiry = START.minus(Duration.ofDays(7)).minusSeconds(1);
        leader.change(transaction -> transaction.put(
                Kind.CLUSTER,
                cluster().toBuilder()
                        .putBlacklistedCertificates(
                                "old",
                                BlacklistedCertificate.newBuilder()
                                        .setExpiry(Times.timestamp(expiry))
                                        .build())
                        .putBlacklistedCertificates(
                                "recent",
                                BlacklistedCertificate.newBuilder()
                                        .setExpiry(Times.timestamp(START.minusSeconds(60)))
                                        .build())
                        .build()));
        leader.run(remove("w1", true));
        assertThat(cluster().getBlacklistedCertificatesMap()).containsOnlyKeys("recent", "w1");
    }

    private Cluster cluster() {
        return requireNonNull(world.state().cluster());
    }

    private TaskState state(String taskId) {
        Task task = requireNonNull(world.state().tasks().get(taskId));
        return task.getStatus().getState();
    }
}
