package io.skep.daemon;

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
import java.net.InetAddress;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * The calls of Linux about sockets that Java lacks: what kind of socket a descriptor is, and datagrams on unix sockets.
 */
@SuppressWarnings("restricted") // java.lang.foreign is what there is for system calls; the launcher allows it
final class SocketCalls {
    private static final int AF_UNIX = 1;
    private static final int AF_INET = 2;
    private static final int AF_INET6 = 10;
    private static final int SOCK_DGRAM = 2;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int MSG_NOSIGNAL = 0x4000;

    /** The size of sockaddr_storage, which holds any address. */
    private static final int ADDRESS_BYTES = 128;

    /** How many bytes of a path, or of a name in the abstract namespace, fit into sockaddr_un. */
    private static final int PATH_BYTES_MAX = 108;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final StructLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO_VALUE = ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final MethodHandle GETSOCKNAME = call(
            "getsockname",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS));
    private static final MethodHandle SOCKET = call(
            "socket",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    private static final MethodHandle SENDTO = call(
            "sendto",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_INT));
    private static final MethodHandle CLOSE =
            call("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));

    private SocketCalls() {}

    /**
     * Returns the address that an inherited socket is bound to, or nothing when it is a unix socket.
     *
     * @throws IOException when the descriptor is no socket of these kinds
     */
    static Optional<InetAddress> boundAddress(int fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment address = arena.allocate(ADDRESS_BYTES, 8);
            MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, ADDRESS_BYTES);
            check((int) GETSOCKNAME.invokeExact(errno, fd, address, length), errno, "descriptor " + fd);
            int family = address.get(ValueLayout.JAVA_SHORT, 0);
            return switch (family) {
                case AF_UNIX -> Optional.empty();
                case AF_INET -> Optional.of(inet(address, 4, 4));
                case AF_INET6 -> Optional.of(inet(address, 8, 16));
                default -> throw new IOException("descriptor " + fd + " is neither a unix nor a TCP socket");
            };
        } catch (IOException | RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    /**
     * Sends one datagram to a unix socket.
     *
     * @param name a path, or a name in the abstract namespace behind an @
     */
    static void sendDatagram(String name, String text) throws IOException {
        byte[] path = name.getBytes(StandardCharsets.UTF_8);
        if (path.length == 0 || path.length > PATH_BYTES_MAX) {
            throw new IOException("\"" + name + "\" is no name of a unix socket");
        }
        if (path[0] == '@') {
            path[0] = 0;
        }
        byte[] payload = text.getBytes(StandardCharsets.UTF_8);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment address = arena.allocate(ADDRESS_BYTES, 8);
            address.set(ValueLayout.JAVA_SHORT, 0, (short) AF_UNIX);
            MemorySegment.copy(path, 0, address, ValueLayout.JAVA_BYTE, 2, path.length);
            MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_BYTE, payload);
            int fd = (int) SOCKET.invokeExact(errno, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            check(fd, errno, name);
            long sent = (long)
                    SENDTO.invokeExact(errno, fd, data, (long) payload.length, MSG_NOSIGNAL, address, path.length + 2);
            int sendErrno = (int) ERRNO_VALUE.get(errno, 0L);
            int closed = (int) CLOSE.invokeExact(errno, fd);
            check(closed, errno, name);
            if (sent < 0) {
                throw new IOException(name + ": error " + sendErrno);
            }
        } catch (IOException | RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void check(int result, MemorySegment errno, String what) throws IOException {
        if (result < 0) {
            throw new IOException(what + ": error " + (int) ERRNO_VALUE.get(errno, 0L));
        }
    }

    private static InetAddress inet(MemorySegment address, int offset, int length) throws IOException {
        byte[] bytes = address.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE.withOrder(ByteOrder.BIG_ENDIAN));
        return InetAddress.getByAddress(bytes);
    }

    private static MethodHandle call(String name, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor, ERRNO);
    }
}
