package io.skep.engine;

import io.skep.engine.ImageStore.Found;
import io.skep.engine.ImageStore.Named;
import io.skep.engine.ImageStore.Variant;
import io.skep.engine.ImageUsers.User;
import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.Credentials;
import io.skep.engine.image.ImageConfig;
import io.skep.engine.image.ImageDocument;
import io.skep.engine.image.Platform;
import io.skep.engine.image.Reference;
import io.skep.engine.image.Registries;
import io.skep.engine.image.RegistryException;
import io.skep.engine.image.Repository;
import io.skep.engine.record.ImageDeletion;
import io.skep.engine.record.ImageDescriptor;
import io.skep.engine.record.ImageGraphDriver;
import io.skep.engine.record.ImageHistory;
import io.skep.engine.record.ImageInspect;
import io.skep.engine.record.ImageMetadata;
import io.skep.engine.record.ImagePlatform;
import io.skep.engine.record.ImagePruneReport;
import io.skep.engine.record.ImageRootFs;
import io.skep.engine.record.ImageSummary;
import io.skep.engine.record.ManifestImageData;
import io.skep.engine.record.ManifestSize;
import io.skep.engine.record.ManifestSummary;
import io.skep.engine.record.UnpackedSize;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.InstantSource;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * The images of this engine, as users see them.
 *
 * <p>Threads: any; all of it may block. What is told of progress may come on several threads at once.
 */
public final class Images {
    private static final int SHORT_ID_LENGTH = 12;

    private final ImageStore store;
    private final ImageUsers users;
    private final ImagePull pull;
    private final ImagePush push;
    private final ImageArchives archives;
    private final Registries registries;
    private final InstantSource clock;
    private final Consumer<EngineEvent> events;

    /**
     * Makes the door to a store of images.
     *
     * @param events hears what happens; must return at once
     */
    Images(
            ImageStore store,
            ImageUsers users,
            Registries registries,
            InstantSource clock,
            Consumer<EngineEvent> events) {
        this.store = store;
        this.users = users;
        this.registries = registries;
        this.clock = clock;
        this.events = events;
        this.pull = new ImagePull(store, registries);
        this.push = new ImagePush(store, registries);
        this.archives = new ImageArchives(store, clock);
    }

    /**
     * Which images are listed; an empty list asks for nothing.
     *
     * @param before names of images that must be newer
     * @param since names of images that must be older
     * @param dangling what having no name must be, if it matters
     * @param labels {@code key} or {@code key=value}, all of which must be there
     * @param withoutLabels of which none may be there
     * @param references patterns, one of which a name must match
     * @param until the image must be older than each
     */
    public record Filter(
            List<String> before,
            List<String> since,
            Optional<Boolean> dangling,
            List<String> labels,
            List<String> withoutLabels,
            List<String> references,
            List<Instant> until) {
        public static final Filter NONE =
                new Filter(List.of(), List.of(), Optional.empty(), List.of(), List.of(), List.of(), List.of());
    }

    private static Reference reference(String text) {
        try {
            return Reference.parse(text);
        } catch (IllegalArgumentException e) {
            throw EngineException.invalid(String.valueOf(e.getMessage()));
        }
    }

    private void tell(String action, String id, String name, Map<String, String> labels) {
        Map<String, String> attributes = new HashMap<>(labels);
        attributes.put("name", name);
        events.accept(new EngineEvent("image", action, id, attributes, clock.instant()));
    }

    private void tell(String action, Found found, String name) {
        tell(action, found.id(), name, found.variant().config().config().getLabelsMap());
    }

    /**
     * Brings an image from its registry.
     *
     * @param name with a tag or a digest
     * @param platform such as linux/arm64, or empty for that of this host
     * @param registryAuth what the client sent as X-Registry-Auth, or empty
     */
    public void pull(String name, String platform, String registryAuth, Consumer<ImageProgress> progress)
            throws InterruptedException {
        Reference reference = reference(name).orLatest();
        pull.pull(reference, platform, credentials(registryAuth), progress);
        Map<String, String> labels = store.search(reference.canonical())
                .map(found -> found.variant().config().config().getLabelsMap())
                .orElse(Map.of());
        tell("pull", reference.familiar(), reference.familiarRepository(), labels);
    }

