package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.Driver;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.Mount;
import io.skep.engine.record.MountPoint;
import io.skep.engine.record.StringList;
import io.skep.engine.record.TmpfsOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads what users ask to have mounted, in the three forms Docker knows ({@code --volumes-from}, {@code -v} and
 * {@code --mount}), and what their image asks for; refuses what is wrong in Docker's words.
 */
final class MountRequests {
    private static final Set<String> PROPAGATIONS =
            Set.of("private", "rprivate", "shared", "rshared", "slave", "rslave");
    private static final Set<String> TMPFS_FLAGS = Set.of(
            "ro",
            "rw",
            "exec",
            "noexec",
            "suid",
            "nosuid",
            "dev",
            "nodev",
            "sync",
            "async",
            "dirsync",
            "remount",
            "mand",
            "nomand",
            "atime",
            "noatime",
            "diratime",
            "nodiratime",
            "bind",
            "rbind",
            "unbindable",
            "runbindable",
            "private",
            "rprivate",
            "shared",
            "rshared",
            "slave",
            "rslave",
            "relatime",
            "norelatime",
            "strictatime",
            "nostrictatime");
    private static final Set<String> TMPFS_VALUES =
            Set.of("mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol");

    private MountRequests() {}

    /**
     * One mount that is wanted; a volume is not made yet.
     *
     * @param volumeLabels for a volume that is made for this
     */
    record Wanted(
            MountPoint point,
            Map<String, String> volumeLabels,
            @Nullable Driver driver) {
        Wanted {
            volumeLabels = Map.copyOf(volumeLabels);
        }

        static Wanted of(MountPoint.Builder point) {
            return new Wanted(point.build(), Map.of(), null);
        }
    }

    /** Returns all that a container is to have, by its destination; the later form wins over the earlier. */
    static Map<String, Wanted> read(ContainerRecord container, Function<String, ContainerRecord> others) {
        HostConfig host = container.getHostConfig();
        Map<String, Wanted> all = new LinkedHashMap<>();
        for (String from : host.getVolumesFromList()) {
            for (MountPoint point : shared(from, others)) {
                all.put(point.getDestination(), Wanted.of(point.toBuilder()));
            }
        }
        Map<String, Wanted> asked = new LinkedHashMap<>();
        for (String bind : host.getBindsList()) {
            add(asked, bind(bind, host.getVolumeDriver()));
        }
        for (Mount mount : host.getMountsList()) {
            add(asked, mount(mount));
        }
        for (Map.Entry<String, String> tmpfs : host.getTmpfsMap().entrySet()) {
            if (asked.containsKey(Root.clean(tmpfs.getKey()).transform(path -> "/" + path))) {
                throw EngineException.invalid("Duplicate mount point: " + tmpfs.getKey());
            }
            tmpfsOptions(tmpfs.getKey(), tmpfs.getValue());
        }
        all.putAll(asked);
        for (String volume : container.getConfig().getVolumesList()) {
            String destination = destination(volume, "volume");
            if (!all.containsKey(destination) && !host.getTmpfsMap().containsKey(destination)) {
                all.put(
                        destination,
                        Wanted.of(MountPoint.newBuilder()
                                .setType("volume")
                                .setDestination(destination)
                                .setDriver(Volumes.LOCAL)
                                .setWritable(true)
                                .setAnonymous(true)
                                .setCopies(true)));
            }
        }
        return all;
    }

    private static void add(Map<String, Wanted> all, Wanted wanted) {
        if (all.put(wanted.point().getDestination(), wanted) != null) {
            throw EngineException.invalid(
                    "Duplicate mount point: " + wanted.point().getDestination());
        }
    }

    private static List<MountPoint> shared(String from, Function<String, ContainerRecord> others) {
        int colon = from.indexOf(':');
        String mode = colon < 0 ? "rw" : from.substring(colon + 1);
        if (!Set.of("rw", "ro", "z", "Z").contains(mode)) {
            throw EngineException.invalid("invalid mode: " + mode);
        }
        refuseRelabeling(mode);
        ContainerRecord other = others.apply(colon < 0 ? from : from.substring(0, colon));
        List<MountPoint> points = new ArrayList<>();
        for (MountPoint point : other.getMountsList()) {
            if (!point.getType().equals("tmpfs")) {
                points.add(point.toBuilder()
                        .setWritable(point.getWritable() && !mode.equals("ro"))
                        .setCopies(false)
                        .build());
            }
        }
        return points;
    }

    private static void refuseRelabeling(String mode) {
        // Without SELinux there are no labels, and nothing is to be done.
        if (mode.equalsIgnoreCase("z") && Files.exists(Path.of("/sys/fs/selinux/enforce"))) {
            throw EngineException.invalid("invalid mode: " + mode
                    + ": this engine does not change SELinux labels; label the folder with chcon instead");
        }
    }

