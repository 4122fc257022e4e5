package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.BoolValue;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.Int64Value;
import io.skep.engine.record.Config;
import io.skep.engine.record.HealthConfig;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.StringList;
import io.skep.wire.Annotations;
import io.skep.wire.ContainerSpec;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.Driver;
import io.skep.wire.Endpoint;
import io.skep.wire.GenericResource;
import io.skep.wire.GenericRuntimeSpec;
import io.skep.wire.Mount;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkSpec;
import io.skep.wire.PortConfig;
import io.skep.wire.Privileges;
import io.skep.wire.ResourceRequirements;
import io.skep.wire.Resources;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

final class TaskContainerTest {
    private static final TaskNode NODE = new TaskNode("bee", "x86_64", "linux");

    static Task.Builder task(ContainerSpec.Builder spec) {
        return Task.newBuilder()
                .setId("task1")
                .setServiceId("service1")
                .setServiceAnnotations(Annotations.newBuilder().setName("web").putLabels("tier", "front"))
                .setSlot(3)
                .setNodeId("node1")
                .setSpec(TaskSpec.newBuilder().setContainer(spec.setImage("bb:1")));
    }

    private static TaskContainer of(ContainerSpec.Builder spec) {
        return TaskContainer.of(task(spec).build(), NODE);
    }

    private static Config config(UnaryOperator<ContainerSpec.Builder> change) {
        return of(change.apply(ContainerSpec.newBuilder())).create().getConfig();
    }

    private static HostConfig host(UnaryOperator<ContainerSpec.Builder> change) {
        return of(change.apply(ContainerSpec.newBuilder())).create().getHostConfig();
    }

    @Test
    void namesAndLabelsContainersAsDockerDoes() {
        TaskContainer container = of(ContainerSpec.newBuilder().putLabels("own", "1"));
        assertThat(container.name()).isEqualTo("web.3.task1");
        assertThat(container.create().getConfig().getLabelsMap())
                .isEqualTo(Map.of(
                        "own", "1",
                        "com.docker.swarm.task", "",
                        "com.docker.swarm.task.id", "task1",
                        "com.docker.swarm.task.name", "web.3.task1",
                        "com.docker.swarm.node.id", "node1",
                        "com.docker.swarm.service.id", "service1",
                        "com.docker.swarm.service.name", "web"));
        assertThat(TaskContainer.of(task(ContainerSpec.newBuilder()).setSlot(0).build(), NODE)
                        .name())
                .isEqualTo("web.node1.task1");
        assertThat(config(spec -> spec.putLabels("com.docker.swarm.task.id", "forged"))
                        .getLabelsMap())
                .containsEntry("com.docker.swarm.task.id", "task1");
    }

    @Test
    void fillsInPlaceholders() {
        Config config = config(spec -> spec.setHostname("{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}")
                .addEnv("WHERE={{.Node.ID}} {{.Node.Platform.Architecture}}")
                .addEnv("{{NAME}}=plain")
                .addEnv("ALONE"));
        assertThat(config.getHostname()).isEqualTo("web-3-bee");
        assertThat(config.getEnvList()).containsExactly("WHERE=node1 x86_64", "{{NAME}}=plain", "ALONE");
        HostConfig host = host(spec -> spec.addMounts(Mount.newBuilder()
                .setType(Mount.Type.VOLUME)
                .setSource("data-{{.Task.Slot}}")
                .setTarget("/{{.Service.Name}}")
                .setVolumeOptions(Mount.VolumeOptions.newBuilder()
                        .putLabels("of", "{{.Service.ID}}")
                        .setDriverConfig(Driver.newBuilder().setName("local").putOptions("o", "{{.Task.ID}}")))));
        var mount = host.getMounts(0);
        assertThat(mount.getSource()).isEqualTo("data-3");
        assertThat(mount.getTarget()).isEqualTo("/web");
        assertThat(mount.getVolumeOptions().getLabelsMap()).containsEntry("of", "service1");
        assertThat(mount.getVolumeOptions().getDriverConfig().getOptionsMap()).containsEntry("o", "task1");
        assertThatThrownBy(() -> config(spec -> spec.setHostname("{{.Host}}")))
                .hasMessageContaining("expanding hostname failed: template: can't evaluate field Host");
    }

