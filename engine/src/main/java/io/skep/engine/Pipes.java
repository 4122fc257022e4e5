package io.skep.engine;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The named pipes through which the processes of containers are heard and fed.
 *
 * <p>A container has two or three pipes, and reading a pipe in Java holds a thread of the system until bytes come. So
 * one thread waits for all pipes together (epoll, one shot each), and hands a pipe that is ready to the executor, where
 * it is emptied into its {@link Sink}. A pipe is watched again only when its sink took everything: a sink that takes
 * its time slows its own container down and no other.
 *
 * <p>The shim of a container keeps both ends of its pipes open, so a container outlives the engine that reads it: what
 * it writes meanwhile waits in the pipe (64 KiB), and the next engine opens the same pipe and reads on. The end of a
 * pipe is seen when the shim has closed it, after the process has ended and all it wrote was copied.
 *
 * <p>Threads: {@code engine-pipes} waits; sinks are called by the executor, never twice at a time for one pipe.
 */
final class Pipes implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Pipes.class);
    private static final int CHUNK_BYTES = 32 << 10;
    private static final int EVENTS_MAX = 64;
    private static final long STOP = 0;
    private static final Duration RETRY = Duration.ofMillis(2);

    /** Takes what comes out of a pipe. */
    interface Sink {
        /**
         * Takes the next bytes, and holds the pipe up until it returns.
         *
         * @param bytes valid until the method returns
         */
        void take(byte[] bytes, int length) throws IOException, InterruptedException;

        /** The other side has closed the pipe, or it could not be read on. */
        void end();
    }

    private final Executor executor;
    private final int epoll;
    private final int stop;
    private final AtomicLong lastKey = new AtomicLong(STOP);
    private final Map<Long, Handle> handles = new ConcurrentHashMap<>();
    private final Thread thread;

    /**
     * Starts the thread.
     *
     * @param executor where sinks are called; they may block
     */
    Pipes(Executor executor) throws IOException {
        this.executor = executor;
        this.epoll = LinuxCalls.epollCreate();
        this.stop = LinuxCalls.eventFd();
        LinuxCalls.epollAdd(epoll, stop, LinuxCalls.EPOLLIN, STOP);
        this.thread = Thread.ofPlatform().name("engine-pipes").daemon().start(this::run);
    }

    /**
     * Reads a named pipe until its end. One that nobody has opened for writing yet has not ended.
     *
     * @return closes the pipe when closed itself; the sink is told its end then, too
     */
    Reading read(Path pipe, Sink sink) throws IOException {
        Reading reading = new Reading(LinuxCalls.open(pipe, LinuxCalls.O_RDONLY | LinuxCalls.O_NONBLOCK), sink);
        handles.put(reading.key, reading);
        LinuxCalls.epollAdd(epoll, reading.fd, LinuxCalls.EPOLLIN | LinuxCalls.EPOLLONESHOT, reading.key);
        return reading;
    }

    /**
     * Opens a named pipe for writing; fails when nobody reads it.
     *
     * @param patience how long to wait for someone who reads: a shim opens its end in a thread of its own, some
     *     microseconds after it has answered, and tells nobody
     */
    Writing write(Path pipe, Duration patience) throws IOException, InterruptedException {
        long deadlineNanos = System.nanoTime() + patience.toNanos();
        int fd = -1;
        while (fd < 0) {
            try {
                fd = LinuxCalls.open(pipe, LinuxCalls.O_WRONLY | LinuxCalls.O_NONBLOCK);
            } catch (LinuxCalls.Errno e) {
                if (e.number() != LinuxCalls.ENXIO || System.nanoTime() > deadlineNanos) {
                    throw e;
                }
                Thread.sleep(RETRY);
            }
        }
        Writing writing = new Writing(fd);
        handles.put(writing.key, writing);
        LinuxCalls.epollAdd(epoll, writing.fd, LinuxCalls.EPOLLONESHOT, writing.key);
        return writing;
    }

    private void run() {
        try {
            while (true) {
                for (long key : LinuxCalls.epollWait(epoll, EVENTS_MAX)) {
                    if (key == STOP) {
                        return;
                    }
                    Handle handle = handles.get(key);
                    if (handle != null) {
                        handle.ready();
                    }
                }
            }
        } catch (IOException e) {
            LOG.error("The pipes of containers cannot be watched any more", e);
        }
    }

    /** Stops the thread and closes every pipe, without a word to their sinks. */
    @Override
    public void close() {
        try (Arena arena = Arena.ofConfined()) {
            LinuxCalls.write(stop, arena.allocateFrom(ValueLayout.JAVA_LONG, 1));
            thread.join();
            for (Handle handle : handles.values()) {
                handle.release();
            }
            LinuxCalls.close(stop);
            LinuxCalls.close(epoll);
        } catch (IOException e) {
            LOG.warn("The pipes of containers could not be closed: {}", e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    abstract sealed class Handle {
        final int fd;
        final long key = lastKey.incrementAndGet();

        Handle(int fd) {
            this.fd = fd;
        }

        abstract void ready();

        void watch(int events) throws IOException {
            LinuxCalls.epollAgain(epoll, fd, events | LinuxCalls.EPOLLONESHOT, key);
        }

        /** Closes the descriptor, once; nobody may use it at the same time. */
        final boolean release() {
            if (handles.remove(key) == null) {
                return false;
            }
            try {
                LinuxCalls.epollRemove(epoll, fd);
                LinuxCalls.close(fd);
            } catch (IOException e) {
                LOG.warn("A pipe of a container could not be closed: {}", e.getMessage());
            }
            return true;
        }
    }

    /** A pipe that is read. */
    final class Reading extends Handle implements AutoCloseable {
        private final Sink sink;
        private final ReentrantLock lock = new ReentrantLock();
        private boolean closed;

        private Reading(int fd, Sink sink) {
            super(fd);
            this.sink = sink;
        }

        @Override
        void ready() {
            executor.execute(this::empty);
        }

        private void empty() {
            lock.lock();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment chunk = arena.allocate(CHUNK_BYTES);
                byte[] bytes = new byte[CHUNK_BYTES];
                while (!closed) {
                    int length = LinuxCalls.read(fd, chunk);
                    if (length == 0) {
                        finish();
                        return;
                    }
                    if (length < 0) {
                        watch(LinuxCalls.EPOLLIN);
                        return;
                    }
                    MemorySegment.copy(chunk, ValueLayout.JAVA_BYTE, 0, bytes, 0, length);
                    sink.take(bytes, length);
                }
            } catch (IOException e) {
                LOG.warn("The output of a container is lost from here on: {}", e.getMessage());
                finish();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                finish();
            } finally {
                lock.unlock();
            }
        }

        private void finish() {
            closed = true;
            if (release()) {
                sink.end();
            }
        }

        /** Stops reading; waits for a sink that is just being called. */
        @Override
        public void close() {
            lock.lock();
            try {
                if (!closed) {
                    finish();
                }
            } finally {
                lock.unlock();
            }
        }
    }

    /** A pipe that is written. */
    final class Writing extends Handle implements AutoCloseable {
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition room = lock.newCondition();
        private boolean writable;
        private boolean closed;

        private Writing(int fd) {
            super(fd);
        }

        @Override
        void ready() {
            lock.lock();
            try {
                writable = true;
                room.signalAll();
            } finally {
                lock.unlock();
            }
        }

        /**
         * Writes all of the bytes; waits while the pipe is full.
         *
         * @return false when the other side does not read any more, or this side was closed
         */
        boolean write(byte[] bytes, int offset, int length) throws IOException, InterruptedException {
            lock.lock();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment left = arena.allocate(Math.max(length, 1)).asSlice(0, length);
                MemorySegment.copy(bytes, offset, left, ValueLayout.JAVA_BYTE, 0, length);
                while (left.byteSize() > 0 && !closed) {
                    int written = LinuxCalls.write(fd, left);
                    if (written == -2) {
                        return false;
                    }
                    if (written >= 0) {
                        left = left.asSlice(written);
                        continue;
                    }
                    writable = false;
                    watch(LinuxCalls.EPOLLOUT);
                    while (!writable && !closed) {
                        room.await();
                    }
                }
                return !closed;
            } finally {
                lock.unlock();
            }
        }

        /** Closes this end: whoever reads the pipe sees its end when no other has it open. */
        @Override
        public void close() {
            lock.lock();
            try {
                closed = true;
                room.signalAll();
                release();
            } finally {
                lock.unlock();
            }
        }
    }
}