    /** Brings all tags of a repository. */
    public void pullAll(String repository, String platform, String registryAuth, Consumer<ImageProgress> progress)
            throws InterruptedException {
        Reference reference = reference(repository);
        List<String> tags;
        try {
            tags = registries.forPull(reference, credentials(registryAuth)).tags();
        } catch (RegistryException e) {
            throw ImagePull.refusal(reference, e);
        } catch (IOException e) {
            throw EngineException.internal(String.valueOf(e.getMessage()), e);
        }
        for (String tag : tags) {
            pull(reference.withTag(tag).familiar(), platform, registryAuth, progress);
        }
    }

    private static Credentials credentials(String registryAuth) {
        try {
            return Credentials.parse(registryAuth);
        } catch (IOException e) {
            throw EngineException.invalid(String.valueOf(e.getMessage()));
        }
    }

    /**
     * Sends an image to its registry.
     *
     * @param tag empty for all tags of the repository
     */
    public void push(
            String repository, String tag, String platform, String registryAuth, Consumer<ImageProgress> progress)
            throws InterruptedException {
        Reference named = reference(repository);
        if (!named.digest().isEmpty()) {
            throw EngineException.invalid("cannot push a digest reference");
        }
        List<Reference> all = new ArrayList<>();
        if (!tag.isEmpty() || !named.tag().isEmpty()) {
            all.add(tag.isEmpty() ? named : tagged(named, tag));
        } else {
            for (Named each : store.names()) {
                if (!each.isDangling()) {
                    Reference other = each.reference();
                    if (other.repository().equals(named.repository())
                            && !other.tag().isEmpty()) {
                        all.add(other);
                    }
                }
            }
            if (all.isEmpty()) {
                throw EngineException.notFound(
                        "An image does not exist locally with the tag: " + named.familiarRepository());
            }
        }
        for (Reference each : all) {
            if (store.search(each.canonical()).isEmpty()) {
                throw EngineException.notFound(
                        "An image does not exist locally with the tag: " + each.familiarRepository());
            }
            push.push(each, platform, credentials(registryAuth), progress);
            store.search(each.canonical())
                    .ifPresent(found -> tell(
                            "push",
                            each.familiar(),
                            each.familiarRepository(),
                            found.variant().config().config().getLabelsMap()));
        }
    }

    private static Reference tagged(Reference name, String tag) {
        try {
            return name.withTag(tag);
        } catch (IllegalArgumentException e) {
            throw EngineException.invalid(String.valueOf(e.getMessage()));
        }
    }

    /** What a registry says of an image, without fetching it. */
    public record Distribution(ImageDescriptor descriptor, List<ImagePlatform> platforms) {}

    /** Asks the registry what a name stands for. */
    public Distribution distribution(String name, String registryAuth) throws InterruptedException {
        Reference reference = reference(name).orLatest();
        Repository repository = registries.forPull(reference, credentials(registryAuth));
        try {
            Repository.Document document = repository.document(reference.version());
            ContentDescriptor descriptor = document.descriptor();
            List<ImagePlatform> platforms = new ArrayList<>();
            switch (document.read()) {
                case ImageDocument.Index index ->
                    index.manifests().stream()
                            .filter(each -> !ImageStore.isAttestation(each))
                            .flatMap(each -> each.platform().stream())
                            .forEach(each -> platforms.add(record(each)));
                case ImageDocument.Manifest manifest -> {
                    try (Repository.Download download =
                            repository.download(manifest.config().digest(), 0)) {
                        byte[] bytes = download.in().readNBytes(ImageConfig.BYTES_MAX);
                        platforms.add(record(ImageConfig.parse(bytes).platform()));
                    }
                }
            }
            return new Distribution(record(descriptor), platforms);
        } catch (RegistryException e) {
            throw switch (e.kind()) {
                case NOT_FOUND, DENIED -> ImagePull.refusal(reference, e);
                case UNAVAILABLE, INVALID -> EngineException.internal(String.valueOf(e.getMessage()), e);
            };
        } catch (IOException e) {
            throw EngineException.internal(String.valueOf(e.getMessage()), e);
        }
    }

