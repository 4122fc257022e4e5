package io.skep.api;

import io.skep.engine.EngineException;
import io.skep.engine.ImageProgress;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;

/**
 * The answer to an action on images: lines of JSON that tell how it gets on.
 *
 * <p>The action runs on a thread of its own. What fails before there is anything to tell is answered with a status, as
 * any other request; later failures become the last line. A client that leaves ends the action.
 */
final class ProgressReply {
    private static final int QUEUE_MAX = 1024;
    private static final int BAR_LENGTH = 50;
    private static final String[] UNITS = {"B", "kB", "MB", "GB", "TB"};

    private ProgressReply() {}

    /** What is done. */
    @FunctionalInterface
    interface Action {
        void run(Consumer<ImageProgress> progress) throws InterruptedException;
    }

    /** What the action says. */
    private sealed interface Word {
        record Progress(ImageProgress progress) implements Word {}

        record Failure(RuntimeException cause) implements Word {}

        record End() implements Word {}
    }

    static Reply of(Action action) throws InterruptedException {
        BlockingQueue<Word> words = new LinkedBlockingQueue<>(QUEUE_MAX);
        Thread worker = Thread.ofVirtual().name("api-images").start(() -> {
            try {
                Word last;
                try {
                    action.run(progress -> put(words, progress));
                    last = new Word.End();
                } catch (RuntimeException e) {
                    last = new Word.Failure(e);
                }
                words.put(last);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        Word first = words.take();
        if (first instanceof Word.Failure(RuntimeException cause)) {
            throw cause;
        }
        return new Reply.Streamed(200, "application/json", out -> {
            out.onEnd(worker::interrupt);
            try {
                write(out, first, words);
            } finally {
                worker.interrupt();
            }
        });
    }

    private static void put(BlockingQueue<Word> words, ImageProgress progress) {
        try {
            words.put(new Word.Progress(progress));
        } catch (InterruptedException e) {
            // Whoever tells notices at its next wait.
            Thread.currentThread().interrupt();
        }
    }

    private static void write(ResponseStream out, Word first, BlockingQueue<Word> words)
            throws IOException, InterruptedException {
        Word word = first;
        while (true) {
            switch (word) {
                case Word.Progress(ImageProgress progress) -> out.write(line(progress));
                case Word.Failure(RuntimeException cause) -> {
                    out.write(failure(cause));
                    return;
                }
                case Word.End() -> {
                    return;
                }
            }
            word = words.take();
        }
    }

    private static byte[] line(ImageProgress progress) {
        return ended(JsonOut.object(out -> {
            switch (progress) {
                case ImageProgress.Status(String id, String text) -> {
                    out.text("status", text);
                    if (!id.isEmpty()) {
                        out.tree("progressDetail", Map.of());
                    }
                    out.textOrOmit("id", id);
                }
                case ImageProgress.Transfer(String id, String text, long current, long total) -> {
                    out.text("status", text);
                    out.tree("progressDetail", Map.of("current", current, "total", total));
                    out.text("progress", bar(current, total));
                    out.text("id", id);
                }
                case ImageProgress.Output(String text) -> out.text("stream", text);
                case ImageProgress.Pushed(String tag, String digest, long size) -> {
                    out.tree("progressDetail", Map.of());
                    out.tree("aux", Map.of("Tag", tag, "Digest", digest, "Size", size));
                }
            }
        }));
    }

    private static byte[] failure(RuntimeException cause) {
        String message = cause instanceof EngineException refusal ? refusal.text() : "internal error: " + cause;
        return ended(JsonOut.object(out -> {
            out.tree("errorDetail", Map.of("message", message));
            out.text("error", message);
        }));
    }

    private static byte[] ended(byte[] json) {
        byte[] end = "\r\n".getBytes(StandardCharsets.US_ASCII);
        byte[] line = new byte[json.length + end.length];
        System.arraycopy(json, 0, line, 0, json.length);
        System.arraycopy(end, 0, line, json.length, end.length);
        return line;
    }

    /** Returns the bar that old clients print. */
    private static String bar(long current, long total) {
        if (total <= 0) {
            return size(current);
        }
        int filled = (int) (Math.min(current, total) * BAR_LENGTH / total);
        String arrow = filled < BAR_LENGTH ? "=".repeat(filled) + ">" : "=".repeat(BAR_LENGTH) + ">";
        return "[" + arrow + " ".repeat(Math.max(0, BAR_LENGTH - filled - 1)) + "]  " + size(current) + "/"
                + size(total);
    }

    private static String size(long bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 1000 && unit < UNITS.length - 1) {
            value /= 1000;
            unit++;
        }
        return (unit == 0 ? Long.toString(bytes) : String.format(Locale.ROOT, "%.4g", value)) + UNITS[unit];
    }
}
