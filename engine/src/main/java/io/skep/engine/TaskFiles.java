package io.skep.engine;

import com.google.protobuf.ByteString;
import io.skep.engine.record.Mount;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Driver;
import io.skep.wire.FileTarget;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Task;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The secrets and configs of tasks, as files that are never on a disk.
 *
 * <p>Each task has a folder of its own in a file system in memory, with one file for each secret and config, of the
 * owner and mode that the service names; they are mounted into its container. Where the folder is not in memory anyway,
 * as {@code /run} is, one is mounted when the first such task comes and taken away with the last.
 *
 * <p>Bounded by what the managers send: at most 500 KiB for each secret, 1000 KiB for each config. Safe for use by many
 * threads; what changes the folder is done by one at a time.
 */
final class TaskFiles {
    private static final Logger LOG = LoggerFactory.getLogger(TaskFiles.class);
    private static final String SECRETS = "/run/secrets/";
    private static final String GOLANG = "golang";
    private static final int MODE_BITS = 07777;

    private final Path folder;
    private Map<String, Secret> secrets = Map.of();
    private Map<String, Config> configs = Map.of();

    /** @param folder for them alone */
    TaskFiles(Path folder) {
        this.folder = folder;
    }

    /** Takes note of what there is from now on. */
    synchronized void provide(List<Secret> newSecrets, List<Config> newConfigs) {
        Map<String, Secret> secretsById = new HashMap<>();
        newSecrets.forEach(each -> secretsById.put(each.getId(), each));
        Map<String, Config> configsById = new HashMap<>();
        newConfigs.forEach(each -> configsById.put(each.getId(), each));
        secrets = secretsById;
        configs = configsById;
    }

    /**
     * Writes the files of a task, unless they are there, and returns how its container gets them.
     *
     * @throws EngineException when one of them cannot be made as the service wants it
     */
    synchronized List<Mount> write(Task task, TaskNode node) throws IOException {
        ContainerSpec spec = task.getSpec().getContainer();
        List<Mount> mounts = new ArrayList<>();
        if (spec.getSecretsCount() + spec.getConfigsCount() == 0) {
            return mounts;
        }
        Path own = folder.resolve(task.getId());
        makeFolder(own);
        Filling filling = new Filling(task, node);
        for (SecretReference reference : spec.getSecretsList()) {
            if (!reference.hasFile()) {
                throw EngineException.invalid("secret " + reference.getSecretName() + " has no file as its target");
            }
            FileTarget target = reference.getFile();
            String path = target.getName().startsWith("/") ? target.getName() : SECRETS + target.getName();
            Path file = own.resolve("secret-" + reference.getSecretId() + "-" + mounts.size());
            write(file, target, () -> filling.of(reference));
            mounts.add(mount(file, path));
        }
        for (ConfigReference reference : spec.getConfigsList()) {
            if (!reference.hasFile()) {
                // It is for a credential spec, which only Windows knows.
                continue;
            }
            FileTarget target = reference.getFile();
            String path = target.getName().startsWith("/") ? target.getName() : "/" + target.getName();
            Path file = own.resolve("config-" + reference.getConfigId() + "-" + mounts.size());
            write(file, target, () -> filling.of(reference));
            mounts.add(mount(file, path));
        }
        return mounts;
    }

    private static Mount mount(Path file, String target) {
        return Mount.newBuilder()
                .setType("bind")
                .setSource(file.toString())
                .setTarget(target)
                .setReadOnly(true)
                .build();
    }

    private void makeFolder(Path own) throws IOException {
        var ownerOnly = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
        Files.createDirectories(folder.toAbsolutePath().getParent());
        if (!Files.isDirectory(folder)) {
            Files.createDirectory(folder, ownerOnly);
        }
        if (!isInMemory()) {
            Mountings.mount("tmpfs", folder, "tmpfs", List.of("nosuid", "nodev", "noexec", "mode=700"));
        }
        if (!Files.isDirectory(own)) {
            Files.createDirectory(own, ownerOnly);
        }
    }

    private boolean isInMemory() throws IOException {
        String type = Files.getFileStore(folder).type();
        return type.equals("tmpfs") || type.equals("ramfs");
    }