    /** Gives an image another name. */
    public void tag(String source, String repository, String tag) {
        Found found = store.find(source);
        Reference named = reference(repository);
        if (!named.digest().isEmpty()) {
            throw EngineException.invalid("refusing to create a tag with a digest reference");
        }
        Reference target = tag.isEmpty() ? named.orLatest() : tagged(named, tag);
        store.name(target.canonical(), found.target());
        tell("tag", found, target.familiar());
    }

    /** Lists images, the newest first. */
    public List<ImageSummary> list(Filter filter, boolean sharedSize, boolean manifests) {
        List<Found> all = store.all();
        Predicate<Found> wanted = predicate(filter);
        Map<String, Integer> timesUsed = sharedSize ? timesUsed(all) : Map.of();
        List<ImageSummary> summaries = new ArrayList<>();
        for (Found found : all) {
            if (!wanted.test(found)) {
                continue;
            }
            Variant variant = found.variant();
            List<Long> sizes = store.layerBytes(variant);
            ImageSummary.Builder summary = ImageSummary.newBuilder()
                    .setContainers(-1)
                    .setCreated(created(variant.config()).getEpochSecond())
                    .setId(found.id())
                    .putAllLabels(variant.config().config().getLabelsMap())
                    .setTarget(record(found.target()))
                    .addAllRepoTags(shownTags(found, filter.references()))
                    .addAllRepoDigests(digests(found))
                    .setSharedSize(sharedSize ? sharedBytes(variant, sizes, timesUsed) : -1)
                    .setSize(sum(sizes));
            if (manifests) {
                summary.addAllManifests(manifests(found.target()));
            }
            summaries.add(summary.build());
        }
        summaries.sort(
                Comparator.comparingLong(ImageSummary::getCreated).reversed().thenComparing(ImageSummary::getId));
        return summaries;
    }

    /** Returns how many images there are, without looking at their layers. */
    public int count() {
        return store.all().size();
    }

    /** Returns how much room all layers take that are there, each counted once, in bytes. */
    public long layerBytes() {
        Map<String, Long> bytes = new HashMap<>();
        for (Found found : store.all()) {
            for (Variant variant : found.variants()) {
                List<Long> sizes = store.layerBytes(variant);
                List<String> chains = chains(variant);
                for (int i = 0; i < sizes.size(); i++) {
                    bytes.put(chains.get(i), sizes.get(i));
                }
            }
        }
        return sum(bytes.values());
    }

    private static long sum(Collection<Long> sizes) {
        return sizes.stream().mapToLong(Long::longValue).sum();
    }

    private static List<String> chains(Variant variant) {
        List<String> chains = new ArrayList<>();
        for (int i = 1; i <= variant.config().diffIds().size(); i++) {
            chains.add(Layers.chainId(variant.config().diffIds().subList(0, i)));
        }
        return chains;
    }

    private static Map<String, Integer> timesUsed(List<Found> all) {
        Map<String, Integer> times = new HashMap<>();
        for (Found found : all) {
            for (String chain : chains(found.variant())) {
                times.merge(chain, 1, Integer::sum);
            }
        }
        return times;
    }

    private static long sharedBytes(Variant variant, List<Long> sizes, Map<String, Integer> timesUsed) {
        List<String> chains = chains(variant);
        long shared = 0;
        for (int i = 0; i < chains.size(); i++) {
            if (timesUsed.getOrDefault(chains.get(i), 0) > 1) {
                shared += sizes.get(i);
            }
        }
        return shared;
    }

    private static List<String> tags(Found found) {
        return found.names().stream()
                .filter(each -> !each.isDangling())
                .map(Named::reference)
                .filter(each -> !each.tag().isEmpty())
                .map(Reference::familiar)
                .sorted()
                .toList();
    }

