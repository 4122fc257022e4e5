package io.skep.engine;

import io.skep.engine.ImageStore.Found;
import io.skep.engine.ImageStore.Named;
import io.skep.engine.ImageStore.Variant;
import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.ImageConfig;
import io.skep.engine.image.ImageDocument;
import io.skep.engine.image.Json;
import io.skep.engine.image.MediaTypes;
import io.skep.engine.image.Platform;
import io.skep.engine.image.Reference;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Consumer;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/**
 * Images as archives: what {@code docker save} writes and {@code docker load} reads, and images made of files.
 *
 * <p>An archive is written in two forms in one, as Docker does since version 25: the OCI image layout, and beside it
 * {@code manifest.json}, which older readers go by. Reading takes either.
 *
 * <p>Nothing of an archive is written to a path that the archive names. Each of its files goes into the store of
 * contents as it comes, under a lease, named by the digest of what it holds; only then, when the archive has been read
 * to its end, is it looked at what refers to what. What nothing refers to goes with the lease. Small files, which may
 * be the lists, are kept in memory up to {@link #LISTS_BYTES_MAX} in all.
 */
final class ImageArchives {
    private static final int SMALL_BYTES_MAX = ImageConfig.BYTES_MAX;
    private static final int LISTS_BYTES_MAX = 16 << 20;
    private static final int FILES_MAX = 20_000;
    private static final int LINKS_MAX = 8;
    private static final int INDEX_DEPTH_MAX = 3;
    private static final String BLOBS = "blobs/sha256/";
    private static final String SHA256 = "sha256:";
    private static final String NAME_ANNOTATION = "io.containerd.image.name";
    private static final String TAG_ANNOTATION = "org.opencontainers.image.ref.name";
    private static final int FILE_MODE = 0444;
    private static final int FOLDER_MODE = 0755;

    private final ImageStore store;
    private final InstantSource clock;

    ImageArchives(ImageStore store, InstantSource clock) {
        this.store = store;
        this.clock = clock;
    }

    /**
     * An image to be written.
     *
     * @param names under which it will be found again
     */
    record Chosen(Found found, List<Reference> names, ContentDescriptor target, List<Variant> variants) {}

    /** Finds what is to be written; a repository without tag stands for all its tags. */
    List<Chosen> choose(List<String> names, List<String> platforms) {
        Map<String, Chosen> byTarget = new LinkedHashMap<>();
        for (String name : names) {
            List<Reference> all = expand(name);
            if (all.isEmpty()) {
                add(byTarget, store.find(name), Optional.empty(), name, platforms);
            }
            for (Reference each : all) {
                add(byTarget, store.find(each.canonical()), Optional.of(each), name, platforms);
            }
        }
        return List.copyOf(byTarget.values());
    }

    private List<Reference> expand(String name) {
        Reference reference;
        try {
            reference = Reference.parse(name);
        } catch (IllegalArgumentException e) {
            return List.of();
        }
        if (!reference.tag().isEmpty() || !reference.digest().isEmpty()) {
            return store.name(reference.canonical()).isPresent()
                            && reference.digest().isEmpty()
                    ? List.of(reference)
                    : List.of();
        }
        return store.names().stream()
                .filter(each -> !each.isDangling())
                .map(Named::reference)
                .filter(each -> !each.tag().isEmpty() && each.repository().equals(reference.repository()))
                .toList();
    }

    private void add(
            Map<String, Chosen> byTarget, Found found, Optional<Reference> name, String asked, List<String> platforms) {
        Set<Variant> variants = new LinkedHashSet<>();
        if (platforms.isEmpty()) {
            variants.addAll(found.variants());
        }
        for (String platform : platforms) {
            variants.add(ImageStore.forPlatform(found, asked, platform));
        }
        // One of several is written as itself: an index that promises more than is there would be refused elsewhere.
        ContentDescriptor target = isWhole(found, variants.size())
                ? found.target()
                : variants.iterator().next().manifest();
        Chosen before = byTarget.get(target.digest());
        List<Reference> names = new ArrayList<>(before == null ? List.of() : before.names());
        name.filter(each -> !names.contains(each)).ifPresent(names::add);
        byTarget.put(target.digest(), new Chosen(found, names, target, List.copyOf(variants)));
    }

    private boolean isWhole(Found found, int chosen) {
        if (store.document(found.target()).orElse(null) instanceof ImageDocument.Index index) {
            return chosen > 1 || index.manifests().size() == 1;
        }
        return found.target().digest().equals(found.variant().manifest().digest());
    }

