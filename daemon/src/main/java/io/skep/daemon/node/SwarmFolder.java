package io.skep.daemon.node;

import io.avaje.json.JsonException;
import io.avaje.json.JsonReader;
import io.avaje.json.stream.BytesJsonWriter;
import io.avaje.json.stream.JsonStream;
import io.skep.certs.NodeCredentialStore;
import io.skep.certs.PrivateFiles;
import io.skep.wire.Peer;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a node keeps on disk, under {@code <data-root>/swarm}: {@code certificates/}, {@code raft/} on managers,
 * {@code worker/} with the tasks that it runs, {@code state.json} with the managers it knows, and
 * {@code skep-state.json} with how it was set up. Files are replaced as a whole, so a crash leaves the old or the new
 * one.
 */
final class SwarmFolder {
    private static final JsonStream JSON =
            JsonStream.builder().serializeNulls(true).serializeEmpty(true).build();

    private final Path folder;

    /**
     * How the node was set up.
     *
     * @param listenAddress host:port
     * @param advertiseAddress host:port, empty on a worker that was told none
     * @param advertiseIsLocal whether the advertised address was one of the machine's own, so that it is wrong once the
     *     machine has another
     * @param dataPathAddress for the traffic of containers, or empty
     * @param managerJoined whether this node has been taken into the quorum
     */
    record Setup(
            String listenAddress,
            String advertiseAddress,
            boolean advertiseIsLocal,
            String dataPathAddress,
            boolean managerJoined) {
        Setup withAdvertise(String address, boolean local) {
            return new Setup(listenAddress, address, local, dataPathAddress, managerJoined);
        }

        Setup withManagerJoined(boolean joined) {
            return new Setup(listenAddress, advertiseAddress, advertiseIsLocal, dataPathAddress, joined);
        }
    }

    SwarmFolder(Path dataRoot) {
        this.folder = dataRoot.resolve("swarm");
    }

    NodeCredentialStore credentials() {
        return new NodeCredentialStore(folder.resolve("certificates"));
    }

    Path raft() {
        return folder.resolve("raft");
    }

    /** Returns where the tasks of this node are kept. */
    Path tasks() {
        return folder.resolve("worker");
    }

    /** Returns the managers known when the node last ran. */
    List<Peer> managers() throws IOException {
        List<Peer> peers = new ArrayList<>();
        Optional<byte[]> text = read("state.json");
        if (text.isEmpty()) {
            return peers;
        }
        try (JsonReader reader = JSON.reader(text.get())) {
            reader.beginArray();
            while (reader.hasNextElement()) {
                Peer.Builder peer = Peer.newBuilder();
                reader.beginObject();
                while (reader.hasNextField()) {
                    switch (reader.nextField()) {
                        case "node_id" -> peer.setNodeId(reader.readString());
                        case "addr" -> peer.setAddr(reader.readString());
                        default -> reader.skipValue();
                    }
                }
                reader.endObject();
                peers.add(peer.build());
            }
            reader.endArray();
            return peers;
        } catch (JsonException e) {
            throw new IOException(folder.resolve("state.json") + " is damaged: " + e.getMessage(), e);
        }
    }

    void saveManagers(List<Peer> peers) throws IOException {
        BytesJsonWriter writer = JSON.bufferedWriterAsBytes();
        writer.beginArray();
        for (Peer peer : peers) {
            writer.beginObject();
            writer.name("node_id");
            writer.value(peer.getNodeId());
            writer.name("addr");
            writer.value(peer.getAddr());
            writer.endObject();
        }
        writer.endArray();
        write("state.json", writer.result());
    }

    /** Returns how the node was set up, empty when it never was. */
    Optional<Setup> setup() throws IOException {
        Optional<byte[]> text = read("skep-state.json");
        if (text.isEmpty()) {
            return Optional.empty();
        }
        String listen = "";
        String advertise = "";
        String dataPath = "";
        boolean local = false;
        boolean joined = false;
        try (JsonReader reader = JSON.reader(text.get())) {
            reader.beginObject();
            while (reader.hasNextField()) {
                switch (reader.nextField()) {
                    case "listen_address" -> listen = reader.readString();
                    case "advertise_address" -> advertise = reader.readString();
                    case "advertise_is_local" -> local = reader.readBoolean();
                    case "data_path_address" -> dataPath = reader.readString();
                    case "manager_joined" -> joined = reader.readBoolean();
                    default -> reader.skipValue();
                }
            }
            reader.endObject();
            return Optional.of(new Setup(listen, advertise, local, dataPath, joined));
        } catch (JsonException e) {
            throw new IOException(folder.resolve("skep-state.json") + " is damaged: " + e.getMessage(), e);
        }
    }

    void saveSetup(Setup setup) throws IOException {
        BytesJsonWriter writer = JSON.bufferedWriterAsBytes();
        writer.beginObject();
        writer.name("listen_address");
        writer.value(setup.listenAddress());
        writer.name("advertise_address");
        writer.value(setup.advertiseAddress());
        writer.name("advertise_is_local");
        writer.value(setup.advertiseIsLocal());
        writer.name("data_path_address");
        writer.value(setup.dataPathAddress());
        writer.name("manager_joined");
        writer.value(setup.managerJoined());
        writer.endObject();
        write("skep-state.json", writer.result());
    }

    /** Removes the log of a manager that is one no longer. */
    void deleteRaft() throws IOException {
        delete(raft());
    }

    /** Removes everything. */
    void delete() throws IOException {
        delete(folder);
    }

    private Optional<byte[]> read(String name) throws IOException {
        try {
            return Optional.of(Files.readAllBytes(folder.resolve(name)));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private void write(String name, byte[] text) throws IOException {
        Files.createDirectories(folder);
        PrivateFiles.write(folder.resolve(name), text, PrivateFiles.Readers.EVERYONE);
    }

    private static void delete(Path root) throws IOException {
        if (!Files.exists(root)) {
            return;
        }
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.deleteIfExists(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException failure)
                    throws IOException {
                if (failure != null) {
                    throw failure;
                }
                Files.deleteIfExists(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
