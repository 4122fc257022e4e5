package io.skep.engine.image;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What names a content: its kind, digest and size (OCI image specification, descriptor).
 *
 * @param size bytes
 * @param platform of the image behind it, where an index says so
 */
public record ContentDescriptor(
        String mediaType, String digest, long size, Map<String, String> annotations, Optional<Platform> platform) {
    public ContentDescriptor {
        annotations = Map.copyOf(annotations);
    }

    public ContentDescriptor(String mediaType, String digest, long size) {
        this(mediaType, digest, size, Map.of(), Optional.empty());
    }

    static ContentDescriptor of(Json json) throws IOException {
        String digest = json.text("digest");
        if (!Reference.isDigest(digest)) {
            throw new IOException(
                    "digest \"" + digest + "\" is not of the kind sha256, the only one that is understood");
        }
        long size = json.number("size");
        if (size < 0) {
            throw new IOException("content " + digest + " is said to have a size of " + size + " bytes");
        }
        return new ContentDescriptor(
                json.text("mediaType"),
                digest,
                size,
                json.map("annotations"),
                json.has("platform") ? Optional.of(Platform.of(json.object("platform"))) : Optional.empty());
    }

    /** Returns it as a tree to be written as JSON. */
    public Map<String, Object> tree() {
        Map<String, Object> tree = new LinkedHashMap<>();
        tree.put("mediaType", mediaType);
        tree.put("digest", digest);
        tree.put("size", size);
        if (!annotations.isEmpty()) {
            tree.put("annotations", annotations);
        }
        platform.ifPresent(value -> {
            Map<String, Object> described = new LinkedHashMap<>();
            described.put("architecture", value.architecture());
            described.put("os", value.os());
            if (!value.variant().isEmpty()) {
                described.put("variant", value.variant());
            }
            if (!value.version().isEmpty()) {
                described.put("os.version", value.version());
            }
            tree.put("platform", described);
        });
        return tree;
    }
}
