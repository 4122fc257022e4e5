package io.skep.load;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the kernel tells of the processes of the managers: CPU time, memory, and the size of the folders where their
 * logs are. Children count for nothing: containerd is not the manager.
 */
final class ManagerProcesses {
    private static final int BLOCK_BYTES = 1 << 16;
    private static final long TICKS_PER_SECOND = 100;
    private static final Pattern TOTAL = Pattern.compile("(?m)^Total\\s+\\d+\\s+(\\d+)");

    /**
     * Memory of all managers.
     *
     * @param anonymousBytes what the kernel cannot take back
     * @param proportionalBytes with the share of pages that others use as well
     * @param heapBytes used heap after a collection, for managers on a JVM; 0 where there is none
     */
    record Memory(long anonymousBytes, long proportionalBytes, long heapBytes) {}

    private final List<Long> pids;
    private final List<Path> folders;

    /**
     * Takes the processes to look at.
     *
     * @throws LoadException when one does not exist
     */
    ManagerProcesses(List<Long> pids, List<Path> folders) throws LoadException {
        this.pids = List.copyOf(pids);
        this.folders = List.copyOf(folders);
        cpuSeconds();
        for (Path folder : folders) {
            if (!Files.isDirectory(folder)) {
                throw new LoadException("the folder " + folder + " does not exist");
            }
        }
    }

    boolean isEmpty() {
        return pids.isEmpty();
    }

    boolean hasFolders() {
        return !folders.isEmpty();
    }

    /** Returns the CPU time used so far by each manager, as user and as kernel. */
    List<Double> cpuSeconds() throws LoadException {
        List<Double> seconds = new ArrayList<>();
        for (long pid : pids) {
            seconds.add(cpuSeconds(read(pid, "stat")));
        }
        return seconds;
    }

    /** Reads a line of {@code /proc/PID/stat}; the name in it may hold blanks and brackets. */
    static double cpuSeconds(String stat) {
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / (double) TICKS_PER_SECOND;
    }

    /** Returns the memory of all managers; those on a JVM collect their garbage first. */
    Memory memory() throws LoadException {
        long heap = 0;
        for (long pid : pids) {
            heap += liveHeapBytes(pid);
        }
        long anonymous = 0;
        long proportional = 0;
        for (long pid : pids) {
            anonymous += kilobytes(read(pid, "status"), "RssAnon:") << 10;
            proportional += kilobytes(read(pid, "smaps_rollup"), "Pss:") << 10;
        }
        return new Memory(anonymous, proportional, heap);
    }

    static long kilobytes(String text, String label) {
        for (String line : text.split("\n", -1)) {
            if (line.startsWith(label)) {
                return Long.parseLong(
                        line.substring(label.length()).replace("kB", "").strip());
            }
        }
        return 0;
    }

    /**
     * The histogram of a JVM's heap comes after a full collection; other processes have no heap that tells its size.
     */
    private static long liveHeapBytes(long pid) {
        try {
            Path executable = Files.readSymbolicLink(Path.of("/proc", Long.toString(pid), "exe"));
            if (!executable.endsWith("java")) {
                return 0;
            }
            Process jcmd = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "jcmd")
                                    .toString(),
                            Long.toString(pid),
                            "GC.class_histogram")
                    .redirectErrorStream(true)
                    .start();
            String text = new String(jcmd.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            jcmd.waitFor(1, TimeUnit.MINUTES);
            Matcher total = TOTAL.matcher(text);
            return total.find() ? Long.parseLong(total.group(1)) : 0;
        } catch (IOException e) {
            return 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 0;
        }
    }

    /** The length of a file without the zeros at its end: Docker's log is a file of 64 MB from the start. */
    static long usedBytes(Path file, long size) {
        try (FileChannel channel = FileChannel.open(file)) {
            ByteBuffer block = ByteBuffer.allocate(BLOCK_BYTES);
            for (long end = size; end > 0; end -= BLOCK_BYTES) {
                long begin = Math.max(0, end - BLOCK_BYTES);
                block.clear().limit((int) (end - begin));
                int read = channel.read(block, begin);
                for (int i = read - 1; i >= 0; i--) {
                    if (block.get(i) != 0) {
                        return begin + i + 1;
                    }
                }
            }
            return 0;
        } catch (IOException e) {
            // A log file that the manager has just removed.
            return 0;
        }
    }

    /** Returns the bytes of all files in the folders of the logs. */
    long logBytes() throws LoadException {
        long[] sum = {0};
        for (Path folder : folders) {
            try {
                Files.walkFileTree(folder, new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                        sum[0] += usedBytes(file, attributes.size());
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFileFailed(Path file, IOException failure) {
                        // A log file that the manager has just removed.
                        return FileVisitResult.CONTINUE;
                    }
                });
            } catch (IOException e) {
                throw new LoadException("the folder " + folder + " cannot be read: " + e.getMessage(), e);
            }
        }
        return sum[0];
    }

    private static String read(long pid, String file) throws LoadException {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), file));
        } catch (IOException e) {
            throw new LoadException("no process " + pid + " can be looked at: " + e.getMessage(), e);
        }
    }
}
