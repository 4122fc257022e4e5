package io.skep.engine;

import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the processes of one run of a container, or of one exec, write: it goes to the log and to everyone attached.
 *
 * <p>Whoever is attached and slow slows the container down, as with Docker; one that fails is let go. A log that cannot
 * be written, say because the disk is full, is said once and the container goes on without it.
 */
public final class Output {
    private static final Logger LOG = LoggerFactory.getLogger(Output.class);

    /** Someone who sees the bytes as they come. */
    public interface Listener {
        /** Takes bytes that are valid until it returns; an exception ends the listening. */
        void bytes(OutputStreamKind stream, byte[] bytes, int length) throws IOException, InterruptedException;

        /** Nothing more comes. */
        void end();
    }

    private final String name;
    private final @Nullable ContainerLog log;
    private final InstantSource clock;
    private final List<Listener> listeners = new CopyOnWriteArrayList<>();
    private final AtomicInteger open;
    private final CompletableFuture<Void> drained = new CompletableFuture<>();
    private volatile boolean logFails;

    /**
     * Makes the output of one run.
     *
     * @param name of the container, for the log of the engine
     * @param log where lines go, or null for nowhere
     * @param streams how many streams there are; the output is drained when all have ended
     */
    Output(String name, @Nullable ContainerLog log, int streams, InstantSource clock) {
        this.name = name;
        this.log = log;
        this.clock = clock;
        this.open = new AtomicInteger(streams);
    }

    /** Returns what is completed when every stream has ended and all of it was passed on. */
    CompletableFuture<Void> drained() {
        return drained;
    }

    /** Passes on what comes from now on, until the returned object is closed or the output ends. */
    AutoCloseable listen(Listener listener) {
        listeners.add(listener);
        if (drained.isDone() && listeners.remove(listener)) {
            listener.end();
        }
        return () -> listeners.remove(listener);
    }

    Pipes.Sink sink(OutputStreamKind stream) {
        LineSplitter splitter = new LineSplitter(stream, clock);
        return new Pipes.Sink() {
            @Override
            public void take(byte[] bytes, int length) throws InterruptedException {
                store(splitter.take(bytes, length));
                for (Listener listener : List.copyOf(listeners)) {
                    try {
                        listener.bytes(stream, bytes, length);
                    } catch (IOException e) {
                        LOG.debug("a client attached to {} is gone: {}", name, e.getMessage());
                        listeners.remove(listener);
                    }
                }
            }

            @Override
            public void end() {
                store(splitter.end());
                if (open.decrementAndGet() == 0) {
                    drained.complete(null);
                    for (Listener listener : List.copyOf(listeners)) {
                        if (listeners.remove(listener)) {
                            listener.end();
                        }
                    }
                }
            }
        };
    }

    private void store(List<LogLine> lines) {
        if (log == null || lines.isEmpty()) {
            return;
        }
        try {
            log.write(lines);
            logFails = false;
        } catch (IOException e) {
            if (!logFails) {
                LOG.warn("Output of the container {} is not kept in its log: {}", name, e.getMessage());
            }
            logFails = true;
        }
    }
}