    private static List<String> shownTags(Found found, List<String> references) {
        if (references.isEmpty()) {
            return tags(found);
        }
        return tags(found).stream()
                .filter(each -> references.stream().anyMatch(pattern -> matches(pattern, each)))
                .toList();
    }

    private static List<String> digests(Found found) {
        return found.names().stream()
                .filter(each -> !each.isDangling())
                .map(Named::reference)
                .filter(each -> !each.digest().isEmpty())
                .map(Reference::familiar)
                .sorted()
                .toList();
    }

    private Predicate<Found> predicate(Filter filter) {
        List<Instant> before = filter.before().stream()
                .map(each -> created(store.find(each).variant().config()))
                .toList();
        List<Instant> since = filter.since().stream()
                .map(each -> created(store.find(each).variant().config()))
                .toList();
        return found -> {
            Instant created = created(found.variant().config());
            Map<String, String> labels = found.variant().config().config().getLabelsMap();
            return before.stream().allMatch(created::isBefore)
                    && since.stream().allMatch(created::isAfter)
                    && filter.until().stream().allMatch(created::isBefore)
                    && filter.dangling()
                            .map(wanted -> wanted == isDangling(found))
                            .orElse(true)
                    && filter.labels().stream().allMatch(each -> hasLabel(labels, each))
                    && filter.withoutLabels().stream().noneMatch(each -> hasLabel(labels, each))
                    && (filter.references().isEmpty()
                            || filter.references().stream().anyMatch(pattern -> isCalled(found, pattern)));
        };
    }

    private static boolean isDangling(Found found) {
        return tags(found).isEmpty() && digests(found).isEmpty();
    }

    private static boolean hasLabel(Map<String, String> labels, String wanted) {
        int equals = wanted.indexOf('=');
        return equals < 0
                ? labels.containsKey(wanted)
                : wanted.substring(equals + 1).equals(labels.get(wanted.substring(0, equals)));
    }

    private static boolean isCalled(Found found, String pattern) {
        return tags(found).stream().anyMatch(each -> matches(pattern, each))
                || digests(found).stream().anyMatch(each -> matches(pattern, each));
    }

    /** Compares a name, and the same without tag or digest, with a pattern of path segments. */
    private static boolean matches(String pattern, String name) {
        StringBuilder regex = new StringBuilder();
        for (int i = 0; i < pattern.length(); i++) {
            char each = pattern.charAt(i);
            switch (each) {
                case '*' -> regex.append("[^/]*");
                case '?' -> regex.append("[^/]");
                default -> regex.append(java.util.regex.Pattern.quote(String.valueOf(each)));
            }
        }
        return name.matches(regex.toString())
                || Reference.parse(name).familiarRepository().matches(regex.toString());
    }

    private static Instant created(ImageConfig config) {
        return time(config.created()).orElse(Instant.EPOCH);
    }

    private static Optional<Instant> time(String text) {
        try {
            return text.isEmpty()
                    ? Optional.empty()
                    : Optional.of(OffsetDateTime.parse(text).toInstant());
        } catch (DateTimeException e) {
            return Optional.empty();
        }
    }

    /** Returns everything of an image. */
    public ImageInspect inspect(String name, String platform, boolean manifests) {
        Found found = store.find(name);
        Variant variant = ImageStore.forPlatform(found, name, platform);
        ImageConfig config = variant.config();
        Platform runsOn = config.platform();
        Instant tagged = found.names().stream()
                .filter(each -> !each.isDangling())
                .map(Named::updated)
                .max(Comparator.naturalOrder())
                .orElse(Instant.EPOCH);
        ImageInspect.Builder inspect = ImageInspect.newBuilder()
                .setId(variant.id())
                .addAllRepoTags(tags(found))
                .addAllRepoDigests(digests(found))
                .setComment(config.comment())
                .setCreated(config.created())
                .setDockerVersion(config.dockerVersion())
                .setAuthor(config.author())
                .setConfig(config.config())
                .setArchitecture(runsOn.architecture())
                .setVariant(runsOn.variant())
                .setOs(runsOn.os())
                .setOsVersion(runsOn.version())
                .setSize(sum(store.layerBytes(variant)))
                .setGraphDriver(
                        ImageGraphDriver.newBuilder().setName(store.layers().snapshotter()))
                .setRootFs(ImageRootFs.newBuilder().setType("layers").addAllLayers(config.diffIds()))
                .setMetadata(ImageMetadata.newBuilder()
                        .setLastTagTime(tagged.equals(Instant.EPOCH) ? "0001-01-01T00:00:00Z" : tagged.toString()))
                .setTarget(record(found.target()));
        if (manifests) {
            inspect.addAllManifests(manifests(found.target()));
        }
        return inspect.build();
    }

