package io.skep.engine;

import io.skep.engine.ImageStore.Named;
import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.Credentials;
import io.skep.engine.image.ImageConfig;
import io.skep.engine.image.ImageDocument;
import io.skep.engine.image.Platform;
import io.skep.engine.image.Reference;
import io.skep.engine.image.Registries;
import io.skep.engine.image.RegistryException;
import io.skep.engine.image.Repository;
import io.skep.engine.image.Repository.Document;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/**
 * Brings an image from its registry: resolve the name, choose the platform, fetch what is missing, unpack, name.
 *
 * <p>Layers are fetched side by side and unpacked from the lowest up while others still come. Everything belongs to a
 * lease until the name is written; when the pull fails the lease stays until it expires, so that the next attempt goes
 * on from there — unless the disk is full, when everything goes at once. Two pulls of one name follow each other, the
 * second then finds everything; interrupting the thread ends a pull.
 */
final class ImagePull {
    private static final Duration PROGRESS_PAUSE = Duration.ofMillis(100);
    private static final int SHORT_ID_LENGTH = 12;
    private static final int INDEX_DEPTH_MAX = 3;

    /** More pulls than this are rare enough for two of different names to wait for each other. */
    private static final int LOCKS = 64;

    private final ImageStore store;
    private final Registries registries;
    private final ImageTransfers transfers;
    private final List<ReentrantLock> locks =
            Stream.generate(ReentrantLock::new).limit(LOCKS).toList();

    ImagePull(ImageStore store, Registries registries) {
        this.store = store;
        this.registries = registries;
        this.transfers = new ImageTransfers(store.contents(), registries.settings());
    }

    /** What is fetched: the documents from the outermost to the manifest of one image. */
    private record Plan(List<Document> documents, ImageDocument.Manifest manifest) {
        Document outermost() {
            return documents.getFirst();
        }
    }

    /**
     * Brings an image.
     *
     * @param platform the one wanted, or empty for that of this host
     * @return whether something was new
     */
    boolean pull(Reference name, String platform, Credentials credentials, Consumer<ImageProgress> progress)
            throws InterruptedException {
        ReentrantLock lock = locks.get(Math.floorMod(name.canonical().hashCode(), LOCKS));
        lock.lockInterruptibly();
        try {
            return pullAlone(name, platform, credentials, progress);
        } catch (RegistryException e) {
            throw refusal(name, e);
        } catch (IOException e) {
            throw EngineException.internal(String.valueOf(e.getMessage()), e);
        } finally {
            lock.unlock();
        }
    }

    /** Says it as Docker does. */
    static EngineException refusal(Reference name, RegistryException e) {
        String message = String.valueOf(e.getMessage());
        return switch (e.kind()) {
            case NOT_FOUND ->
                new EngineException(
                        EngineException.Kind.NOT_FOUND,
                        "manifest for " + name.familiar() + " not found: " + message,
                        e);
            case DENIED ->
                message.equals("no basic auth credentials")
                        ? EngineException.internal(message, e)
                        : new EngineException(
                                EngineException.Kind.NOT_FOUND,
                                "pull access denied for " + name.familiarRepository()
                                        + ", repository does not exist or may require 'docker login': " + message,
                                e);
            case UNAVAILABLE, INVALID -> EngineException.internal(message, e);
        };
    }

    private boolean pullAlone(
            Reference name, String platform, Credentials credentials, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        Repository repository = registries.forPull(name, credentials);
        Plan plan = plan(repository, name, platform);
        progress.accept(new ImageProgress.Status(name.version(), "Pulling from " + name.path()));

        String purpose = "pull " + name.canonical() + " " + platform;
        Lease lease = store.lease(purpose);
        boolean fresh;
        try {
            fresh = fetch(repository, plan, lease, progress);
        } catch (IOException e) {
            if (String.valueOf(e.getMessage()).contains("no space left on device")) {
                lease.endAll(purpose, true);
            }
            throw e;
        }
        ContentDescriptor target = plan.outermost().descriptor();
        Optional<Named> before = store.name(name.canonical());
        store.name(name.withDigest(target.digest()).canonical(), target);
        if (name.digest().isEmpty()) {
            store.name(name.canonical(), target);
        }
        lease.endAll(purpose, false);

        boolean changed =
                fresh || before.isEmpty() || !before.get().target().digest().equals(target.digest());
        progress.accept(new ImageProgress.Status("", "Digest: " + target.digest()));
        progress.accept(new ImageProgress.Status(
                "",
                (changed ? "Status: Downloaded newer image for " : "Status: Image is up to date for ")
                        + name.familiar()));
        return changed;
    }

    /** Finds out what the name stands for on the platform. */
    private Plan plan(Repository repository, Reference name, String platform) throws IOException, InterruptedException {
        boolean any = platform.isEmpty();
        Platform wanted = any ? Platform.host() : ImageStore.platform(platform);
        List<Document> documents = new ArrayList<>();
        Document document = repository.document(name.version());
        while (true) {
            documents.add(document);
            switch (document.read()) {
                case ImageDocument.Manifest manifest -> {
                    return new Plan(documents, manifest);
                }
                case ImageDocument.Index index -> {
                    if (documents.size() > INDEX_DEPTH_MAX) {
                        throw new IOException("the index of " + name.familiar() + " has indexes in indexes in indexes");
                    }
                    ContentDescriptor chosen = choose(index, wanted, any)
                            .orElseThrow(() -> EngineException.notFound(
                                    "no matching manifest for " + wanted + " in the manifest list entries"));
                    document = repository.document(chosen.digest());
                }
            }
        }
    }

