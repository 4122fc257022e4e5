package io.skep.engine;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.time.Instant;

/** The system calls about files and mounts that Java lacks. A failed call throws a {@link LinuxCalls.Errno}. */
@SuppressWarnings("restricted") // java.lang.foreign is what there is for system calls; the launcher allows it
final class LinuxFiles {
    static final int O_PATH = 0x200000;
    static final int O_NOFOLLOW = System.getProperty("os.arch").equals("aarch64") ? 0x8000 : 0x20000;
    static final int O_DIRECTORY = System.getProperty("os.arch").equals("aarch64") ? 0x4000 : 0x10000;

    static final long MS_RDONLY = 1;
    static final long MS_REMOUNT = 32;
    static final long MS_BIND = 4096;
    static final long MS_REC = 16384;
    static final long MS_PRIVATE = 1 << 18;
    static final int MNT_DETACH = 2;

    static final int ENOENT = 2;
    static final int EXDEV = 18;
    static final int ENOTDIR = 20;
    static final int EINVAL = 22;
    static final int ELOOP = 40;
    private static final int ENODATA = 61;
    private static final int EOPNOTSUPP = 95;

    /** Absolute names and links, and those that lead up, stay under the folder that the search begins in. */
    private static final long RESOLVE_IN_ROOT = 0x10;

    private static final long OPENAT2 = 437;
    private static final int OPEN_HOW_BYTES = 24;
    private static final int XATTR_BYTES_MAX = 64 << 10;

    private static final MethodHandle SYSCALL = Linker.nativeLinker()
            .downcallHandle(
                    Linker.nativeLinker().defaultLookup().findOrThrow("syscall"),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.JAVA_LONG,
                            ValueLayout.ADDRESS,
                            ValueLayout.ADDRESS,
                            ValueLayout.JAVA_LONG),
                    Linker.Option.captureCallState("errno"),
                    Linker.Option.firstVariadicArg(1));
    private static final MethodHandle MOUNT = LinuxCalls.call(
            "mount",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.ADDRESS));
    private static final MethodHandle UMOUNT = LinuxCalls.call(
            "umount2", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
    private static final MethodHandle MKNOD = LinuxCalls.call(
            "mknod",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    private static final MethodHandle LGETXATTR = LinuxCalls.call(
            "lgetxattr",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG));
    private static final MethodHandle LSETXATTR = LinuxCalls.call(
            "lsetxattr",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT));

    private static final MethodHandle UTIMENSAT = LinuxCalls.call(
            "utimensat",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_INT));
    private static final int AT_FDCWD = -100;
    private static final int AT_SYMLINK_NOFOLLOW = 0x100;

    private LinuxFiles() {}

    /**
     * Opens a file whose name is resolved as if the folder were the root of all files, so that no link leads out of it.
     *
     * @param folder descriptor of a folder
     * @return a descriptor
     */
    static int openUnder(int folder, String path, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            MemorySegment how = arena.allocate(OPEN_HOW_BYTES, 8);
            how.set(ValueLayout.JAVA_LONG, 0, flags | LinuxCalls.O_CLOEXEC);
            how.set(ValueLayout.JAVA_LONG, 8, 0);
            how.set(ValueLayout.JAVA_LONG, 16, RESOLVE_IN_ROOT);
            long result = (long) SYSCALL.invokeExact(
                    errno, OPENAT2, (long) folder, arena.allocateFrom(path), how, (long) OPEN_HOW_BYTES);
            return LinuxCalls.check((int) result, errno, "open " + path);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    /** @param data options of the file system, or empty */
    static void mount(String source, Path target, String type, long flags, String data) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            MemorySegment typeText = type.isEmpty() ? MemorySegment.NULL : arena.allocateFrom(type);
            MemorySegment dataText = data.isEmpty() ? MemorySegment.NULL : arena.allocateFrom(data);
            int result = (int) MOUNT.invokeExact(
                    errno,
                    arena.allocateFrom(source),
                    arena.allocateFrom(target.toString()),
                    typeText,
                    flags,
                    dataText);
            LinuxCalls.check(result, errno, "mount " + source + ":" + target);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    /** Takes a mount away; it is no error when nothing is mounted there. */
    static void unmount(Path target, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            int result = (int) UMOUNT.invokeExact(errno, arena.allocateFrom(target.toString()), flags);
            if (result < 0 && LinuxCalls.number(errno) != EINVAL && LinuxCalls.number(errno) != ENOENT) {
                throw new LinuxCalls.Errno("umount " + target, LinuxCalls.number(errno));
            }
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    /**
     * Makes a device node or a named pipe.
     *
     * @param mode kind and permission bits
     */
    static void makeNode(Path path, int mode, long major, long minor) throws IOException {
        long device = (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xffL) << 12) | ((major & ~0xfffL) << 32);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            LinuxCalls.check(
                    (int) MKNOD.invokeExact(errno, arena.allocateFrom(path.toString()), mode, device),
                    errno,
                    "mknod " + path);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    /** Returns an extended attribute of a file, or nothing when it has none; links are not followed. */
    static byte[] extendedAttribute(Path path, String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            MemorySegment value = arena.allocate(XATTR_BYTES_MAX);
            long length = (long) LGETXATTR.invokeExact(
                    errno, arena.allocateFrom(path.toString()), arena.allocateFrom(name), value, value.byteSize());
            if (length < 0) {
                int number = LinuxCalls.number(errno);
                if (number == ENODATA || number == EOPNOTSUPP) {
                    return new byte[0];
                }
                throw new LinuxCalls.Errno("lgetxattr " + path, number);
            }
            return value.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    static void setExtendedAttribute(Path path, String name, byte[] value) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            MemorySegment bytes = arena.allocate(Math.max(1, value.length));
            MemorySegment.copy(value, 0, bytes, ValueLayout.JAVA_BYTE, 0, value.length);
            LinuxCalls.check(
                    (int) LSETXATTR.invokeExact(
                            errno,
                            arena.allocateFrom(path.toString()),
                            arena.allocateFrom(name),
                            bytes,
                            (long) value.length,
                            0),
                    errno,
                    "lsetxattr " + path);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }

    /** Sets when a file was changed; links are not followed, and nothing is opened. */
    static void setModified(Path path, Instant time) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = arena.allocate(LinuxCalls.ERRNO_LAYOUT);
            MemorySegment times = arena.allocate(ValueLayout.JAVA_LONG, 4);
            for (int i = 0; i < 4; i += 2) {
                times.setAtIndex(ValueLayout.JAVA_LONG, i, time.getEpochSecond());
                times.setAtIndex(ValueLayout.JAVA_LONG, i + 1L, time.getNano());
            }
            LinuxCalls.check(
                    (int) UTIMENSAT.invokeExact(
                            errno, AT_FDCWD, arena.allocateFrom(path.toString()), times, AT_SYMLINK_NOFOLLOW),
                    errno,
                    "utimensat " + path);
        } catch (Throwable e) {
            throw LinuxCalls.rethrow(e);
        }
    }
}