    private List<ManifestSummary> manifests(ContentDescriptor target) {
        return switch (store.document(target).orElse(null)) {
            case ImageDocument.Index index ->
                index.manifests().stream().map(this::manifest).toList();
            case ImageDocument.Manifest manifest -> List.of(manifest(target));
            case null -> List.of();
        };
    }

    private ManifestSummary manifest(ContentDescriptor descriptor) {
        List<Variant> variants = store.variants(descriptor);
        boolean attestation = ImageStore.isAttestation(descriptor);
        ManifestSummary.Builder summary = ManifestSummary.newBuilder()
                .setId(descriptor.digest())
                .setTarget(record(descriptor))
                .setAvailable(!variants.isEmpty())
                .setKind(attestation ? "attestation" : "image");
        if (attestation || variants.isEmpty()) {
            summary.setSize(ManifestSize.getDefaultInstance());
            descriptor.platform().ifPresent(platform -> {
                if (!attestation) {
                    summary.setImageData(ManifestImageData.newBuilder().setPlatform(record(platform)));
                }
            });
            return summary.build();
        }
        Variant variant = variants.getFirst();
        long packed = descriptor.size()
                + variant.document().children().stream()
                        .mapToLong(ContentDescriptor::size)
                        .sum();
        long unpacked = sum(store.layerBytes(variant));
        return summary.setSize(ManifestSize.newBuilder().setContent(packed).setTotal(packed + unpacked))
                .setImageData(ManifestImageData.newBuilder()
                        .setPlatform(record(variant.config().platform()))
                        .setSize(UnpackedSize.newBuilder().setUnpacked(unpacked))
                        .addAllContainers(users.users().stream()
                                .filter(each -> each.imageId().equals(variant.id()))
                                .map(User::containerId)
                                .toList()))
                .build();
    }

    private static ImageDescriptor record(ContentDescriptor descriptor) {
        ImageDescriptor.Builder record = ImageDescriptor.newBuilder()
                .setMediaType(descriptor.mediaType())
                .setDigest(descriptor.digest())
                .setSize(descriptor.size())
                .putAllAnnotations(descriptor.annotations());
        descriptor.platform().ifPresent(platform -> record.setPlatform(record(platform)));
        return record.build();
    }

    private static ImagePlatform record(Platform platform) {
        return ImagePlatform.newBuilder()
                .setArchitecture(platform.architecture())
                .setOs(platform.os())
                .setOsVersion(platform.version())
                .addAllOsFeatures(platform.features())
                .setVariant(platform.variant())
                .build();
    }

    /** Returns how an image was made, the last step first. */
    public List<ImageHistory> history(String name, String platform) {
        Found found = store.find(name);
        Variant variant = ImageStore.forPlatform(found, name, platform);
        List<Long> sizes = store.layerBytes(variant);
        List<ImageHistory> steps = new ArrayList<>();
        int layer = 0;
        for (ImageConfig.History step : variant.config().history()) {
            long size = step.empty() || layer >= sizes.size() ? 0 : sizes.get(layer++);
            steps.add(ImageHistory.newBuilder()
                    .setComment(step.comment())
                    .setCreated(
                            time(step.created()).map(Instant::getEpochSecond).orElse(0L))
                    .setCreatedBy(step.createdBy())
                    .setId("<missing>")
                    .setSize(size)
                    .build());
        }
        if (steps.isEmpty()) {
            steps.add(ImageHistory.newBuilder().setSize(sum(sizes)).build());
        }
        steps.set(
                steps.size() - 1,
                steps.getLast().toBuilder()
                        .setId(variant.id())
                        .addAllTags(tags(found))
                        .build());
        return steps.reversed();
    }

