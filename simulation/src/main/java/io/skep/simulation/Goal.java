package io.skep.simulation;

import io.skep.store.ClusterState;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.RestartPolicy.RestartCondition;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateStatus.UpdateState;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What a cluster must come to once nothing bad happens any more and nobody asks for anything. */
final class Goal {
    private final World world;

    Goal(World world) {
        this.world = world;
    }

    /** Returns what is not as it should be, or null when all is. */
    @Nullable
    String missing() {
        ClusterState state = world.invariants().state();
        String found = managers(state);
        found = found == null ? nodes(state) : found;
        for (Service service : state.services().values()) {
            found = found == null ? service(state, service) : found;
        }
        return found == null ? tasks(state) : found;
    }

    private @Nullable String managers(ClusterState state) {
        SimulatedConsensus leader = world.quorum().leader();
        if (leader == null || !leader.leadership().ready()) {
            return "there is no leader";
        }
        for (Board board : world.boards()) {
            Board.ManagerPart manager = board.manager();
            if (board.nodeId != null && state.nodes().get(board.nodeId) == null) {
                // It was removed, and nobody tells it anything any more.
                continue;
            }
            boolean should = board.nodeId != null
                    && !board.isDown()
                    && isManager(state.nodes().get(board.nodeId));
            if (board.nodeId != null && knowsNoManager(board)) {
                // It never heard that it was promoted or demoted.
                continue;
            }
            if (should != (manager != null)) {
                return board + (should ? " is no manager yet" : " is still a manager");
            }
            if (manager != null) {
                if (manager.store.state().version() != state.version()) {
                    return board + " is at version " + manager.store.state().version() + " of " + state.version();
                }
                if (!Objects.equals(manager.consensus.leadership().leaderId(), leader.selfId())) {
                    return board + " does not follow the leader";
                }
            }
        }
        Set<String> voters = new HashSet<>();
        leader.members().stream().filter(each -> each.voter()).forEach(each -> voters.add(each.nodeId()));
        for (Node node : state.nodes().values()) {
            Board board = world.boardOf(node.getId());
            boolean comes = board != null && !board.isDown() && !knowsNoManager(board);
            if (comes && isManager(node) != voters.contains(node.getId())) {
                return node.getId() + (isManager(node) ? " has no vote" : " still has a vote");
            }
        }
        return null;
    }

    private static boolean isManager(@Nullable Node node) {
        return node != null && node.getSpec().getDesiredRole() == io.skep.wire.NodeRole.MANAGER;
    }

    private @Nullable String nodes(ClusterState state) {
        for (Node node : state.nodes().values()) {
            if (node.getRole() != node.getSpec().getDesiredRole()) {
                return node.getId() + " has not the role that it should have";
            }
            Board board = world.boardOf(node.getId());
            if (board != null && knowsNoManager(board)) {
                // All managers it knew went while it was away: only someone who tells it another can help.
                continue;
            }
            boolean there = board != null && !board.isDown();
            NodeStatus.State wanted = there ? NodeStatus.State.READY : NodeStatus.State.DOWN;
            if (node.getStatus().getState() != wanted && (there || node.hasDescription())) {
                return node.getId() + " is " + node.getStatus().getState() + ", not " + wanted;
            }
        }
        return null;
    }

    /** Returns whether none of those that a node knows of as managers, itself included, is one. */
    private boolean knowsNoManager(Board board) {
        Set<String> known = new HashSet<>();
        board.known.all().forEach(peer -> known.add(peer.getAddr()));
        Board.ManagerPart manager = board.manager();
        if (manager != null) {
            manager.consensus.members().forEach(member -> known.add(member.address()));
        }
        return world.boards().stream().noneMatch(each -> takesPart(each) && known.contains(each.managerAddress()));
    }

    /** Returns whether a node is a manager for the others too: one may have lost its place while it was cut off. */
    private boolean takesPart(Board board) {
        String nodeId = board.nodeId;
        SimulatedConsensus leader = world.quorum().leader();
        return nodeId != null
                && leader != null
                && board.manager() != null
                && leader.members().stream().anyMatch(member -> member.nodeId().equals(nodeId))
                && isManager(world.invariants().state().nodes().get(nodeId));
    }

