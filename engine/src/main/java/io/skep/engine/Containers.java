package io.skep.engine;

import io.skep.agent.HostDescription;
import io.skep.engine.ImageSource.Image;
import io.skep.engine.record.Config;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStatus;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.HostConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All containers of this engine, found by id, name or the beginning of an id.
 *
 * <p>A name belongs to one container from before it is made until after it is removed, so two creations never get the
 * same one.
 */
public final class Containers {
    private static final Logger LOG = LoggerFactory.getLogger(Containers.class);
    private static final Pattern NAME = Pattern.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]+");
    private static final int ID_BYTES = 32;

    private final ContainerParts parts;
    private final ImageSource images;
    private final LogDrivers logs;
    private final SecureRandom random = new SecureRandom();
    private final Map<String, Container> byId = new ConcurrentHashMap<>();
    private final Map<String, String> idByName = new ConcurrentHashMap<>();

    /** Reads the records of all containers; nothing is started before {@link #recover}. */
    Containers(ContainerParts parts, ImageSource images, LogDrivers logs) throws IOException {
        this.parts = parts;
        this.images = images;
        this.logs = logs;
        for (ContainerRecord record : parts.folder().load()) {
            byId.put(record.getId(), new Container(parts, record, logs.open(record), this::forget));
            idByName.put(record.getName(), record.getId());
            parts.mounts().remember(record);
        }
    }

    /** Takes over the containers that run, and starts those again that should. */
    void recover() throws InterruptedException {
        try {
            parts.networking()
                    .recover(byId.values().stream()
                            .filter(each -> each.record().getState().getSupposedToRun())
                            .map(Container::id)
                            .collect(Collectors.toSet()));
        } catch (IOException | RuntimeException e) {
            LOG.error("The networks of containers could not be taken over", e);
        }
        List<Future<?>> all = new ArrayList<>();
        for (Container container : byId.values()) {
            all.add(parts.executor().submit(container::recover));
        }
        for (Future<?> each : all) {
            try {
                each.get();
            } catch (ExecutionException e) {
                LOG.error("A container could not be taken over", e.getCause());
            }
        }
    }

    /** Returns all containers, the newest first. */
    public Collection<Container> all() {
        return byId.values().stream()
                .sorted(Comparator.comparing(
                                (Container each) -> Times.of(each.record().getCreated()))
                        .reversed()
                        .thenComparing(Container::id))
                .toList();
    }

    /** Returns which images are needed. */
    List<ImageUsers.User> imageUsers() {
        return byId.values().stream()
                .map(Container::record)
                .map(each -> new ImageUsers.User(each.getId(), each.getImageId(), isAlive(each)))
                .toList();
    }

    private static boolean isAlive(ContainerRecord record) {
        return switch (record.getState().getStatus()) {
            case RUNNING, PAUSED, RESTARTING -> true;
            default -> false;
        };
    }

    /**
     * Finds a container.
     *
     * @param reference an id, a name with or without a slash, or the beginning of an id
     * @throws EngineException NOT_FOUND when there is none, INVALID when several ids begin so
     */
    public Container require(String reference) {
        Container byFullId = byId.get(reference);
        if (byFullId != null) {
            return byFullId;
        }
        String id = idByName.get(reference.startsWith("/") ? reference.substring(1) : reference);
        if (id != null) {
            Container named = byId.get(id);
            if (named != null) {
                return named;
            }
        }
        List<Container> found = reference.isEmpty()
                ? List.of()
                : byId.values().stream()
                        .filter(each -> each.id().startsWith(reference))
                        .toList();
        if (found.size() > 1) {
            throw EngineException.invalid("multiple IDs found with provided prefix: " + reference);
        }
        if (found.isEmpty()) {
            throw EngineException.notFound("No such container: " + reference);
        }
        return found.getFirst();
    }

    /**
     * Makes a container.
     *
     * @param name the one wanted, or empty for one that is made up
     * @param platform such as linux/arm64, or empty for that of this host
     */
    public Container create(String name, CreateContainer asked, String platform) {
        Image image = images.require(asked.getConfig().getImage(), platform);
        Config config = ContainerDefaults.config(asked.getConfig(), image.config());
        HostConfig host = ContainerDefaults.hostConfig(asked.getHostConfig());
        if (config.getEntrypointCount() == 0 && config.getCmdCount() == 0) {
            throw EngineException.invalid("no command specified");
        }
        host = joined(host);
        HostConfigRules.check(host, parts.host().unifiedCgroups());
        if (host.getInit() && parts.host().init().isEmpty()) {
            throw EngineException.invalid(
                    "Init is not supported on this machine: install docker-init, tini or catatonit");
        }
        parts.runtimes().check(host.getRuntime());
        logs.check(host.getLogConfig());
        HealthMonitor.check(config);
        Signals.number(config.getStopSignal(), Signals.TERM);

        byte[] bytes = new byte[ID_BYTES];
        random.nextBytes(bytes);
        String id = HexFormat.of().formatHex(bytes);
        String reserved = reserve(name, id);
        ContainerRecord.Builder record = ContainerRecord.newBuilder()
                .setId(id)
                .setName(reserved)
                .setCreated(Times.of(parts.clock().instant()))
                .setImageId(image.id())
                .setManifestDigest(image.manifestDigest())
                .setPlatform(image.platform())
                .setConfig(
                        config.getHostname().isEmpty()
                                ? config.toBuilder()
                                        .setHostname(
                                                host.getNetworkMode().equals("host")
                                                        ? HostDescription.hostname()
                                                        : id.substring(0, 12))
                                : config.toBuilder())
                .setHostConfig(host)
                .putAllEndpoints(asked.getNetworkingConfig().getEndpointsConfigMap())
                .setState(ContainerState.newBuilder().setStatus(ContainerStatus.CREATED))
                .setSnapshotter(parts.layers().snapshotter());
        boolean made = false;
        ContainerLog log = null;
        try {
            parts.networking().check(record.build());
            Map<String, EndpointSettings> places = parts.networking().planned(record.build());
            record.clearEndpoints().putAllEndpoints(places);
            record.addAllMounts(
                    parts.mounts().create(record.build(), each -> require(each).record()));
            Files.createDirectories(parts.folder().of(id));
            ContainerRecord complete = record.build();
            log = logs.open(complete);
            Container container = new Container(parts, complete, log, this::forget);
            container.create(image);
            byId.put(id, container);
            made = true;
            return container;
        } catch (IOException e) {
            throw EngineException.internal("the container cannot be made: " + e.getMessage(), e);
        } finally {
            if (!made) {
                idByName.remove(reserved, id);
                parts.mounts().release(record.build(), true);
                discard(id, log);
            }
        }
    }

    /** Deletes what a creation that failed has left. */
    private void discard(String id, @Nullable ContainerLog log) {
        try {
            if (log != null) {
                log.close();
            }
            parts.folder().delete(id);
        } catch (IOException e) {
            LOG.warn("The folder of a container that was not made is left: {}", e.getMessage());
        }
    }

    /** A container that is joined is known by its id: its name may go to another. */
    private HostConfig joined(HostConfig host) {
        return host.toBuilder()
                .setPidMode(joined(host.getPidMode()))
                .setIpcMode(joined(host.getIpcMode()))
                .build();
    }

    private String joined(String mode) {
        return mode.startsWith(HostConfigRules.JOINED) && mode.length() > HostConfigRules.JOINED.length()
                ? HostConfigRules.JOINED
                        + require(mode.substring(HostConfigRules.JOINED.length()))
                                .id()
                : mode;
    }

    private String reserve(String name, String id) {
        if (name.isEmpty()) {
            String made;
            do {
                made = Names.random(random);
            } while (idByName.putIfAbsent(made, id) != null);
            return made;
        }
        String wanted = name.startsWith("/") ? name.substring(1) : name;
        if (!NAME.matcher(wanted).matches()) {
            throw EngineException.invalid(
                    "Invalid container name (" + name + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
        }
        String owner = idByName.putIfAbsent(wanted, id);
        if (owner != null) {
            throw EngineException.conflict("Conflict. The container name \"/" + wanted
                    + "\" is already in use by container \"" + owner
                    + "\". You have to remove (or rename) that container to be able to reuse that name.");
        }
        return wanted;
    }

    /** Returns where the log of a container is, or null when it is not in a file that users may read. */
    public @Nullable Path logFile(Container container) {
        ContainerRecord record = container.record();
        return record.getHostConfig().getLogConfig().getType().equals(LogDrivers.NORMAL) ? logs.file(record) : null;
    }

    public void rename(Container container, String name) {
        if (name.isEmpty() || name.equals("/")) {
            throw EngineException.invalid("Neither old nor new names may be empty");
        }
        String before = container.record().getName();
        String wanted = name.startsWith("/") ? name.substring(1) : name;
        if (wanted.equals(before)) {
            throw EngineException.invalid("Renaming a container with the same name as its current name");
        }
        String reserved = reserve(name, container.id());
        container.rename(reserved);
        idByName.remove(before, container.id());
    }

    public void remove(Container container, boolean force, boolean volumes) throws InterruptedException {
        container.remove(force, volumes);
    }

    /** Called by a container when it is gone, whoever removed it. */
    private void forget(Container container) {
        byId.remove(container.id(), container);
        idByName.remove(container.record().getName(), container.id());
    }
}
