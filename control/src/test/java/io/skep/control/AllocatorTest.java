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

import io.skep.store.Kind;
import io.skep.wire.Command;
import io.skep.wire.Driver;
import io.skep.wire.Endpoint;
import io.skep.wire.EndpointSpec;
import io.skep.wire.IPAMConfig;
import io.skep.wire.IPAMOptions;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Node;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AllocatorTest {
    private final TestWorld world = world(node("n1").build(), node("n2").build());
    private TestLeader leader = new TestLeader(world, ids(1));

    @BeforeEach
    void makeFirstNetworks() {
        leader.change(transaction -> new NetworkCommands(ids(2)).createFirst(transaction));
    }

    private Network networkNamed(String name) {
        return requireNonNull(world.state().networks().byName(name));
    }

    private void put(Network.Builder network) {
        leader.change(transaction -> transaction.put(Kind.NETWORK, network.build()));
    }

    private Service put(Service.Builder service) {
        leader.change(transaction -> transaction.put(Kind.SERVICE, service.build()));
        return requireNonNull(world.state().services().get(service.getId()));
    }

    private Task put(Task.Builder task) {
        leader.change(transaction -> transaction.put(Kind.TASK, task.build()));
        return requireNonNull(world.state().tasks().get(task.getId()));
    }

    private static Service.Builder published(String name, PortConfig.Builder... ports) {
        Service.Builder service = service(name, 1);
        for (PortConfig.Builder port : ports) {
            service.getSpecBuilder().getEndpointBuilder().addPorts(port);
        }
        return service;
    }

    private static Service.Builder attached(String name, String networkId) {
        Service.Builder service = service(name, 1);
        service.getSpecBuilder()
                .getTaskBuilder()
                .addNetworks(NetworkAttachmentConfig.newBuilder()
                        .setTarget(networkId)
                        .addAliases(name));
        service.getSpecBuilder().getEndpointBuilder().setMode(EndpointSpec.ResolutionMode.VIP);
        return service;
    }

    private static PortConfig.Builder port(int published, int target) {
        return PortConfig.newBuilder().setPublishedPort(published).setTargetPort(target);
    }

    @Test
    void theRoutingMeshGetsTheFirstSubnetAndVxlanNumber() {
        Network ingress = networkNamed("ingress");
        assertThat(ingress.getDriverState().getName()).isEqualTo("overlay");
        assertThat(ingress.getDriverState().getOptionsMap()).containsEntry(NetworkSpace.VNI_LIST, "4096");
        assertThat(ingress.getIpam().getDriver().getName()).isEqualTo("default");
        assertThat(ingress.getIpam().getConfigs(0).getSubnet()).isEqualTo("10.0.0.0/24");
        assertThat(ingress.getIpam().getConfigs(0).getGateway()).isEqualTo("10.0.0.1");
    }

    @Test
    void everyNodeIsAttachedToTheRoutingMesh() {
        Node first = requireNonNull(world.state().nodes().get("n1"));
        Node second = requireNonNull(world.state().nodes().get("n2"));
        assertThat(first.getAttachmentsList()).hasSize(1);
        assertThat(first.getAttachments(0).getNetwork()).isEqualTo(networkNamed("ingress"));
        assertThat(first.getAttachments(0).getAddressesList()).containsExactly("10.0.0.2/24");
        assertThat(second.getAttachments(0).getAddressesList()).containsExactly("10.0.0.3/24");
    }

    @Test
    void networksOfANodeAreLeftToIt() {
        Network host = networkNamed("host");
        assertThat(host.getDriverState())
                .isEqualTo(Driver.newBuilder().setName("host").build());
        assertThat(host.getIpam().hasDriver()).isTrue();
        assertThat(host.getIpam().getConfigsList()).isEmpty();
        Service service = put(attached("web", host.getId()));
        assertThat(service.getEndpoint().getVirtualIpsList()).isEmpty();
        Task task = put(task("t1", service, 1));
        assertThat(task.getNetworksList()).hasSize(1);
        assertThat(task.getNetworks(0).getNetwork()).isEqualTo(host);
        assertThat(task.getNetworks(0).getAddressesList()).isEmpty();
    }

    @Test
    void aServiceWithoutNetworksRunsEverywhere() {
        Service service = put(service("web", 1));
        assertThat(service.hasEndpoint()).isTrue();
        assertThat(service.getEndpoint().getVirtualIpsList()).isEmpty();
        Task task = put(task("t1", service, 1));
        assertThat(task.getStatus().getState()).isEqualTo(TaskState.PENDING);
        assertThat(task.getStatus().getMessage()).isEqualTo("pending task scheduling");
        assertThat(task.getNetworksList()).isEmpty();
    }

    @Test
    void publishedPortsGoThroughTheRoutingMesh() {
        Service service = put(published("web", port(80, 8080), port(0, 9090)));
        assertThat(service.getEndpoint().getPortsList())
                .extracting(PortConfig::getPublishedPort)
                .containsExactly(80, 30000);
        String ingress = networkNamed("ingress").getId();
        assertThat(service.getEndpoint().getVirtualIpsList()).hasSize(1);
        assertThat(service.getEndpoint().getVirtualIps(0).getNetworkId()).isEqualTo(ingress);
        assertThat(service.getEndpoint().getVirtualIps(0).getAddr()).isEqualTo("10.0.0.4/24");
        Task task = put(task("t1", service, 1));
        assertThat(task.getEndpoint()).isEqualTo(service.getEndpoint());
        assertThat(task.getNetworks(0).getNetwork().getId()).isEqualTo(ingress);
        assertThat(task.getNetworks(0).getAddressesList()).containsExactly("10.0.0.5/24");
    }

    @Test
    void hostPortsAreNotAllocated() {
        Service service = put(published("web", port(0, 80).setPublishMode(PortConfig.PublishMode.HOST)));
        assertThat(service.getEndpoint().getPorts(0).getPublishedPort()).isZero();
        assertThat(service.getEndpoint().getVirtualIpsList()).isEmpty();
    }

    @Test
    void dynamicPortsAndAddressesSurviveAnUpdate() {
        Service service = put(published("web", port(0, 80), port(0, 81)));
        Service.Builder update = service.toBuilder();
        update.getSpecBuilder().getEndpointBuilder().removePorts(0);
        Service updated = put(update);
        assertThat(updated.getEndpoint().getPortsList())
                .containsExactly(service.getEndpoint().getPorts(1));
        assertThat(updated.getEndpoint().getVirtualIpsList())
                .isEqualTo(service.getEndpoint().getVirtualIpsList());
    }

    @Test
    void overlayNetworksReachTasksAndTheirNodes() {
        put(network("back"));
        Network back = networkNamed("back");
        assertThat(back.getIpam().getConfigs(0).getSubnet()).isEqualTo("10.0.1.0/24");
        assertThat(back.getDriverState().getOptionsMap()).containsEntry(NetworkSpace.VNI_LIST, "4097");
        Service service = put(attached("db", back.getId()));
        assertThat(service.getEndpoint().getVirtualIps(0).getAddr()).isEqualTo("10.0.1.2/24");
        Task task = put(task("t1", service, 1));
        NetworkAttachment attachment = task.getNetworks(0);
        assertThat(attachment.getAddressesList()).containsExactly("10.0.1.3/24");
        assertThat(attachment.getAliasesList()).containsExactly("db");
        put(task.toBuilder().setNodeId("n1").setStatus(status(TaskState.ASSIGNED, world.now())));
        Node node = requireNonNull(world.state().nodes().get("n1"));
        assertThat(node.getAttachmentsList())
                .extracting(each -> each.getNetwork().getSpec().getAnnotations().getName())
                .containsExactly("ingress", "back");
        assertThat(node.getAttachments(1).getAddressesList()).containsExactly("10.0.1.4/24");
        put(requireNonNull(world.state().tasks().get("t1")).toBuilder()
                .setStatus(status(TaskState.FAILED, world.now())));
        assertThat(requireNonNull(world.state().nodes().get("n1")).getAttachmentsList())
                .hasSize(1);
    }

    @Test
    void nodesLeaveANetworkThatGoesBeforeItsLastTaskHasStopped() {
        put(network("back"));
        Service service = put(attached("db", "back-id"));
        put(task("t1", service, 1).setNodeId("n1"));
        assertThat(requireNonNull(world.state().nodes().get("n1")).getAttachmentsList())
                .hasSize(2);
        leader.change(transaction -> {
            transaction.remove(Kind.SERVICE, service.getId());
            transaction.put(
                    Kind.TASK,
                    requireNonNull(world.state().tasks().get("t1")).toBuilder()
                            .setStatus(status(TaskState.RUNNING, world.now()))
                            .setDesiredState(TaskState.SHUTDOWN)
                            .build());
        });
        leader.run(Command.newBuilder()
                .setRemoveNetwork(RemoveNetworkRequest.newBuilder().setNetworkId("back-id")));
        assertThat(requireNonNull(world.state().nodes().get("n1")).getAttachmentsList())
                .hasSize(1);
    }

    @Test
    void dnsRoundRobinHasNoVirtualAddress() {
        put(network("back"));
        Service.Builder service = attached("db", networkNamed("back").getId());
        service.getSpecBuilder().getEndpointBuilder().setMode(EndpointSpec.ResolutionMode.DNSRR);
        Service stored = put(service);
        assertThat(stored.getEndpoint().getVirtualIpsList()).isEmpty();
        assertThat(put(task("t1", stored, 1)).getNetworks(0).getAddressesList()).hasSize(1);
    }

    @Test
    void userSubnetsAreTakenAsTheyAre() {
        Network.Builder dual = network("dual");
        dual.getSpecBuilder()
                .setIpam(IPAMOptions.newBuilder()
                        .addConfigs(IPAMConfig.newBuilder()
                                .setSubnet("172.20.0.0/16")
                                .setRange("172.20.5.0/24")
                                .setGateway("172.20.0.254"))
                        .addConfigs(IPAMConfig.newBuilder().setSubnet("fd00:1::/64")));
        put(dual);
        Network stored = networkNamed("dual");
        assertThat(stored.getDriverState().getOptionsMap()).containsEntry(NetworkSpace.VNI_LIST, "4097");
        assertThat(stored.getIpam().getConfigs(1).getGateway()).isEqualTo("fd00:1::1");
        Service service = put(attached("db", stored.getId()));
        assertThat(service.getEndpoint().getVirtualIps(0).getAddr()).isEqualTo("172.20.5.0/16");
        assertThat(put(task("t1", service, 1)).getNetworks(0).getAddressesList())
                .containsExactly("172.20.5.1/16", "fd00:1::2/64");
    }

    @Test
    void aTaskThatWaitsSaysForWhatAndGetsItWhenItIsFree() {
        Network.Builder tiny = network("tiny");
        tiny.getSpecBuilder()
                .setIpam(IPAMOptions.newBuilder()
                        .addConfigs(IPAMConfig.newBuilder().setSubnet("172.20.0.0/30")));
        put(tiny);
        Service.Builder spec = attached("db", "tiny-id");
        spec.getSpecBuilder().getEndpointBuilder().setMode(EndpointSpec.ResolutionMode.DNSRR);
        Service service = put(spec);
        Task first = put(task("t1", service, 1));
        Task second = put(task("t2", service, 2));
        assertThat(first.getStatus().getState()).isEqualTo(TaskState.PENDING);
        assertThat(second.getStatus().getState()).isEqualTo(TaskState.NEW);
        assertThat(second.getStatus().getErr()).contains("no free address in network tiny");
        put(first.toBuilder().setStatus(status(TaskState.COMPLETE, world.now())));
        Task served = requireNonNull(world.state().tasks().get("t2"));
        assertThat(served.getStatus().getState()).isEqualTo(TaskState.PENDING);
        assertThat(served.getStatus().getErr()).isEmpty();
        assertThat(served.getNetworks(0).getAddressesList()).containsExactly("172.20.0.2/30");
    }

    @Test
    void aNewLeaderKnowsWhatIsTaken() {
        put(network("back"));
        Service service = put(attached("db", networkNamed("back").getId()));
        Service web = put(published("web", port(0, 80)));
        put(task("t1", service, 1));
        leader = new TestLeader(world, ids(3));
        put(network("front"));
        assertThat(networkNamed("front").getIpam().getConfigs(0).getSubnet()).isEqualTo("10.0.2.0/24");
        assertThat(networkNamed("front").getDriverState().getOptionsMap()).containsEntry(NetworkSpace.VNI_LIST, "4098");
        assertThat(put(task("t2", service, 2)).getNetworks(0).getAddressesList())
                .containsExactly("10.0.1.4/24");
        Service other = put(published("other", port(0, 80)));
        assertThat(other.getEndpoint().getPorts(0).getPublishedPort())
                .isNotEqualTo(web.getEndpoint().getPorts(0).getPublishedPort());
    }

    @Test
    void aNetworkThatAppearsServesWhoWaitsForIt() {
        Service service = put(attached("db", "later-id"));
        Task waiting = put(task("t1", service, 1));
        assertThat(waiting.getStatus().getErr()).contains("network later-id does not exist");
        leader.change(
                transaction -> transaction.put(Kind.NETWORK, network("later").build()));
        assertThat(requireNonNull(world.state().tasks().get("t1")).getStatus().getState())
                .isEqualTo(TaskState.PENDING);
    }

    @Test
    void anUpdateThatWaitsHoldsNoNetworkThatItGaveUp() {
        put(network("old"));
        Network.Builder tiny = network("tiny");
        tiny.getSpecBuilder()
                .setIpam(IPAMOptions.newBuilder()
                        .addConfigs(IPAMConfig.newBuilder().setSubnet("172.20.0.0/30")));
        put(tiny);
        Service holder = put(attached("holder", "tiny-id"));
        assertThat(holder.getEndpoint().getVirtualIpsList()).hasSize(1);
        Service service = put(attached("web", "old-id"));
        assertThat(service.getEndpoint().getVirtualIps(0).getNetworkId()).isEqualTo("old-id");

        Service.Builder moved = service.toBuilder();
        moved.getSpecBuilder().getTaskBuilder().getNetworksBuilder(0).setTarget("tiny-id");
        Service waiting = put(moved);
        assertThat(waiting.getEndpoint().getVirtualIpsList()).isEmpty();
        Task waitingTask = put(task("t1", waiting, 1));
        assertThat(waitingTask.getStatus().getErr()).contains("no free address in network tiny");

        leader.run(Command.newBuilder()
                .setRemoveNetwork(RemoveNetworkRequest.newBuilder().setNetworkId("old-id")));
        leader.change(transaction -> transaction.remove(Kind.SERVICE, holder.getId()));
        Service served = requireNonNull(world.state().services().get(service.getId()));
        assertThat(served.getEndpoint().getVirtualIpsList())
                .extracting(Endpoint.VirtualIP::getNetworkId)
                .containsExactly("tiny-id");
    }

    @Test
    void subnetsComeFromThePoolsOfTheCluster() {
        leader.change(transaction -> transaction.put(
                Kind.CLUSTER,
                requireNonNull(world.state().cluster()).toBuilder()
                        .addDefaultAddressPool("192.168.0.0/25")
                        .setSubnetSize(26)
                        .build()));
        put(network("a"));
        put(network("b"));
        put(network("c"));
        assertThat(networkNamed("a").getIpam().getConfigs(0).getSubnet()).isEqualTo("192.168.0.0/26");
        assertThat(networkNamed("b").getIpam().getConfigs(0).getSubnet()).isEqualTo("192.168.0.64/26");
        assertThat(networkNamed("c").hasDriverState()).isFalse();
        leader.change(transaction ->
                transaction.remove(Kind.NETWORK, networkNamed("a").getId()));
        assertThat(networkNamed("c").getIpam().getConfigs(0).getSubnet()).isEqualTo("192.168.0.0/26");
    }
}
