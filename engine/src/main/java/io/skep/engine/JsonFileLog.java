package io.skep.engine;

import com.google.protobuf.ByteString;
import io.avaje.json.JsonException;
import io.avaje.json.JsonReader;
import io.avaje.json.stream.JsonStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * The log of a container as lines of JSON in a file, the format of Docker's json-file driver.
 *
 * <p>When the file has reached its size it becomes {@code .1}, what was {@code .1} becomes {@code .2}, and the oldest
 * goes; older files may be packed. Each file has a number, the generation, that only grows. A reader keeps the file
 * open that it reads, so it loses nothing when files are renamed under it, and finds the next one by its generation; a
 * reader so slow that whole generations went away meanwhile goes on with the oldest that is left.
 *
 * <p>Threads: writers and readers from any thread; {@link #lock} guards the writing end and tells readers of news. A
 * line that a crash left half written is closed with a line end before the next one, and readers pass it over.
 */
final class JsonFileLog implements ContainerLog {
    private static final JsonStream STREAM = JsonStream.builder().build();
    private static final int READ_BYTES = 64 << 10;

    /** Far more than the JSON of the longest line. */
    private static final int ENTRY_BYTES_MAX = 8 * LineSplitter.LINE_BYTES_MAX;

    private final Path path;
    private final long sizeBytesMax;
    private final int filesMax;
    private final boolean compress;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition news = lock.newCondition();
    private FileChannel out;
    private long sizeBytes;
    private long generation;
    private boolean live;

    /**
     * Opens or makes the log.
     *
     * @param sizeBytesMax size at which a file is put aside, or 0 for never
     * @param filesMax how many files there may be in all, at least 1
     * @param compress whether files that were put aside are packed
     */
    JsonFileLog(Path path, long sizeBytesMax, int filesMax, boolean compress) throws IOException {
        this.path = path;
        this.sizeBytesMax = sizeBytesMax;
        this.filesMax = filesMax;
        this.compress = compress;
        this.out = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        this.sizeBytes = out.size();
        out.position(sizeBytes);
        closeTornLine();
    }

    private void closeTornLine() throws IOException {
        if (sizeBytes == 0) {
            return;
        }
        ByteBuffer last = ByteBuffer.allocate(1);
        out.read(last, sizeBytes - 1);
        if (last.get(0) != '\n') {
            out.write(ByteBuffer.wrap(new byte[] {'\n'}));
            sizeBytes++;
        }
    }

    @Override
    public void write(List<LogLine> lines) throws IOException {
        lock.lock();
        try {
            live = true;
            ByteArrayOutputStream entries = new ByteArrayOutputStream();
            for (LogLine line : lines) {
                if (sizeBytesMax > 0 && sizeBytes + entries.size() >= sizeBytesMax) {
                    append(entries);
                    rotate();
                }
                encode(line, entries);
            }
            append(entries);
            news.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void append(ByteArrayOutputStream entries) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(entries.toByteArray());
        while (left.hasRemaining()) {
            sizeBytes += out.write(left);
        }
        entries.reset();
    }

    private void rotate() throws IOException {
        out.close();
        if (filesMax == 1) {
            Files.delete(path);
        } else {
            Files.deleteIfExists(aside(filesMax - 1, false));
            Files.deleteIfExists(aside(filesMax - 1, true));
            for (int i = filesMax - 2; i >= 1; i--) {
                move(aside(i, false), aside(i + 1, false));
                move(aside(i, true), aside(i + 1, true));
            }
            if (compress) {
                pack(path, aside(1, true));
            } else {
                move(path, aside(1, false));
            }
        }
        out = FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
        sizeBytes = 0;
        generation++;
    }

    private static void move(Path from, Path to) throws IOException {
        if (Files.exists(from)) {
            Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private static void pack(Path from, Path to) throws IOException {
        try (OutputStream packed = new GZIPOutputStream(Files.newOutputStream(to))) {
            Files.copy(from, packed);
        }
        Files.delete(from);
    }

    private Path aside(int number, boolean packed) {
        return path.resolveSibling(path.getFileName() + "." + number + (packed ? ".gz" : ""));
    }

    @Override
    public void ended() {
        lock.lock();
        try {
            live = false;
            news.signalAll();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void begun() {
        lock.lock();
        try {
            live = true;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws IOException {
        lock.lock();
        try {
            live = false;
            out.close();
            news.signalAll();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void read(LogOptions options, Reader reader) throws IOException, InterruptedException {
        try (Cursor cursor = options.tail() < 0 ? new Cursor() : tail(options.tail())) {
            LogLine line;
            while ((line = cursor.next(options.follow())) != null) {
                if (options.isPast(line) || (options.wants(line) && !reader.line(line))) {
                    return;
                }
            }
        }
    }

    /** Returns a cursor before the last lines of the log as it is now. */
    private Cursor tail(long lines) throws IOException {
        lock.lock();
        try {
            long left = lines;
            long oldest = oldest();
            for (long each = generation; each >= oldest; each--) {
                List<Long> starts = lineStarts(each);
                if (starts.size() >= left || each == oldest) {
                    int skipped = (int) Math.max(0, starts.size() - left);
                    long offset = left == 0 && each == generation
                            ? sizeBytes
                            : skipped < starts.size() ? starts.get(skipped) : 0;
                    return new Cursor(each, offset);
                }
                left -= starts.size();
            }
            return new Cursor();
        } finally {
            lock.unlock();
        }
    }

    /** Returns where the lines of one file begin. Called under the lock. */
    private List<Long> lineStarts(long wanted) throws IOException {
        List<Long> starts = new ArrayList<>();
        try (InputStream in = open(wanted)) {
            byte[] buffer = new byte[READ_BYTES];
            long offset = 0;
            boolean atStart = true;
            int length;
            while ((length = in.read(buffer)) > 0) {
                for (int i = 0; i < length; i++) {
                    if (atStart) {
                        starts.add(offset + i);
                    }
                    atStart = buffer[i] == '\n';
                }
                offset += length;
            }
        }
        return starts;
    }

    /** Returns the oldest generation that is left. Called under the lock. */
    private long oldest() {
        for (int i = filesMax - 1; i >= 1; i--) {
            if (Files.exists(aside(i, false)) || Files.exists(aside(i, true))) {
                return generation - i;
            }
        }
        return generation;
    }

    /** Opens the file of a generation that is there. Called under the lock. */
    private InputStream open(long wanted) throws IOException {
        if (wanted == generation) {
            return Files.newInputStream(path);
        }
        int number = (int) (generation - wanted);
        return Files.exists(aside(number, true))
                ? new GZIPInputStream(Files.newInputStream(aside(number, true)))
                : Files.newInputStream(aside(number, false));
    }

    /** A place in the log that moves on line by line, through all files. */
    private final class Cursor implements AutoCloseable {
        private long at;
        private InputStream in;
        private final byte[] buffer = new byte[READ_BYTES];
        private int start;
        private int end;
        private final ByteArrayOutputStream entry = new ByteArrayOutputStream();

        Cursor() throws IOException {
            lock.lock();
            try {
                at = oldest();
                in = open(at);
            } finally {
                lock.unlock();
            }
        }

        /** Begins in the middle of a file. Called under the lock. */
        Cursor(long generation, long offsetBytes) throws IOException {
            at = generation;
            in = open(at);
            in.skipNBytes(offsetBytes);
        }

        /** Returns the next line, or null at the end; when following, that is the end of the container. */
        @Nullable
        LogLine next(boolean follow) throws IOException, InterruptedException {
            while (true) {
                while (start < end) {
                    int newline = start;
                    while (newline < end && buffer[newline] != '\n') {
                        newline++;
                    }
                    if (entry.size() < ENTRY_BYTES_MAX) {
                        entry.write(buffer, start, newline - start);
                    }
                    start = newline + 1;
                    if (newline < end) {
                        LogLine line = decode(entry.toByteArray());
                        entry.reset();
                        if (line != null) {
                            return line;
                        }
                    }
                }
                if (!fill(follow)) {
                    return null;
                }
            }
        }

        /** Reads on; returns false when there is nothing more to come. */
        private boolean fill(boolean follow) throws IOException, InterruptedException {
            while (true) {
                long newest;
                boolean waits;
                lock.lock();
                try {
                    newest = generation;
                    waits = follow && live;
                } finally {
                    lock.unlock();
                }
                // Both were asked before reading: a file that was not the newest then, or a log that was not live, had
                // been written to its end.
                start = 0;
                end = Math.max(0, in.read(buffer));
                if (end > 0) {
                    return true;
                }
                lock.lock();
                try {
                    if (at < newest) {
                        in.close();
                        entry.reset();
                        at = Math.max(at + 1, oldest());
                        in = open(at);
                    } else if (!waits) {
                        return false;
                    } else if (generation == newest && live && in.available() == 0) {
                        news.await();
                    }
                } finally {
                    lock.unlock();
                }
            }
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }

    static void encode(LogLine line, ByteArrayOutputStream out) {
        ascii(out, "{\"log\":\"");
        escape(line.text().toByteArray(), out);
        ascii(out, "\",\"stream\":\"");
        ascii(out, line.stream().text());
        ascii(out, "\",\"time\":\"");
        ascii(out, line.time().toString());
        ascii(out, "\"}\n");
    }

    private static void ascii(ByteArrayOutputStream out, String text) {
        out.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
    }

    /** Writes the inside of a JSON text; what is no UTF-8 becomes the replacement character. */
    private static void escape(byte[] text, ByteArrayOutputStream out) {
        byte[] valid = text;
        for (byte each : text) {
            if (each < 0) {
                valid = new String(text, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_8);
                break;
            }
        }
        int plain = 0;
        for (int i = 0; i < valid.length; i++) {
            byte each = valid[i];
            if (each < 0 || (each >= ' ' && each != '"' && each != '\\')) {
                continue;
            }
            out.write(valid, plain, i - plain);
            plain = i + 1;
            switch (each) {
                case '"' -> ascii(out, "\\\"");
                case '\\' -> ascii(out, "\\\\");
                case '\n' -> ascii(out, "\\n");
                case '\r' -> ascii(out, "\\r");
                case '\t' -> ascii(out, "\\t");
                default -> ascii(out, String.format("\\u%04x", each));
            }
        }
        out.write(valid, plain, valid.length - plain);
    }

    /** Returns the line of an entry, or null when it is damaged. */
    static @Nullable LogLine decode(byte[] entry) {
        String text = null;
        OutputStreamKind stream = OutputStreamKind.STDOUT;
        Instant time = null;
        try (JsonReader reader = STREAM.reader(entry)) {
            reader.beginObject();
            while (reader.hasNextField()) {
                switch (reader.nextField()) {
                    case "log" -> text = reader.readString();
                    case "stream" ->
                        stream = reader.readString().equals("stderr")
                                ? OutputStreamKind.STDERR
                                : OutputStreamKind.STDOUT;
                    case "time" ->
                        time = OffsetDateTime.parse(reader.readString()).toInstant();
                    default -> reader.skipValue();
                }
            }
            reader.endObject();
        } catch (JsonException | DateTimeException | IndexOutOfBoundsException e) {
            return null;
        }
        if (text == null || time == null) {
            return null;
        }
        return new LogLine(stream, time, ByteString.copyFromUtf8(text));
    }

    /** Returns every file of the log that is there, for figures and for its removal. */
    List<Path> files() {
        List<Path> all = new ArrayList<>(List.of(path));
        for (int i = 1; i < filesMax; i++) {
            all.addAll(Arrays.asList(aside(i, false), aside(i, true)));
        }
        return all.stream().filter(Files::exists).toList();
    }
}