    /** Writes an archive. */
    void save(List<Chosen> images, OutputStream out) throws IOException {
        TarArchiveOutputStream tar = new TarArchiveOutputStream(out, StandardCharsets.UTF_8.name());
        tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
        tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
        folder(tar, "blobs/");
        folder(tar, BLOBS);
        Set<String> written = new LinkedHashSet<>();
        List<Object> index = new ArrayList<>();
        List<Object> manifests = new ArrayList<>();
        for (Chosen image : images) {
            if (store.document(image.target()).orElse(null) instanceof ImageDocument.Index) {
                blob(tar, image.target(), written);
            }
            for (Variant variant : image.variants()) {
                blob(tar, variant.manifest(), written);
                for (ContentDescriptor child : variant.document().children()) {
                    blob(tar, child, written);
                }
                manifests.add(legacy(image, variant));
            }
            index.addAll(entries(image));
        }
        file(tar, "manifest.json", Json.write(manifests));
        file(tar, "oci-layout", Json.write(Map.of("imageLayoutVersion", "1.0.0")));
        Map<String, Object> layout = new LinkedHashMap<>();
        layout.put("schemaVersion", 2);
        layout.put("mediaType", MediaTypes.OCI_INDEX);
        layout.put("manifests", index);
        file(tar, "index.json", Json.write(layout));
        tar.finish();
        tar.flush();
    }

    private static Map<String, Object> legacy(Chosen image, Variant variant) {
        Map<String, Object> legacy = new LinkedHashMap<>();
        legacy.put("Config", path(variant.document().config().digest()));
        legacy.put("RepoTags", image.names().stream().map(Reference::familiar).toList());
        legacy.put(
                "Layers",
                variant.document().layers().stream()
                        .map(layer -> path(layer.digest()))
                        .toList());
        return legacy;
    }

    private static List<Object> entries(Chosen image) {
        List<Object> entries = new ArrayList<>();
        ContentDescriptor plain = image.target();
        if (image.names().isEmpty()) {
            entries.add(plain.tree());
        }
        for (Reference name : image.names()) {
            entries.add(new ContentDescriptor(
                            plain.mediaType(),
                            plain.digest(),
                            plain.size(),
                            Map.of(NAME_ANNOTATION, name.canonical(), TAG_ANNOTATION, name.tag()),
                            Optional.empty())
                    .tree());
        }
        return entries;
    }

    private static String path(String digest) {
        return BLOBS + digest.substring(SHA256.length());
    }

    private static void folder(TarArchiveOutputStream tar, String name) throws IOException {
        TarArchiveEntry entry = new TarArchiveEntry(name);
        entry.setMode(FOLDER_MODE);
        entry.setModTime(0);
        tar.putArchiveEntry(entry);
        tar.closeArchiveEntry();
    }

    private static void file(TarArchiveOutputStream tar, String name, byte[] bytes) throws IOException {
        begin(tar, name, bytes.length);
        tar.write(bytes);
        tar.closeArchiveEntry();
    }

    private static void begin(TarArchiveOutputStream tar, String name, long size) throws IOException {
        TarArchiveEntry entry = new TarArchiveEntry(name);
        entry.setMode(FILE_MODE);
        entry.setModTime(0);
        entry.setSize(size);
        tar.putArchiveEntry(entry);
    }

    private void blob(TarArchiveOutputStream tar, ContentDescriptor content, Set<String> written) throws IOException {
        if (written.add(content.digest())) {
            begin(tar, path(content.digest()), content.size());
            store.contents().copy(content.digest(), tar);
            tar.closeArchiveEntry();
        }
    }

    /** What was found in an archive. */
    private static final class Content {
        final Map<String, Contents.Stored> files = new HashMap<>();
        final Map<String, String> links = new HashMap<>();
        final Map<String, byte[]> small = new HashMap<>();

        /** Returns what a path stands for, through links. */
        Optional<Contents.Stored> at(String path) {
            String at = path;
            for (int i = 0; i < LINKS_MAX; i++) {
                Contents.Stored file = files.get(at);
                if (file != null) {
                    return Optional.of(file);
                }
                String target = links.get(at);
                if (target == null) {
                    return Optional.empty();
                }
                at = target;
            }
            return Optional.empty();
        }

        byte[] list(String path) throws IOException {
            byte[] bytes = small.get(path);
            if (bytes == null) {
                throw new IOException("the archive has no " + path);
            }
            return bytes;
        }
    }

