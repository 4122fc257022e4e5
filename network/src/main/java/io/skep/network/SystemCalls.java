package io.skep.network;

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
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;

/** The system calls about namespaces, mounts and sockets that Java lacks. A failed call throws what the kernel says. */
@SuppressWarnings("restricted") // java.lang.foreign is what there is for system calls; the launcher allows it
final class SystemCalls {
    static final int CLONE_NEWNET = 0x40000000;
    static final int MS_BIND = 4096;
    static final int MS_REC = 16384;
    static final int MS_PRIVATE = 1 << 18;
    static final int MNT_DETACH = 2;

    static final int AF_INET = 2;
    static final int AF_INET6 = 10;
    static final int AF_NETLINK = 16;
    static final int SOCK_STREAM = 1;
    static final int SOCK_DGRAM = 2;
    static final int SOCK_RAW = 3;
    static final int IPPROTO_SCTP = 132;

    private static final int SOCK_NONBLOCK = 0x800;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int O_CLOEXEC = 0x80000;
    private static final int SOL_SOCKET = 1;
    private static final int SO_REUSEADDR = 2;
    private static final int IPPROTO_IPV6 = 41;
    private static final int IPV6_V6ONLY = 26;
    private static final int EINTR = 4;
    private static final int BACKLOG = 128;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final StructLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO_VALUE = ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