    private @Nullable String service(ClusterState state, Service service) {
        String name = service.getSpec().getAnnotations().getName();
        List<Task> wanted = state.tasksOfService(service.getId()).stream()
                .filter(task -> task.getDesiredStateValue() <= TaskState.COMPLETE_VALUE
                        && task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE)
                .toList();
        boolean pending = false;
        for (Task task : wanted) {
            TaskState now = task.getStatus().getState();
            if (now == TaskState.NEW || now == TaskState.PENDING) {
                pending = true;
                if (task.getStatus().getErr().isEmpty()) {
                    return "task " + task.getId() + " of " + name + " is " + now + " and does not say why";
                }
            } else if (now != TaskState.RUNNING || task.getDesiredState() != TaskState.RUNNING) {
                return "task " + task.getId() + " of " + name + " on " + task.getNodeId() + " is " + now + ", wanted "
                        + task.getDesiredState();
            }
        }
        UpdateState update = service.getUpdateStatus().getState();
        boolean paused = update == UpdateState.PAUSED || update == UpdateState.ROLLBACK_PAUSED;
        if (!pending && (update == UpdateState.UPDATING || update == UpdateState.ROLLBACK_STARTED)) {
            return "the update of " + name + " does not end";
        }
        boolean restarts = !service.getSpec().getTask().hasRestart()
                || (service.getSpec().getTask().getRestart().getCondition() == RestartCondition.ANY
                        && service.getSpec().getTask().getRestart().getMaxAttempts() == 0);
        if (service.getSpec().hasReplicatedJob() || service.getSpec().hasGlobalJob()) {
            return pending ? null : job(state, service, name);
        }
        if (paused || pending || !restarts) {
            return null;
        }
        for (Task task : wanted) {
            Node node = state.nodes().get(task.getNodeId());
            if (node != null
                    && node.getSpec().getAvailability() == Availability.PAUSE
                    && service.getSpec().hasGlobal()) {
                // Nothing can begin there in its place.
                continue;
            }
            if (!task.getSpec()
                    .getContainer()
                    .equals(service.getSpec().getTask().getContainer())) {
                return "a task of " + name + " is of an old version";
            }
        }
        if (service.getSpec().hasReplicated()) {
            long count = service.getSpec().getReplicated().getReplicas();
            return wanted.size() == count ? null : name + " has " + wanted.size() + " tasks of " + count;
        }
        // On a node that is paused tasks stay, and none begin.
        long count = wanted.stream()
                .map(task -> state.nodes().get(task.getNodeId()))
                .filter(node -> node != null && node.getSpec().getAvailability() == Availability.ACTIVE)
                .count();
        return count == fitting(state, service)
                ? null
                : name + " has " + count + " tasks on " + fitting(state, service) + " nodes";
    }

    private static long fitting(ClusterState state, Service service) {
        return state.nodes().values().stream()
                .filter(node -> fits(node, service))
                .count();
    }

    private static boolean fits(Node node, Service service) {
        var placement = service.getSpec().getTask().getPlacement();
        var platform = node.getDescription().getPlatform();
        return node.getStatus().getState() == NodeStatus.State.READY
                && node.getSpec().getAvailability() == Availability.ACTIVE
                && placement.getConstraintsList().stream().allMatch(each -> Operators.matches(each, node))
                && (placement.getPlatformsCount() == 0
                        || placement.getPlatformsList().stream()
                                .anyMatch(each -> each.getOs().equals(platform.getOs())
                                        && each.getArchitecture().equals(platform.getArchitecture())));
    }

    private @Nullable String job(ClusterState state, Service service, String name) {
        List<Task> complete = state.tasksOfService(service.getId()).stream()
                .filter(task -> task.getStatus().getState() == TaskState.COMPLETE
                        && task.getJobIteration().equals(service.getJobStatus().getJobIteration()))
                .toList();
        if (service.getSpec().hasReplicatedJob()) {
            long count = service.getSpec().getReplicatedJob().getTotalCompletions();
            Set<Long> slots = new HashSet<>();
            Set<Long> slotsInSight = new HashSet<>();
            for (Task task : complete) {
                slots.add(task.getSlot());
                // One that was given up because its node was lost may come to its end there all the same.
                if (!world.invariants().isOutOfSight(task.getId()) && !slotsInSight.add(task.getSlot())) {
                    return "job " + name + " did slot " + task.getSlot() + " twice";
                }
            }
            return slots.size() == count ? null : "job " + name + " did " + slots.size() + " of " + count;
        }
        for (Node node : state.nodes().values()) {
            if (fits(node, service)
                    && complete.stream().noneMatch(task -> task.getNodeId().equals(node.getId()))) {
                return "job " + name + " was not done on " + node.getId();
            }
        }
        return null;
    }

    /** What truly runs is what the state says. */
    private @Nullable String tasks(ClusterState state) {
        for (Task task : state.tasks().values()) {
            Node node = state.nodes().get(task.getNodeId());
            boolean lost = node != null && node.getStatus().getState() == NodeStatus.State.DOWN;
            if (!lost && !task.getServiceId().isEmpty() && state.services().get(task.getServiceId()) == null) {
                return "task " + task.getId() + " of a service that is gone is left";
            }
        }
        for (Board board : world.boards()) {
            Board.AgentPart agent = board.agent();
            String nodeId = board.nodeId;
            if (agent == null || nodeId == null || state.nodes().get(nodeId) == null || knowsNoManager(board)) {
                continue;
            }
            Set<String> told = new HashSet<>();
            Set<String> runs = new HashSet<>();
            Set<String> needed = new HashSet<>();
            Set<String> used = new HashSet<>();
            for (Task task : state.tasksOfNode(nodeId)) {
                if (task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE) {
                    told.add(task.getId());
                }
                if (task.getStatus().getState() == TaskState.RUNNING) {
                    runs.add(task.getId());
                }
                if (task.getStatus().getStateValue() >= TaskState.ASSIGNED_VALUE
                        && task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE) {
                    needed.addAll(world.invariants().needed(task));
                    used.addAll(Invariants.used(task));
                }
            }
            if (!runs.equals(world.invariants().running(nodeId))) {
                return board + " runs " + world.invariants().running(nodeId) + " and should run " + runs;
            }
            if (!told.equals(new HashSet<>(agent.runner.tasks()))) {
                return board + " knows tasks " + agent.runner.tasks() + " and should know " + told;
            }
            Set<String> has = new HashSet<>(agent.runner.secrets());
            has.addAll(agent.runner.configs());
            // What was removed while a task uses it stays there as long as the task.
            if (!has.containsAll(needed) || !used.containsAll(has)) {
                return board + " has secrets and configs " + has + " and needs " + needed;
            }
        }
        return null;
    }
}