    private static Optional<ContentDescriptor> choose(ImageDocument.Index index, Platform wanted, boolean emulate) {
        List<ContentDescriptor> images = index.manifests().stream()
                .filter(each -> !ImageStore.isAttestation(each))
                .toList();
        Optional<ContentDescriptor> best = images.stream()
                .filter(each -> distance(each, wanted, emulate) != Platform.UNUSABLE)
                .min(Comparator.comparingInt(each -> distance(each, wanted, emulate)));
        // An index of one image need not say what it is for.
        return best.isEmpty()
                        && images.size() == 1
                        && images.getFirst().platform().isEmpty()
                ? Optional.of(images.getFirst())
                : best;
    }

    private static int distance(ContentDescriptor image, Platform wanted, boolean emulate) {
        return image.platform()
                .map(platform -> wanted.distance(platform, emulate))
                .orElse(Platform.UNUSABLE);
    }

    /** Fetches and unpacks everything; returns whether a layer was fetched. */
    private boolean fetch(Repository repository, Plan plan, Lease lease, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        List<ContentDescriptor> layers = plan.manifest().layers();
        ContentDescriptor configuration = plan.manifest().config();
        if (configuration.size() > ImageConfig.BYTES_MAX) {
            throw new IOException("the configuration of the image is larger than " + ImageConfig.BYTES_MAX + " bytes");
        }
        for (ContentDescriptor layer : layers) {
            progress.accept(new ImageProgress.Status(shortId(layer), "Pulling fs layer"));
        }
        boolean fresh = false;
        Semaphore slots = new Semaphore(registries.settings().downloadsMax());
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            try {
                List<Future<Boolean>> arrivals = new ArrayList<>();
                for (ContentDescriptor layer : layers) {
                    arrivals.add(executor.submit(() -> {
                        slots.acquire();
                        try {
                            return fetchLayer(repository, layer, lease, progress);
                        } finally {
                            slots.release();
                        }
                    }));
                }
                transfers.fetch(repository, configuration, Map.of(), lease, at -> {}, text -> {});
                ImageConfig config =
                        ImageConfig.parse(store.contents().read(configuration.digest(), ImageConfig.BYTES_MAX));
                requireSameLayers(layers, config);
                for (int i = 0; i < layers.size(); i++) {
                    boolean fetched = arrivals.get(i).get();
                    fresh |= fetched;
                    unpack(layers.get(i), config, i, fetched, lease, progress);
                }
                store.referToSnapshot(configuration, config);
            } catch (ExecutionException e) {
                throw cause(e);
            } finally {
                // Whatever is still under way is not wanted any more.
                executor.shutdownNow();
            }
        }
        // From the inside out: what is there has all its parts.
        for (Document document : plan.documents().reversed()) {
            store.store(document.descriptor(), document.bytes().toByteArray(), document.read(), lease);
        }
        return fresh;
    }

    static void requireSameLayers(List<ContentDescriptor> layers, ImageConfig config) throws IOException {
        if (config.diffIds().size() != layers.size()) {
            throw new IOException("the image has " + layers.size() + " layers, but its configuration names "
                    + config.diffIds().size());
        }
    }

    private boolean fetchLayer(
            Repository repository, ContentDescriptor layer, Lease lease, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        String id = shortId(layer);
        boolean fetched = transfers.fetch(
                repository,
                layer,
                Map.of(),
                lease,
                now(id, "Downloading", layer.size(), progress),
                text -> progress.accept(new ImageProgress.Status(id, text)));
        ImagePush.remember(store, repository.name(), layer);
        if (fetched) {
            progress.accept(new ImageProgress.Status(id, "Verifying Checksum"));
            progress.accept(new ImageProgress.Status(id, "Download complete"));
        }
        return fetched;
    }

    /** Tells how far a transfer is, but not of every byte. */
    static LongConsumer now(String id, String text, long total, Consumer<ImageProgress> progress) {
        return new LongConsumer() {
            private long toldNanos = System.nanoTime() - PROGRESS_PAUSE.toNanos();

            @Override
            public void accept(long current) {
                long nowNanos = System.nanoTime();
                if (nowNanos - toldNanos >= PROGRESS_PAUSE.toNanos() || current == total) {
                    toldNanos = nowNanos;
                    progress.accept(new ImageProgress.Transfer(id, text, current, total));
                }
            }
        };
    }

    private void unpack(
            ContentDescriptor layer,
            ImageConfig config,
            int index,
            boolean fetched,
            Lease lease,
            Consumer<ImageProgress> progress)
            throws IOException {
        String id = shortId(layer);
        Layers snapshots = store.layers();
        String chain = Layers.chainId(config.diffIds().subList(0, index + 1));
        boolean there = snapshots.has(chain);
        if (there) {
            lease.keepSnapshot(snapshots.snapshotter(), chain);
            there = snapshots.has(chain);
        }
        if (!there) {
            progress.accept(new ImageProgress.Transfer(id, "Extracting", layer.size(), layer.size()));
            snapshots.unpack(ImageStore.descriptor(layer), config.diffIds(), index, lease.interceptor());
        }
        progress.accept(new ImageProgress.Status(id, there && !fetched ? "Already exists" : "Pull complete"));
    }

    static IOException cause(ExecutionException e) throws InterruptedException {
        Throwable cause = e.getCause();
        return switch (cause) {
            case IOException io -> io;
            case RuntimeException runtime -> throw runtime;
            case InterruptedException interrupted -> {
                InterruptedException own = new InterruptedException();
                own.initCause(interrupted);
                throw own;
            }
            case null, default -> new IOException("the layer could not be fetched", cause);
        };
    }

    static String shortId(ContentDescriptor content) {
        return content.digest().substring("sha256:".length(), "sha256:".length() + SHORT_ID_LENGTH);
    }
}