    /**
     * Takes away a name or an image.
     *
     * <p>A name goes alone while the image has others; with the last one goes the image, unless a container needs it.
     * An id takes away the image and all its names, when these are of one repository.
     *
     * @param force although a container that does not run needs it, or it has several names
     */
    public synchronized List<ImageDeletion> remove(String name, boolean force) {
        Found found = store.find(name);
        List<ImageDeletion> done = new ArrayList<>();
        Optional<Named> given = named(found, name);
        String shortId = shortId(found.id());
        List<User> needing = users.users().stream()
                .filter(each -> found.variants().stream()
                        .anyMatch(variant -> variant.id().equals(each.imageId())))
                .toList();
        if (given.isPresent()) {
            List<Named> going = new ArrayList<>(List.of(given.get()));
            going.addAll(orphanedDigests(found, given.get()));
            boolean last = found.names().stream().noneMatch(each -> !each.isDangling() && !going.contains(each));
            if (last && !force && !needing.isEmpty()) {
                throw EngineException.conflict("conflict: unable to remove repository reference \""
                        + (Reference.isDigest(name) ? name : reference(name).familiar())
                        + "\" (must force) - container "
                        + shortId(needing.getFirst().containerId()) + " is using its referenced image " + shortId);
            }
            boolean kept = !last || needing.stream().anyMatch(User::running);
            untag(found, going, kept, done);
            if (!kept) {
                delete(found, going, done);
            }
            return done;
        }
        List<Named> shown =
                found.names().stream().filter(each -> !each.isDangling()).toList();
        Set<String> repositories = new HashSet<>();
        shown.forEach(each -> repositories.add(each.reference().repository()));
        long tags =
                shown.stream().filter(each -> !each.reference().tag().isEmpty()).count();
        needing.stream().filter(User::running).findFirst().ifPresent(user -> {
            throw EngineException.conflict("conflict: unable to delete " + shortId
                    + " (cannot be forced) - image is being used by running container " + shortId(user.containerId()));
        });
        if (!force && (repositories.size() > 1 || tags > 1)) {
            throw EngineException.conflict("conflict: unable to delete " + shortId
                    + " (must be forced) - image is referenced in multiple repositories");
        }
        if (!force && !needing.isEmpty()) {
            throw EngineException.conflict("conflict: unable to delete " + shortId
                    + " (must be forced) - image is being used by stopped container "
                    + shortId(needing.getFirst().containerId()));
        }
        untag(found, found.names(), false, done);
        delete(found, found.names(), done);
        return done;
    }

    private static String shortId(String id) {
        String digits = id.startsWith("sha256:") ? id.substring("sha256:".length()) : id;
        return digits.substring(0, Math.min(SHORT_ID_LENGTH, digits.length()));
    }