    /**
     * Reads an archive.
     *
     * @return the names of what was loaded, or ids of what has none
     */
    List<String> load(InputStream in, List<String> platforms, Consumer<ImageProgress> progress)
            throws InterruptedException {
        Lease lease = store.lease("load " + UUID.randomUUID());
        try (InputStream unpacked = Compression.unpack(in)) {
            Content content = read(unpacked, lease);
            List<String> loaded = content.small.containsKey("index.json")
                    ? loadLayout(content, platforms, lease, progress)
                    : loadLegacy(content, lease, progress);
            if (loaded.isEmpty()) {
                throw new IOException("the archive holds no image that can be loaded");
            }
            return loaded;
        } catch (IOException e) {
            throw EngineException.invalid("the archive cannot be loaded: " + e.getMessage());
        } finally {
            lease.end(false);
        }
    }

    private Content read(InputStream in, Lease lease) throws IOException, InterruptedException {
        Content content = new Content();
        long listBytes = 0;
        TarArchiveInputStream tar = new TarArchiveInputStream(in, StandardCharsets.UTF_8.name());
        TarArchiveEntry entry;
        while ((entry = next(tar)) != null) {
            String name = clean(entry.getName());
            if (content.files.size() + content.links.size() > FILES_MAX) {
                throw new IOException("it has more than " + FILES_MAX + " files");
            }
            if (entry.isSymbolicLink() || entry.isLink()) {
                String target = entry.isLink() ? entry.getLinkName() : sibling(name, entry.getLinkName());
                content.links.put(name, clean(target));
                continue;
            }
            if (!entry.isFile()) {
                continue;
            }
            if (entry.isSparse()) {
                throw new IOException("its file " + name + " is sparse");
            }
            boolean list = entry.getSize() <= SMALL_BYTES_MAX && (name.endsWith(".json") || name.equals("oci-layout"));
            if (list && name.indexOf('/') < 0) {
                listBytes += entry.getSize();
                if (listBytes > LISTS_BYTES_MAX) {
                    throw new IOException("its lists are larger than " + LISTS_BYTES_MAX + " bytes");
                }
                byte[] bytes = tar.readNBytes((int) entry.getSize());
                content.small.put(name, bytes);
                content.files.put(
                        name,
                        store.contents()
                                .write(
                                        "skep-load-" + UUID.randomUUID(),
                                        new ByteArrayInputStream(bytes),
                                        lease.interceptor()));
                continue;
            }
            Contents.Stored stored = store.contents().write("skep-load-" + UUID.randomUUID(), tar, lease.interceptor());
            if (stored.size() != entry.getSize()) {
                throw new IOException("unexpected EOF in its file " + name);
            }
            if (name.startsWith(BLOBS) && !stored.digest().equals(SHA256 + name.substring(BLOBS.length()))) {
                throw new IOException("its file " + name + " holds something else: " + stored.digest());
            }
            content.files.put(name, stored);
        }
        return content;
    }

    private static TarArchiveEntry next(TarArchiveInputStream tar) throws IOException {
        try {
            return tar.getNextEntry();
        } catch (IllegalArgumentException e) {
            throw new IOException("it is no tar archive: " + e.getMessage(), e);
        }
    }

    private static String clean(String name) {
        String cleaned = name;
        while (cleaned.startsWith("./") || cleaned.startsWith("/")) {
            cleaned = cleaned.substring(cleaned.indexOf('/') + 1);
        }
        return cleaned;
    }

    /** Returns where a link in the folder of a file leads. */
    private static String sibling(String name, String target) {
        List<String> parts = new ArrayList<>(List.of(name.split("/", -1)));
        parts.removeLast();
        for (String part : target.split("/", -1)) {
            if (part.equals("..")) {
                if (!parts.isEmpty()) {
                    parts.removeLast();
                }
            } else if (!part.equals(".") && !part.isEmpty()) {
                parts.add(part);
            }
        }
        return String.join("/", parts);
    }

    private List<String> loadLayout(
            Content content, List<String> platforms, Lease lease, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        if (!(ImageDocument.parse(MediaTypes.OCI_INDEX, content.list("index.json"))
                instanceof ImageDocument.Index index)) {
            throw new IOException("its index.json is no index");
        }
        List<Platform> wanted = platforms.stream().map(ImageStore::platform).toList();
        List<String> loaded = new ArrayList<>();
        for (ContentDescriptor image : index.manifests()) {
            ContentDescriptor target = new ContentDescriptor(image.mediaType(), image.digest(), image.size());
            List<ContentDescriptor> configurations = new ArrayList<>();
            take(target, wanted, 0, lease, configurations);
            if (configurations.isEmpty()) {
                throw new IOException(
                        wanted.isEmpty()
                                ? "it holds nothing of image " + image.digest()
                                : "requested platform not found in it: " + String.join(", ", platforms));
            }
            loaded.addAll(name(target, configurations, names(content, image, configurations), progress));
        }
        return loaded;
    }

