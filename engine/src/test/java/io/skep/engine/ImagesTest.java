package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.Empty;
import io.skep.containerd.leases.DeleteRequest;
import io.skep.containerd.leases.ListRequest;
import io.skep.engine.ImageUsers.User;
import io.skep.engine.image.Registries;
import io.skep.engine.image.RegistrySettings;
import io.skep.engine.record.ImageDeletion;
import io.skep.engine.record.ImageInspect;
import io.skep.engine.record.ImageSummary;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Images against a real containerd and a real registry. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class ImagesTest {
    private static final int LARGE_BYTES = 3 << 20;

    /** A hash by bcrypt, the only kind that the registry takes. */
    private static final String HASH_OF_HONEY = "$2b$04$mglV7GJCBct.ds.4URQLhO3YZQHQWhS.evhtKoXq4dtXMY/KgC8T.";

    private ContainerdFixture fixture;
    private RegistryFixture registry;
    private final List<User> users = new CopyOnWriteArrayList<>();
    private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
    private Images images;
    private ImageStore store;

    @BeforeAll
    void start() throws Exception {
        fixture = new ContainerdFixture();
        registry = new RegistryFixture();
    }

    @AfterAll
    void stop() throws IOException {
        registry.close();
        fixture.close();
    }

    @BeforeEach
    void begin() {
        store = new ImageStore(fixture.containerd, new Layers(fixture.containerd, "overlayfs"), InstantSource.system());
        images = images(store, List.of());
    }

    private Images images(ImageStore from, List<String> mirrors) {
        RegistrySettings settings = new RegistrySettings(
                mirrors, List.of(), Path.of("/nowhere"), 3, 5, 3, Duration.ofMillis(10), Duration.ofSeconds(20));
        return new Images(from, () -> users, new Registries(settings, Map.of()), InstantSource.system(), events::add);
    }

    @AfterEach
    void end() {
        users.clear();
        registry.fault = (exchange, body) -> false;
        registry.requests.clear();
        for (ImageSummary each : images.list(Images.Filter.NONE, false, false)) {
            images.remove(each.getId(), true);
        }
        // Ending the last lease makes containerd collect at once.
        store.lease("end").endAll("end", true);
        fixture.containerd
                .leases()
                .list(ListRequest.getDefaultInstance())
                .getLeasesList()
                .forEach(each -> fixture.containerd
                        .leases()
                        .delete(DeleteRequest.newBuilder()
                                .setId(each.getId())
                                .setSync(true)
                                .build()));
        assertThat(store.contents().sizes()).as("left over").isEmpty();
        events.clear();
    }

    private List<String> load(byte[] archive) throws InterruptedException {
        List<String> told = new ArrayList<>();
        images.load(new ByteArrayInputStream(archive), List.of(), each -> told.add(text(each)));
        return told;
    }

    private static String text(ImageProgress progress) {
        return switch (progress) {
            case ImageProgress.Status status -> (status.id().isEmpty() ? "" : status.id() + ": ") + status.text();
            case ImageProgress.Transfer transfer -> transfer.id() + ": " + transfer.text();
            case ImageProgress.Output output -> output.text();
            case ImageProgress.Pushed pushed -> pushed.tag() + " " + pushed.digest();
        };
    }

    private List<String> pull(String name) throws InterruptedException {
        return pull(name, "");
    }

    private List<String> pull(String name, String platform) throws InterruptedException {
        List<String> told = new CopyOnWriteArrayList<>();
        images.pull(name, platform, "", each -> told.add(text(each)));
        return told;
    }

    private List<String> push(String repository, String tag) throws InterruptedException {
        List<String> told = new CopyOnWriteArrayList<>();
        images.push(repository, tag, "", "", each -> told.add(text(each)));
        return told;
    }

    /** Puts an image into the registry and takes it away here. */
    private String published(String name, TestImages.Parts image) throws InterruptedException {
        load(TestImages.legacyArchive(image, name));
        push(name, "");
        String digest = images.inspect(name, "", false).getRepoDigests(0);
        images.remove(name, true);
        return digest.substring(digest.indexOf('@') + 1);
    }

    private List<String> names() {
        return images.list(Images.Filter.NONE, false, false).stream()
                .flatMap(each -> each.getRepoTagsList().stream())
                .sorted()
                .toList();
    }

    private List<String> actions() {
        return events.stream().map(EngineEvent::action).toList();
    }

    private int leases() {
        return fixture.containerd
                .leases()
                .list(ListRequest.getDefaultInstance())
                .getLeasesCount();
    }

    @Test
    void anImageIsLoadedPushedRemovedAndPulled() throws Exception {
        byte[] base = TestImages.layer("bin/base", 5000);
        TestImages.Parts image = TestImages.image(base, TestImages.layer("bin/top", 700));
        String name = registry.address + "/hive/bee:one";
        assertThat(load(TestImages.legacyArchive(image, name))).containsExactly("Loaded image: " + name + "\n");
        assertThat(images.inspect(name, "", false).getId()).isEqualTo(image.id());
        assertThat(push(name, ""))
                .contains("The push refers to repository [" + registry.address + "/hive/bee]")
                .anyMatch(each -> each.endsWith(": Pushed"))
                .anyMatch(each -> each.startsWith("one: digest: sha256:"));
        assertThat(push(name, "")).anyMatch(each -> each.endsWith(": Layer already exists"));
        String digest = images.inspect(name, "", false).getRepoDigests(0);

        List<ImageDeletion> deletions = images.remove(name, false);
        assertThat(deletions).extracting(ImageDeletion::getUntagged).contains(name, digest);
        assertThat(deletions).extracting(ImageDeletion::getDeleted).contains(image.id());
        assertThat(names()).isEmpty();
        assertThat(store.contents().sizes()).isEmpty();

        assertThat(pull(name))
                .contains("one: Pulling from hive/bee", "Status: Downloaded newer image for " + name)
                .anyMatch(each -> each.endsWith(": Pull complete"));
        assertThat(pull(name)).contains("Status: Image is up to date for " + name);
        ImageInspect inspect = images.inspect(name, "", true);
        assertThat(inspect.getId()).isEqualTo(image.id());
        assertThat(inspect.getRepoDigestsList()).containsExactly(digest);
        assertThat(inspect.getRootFs().getLayersCount()).isEqualTo(2);
        assertThat(inspect.getConfig().getLabelsMap()).containsEntry("bee", "hive");
        assertThat(inspect.getSize()).isGreaterThan(5700);
        assertThat(inspect.getManifests(0).getAvailable()).isTrue();
        assertThat(images.history(name, "")).hasSize(3);
        assertThat(images.history(name, "").getFirst().getTagsList()).containsExactly(name);
        assertThat(images.inspect(digest, "", false).getId()).isEqualTo(image.id());
        assertThat(images.inspect(image.id().substring(7, 19), "", false).getId())
                .isEqualTo(image.id());
        assertThat(store.require(name, "").chainId())
                .isEqualTo(Layers.chainId(inspect.getRootFs().getLayersList()));
        assertThat(leases()).isZero();
        assertThat(actions()).containsExactly("load", "push", "push", "untag", "untag", "delete", "pull", "pull");
    }

    @Test
    void whatIsSavedCanBeLoadedByUsInEveryPacking() throws Exception {
        Map<String, TestImages.Parts> both = new LinkedHashMap<>();
        both.put("arm64", TestImages.image("arm64", "2026-01-02T03:04:05Z", Map.of(), TestImages.layer("arm", 10)));
        both.put("amd64", TestImages.image(TestImages.layer("amd", 10)));
        load(TestImages.layout("docker.io/library/both:1", both));
        ByteArrayOutputStream saved = new ByteArrayOutputStream();
        images.save(List.of("both:1"), List.of(), saved);
        String digest = images.list(Images.Filter.NONE, false, false)
                .getFirst()
                .getTarget()
                .getDigest();
        images.remove("both:1", false);

        assertThat(load(TestImages.gzip(saved.toByteArray()))).containsExactly("Loaded image: both:1\n");
        assertThat(images.list(Images.Filter.NONE, false, false)
                        .getFirst()
                        .getTarget()
                        .getDigest())
                .isEqualTo(digest);
        assertThat(images.inspect("both:1", "linux/arm64", false).getId())
                .isEqualTo(both.get("arm64").id());
        assertThat(images.inspect("both:1", "", false).getId())
                .isEqualTo(both.get("amd64").id());
        images.remove("both:1", false);

        Path plain = Files.createTempFile("skep", "tar");
        Path packed = plain.resolveSibling(plain.getFileName() + ".zst");
        try {
            Files.write(plain, saved.toByteArray());
            assertThat(new ProcessBuilder("zstd", "-q", plain.toString(), "-o", packed.toString())
                            .inheritIO()
                            .start()
                            .waitFor())
                    .isZero();
            assertThat(load(Files.readAllBytes(packed))).containsExactly("Loaded image: both:1\n");
        } finally {
            Files.deleteIfExists(plain);
            Files.deleteIfExists(packed);
        }
    }

    @Test
    void thePlatformThatIsAskedForIsPulledFromAnIndex() throws Exception {
        Map<String, TestImages.Parts> both = new LinkedHashMap<>();
        both.put("arm64", TestImages.image("arm64", "2026-01-02T03:04:05Z", Map.of(), TestImages.layer("arm", 10)));
        both.put("amd64", TestImages.image(TestImages.layer("amd", 10)));
        String name = registry.address + "/both:1";
        load(TestImages.layout(name, both));
        push(name, "");
        images.remove(name, false);

        pull(name);
        assertThat(images.inspect(name, "", false).getId())
                .isEqualTo(both.get("amd64").id());
        assertThatThrownBy(() -> store.require(name, "linux/arm64"))
                .hasMessageContaining("does not match the specified platform (linux/arm64)");
        pull(name, "linux/arm64/v8");
        assertThat(store.require(name, "linux/arm64").id())
                .isEqualTo(both.get("arm64").id());
        assertThat(store.require(name, "").id()).isEqualTo(both.get("amd64").id());
        assertThatThrownBy(() -> pull(name, "linux/s390x"))
                .hasMessage("no matching manifest for linux/s390x in the manifest list entries")
                .isInstanceOf(EngineException.class);
        assertThat(images.distribution(name, "").platforms()).hasSize(2);
        assertThat(images.list(Images.Filter.NONE, false, true).getFirst().getManifestsList())
                .hasSize(2)
                .allMatch(each -> each.getAvailable());
    }

    @Test
    void namesMoveAndTheOldImageDangles() throws Exception {
        TestImages.Parts one = TestImages.image(TestImages.layer("one", 10));
        TestImages.Parts two = TestImages.image(TestImages.layer("two", 10));
        load(TestImages.legacyArchive(one, "bee:1"));
        images.tag("bee:1", "hive/other", "2");
        load(TestImages.legacyArchive(two, "bee:1"));
        assertThat(names()).containsExactly("bee:1", "hive/other:2");
        load(TestImages.legacyArchive(two, "hive/other:2"));
        Images.Filter dangling =
                new Images.Filter(List.of(), List.of(), Optional.of(true), List.of(), List.of(), List.of(), List.of());
        assertThat(images.list(dangling, false, false))
                .extracting(ImageSummary::getId)
                .containsExactly(one.id());
        assertThat(images.prune(Images.Filter.NONE).getImagesDeletedList())
                .extracting(ImageDeletion::getDeleted)
                .contains(one.id());
        assertThat(images.list(dangling, false, false)).isEmpty();
        assertThat(names()).containsExactly("bee:1", "hive/other:2");
    }

    @Test
    void whatIsNeededIsNotRemoved() throws Exception {
        TestImages.Parts image = TestImages.image(TestImages.layer("one", 10));
        load(TestImages.legacyArchive(image, "bee:1", "wasp:1"));
        String id = image.id().substring(7, 19);
        assertThatThrownBy(() -> images.remove(id, false))
                .hasMessage("conflict: unable to delete " + id
                        + " (must be forced) - image is referenced in multiple repositories");
        assertThat(images.remove("wasp:1", false)).hasSize(1);
        users.add(new User("0123456789abcdef", image.id(), false));
        assertThatThrownBy(() -> images.remove("bee:1", false))
                .hasMessage("conflict: unable to remove repository reference \"bee:1\" (must force) - container"
                        + " 0123456789ab is using its referenced image " + id);
        assertThatThrownBy(() -> images.remove(id, false))
                .hasMessage("conflict: unable to delete " + id
                        + " (must be forced) - image is being used by stopped container 0123456789ab");
        users.set(0, new User("0123456789abcdef", image.id(), true));
        assertThatThrownBy(() -> images.remove(id, true))
                .hasMessage("conflict: unable to delete " + id
                        + " (cannot be forced) - image is being used by running container 0123456789ab");
        assertThat(images.remove("bee:1", true)).hasSize(1);
        assertThat(images.list(Images.Filter.NONE, false, false))
                .extracting(ImageSummary::getId)
                .containsExactly(image.id());
        assertThatThrownBy(() -> images.remove("bee:1", true)).hasMessage("No such image: bee:1");
    }

    @Test
    void filesAreImported() throws Exception {
        byte[] files = new Tar().file("etc/hello", "hello").bytes();
        String id = images.importFiles(
                new ByteArrayInputStream(TestImages.gzip(files)),
                "imported",
                "1",
                "linux/arm/v7",
                List.of("CMD [\"cat\",\"/etc/hello\"]", "ENV a=\"b c\" d=e", "EXPOSE 80 81/udp", "LABEL x=y"),
                "by hand");
        ImageInspect inspect = images.inspect("imported:1", "", false);
        assertThat(inspect.getId()).isEqualTo(id);
        assertThat(inspect.getConfig().getCmdList()).containsExactly("cat", "/etc/hello");
        assertThat(inspect.getConfig().getEnvList()).containsExactly("a=b c", "d=e");
        assertThat(inspect.getConfig().getExposedPortsList()).containsExactly("80/tcp", "81/udp");
        assertThat(inspect.getVariant()).isEqualTo("v7");
        assertThat(inspect.getRootFs().getLayersList()).containsExactly(Digests.of(files));
        assertThat(images.history("imported:1", "").getFirst().getComment()).isEqualTo("by hand");
        assertThatThrownBy(() -> images.importFiles(new ByteArrayInputStream(files), "", "", "", List.of("RUN sh"), ""))
                .hasMessage("run is not a valid change command");
    }

    @Test
    void aDownloadThatBreaksOffIsTakenUpWhereItBroke() throws Exception {
        String name = registry.faulty + "/broken:1";
        published(name, TestImages.image(TestImages.layer("large", LARGE_BYTES)));
        registry.requests.clear();
        List<Integer> left = new CopyOnWriteArrayList<>(List.of(1));
        registry.fault = (exchange, body) -> {
            if (body.length < LARGE_BYTES || left.isEmpty()) {
                return false;
            }
            left.removeFirst();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body, 0, 2 << 20);
            return true;
        };
        pull(name);
        assertThat(registry.requests).anyMatch(each -> each.contains("bytes=2097152-"));
        assertThat(names()).containsExactly(name);
        assertThat(leases()).isZero();
    }

    @Test
    void whatIsNotWhatItsDigestSaysIsRefused() throws Exception {
        String name = registry.faulty + "/wrong:1";
        published(name, TestImages.image(TestImages.layer("large", LARGE_BYTES)));
        registry.fault = (exchange, body) -> {
            if (body.length < LARGE_BYTES) {
                return false;
            }
            body[1000] ^= 1;
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            return true;
        };
        assertThatThrownBy(() -> pull(name)).hasMessageContaining("filesystem layer verification failed for digest");
        assertThat(names()).isEmpty();
        registry.fault = (exchange, body) -> {
            if (!exchange.getRequestURI().getPath().contains("/manifests/")) {
                return false;
            }
            byte[] other = new String(body, StandardCharsets.UTF_8)
                    .replace("layers", "layer ")
                    .getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, other.length);
            exchange.getResponseBody().write(other);
            return true;
        };
        assertThatThrownBy(() -> pull(name)).hasMessageContaining("manifest verification failed for digest");
        registry.fault = (exchange, body) -> false;
        pull(name);
        assertThat(names()).containsExactly(name);
    }

    @Test
    void aRegistryThatFailsIsAskedAgainAndThenGivenUp() throws Exception {
        String name = registry.faulty + "/failing:1";
        published(name, TestImages.image(TestImages.layer("small", 100)));
        List<Integer> left = new CopyOnWriteArrayList<>(List.of(1, 2));
        registry.fault = (exchange, body) -> {
            if (left.isEmpty() || exchange.getRequestURI().getPath().equals("/v2/")) {
                return false;
            }
            left.removeFirst();
            exchange.sendResponseHeaders(503, -1);
            return true;
        };
        pull(name);
        images.remove(name, false);
        registry.fault = (exchange, body) -> {
            if (!exchange.getRequestURI().getPath().contains("/blobs/")) {
                return false;
            }
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body, 0, body.length / 2);
            exchange.getResponseBody().flush();
            return true;
        };
        assertThatThrownBy(() -> pull(name)).hasMessageContaining("unexpected end after ");
        assertThatThrownBy(() -> pull(registry.address + "/nothing:1"))
                .hasMessageStartingWith("manifest for " + registry.address + "/nothing:1 not found: manifest unknown");
        assertThatThrownBy(() -> pull("localhost:1/nothing:1")).hasMessageContaining("Connection refused");
    }

    @Test
    void anEngineThatDiedInAPullLosesNothingAndKeepsNothing() throws Exception {
        String name = registry.faulty + "/died:1";
        byte[] layer = TestImages.layer("large", LARGE_BYTES);
        String large = Digests.of(layer);
        published(name, TestImages.image(TestImages.layer("first", 100), layer));
        CountDownLatch stalled = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        registry.fault = (exchange, body) -> {
            if (body.length < LARGE_BYTES || stalled.getCount() == 0) {
                return false;
            }
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body, 0, (2 << 20) + 1);
            exchange.getResponseBody().flush();
            stalled.countDown();
            try {
                return go.await(60, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        };
        // The connection to containerd goes without a word, as that of a killed engine.
        Containerd dying = new Containerd(fixture.process.socket(), "skep-test", fixture.loops);
        ImageStore dyingStore = new ImageStore(dying, new Layers(dying, "overlayfs"), InstantSource.system());
        Images dyingImages = images(dyingStore, List.of());
        CompletableFuture<Void> pull = CompletableFuture.runAsync(() -> {
            try {
                dyingImages.pull(name, "", "", each -> {});
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(stalled.await(60, TimeUnit.SECONDS)).isTrue();
        while (store.contents().uploaded("skep-" + large) < (2 << 20)) {
            Thread.onSpinWait();
        }
        dying.close();
        go.countDown();
        assertThatThrownBy(pull::join).isNotNull();
        assertThat(leases()).isPositive();
        registry.requests.clear();

        pull(name);
        assertThat(registry.requests).anyMatch(each -> each.contains(large) && each.contains("bytes=2097152-"));
        assertThat(registry.requests)
                .filteredOn(each -> each.contains("/blobs/"))
                .hasSize(1);
        assertThat(leases()).isZero();
        assertThat(names()).containsExactly(name);
    }

    @Test
    void aKilledContainerdEndsAPullAndTheNextOneSucceeds() throws Exception {
        String name = registry.faulty + "/killed:1";
        published(name, TestImages.image(TestImages.layer("large", LARGE_BYTES)));
        List<Integer> left = new CopyOnWriteArrayList<>(List.of(1));
        registry.fault = (exchange, body) -> {
            if (body.length < LARGE_BYTES || left.isEmpty()) {
                return false;
            }
            left.removeFirst();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body, 0, 2 << 20);
            exchange.getResponseBody().flush();
            ProcessHandle.of(Long.parseLong(Files.readString(fixture.folder.resolve("run/containerd/containerd.pid"))
                            .strip()))
                    .orElseThrow()
                    .destroyForcibly();
            exchange.getResponseBody().write(body, 2 << 20, body.length - (2 << 20));
            return true;
        };
        assertThatThrownBy(() -> pull(name)).isNotNull();
        var _ = fixture.containerd
                .version()
                .withWaitForReady()
                .withDeadlineAfter(Duration.ofSeconds(60))
                .version(Empty.getDefaultInstance());
        assertThat(names()).isEmpty();
        pull(name);
        assertThat(names()).containsExactly(name);
        assertThat(store.require(name, "").chainId()).isNotEmpty();
    }

    @Test
    void archivesThatLieAreRefusedAndLeaveNothing() throws Exception {
        TestImages.Parts image = TestImages.image(TestImages.layer("one", 1000));
        byte[] archive = TestImages.legacyArchive(image, "bad:1");
        byte[] cut = Arrays.copyOf(archive, 1500);
        assertThatThrownBy(() -> load(cut)).isInstanceOf(EngineException.class);
        byte[] changed = archive.clone();
        changed[1800] ^= 1;
        assertThatThrownBy(() -> load(changed)).hasMessageContaining("but the image's configuration names");
        assertThatThrownBy(() -> load("no archive at all".getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(EngineException.class);
        byte[] layout = TestImages.layout("docker.io/library/bad:1", Map.of("amd64", image));
        byte[] wrong = layout.clone();
        wrong[1600] ^= 1;
        assertThatThrownBy(() -> load(wrong)).hasMessageContaining("holds something else");
        assertThatThrownBy(() -> load(new Tar()
                        .file("manifest.json", "[{\"Config\":\"../../etc/passwd\"}]")
                        .bytes()))
                .hasMessageContaining("it does not hold ../../etc/passwd");
        assertThatThrownBy(() -> load(new byte[0])).isInstanceOf(EngineException.class);
        assertThat(names()).isEmpty();
    }

    @Test
    void aLayerCannotWriteOutsideItsImage() throws Exception {
        Path outside = fixture.folder.resolve("escaped");
        byte[] layer = new Tar()
                .link("out", fixture.folder.toString())
                .file("out/escaped", "x")
                .file("../../../../../../../../../.." + outside, "x")
                .bytes();
        load(TestImages.legacyArchive(TestImages.image(layer), "escape:1"));
        assertThat(outside).doesNotExist();
    }

    @Test
    void aFullDiskEndsAPullAndLeavesRoom() throws Exception {
        String name = registry.address + "/full:1";
        published(name, TestImages.image(TestImages.layer("large", LARGE_BYTES)));
        Path folder = ContainerdFixture.emptyFolder();
        run("mount", "-t", "tmpfs", "-o", "size=2m", "skep-test", folder.toString());
        try (ContainerdFixture small = new ContainerdFixture(folder.resolve("in"))) {
            ImageStore full =
                    new ImageStore(small.containerd, new Layers(small.containerd, "overlayfs"), InstantSource.system());
            assertThatThrownBy(() -> images(full, List.of()).pull(name, "", "", each -> {}))
                    .hasMessageContaining("no space left on device");
            assertThat(full.contents().sizes()).isEmpty();
            assertThat(full.names()).isEmpty();
        } finally {
            run("umount", "-l", folder.toString());
            Files.delete(folder);
        }
    }

    private static void run(String... command) throws Exception {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).isZero();
    }

    @Test
    void aMirrorIsAskedFirstAndItsLackIsNoFailure() throws Exception {
        published(registry.address + "/library/mirrored:1", TestImages.image(TestImages.layer("m", 10)));
        images = images(store, List.of("http://" + registry.faulty));
        pull("mirrored:1");
        assertThat(names()).containsExactly("mirrored:1");
        assertThat(registry.requests).anyMatch(each -> each.startsWith("GET /v2/library/mirrored/manifests/1"));
    }

    @Test
    void aPasswordIsShownToARegistryThatWantsOne() throws Exception {
        try (RegistryFixture closed = new RegistryFixture("""
                auth:
                  htpasswd:
                    realm: hive
                    path: FOLDER/passwords
                """, folder -> {
            try {
                Files.writeString(folder.resolve("passwords"), "bee:" + HASH_OF_HONEY + "\n");
                return folder;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        })) {
            String name = closed.address + "/secret:1";
            load(TestImages.legacyArchive(TestImages.image(TestImages.layer("s", 10)), name));
            assertThatThrownBy(() -> images.push(name, "", "", "", each -> {}))
                    .hasMessageContaining("no basic auth credentials");
            String header = Base64.getUrlEncoder()
                    .encodeToString("{\"username\":\"bee\",\"password\":\"honey\"}".getBytes(StandardCharsets.UTF_8));
            images.push(name, "", "", header, each -> {});
            images.remove(name, false);
            assertThatThrownBy(() -> pull(name)).hasMessageContaining("no basic auth credentials");
            images.pull(name, "", header, each -> {});
            assertThat(names()).containsExactly(name);
        }
    }
}
