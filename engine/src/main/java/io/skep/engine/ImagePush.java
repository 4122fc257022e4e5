package io.skep.engine;

import io.skep.engine.ImageStore.Found;
import io.skep.engine.ImageStore.Variant;
import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.Credentials;
import io.skep.engine.image.ImageDocument;
import io.skep.engine.image.Reference;
import io.skep.engine.image.Registries;
import io.skep.engine.image.RegistryException;
import io.skep.engine.image.RegistryException.Kind;
import io.skep.engine.image.Repository;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/**
 * Sends an image to a registry: what the registry has not yet, from the layers up to the name.
 *
 * <p>An index is sent as a whole when all its images are here, as it was when it was loaded or pulled for every
 * platform; else only the image for one platform can be sent.
 */
final class ImagePush {
    private static final String SOURCE_LABEL = "containerd.io/distribution.source.";

    private final ImageStore store;
    private final Registries registries;

    ImagePush(ImageStore store, Registries registries) {
        this.store = store;
        this.registries = registries;
    }

    /** What is sent under a name. */
    private record Cargo(
            ContentDescriptor target, List<ImageDocument.Manifest> images, List<ContentDescriptor> manifests) {}

    void push(Reference name, String platform, Credentials credentials, Consumer<ImageProgress> progress)
            throws InterruptedException {
        Found found = store.search(name.canonical())
                .orElseThrow(() -> EngineException.notFound("tag does not exist: " + name.familiar()));
        Cargo cargo = cargo(found, name, platform);
        progress.accept(new ImageProgress.Status("", "The push refers to repository [" + name.repository() + "]"));
        Repository repository = registries.forPush(name, credentials);
        try {
            send(repository, cargo, progress);
            for (ContentDescriptor manifest : cargo.manifests()) {
                sendDocument(repository, manifest.digest(), manifest);
            }
            sendDocument(repository, name.version(), cargo.target());
        } catch (RegistryException e) {
            throw new EngineException(
                    e.kind() == Kind.NOT_FOUND ? EngineException.Kind.NOT_FOUND : EngineException.Kind.INTERNAL,
                    String.valueOf(e.getMessage()),
                    e);
        } catch (IOException e) {
            throw EngineException.internal(String.valueOf(e.getMessage()), e);
        }
        ContentDescriptor target = cargo.target();
        if (target.digest().equals(found.target().digest())) {
            store.name(name.withDigest(target.digest()).canonical(), target);
        }
        progress.accept(new ImageProgress.Status(
                "", name.version() + ": digest: " + target.digest() + " size: " + target.size()));
        progress.accept(new ImageProgress.Pushed(name.version(), target.digest(), target.size()));
    }

    private Cargo cargo(Found found, Reference name, String platform) {
        if (platform.isEmpty() && store.document(found.target()).orElse(null) instanceof ImageDocument.Index index) {
            List<ImageDocument.Manifest> images = new ArrayList<>();
            for (ContentDescriptor each : index.manifests()) {
                if (store.document(each).orElse(null) instanceof ImageDocument.Manifest manifest) {
                    images.add(manifest);
                }
            }
            if (images.size() == index.manifests().size()) {
                return new Cargo(found.target(), images, index.manifests());
            }
        }
        Variant variant = ImageStore.forPlatform(found, name.familiar(), platform);
        return new Cargo(variant.manifest(), List.of(variant.document()), List.of());
    }

    private void sendDocument(Repository repository, String version, ContentDescriptor content)
            throws IOException, InterruptedException {
        ImageDocument document = store.document(content)
                .orElseThrow(() -> new IOException("the manifest " + content.digest() + " is not there any more"));
        byte[] bytes = store.contents().read(content.digest(), ImageDocument.BYTES_MAX);
        String type = content.mediaType().isEmpty() ? document.mediaType() : content.mediaType();
        repository.send(version, type, bytes);
    }

    private void send(Repository repository, Cargo cargo, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        Set<ContentDescriptor> layers = new LinkedHashSet<>();
        Set<ContentDescriptor> configurations = new LinkedHashSet<>();
        for (ImageDocument.Manifest image : cargo.images()) {
            layers.addAll(image.layers().reversed());
            configurations.add(image.config());
        }
        layers.forEach(layer -> progress.accept(new ImageProgress.Status(ImagePull.shortId(layer), "Preparing")));
        Semaphore slots = new Semaphore(registries.settings().uploadsMax());
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            try {
                List<Future<?>> all = new ArrayList<>();
                for (ContentDescriptor layer : layers) {
                    all.add(executor.submit(() -> {
                        slots.acquire();
                        try {
                            sendLayer(repository, layer, progress);
                        } finally {
                            slots.release();
                        }
                        return true;
                    }));
                }
                for (Future<?> each : all) {
                    each.get();
                }
            } catch (ExecutionException e) {
                throw ImagePull.cause(e);
            } finally {
                executor.shutdownNow();
            }
        }
        for (ContentDescriptor configuration : configurations) {
            if (!repository.has(configuration.digest())) {
                repository.upload(
                        configuration.digest(),
                        configuration.size(),
                        "",
                        out -> store.contents().copy(configuration.digest(), out));
            }
        }
    }

    private void sendLayer(Repository repository, ContentDescriptor layer, Consumer<ImageProgress> progress)
            throws IOException, InterruptedException {
        String id = ImagePull.shortId(layer);
        if (repository.has(layer.digest())) {
            progress.accept(new ImageProgress.Status(id, "Layer already exists"));
            remember(store, repository.name(), layer);
            return;
        }
        String other = other(repository.name(), layer);
        LongConsumer told = ImagePull.now(id, "Pushing", layer.size(), progress);
        boolean mounted = repository.upload(
                layer.digest(),
                layer.size(),
                other,
                out -> store.contents().copy(layer.digest(), new Counting(out, told)));
        progress.accept(new ImageProgress.Status(id, mounted ? "Mounted from " + other : "Pushed"));
        remember(store, repository.name(), layer);
    }

    /** Returns another repository of the same registry that the content came from or went to. */
    private String other(Reference name, ContentDescriptor layer) {
        String known = store.contents()
                .info(layer.digest())
                .map(info -> info.getLabelsMap().getOrDefault(SOURCE_LABEL + name.domain(), ""))
                .orElse("");
        return known.equals(name.path()) ? "" : known;
    }

    /** Notes which repository has a content, so that its registry need not be sent it again. */
    static void remember(ImageStore store, Reference name, ContentDescriptor layer) {
        store.contents().label(layer.digest(), Map.of(SOURCE_LABEL + name.domain(), name.path()));
    }

    private static final class Counting extends FilterOutputStream {
        private final LongConsumer progress;
        private long count;

        Counting(OutputStream out, LongConsumer progress) {
            super(out);
            this.progress = progress;
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
            count += length;
            progress.accept(count);
        }
    }
}
