package io.skep.daemon.config;

import java.nio.file.Path;
import java.util.Map;

/**
 * What defaults depend on besides the built-in ones.
 *
 * @param variables the environment
 * @param windows whether paths are those of Windows
 * @param home the user's home folder
 * @param inheritedSockets whether a service manager handed over sockets (systemd's socket activation)
 */
public record Surroundings(Map<String, String> variables, boolean windows, Path home, boolean inheritedSockets) {
    public Surroundings {
        variables = Map.copyOf(variables);
    }

    /** Returns those of this process. */
    public static Surroundings ofThisProcess(boolean inheritedSockets) {
        return new Surroundings(
                System.getenv(),
                System.getProperty("os.name", "").startsWith("Windows"),
                Path.of(System.getProperty("user.home", "/")),
                inheritedSockets);
    }

    /** Returns where the configuration file is when nobody says otherwise. */
    public Path defaultConfigurationFile() {
        return windows ? programData().resolve("daemon.json") : Path.of("/etc/skep/daemon.json");
    }

    Path defaultSocket() {
        return windows ? programData().resolve("skep.sock") : Path.of("/var/run/docker.sock");
    }

    Path defaultDataRoot() {
        return windows ? programData().resolve("data") : Path.of("/var/lib/skep");
    }

    Path defaultExecRoot() {
        return windows ? programData().resolve("run") : Path.of("/run/skep");
    }

    Path defaultPidFile() {
        return windows ? programData().resolve("skepd.pid") : Path.of("/run/skepd.pid");
    }

    /** Returns the folder of {@code ca.pem}, {@code cert.pem} and {@code key.pem} when the files are not named. */
    Path defaultCertificates() {
        String folder = variables.getOrDefault("DOCKER_CERT_PATH", "");
        return folder.isEmpty() ? home.resolve(".docker") : Path.of(folder);
    }

    private Path programData() {
        return Path.of(variables.getOrDefault("ProgramData", "C:\\ProgramData"), "skep");
    }
}