    // ---- -v

    static Wanted bind(String text, String volumeDriver) {
        String[] parts = text.split(":", -1);
        for (String part : parts) {
            if (part.isEmpty()) {
                throw EngineException.invalid("invalid volume specification: '" + text + "'");
            }
        }
        return switch (parts.length) {
            case 1 -> bind(text, "", parts[0], "", volumeDriver);
            case 2 -> {
                if (isMode(parts[1]) && !parts[1].startsWith("/")) {
                    yield bind(text, "", parts[0], parts[1], volumeDriver);
                }
                yield bind(text, parts[0], parts[1], "", volumeDriver);
            }
            case 3 -> bind(text, parts[0], parts[1], parts[2], volumeDriver);
            default -> throw EngineException.invalid("invalid volume specification: '" + text + "'");
        };
    }

    private static boolean isMode(String text) {
        for (String each : text.split(",", -1)) {
            if (!Set.of("ro", "rw", "z", "Z", "copy", "nocopy", "consistent", "cached", "delegated", "default")
                            .contains(each)
                    && !PROPAGATIONS.contains(each)) {
                return false;
            }
        }
        return true;
    }

    private static Wanted bind(String text, String source, String target, String mode, String volumeDriver) {
        boolean isBind = source.startsWith("/");
        if (!mode.isEmpty() && !isMode(mode)) {
            throw EngineException.invalid("invalid mode: " + mode);
        }
        String destination;
        try {
            destination = destination(target, isBind ? "bind" : "volume");
        } catch (EngineException e) {
            throw EngineException.invalid("invalid volume specification: '" + text + "': " + e.text());
        }
        boolean writable = true;
        boolean copies = !isBind;
        String propagation = isBind ? "rprivate" : "";
        for (String each : mode.split(",", -1)) {
            switch (each) {
                case "ro" -> writable = false;
                case "nocopy" -> copies = false;
                case "z", "Z" -> refuseRelabeling(each);
                default -> {
                    if (PROPAGATIONS.contains(each)) {
                        if (!isBind) {
                            throw EngineException.invalid("invalid mode: " + mode);
                        }
                        propagation = each;
                    }
                }
            }
        }
        if (isBind && mode.contains("copy")) {
            throw EngineException.invalid("invalid mode: " + mode);
        }
        MountPoint.Builder point = MountPoint.newBuilder()
                .setType(isBind ? "bind" : "volume")
                .setDestination(destination)
                .setMode(mode.isEmpty() && !isBind && !source.isEmpty() ? "z" : mode)
                .setWritable(writable)
                .setPropagation(propagation)
                .setCopies(copies);
        if (isBind) {
            return Wanted.of(
                    point.setSource(Path.of(source).normalize().toString()).setMakesSource(true));
        }
        Driver driver = volumeDriver.isEmpty()
                ? null
                : Driver.newBuilder().setName(volumeDriver).build();
        point.setName(source).setDriver(Volumes.LOCAL).setAnonymous(source.isEmpty());
        return new Wanted(point.build(), Map.of(), driver);
    }

    private static String destination(String target, String type) {
        String prefix = "invalid mount config for type \"" + type + "\": ";
        if (target.isEmpty()) {
            throw EngineException.invalid(prefix + "field Target must not be empty");
        }
        if (!target.startsWith("/")) {
            throw EngineException.invalid(prefix + "invalid mount path: '" + target + "' mount path must be absolute");
        }
        String clean = Root.clean(target);
        if (clean.isEmpty()) {
            throw EngineException.invalid(prefix + "invalid specification: destination can't be '/'");
        }
        return "/" + clean;
    }

    // ---- --mount

