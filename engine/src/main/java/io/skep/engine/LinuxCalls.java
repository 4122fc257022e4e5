package io.skep.engine;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;

/**
 * The system calls about named pipes and readiness that Java lacks. A failed call throws an {@link Errno}, but for the
 * outcomes that its documentation names.
 */
@SuppressWarnings("restricted") // java.lang.foreign is what there is for system calls; the launcher allows it
final class LinuxCalls {
    static final int O_RDONLY = 0;
    static final int O_WRONLY = 1;
    static final int O_NONBLOCK = 0x800;
    static final int O_CLOEXEC = 0x80000;

    static final int EPOLLIN = 1;
    static final int EPOLLOUT = 4;
    static final int EPOLLONESHOT = 1 << 30;

    private static final int EPOLL_CTL_ADD = 1;
    private static final int EPOLL_CTL_DEL = 2;
    private static final int EPOLL_CTL_MOD = 3;

    /** Nobody reads the pipe that is opened for writing. */
    static final int ENXIO = 6;

    private static final int EINTR = 4;
    private static final int EAGAIN = 11;
    private static final int EEXIST = 17;
    private static final int EPIPE = 32;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    static final StructLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO_VALUE = ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final MethodHandle MKFIFO =
            call("mkfifo", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
    private static final MethodHandle OPEN = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("open"),
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT),
            ERRNO,
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle READ = call(
            "read",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    private static final MethodHandle WRITE = call(
            "write",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    private static final MethodHandle CLOSE =
            call("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    private static final MethodHandle EPOLL_CREATE =
            call("epoll_create1", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    private static final MethodHandle EPOLL_CTL = call(
            "epoll_ctl",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS));
    private static final MethodHandle EPOLL_WAIT = call(
            "epoll_wait",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT));
    private static final MethodHandle EVENTFD =
            call("eventfd", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

    /** Bytes of a struct epoll_event: it is packed on x86-64 only. */
    private static final int EVENT_BYTES = System.getProperty("os.arch").equals("amd64") ? 12 : 16;

    private static final int EVENT_DATA_OFFSET = EVENT_BYTES - 8;

    private LinuxCalls() {}

    /** A system call failed. */
    static final class Errno extends IOException {
        private final int number;

        Errno(String what, int number) {
            super(what + ": error " + number);
            this.number = number;
        }

        int number() {
            return number;
        }
    }

    /** Makes a named pipe that only its owner may use; one that is there is left as it is. */
    static void makeFifo(Path path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            int result = (int) MKFIFO.invokeExact(errno, arena.allocateFrom(path.toString()), 0600);
            if (result < 0 && number(errno) != EEXIST) {
                throw new Errno("mkfifo " + path, number(errno));
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Opens a file and returns its descriptor. */
    static int open(Path path, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            int result = (int) OPEN.invokeExact(errno, arena.allocateFrom(path.toString()), flags | O_CLOEXEC, 0);
            return check(result, errno, "open " + path);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Returns how many bytes were read, 0 at the end, or -1 when there are none at the moment. */
    static int read(int fd, MemorySegment into) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            while (true) {
                long result = (long) READ.invokeExact(errno, fd, into, into.byteSize());
                if (result >= 0) {
                    return (int) result;
                }
                switch (number(errno)) {
                    case EINTR -> {}
                    case EAGAIN -> {
                        return -1;
                    }
                    default -> throw new Errno("read", number(errno));
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Returns how many bytes were written, -1 when there is no room at the moment, or -2 when nobody reads any more.
     */
    static int write(int fd, MemorySegment from) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            while (true) {
                long result = (long) WRITE.invokeExact(errno, fd, from, from.byteSize());
                if (result >= 0) {
                    return (int) result;
                }
                switch (number(errno)) {
                    case EINTR -> {}
                    case EAGAIN -> {
                        return -1;
                    }
                    case EPIPE -> {
                        return -2;
                    }
                    default -> throw new Errno("write", number(errno));
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void close(int fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check((int) CLOSE.invokeExact(errno, fd), errno, "close");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Returns a descriptor that is ready to be read when something was written to it. */
    static int eventFd() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            return check((int) EVENTFD.invokeExact(errno, 0, O_NONBLOCK | O_CLOEXEC), errno, "eventfd");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static int epollCreate() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            return check((int) EPOLL_CREATE.invokeExact(errno, O_CLOEXEC), errno, "epoll_create1");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Begins to watch a descriptor; {@code data} comes back from {@link #epollWait}. */
    static void epollAdd(int epoll, int fd, int events, long data) throws IOException {
        epollControl(epoll, EPOLL_CTL_ADD, fd, events, data);
    }

    /** Watches a descriptor once more. */
    static void epollAgain(int epoll, int fd, int events, long data) throws IOException {
        epollControl(epoll, EPOLL_CTL_MOD, fd, events, data);
    }

    static void epollRemove(int epoll, int fd) throws IOException {
        epollControl(epoll, EPOLL_CTL_DEL, fd, 0, 0);
    }

    private static void epollControl(int epoll, int operation, int fd, int events, long data) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment event = arena.allocate(EVENT_BYTES, 8);
            event.set(ValueLayout.JAVA_INT, 0, events);
            event.set(ValueLayout.JAVA_LONG_UNALIGNED, EVENT_DATA_OFFSET, data);
            check((int) EPOLL_CTL.invokeExact(errno, epoll, operation, fd, event), errno, "epoll_ctl");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Waits until descriptors are ready and returns the data they were added with, at most {@code max} of them. */
    static long[] epollWait(int epoll, int max) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment events = arena.allocate((long) max * EVENT_BYTES, 8);
            int count = (int) EPOLL_WAIT.invokeExact(errno, epoll, events, max, -1);
            if (count < 0 && number(errno) == EINTR) {
                return new long[0];
            }
            check(count, errno, "epoll_wait");
            long[] ready = new long[count];
            for (int i = 0; i < count; i++) {
                ready[i] = events.get(ValueLayout.JAVA_LONG_UNALIGNED, (long) i * EVENT_BYTES + EVENT_DATA_OFFSET);
            }
            return ready;
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static int check(int result, MemorySegment errno, String what) throws Errno {
        if (result < 0) {
            throw new Errno(what, number(errno));
        }
        return result;
    }

    static int number(MemorySegment errno) {
        return (int) ERRNO_VALUE.get(errno, 0L);
    }

    static IOException rethrow(Throwable e) {
        return switch (e) {
            case IOException failure -> failure;
            case RuntimeException failure -> throw failure;
            case Error failure -> throw failure;
            default -> throw new IllegalStateException(e);
        };
    }

    static MethodHandle call(String name, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor, ERRNO);
    }
}
