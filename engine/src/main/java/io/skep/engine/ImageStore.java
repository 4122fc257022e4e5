package io.skep.engine;

import com.google.protobuf.FieldMask;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.skep.containerd.images.CreateImageRequest;
import io.skep.containerd.images.DeleteImageRequest;
import io.skep.containerd.images.GetImageRequest;
import io.skep.containerd.images.ListImagesRequest;
import io.skep.containerd.images.UpdateImageRequest;
import io.skep.containerd.types.Descriptor;
import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.ImageConfig;
import io.skep.engine.image.ImageDocument;
import io.skep.engine.image.Platform;
import io.skep.engine.image.Reference;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The images of this engine: names that stand for contents, and contents that refer to others.
 *
 * <p>A record in containerd's image service says what a name stands for: a manifest or an index. It is the root from
 * which containerd's collector walks along labels: index → manifests → configuration and layers, configuration →
 * topmost snapshot. What cannot be reached so, nor from a container or a lease, is deleted by containerd. So nothing
 * here counts references, and the order of writing is what makes a crash harmless: layers first, then the
 * configuration, then the manifest, then the index, all under a lease, and the name at last. <b>A manifest that is
 * there therefore has all its parts.</b>
 *
 * <p>There are three kinds of names: with a tag; with a digest, which says that a registry knows the image by that
 * digest; and {@link #DANGLING} with a digest, for an image that lost its name to another or to a user while it is
 * kept.
 *
 * <p>An image's id is the digest of its configuration. An index has one for each platform; the name of an index means
 * the one that suits this host best.
 *
 * <p>Threads: any. Names change under {@link #changes}, so that none who gives an image its last name away overlooks
 * another.
 */
final class ImageStore implements ImageSource {
    static final String DANGLING = "skep.dangling/image@";
    private static final Logger LOG = LoggerFactory.getLogger(ImageStore.class);
    private static final int CACHE_MAX = 256;
    private static final int INDEX_DEPTH_MAX = 3;
    private static final int ID_PREFIX_LENGTH_MIN = 1;
    private static final String REFERS_TO_CONTENT = "containerd.io/gc.ref.content.";
    private static final String REFERS_TO_SNAPSHOT = "containerd.io/gc.ref.snapshot.";
    private static final String HEXADECIMAL = "[a-f0-9]{1,64}";
    private static final String SHA256 = "sha256:";

    private final Containerd containerd;
    private final Contents contents;
    private final Layers layers;
    private final InstantSource clock;
    private final Platform host = Platform.host();
    private final ReentrantLock changes = new ReentrantLock();

    /** Read from contents, which never change. */
    private final Map<String, ImageDocument> documents = cache();

    private final Map<String, ImageConfig> configs = cache();
    private final Map<String, Long> usageBytes = cache();

    /** What a name stands for. */
    record Named(String name, ContentDescriptor target, Instant updated) {
        boolean isDangling() {
            return name.startsWith(DANGLING);
        }

        /** Returns the name, which must not be dangling. */
        Reference reference() {
            return Reference.parse(name);
        }
    }

    /** One image for one platform, which is there as a whole. */
    record Variant(ContentDescriptor manifest, ImageDocument.Manifest document, ImageConfig config) {
        String id() {
            return document.config().digest();
        }

        String chainId() {
            return Layers.chainId(config.diffIds());
        }
    }

    /**
     * An image that was asked for.
     *
     * @param names all that stand for it, dangling ones too
     * @param variants all platforms that are there, the one that suits this host best first
     * @param variant the one that is meant
     */
    record Found(ContentDescriptor target, List<Named> names, List<Variant> variants, Variant variant) {
        String id() {
            return variant.id();
        }
    }

    ImageStore(Containerd containerd, Layers layers, InstantSource clock) {
        this.containerd = containerd;
        this.contents = new Contents(containerd);
        this.layers = layers;
        this.clock = clock;
    }

    private static <T> Map<String, T> cache() {
        return Collections.synchronizedMap(new LinkedHashMap<>(16, 0.75f, true) {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, T> eldest) {
                return size() > CACHE_MAX;
            }
        });
    }

    Contents contents() {
        return contents;
    }

    Layers layers() {
        return layers;
    }

    Lease lease(String purpose) {
        return Lease.begin(containerd, purpose, clock.instant());
    }

    /** Returns all names. */
    List<Named> names() {
        return containerd.images().list(ListImagesRequest.getDefaultInstance()).getImagesList().stream()
                .map(ImageStore::named)
                .toList();
    }

    Optional<Named> name(String name) {
        GetImageRequest request = GetImageRequest.newBuilder().setName(name).build();
        return Containerd.found(() -> containerd.images().get(request)).map(answer -> named(answer.getImage()));
    }

    private static Named named(io.skep.containerd.images.Image image) {
        Descriptor target = image.getTarget();
        return new Named(
                image.getName(),
                new ContentDescriptor(target.getMediaType(), target.getDigest(), target.getSize()),
                Times.of(image.getUpdatedAt()));
    }

    /** Lets a name stand for something; an image that loses its last name by that is kept as a dangling one. */
    void name(String name, ContentDescriptor target) {
        changes.lock();
        try {
            Optional<Named> before = name(name);
            if (before.isPresent() && !before.get().target().digest().equals(target.digest())) {
                keepWithout(before.get());
            }
            put(name, target);
            if (!name.startsWith(DANGLING)) {
                drop(DANGLING + target.digest(), false);
            }
        } finally {
            changes.unlock();
        }
    }

    /** Gives an image a dangling name if it has none but this one. */
    private void keepWithout(Named losing) {
        List<Variant> held = variants(losing.target());
        if (held.isEmpty()) {
            return;
        }
        String id = best(held).id();
        boolean named =
                names().stream().anyMatch(each -> !each.name().equals(losing.name()) && hasVariant(each.target(), id));
        if (!named) {
            put(DANGLING + losing.target().digest(), losing.target());
        }
    }

    private boolean hasVariant(ContentDescriptor target, String id) {
        return variants(target).stream().anyMatch(each -> each.id().equals(id));
    }

    private void put(String name, ContentDescriptor target) {
        io.skep.containerd.images.Image image = io.skep.containerd.images.Image.newBuilder()
                .setName(name)
                .setTarget(descriptor(target))
                .build();
        try {
            var _ = containerd
                    .images()
                    .create(CreateImageRequest.newBuilder().setImage(image).build());
        } catch (StatusRuntimeException e) {
            if (e.getStatus().getCode() != Status.Code.ALREADY_EXISTS) {
                throw e;
            }
            var _ = containerd
                    .images()
                    .update(UpdateImageRequest.newBuilder()
                            .setImage(image)
                            .setUpdateMask(FieldMask.newBuilder().addPaths("target"))
                            .build());
        }
    }

    static Descriptor descriptor(ContentDescriptor content) {
        return Descriptor.newBuilder()
                .setMediaType(content.mediaType())
                .setDigest(content.digest())
                .setSize(content.size())
                .build();
    }

    /**
     * Takes names away.
     *
     * @param keep whether an image without a name is kept as a dangling one
     */
    void unname(List<Named> names, boolean keep) {
        changes.lock();
        try {
            for (int i = 0; i < names.size(); i++) {
                if (keep) {
                    keepWithout(names.get(i));
                }
                // The last one waits until what is not needed any more is gone.
                drop(names.get(i).name(), !keep && i == names.size() - 1);
            }
        } finally {
            changes.unlock();
        }
    }

    private void drop(String name, boolean collect) {
        DeleteImageRequest request =
                DeleteImageRequest.newBuilder().setName(name).setSync(collect).build();
        var _ = Containerd.found(() -> containerd.images().delete(request));
    }

    /** Reads a manifest or an index that is there; nothing when it is not, or not as a whole. */
    Optional<ImageDocument> document(ContentDescriptor content) {
        if (!contents.has(content.digest())) {
            return Optional.empty();
        }
        ImageDocument known = documents.get(content.digest());
        if (known != null) {
            return Optional.of(known);
        }
        try {
            ImageDocument read =
                    ImageDocument.parse(content.mediaType(), contents.read(content.digest(), ImageDocument.BYTES_MAX));
            documents.put(content.digest(), read);
            return Optional.of(read);
        } catch (IOException e) {
            LOG.warn("the manifest {} cannot be read: {}", content.digest(), e.getMessage());
            return Optional.empty();
        }
    }

    private Optional<ImageConfig> config(ContentDescriptor content) {
        ImageConfig known = configs.get(content.digest());
        if (known != null) {
            return Optional.of(known);
        }
        try {
            ImageConfig read = ImageConfig.parse(contents.read(content.digest(), ImageConfig.BYTES_MAX));
            configs.put(content.digest(), read);
            return Optional.of(read);
        } catch (IOException e) {
            LOG.warn("the configuration {} of an image cannot be read: {}", content.digest(), e.getMessage());
            return Optional.empty();
        }
    }

    /** Returns the images behind a content that are there, the one that suits this host best first. */
    List<Variant> variants(ContentDescriptor target) {
        List<Variant> all = new ArrayList<>();
        collect(target, 0, all);
        // The order is stable: among those that do not run here the index decides.
        all.sort(Comparator.comparingInt(each -> host.distance(each.config().platform(), true)));
        return all;
    }

    private void collect(ContentDescriptor content, int depth, List<Variant> all) {
        ImageDocument document = document(content).orElse(null);
        switch (document) {
            case ImageDocument.Manifest manifest ->
                config(manifest.config()).ifPresent(config -> all.add(new Variant(content, manifest, config)));
            case ImageDocument.Index index -> {
                if (depth < INDEX_DEPTH_MAX) {
                    index.manifests().stream()
                            .filter(each -> !isAttestation(each))
                            .forEach(each -> collect(each, depth + 1, all));
                }
            }
            case null -> {
                // Not fetched, as it is for another platform.
            }
        }
    }

    /** Whether something in an index is no image, but says something of one. */
    static boolean isAttestation(ContentDescriptor manifest) {
        return "attestation-manifest".equals(manifest.annotations().get("vnd.docker.reference.type"));
    }

    private static Variant best(List<Variant> variants) {
        return variants.getFirst();
    }

    /**
     * Finds an image.
     *
     * @param reference a name, a digest, an id or the beginning of one
     * @throws EngineException NOT_FOUND with Docker's words when it is not there
     */
    Found find(String reference) {
        return search(reference).orElseThrow(() -> EngineException.notFound("No such image: " + shown(reference)));
    }

    Optional<Found> search(String reference) {
        Optional<Reference> parsed = parse(reference);
        if (parsed.isPresent() && !Reference.isDigest(reference)) {
            Optional<Found> named = byName(parsed.get().orLatest());
            if (named.isPresent()) {
                return named;
            }
        }
        String hexadecimal = reference.startsWith(SHA256) ? reference.substring(SHA256.length()) : reference;
        return hexadecimal.length() >= ID_PREFIX_LENGTH_MIN && hexadecimal.matches(HEXADECIMAL)
                ? byId(SHA256 + hexadecimal)
                : Optional.empty();
    }

    private static Optional<Reference> parse(String reference) {
        try {
            return Optional.of(Reference.parse(reference));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    private static String shown(String reference) {
        return Reference.isDigest(reference)
                ? reference
                : parse(reference).map(each -> each.orLatest().familiar()).orElse(reference);
    }

    private Optional<Found> byName(Reference reference) {
        Optional<Named> exact = name(reference.canonical());
        if (exact.isEmpty() && !reference.digest().isEmpty()) {
            // An image that was loaded from a file has no name with a digest, but it may be the one that is meant.
            exact = names().stream()
                    .filter(each -> !each.isDangling()
                            && each.reference().repository().equals(reference.repository())
                            && (each.target().digest().equals(reference.digest())
                                    || variants(each.target()).stream()
                                            .anyMatch(variant ->
                                                    variant.manifest().digest().equals(reference.digest()))))
                    .findFirst();
        }
        return exact.flatMap(named -> {
            List<Variant> variants = variants(named.target());
            return variants.isEmpty()
                    ? Optional.empty()
                    : Optional.of(found(named.target(), variants, best(variants), names()));
        });
    }

    private Found found(ContentDescriptor target, List<Variant> variants, Variant variant, List<Named> all) {
        List<Named> names = all.stream()
                .filter(each -> {
                    List<Variant> held = variants(each.target());
                    return !held.isEmpty() && best(held).id().equals(variant.id());
                })
                .toList();
        if (names.isEmpty()) {
            names = all.stream()
                    .filter(each -> hasVariant(each.target(), variant.id()))
                    .toList();
        }
        return new Found(target, names, variants, variant);
    }

    private Optional<Found> byId(String beginning) {
        List<Named> all = names();
        Optional<Found> result = Optional.empty();
        for (Named named : all) {
            List<Variant> variants = variants(named.target());
            if (variants.isEmpty()) {
                continue;
            }
            Variant variant = variants.stream()
                    .filter(each -> each.id().startsWith(beginning))
                    .findFirst()
                    .orElse(
                            named.target().digest().startsWith(beginning)
                                    ? best(variants)
                                    : variants.stream()
                                            .filter(each ->
                                                    each.manifest().digest().equals(beginning))
                                            .findFirst()
                                            .orElse(null));
            if (variant == null || (result.isPresent() && result.get().id().equals(variant.id()))) {
                continue;
            }
            if (result.isPresent()) {
                throw EngineException.notFound("multiple images begin with " + beginning + ": give more of the id");
            }
            result = Optional.of(found(named.target(), variants, variant, all));
        }
        return result;
    }

    /** Returns every image once, with what stands for it. */
    List<Found> all() {
        List<Named> names = names();
        Map<String, Found> byId = new LinkedHashMap<>();
        for (Named named : names) {
            List<Variant> variants = variants(named.target());
            if (!variants.isEmpty()) {
                byId.merge(
                        best(variants).id(),
                        new Found(named.target(), List.of(named), variants, best(variants)),
                        ImageStore::merged);
            }
        }
        return List.copyOf(byId.values());
    }

    private static Found merged(Found one, Found other) {
        List<Named> names = new ArrayList<>(one.names());
        names.addAll(other.names());
        // An index tells more than one of its manifests.
        Found wider = other.variants().size() > one.variants().size() ? other : one;
        return new Found(wider.target(), names, wider.variants(), wider.variant());
    }

    /** Returns the variant for a platform. */
    static Variant forPlatform(Found found, String reference, String platform) {
        if (platform.isEmpty()) {
            return found.variant();
        }
        Platform wanted = platform(platform);
        return found.variants().stream()
                .filter(each -> wanted.distance(each.config().platform(), false) != Platform.UNUSABLE)
                .min(Comparator.comparingInt(
                        each -> wanted.distance(each.config().platform(), false)))
                .orElseThrow(() -> EngineException.notFound("image with reference " + shown(reference)
                        + " was found but its platform ("
                        + found.variant().config().platform()
                        + ") does not match the specified platform (" + wanted + ")"));
    }

    static Platform platform(String text) {
        try {
            return Platform.parse(text);
        } catch (IllegalArgumentException e) {
            throw EngineException.invalid(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public Image require(String reference, String platform) {
        Found found = find(reference);
        Variant variant = forPlatform(found, reference, platform);
        try {
            unpack(variant);
        } catch (IOException e) {
            throw EngineException.internal(
                    "the image " + shown(reference) + " cannot be unpacked: " + e.getMessage(), e);
        }
        return new Image(
                variant.id(),
                variant.manifest().digest(),
                variant.config().config(),
                variant.chainId(),
                variant.config().platform().toString());
    }

    /** Unpacks an image that is not unpacked, as after a change of the snapshotter. */
    private void unpack(Variant variant) throws IOException {
        if (variant.config().diffIds().isEmpty() || layers.has(variant.chainId())) {
            return;
        }
        Lease lease = lease("unpack " + variant.id());
        try {
            layers.unpack(
                    variant.document().layers().stream()
                            .map(ImageStore::descriptor)
                            .toList(),
                    variant.config().diffIds(),
                    lease.interceptor());
            referToSnapshot(variant.document().config(), variant.config());
        } finally {
            lease.end(false);
        }
    }

    /** Lets the configuration of an image keep its topmost snapshot, which keeps those below it. */
    void referToSnapshot(ContentDescriptor configuration, ImageConfig config) {
        if (!config.diffIds().isEmpty()) {
            contents.label(
                    configuration.digest(),
                    Map.of(REFERS_TO_SNAPSHOT + layers.snapshotter(), Layers.chainId(config.diffIds())));
        }
    }

    /** Stores a manifest or an index, whose parts are there as far as they ever will be. */
    void store(ContentDescriptor content, byte[] bytes, ImageDocument document, Lease lease)
            throws IOException, InterruptedException {
        Map<String, String> labels = new LinkedHashMap<>();
        List<ContentDescriptor> children = document.children();
        for (int i = 0; i < children.size(); i++) {
            labels.put(REFERS_TO_CONTENT + i, children.get(i).digest());
        }
        store(content, bytes, labels, lease);
    }

    /** Stores a small content. */
    void store(ContentDescriptor content, byte[] bytes, Map<String, String> labels, Lease lease)
            throws IOException, InterruptedException {
        if (contents.has(content.digest())) {
            lease.keep(content.digest());
        }
        contents.write(
                "skep-" + content.digest(),
                content.digest(),
                0,
                bytes.length,
                new ByteArrayInputStream(bytes),
                labels,
                lease.interceptor());
        if (!labels.isEmpty()) {
            contents.label(content.digest(), labels);
        }
    }

    /** Returns how much room the layers of an image take, each for itself, in bytes. */
    List<Long> layerBytes(Variant variant) {
        List<String> diffIds = variant.config().diffIds();
        List<Long> sizes = new ArrayList<>();
        for (int i = 0; i < diffIds.size(); i++) {
            String chain = Layers.chainId(diffIds.subList(0, i + 1));
            Long known = usageBytes.get(chain);
            if (known == null) {
                known = layers.usageBytes(chain);
                if (known > 0) {
                    usageBytes.put(chain, known);
                }
            }
            sizes.add(known);
        }
        return sizes;
    }
}