    @Test
    void takesOverWhatTheProcessIs() {
        Config config = config(spec -> spec.addCommand("sh")
                .addArgs("-c")
                .setDir("/data")
                .setUser("bee")
                .setTty(true)
                .setOpenStdin(true)
                .setStopSignal("SIGINT"));
        assertThat(config.getImage()).isEqualTo("bb:1");
        assertThat(config.getEntrypointList()).containsExactly("sh");
        assertThat(config.getCmdList()).containsExactly("-c");
        assertThat(config.getWorkingDir()).isEqualTo("/data");
        assertThat(config.getUser()).isEqualTo("bee");
        assertThat(config.getTty()).isTrue();
        assertThat(config.getOpenStdin()).isTrue();
        assertThat(config.getStopSignal()).isEqualTo("SIGINT");
        assertThat(config.hasHealthcheck()).isFalse();
        assertThat(config(spec -> spec.setHealthcheck(io.skep.wire.HealthConfig.newBuilder()
                                .addTest("CMD")
                                .addTest("true")
                                .setInterval(Duration.newBuilder().setSeconds(2).setNanos(5))
                                .setRetries(3)))
                        .getHealthcheck())
                .isEqualTo(HealthConfig.newBuilder()
                        .addTest("CMD")
                        .addTest("true")
                        .setInterval(2_000_000_005L)
                        .setRetries(3)
                        .build());
    }

    @Test
    void takesOverWhatTheHostGives() {
        HostConfig host = host(spec -> spec.addGroups("hive")
                .setReadOnly(true)
                .putSysctls("net.core.somaxconn", "1024")
                .addCapabilityAdd("CAP_NET_ADMIN")
                .addCapabilityDrop("ALL")
                .setOomScoreAdj(-5)
                .setInit(BoolValue.of(true))
                .setPidsLimit(50)
                .addUlimits(ContainerSpec.Ulimit.newBuilder()
                        .setName("nofile")
                        .setSoft(10)
                        .setHard(20))
                .addHosts("10.0.0.1 one two")
                .setDnsConfig(ContainerSpec.DNSConfig.newBuilder()
                        .addNameservers("10.0.0.2")
                        .addSearch("hive.local")
                        .addOptions("ndots:2")));
        assertThat(host.getGroupAddList()).containsExactly("hive");
        assertThat(host.getReadonlyRootfs()).isTrue();
        assertThat(host.getSysctlsMap()).containsEntry("net.core.somaxconn", "1024");
        assertThat(host.getCapAddList()).containsExactly("CAP_NET_ADMIN");
        assertThat(host.getCapDropList()).containsExactly("ALL");
        assertThat(host.getOomScoreAdj()).isEqualTo(-5);
        assertThat(host.getInit()).isTrue();
        assertThat(host.getResources().getPidsLimit()).isEqualTo(50);
        assertThat(host.getResources().getUlimits(0).getHard()).isEqualTo(20);
        assertThat(host.getExtraHostsList()).containsExactly("one:10.0.0.1", "two:10.0.0.1");
        assertThat(host.getDnsList()).containsExactly("10.0.0.2");
        assertThat(host.getDnsSearchList()).containsExactly("hive.local");
        assertThat(host.getDnsOptionsList()).containsExactly("ndots:2");
        assertThat(host(spec -> spec).hasInit()).isFalse();
    }

