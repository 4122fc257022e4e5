package io.skep.engine;

import io.skep.containerd.types.Mount;
import io.skep.engine.MountRequests.Wanted;
import io.skep.engine.OciSpecification.Mounted;
import io.skep.engine.Root.Place;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.CreateVolume;
import io.skep.engine.record.Driver;
import io.skep.engine.record.MountPoint;
import io.skep.engine.record.Volume;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Mounts volumes, folders of the host and memory into containers.
 *
 * <p>A folder within a volume ({@code Subpath}) is found without leaving the volume, whatever links are in it, and
 * mounted to a place of its own, which is what the runtime is told: were it told a path, a link that is put there at
 * the last moment would lead it out.
 */
final class VolumeMounts implements MountSource {
    private static final Logger LOG = LoggerFactory.getLogger(VolumeMounts.class);
    private static final int PIPE_BYTES = 256 << 10;

    private final Volumes volumes;
    private final Path folder;
    private final ExecutorService executor;

    /**
     * Takes away what a killed engine left mounted for a moment.
     *
     * @param folder where mounts are made that end with the machine
     */
    VolumeMounts(Volumes volumes, Path folder, ExecutorService executor) throws IOException {
        this.volumes = volumes;
        this.folder = folder;
        this.executor = executor;
        MountedRoot.clear(roots());
    }

    private Path roots() {
        return folder.resolve("roots");
    }

    @Override
    public void remember(ContainerRecord container) {
        Volumes.of(container).forEach(name -> volumes.use(name, container.getId()));
    }

    @Override
    public List<MountPoint> create(ContainerRecord container, Function<String, ContainerRecord> others) {
        List<MountPoint> points = new ArrayList<>();
        try {
            for (Wanted wanted : MountRequests.read(container, others).values()) {
                MountPoint point = wanted.point();
                if (!point.getType().equals("volume")) {
                    points.add(point);
                    continue;
                }
                Driver driver = wanted.driver();
                Volume volume = volumes.create(CreateVolume.newBuilder()
                        .setName(point.getName())
                        .setDriver(driver == null ? "" : driver.getName())
                        .putAllDriverOpts(driver == null ? Map.of() : driver.getOptionsMap())
                        .putAllLabels(wanted.volumeLabels())
                        .build());
                volumes.use(volume.getName(), container.getId());
                points.add(point.toBuilder()
                        .setName(volume.getName())
                        .setSource(volume.getMountpoint())
                        .build());
            }
            return points;
        } catch (RuntimeException e) {
            release(container.toBuilder().addAllMounts(points).build(), true);
            throw e;
        }
    }

    @Override
    public void populate(ContainerRecord container, List<Mount> rootfs) throws IOException {
        List<MountPoint> copied = container.getMountsList().stream()
                .filter(each -> each.getType().equals("volume") && each.getCopies())
                .toList();
        if (copied.isEmpty()) {
            return;
        }
        try (MountedRoot image = MountedRoot.of(roots(), rootfs, true)) {
            for (MountPoint point : copied) {
                try (Place place = image.root().place(point.getDestination(), true)) {
                    Path data = volumes.mount(point.getName(), container.getId(), attributes(container, point));
                    try {
                        copy(place, data);
                    } finally {
                        volumes.unmount(point.getName(), container.getId());
                    }
                } catch (NoSuchFileException | NotDirectoryException e) {
                    LOG.debug("the image has no folder {} to fill a volume from", point.getDestination());
                }
            }
        }
    }

