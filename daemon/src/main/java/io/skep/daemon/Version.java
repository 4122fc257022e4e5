package io.skep.daemon;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/**
 * Which Skep this is, as its build wrote it down.
 *
 * @param commit empty when the build did not know it
 */
record Version(String version, String commit) {
    static final Version CURRENT = read();

    String sentence() {
        return "Skep version " + version + (commit.isEmpty() ? "" : ", build " + commit);
    }

    private static Version read() {
        Properties properties = new Properties();
        try (InputStream file = Version.class.getResourceAsStream("version.properties")) {
            if (file == null) {
                throw new IllegalStateException("version.properties is missing from the build");
            }
            properties.load(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new Version(properties.getProperty("version", ""), properties.getProperty("commit", ""));
    }
}
