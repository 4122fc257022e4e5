package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.Descriptors.FieldDescriptor;
import io.skep.engine.record.DeviceMapping;
import io.skep.engine.record.DeviceRequest;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.LogConfig;
import io.skep.engine.record.Resources;
import io.skep.engine.record.StringList;
import io.skep.engine.record.ThrottleDevice;
import io.skep.engine.record.Ulimit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** What users ask of the host for a container is honoured or refused by name. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class HostConfigTest {
    /** Honoured by the engine itself; the tests here and in the other classes of this room show it. */
    private static final Set<String> HONOURED = Set.of(
            "Binds",
            "LogConfig",
            "RestartPolicy",
            "AutoRemove",
            "VolumeDriver",
            "VolumesFrom",
            "ConsoleSize",
            "Annotations",
            "CapAdd",
            "CapDrop",
            "CgroupnsMode",
            "GroupAdd",
            "IpcMode",
            "OomScoreAdj",
            "PidMode",
            "Privileged",
            "ReadonlyRootfs",
            "SecurityOpt",
            "Tmpfs",
            "UTSMode",
            "ShmSize",
            "Sysctls",
            "Runtime",
            "Mounts",
            "MaskedPaths",
            "ReadonlyPaths",
            "Init",
            "CpuShares",
            "Memory",
            "NanoCpus",
            "CgroupParent",
            "BlkioWeight",
            "BlkioWeightDevice",
            "BlkioDeviceReadBps",
            "BlkioDeviceWriteBps",
            "BlkioDeviceReadIOps",
            "BlkioDeviceWriteIOps",
            "CpuPeriod",
            "CpuQuota",
            "CpuRealtimePeriod",
            "CpuRealtimeRuntime",
            "CpusetCpus",
            "CpusetMems",
            "Devices",
            "DeviceCgroupRules",
            "MemoryReservation",
            "MemorySwap",
            "PidsLimit",
            "Ulimits");

    /** Honoured or refused by the networks, whose port is handed the whole configuration. */
    private static final Set<String> OF_NETWORKS = Set.of(
            "NetworkMode", "PortBindings", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "PublishAllPorts");

    /** The client writes this file itself. */
    private static final Set<String> OF_CLIENTS = Set.of("ContainerIDFile");

    /** Refused everywhere, or where control groups are of version 2. */
    private static final Map<String, Consumer<HostConfig.Builder>> REFUSED = Map.ofEntries(
            Map.entry("Cgroup", host -> host.setCgroup("container:x")),
            Map.entry("StorageOpt", host -> host.putStorageOpt("size", "1G")),
            Map.entry("UsernsMode", host -> host.setUsernsMode("private")),
            Map.entry("Isolation", host -> host.setIsolation("hyperv")),
            Map.entry(
                    "DeviceRequests",
                    host -> resources(host)
                            .addDeviceRequests(DeviceRequest.newBuilder()
                                    .setCount(-1)
                                    .addCapabilities(StringList.newBuilder().addValues("gpu")))),
            Map.entry("KernelMemory", host -> resources(host).setKernelMemory(1 << 30)),
            Map.entry("KernelMemoryTCP", host -> resources(host).setKernelMemoryTcp(1 << 30)),
            Map.entry("MemorySwappiness", host -> resources(host).setMemorySwappiness(5)),
            Map.entry("OomKillDisable", host -> resources(host).setOomKillDisable(true)),
            Map.entry("CpuCount", host -> resources(host).setCpuCount(1)),
            Map.entry("CpuPercent", host -> resources(host).setCpuPercent(1)),
            Map.entry("IOMaximumIOps", host -> resources(host).setIoMaximumIops(1)),
            Map.entry("IOMaximumBandwidth", host -> resources(host).setIoMaximumBandwidth(1)));

    private TestEngine engine;

    private static Resources.Builder resources(HostConfig.Builder host) {
        return host.getResourcesBuilder();
    }

    @BeforeAll
    void startContainerd() throws Exception {
        engine = new TestEngine();
    }

    @AfterAll
    void stopContainerd() throws IOException {
        engine.close();
    }

    @AfterEach
    void removeContainers() throws InterruptedException {
        engine.clear();
    }

    private List<String> run(HostConfig.Builder host, String script) throws Exception {
        return engine.run(TestEngine.asked(host.build(), "sh", "-c", script));
    }

    private static HostConfig.Builder host() {
        return HostConfig.newBuilder();
    }

    @Test
    void everyFieldIsHonouredOrRefusedByName() {
        Set<String> known = new HashSet<>(HONOURED);
        known.addAll(OF_NETWORKS);
        known.addAll(OF_CLIENTS);
        known.addAll(REFUSED.keySet());
        Set<String> fields = new HashSet<>();
        for (FieldDescriptor field : HostConfig.getDescriptor().getFields()) {
            fields.add(field.getJsonName());
        }
        fields.remove("resources");
        for (FieldDescriptor field : Resources.getDescriptor().getFields()) {
            fields.add(field.getJsonName());
        }
        assertThat(known).isEqualTo(fields);
        REFUSED.forEach((name, ask) -> {
            HostConfig.Builder host = host();
            ask.accept(host);
            assertThatThrownBy(() -> HostConfigRules.check(host.build(), true))
                    .as(name)
                    .isInstanceOf(EngineException.class)
                    .hasMessageContaining(name);
        });
        HostConfigRules.check(HostConfig.getDefaultInstance(), true);
    }

    @Test
    void whatMakesNoSenseIsRefused() {
        for (Map.Entry<String, HostConfig.Builder> each : Map.of(
                        "invalid ipc mode: odd", host().setIpcMode("odd"),
                        "invalid PID mode: container:", host().setPidMode("container:"),
                        "invalid UTS mode: container:x", host().setUtsMode("container:x"),
                        "invalid CapAdd: unknown capability: \"CAP_FLY\"", host().addCapAdd("fly"),
                        "Invalid value 1001, range for oom score adj is [-1000, 1000]", host().setOomScoreAdj(1001),
                        "invalid --security-opt 2: \"colour=red\"", host().addSecurityOpt("colour=red"),
                        "Minimum memory limit allowed is 6MB",
                                host().setResources(Resources.newBuilder().setMemory(1000)),
                        "invalid device cgroup rule format: 'c 1 rw'",
                                host().setResources(Resources.newBuilder().addDeviceCgroupRules("c 1 rw")),
                        "No such container: nobody", host().setPidMode("container:nobody"))
                .entrySet()) {
            assertThatThrownBy(() -> run(each.getValue(), "true")).hasMessage(each.getKey());
        }
        assertThatThrownBy(() -> run(
                        host().setResources(Resources.newBuilder()
                                .addDevices(DeviceMapping.newBuilder().setPathOnHost("/dev/nosuch"))),
                        "true"))
                .hasMessage(
                        "error gathering device information while adding custom device \"/dev/nosuch\": no such file"
                                + " or directory");
        assertThatThrownBy(() -> run(
                        host().setResources(Resources.newBuilder()
                                .addBlkioDeviceReadBps(ThrottleDevice.newBuilder()
                                        .setPath("/dev/null")
                                        .setRate(1000))),
                        "true"))
                .hasMessage("/dev/null is no block device: its reads and writes cannot be limited");
        assertThat(engine.fixture.folder.resolve("containers")).isEmptyDirectory();
    }

    @Test
    void systemCallsAreFiltered() throws Exception {
        String script = "grep Seccomp: /proc/self/status | tr -d '[:space:]'; echo; unshare -U true && echo made";
        assertThat(run(host(), script)).contains("Seccomp:2").doesNotContain("made");
        assertThat(run(host().addSecurityOpt("seccomp=unconfined"), script)).contains("Seccomp:0", "made");
        assertThat(run(host().addCapAdd("SYS_ADMIN"), script)).contains("Seccomp:2", "made");
        assertThat(run(host().setPrivileged(true), script)).contains("Seccomp:0", "made");
        String own = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":null,\"syscalls\":[{\"names\":[\"mkdir\","
                + "\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13,\"args\":[],\"includes\":{},\"excludes\":"
                + "{\"caps\":[\"CAP_SYS_BOOT\"]}}]}";
        assertThat(run(host().addSecurityOpt("seccomp=" + own), "mkdir /x 2>&1; unshare -U true && echo made"))
                .satisfies(lines -> assertThat(lines.getFirst()).contains("Permission denied"))
                .contains("made");
        assertThat(run(host().addSecurityOpt("seccomp=" + own).addCapAdd("SYS_BOOT"), "mkdir /x && echo made"))
                .containsExactly("made");
        assertThatThrownBy(() -> run(host().addSecurityOpt("seccomp={\"a\""), "true"))
                .hasMessageStartingWith("Decoding seccomp profile failed");
        assertThat(new Seccomp("aarch64").normal(Set.of()).toString())
                .contains("SCMP_ARCH_AARCH64", "cacheflush")
                .doesNotContain("arch_prctl", "unshare");
    }

    @Test
    void rightsAndPathsAreAsAsked() throws Exception {
        assertThat(run(
                        host().addSecurityOpt("no-new-privileges")
                                .addGroupAdd("swarm")
                                .addGroupAdd("77"),
                        "grep NoNewPrivs /proc/self/status; id -G"))
                .containsExactly("NoNewPrivs:\t1", "0 77 3456");
        assertThat(run(host().setReadonlyRootfs(true), "touch /x 2>/dev/null || echo refused"))
                .containsExactly("refused");
        assertThat(run(host(), "ls /proc/acpi /sys/firmware | head -3"))
                .allMatch(line -> line.endsWith(":") || line.isEmpty());
        assertThat(run(host().addSecurityOpt("systempaths=unconfined"), "ls /sys/firmware; echo over"))
                .last()
                .isEqualTo("over");
        assertThat(run(
                        host().setOomScoreAdj(321)
                                .putSysctls("kernel.msgmax", "4321")
                                .setShmSize(1 << 20)
                                .setResources(Resources.newBuilder()
                                        .addUlimits(Ulimit.newBuilder()
                                                .setName("nofile")
                                                .setSoft(50)
                                                .setHard(60))),
                        "cat /proc/self/oom_score_adj /proc/sys/kernel/msgmax; ulimit -Sn; ulimit -Hn; grep -c"
                                + " shm.*size=1024k /proc/mounts"))
                .containsExactly("321", "4321", "50", "60", "1");
    }

    @Test
    void aFirstProcessOfTheHostsReapsOrphans() throws Exception {
        assertThat(run(host().setInit(true), "cat /proc/1/comm; exit 3")).containsExactly("docker-init");
    }

    @Test
    void namespacesAreThoseOfTheHostOrOfAnotherContainer() throws Exception {
        Container first = engine.sleeper(host().setIpcMode("shareable").build());
        String joined = "container:" + first.record().getName();
        assertThat(run(host().setPidMode(joined), "cat /proc/1/cmdline | tr '\\0' ' '"))
                .containsExactly("sleep 100000");
        assertThat(run(host().setIpcMode(joined), "touch /dev/shm/there")).isEmpty();
        assertThat(run(host().setIpcMode(joined), "ls /dev/shm")).containsExactly("there");
        assertThat(run(host(), "ls /dev/shm")).isEmpty();
        assertThat(run(host().setUtsMode("host"), "cat /proc/sys/kernel/hostname"))
                .containsExactly(
                        Files.readAllLines(Path.of("/proc/sys/kernel/hostname")).getFirst());
        assertThat(run(
                        host().setPidMode("host"),
                        "cat /proc/" + ProcessHandle.current().pid() + "/comm"))
                .containsExactly(Files.readString(Path.of("/proc/self/comm")).strip());
        Container closed = engine.sleeper(HostConfig.getDefaultInstance());
        assertThatThrownBy(() -> run(host().setIpcMode("container:" + closed.id()), "true"))
                .hasMessageContaining("not shareable");
        first.kill("KILL");
        first.when("not-running").get();
        assertThatThrownBy(() -> run(host().setPidMode(joined), "true"))
                .hasMessageStartingWith("cannot join pid namespace of a non running container: ");
    }

    @Test
    void devicesAreThereAndMayBeUsed() throws Exception {
        String script = "ls -l /dev/kept 2>/dev/null | head -c 1; (: </dev/kept) 2>/dev/null && echo read";
        assertThat(run(host(), script)).isEmpty();
        assertThat(run(
                        host().setResources(Resources.newBuilder()
                                .addDevices(DeviceMapping.newBuilder()
                                        .setPathOnHost("/dev/fuse")
                                        .setPathInContainer("/dev/kept")
                                        .setCgroupPermissions("rwm"))),
                        script))
                .containsExactly("cread");
        assertThat(run(host().setPrivileged(true), "ls /dev/fuse")).containsExactly("/dev/fuse");
    }

    @Test
    void limitsHold() throws Exception {
        Container container = engine.sleeper(host().setResources(Resources.newBuilder()
                        .setMemory(64 << 20)
                        .setPidsLimit(17)
                        .setCpusetCpus("0")
                        .setNanoCpus(500_000_000)
                        .setCpuShares(512))
                .build());
        long pid = container.record().getState().getPid();
        List<String> groups = Files.readAllLines(Path.of("/proc/" + pid + "/cgroup"));
        assertThat(groups).anyMatch(line -> line.endsWith("/skep-test/" + container.id()));
        assertThat(run(
                        host().setResources(Resources.newBuilder().setCpusetCpus("1")),
                        "grep Cpus_allowed_list /proc/self/status"))
                .containsExactly("Cpus_allowed_list:\t1");
        // A fork bomb ends at the limit, and the engine can still stop the container.
        Container bomb = engine.containers()
                .create(
                        "",
                        TestEngine.asked(
                                host().setResources(Resources.newBuilder().setPidsLimit(20))
                                        .build(),
                                "sh",
                                "-c",
                                "b() { b | b & }; echo lit; b 2>/dev/null; sleep 100000"),
                        "");
        bomb.start();
        TestEngine.awaitLine(bomb, "lit");
        bomb.stop("KILL", Duration.ZERO);
        assertThat(bomb.record().getState().getExitCode()).isEqualTo(137);
    }

    @Test
    void theLocalLogRotatesByItself() throws Exception {
        HostConfig.Builder local = host().setLogConfig(LogConfig.newBuilder().setType("local"));
        assertThat(run(local, "echo kept")).containsExactly("kept");
        assertThatThrownBy(() -> run(
                        host().setLogConfig(
                                        LogConfig.newBuilder().setType("local").putConfig("tag", "x")),
                        "true"))
                .hasMessage("unknown log opt 'tag' for local log driver");
        Container container = engine.containers()
                .create(
                        "",
                        TestEngine.asked(
                                host().setLogConfig(LogConfig.newBuilder()
                                                .setType("local")
                                                .putConfig("max-size", "1m")
                                                .putConfig("max-file", "3"))
                                        .build(),
                                "sh",
                                "-c",
                                "yes 0123456789012345678901234567890123456789 | head -c 19680000; echo last"),
                        "");
        container.start();
        container.when("not-running").get();
        assertThat(TestEngine.log(container)).last().isEqualTo("last");
        try (var files = Files.list(engine.fixture.folder.resolve("containers").resolve(container.id()))) {
            assertThat(files.filter(file -> file.toString().contains("-json.log"))
                            .toList())
                    .hasSize(3)
                    .allSatisfy(file -> assertThat(Files.size(file)).isLessThan(1_200_000));
        }
    }
}