    private void copy(Place from, Path to) throws IOException {
        try (DirectoryStream<Path> each = Files.newDirectoryStream(to)) {
            if (each.iterator().hasNext()) {
                return;
            }
        }
        try (PipedInputStream in = new PipedInputStream(PIPE_BYTES);
                PipedOutputStream out = new PipedOutputStream(in);
                Root root = Root.of(to)) {
            Future<?> written = executor.submit(() -> {
                try (out) {
                    TreeArchive.write(from, "", anywhere -> true, out);
                }
                return null;
            });
            TreeArchive.extract(root, "", in, true);
            in.transferTo(OutputStream.nullOutputStream());
            written.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("the engine is stopping", e);
        } catch (ExecutionException e) {
            throw new IOException("a volume cannot be filled from the image: " + e.getCause(), e);
        }
        TreeArchive.Status status = TreeArchive.Status.of(from.path());
        Files.setAttribute(to, "unix:uid", (int) status.uid(), LinkOption.NOFOLLOW_LINKS);
        Files.setAttribute(to, "unix:gid", (int) status.gid(), LinkOption.NOFOLLOW_LINKS);
        Files.setAttribute(to, "unix:mode", status.mode() & 07777);
    }

    private static Map<String, String> attributes(ContainerRecord container, MountPoint point) {
        Map<String, String> attributes = new HashMap<>();
        attributes.put("container", container.getId());
        attributes.put("destination", point.getDestination());
        attributes.put("propagation", point.getPropagation());
        attributes.put("read/write", Boolean.toString(point.getWritable()));
        return attributes;
    }

    @Override
    public List<Mounted> activate(ContainerRecord container) {
        List<Mounted> all = new ArrayList<>();
        List<MountPoint> points = container.getMountsList();
        for (int i = 0; i < points.size(); i++) {
            MountPoint point = points.get(i);
            all.add(
                    switch (point.getType()) {
                        case "bind" -> bind(point);
                        case "tmpfs" -> new Mounted(point.getDestination(), "tmpfs", "tmpfs", point.getOptionsList());
                        default -> volume(container, point, i);
                    });
        }
        container
                .getHostConfig()
                .getTmpfsMap()
                .forEach((destination, options) -> all.add(new Mounted(
                        "/" + Root.clean(destination),
                        "tmpfs",
                        "tmpfs",
                        MountRequests.tmpfsOptions(destination, options))));
        // What lies in another comes after it.
        all.sort(Comparator.comparingInt(each -> Path.of(each.destination()).getNameCount()));
        return all;
    }

    private static Mounted bind(MountPoint point) {
        Path source = Path.of(point.getSource());
        if (!Files.exists(source)) {
            if (!point.getMakesSource()) {
                throw EngineException.invalid(
                        "invalid mount config for type \"bind\": bind source path does not exist: "
                                + point.getSource());
            }
            try {
                Files.createDirectories(source);
            } catch (IOException e) {
                throw EngineException.internal(
                        "error while creating mount source path '" + source + "': mkdir " + source + ": "
                                + e.getMessage(),
                        e);
            }
        }
        checkPropagation(source, point.getPropagation());
        List<String> options = new ArrayList<>();
        options.add(point.getOptionsList().contains("bind") ? "bind" : "rbind");
        if (!point.getWritable()) {
            options.add("ro");
        }
        options.add(point.getPropagation());
        return new Mounted(point.getDestination(), "bind", point.getSource(), options);
    }

    private static void checkPropagation(Path source, String propagation) {
        boolean shared = propagation.endsWith("shared");
        boolean follows = propagation.endsWith("slave");
        if (!shared && !follows) {
            return;
        }
        try {
            Mountings.Known mount = Mountings.of(source.toRealPath());
            if (!mount.shared() && (shared || !mount.follows())) {
                throw EngineException.invalid("path " + source + " is mounted on " + mount.target()
                        + " but it is not a shared" + (follows ? " or slave" : "") + " mount");
            }
        } catch (IOException e) {
            throw EngineException.internal("the mounts of this machine cannot be read: " + e.getMessage(), e);
        }
    }

    private Mounted volume(ContainerRecord container, MountPoint point, int index) {
        Path source = volumes.mount(point.getName(), container.getId(), attributes(container, point));
        if (!point.getSubpath().isEmpty()) {
            source = subpath(container, point, source, index);
        }
        List<String> options = new ArrayList<>(List.of("rbind", point.getWritable() ? "rw" : "ro"));
        options.add(point.getPropagation().isEmpty() ? "rprivate" : point.getPropagation());
        return new Mounted(point.getDestination(), "bind", source.toString(), options);
    }