    /** Returns the name that was given, unless it is an id. */
    private static Optional<Named> named(Found found, String text) {
        try {
            String canonical = Reference.parse(text).orLatest().canonical();
            return found.names().stream()
                    .filter(each -> each.name().equals(canonical))
                    .findFirst();
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** Returns the names with a digest that mean nothing any more without the last tag of their repository. */
    private static List<Named> orphanedDigests(Found found, Named going) {
        Reference reference = going.reference();
        if (!reference.digest().isEmpty()) {
            return List.of();
        }
        List<Named> same = found.names().stream()
                .filter(each -> !each.isDangling()
                        && !each.equals(going)
                        && each.reference().repository().equals(reference.repository()))
                .toList();
        return same.stream().allMatch(each -> each.reference().tag().isEmpty()) ? same : List.of();
    }

    private void untag(Found found, List<Named> going, boolean keep, List<ImageDeletion> done) {
        if (keep) {
            store.unname(going, true);
        }
        for (Named each : going) {
            if (!each.isDangling()) {
                String familiar = each.reference().familiar();
                done.add(ImageDeletion.newBuilder().setUntagged(familiar).build());
                tell("untag", found, found.id());
            }
        }
    }

    /** Takes the last names away, and with them what nothing else needs. */
    private void delete(Found found, List<Named> going, List<ImageDeletion> done) {
        Set<String> before = new HashSet<>();
        found.variants().forEach(each -> before.addAll(chains(each)));
        store.unname(going, false);
        done.add(ImageDeletion.newBuilder().setDeleted(found.id()).build());
        Set<String> needed = new HashSet<>();
        store.all().forEach(each -> each.variants().forEach(variant -> needed.addAll(chains(variant))));
        for (String chain : chains(found.variant()).reversed()) {
            if (before.contains(chain)
                    && !needed.contains(chain)
                    && !store.layers().has(chain)) {
                done.add(ImageDeletion.newBuilder().setDeleted(chain).build());
            }
        }
        tell("delete", found, found.id());
    }

    /**
     * Takes away images that no container needs.
     *
     * @param filter which; those without a name unless it says otherwise
     */
    public ImagePruneReport prune(Filter filter) {
        boolean onlyDangling = filter.dangling().orElse(true);
        Predicate<Found> wanted = predicate(new Filter(
                filter.before(),
                filter.since(),
                onlyDangling ? Optional.of(true) : Optional.empty(),
                filter.labels(),
                filter.withoutLabels(),
                filter.references(),
                filter.until()));
        ImagePruneReport.Builder report = ImagePruneReport.newBuilder();
        long before = layerBytes();
        for (Found found : store.all()) {
            Set<String> ids = new HashSet<>();
            found.variants().forEach(each -> ids.add(each.id()));
            boolean needed = users.users().stream().anyMatch(each -> ids.contains(each.imageId()));
            if (!needed && wanted.test(found)) {
                try {
                    report.addAllImagesDeleted(remove(found.id(), true));
                } catch (EngineException e) {
                    // Somebody began to need it, or took it away; both are fine.
                    if (e.kind() != EngineException.Kind.CONFLICT && e.kind() != EngineException.Kind.NOT_FOUND) {
                        throw e;
                    }
                }
            }
        }
        if (report.getImagesDeletedCount() > 0) {
            report.setSpaceReclaimed(Math.max(0, before - layerBytes()));
        }
        events.accept(new EngineEvent(
                "image", "prune", "", Map.of("reclaimed", Long.toString(report.getSpaceReclaimed())), clock.instant()));
        return report.build();
    }

    /**
     * Writes images as an archive that Docker reads.
     *
     * @param platforms empty for all that are there
     */
    public void save(List<String> names, List<String> platforms, OutputStream out) throws IOException {
        List<ImageArchives.Chosen> chosen = archives.choose(names, platforms);
        archives.save(chosen, out);
        chosen.forEach(each -> tell("save", each.found(), each.found().id()));
    }

    /** Finds out whether {@link #save} will find everything. */
    public void requireAll(List<String> names, List<String> platforms) {
        archives.choose(names, platforms);
    }

    /**
     * Takes in an archive of images, packed or not.
     *
     * @param platforms empty for all that are in it
     */
    public void load(InputStream in, List<String> platforms, Consumer<ImageProgress> progress)
            throws InterruptedException {
        for (String loaded : archives.load(in, platforms, progress)) {
            store.search(loaded).ifPresent(found -> tell("load", found, loaded));
        }
    }

    /**
     * Makes an image of an archive of files, packed or not.
     *
     * @param repository empty for an image without name
     * @param changes instructions as in a Dockerfile
     * @return its id
     */
    public String importFiles(
            InputStream in, String repository, String tag, String platform, List<String> changes, String message)
            throws InterruptedException {
        Optional<Reference> name = repository.isEmpty()
                ? Optional.empty()
                : Optional.of(tag.isEmpty() ? reference(repository).orLatest() : tagged(reference(repository), tag));
        String id = archives.importFiles(in, name, platform, changes, message);
        Found found = store.find(id);
        tell("import", found, name.map(Reference::familiar).orElse(id));
        return id;
    }
}