    /**
     * Takes in an image that is among the contents, from the inside out.
     *
     * @param configurations gets those of the images that were taken
     */
    private void take(
            ContentDescriptor target,
            List<Platform> wanted,
            int depth,
            Lease lease,
            List<ContentDescriptor> configurations)
            throws IOException, InterruptedException {
        if (ImageStore.isAttestation(target) || depth > INDEX_DEPTH_MAX || !isThere(target, lease)) {
            return;
        }
        byte[] bytes = store.contents().read(target.digest(), ImageDocument.BYTES_MAX);
        ImageDocument document = ImageDocument.parse(target.mediaType(), bytes);
        switch (document) {
            case ImageDocument.Index index -> {
                for (ContentDescriptor each : index.manifests()) {
                    take(each, wanted, depth + 1, lease, configurations);
                }
            }
            case ImageDocument.Manifest manifest -> {
                if (take(manifest, wanted, lease)) {
                    configurations.add(manifest.config());
                } else {
                    return;
                }
            }
        }
        store.store(target, bytes, document, lease);
    }

    private boolean isThere(ContentDescriptor content, Lease lease) {
        lease.keep(content.digest());
        return store.contents().has(content.digest());
    }

    private boolean take(ImageDocument.Manifest manifest, List<Platform> wanted, Lease lease) throws IOException {
        for (ContentDescriptor child : manifest.children()) {
            if (!isThere(child, lease)) {
                throw new IOException("it does not hold content " + child.digest() + ", which its manifest names");
            }
        }
        ImageConfig config =
                ImageConfig.parse(store.contents().read(manifest.config().digest(), ImageConfig.BYTES_MAX));
        if (!wanted.isEmpty()
                && wanted.stream().allMatch(each -> each.distance(config.platform(), false) == Platform.UNUSABLE)) {
            return false;
        }
        unpack(manifest, config, lease);
        return true;
    }

    private void unpack(ImageDocument.Manifest manifest, ImageConfig config, Lease lease) throws IOException {
        Layers layers = store.layers();
        String chain = Layers.chainId(config.diffIds());
        if (!chain.isEmpty()) {
            lease.keepSnapshot(layers.snapshotter(), chain);
        }
        layers.unpack(
                manifest.layers().stream().map(ImageStore::descriptor).toList(), config.diffIds(), lease.interceptor());
        store.referToSnapshot(manifest.config(), config);
    }

    private static List<Reference> names(
            Content content, ContentDescriptor image, List<ContentDescriptor> configurations) throws IOException {
        String name = image.annotations().getOrDefault(NAME_ANNOTATION, "");
        if (name.isEmpty()) {
            String tag = image.annotations().getOrDefault(TAG_ANNOTATION, "");
            // A bare tag names nothing; a whole name, as some tools write there, does.
            name = tag.contains("/") || tag.contains(":") ? tag : "";
        }
        if (!name.isEmpty()) {
            return List.of(parsed(name));
        }
        List<Reference> names = new ArrayList<>();
        byte[] legacy = content.small.get("manifest.json");
        if (legacy != null) {
            for (Json entry : Json.parseArray(legacy)) {
                String config = entry.text("Config");
                if (configurations.stream().anyMatch(each -> path(each.digest()).equals(config))) {
                    for (String tag : entry.texts("RepoTags")) {
                        names.add(parsed(tag));
                    }
                }
            }
        }
        return names;
    }

    private static Reference parsed(String name) throws IOException {
        try {
            return Reference.parse(name).orLatest();
        } catch (IllegalArgumentException e) {
            throw new IOException("it names an image \"" + name + "\": " + e.getMessage(), e);
        }
    }

    /** Writes the names, or a dangling one when there is none. */
    private List<String> name(
            ContentDescriptor target,
            List<ContentDescriptor> configurations,
            List<Reference> names,
            Consumer<ImageProgress> progress) {
        if (names.isEmpty()) {
            String id = configurations.getFirst().digest();
            if (store.search(id).isEmpty()) {
                store.name(ImageStore.DANGLING + target.digest(), target);
            }
            progress.accept(new ImageProgress.Output("Loaded image ID: " + id + "\n"));
            return List.of(id);
        }
        List<String> loaded = new ArrayList<>();
        for (Reference name : names) {
            store.name(name.canonical(), target);
            progress.accept(new ImageProgress.Output("Loaded image: " + name.familiar() + "\n"));
            loaded.add(name.familiar());
        }
        return loaded;
    }