    private Path subpath(ContainerRecord container, MountPoint point, Path data, int index) {
        Path target = subpaths(container).resolve(Integer.toString(index));
        try (Root root = Root.of(data)) {
            int fd = root.open(Root.clean(point.getSubpath()), LinuxFiles.O_PATH);
            try {
                Files.createDirectories(target.getParent());
                LinuxFiles.unmount(target, LinuxFiles.MNT_DETACH);
                Files.deleteIfExists(target);
                if (Files.isDirectory(Root.path(fd))) {
                    Files.createDirectory(target);
                } else {
                    Files.createFile(target);
                }
                LinuxFiles.mount(Root.path(fd).toString(), target, "", LinuxFiles.MS_BIND | LinuxFiles.MS_REC, "");
            } finally {
                LinuxCalls.close(fd);
            }
            return target;
        } catch (NoSuchFileException | NotDirectoryException e) {
            throw EngineException.invalid("cannot access path " + data.resolve(point.getSubpath()) + ": there is no "
                    + point.getSubpath() + " in volume " + point.getName());
        } catch (IOException e) {
            throw EngineException.internal(
                    point.getSubpath() + " of volume " + point.getName() + " cannot be mounted: " + e.getMessage(), e);
        }
    }

    private Path subpaths(ContainerRecord container) {
        return folder.resolve("subpaths").resolve(container.getId());
    }

    @Override
    public void resume(ContainerRecord container) {
        for (MountPoint point : container.getMountsList()) {
            if (point.getType().equals("volume")) {
                volumes.mount(point.getName(), container.getId(), attributes(container, point));
            }
        }
    }

    @Override
    public void deactivate(ContainerRecord container) {
        Volumes.of(container).forEach(name -> volumes.unmount(name, container.getId()));
        Path subpaths = subpaths(container);
        if (!Files.isDirectory(subpaths)) {
            return;
        }
        try {
            try (DirectoryStream<Path> each = Files.newDirectoryStream(subpaths)) {
                for (Path target : each) {
                    LinuxFiles.unmount(target, LinuxFiles.MNT_DETACH);
                    Files.deleteIfExists(target);
                }
            }
            Files.deleteIfExists(subpaths);
        } catch (IOException e) {
            LOG.warn("A mount of container {} is left: {}", container.getName(), e.getMessage());
        }
    }

    @Override
    public void release(ContainerRecord container, boolean anonymousToo) {
        deactivate(container);
        for (MountPoint point : container.getMountsList()) {
            if (!point.getType().equals("volume")) {
                continue;
            }
            volumes.leave(point.getName(), container.getId());
            if (anonymousToo && point.getAnonymous() && !volumes.isUsed(point.getName())) {
                try {
                    volumes.remove(point.getName(), true);
                } catch (EngineException e) {
                    LOG.warn("Volume {} is left: {}", point.getName(), e.text());
                }
            }
        }
    }

    @Override
    public MountedRoot open(ContainerRecord container, List<Mount> rootfs, boolean readOnly, boolean withVolumes)
            throws IOException {
        MountedRoot opened = MountedRoot.of(roots(), rootfs, readOnly);
        if (!withVolumes) {
            return opened;
        }
        try {
            for (MountPoint point : container.getMountsList().stream()
                    .sorted(Comparator.comparingInt(
                            each -> Path.of(each.getDestination()).getNameCount()))
                    .toList()) {
                @Nullable String source = point.getType().equals("tmpfs") ? null : point.getSource();
                if (source != null && point.getSubpath().isEmpty() && Files.exists(Path.of(source))) {
                    opened.bind(Path.of(source), point.getDestination(), readOnly || !point.getWritable());
                }
            }
            return opened;
        } catch (IOException | RuntimeException e) {
            opened.close();
            throw e;
        }
    }
}
