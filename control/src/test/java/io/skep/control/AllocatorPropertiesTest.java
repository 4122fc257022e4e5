package io.skep.control;

import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.network;
import static io.skep.control.TestKit.node;
import static io.skep.control.TestKit.service;
import static io.skep.control.TestKit.status;
import static io.skep.control.TestKit.task;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Endpoint;
import io.skep.wire.EndpointSpec;
import io.skep.wire.IPAMConfig;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Node;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;

/** Whatever happens to services, tasks, nodes and networks: nothing is ever given to two owners, nothing is lost. */
class AllocatorPropertiesTest {
    private static final int STEPS = 60;
    private static final String[] SUBNETS = {"", "", "172.20.0.0/29", "172.20.0.0/16", "10.0.3.0/28"};
    private static final TaskState[] STATES = {
        TaskState.ASSIGNED, TaskState.RUNNING, TaskState.COMPLETE, TaskState.FAILED, TaskState.ORPHANED
    };

    @Property(tries = 200)
    void nothingHasTwoOwners(@ForAll long seed) {
        Random random = new Random(seed);
        TestWorld world = world(node("n1").build(), node("n2").build());
        TestLeader leader = new TestLeader(world, ids(seed));
        leader.change(transaction -> new NetworkCommands(ids(seed)).createFirst(transaction));
        for (int i = 0; i < STEPS; i++) {
            String fresh = "x" + i;
            leader.change(transaction -> change(transaction, random, fresh));
            if (random.nextInt(20) == 0) {
                leader = new TestLeader(world, ids(seed + i));
            }
            check(world.state());
        }
    }

    private static void change(Transaction transaction, Random random, String fresh) {
        ClusterState state = transaction.state();
        Service service = any(state.services().values(), random);
        Task task = any(state.tasks().values(), random);
        Node node = any(state.nodes().values(), random);
        Network network = any(state.networks().values(), random);
        switch (random.nextInt(12)) {
            case 0, 1 -> {
                Network.Builder made = network(fresh);
                String subnet = SUBNETS[random.nextInt(SUBNETS.length)];
                if (!subnet.isEmpty()) {
                    made.getSpecBuilder()
                            .getIpamBuilder()
                            .addConfigs(IPAMConfig.newBuilder().setSubnet(subnet));
                }
                transaction.put(Kind.NETWORK, made.build());
            }
            case 2 -> {
                if (network != null && !network.getSpec().getIngress() && isUnused(network, state)) {
                    transaction.remove(Kind.NETWORK, network.getId());
                }
            }
            case 3, 4 ->
                transaction.put(Kind.SERVICE, randomized(service(fresh, 1).build(), state, random));
            case 5 -> {
                if (service != null) {
                    transaction.put(Kind.SERVICE, randomized(service, state, random));
                }
            }
            case 6 -> {
                if (service != null) {
                    transaction.remove(Kind.SERVICE, service.getId());
                }
            }
            case 7, 8, 9 -> {
                if (service != null) {
                    for (int i = 0; i < 3; i++) {
                        transaction.put(
                                Kind.TASK, task(fresh + "." + i, service, i + 1).build());
                    }
                }
            }
            case 10 -> {
                if (task != null && task.getStatus().getStateValue() >= TaskState.PENDING_VALUE) {
                    TaskState next = STATES[random.nextInt(STATES.length)];
                    if (next.getNumber() > task.getStatus().getStateValue()) {
                        transaction.put(
                                Kind.TASK,
                                task.toBuilder()
                                        .setNodeId(node == null ? "" : node.getId())
                                        .setStatus(status(next, TestKit.START))
                                        .build());
                    }
                }
            }
            default -> {
                if (node != null && random.nextBoolean()) {
                    transaction.remove(Kind.NODE, node.getId());
                } else {
                    transaction.put(Kind.NODE, node(fresh).build());
                }
            }
        }
    }

    private static <T> @Nullable T any(Collection<T> values, Random random) {
        List<T> list = new ArrayList<>(values);
        return list.isEmpty() ? null : list.get(random.nextInt(list.size()));
    }

    private static boolean isUnused(Network network, ClusterState state) {
        return state.services().values().stream()
                        .noneMatch(service -> service.getSpec().getTask().getNetworksList().stream()
                                .anyMatch(config -> config.getTarget().equals(network.getId())))
                && state.tasks().values().stream()
                        .noneMatch(task -> task.getNetworksList().stream()
                                .anyMatch(attachment ->
                                        attachment.getNetwork().getId().equals(network.getId())));
    }

