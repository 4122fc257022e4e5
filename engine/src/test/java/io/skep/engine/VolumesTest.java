package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.EngineException.Kind;
import io.skep.engine.record.BindOptions;
import io.skep.engine.record.Config;
import io.skep.engine.record.CreateVolume;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.Mount;
import io.skep.engine.record.MountPoint;
import io.skep.engine.record.TmpfsOptions;
import io.skep.engine.record.Volume;
import io.skep.engine.record.VolumeOptions;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Volumes, binds and tmpfs in real containers. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class VolumesTest {
    private TestEngine engine;

    @BeforeAll
    void startContainerd() throws Exception {
        engine = new TestEngine();
    }

    @AfterAll
    void stopContainerd() throws IOException {
        engine.close();
    }

    @AfterEach
    void removeAll() throws Exception {
        engine.clear();
        for (Volume volume : engine.life.volumes.all()) {
            engine.life.volumes.remove(volume.getName(), true);
        }
        assertThat(mountsHere()).isEmpty();
    }

    /** Returns what is mounted under the engine's folder but for what containerd mounts itself. */
    private List<String> mountsHere() throws IOException {
        List<String> all = new ArrayList<>();
        for (Mountings.Known each : Mountings.all()) {
            String target = each.target().toString();
            if (target.startsWith(engine.fixture.folder.toString()) && !target.contains("containerd")) {
                all.add(target);
            }
        }
        return all;
    }

    private static HostConfig.Builder binds(String... binds) {
        return HostConfig.newBuilder().addAllBinds(List.of(binds));
    }

    private static HostConfig mount(Mount.Builder mount) {
        return HostConfig.newBuilder().addMounts(mount).build();
    }

    private List<String> run(HostConfig host, String script) throws Exception {
        return engine.run(TestEngine.asked(host, "sh", "-c", script));
    }

    private static CreateVolume named(String name) {
        return CreateVolume.newBuilder().setName(name).build();
    }

    @Test
    void aNamedVolumeOutlivesItsContainers() throws Exception {
        assertThat(run(binds("store:/s").build(), "echo kept > /s/file; touch /s/other"))
                .isEmpty();
        assertThat(run(binds("store:/s:ro").build(), "cat /s/file")).containsExactly("kept");
        assertThat(run(binds("store:/s:ro").build(), "touch /s/new 2>/dev/null || echo refused"))
                .containsExactly("refused");
        Volume volume = engine.life.volumes.require("store");
        assertThat(Path.of(volume.getMountpoint())).isDirectoryContaining("glob:**file");
        assertThat(engine.life.volumes.usage("store").getSize()).isEqualTo(5);
        engine.startAgain();
        assertThat(engine.life.volumes.require("store")).isEqualTo(volume);
        engine.life.volumes.remove("store", false);
        assertThatThrownBy(() -> engine.life.volumes.require("store"))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.NOT_FOUND))
                .hasMessage("get store: no such volume");
    }

    @Test
    void aVolumeIsFilledFromTheImageUnlessThatIsNotWanted() throws Exception {
        assertThat(run(binds("filled:/data").build(), "cat /data/seed /data/deep/er"))
                .containsExactly("from the image", "deeper");
        assertThat(run(binds("bare:/data:nocopy").build(), "ls -A /data")).isEmpty();
        assertThat(run(binds("bare:/data").build(), "ls -A /data")).containsExactly("deep", "seed");
        Path filled = Path.of(engine.life.volumes.require("filled").getMountpoint());
        Files.writeString(filled.resolve("seed"), "changed\n");
        assertThat(run(binds("filled:/data").build(), "cat /data/seed")).containsExactly("changed");
    }

    @Test
    void anAnonymousVolumeGoesWithItsContainer() throws Exception {
        Config config = Config.newBuilder()
                .addAllCmd(List.of("sleep", "100000"))
                .addVolumes("/data")
                .build();
        Container container =
                engine.containers().create("first", TestEngine.asked(HostConfig.getDefaultInstance(), config), "");
        container.start();
        MountPoint point = container.record().getMounts(0);
        assertThat(point.getName()).hasSize(64);
        assertThat(engine.life.volumes.require(point.getName()).getLabelsMap()).containsKey(Volumes.ANONYMOUS);
        assertThatThrownBy(() -> engine.life.volumes.remove(point.getName(), true))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.CONFLICT))
                .hasMessage("remove " + point.getName() + ": volume is in use - [" + container.id() + "]");
        assertThat(run(
                        HostConfig.newBuilder().addVolumesFrom("first:ro").build(),
                        "exec 2>&1; cat /data/seed; touch /data/x"))
                .first()
                .isEqualTo("from the image");
        engine.startAgain();
        Container again = engine.containers().require("first");
        assertThat(engine.life.volumes.isUsed(point.getName())).isTrue();
        engine.containers().remove(again, true, true);
        assertThat(engine.life.volumes.all()).isEmpty();
    }

    @Test
    void aVolumeOfADeviceIsMountedWhileAContainerRuns() throws Exception {
        engine.life.volumes.create(named("memory").toBuilder()
                .putDriverOpts("type", "tmpfs")
                .putDriverOpts("device", "tmpfs")
                .putDriverOpts("o", "size=1m,noexec,mode=700")
                .build());
        assertThat(run(binds("memory:/m").build(), "grep ' /m ' /proc/mounts"))
                .singleElement()
                .satisfies(line -> assertThat(line).startsWith("tmpfs /m tmpfs").contains("noexec", "size=1024k"));
        assertThat(mountsHere()).isEmpty();
        Container container = engine.sleeper(binds("memory:/m").build());
        assertThat(mountsHere()).hasSize(1);
        engine.startAgain();
        engine.containers().require(container.id()).kill("KILL");
        engine.containers().require(container.id()).when("not-running").get();
        assertThat(mountsHere()).isEmpty();
        engine.life.volumes.create(named("broken").toBuilder()
                .putDriverOpts("type", "nosuchfs")
                .putDriverOpts("device", "/nowhere")
                .build());
        assertThatThrownBy(() -> engine.sleeper(binds("broken:/b").build()))
                .hasMessageContaining("failed to mount local volume: mount /nowhere:");
    }

    @Test
    void aFolderWithinAVolumeIsMountedAndNoLinkLeadsOut() throws Exception {
        run(
                binds("tree:/t").build(),
                "mkdir -p /t/a/b; echo deep > /t/a/b/f; ln -s /etc /t/out; ln -s ../../../etc /t/up");
        Mount.Builder wanted =
                Mount.newBuilder().setType("volume").setSource("tree").setTarget("/m");
        assertThat(run(
                        mount(wanted.clone()
                                .setVolumeOptions(VolumeOptions.newBuilder().setSubpath("a/b"))),
                        "cat /m/f"))
                .containsExactly("deep");
        for (String path : List.of("nowhere", "out", "up")) {
            assertThatThrownBy(() -> run(
                            mount(wanted.clone()
                                    .setVolumeOptions(VolumeOptions.newBuilder().setSubpath(path))),
                            "true"))
                    .hasMessageContaining("there is no " + path + " in volume tree");
        }
        assertThatThrownBy(() -> run(
                        mount(wanted.clone()
                                .setVolumeOptions(VolumeOptions.newBuilder().setSubpath("../x"))),
                        "true"))
                .hasMessageContaining("subpath must be a relative path within the volume");
    }

    @Test
    void aFolderOfTheHostIsMountedAsAsked() throws Exception {
        Path folder = Files.createDirectories(engine.fixture.folder.resolve("host/folder"));
        Files.writeString(folder.resolve("f"), "of the host\n");
        assertThat(run(
                        binds(folder + ":/h", folder.resolve("f") + ":/one:ro").build(),
                        "cat /h/f /one; echo new > /h/n"))
                .containsExactly("of the host", "of the host");
        assertThat(folder.resolve("n")).hasContent("new\n");
        Path made = engine.fixture.folder.resolve("host/made");
        run(binds(made + ":/m").build(), "true");
        assertThat(made).isDirectory();
        Mount.Builder missing =
                Mount.newBuilder().setType("bind").setSource("/no/such").setTarget("/x");
        assertThatThrownBy(() -> run(mount(missing), "true"))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.INVALID))
                .hasMessage("invalid mount config for type \"bind\": bind source path does not exist: /no/such");
        assertThatThrownBy(() -> run(
                        mount(Mount.newBuilder()
                                .setType("bind")
                                .setSource(folder.toString())
                                .setTarget("/x")
                                .setBindOptions(BindOptions.newBuilder().setPropagation("sideways"))),
                        "true"))
                .hasMessageContaining("invalid propagation mode: sideways");
    }

    @Test
    void mountsOfTheHostReachAContainerThatFollowsThem() throws Exception {
        Path shared = Files.createDirectories(engine.fixture.folder.resolve("shared"));
        LinuxFiles.mount("shared", shared, "tmpfs", 0, "");
        try {
            LinuxFiles.mount("none", shared, "", 1 << 20, ""); // MS_SHARED
            Path within = Files.createDirectory(shared.resolve("within"));
            Container container = engine.containers()
                    .create(
                            "",
                            TestEngine.asked(
                                    binds(shared + ":/s:rslave").build(),
                                    "sh",
                                    "-c",
                                    "echo up; while [ ! -e /s/within/seen ]; do sleep 0.02; done; echo seen"),
                            "");
            container.start();
            TestEngine.awaitLine(container, "up");
            LinuxFiles.mount("within", within, "tmpfs", 0, "");
            Files.createFile(within.resolve("seen"));
            TestEngine.awaitLine(container, "seen");
            LinuxFiles.unmount(within, LinuxFiles.MNT_DETACH);
            LinuxFiles.mount("none", shared, "", LinuxFiles.MS_PRIVATE, "");
            assertThatThrownBy(
                            () -> engine.sleeper(binds(shared + ":/s:rshared").build()))
                    .hasMessage("path " + shared + " is mounted on " + shared + " but it is not a shared mount");
        } finally {
            LinuxFiles.unmount(shared, LinuxFiles.MNT_DETACH);
        }
    }

    @Test
    void memoryIsMountedWithTheOptionsAsked() throws Exception {
        HostConfig host = HostConfig.newBuilder()
                .putTmpfs("/a", "size=2m,exec")
                .addMounts(Mount.newBuilder()
                        .setType("tmpfs")
                        .setTarget("/b")
                        .setTmpfsOptions(
                                TmpfsOptions.newBuilder().setSizeBytes(1 << 20).setMode(0700)))
                .build();
        List<String> lines = run(host, "grep ' /a ' /proc/mounts; grep ' /b ' /proc/mounts; stat -c %a /b");
        assertThat(lines.get(0)).contains("size=2048k").doesNotContain("noexec").contains("nosuid");
        assertThat(lines.get(1)).contains("size=1024k", "noexec");
        assertThat(lines.get(2)).isEqualTo("700");
        assertThatThrownBy(() ->
                        run(HostConfig.newBuilder().putTmpfs("/a", "colour=red").build(), "true"))
                .hasMessage("invalid tmpfs option [\"colour=red\"]");
    }

    @Test
    void whatIsWrongIsRefusedInDockersWords() {
        for (String[] each : List.of(
                new String[] {"a:b:c:d", "invalid volume specification: 'a:b:c:d'"},
                new String[] {
                    "/x:data",
                    "invalid volume specification: '/x:data': invalid mount config for type \"bind\": invalid mount"
                            + " path: 'data' mount path must be absolute"
                },
                new String[] {"/x:/y:often", "invalid mode: often"},
                new String[] {"/x:/y:nocopy", "invalid mode: nocopy"},
                new String[] {"a:/y:shared", "invalid mode: shared"},
                new String[] {
                    "a:/",
                    "invalid volume specification: 'a:/': invalid mount config for type \"volume\": invalid"
                            + " specification: destination can't be '/'"
                })) {
            assertThatThrownBy(() -> run(binds(each[0]).build(), "true")).hasMessage(each[1]);
        }
        assertThatThrownBy(() -> run(binds("one:/x", "two:/x/").build(), "true"))
                .hasMessage("Duplicate mount point: /x");
        assertThatThrownBy(() -> engine.life.volumes.create(named("a/b")))
                .hasMessageContaining("includes invalid characters");
        assertThatThrownBy(() -> engine.life.volumes.create(named("a"))).hasMessageContaining("too short");
        assertThatThrownBy(() -> engine.life.volumes.create(
                        named("ab").toBuilder().putDriverOpts("colour", "red").build()))
                .hasMessage("create ab: invalid option: \"colour\"");
        assertThatThrownBy(() -> engine.life.volumes.create(
                        named("ab").toBuilder().putDriverOpts("type", "nfs").build()))
                .hasMessage("create ab: missing required option: \"device\"");
        assertThatThrownBy(() -> engine.life.volumes.create(
                        named("ab").toBuilder().setDriver("rexray").build()))
                .hasMessage("error looking up volume plugin rexray: plugin \"rexray\" not found");
        // What a refused container made before it was refused goes with it.
        assertThatThrownBy(() -> run(
                        HostConfig.newBuilder()
                                .addMounts(Mount.newBuilder().setType("volume").setTarget("/v"))
                                .addMounts(Mount.newBuilder()
                                        .setType("volume")
                                        .setSource("bad name")
                                        .setTarget("/w"))
                                .build(),
                        "true"))
                .hasMessageContaining("includes invalid characters");
        assertThat(engine.life.volumes.all()).isEmpty();
        assertThat(engine.containers().all()).isEmpty();
    }

    @Test
    void pruneTakesWhatNobodyUses() throws Exception {
        engine.life.volumes.create(named("left"));
        engine.life.volumes.create(named("used"));
        Container container =
                engine.containers().create("", TestEngine.asked(binds("used:/u").build(), "true"), "");
        Files.writeString(
                Path.of(engine.life.volumes.require("left").getMountpoint()).resolve("f"),
                "12345",
                StandardCharsets.UTF_8);
        Volumes.Pruned pruned = engine.life.volumes.prune(volume -> true);
        assertThat(pruned.names()).containsExactly("left");
        assertThat(pruned.bytes()).isEqualTo(5);
        assertThat(container.record().getMounts(0).getMode()).isEqualTo("z");
    }
}
