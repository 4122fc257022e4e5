package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.ContainerFiles.PathStat;
import io.skep.engine.record.ContainerStats;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.ProcessList;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Files, processes and figures of real containers. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ContainerFilesTest {
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
    void removeContainers() throws Exception {
        engine.clear();
        assertThat(engine.fixture.folder.resolve("mounts/roots"))
                .satisfiesAnyOf(
                        folder -> assertThat(folder).doesNotExist(),
                        folder -> assertThat(folder).isEmptyDirectory());
    }

    /** Returns the entries of an archive: their content, or what they are. */
    private static Map<String, String> entries(byte[] archive) throws IOException {
        Map<String, String> all = new TreeMap<>();
        try (TarArchiveInputStream tar = new TarArchiveInputStream(new ByteArrayInputStream(archive))) {
            TarArchiveEntry entry;
            while ((entry = tar.getNextEntry()) != null) {
                all.put(
                        entry.getName(),
                        entry.isDirectory()
                                ? "folder"
                                : entry.isSymbolicLink()
                                        ? "-> " + entry.getLinkName()
                                        : entry.isLink()
                                                ? "= " + entry.getLinkName()
                                                : new String(tar.readAllBytes(), StandardCharsets.UTF_8));
            }
        }
        return all;
    }

    private static byte[] read(Container container, String path) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        container.files().read(path, (stat, source) -> source.writeTo(out));
        return out.toByteArray();
    }

    private static void write(Container container, String path, byte[] archive) {
        container.files().write(path, new ByteArrayInputStream(archive), true);
    }

    private Container started(HostConfig host, String script) throws Exception {
        Container container = engine.containers()
                .create("", TestEngine.asked(host, "sh", "-c", script + "; echo done; sleep 100000"), "");
        container.start();
        TestEngine.awaitLine(container, "done");
        return container;
    }

    private static void kill(Container container) throws Exception {
        container.kill("KILL");
        container.when("not-running").get(60, TimeUnit.SECONDS);
    }

    @Test
    void filesAreCopiedOutAndInWhetherTheContainerRunsOrNot() throws Exception {
        Container container = started(
                HostConfig.newBuilder().addBinds("kept:/vol").build(),
                "mkdir -p /a/b; echo one > /a/f; ln -s ../f /a/b/l; ln /a/f /a/h; chmod 4750 /a/f; echo two > /vol/v;"
                        + " mkdir /a/empty");
        Map<String, String> wanted = Map.of(
                "a/",
                "folder",
                "a/b/",
                "folder",
                "a/b/l",
                "-> ../f",
                "a/f",
                "one\n",
                "a/h",
                "= a/f",
                "a/empty/",
                "folder");
        assertThat(entries(read(container, "/a"))).isEqualTo(wanted);
        PathStat stat = container.files().stat("/a/f");
        assertThat(stat.name()).isEqualTo("f");
        assertThat(stat.sizeBytes()).isEqualTo(4);
        assertThat(stat.mode()).isEqualTo(1L << 23 | 0750);
        assertThat(container.files().stat("/a/b/l").linkTarget()).isEqualTo("/a/f");
        write(
                container,
                "/a/b",
                new Tar().directory("in").file("in/new", "three\n").bytes());
        kill(container);
        assertThat(entries(read(container, "/a/b/in"))).containsEntry("in/new", "three\n");
        assertThat(entries(read(container, "/vol/v"))).containsEntry("v", "two\n");
        write(container, "/vol", new Tar().file("w", "four\n").bytes());
        assertThat(Path.of(engine.life.volumes.require("kept").getMountpoint()).resolve("w"))
                .hasContent("four\n");
        assertThatThrownBy(() -> container.files().stat("/no/where"))
                .hasMessage("Could not find the file /no/where in container " + container.id());
        assertThatThrownBy(
                        () -> write(container, "/a/f", new Tar().file("x", "").bytes()))
                .hasMessage("extraction point is not a directory");
        assertThatThrownBy(() -> write(container, "/a", new Tar().file("b", "").bytes()))
                .hasMessage("cannot overwrite directory \"b\" with non-directory \"b\"");
    }

    @Test
    void noLinkLeadsOutOfAContainer() throws Exception {
        Path outside = Files.createDirectories(engine.fixture.folder.resolve("outside"));
        Files.writeString(outside.resolve("secret"), "of the host\n");
        Container container = started(
                HostConfig.getDefaultInstance(),
                "ln -s " + outside + " /absolute; ln -s ../../../../../../../.." + outside
                        + " /up; ln -s /proc/1/root/.. /root-link");
        for (boolean running : new boolean[] {true, false}) {
            for (String link : List.of("/absolute", "/up", "/root-link" + outside)) {
                assertThatThrownBy(() -> read(container, link + "/secret"))
                        .hasMessageContaining("Could not find the file");
                assertThatThrownBy(() ->
                                write(container, link, new Tar().file("x", "y").bytes()))
                        .hasMessageContaining("Could not find the file");
            }
            assertThatThrownBy(() -> write(
                            container, "/tmp", new Tar().file("../../x", "y").bytes()))
                    .hasMessageContaining("leads up");
            // A link in the archive itself, and then a file through it.
            byte[] sly =
                    new Tar().link("in", outside.toString()).file("in/x", "y").bytes();
            assertThatThrownBy(() -> write(container, "/tmp", sly)).hasMessageContaining("in the way");
            write(
                    container,
                    "/tmp",
                    new Tar().link("data", "/data").file("data/through", "z").bytes());
            assertThat(entries(read(container, "/data/through"))).containsEntry("through", "z");
            assertThat(outside).isDirectoryNotContaining("glob:**x");
            if (running) {
                kill(container);
            }
        }
    }

    @Test
    void changesAndAnExportTellWhatTheContainerMadeOfItsImage() throws Exception {
        Container container = started(
                HostConfig.newBuilder().addBinds("kept:/vol").build(),
                "echo new > /data/new; rm /data/seed; chmod 700 /data/deep; mkdir /fresh; echo v > /vol/v");
        List<String> changes = new ArrayList<>();
        container.files().changes().forEach(each -> changes.add("CAD".charAt(each.getKind()) + " " + each.getPath()));
        assertThat(changes)
                .contains("C /data", "A /data/new", "D /data/seed", "C /data/deep", "A /fresh", "A /vol")
                .doesNotContain("A /vol/v", "C /bin");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        container.files().export(out);
        assertThat(entries(out.toByteArray()))
                .containsEntry("data/new", "new\n")
                .containsEntry("bin/sh", "-> busybox")
                .containsKey("proc/")
                .doesNotContainKeys("vol/v", "proc/1/", "data/seed");
        kill(container);
        out.reset();
        container.files().export(out);
        assertThat(entries(out.toByteArray()))
                .containsEntry("data/new", "new\n")
                .doesNotContainKeys("vol/v");
    }

    @Test
    void whatIsReadOnlyStaysSo() throws Exception {
        Container container =
                started(HostConfig.newBuilder().setReadonlyRootfs(true).build(), "true");
        assertThatThrownBy(
                        () -> write(container, "/tmp", new Tar().file("x", "y").bytes()))
                .isInstanceOfSatisfying(
                        EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.FORBIDDEN))
                .hasMessage("container rootfs is marked read-only");
    }

    @Test
    void processesAndFiguresAreThoseOfTheContainer() throws Exception {
        Container container =
                started(HostConfig.getDefaultInstance(), "yes > /dev/null & head -c 3000000 /dev/zero > /f");
        ProcessList list = container.processes("");
        assertThat(list.getTitlesList()).contains("PID", "CMD");
        assertThat(list.getProcessesList()).hasSizeGreaterThanOrEqualTo(2);
        assertThat(list.getProcessesList())
                .anyMatch(row -> row.getValuesList().getLast().contains("sleep 100000"));
        assertThat(list.getProcessesList())
                .noneMatch(row -> row.getValuesList().getLast().contains("java"));
        assertThatThrownBy(() -> container.processes("-o comm")).hasMessageStartingWith("Couldn't find PID field");
        ContainerStats first = container.statistics(null);
        ContainerStats second = container.statistics(first);
        while (second.getCpuStats().getCpuUsage().getTotalUsage()
                == first.getCpuStats().getCpuUsage().getTotalUsage()) {
            second = container.statistics(first);
        }
        assertThat(second.getPreread()).isEqualTo(first.getRead());
        assertThat(second.getPrecpuStats()).isEqualTo(first.getCpuStats());
        assertThat(second.getMemoryStats().getUsage()).isPositive();
        assertThat(second.getMemoryStats().getLimit()).isPositive();
        assertThat(second.getPidsStats().getCurrent()).isGreaterThanOrEqualTo(2);
        assertThat(second.getCpuStats().getSystemCpuUsage()).isPositive();
        kill(container);
        assertThat(container.statistics(null).getMemoryStats().getUsage()).isZero();
        assertThatThrownBy(() -> container.processes("")).hasMessage("container " + container.id() + " is not running");
        assertThat(ProcessTable.parse("PID CMD\n 7 a b  c\n8 d\n", Set.of(7))
                        .getProcesses(0)
                        .getValuesList())
                .containsExactly("7", "a b  c");
    }
}
