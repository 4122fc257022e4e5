package io.skep.network;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Runs small programs of the system in a network namespace. */
final class Programs {
    private Programs() {}

    /** Feeds a program, waits for its end and returns what it said; fails when it does. */
    static String run(NetworkNamespace namespace, String input, String... command) throws IOException {
        // A program belongs to the namespace of the thread that starts it.
        Process process = namespace.run(
                () -> new ProcessBuilder(command).redirectErrorStream(true).start());
        try (OutputStream to = process.getOutputStream()) {
            to.write(input.getBytes(StandardCharsets.UTF_8));
        }
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int status;
        try {
            status = process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(command[0] + " was interrupted", e);
        }
        if (status != 0) {
            throw new IOException(command[0] + " refuses the rules: " + said.strip());
        }
        return said;
    }
}
