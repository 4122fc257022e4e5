package io.skep.api;

import io.skep.engine.ImageProgress;
import io.skep.engine.Images;
import io.skep.engine.image.Platform;
import io.skep.engine.record.ImageInspect;
import io.skep.engine.record.ImageSummary;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Images: brought, sent, shown, named, kept in files, removed (engine-api 2.3). */
final class ImageEndpoints {
    private static final String REGISTRY_AUTH = "X-Registry-Auth";
    private static final ApiVersion WITH_DESCRIPTORS = ApiVersion.parse("1.48");
    private static final ApiVersion WITH_MANIFESTS = ApiVersion.parse("1.47");
    private static final ApiVersion WITHOUT_VIRTUAL_SIZE = ApiVersion.parse("1.44");
    private static final int SAVE_PIECE_BYTES = 64 << 10;

    private final EngineGate gate;

    ImageEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/images/json", this::list);
        router.addStreamed("POST", "/images/create", this::create);
        router.add("GET", "/images/get", call -> save(call, call.query().getOrDefault("names", List.of())));
        router.add("GET", "/images/search", call -> {
            throw new ApiException(
                    501, "searching registries is not supported: use the page of the registry, then docker pull");
        });
        router.addStreamed("POST", "/images/load", this::load);
        router.add("POST", "/images/prune", this::prune);
        router.add("GET", "/images/{name...}/json", this::inspect);
        router.add("GET", "/images/{name...}/history", this::history);
        router.add("GET", "/images/{name...}/get", call -> save(call, List.of(call.path("name"))));
        router.add("POST", "/images/{name...}/push", this::push);
        router.add("POST", "/images/{name...}/tag", this::tag);
        router.add("DELETE", "/images/{name...}", this::remove);
        router.add("GET", "/distribution/{name...}/json", this::distribution);
    }

    private Images images() {
        return gate.engine().images();
    }

    private Reply list(Call call) {
        Filters filters = call.filters("before", "dangling", "label", "label!", "reference", "since", "until");
        boolean manifests = call.flag("manifests") && call.version().compareTo(WITH_MANIFESTS) >= 0;
        List<ImageSummary> summaries = new ArrayList<>();
        for (ImageSummary each : images().list(filter(filters), call.flag("shared-size"), manifests)) {
            ImageSummary.Builder summary = each.toBuilder();
            if (call.version().compareTo(WITHOUT_VIRTUAL_SIZE) < 0) {
                summary.setVirtualSize(each.getSize());
            }
            if (call.version().compareTo(WITH_DESCRIPTORS) < 0) {
                summary.clearTarget();
            }
            if (call.version().compareTo(WITHOUT_VIRTUAL_SIZE) < 0 && each.getRepoTagsCount() == 0) {
                // The words by which old clients know an image without name.
                if (each.getRepoDigestsCount() == 0) {
                    summary.addRepoDigests("<none>@<none>");
                }
                summary.addRepoTags("<none>:<none>");
            }
            summaries.add(summary.build());
        }
        return Reply.json(RecordJson.array(summaries));
    }

    private static Images.Filter filter(Filters filters) {
        Instant now = Instant.now();
        return new Images.Filter(
                List.copyOf(filters.get("before")),
                List.copyOf(filters.get("since")),
                filters.has("dangling") ? Optional.of(filters.flag("dangling")) : Optional.empty(),
                List.copyOf(filters.get("label")),
                List.copyOf(filters.get("label!")),
                List.copyOf(filters.get("reference")),
                filters.get("until").stream()
                        .map(text -> Times.parseOrAgo("until", text, now))
                        .toList());
    }

    private static String auth(Call call) {
        String header = call.header(REGISTRY_AUTH);
        return header == null ? "" : header;
    }

    private Reply create(Call call) throws InterruptedException {
        String platform = call.query("platform");
        String source = call.query("fromSrc");
        String tag = call.query("tag");
        Images images = images();
        if (source.equals("-")) {
            return ProgressReply.of(progress -> {
                String id = images.importFiles(
                        call.input(),
                        call.query("repo"),
                        tag,
                        platform,
                        call.query().getOrDefault("changes", List.of()),
                        call.query("message"));
                progress.accept(new ImageProgress.Status("", id));
            });
        }
        if (!source.isEmpty()) {
            throw new ApiException(
                    501, "importing from a URL is not supported: fetch " + source + " yourself and import the file");
        }
        String image = call.query("fromImage");
        if (image.isEmpty()) {
            throw new ApiException(400, "fromImage or fromSrc is wanted");
        }
        if (tag.isEmpty() && !isTagged(image)) {
            return ProgressReply.of(progress -> images.pullAll(image, platform, auth(call), progress));
        }
        String name = tag.isEmpty() ? image : image + (tag.contains(":") ? "@" : ":") + tag;
        return ProgressReply.of(progress -> images.pull(name, platform, auth(call), progress));
    }

    private static boolean isTagged(String name) {
        return name.indexOf('@') >= 0 || name.lastIndexOf(':') > name.lastIndexOf('/');
    }

    private Reply push(Call call) throws InterruptedException {
        Images images = images();
        String platform = platform(call.query("platform"));
        return ProgressReply.of(
                progress -> images.push(call.path("name"), call.query("tag"), platform, auth(call), progress));
    }

    /** Reads a platform, which newer clients write as an object. */
    private static String platform(String text) {
        if (!text.startsWith("{")) {
            return text;
        }
        JsonIn json = JsonIn.parse(text.getBytes(StandardCharsets.UTF_8));
        return new Platform(
                        json.text("os"),
                        json.text("architecture"),
                        json.text("variant"),
                        json.text("os.version"),
                        List.of())
                .toString();
    }

    private static List<String> platforms(Call call) {
        return call.query().getOrDefault("platform", List.of()).stream()
                .filter(each -> !each.isEmpty())
                .map(ImageEndpoints::platform)
                .toList();
    }

    private Reply inspect(Call call) {
        boolean manifests = call.flag("manifests") && call.version().compareTo(WITH_DESCRIPTORS) >= 0;
        ImageInspect.Builder inspect =
                images().inspect(call.path("name"), platform(call.query("platform")), manifests).toBuilder();
        if (call.version().compareTo(WITHOUT_VIRTUAL_SIZE) < 0) {
            inspect.setVirtualSize(inspect.getSize());
        }
        if (call.version().compareTo(WITH_DESCRIPTORS) < 0) {
            inspect.clearTarget();
        }
        return Reply.json(RecordJson.object(inspect.build()));
    }

    private Reply history(Call call) {
        return Reply.json(RecordJson.array(images().history(call.path("name"), platform(call.query("platform")))));
    }

    private Reply tag(Call call) {
        images().tag(call.path("name"), call.query("repo"), call.query("tag"));
        return Reply.empty(201);
    }

    private Reply remove(Call call) {
        if (!call.query("platforms").isEmpty()) {
            throw new ApiException(
                    501, "removing one platform of an image is not supported: remove the image as a whole");
        }
        return Reply.json(RecordJson.array(images().remove(call.path("name"), call.flag("force"))));
    }

    private Reply prune(Call call) {
        return Reply.json(
                RecordJson.object(images().prune(filter(call.filters("dangling", "label", "label!", "until")))));
    }

    private Reply distribution(Call call) throws InterruptedException {
        Images.Distribution distribution = images().distribution(call.path("name"), auth(call));
        return Reply.json(JsonOut.object(out -> {
            RecordJson.write(out, "Descriptor", distribution.descriptor());
            out.tree(
                    "Platforms",
                    distribution.platforms().stream().map(RecordJson::fields).toList());
        }));
    }

    private Reply load(Call call) throws InterruptedException {
        Images images = images();
        List<String> platforms = platforms(call);
        return ProgressReply.of(progress -> images.load(call.input(), platforms, progress));
    }

    private Reply save(Call call, List<String> names) {
        Images images = images();
        List<String> platforms = platforms(call);
        if (names.isEmpty()) {
            throw new ApiException(400, "names of images are wanted");
        }
        images.requireAll(names, platforms);
        return new Reply.Streamed(200, "application/x-tar", out -> {
            try (OutputStream pieces = new Pieces(out)) {
                images.save(names, platforms, pieces);
            }
        });
    }

    /** Gathers what is written into pieces worth sending. */
    private static final class Pieces extends OutputStream {
        private final ResponseStream out;
        private final byte[] piece = new byte[SAVE_PIECE_BYTES];
        private int length;

        Pieces(ResponseStream out) {
            this.out = out;
        }

        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int count) throws IOException {
            int from = offset;
            int left = count;
            while (left > 0) {
                int part = Math.min(left, piece.length - length);
                System.arraycopy(bytes, from, piece, length, part);
                length += part;
                from += part;
                left -= part;
                if (length == piece.length) {
                    flush();
                }
            }
        }

        @Override
        public void flush() throws IOException {
            try {
                out.write(Arrays.copyOf(piece, length));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("the answer is given up", e);
            }
            length = 0;
        }

        @Override
        public void close() throws IOException {
            flush();
        }
    }
}
