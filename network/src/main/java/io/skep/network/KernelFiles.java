package io.skep.network;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads settings of the kernel, which are whole only when read at once: by pieces, a number has one digit. */
public final class KernelFiles {
    private static final int BYTES_MAX = 4096;

    private KernelFiles() {}

    /** Returns what a small file below /proc says, without white space around it. */
    public static String read(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = new byte[BYTES_MAX];
            int length = in.read(bytes);
            return new String(bytes, 0, Math.max(0, length), StandardCharsets.UTF_8).strip();
        }
    }
}
