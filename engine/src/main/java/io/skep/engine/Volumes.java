package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.CreateVolume;
import io.skep.engine.record.MountPoint;
import io.skep.engine.record.Volume;
import io.skep.engine.record.VolumeUsage;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The volumes of this engine: folders of its own, or what a user has mounted there ({@code type}, {@code device} and
 * {@code o}) while a container runs that uses it.
 *
 * <p>A volume is in use by every container that names it, running or not, and mounted while one of them runs. Both are
 * counted in memory, from the records of the containers; what is mounted is asked of the kernel, so a volume that a
 * killed engine left mounted is found.
 *
 * <p>Threads: any; {@link #lock} guards all of it, also while a file system is mounted.
 */
public final class Volumes {
    /** The driver of all volumes here. */
    static final String LOCAL = "local";

    /** The label of a volume that nobody named. */
    static final String ANONYMOUS = "com.docker.volume.anonymous";

    private static final Logger LOG = LoggerFactory.getLogger(Volumes.class);
    private static final String RECORD = "volume.pb";
    private static final String DATA = "_data";
    private static final Pattern NAME = Pattern.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]+");
    private static final int NAME_BYTES = 32;
    private static final Set<String> OPTIONS = Set.of("type", "o", "device", "size");
    private static final Map<String, List<String>> NEEDED =
            Map.of("device", List.of("type"), "type", List.of("device"), "o", List.of("device", "type"));

    private final Path folder;
    private final InstantSource clock;
    private final Consumer<EngineEvent> events;
    private final SecureRandom random = new SecureRandom();
    private final ReentrantLock lock = new ReentrantLock();
    private final Map<String, Volume> byName = new TreeMap<>();
    private final Map<String, Set<String>> users = new HashMap<>();
    private final Map<String, Set<String>> mounted = new HashMap<>();

    /** Reads the records of all volumes. */
    Volumes(Path folder, InstantSource clock, Consumer<EngineEvent> events) throws IOException {
        Files.createDirectories(folder);
        // The kernel names mounts by their real paths.
        this.folder = folder.toRealPath();
        this.clock = clock;
        this.events = events;
        try (DirectoryStream<Path> each = Files.newDirectoryStream(folder)) {
            for (Path volume : each) {
                if (!Files.exists(volume.resolve(RECORD))) {
                    // A creation that broke off, or a removal: neither leaves data that anybody has seen.
                    if (!Mountings.isMounted(volume.resolve(DATA))) {
                        AtomicFiles.deleteTree(volume);
                    }
                    continue;
                }
                try {
                    Volume record = Volume.parseFrom(Files.readAllBytes(volume.resolve(RECORD)));
                    byName.put(record.getName(), record);
                } catch (IOException e) {
                    LOG.error("The record of volume {} cannot be read, it is left out: {}", volume, e.getMessage());
                }
            }
        }
    }

    /** Returns all volumes by their names. */
    public List<Volume> all() {
        lock.lock();
        try {
            return List.copyOf(byName.values());
        } finally {
            lock.unlock();
        }
    }

    /**
     * Finds a volume.
     *
     * @throws EngineException NOT_FOUND when there is none of the name
     */
    public Volume require(String name) {
        lock.lock();
        try {
            Volume volume = byName.get(name);
            if (volume == null) {
                throw EngineException.notFound("get " + name + ": no such volume");
            }
            return volume;
        } finally {
            lock.unlock();
        }
    }

    /** Returns whether a container, running or not, uses a volume. */
    public boolean isUsed(String name) {
        lock.lock();
        try {
            return users.containsKey(name);
        } finally {
            lock.unlock();
        }
    }

    /** Returns how much a volume holds and how many containers use it. */
    public VolumeUsage usage(String name) {
        Volume volume = require(name);
        long size = -1;
        try {
            size = sizeBytes(Path.of(volume.getMountpoint()));
        } catch (IOException e) {
            LOG.warn("The size of volume {} cannot be told: {}", name, e.getMessage());
        }
        lock.lock();
        try {
            return VolumeUsage.newBuilder()
                    .setSize(size)
                    .setRefCount(users.getOrDefault(name, Set.of()).size())
                    .build();
        } finally {
            lock.unlock();
        }
    }

    private static long sizeBytes(Path folder) throws IOException {
        long[] bytes = {0};
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                bytes[0] += attributes.size();
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) {
                // Deleted meanwhile.
                return FileVisitResult.CONTINUE;
            }
        });
        return bytes[0];
    }

    /** Makes a volume; one of that name that is there is returned as it is. */
    public Volume create(CreateVolume asked) {
        Map<String, String> labels = new HashMap<>(asked.getLabelsMap());
        String name = asked.getName();
        if (name.isEmpty()) {
            byte[] bytes = new byte[NAME_BYTES];
            random.nextBytes(bytes);
            name = HexFormat.of().formatHex(bytes);
            labels.put(ANONYMOUS, "");
        }
        check(name, asked);
        lock.lock();
        try {
            Volume there = byName.get(name);
            if (there != null) {
                return there;
            }
            Volume volume = Volume.newBuilder()
                    .setName(name)
                    .setDriver(LOCAL)
                    .setScope("local")
                    .setCreatedAt(
                            clock.instant().truncatedTo(ChronoUnit.SECONDS).toString())
                    .setMountpoint(folder.resolve(name).resolve(DATA).toString())
                    .putAllLabels(labels)
                    .putAllOptions(asked.getDriverOptsMap())
                    .build();
            Path place = folder.resolve(name);
            Files.createDirectories(place.resolve(DATA));
            Files.setAttribute(place, "unix:mode", 0701);
            Files.setAttribute(place.resolve(DATA), "unix:mode", 0755);
            AtomicFiles.write(place.resolve(RECORD), volume.toByteArray());
            byName.put(name, volume);
            tell("create", name, Map.of());
            return volume;
        } catch (IOException e) {
            throw EngineException.internal("create " + name + ": " + e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    private static void check(String name, CreateVolume asked) {
        if (!asked.getDriver().isEmpty() && !asked.getDriver().equals(LOCAL)) {
            throw EngineException.notFound("error looking up volume plugin " + asked.getDriver() + ": plugin \""
                    + asked.getDriver() + "\" not found");
        }
        if (name.length() == 1) {
            throw EngineException.invalid("create " + name
                    + ": volume name is too short, names should be at least two alphanumeric characters");
        }
        if (!NAME.matcher(name).matches() || name.length() > 255) {
            throw EngineException.invalid("create " + name + ": \"" + name
                    + "\" includes invalid characters for a local volume name, only"
                    + " \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use"
                    + " absolute path");
        }
        Map<String, String> options = asked.getDriverOptsMap();
        for (String option : new TreeSet<>(options.keySet())) {
            if (!OPTIONS.contains(option)) {
                throw EngineException.invalid("create " + name + ": invalid option: \"" + option + "\"");
            }
            for (String needed : NEEDED.getOrDefault(option, List.of())) {
                if (!options.containsKey(needed)) {
                    throw EngineException.invalid("create " + name + ": missing required option: \"" + needed + "\"");
                }
            }
        }
        if (options.containsKey("size") && !options.containsKey("device")) {
            throw EngineException.invalid("create " + name
                    + ": quota size requested but no quota support: give the size to a tmpfs with --opt o=size=…");
        }
    }

    /**
     * Removes a volume and what is in it.
     *
     * @param force whether it is no error when there is none
     */
    public void remove(String name, boolean force) {
        lock.lock();
        try {
            if (force && !byName.containsKey(name)) {
                return;
            }
            Volume volume = require(name);
            Set<String> using = users.getOrDefault(name, Set.of());
            if (!using.isEmpty()) {
                throw EngineException.conflict(
                        "remove " + name + ": volume is in use - [" + String.join(", ", using) + "]");
            }
            unmount(volume);
            // The record first: what is half deleted is no volume any more.
            Files.deleteIfExists(folder.resolve(name).resolve(RECORD));
            byName.remove(name);
            AtomicFiles.deleteTree(folder.resolve(name));
            tell("destroy", name, Map.of());
        } catch (IOException e) {
            throw EngineException.internal("remove " + name + ": " + e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    /**
     * What a prune took away.
     *
     * @param names of the volumes
     */
    public record Pruned(List<String> names, long bytes) {
        public Pruned {
            names = List.copyOf(names);
        }
    }

    /** Removes the volumes that no container uses and that are wanted gone. */
    public Pruned prune(Predicate<Volume> wanted) {
        List<String> names = new ArrayList<>();
        long bytes = 0;
        for (Volume volume : all()) {
            if (isUsed(volume.getName()) || !wanted.test(volume)) {
                continue;
            }
            try {
                long size = sizeBytes(Path.of(volume.getMountpoint()));
                remove(volume.getName(), false);
                names.add(volume.getName());
                bytes += size;
            } catch (EngineException | IOException e) {
                LOG.warn("Volume {} is not pruned: {}", volume.getName(), e.getMessage());
            }
        }
        events.accept(
                new EngineEvent("volume", "prune", "", Map.of("reclaimed", Long.toString(bytes)), clock.instant()));
        return new Pruned(names, bytes);
    }

    /** Returns the volumes a container uses, each once. */
    static Collection<String> of(ContainerRecord container) {
        Set<String> names = new TreeSet<>(Comparator.naturalOrder());
        for (MountPoint point : container.getMountsList()) {
            if (point.getType().equals("volume")) {
                names.add(point.getName());
            }
        }
        return names;
    }

    /** A container uses a volume from now on, whether it runs or not. */
    void use(String name, String containerId) {
        lock.lock();
        try {
            users.computeIfAbsent(name, key -> new TreeSet<>()).add(containerId);
        } finally {
            lock.unlock();
        }
    }

    /** A container does not use a volume any more. */
    void leave(String name, String containerId) {
        lock.lock();
        try {
            remove(users, name, containerId);
        } finally {
            lock.unlock();
        }
    }

    private static boolean remove(Map<String, Set<String>> sets, String name, String containerId) {
        Set<String> set = sets.get(name);
        if (set == null || !set.remove(containerId)) {
            return false;
        }
        if (set.isEmpty()) {
            sets.remove(name);
        }
        return true;
    }

    /** Makes the files of a volume ready for a container that is about to run; returns where they are. */
    Path mount(String name, String containerId, Map<String, String> attributes) {
        lock.lock();
        try {
            Volume volume = require(name);
            Path data = Path.of(volume.getMountpoint());
            Map<String, String> options = volume.getOptionsMap();
            if (options.containsKey("device") && !Mountings.isMounted(data)) {
                String device = options.getOrDefault("device", "");
                String details = options.getOrDefault("o", "");
                try {
                    Mountings.mount(device, data, options.getOrDefault("type", ""), List.of(details.split(",", -1)));
                } catch (IOException e) {
                    throw EngineException.internal(
                            "error while mounting volume '" + data + "': failed to mount local volume: mount " + device
                                    + ":" + data + (details.isEmpty() ? "" : ", data: " + details) + ": "
                                    + e.getMessage(),
                            e);
                }
            }
            if (mounted.computeIfAbsent(name, key -> new TreeSet<>()).add(containerId)) {
                tell("mount", name, attributes);
            }
            return data;
        } catch (IOException e) {
            throw EngineException.internal("volume " + name + " cannot be mounted: " + e.getMessage(), e);
        } finally {
            lock.unlock();
        }
    }

    /** A container that uses a volume has ended. */
    void unmount(String name, String containerId) {
        lock.lock();
        try {
            boolean was = remove(mounted, name, containerId);
            Volume volume = byName.get(name);
            if (volume != null && !mounted.containsKey(name)) {
                unmount(volume);
            }
            if (was) {
                tell("unmount", name, Map.of("container", containerId));
            }
        } catch (IOException e) {
            LOG.warn("Volume {} stays mounted: {}", name, e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    private static void unmount(Volume volume) throws IOException {
        Path data = Path.of(volume.getMountpoint());
        if (volume.getOptionsMap().containsKey("device")) {
            LinuxFiles.unmount(data, LinuxFiles.MNT_DETACH);
            if (Mountings.isMounted(data)) {
                throw new IOException("something is still mounted at " + data);
            }
        }
    }

    private void tell(String action, String name, Map<String, String> more) {
        Map<String, String> attributes = new HashMap<>(more);
        attributes.put("driver", LOCAL);
        events.accept(new EngineEvent("volume", action, name, attributes, clock.instant()));
    }
}
