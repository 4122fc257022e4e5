package io.skep.engine;

import java.io.IOException;
import java.util.List;

/** Where the output of one container is kept. */
public interface ContainerLog extends AutoCloseable {
    /** Takes lines that were written together. */
    void write(List<LogLine> lines) throws IOException;

    /** The container starts: followers wait for what it writes. */
    void begun();

    /** The container ended: followers have seen all there is. A log that is ended may be written again. */
    void ended();

    /**
     * Reads the log, oldest lines first; returns when all was told, with {@code follow} when the container has ended.
     *
     * @throws UnsupportedOperationException when this kind of log cannot be read
     */
    void read(LogOptions options, Reader reader) throws IOException, InterruptedException;

    @Override
    void close() throws IOException;

    /** Takes the lines that are read. */
    @FunctionalInterface
    interface Reader {
        /** Takes one line; false ends the reading. */
        boolean line(LogLine line) throws IOException, InterruptedException;
    }
}
