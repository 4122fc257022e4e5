package io.skep.engine;

import io.skep.engine.record.DeviceMapping;
import io.skep.engine.record.HostConfig;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The devices of this machine that a container is given. */
final class Devices {
    private static final Path FOLDER = Path.of("/dev");
    private static final Set<String> NOT_FOR_CONTAINERS =
            Set.of("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "hugepages");
    private static final Pattern RULE = Pattern.compile("([acb]) ([0-9]+|\\*):([0-9]+|\\*) ([rwm]{1,3})");
    private static final int CHARACTER_DEVICE = 0020000;
    private static final int BLOCK_DEVICE = 0060000;

    private Devices() {}

    /**
     * A device.
     *
     * @param path in the container
     * @param block whether it is a block device
     * @param mode its permission bits
     * @param access what the container may do: r, w and m
     */
    record Device(String path, boolean block, long major, long minor, int mode, long uid, long gid, String access) {}

    /**
     * A rule about devices that need not be there.
     *
     * @param major -1 for any
     */
    record Rule(String type, long major, long minor, String access) {
        static Rule of(String text) {
            Matcher matcher = RULE.matcher(text);
            if (!matcher.matches()) {
                throw EngineException.invalid("invalid device cgroup rule format: '" + text + "'");
            }
            return new Rule(matcher.group(1), number(matcher.group(2)), number(matcher.group(3)), matcher.group(4));
        }

        private static long number(String text) {
            return text.equals("*") ? -1 : Long.parseLong(text);
        }
    }

    /** Returns the devices that a container gets beside those that every container has. */
    static List<Device> of(HostConfig host) {
        List<Device> all = new ArrayList<>();
        if (host.getPrivileged()) {
            try {
                gather(FOLDER, FOLDER.toString(), "rwm", all);
            } catch (IOException e) {
                throw EngineException.internal("the devices of this machine cannot be listed: " + e.getMessage(), e);
            }
        }
        for (DeviceMapping mapping : host.getResources().getDevicesList()) {
            String access = mapping.getCgroupPermissions().isEmpty() ? "rwm" : mapping.getCgroupPermissions();
            String target =
                    mapping.getPathInContainer().isEmpty() ? mapping.getPathOnHost() : mapping.getPathInContainer();
            try {
                Path path = Path.of(mapping.getPathOnHost()).toRealPath();
                int before = all.size();
                if (Files.isDirectory(path)) {
                    gather(path, target, access, all);
                } else {
                    add(path, target, access, all);
                }
                if (all.size() == before) {
                    throw new IOException("not a device node");
                }
            } catch (IOException e) {
                throw EngineException.invalid("error gathering device information while adding custom device \""
                        + mapping.getPathOnHost() + "\": "
                        + (e instanceof NoSuchFileException ? "no such file or directory" : e.getMessage()));
            }
        }
        return all;
    }

    private static void gather(Path folder, String target, String access, List<Device> all) throws IOException {
        try (DirectoryStream<Path> each = Files.newDirectoryStream(folder)) {
            for (Path path : each) {
                String name = path.getFileName().toString();
                if (folder.equals(FOLDER) && NOT_FOR_CONTAINERS.contains(name)) {
                    continue;
                }
                if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
                    gather(path, target + "/" + name, access, all);
                } else {
                    add(path, target + "/" + name, access, all);
                }
            }
        }
    }

    private static void add(Path path, String target, String access, List<Device> all) throws IOException {
        TreeArchive.Status status = TreeArchive.Status.of(path, LinkOption.NOFOLLOW_LINKS);
        if (status.kind() == CHARACTER_DEVICE || status.kind() == BLOCK_DEVICE) {
            all.add(new Device(
                    target,
                    status.kind() == BLOCK_DEVICE,
                    status.major(),
                    status.minor(),
                    status.mode() & 0777,
                    status.uid(),
                    status.gid(),
                    access));
        }
    }

    /** Returns the numbers of a device, for limits of what is read and written. */
    static TreeArchive.Status numbers(String path) {
        try {
            TreeArchive.Status status = TreeArchive.Status.of(Path.of(path));
            if (status.kind() != BLOCK_DEVICE) {
                throw EngineException.invalid(path + " is no block device: its reads and writes cannot be limited");
            }
            return status;
        } catch (IOException e) {
            throw EngineException.invalid(path + ": no such block device");
        }
    }
}
