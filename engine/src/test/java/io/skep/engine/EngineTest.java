package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.image.RegistrySettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The life of an engine with a containerd of its own, and with one that is there. */
@Timeout(120)
final class EngineTest {
    private Path folder;

    @BeforeEach
    void makeFolder() throws IOException {
        folder = Files.createTempDirectory(Path.of("/var/tmp"), "skep-engine-test");
    }

    @AfterEach
    void removeFolder() throws IOException {
        AtomicFiles.deleteTree(folder);
    }

    private EngineSettings settings(String name, String containerd) {
        return new EngineSettings(
                folder.resolve(name).resolve("data"),
                folder.resolve(name).resolve("run"),
                containerd,
                Map.of("runc", "runc"),
                "runc",
                "",
                RegistrySettings.DEFAULT,
                NetworkSettings.USUAL);
    }

    @Test
    void anEngineUsesItsOwnContainerdOrOneThatIsThere() throws Exception {
        try (Engine own = new Engine(settings("own", ""))) {
            assertThat(own.containers().all()).isEmpty();
            String socket = folder.resolve("own/run/containerd/containerd.sock").toString();
            try (Engine guest = new Engine(settings("guest", "unix://" + socket))) {
                assertThat(guest.containers().all()).isEmpty();
            }
            assertThat(own.containers().all()).isEmpty();
        }
    }

    @Test
    void anEngineWithoutContainerdSaysWhatToDo() {
        String socket = folder.resolve("none.sock").toString();
        assertThatThrownBy(() -> new Engine(settings("lost", socket)).close())
                .hasMessage("there is no containerd at " + socket + ": start it, or take the key containerd out so that"
                        + " skepd starts one of its own");
    }
}
