package io.skep.engine.image;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * How registries are reached.
 *
 * @param mirrors URLs of registries that are asked first for what belongs to Docker's own one
 * @param insecure {@code host:port} or networks such as {@code 10.0.0.0/8} of registries that may have any certificate
 *     or none; those of this machine always may
 * @param certificates a folder with a folder for each {@code host:port}, in which {@code *.crt} are its authorities
 * @param downloadsMax layers of one image that are fetched at the same time
 * @param uploadsMax layers of one image that are sent at the same time
 * @param attemptsMax how often a transfer is begun before it is given up
 * @param retryPause before the second attempt; each further pause is twice as long
 * @param silenceMax how long a registry may say nothing
 */
public record RegistrySettings(
        List<String> mirrors,
        List<String> insecure,
        Path certificates,
        int downloadsMax,
        int uploadsMax,
        int attemptsMax,
        Duration retryPause,
        Duration silenceMax) {
    public static final RegistrySettings DEFAULT = new RegistrySettings(
            List.of(),
            List.of(),
            Path.of("/etc/docker/certs.d"),
            3,
            5,
            5,
            Duration.ofSeconds(1),
            Duration.ofSeconds(60));

    public RegistrySettings {
        mirrors = List.copyOf(mirrors);
        insecure = List.copyOf(insecure);
    }
}
