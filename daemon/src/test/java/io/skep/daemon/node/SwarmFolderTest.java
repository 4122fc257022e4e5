package io.skep.daemon.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.daemon.node.SwarmFolder.Setup;
import io.skep.wire.Peer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SwarmFolderTest {
    @TempDir
    Path root;

    @Test
    void nothingIsKnownAtFirst() throws IOException {
        SwarmFolder folder = new SwarmFolder(root);
        assertThat(folder.setup()).isEmpty();
        assertThat(folder.managers()).isEmpty();
    }

    @Test
    void keepsHowTheNodeWasSetUp() throws IOException {
        Setup setup = new Setup("0.0.0.0:2377", "10.0.0.1:2377", true, "10.1.0.1", false);
        new SwarmFolder(root).saveSetup(setup);
        new SwarmFolder(root).saveSetup(setup.withManagerJoined(true));
        assertThat(new SwarmFolder(root).setup()).contains(setup.withManagerJoined(true));
    }

    @Test
    void keepsTheManagersInTheFormOfDocker() throws IOException {
        Peer peer = Peer.newBuilder().setNodeId("n1").setAddr("10.0.0.1:2377").build();
        new SwarmFolder(root).saveManagers(List.of(peer));
        assertThat(root.resolve("swarm/state.json")).hasContent("[{\"node_id\":\"n1\",\"addr\":\"10.0.0.1:2377\"}]");
        assertThat(new SwarmFolder(root).managers()).containsExactly(peer);
    }

    @Test
    void namesADamagedFile() throws IOException {
        Files.createDirectories(root.resolve("swarm"));
        Files.writeString(root.resolve("swarm/skep-state.json"), "{\"listen_address\": ");
        assertThatThrownBy(() -> new SwarmFolder(root).setup())
                .isInstanceOf(IOException.class)
                .hasMessageContaining("skep-state.json is damaged");
    }

    @Test
    void leavesNothingBehind() throws IOException {
        SwarmFolder folder = new SwarmFolder(root);
        folder.saveManagers(List.of());
        Files.createDirectories(folder.raft().resolve("log"));
        Files.writeString(folder.raft().resolve("log/1"), "x");
        folder.delete();
        assertThat(root).isEmptyDirectory();
    }
}
