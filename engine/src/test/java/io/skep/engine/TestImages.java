package io.skep.engine;

import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.Json;
import io.skep.engine.image.MediaTypes;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.zip.GZIPOutputStream;

/** Writes archives of images, as other tools would. */
final class TestImages {
    private TestImages() {}

    /** An image in parts. */
    static final class Parts {
        private final byte[] configuration;
        private final List<byte[]> layers;
        private final List<byte[]> packed;

        Parts(byte[] configuration, List<byte[]> layers, List<byte[]> packed) {
            this.configuration = configuration;
            this.layers = layers;
            this.packed = packed;
        }

        byte[] configuration() {
            return configuration;
        }

        List<byte[]> layers() {
            return layers;
        }

        List<byte[]> packed() {
            return packed;
        }

        String id() {
            return Digests.of(configuration);
        }
    }

    /** Returns a layer with one file, whose bytes cannot be packed well. */
    static byte[] layer(String file, int bytes) {
        byte[] content = new byte[bytes];
        new Random(file.hashCode()).nextBytes(content);
        return new Tar().executable(file, content).bytes();
    }

    static Parts image(String architecture, String created, Map<String, Object> config, byte[]... layers) {
        List<Object> diffIds = new ArrayList<>();
        List<Object> history = new ArrayList<>();
        List<byte[]> packed = new ArrayList<>();
        for (byte[] layer : layers) {
            diffIds.add(Digests.of(layer));
            history.add(Map.of("created", created, "created_by", "COPY something"));
            packed.add(gzip(layer));
        }
        history.add(Map.of("created", created, "created_by", "CMD something", "empty_layer", true));
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("created", created);
        document.put("architecture", architecture);
        document.put("os", "linux");
        document.put("config", config);
        document.put("rootfs", Map.of("type", "layers", "diff_ids", diffIds));
        document.put("history", history);
        return new Parts(Json.write(document), List.of(layers), packed);
    }

    static Parts image(byte[]... layers) {
        return image(
                "amd64", "2026-01-02T03:04:05Z", Map.of("Cmd", List.of("sh"), "Labels", Map.of("bee", "hive")), layers);
    }

    static byte[] gzip(byte[] bytes) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    /** Returns what docker save wrote before version 25. */
    static byte[] legacyArchive(Parts image, String... tags) {
        Tar tar = new Tar();
        List<String> paths = new ArrayList<>();
        for (int i = 0; i < image.layers().size(); i++) {
            paths.add("layer" + i + "/layer.tar");
            tar.directory("layer" + i).executable(paths.get(i), image.layers().get(i));
        }
        String config = image.id().substring(7) + ".json";
        tar.executable(config, image.configuration());
        tar.executable(
                "manifest.json",
                Json.write(List.of(Map.of("Config", config, "RepoTags", List.of(tags), "Layers", paths))));
        return tar.bytes();
    }

    static ContentDescriptor descriptor(String type, byte[] content) {
        return new ContentDescriptor(type, Digests.of(content), content.length);
    }

    static byte[] manifest(Parts image) {
        Map<String, Object> tree = new LinkedHashMap<>();
        tree.put("schemaVersion", 2);
        tree.put("mediaType", MediaTypes.OCI_MANIFEST);
        tree.put(
                "config",
                descriptor(MediaTypes.OCI_CONFIG, image.configuration()).tree());
        tree.put(
                "layers",
                image.packed().stream()
                        .map(each ->
                                descriptor(MediaTypes.OCI_LAYER + "+gzip", each).tree())
                        .toList());
        return Json.write(tree);
    }

    static byte[] index(List<Map<String, Object>> entries) {
        Map<String, Object> tree = new LinkedHashMap<>();
        tree.put("schemaVersion", 2);
        tree.put("mediaType", MediaTypes.OCI_INDEX);
        tree.put("manifests", entries);
        return Json.write(tree);
    }

    private static Tar blob(Tar tar, byte[] content) {
        return tar.executable("blobs/sha256/" + Digests.of(content).substring(7), content);
    }

    /** Returns an OCI layout with an index of images for several platforms, in the order of the map. */
    static byte[] layout(String name, Map<String, Parts> byArchitecture) {
        Tar tar = new Tar().directory("blobs").directory("blobs/sha256");
        List<Map<String, Object>> entries = new ArrayList<>();
        byArchitecture.forEach((architecture, image) -> {
            image.packed().forEach(each -> blob(tar, each));
            blob(tar, image.configuration());
            byte[] manifest = manifest(image);
            blob(tar, manifest);
            Map<String, Object> entry = new LinkedHashMap<>(
                    descriptor(MediaTypes.OCI_MANIFEST, manifest).tree());
            entry.put("platform", Map.of("os", "linux", "architecture", architecture));
            entries.add(entry);
        });
        byte[] index = index(entries);
        blob(tar, index);
        tar.file("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
        ContentDescriptor named = new ContentDescriptor(
                MediaTypes.OCI_INDEX,
                Digests.of(index),
                index.length,
                Map.of("io.containerd.image.name", name),
                Optional.empty());
        tar.executable("index.json", index(List.of(named.tree())));
        return tar.bytes();
    }
}
