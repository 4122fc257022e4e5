package io.skep.engine;

import io.skep.engine.image.ContentDescriptor;
import io.skep.engine.image.RegistryException;
import io.skep.engine.image.RegistrySettings;
import io.skep.engine.image.Repository;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Fetches contents from registries into the store of containerd.
 *
 * <p>Each content is fetched once, however many images want it at the same time. What arrived before a transfer broke
 * off stays with containerd under the name of the content, and the next attempt asks the registry for the rest only,
 * also when it is made by another engine after a crash. Should the whole then have another digest, it is fetched once
 * more from the beginning, as the part may have been the wrong one.
 */
final class ImageTransfers {
    private static final Duration PAUSE_MAX = Duration.ofSeconds(30);

    private final Contents contents;
    private final RegistrySettings settings;
    private final Map<String, CountDownLatch> underWay = new ConcurrentHashMap<>();

    ImageTransfers(Contents contents, RegistrySettings settings) {
        this.contents = contents;
        this.settings = settings;
    }

    /** Bytes from a registry; knows whether it was the registry that failed. */
    private static final class Incoming extends InputStream {
        private final InputStream in;
        private final long size;
        private final LongConsumer progress;
        private long at;
        private @Nullable IOException failure;

        Incoming(InputStream in, long offset, long size, LongConsumer progress) {
            this.in = in;
            this.at = offset;
            this.size = size;
            this.progress = progress;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            if (at >= size) {
                return -1;
            }
            int count;
            try {
                count = in.read(bytes, offset, (int) Math.min(length, size - at));
                if (count < 0) {
                    throw new EOFException("unexpected EOF");
                }
            } catch (IOException e) {
                failure =
                        new IOException("unexpected end after " + at + " of " + size + " bytes: " + e.getMessage(), e);
                throw failure;
            }
            at += count;
            progress.accept(at);
            return count;
        }
    }

    /**
     * Fetches a content that is not there.
     *
     * @param progress hears how many bytes there are
     * @param labels of a content that refers to others
     * @return whether it was fetched, not found
     */
    boolean fetch(
            Repository from,
            ContentDescriptor content,
            Map<String, String> labels,
            Lease lease,
            LongConsumer progress,
            Consumer<String> retrying)
            throws IOException, InterruptedException {
        while (true) {
            if (keepIfThere(content, lease)) {
                return false;
            }
            CountDownLatch mine = new CountDownLatch(1);
            CountDownLatch other = underWay.putIfAbsent(content.digest(), mine);
            if (other != null) {
                other.await();
                continue;
            }
            try {
                if (keepIfThere(content, lease)) {
                    return false;
                }
                attempt(from, content, labels, lease, progress, retrying);
                return true;
            } finally {
                underWay.remove(content.digest(), mine);
                mine.countDown();
            }
        }
    }

    private boolean keepIfThere(ContentDescriptor content, Lease lease) {
        if (!contents.has(content.digest())) {
            return false;
        }
        lease.keep(content.digest());
        return contents.has(content.digest());
    }

    private void attempt(
            Repository from,
            ContentDescriptor content,
            Map<String, String> labels,
            Lease lease,
            LongConsumer progress,
            Consumer<String> retrying)
            throws IOException, InterruptedException {
        String upload = "skep-" + content.digest();
        Duration pause = settings.retryPause();
        boolean anew = false;
        for (int attempt = 1; ; attempt++) {
            long offset = contents.uploaded(upload);
            if (offset > content.size()) {
                contents.abort(upload);
                offset = 0;
            }
            Incoming incoming = null;
            try (Repository.Download download = offset == content.size() && offset > 0
                    ? new Repository.Download(InputStream.nullInputStream(), offset)
                    : from.download(content.digest(), offset)) {
                if (download.offset() != offset) {
                    contents.abort(upload);
                }
                incoming = new Incoming(download.in(), download.offset(), content.size(), progress);
                contents.write(
                        upload,
                        content.digest(),
                        download.offset(),
                        content.size(),
                        incoming,
                        labels,
                        lease.interceptor());
                return;
            } catch (RegistryException e) {
                // The registry client has made its own attempts.
                throw e;
            } catch (IOException e) {
                if (Thread.interrupted()) {
                    InterruptedException interrupted = new InterruptedException();
                    interrupted.initCause(e);
                    throw interrupted;
                }
                String text = String.valueOf(e.getMessage());
                boolean wrong = incoming != null && incoming.failure == null && text.contains("unexpected commit");
                boolean passing = (incoming != null && incoming.failure != null) || text.contains("locked for");
                if (wrong && offset > 0 && !anew) {
                    anew = true;
                    contents.abort(upload);
                    continue;
                }
                if (wrong) {
                    throw new IOException("filesystem layer verification failed for digest " + content.digest(), e);
                }
                if (!passing || attempt >= settings.attemptsMax()) {
                    throw e;
                }
                retrying.accept("Retrying in " + Math.max(1, pause.toSeconds()) + " second"
                        + (pause.toSeconds() > 1 ? "s" : ""));
            }
            Thread.sleep(pause);
            Duration twice = pause.multipliedBy(2);
            pause = twice.compareTo(PAUSE_MAX) < 0 ? twice : PAUSE_MAX;
        }
    }
}