    private static void write(Path file, FileTarget target, Supplier<ByteString> content) throws IOException {
        if (Files.exists(file)) {
            return;
        }
        int uid = number(target.getUid(), "uid", target);
        int gid = number(target.getGid(), "gid", target);
        // A file under its own name is whole: a container may have it mounted already.
        Path written = file.resolveSibling(file.getFileName() + ".new");
        Files.deleteIfExists(written);
        Files.createFile(written, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try (OutputStream out = Files.newOutputStream(written, StandardOpenOption.WRITE)) {
            content.get().writeTo(out);
        }
        Files.setAttribute(written, "unix:uid", uid);
        Files.setAttribute(written, "unix:gid", gid);
        Files.setAttribute(written, "unix:mode", target.getMode() & MODE_BITS);
        Files.move(written, file);
    }

    private static int number(String text, String what, FileTarget target) {
        if (text.isEmpty()) {
            return 0;
        }
        try {
            return Integer.parseUnsignedInt(text);
        } catch (NumberFormatException e) {
            throw EngineException.invalid(
                    "the " + what + " \"" + text + "\" of the file " + target.getName() + " is no number");
        }
    }

    /** Takes away the files of a task. */
    synchronized void remove(String taskId) throws IOException {
        Path own = folder.resolve(taskId);
        if (!Files.isDirectory(own)) {
            return;
        }
        AtomicFiles.deleteTree(own);
        try (Stream<Path> left = Files.list(folder)) {
            if (left.findAny().isPresent()) {
                return;
            }
        }
        try {
            Path parent = folder.toAbsolutePath().getParent();
            if (!Files.getFileStore(folder).equals(Files.getFileStore(parent))) {
                LinuxFiles.unmount(folder, LinuxFiles.MNT_DETACH);
            }
            Files.delete(folder);
        } catch (IOException e) {
            LOG.warn("{} could not be taken away: {}", folder, e.getMessage());
        }
    }

    /** What the files of one task hold. */
    private final class Filling {
        private final Task task;
        private final TaskPlaceholders placeholders;
        private final Map<String, Template.Call> calls = new HashMap<>();

        Filling(Task task, TaskNode node) {
            this.task = task;
            this.placeholders = new TaskPlaceholders(task, node);
            calls.put("secret", arguments -> text(secretOf(String.valueOf(arguments.getFirst()))));
            calls.put("config", arguments -> text(configOf(String.valueOf(arguments.getFirst()))));
            calls.put("env", arguments -> variable(String.valueOf(arguments.getFirst())));
        }

        ByteString of(SecretReference reference) {
            Secret secret = secret(reference);
            return filled(
                    "secret " + reference.getSecretName(),
                    secret.getSpec().hasTemplating() ? secret.getSpec().getTemplating() : null,
                    secret.getSpec().getData());
        }

        ByteString of(ConfigReference reference) {
            Config config = config(reference);
            return filled(
                    "config " + reference.getConfigName(),
                    config.getSpec().hasTemplating() ? config.getSpec().getTemplating() : null,
                    config.getSpec().getData());
        }

        private ByteString filled(String what, @Nullable Driver templating, ByteString data) {
            if (templating == null) {
                return data;
            }
            if (!templating.getName().equals(GOLANG)) {
                throw EngineException.invalid(
                        what + " has the templating \"" + templating.getName() + "\"; only " + GOLANG + " is known");
            }
            return ByteString.copyFromUtf8(placeholders.expand(what, text(data), calls));
        }

        private Secret secret(SecretReference reference) {
            Secret own = secrets.get(reference.getSecretId() + "." + task.getId());
            Secret found = own == null ? secrets.get(reference.getSecretId()) : own;
            if (found == null) {
                throw EngineException.notFound("secret " + reference.getSecretName() + " is not here");
            }
            return found;
        }

        private Config config(ConfigReference reference) {
            Config found = configs.get(reference.getConfigId());
            if (found == null) {
                throw EngineException.notFound("config " + reference.getConfigName() + " is not here");
            }
            return found;
        }

        private ByteString secretOf(String target) {
            for (SecretReference each : task.getSpec().getContainer().getSecretsList()) {
                if (each.getFile().getName().equals(target)) {
                    return secret(each).getSpec().getData();
                }
            }
            throw EngineException.invalid("template: secret target " + target + " not found");
        }

        private ByteString configOf(String target) {
            for (ConfigReference each : task.getSpec().getContainer().getConfigsList()) {
                if (each.getFile().getName().equals(target)) {
                    return config(each).getSpec().getData();
                }
            }
            throw EngineException.invalid("template: config target " + target + " not found");
        }

        private String variable(String name) {
            String value = "";
            for (String each : task.getSpec().getContainer().getEnvList()) {
                if (each.startsWith(name + "=")) {
                    value = placeholders.expandVariable(each).substring(name.length() + 1);
                }
            }
            return value;
        }

        private static String text(ByteString data) {
            return data.toStringUtf8();
        }
    }
}
