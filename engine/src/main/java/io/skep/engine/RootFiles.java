package io.skep.engine;

import io.skep.containerd.types.Mount;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads small files of a root file system that is not mounted, by looking through its layers from the top.
 *
 * <p>A name that a layer has deleted (a character device) or that is a link ends the search: whoever needs more mounts.
 */
final class RootFiles {
    private static final int FILE_BYTES_MAX = 1 << 20;

    private final List<Path> layers = new ArrayList<>();

    RootFiles(List<Mount> mounts) {
        for (Mount mount : mounts) {
            if (mount.getType().equals("overlay")) {
                for (String option : mount.getOptionsList()) {
                    if (option.startsWith("upperdir=")) {
                        layers.addFirst(Path.of(option.substring("upperdir=".length())));
                    } else if (option.startsWith("lowerdir=")) {
                        for (String lower :
                                option.substring("lowerdir=".length()).split(":", -1)) {
                            layers.add(Path.of(lower));
                        }
                    }
                }
            } else {
                layers.add(Path.of(mount.getSource()));
            }
        }
    }

    /** Returns the text of a file, or nothing when there is none. */
    Optional<String> text(String path) throws IOException {
        for (Path layer : layers) {
            Path file = layer.resolve(path.substring(1));
            if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
                if (Files.size(file) > FILE_BYTES_MAX) {
                    throw new IOException(path + " of the image is larger than " + FILE_BYTES_MAX + " bytes");
                }
                return Optional.of(Files.readString(file));
            }
            if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                return Optional.empty();
            }
        }
        return Optional.empty();
    }
}