    private static final MethodHandle OPEN = LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("open"),
            FunctionDescriptor.of(INT, ValueLayout.ADDRESS, INT, INT),
            ERRNO,
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle CLOSE = call("close", FunctionDescriptor.of(INT, INT));
    private static final MethodHandle UNSHARE = call("unshare", FunctionDescriptor.of(INT, INT));
    private static final MethodHandle SETNS = call("setns", FunctionDescriptor.of(INT, INT, INT));
    private static final MethodHandle MOUNT = call(
            "mount",
            FunctionDescriptor.of(
                    INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.ADDRESS, LONG, ValueLayout.ADDRESS));
    private static final MethodHandle UMOUNT = call("umount2", FunctionDescriptor.of(INT, ValueLayout.ADDRESS, INT));
    private static final MethodHandle SOCKET = call("socket", FunctionDescriptor.of(INT, INT, INT, INT));
    private static final MethodHandle BIND = call("bind", FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS, INT));
    private static final MethodHandle LISTEN = call("listen", FunctionDescriptor.of(INT, INT, INT));
    private static final MethodHandle SET_OPTION =
            call("setsockopt", FunctionDescriptor.of(INT, INT, INT, INT, ValueLayout.ADDRESS, INT));
    private static final MethodHandle NAME =
            call("getsockname", FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS));
    private static final MethodHandle SEND =
            call("send", FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG, INT));
    private static final MethodHandle RECEIVE =
            call("recv", FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG, INT));

    private SystemCalls() {}

    static int open(Path path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            return check(
                    (int) OPEN.invokeExact(errno, arena.allocateFrom(path.toString()), O_CLOEXEC, 0),
                    errno,
                    "open " + path);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void close(int descriptor) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check((int) CLOSE.invokeExact(errno, descriptor), errno, "close");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Gives the calling thread, which must be a platform thread that ends soon, a new network namespace. */
    static void unshareNetwork() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check((int) UNSHARE.invokeExact(errno, CLONE_NEWNET), errno, "make a network namespace");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Moves the calling thread, which must be a platform thread that ends soon, to a network namespace. */
    static void enterNetwork(int descriptor) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check((int) SETNS.invokeExact(errno, descriptor, CLONE_NEWNET), errno, "enter a network namespace");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void mount(String source, Path target, long flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check(
                    (int) MOUNT.invokeExact(
                            errno,
                            arena.allocateFrom(source),
                            arena.allocateFrom(target.toString()),
                            MemorySegment.NULL,
                            flags,
                            MemorySegment.NULL),
                    errno,
                    "mount " + source + " on " + target);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void unmount(Path target) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check(
                    (int) UMOUNT.invokeExact(errno, arena.allocateFrom(target.toString()), MNT_DETACH),
                    errno,
                    "unmount " + target);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static int socket(int family, int type, int protocol) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            return check((int) SOCKET.invokeExact(errno, family, type | SOCK_CLOEXEC, protocol), errno, "socket");
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Returns a socket that has an address; a stream listens already. It belongs to the network namespace of the
     * calling thread for as long as it lives.
     *
     * @param protocol 0 for the usual one of the type
     */
    static int boundSocket(InetSocketAddress address, int type, int protocol) throws IOException {
        boolean four = address.getAddress() instanceof Inet4Address;
        int descriptor = socket(four ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, protocol);
        boolean done = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            if (!four) {
                setOption(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, "bind to IPv6 only");
            }
            if (type == SOCK_STREAM) {
                // Connections of an earlier holder of the port that are not quite over do no harm.
                setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, "use an address again");
            }
            byte[] name = socketName(address);
            MemorySegment segment = arena.allocateFrom(ValueLayout.JAVA_BYTE, name);
            check((int) BIND.invokeExact(errno, descriptor, segment, name.length), errno, "bind " + address);
            if (type == SOCK_STREAM) {
                check((int) LISTEN.invokeExact(errno, descriptor, BACKLOG), errno, "listen on " + address);
            }
            done = true;
            return descriptor;
        } catch (Throwable e) {
            throw rethrow(e);
        } finally {
            if (!done) {
                close(descriptor);
            }
        }
    }

    private static void setOption(int descriptor, int level, int option, String what) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            check(
                    (int) SET_OPTION.invokeExact(errno, descriptor, level, option, arena.allocateFrom(INT, 1), 4),
                    errno,
                    what);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    private static byte[] socketName(InetSocketAddress address) {
        byte[] ip = address.getAddress().getAddress();
        byte[] name = new byte[ip.length == 4 ? 16 : 28];
        int family = ip.length == 4 ? AF_INET : AF_INET6;
        boolean little = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;
        name[little ? 0 : 1] = (byte) family;
        name[2] = (byte) (address.getPort() >> 8);
        name[3] = (byte) address.getPort();
        System.arraycopy(ip, 0, name, ip.length == 4 ? 4 : 8, ip.length);
        return name;
    }

    /** Returns the address that a socket got. */
    static InetSocketAddress name(int descriptor) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment name = arena.allocate(28, 8);
            check(
                    (int) NAME.invokeExact(errno, descriptor, name, arena.allocateFrom(INT, 28)),
                    errno,
                    "ask for the address of a socket");
            byte[] bytes = name.toArray(ValueLayout.JAVA_BYTE);
            int port = (bytes[2] & 0xff) << 8 | (bytes[3] & 0xff);
            boolean four = name.get(ValueLayout.JAVA_SHORT, 0) == AF_INET;
            byte[] ip = four ? Arrays.copyOfRange(bytes, 4, 8) : Arrays.copyOfRange(bytes, 8, 24);
            return new InetSocketAddress(InetAddress.getByAddress(ip), port);
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static void send(int descriptor, byte[] message) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment segment = arena.allocateFrom(ValueLayout.JAVA_BYTE, message);
            while ((long) SEND.invokeExact(errno, descriptor, segment, (long) message.length, 0) < 0) {
                if (number(errno) != EINTR) {
                    throw new LinuxException("send", number(errno));
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    static byte[] receive(int descriptor, int bytesMax) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(ERRNO_LAYOUT);
            MemorySegment segment = arena.allocate(bytesMax, 8);
            while (true) {
                long length = (long) RECEIVE.invokeExact(errno, descriptor, segment, (long) bytesMax, 0);
                if (length >= 0) {
                    return segment.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
                }
                if (number(errno) != EINTR) {
                    throw new LinuxException("receive", number(errno));
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    private static int check(int result, MemorySegment errno, String what) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(what, number(errno));
        }
        return result;
    }

    private static int number(MemorySegment errno) {
        return (int) ERRNO_VALUE.get(errno, 0L);
    }

    private static IOException rethrow(Throwable e) {
        return switch (e) {
            case IOException failure -> failure;
            case RuntimeException failure -> throw failure;
            case Error failure -> throw failure;
            default -> throw new IllegalStateException(e);
        };
    }

    private static MethodHandle call(String name, FunctionDescriptor descriptor) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor, ERRNO);
    }
}
