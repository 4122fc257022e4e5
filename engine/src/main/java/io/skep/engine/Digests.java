package io.skep.engine;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Names of contents by their SHA-256, written {@code sha256:…} (OCI image specification, descriptor). */
final class Digests {
    private Digests() {}

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    static String of(byte[] content) {
        return name(sha256().digest(content));
    }

    static String name(byte[] sha256) {
        return "sha256:" + HexFormat.of().formatHex(sha256);
    }
}