    /** Takes in what Docker wrote before it knew the OCI layout. */
    private List<String> loadLegacy(Content content, Lease lease, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        List<String> loaded = new ArrayList<>();
        for (Json entry : Json.parseArray(content.list("manifest.json"))) {
            Contents.Stored configuration = required(content, entry.text("Config"));
            List<ContentDescriptor> layers = new ArrayList<>();
            for (String path : entry.texts("Layers")) {
                layers.add(layer(required(content, path)));
            }
            ImageDocument.Manifest manifest = new ImageDocument.Manifest(
                    new ContentDescriptor(MediaTypes.OCI_CONFIG, configuration.digest(), configuration.size()), layers);
            ImageConfig config =
                    ImageConfig.parse(store.contents().read(configuration.digest(), ImageConfig.BYTES_MAX));
            unpack(manifest, config, lease);
            List<Reference> names = new ArrayList<>();
            for (String tag : entry.texts("RepoTags")) {
                names.add(parsed(tag));
            }
            loaded.addAll(name(write(manifest, lease), List.of(manifest.config()), names, progress));
        }
        return loaded;
    }

    private static Contents.Stored required(Content content, String path) throws IOException {
        return content.at(clean(path))
                .orElseThrow(() -> new IOException("it does not hold " + path + ", which its manifest.json names"));
    }

    private ContentDescriptor layer(Contents.Stored stored) throws IOException {
        String packed = switch (Compression.of(store.contents().begin(stored.digest(), Compression.MAGIC_BYTES))) {
            case GZIP -> "+gzip";
            case ZSTD -> "+zstd";
            case NONE -> "";
        };
        return new ContentDescriptor(MediaTypes.OCI_LAYER + packed, stored.digest(), stored.size());
    }

    private ContentDescriptor write(ImageDocument.Manifest manifest, Lease lease)
            throws IOException, InterruptedException {
        byte[] bytes = manifest.bytes();
        ContentDescriptor target = new ContentDescriptor(MediaTypes.OCI_MANIFEST, Digests.of(bytes), bytes.length);
        store.store(target, bytes, manifest, lease);
        return target;
    }

    /** Makes an image of an archive of files; returns its id. */
    String importFiles(InputStream in, Optional<Reference> name, String platform, List<String> changes, String message)
            throws InterruptedException {
        Platform runsOn = platform.isEmpty() ? Platform.host() : ImageStore.platform(platform);
        Map<String, Object> config = ImageChanges.apply(changes);
        Lease lease = store.lease("import " + UUID.randomUUID());
        try (InputStream unpacked = Compression.unpack(in)) {
            Contents.Stored files =
                    store.contents().write("skep-import-" + UUID.randomUUID(), unpacked, lease.interceptor());
            String created = clock.instant().toString();
            Map<String, Object> history = new LinkedHashMap<>();
            history.put("created", created);
            history.put("comment", message.isEmpty() ? "Imported from -" : message);
            Map<String, Object> document = new LinkedHashMap<>();
            document.put("created", created);
            document.put("architecture", runsOn.architecture());
            document.put("os", runsOn.os());
            if (!runsOn.variant().isEmpty()) {
                document.put("variant", runsOn.variant());
            }
            document.put("config", config);
            document.put("rootfs", Map.of("type", "layers", "diff_ids", List.of(files.digest())));
            document.put("history", List.of(history));
            document.put("comment", history.get("comment"));
            byte[] bytes = Json.write(document);
            ContentDescriptor configuration =
                    new ContentDescriptor(MediaTypes.OCI_CONFIG, Digests.of(bytes), bytes.length);
            ImageDocument.Manifest manifest = new ImageDocument.Manifest(
                    configuration, List.of(new ContentDescriptor(MediaTypes.OCI_LAYER, files.digest(), files.size())));
            store.store(configuration, bytes, Map.of(), lease);
            unpack(manifest, ImageConfig.parse(bytes), lease);
            ContentDescriptor target = write(manifest, lease);
            store.name(name.map(Reference::canonical).orElse(ImageStore.DANGLING + target.digest()), target);
            return configuration.digest();
        } catch (IOException e) {
            throw EngineException.invalid("the archive cannot be imported: " + e.getMessage());
        } finally {
            lease.end(false);
        }
    }
}
