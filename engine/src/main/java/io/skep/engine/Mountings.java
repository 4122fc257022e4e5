package io.skep.engine;

import io.skep.containerd.types.Mount;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What mount(8) knows and mount(2) does not: options by their names, and which mounts there are. */
final class Mountings {
    private static final String LOWER = "lowerdir=";

    /** Options that set a flag; what is missing here is for the file system. */
    private static final Map<String, Long> FLAGS = Map.ofEntries(
            Map.entry("ro", LinuxFiles.MS_RDONLY),
            Map.entry("nosuid", 2L),
            Map.entry("nodev", 4L),
            Map.entry("noexec", 8L),
            Map.entry("sync", 16L),
            Map.entry("remount", LinuxFiles.MS_REMOUNT),
            Map.entry("mand", 64L),
            Map.entry("dirsync", 128L),
            Map.entry("noatime", 1024L),
            Map.entry("nodiratime", 2048L),
            Map.entry("bind", LinuxFiles.MS_BIND),
            Map.entry("rbind", LinuxFiles.MS_BIND | LinuxFiles.MS_REC),
            Map.entry("relatime", 1L << 21),
            Map.entry("strictatime", 1L << 24),
            Map.entry("lazytime", 1L << 25));

    /** Options that take a flag away, which is not set to begin with. */
    private static final List<String> NO_FLAGS =
            List.of("rw", "suid", "dev", "exec", "async", "atime", "diratime", "nomand", "norelatime", "defaults");

    private Mountings() {}

    /**
     * Mounts a file system.
     *
     * @param options as mount(8) knows them
     */
    static void mount(String source, Path target, String type, List<String> options) throws IOException {
        long flags = 0;
        List<String> data = new ArrayList<>();
        for (String option : options) {
            Long flag = FLAGS.get(option);
            if (flag != null) {
                flags |= flag;
            } else if (!NO_FLAGS.contains(option) && !option.isEmpty()) {
                data.add(option);
            }
        }
        LinuxFiles.mount(source, target, type, flags, String.join(",", data));
        if ((flags & LinuxFiles.MS_BIND) != 0 && (flags & ~(LinuxFiles.MS_BIND | LinuxFiles.MS_REC)) != 0) {
            // The kernel takes the flags of a bind only in a second step.
            LinuxFiles.mount(source, target, "", flags | LinuxFiles.MS_REMOUNT, "");
        }
    }

    /**
     * Mounts the file system of a container, whose layers may be more than one page of options can name: a link next to
     * the target stands for the folder they are all in.
     */
    static void mount(List<Mount> mounts, Path target, boolean readOnly) throws IOException {
        for (Mount mount : mounts) {
            List<String> options = new ArrayList<>(mount.getOptionsList());
            if (readOnly) {
                options.removeIf(each -> each.startsWith("workdir="));
                for (int i = 0; i < options.size(); i++) {
                    // Without an upper folder an overlay can only be read: its content is the topmost layer then.
                    if (options.get(i).startsWith("upperdir=")) {
                        String upper = options.remove(i).substring("upperdir=".length());
                        options.replaceAll(each ->
                                each.startsWith(LOWER) ? LOWER + upper + ":" + each.substring(LOWER.length()) : each);
                        break;
                    }
                }
                options.add("ro");
            }
            Path link = target.resolveSibling(target.getFileName() + ".layers");
            boolean linked = shorten(options, link);
            try {
                mount(mount.getSource(), target, mount.getType(), options);
            } finally {
                if (linked) {
                    Files.deleteIfExists(link);
                }
            }
        }
    }

    private static boolean shorten(List<String> options, Path link) throws IOException {
        if (String.join(",", options).length() < 3500) {
            return false;
        }
        for (int i = 0; i < options.size(); i++) {
            if (options.get(i).startsWith(LOWER)) {
                String first = options.get(i).substring(LOWER.length()).split(":", -1)[0];
                // .../snapshots/NUMBER/fs
                Path parent = Path.of(first).getParent();
                Path common = parent == null ? null : parent.getParent();
                if (common == null) {
                    return false;
                }
                Files.deleteIfExists(link);
                Files.createSymbolicLink(link, common);
                options.set(i, options.get(i).replace(common + "/", link + "/"));
                return true;
            }
        }
        return false;
    }

    /**
     * One mount of this process's namespace.
     *
     * @param shared whether mounts made under it are seen by others
     * @param follows whether mounts that others make under it are seen here
     */
    record Known(Path target, boolean shared, boolean follows) {}

    static List<Known> all() throws IOException {
        List<Known> all = new ArrayList<>();
        for (String line : Files.readString(Path.of("/proc/self/mountinfo"), StandardCharsets.ISO_8859_1)
                .split("\n", -1)) {
            String[] fields = line.split(" ", -1);
            if (fields.length < 7) {
                continue;
            }
            boolean shared = false;
            boolean follows = false;
            for (int i = 6; i < fields.length && !fields[i].equals("-"); i++) {
                shared |= fields[i].startsWith("shared:");
                follows |= fields[i].startsWith("master:");
            }
            all.add(new Known(Path.of(unescape(fields[4])), shared, follows));
        }
        return all;
    }

    private static String unescape(String text) {
        byte[] bytes = new byte[text.length()];
        int length = 0;
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == '\\' && i + 3 < text.length()) {
                bytes[length++] = (byte) Integer.parseInt(text.substring(i + 1, i + 4), 8);
                i += 3;
            } else {
                bytes[length++] = (byte) text.charAt(i);
            }
        }
        return new String(bytes, 0, length, StandardCharsets.UTF_8);
    }

    static boolean isMounted(Path target) throws IOException {
        return all().stream().anyMatch(each -> each.target().equals(target));
    }

    /** Returns the mount that a path lies in. */
    static Known of(Path path) throws IOException {
        Known found = new Known(Path.of("/"), false, false);
        for (Known each : all()) {
            if (path.startsWith(each.target())
                    && each.target().getNameCount() >= found.target().getNameCount()) {
                found = each;
            }
        }
        return found;
    }
}