    @Test
    void limitsWhatTasksUse() {
        Task.Builder task = task(ContainerSpec.newBuilder());
        task.getSpecBuilder()
                .setResources(ResourceRequirements.newBuilder()
                        .setLimits(
                                Resources.newBuilder().setNanoCpus(500_000_000).setMemoryBytes(1 << 26))
                        .setSwapBytes(Int64Value.of(1 << 20)));
        task.addAssignedGenericResources(named("gpu", "one"))
                .addAssignedGenericResources(named("gpu", "two"))
                .addAssignedGenericResources(GenericResource.newBuilder()
                        .setDiscreteResourceSpec(DiscreteGenericResource.newBuilder()
                                .setKind("disk-slot")
                                .setValue(4)));
        var create = TaskContainer.of(task.build(), NODE).create();
        var resources = create.getHostConfig().getResources();
        assertThat(resources.getCpuPeriod()).isEqualTo(100_000);
        assertThat(resources.getCpuQuota()).isEqualTo(50_000);
        assertThat(resources.getMemory()).isEqualTo(1 << 26);
        assertThat(resources.getMemorySwap()).isEqualTo((1 << 26) + (1 << 20));
        assertThat(create.getConfig().getEnvList())
                .containsExactly("DOCKER_RESOURCE_GPU=one,two", "DOCKER_RESOURCE_DISK_SLOT=4");
    }

    private static GenericResource named(String kind, String value) {
        return GenericResource.newBuilder()
                .setNamedResourceSpec(
                        NamedGenericResource.newBuilder().setKind(kind).setValue(value))
                .build();
    }

    @Test
    void translatesMounts() {
        HostConfig host = host(spec -> spec.addMounts(Mount.newBuilder()
                        .setType(Mount.Type.BIND)
                        .setSource("/a")
                        .setTarget("/b")
                        .setReadonly(true)
                        .setBindOptions(Mount.BindOptions.newBuilder()
                                .setPropagation(Mount.BindOptions.Propagation.RSLAVE)
                                .setCreatemountpoint(true)))
                .addMounts(Mount.newBuilder()
                        .setType(Mount.Type.TMPFS)
                        .setTarget("/t")
                        .setTmpfsOptions(Mount.TmpfsOptions.newBuilder()
                                .setSizeBytes(1 << 20)
                                .setMode(0700)
                                .setOptions("[[\"noexec\"],[\"uid\",\"5\"]]"))));
        var bind = host.getMounts(0);
        assertThat(bind.getType()).isEqualTo("bind");
        assertThat(bind.getReadOnly()).isTrue();
        assertThat(bind.getBindOptions().getPropagation()).isEqualTo("rslave");
        assertThat(bind.getBindOptions().getCreateMountpoint()).isTrue();
        var tmpfs = host.getMounts(1).getTmpfsOptions();
        assertThat(tmpfs.getSizeBytes()).isEqualTo(1 << 20);
        assertThat(tmpfs.getMode()).isEqualTo(0700);
        assertThat(tmpfs.getOptionsList())
                .containsExactly(
                        StringList.newBuilder().addValues("noexec").build(),
                        StringList.newBuilder()
                                .addAllValues(List.of("uid", "5"))
                                .build());
        assertThatThrownBy(() -> host(spec -> spec.addMounts(Mount.newBuilder()
                        .setType(Mount.Type.CLUSTER)
                        .setSource("v")
                        .setTarget("/c"))))
                .hasMessageContaining("no mounts of type \"cluster\"");
        assertThatThrownBy(() -> host(spec -> spec.addMounts(Mount.newBuilder()
                        .setType(Mount.Type.TMPFS)
                        .setTmpfsOptions(Mount.TmpfsOptions.newBuilder().setOptions("{}")))))
                .hasMessageContaining("invalid tmpfs options {}");
    }