    private static Service randomized(Service service, ClusterState state, Random random) {
        Service.Builder changed = service.toBuilder();
        EndpointSpec.Builder endpoint = EndpointSpec.newBuilder();
        if (random.nextInt(4) == 0) {
            endpoint.setMode(EndpointSpec.ResolutionMode.DNSRR);
        } else {
            for (int i = random.nextInt(3); i > 0; i--) {
                endpoint.addPorts(PortConfig.newBuilder()
                        .setTargetPort(80 + i)
                        .setPublishedPort(random.nextBoolean() ? 0 : 8080 + i)
                        .setProtocol(random.nextBoolean() ? PortConfig.Protocol.TCP : PortConfig.Protocol.UDP));
            }
        }
        changed.getSpecBuilder().setEndpoint(endpoint);
        changed.getSpecBuilder().getTaskBuilder().clearNetworks();
        for (int i = random.nextInt(3); i > 0; i--) {
            Network network = any(state.networks().values(), random);
            if (network != null && !network.getSpec().getIngress()) {
                changed.getSpecBuilder()
                        .getTaskBuilder()
                        .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget(network.getId()));
            }
        }
        return changed.build();
    }

    /** Fails if an address, a port, a subnet or a VXLAN number has two owners, or is held in a network that is gone. */
    static void check(ClusterState state) {
        checkNetworks(state);
        Map<String, String> owners = new HashMap<>();
        Set<String> ports = new HashSet<>();
        for (Network network : state.networks().values()) {
            for (IPAMConfig config : network.getIpam().getConfigsList()) {
                own(owners, network.getId(), config.getGateway(), "gateway", state);
            }
        }
        for (Service service : state.services().values()) {
            for (Endpoint.VirtualIP address : service.getEndpoint().getVirtualIpsList()) {
                own(owners, address.getNetworkId(), address.getAddr(), "service " + service.getId(), state);
            }
            for (PortConfig port : service.getEndpoint().getPortsList()) {
                if (port.getPublishMode() != PortConfig.PublishMode.INGRESS) {
                    continue;
                }
                assertThat(port.getPublishedPort()).isPositive();
                assertThat(ports.add(port.getProtocol() + "/" + port.getPublishedPort()))
                        .as("port %s of one service only", port)
                        .isTrue();
            }
        }
        for (Task task : state.tasks().values()) {
            if (task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE) {
                // What is about to stop holds no network back from being removed.
                List<NetworkAttachment> held = task.getNetworksList().stream()
                        .filter(attachment -> TaskStates.isWanted(task)
                                || state.networks().get(attachment.getNetwork().getId()) != null)
                        .toList();
                own(owners, held, "task " + task.getId(), state);
            }
        }
        for (Node node : state.nodes().values()) {
            own(owners, node.getAttachmentsList(), "node " + node.getId(), state);
            checkNode(node, state);
        }
    }

    private static void checkNetworks(ClusterState state) {
        Map<Long, String> vnis = new HashMap<>();
        List<Subnet> subnets = new ArrayList<>();
        for (Network network : state.networks().values()) {
            for (long vni : NetworkSpace.vnis(network.getDriverState())) {
                assertThat(vnis.put(vni, network.getId())).isNull();
            }
            for (IPAMConfig config : network.getIpam().getConfigsList()) {
                Subnet subnet = Subnet.parse(config.getSubnet());
                assertThat(subnets).noneMatch(subnet::overlaps);
                subnets.add(subnet);
            }
        }
    }

    private static void checkNode(Node node, ClusterState state) {
        Set<String> attached = new HashSet<>();
        node.getAttachmentsList()
                .forEach(attachment -> attached.add(attachment.getNetwork().getId()));
        Set<String> wanted = new HashSet<>();
        wanted.add(requireNonNull(state.networks().byName("ingress")).getId());
        for (Task task : state.tasksOfNode(node.getId())) {
            for (NetworkAttachment attachment : task.getNetworksList()) {
                boolean gone = state.networks().get(attachment.getNetwork().getId()) == null;
                if (task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE
                        && attachment.getAddressesCount() > 0
                        && !gone) {
                    wanted.add(attachment.getNetwork().getId());
                }
            }
        }
        assertThat(wanted).as("networks of %s", node.getId()).containsAll(attached);
        for (String missing : wanted) {
            if (!attached.contains(missing)) {
                assertThat(isFull(missing, state))
                        .as("network %s is full", missing)
                        .isTrue();
            }
        }
    }

    private static boolean isFull(String networkId, ClusterState state) {
        Network network = requireNonNull(state.networks().get(networkId));
        return Subnet.parse(network.getIpam().getConfigs(0).getSubnet()).size() <= 16;
    }

    private static void own(
            Map<String, String> owners, List<NetworkAttachment> attachments, String owner, ClusterState state) {
        for (NetworkAttachment attachment : attachments) {
            for (String address : attachment.getAddressesList()) {
                own(owners, attachment.getNetwork().getId(), address, owner, state);
            }
        }
    }

    private static void own(
            Map<String, String> owners, String networkId, String address, String owner, ClusterState state) {
        if (address.isEmpty()) {
            return;
        }
        String bare = address.contains("/") ? address.substring(0, address.indexOf('/')) : address;
        Network network =
                requireNonNull(state.networks().get(networkId), () -> owner + " is in a network that is gone");
        assertThat(network.getIpam().getConfigsList())
                .anyMatch(config -> Subnet.parse(config.getSubnet()).offset(Subnet.parseAddress(bare)) >= 0);
        assertThat(owners.put(networkId + " " + bare, owner))
                .as("address %s of network %s has one owner", bare, networkId)
                .isNull();
    }
}