    static Wanted mount(Mount mount) {
        String type = mount.getType().isEmpty() ? "volume" : mount.getType();
        String prefix = "invalid mount config for type \"" + type + "\": ";
        if (!Set.of("bind", "volume", "tmpfs").contains(type)) {
            throw EngineException.invalid(prefix
                    + (Set.of("npipe", "cluster", "image").contains(type)
                            ? "this engine has no such mounts"
                            : "mount type unknown"));
        }
        String destination = destination(mount.getTarget(), type);
        if (mount.hasBindOptions() && !type.equals("bind")) {
            throw EngineException.invalid(prefix + "field BindOptions must not be specified");
        }
        if (mount.hasVolumeOptions() && !type.equals("volume")) {
            throw EngineException.invalid(prefix + "field VolumeOptions must not be specified");
        }
        if (mount.hasTmpfsOptions() && !type.equals("tmpfs")) {
            throw EngineException.invalid(prefix + "field TmpfsOptions must not be specified");
        }
        MountPoint.Builder point = MountPoint.newBuilder()
                .setType(type)
                .setDestination(destination)
                .setWritable(!mount.getReadOnly());
        return switch (type) {
            case "bind" -> Wanted.of(bindMount(mount, point, prefix));
            case "tmpfs" -> {
                if (!mount.getSource().isEmpty()) {
                    throw EngineException.invalid(prefix + "field Source must not be specified");
                }
                yield Wanted.of(point.addAllOptions(tmpfsMount(mount, prefix)));
            }
            default -> {
                String subpath = mount.getVolumeOptions().getSubpath();
                if (!subpath.isEmpty() && (subpath.startsWith("/") || subpath.startsWith(".."))) {
                    throw EngineException.invalid(prefix + "subpath must be a relative path within the volume");
                }
                if (mount.getSource().isEmpty() && !subpath.isEmpty()) {
                    throw EngineException.invalid(prefix + "must not set Subpath when using anonymous volumes");
                }
                point.setName(mount.getSource())
                        .setDriver(Volumes.LOCAL)
                        .setMode("z")
                        .setAnonymous(mount.getSource().isEmpty())
                        .setSubpath(subpath)
                        .setCopies(!mount.getVolumeOptions().getNoCopy() && subpath.isEmpty());
                yield new Wanted(
                        point.build(),
                        mount.getVolumeOptions().getLabelsMap(),
                        mount.getVolumeOptions().hasDriverConfig()
                                ? mount.getVolumeOptions().getDriverConfig()
                                : null);
            }
        };
    }

    private static MountPoint.Builder bindMount(Mount mount, MountPoint.Builder point, String prefix) {
        if (mount.getSource().isEmpty()) {
            throw EngineException.invalid(prefix + "field Source must not be empty");
        }
        if (!mount.getSource().startsWith("/")) {
            throw EngineException.invalid(
                    prefix + "invalid mount path: '" + mount.getSource() + "' mount path must be absolute");
        }
        String propagation = mount.getBindOptions().getPropagation();
        if (!propagation.isEmpty() && !PROPAGATIONS.contains(propagation)) {
            throw EngineException.invalid(prefix + "invalid propagation mode: " + propagation);
        }
        if (mount.getBindOptions().getReadOnlyForceRecursive()) {
            throw EngineException.invalid(prefix
                    + "ReadOnlyForceRecursive is not supported: what is mounted below the source stays writable");
        }
        if (!mount.getBindOptions().getCreateMountpoint() && !Files.exists(Path.of(mount.getSource()))) {
            throw EngineException.invalid(prefix + "bind source path does not exist: " + mount.getSource());
        }
        if (mount.getBindOptions().getNonRecursive()) {
            point.addOptions("bind");
        }
        return point.setSource(Path.of(mount.getSource()).normalize().toString())
                .setPropagation(propagation.isEmpty() ? "rprivate" : propagation)
                .setMakesSource(mount.getBindOptions().getCreateMountpoint());
    }

    private static List<String> tmpfsMount(Mount mount, String prefix) {
        TmpfsOptions options = mount.getTmpfsOptions();
        List<String> all = new ArrayList<>();
        if (mount.getReadOnly()) {
            all.add("ro");
        }
        if (options.getSizeBytes() < 0) {
            throw EngineException.invalid(prefix + "invalid tmpfs size: " + options.getSizeBytes());
        }
        if (options.getMode() != 0) {
            all.add("mode=" + Integer.toOctalString(options.getMode()));
        }
        if (options.getSizeBytes() > 0) {
            all.add("size=" + options.getSizeBytes());
        }
        for (StringList option : options.getOptionsList()) {
            all.add(String.join("=", option.getValuesList()));
        }
        return tmpfsOptions(mount.getTarget(), String.join(",", all));
    }

    // ---- tmpfs

    /** Returns the options of a tmpfs: what harms nobody, unless the user says otherwise. */
    static List<String> tmpfsOptions(String destination, String asked) {
        destination(destination, "tmpfs");
        List<String> options = new ArrayList<>(List.of("noexec", "nosuid", "nodev", "rprivate"));
        for (String each : asked.split(",", -1)) {
            if (each.isEmpty()) {
                continue;
            }
            int equals = each.indexOf('=');
            if (equals < 0 ? !TMPFS_FLAGS.contains(each) : !TMPFS_VALUES.contains(each.substring(0, equals))) {
                throw EngineException.invalid("invalid tmpfs option [\"" + each + "\"]");
            }
            options.remove(each.startsWith("no") ? each.substring(2) : "no" + each);
            if (PROPAGATIONS.contains(each)) {
                options.remove("rprivate");
            }
            options.remove(each);
            options.add(each);
        }
        return options;
    }
}