    @Test
    void translatesPrivileges() {
        HostConfig host = host(spec -> spec.setPrivileges(Privileges.newBuilder()
                .setNoNewPrivileges(true)
                .setSelinuxContext(
                        Privileges.SELinuxContext.newBuilder().setRole("r").setLevel("s0:c1"))
                .setSeccomp(Privileges.SeccompOpts.newBuilder()
                        .setMode(Privileges.SeccompOpts.SeccompMode.CUSTOM)
                        .setProfile(ByteString.copyFromUtf8("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}")))
                .setApparmor(
                        Privileges.AppArmorOpts.newBuilder().setMode(Privileges.AppArmorOpts.AppArmorMode.DISABLED))));
        assertThat(host.getSecurityOptList())
                .containsExactly(
                        "label=role:r",
                        "label=level:s0:c1",
                        "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
                        "apparmor=unconfined",
                        "no-new-privileges=true");
        assertThatThrownBy(() -> host(spec -> spec.setPrivileges(Privileges.newBuilder()
                        .setCredentialSpec(
                                Privileges.CredentialSpec.newBuilder().setFile("f")))))
                .hasMessageContaining("credential spec");
        assertThatThrownBy(() -> host(spec -> spec.setIsolation(ContainerSpec.Isolation.ISOLATION_HYPERV)))
                .hasMessageContaining("invalid isolation \"hyperv\"");
    }

    @Test
    void publishesPortsOfTheNodeOnly() {
        Task task = task(ContainerSpec.newBuilder())
                .setEndpoint(Endpoint.newBuilder()
                        .addPorts(PortConfig.newBuilder()
                                .setTargetPort(80)
                                .setPublishedPort(8080)
                                .setPublishMode(PortConfig.PublishMode.HOST))
                        .addPorts(PortConfig.newBuilder()
                                .setTargetPort(53)
                                .setProtocol(PortConfig.Protocol.UDP)
                                .setPublishMode(PortConfig.PublishMode.HOST))
                        .addPorts(PortConfig.newBuilder().setTargetPort(443).setPublishedPort(443)))
                .build();
        var create = TaskContainer.of(task, NODE).create();
        assertThat(create.getConfig().getExposedPortsList()).containsExactly("80/tcp", "53/udp");
        assertThat(create.getHostConfig().getPortBindingsMap()).containsOnlyKeys("80/tcp", "53/udp");
        assertThat(create.getHostConfig()
                        .getPortBindingsOrThrow("80/tcp")
                        .getBindings(0)
                        .getHostPort())
                .isEqualTo("8080");
        assertThat(create.getHostConfig()
                        .getPortBindingsOrThrow("53/udp")
                        .getBindings(0)
                        .getHostPort())
                .isEmpty();
    }

    @Test
    void refusesWhatThisNodeCannotGive() {
        assertThat(host(spec -> spec).getNetworkMode()).isEqualTo("bridge");
        Task.Builder task = task(ContainerSpec.newBuilder());
        assertThat(TaskContainer.of(
                                task.clone().addNetworks(network("host", true)).build(), NODE)
                        .create()
                        .getHostConfig()
                        .getNetworkMode())
                .isEqualTo("host");
        assertThatThrownBy(() -> TaskContainer.of(
                        task.clone().addNetworks(network("shop", false)).build(), NODE))
                .hasMessageContaining("network \"shop\" (driver overlay)");
        assertThatThrownBy(() -> TaskContainer.of(
                        Task.newBuilder()
                                .setSpec(TaskSpec.newBuilder()
                                        .setGeneric(
                                                GenericRuntimeSpec.newBuilder().setKind("plugin")))
                                .build(),
                        NODE))
                .hasMessageContaining("plugin");
    }

    private static NetworkAttachment network(String name, boolean predefined) {
        Annotations.Builder annotations = Annotations.newBuilder().setName(name);
        if (predefined) {
            annotations.putLabels("com.docker.swarm.predefined", "true");
        }
        return NetworkAttachment.newBuilder()
                .setNetwork(Network.newBuilder()
                        .setSpec(NetworkSpec.newBuilder().setAnnotations(annotations))
                        .setDriverState(Driver.newBuilder().setName(predefined ? name : "overlay")))
                .build();
    }
}
