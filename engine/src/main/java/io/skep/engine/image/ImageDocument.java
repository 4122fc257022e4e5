package io.skep.engine.image;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a name in a registry stands for: one image, or an index of images for several platforms. */
public sealed interface ImageDocument {
    /** Far more than any has; registries refuse larger ones too. */
    int BYTES_MAX = 4 << 20;

    /** As many as file systems can stack, and more than Docker takes. */
    int LAYERS_MAX = 127;

    int INDEX_MAX = 1000;

    /** What this refers to. */
    List<ContentDescriptor> children();

    /** The kind to call it by when it does not say itself. */
    default String mediaType() {
        return switch (this) {
            case Manifest manifest -> MediaTypes.OCI_MANIFEST;
            case Index index -> MediaTypes.OCI_INDEX;
        };
    }

    /** One image: its configuration, and its layers from the lowest up. */
    record Manifest(ContentDescriptor config, List<ContentDescriptor> layers) implements ImageDocument {
        public Manifest {
            layers = List.copyOf(layers);
        }

        @Override
        public List<ContentDescriptor> children() {
            List<ContentDescriptor> all = new ArrayList<>();
            all.add(config);
            all.addAll(layers);
            return all;
        }

        /** Returns it as it is stored, in the form of OCI. */
        public byte[] bytes() {
            Map<String, Object> tree = new LinkedHashMap<>();
            tree.put("schemaVersion", 2);
            tree.put("mediaType", MediaTypes.OCI_MANIFEST);
            tree.put("config", config.tree());
            tree.put("layers", layers.stream().map(ContentDescriptor::tree).toList());
            return Json.write(tree);
        }
    }

    /** Images for several platforms. */
    record Index(List<ContentDescriptor> manifests) implements ImageDocument {
        public Index {
            manifests = List.copyOf(manifests);
        }

        @Override
        public List<ContentDescriptor> children() {
            return manifests;
        }
    }

    /**
     * Reads a document.
     *
     * @param mediaType what the outside calls it; a document that says otherwise of itself is refused
     * @throws IOException when it is not one that can be understood
     */
    static ImageDocument parse(String mediaType, byte[] text) throws IOException {
        Json json = Json.parse(text);
        if (json.number("schemaVersion") != 2) {
            throw new IOException("the manifest has schema version " + json.number("schemaVersion")
                    + "; only version 2 and OCI are supported: push the image again with a newer tool");
        }
        String own = json.text("mediaType");
        String kind = own.isEmpty() ? mediaType : own;
        if (!own.isEmpty() && isKnown(mediaType) && !own.equals(mediaType)) {
            throw new IOException("the manifest calls itself " + own + ", but was sent as " + mediaType);
        }
        // One document must not be read as two different things.
        if (json.has("manifests") && (json.has("layers") || json.has("config"))) {
            throw new IOException("the manifest is both an index and an image");
        }
        if (MediaTypes.isIndex(kind) || (!isKnown(kind) && json.has("manifests"))) {
            return new Index(descriptors(json, "manifests", INDEX_MAX));
        }
        if (!MediaTypes.isManifest(kind) && !(kind.isEmpty() && json.has("config"))) {
            throw new IOException("unsupported manifest media type: " + kind);
        }
        return manifest(json);
    }

    private static Manifest manifest(Json json) throws IOException {
        if (!json.has("config")) {
            throw new IOException("the manifest names no configuration");
        }
        ContentDescriptor config = ContentDescriptor.of(json.object("config"));
        if (!MediaTypes.isConfig(config.mediaType())) {
            throw new IOException("Encountered remote \"" + config.mediaType()
                    + "\"(unknown) when fetching: this is no image of a container");
        }
        List<ContentDescriptor> layers = descriptors(json, "layers", LAYERS_MAX);
        for (ContentDescriptor layer : layers) {
            if (!MediaTypes.isLayer(layer.mediaType())) {
                throw new IOException("layer " + layer.digest() + " is of the unsupported kind " + layer.mediaType());
            }
        }
        return new Manifest(config, layers);
    }

    private static boolean isKnown(String mediaType) {
        return MediaTypes.DOCUMENTS.contains(mediaType);
    }

    private static List<ContentDescriptor> descriptors(Json json, String name, int max) throws IOException {
        List<Json> objects = json.objects(name);
        if (objects.size() > max) {
            throw new IOException(
                    "the manifest has " + objects.size() + " " + name + ", at most " + max + " are taken");
        }
        List<ContentDescriptor> descriptors = new ArrayList<>();
        for (Json object : objects) {
            descriptors.add(ContentDescriptor.of(object));
        }
        return descriptors;
    }
}
