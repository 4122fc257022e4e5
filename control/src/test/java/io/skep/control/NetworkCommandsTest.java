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

import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.wire.AttachNetwork;
import io.skep.wire.AttachNetworkRequest;
import io.skep.wire.Command;
import io.skep.wire.CreateNetworkRequest;
import io.skep.wire.DetachNetwork;
import io.skep.wire.DetachNetworkRequest;
import io.skep.wire.Driver;
import io.skep.wire.IPAMConfig;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.NetworkSpec;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class NetworkCommandsTest {
    private final TestWorld world = world(node("w1").build());
    private final TestLeader leader = new TestLeader(world, ids(1));

    NetworkCommandsTest() {
        leader.change(transaction -> new NetworkCommands(ids(2)).createFirst(transaction));
    }

    private static Command.Builder create(String name, Consumer<NetworkSpec.Builder> change) {
        NetworkSpec.Builder spec = network(name).getSpecBuilder();
        change.accept(spec);
        return Command.newBuilder()
                .setCreateNetwork(CreateNetworkRequest.newBuilder().setSpec(spec));
    }

    private static Command.Builder withConfig(String name, Consumer<IPAMConfig.Builder> change) {
        IPAMConfig.Builder config = IPAMConfig.newBuilder();
        change.accept(config);
        return create(name, spec -> spec.getIpamBuilder().addConfigs(config));
    }

    private static Command.Builder remove(String idOrName) {
        return Command.newBuilder()
                .setRemoveNetwork(RemoveNetworkRequest.newBuilder().setNetworkId(idOrName));
    }

    private Network made(Command.Builder create) {
        String id = leader.run(create).getNetwork().getId();
        return requireNonNull(world.state().networks().get(id));
    }

    private Network named(String name) {
        return requireNonNull(world.state().networks().byName(name));
    }

    private void assertRefused(Command.Builder command, Code code, String text) {
        CommandException refusal = requireNonNull(leader.attempt(command).refusal(), "refusal");
        assertThat(refusal.text()).isEqualTo(text);
        assertThat(refusal.code()).isEqualTo(code);
    }

    @Test
    void aNewNetworkIsAllocatedAtOnce() {
        Network back = made(create("back", spec -> spec.setAttachable(true)));
        assertThat(back.getDriverState().getName()).isEqualTo("overlay");
        assertThat(back.getIpam().getConfigs(0).getSubnet()).isEqualTo("10.0.1.0/24");
    }

    @Test
    void specsAreChecked() {
        assertRefused(create("", spec -> {}), Code.INVALID_ARGUMENT, "meta: name must be provided");
        assertRefused(
                create("mesh", spec -> spec.setIngress(true).setAttachable(true)),
                Code.INVALID_ARGUMENT,
                "ingress network cannot be attachable");
        assertRefused(
                create("mesh", spec -> spec.setIngress(true)),
                Code.ALREADY_EXISTS,
                "ingress network (" + named("ingress").getId() + ") is already present");
        assertRefused(create("Ingress", spec -> {}), Code.ALREADY_EXISTS, "network with name Ingress already exists");
        assertRefused(
                create("x", spec -> spec.setDriverConfig(Driver.newBuilder().setName("weave"))),
                Code.UNIMPLEMENTED,
                "network driver weave is not supported for networks of a swarm: use overlay");
        assertRefused(
                create(
                        "x",
                        spec -> spec.getIpamBuilder()
                                .setDriver(Driver.newBuilder().setName("dhcp"))),
                Code.UNIMPLEMENTED,
                "IPAM driver dhcp is not supported: use default");
        assertRefused(
                create("x", spec -> spec.getAnnotationsBuilder().putLabels("com.docker.swarm.predefined", "true")),
                Code.PERMISSION_DENIED,
                "label com.docker.swarm.predefined is for internally created predefined networks"
                        + " and cannot be applied by users");
        assertRefused(
                create("x", spec -> spec.getDriverConfigBuilder().putOptions(NetworkSpace.VNI_LIST, "many")),
                Code.INVALID_ARGUMENT,
                "driver option com.docker.network.driver.overlay.vxlanid_list is not understood:"
                        + " For input string: \"many\"");
    }

    @Test
    void subnetsAreChecked() {
        assertRefused(
                withConfig("x", config -> config.setSubnet("10.0.0.0")),
                Code.INVALID_ARGUMENT,
                "ipam configuration: invalid subnet 10.0.0.0");
        assertRefused(
                withConfig("x", config -> config.setSubnet("10.9.0.0/24").setRange("10.8.0.0/25")),
                Code.INVALID_ARGUMENT,
                "ipam configuration: range 10.8.0.0/25 is not within a subnet");
        assertRefused(
                withConfig("x", config -> config.setSubnet("10.9.0.0/24").setGateway("10.8.0.1")),
                Code.INVALID_ARGUMENT,
                "ipam configuration: gateway 10.8.0.1 is not within a subnet");
        assertRefused(
                withConfig("x", config -> config.setSubnet("10.0.0.128/25")),
                Code.FAILED_PRECONDITION,
                "ipam configuration: subnet 10.0.0.128/25 overlaps with 10.0.0.0/24 of network ingress");
        // A pool counts its addresses from the first one, and this range begins too far away to be counted.
        assertRefused(
                withConfig("x", config -> config.setSubnet("fd00::/16").setRange("fd00:8000::/64")),
                Code.INVALID_ARGUMENT,
                "ipam configuration: range fd00:8000::/64 is not within a subnet");
    }

    @Test
    void aNetworkInUseStays() {
        Network back = made(create("back", spec -> {}));
        Service.Builder builder = service("web", 1);
        builder.getSpecBuilder()
                .getTaskBuilder()
                .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget(back.getId()));
        Service web = builder.build();
        leader.change(transaction -> {
            transaction.put(Kind.SERVICE, web);
            transaction.put(Kind.TASK, task("t", web, 1).build());
        });
        assertRefused(
                remove(back.getId()),
                Code.FAILED_PRECONDITION,
                "network " + back.getId() + " is in use by service web-id");
        leader.change(transaction -> transaction.remove(Kind.SERVICE, "web-id"));
        assertRefused(
                remove(back.getId()), Code.FAILED_PRECONDITION, "network " + back.getId() + " is in use by task t");
        leader.change(transaction -> transaction.put(
                Kind.TASK,
                requireNonNull(world.state().tasks().get("t")).toBuilder()
                        .setNodeId("w1")
                        .setStatus(status(TaskState.RUNNING, world.now()))
                        .setDesiredState(TaskState.REMOVE)
                        .build()));
        leader.run(remove("back"));
        assertThat(world.state().networks().byName("back")).isNull();
        assertRefused(remove("back"), Code.NOT_FOUND, "network back not found");
    }

    @Test
    void theRoutingMeshStaysWhilePortsArePublished() {
        Service.Builder web = service("web", 1);
        web.getSpecBuilder()
                .getEndpointBuilder()
                .addPorts(PortConfig.newBuilder().setTargetPort(80));
        leader.change(transaction -> transaction.put(Kind.SERVICE, web.build()));
        String ingress = named("ingress").getId();
        assertRefused(remove(ingress), Code.FAILED_PRECONDITION, "network " + ingress + " is in use by service web-id");
        leader.change(transaction -> transaction.remove(Kind.SERVICE, "web-id"));
        leader.run(remove(ingress));
        assertThat(requireNonNull(world.state().nodes().get("w1")).getAttachmentsList())
                .isEmpty();
        made(create("mesh", spec -> spec.setIngress(true)));
        assertThat(requireNonNull(world.state().nodes().get("w1"))
                        .getAttachments(0)
                        .getNetwork()
                        .getSpec()
                        .getAnnotations()
                        .getName())
                .isEqualTo("mesh");
    }

    @Test
    void predefinedNetworksStay() {
        String host = named("host").getId();
        assertRefused(
                remove(host),
                Code.FAILED_PRECONDITION,
                "network host (" + host + ") is predefined and cannot be removed");
    }

    @Test
    void anEngineAttachesAContainerOfItsOwn() {
        made(create("open", spec -> spec.setAttachable(true)));
        Command.Builder attach = Command.newBuilder()
                .setAttachNetwork(AttachNetwork.newBuilder()
                        .setNodeId("w1")
                        .setRequest(AttachNetworkRequest.newBuilder()
                                .setContainerId("c1")
                                .setConfig(NetworkAttachmentConfig.newBuilder()
                                        .setTarget("open")
                                        .addAddresses("10.0.1.77"))));
        String id = leader.run(attach).getId();
        Task task = requireNonNull(world.state().tasks().get(id));
        assertThat(task.getNodeId()).isEqualTo("w1");
        assertThat(task.getServiceId()).isEmpty();
        assertThat(task.getSpec().getAttachment().getContainerId()).isEqualTo("c1");
        assertThat(task.getStatus().getState()).isEqualTo(TaskState.PENDING);
        assertThat(task.getNetworks(0).getAddressesList()).containsExactly("10.0.1.77/24");
        Command.Builder detach = Command.newBuilder()
                .setDetachNetwork(DetachNetwork.newBuilder()
                        .setNodeId("w2")
                        .setRequest(DetachNetworkRequest.newBuilder().setAttachmentId(id)));
        assertRefused(detach, Code.PERMISSION_DENIED, "attachment " + id + " belongs to another node");
        detach.getDetachNetworkBuilder().setNodeId("w1");
        leader.run(detach);
        assertRefused(detach, Code.NOT_FOUND, "attachment " + id + " not found");
        assertThat(requireNonNull(world.state().nodes().get("w1")).getAttachmentsList())
                .hasSize(1);
    }

    @Test
    void onlyAttachableNetworksAreAttachedTo() {
        made(create("closed", spec -> {}));
        AttachNetwork.Builder attach = AttachNetwork.newBuilder().setNodeId("w1");
        attach.getRequestBuilder().getConfigBuilder().setTarget("closed");
        assertRefused(
                Command.newBuilder().setAttachNetwork(attach),
                Code.PERMISSION_DENIED,
                "network closed not manually attachable");
        attach.getRequestBuilder().getConfigBuilder().setTarget("none");
        assertRefused(Command.newBuilder().setAttachNetwork(attach), Code.NOT_FOUND, "network none not found");
    }
}
