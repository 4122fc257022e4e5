package io.skep.engine.image;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * What a user shows a registry, as the docker command line sends it in {@code X-Registry-Auth}.
 *
 * @param identityToken taken for a password at the registry's token server
 * @param registryToken shown to the registry as it is
 */
public record Credentials(String username, String password, String identityToken, String registryToken) {
    public static final Credentials NONE = new Credentials("", "", "", "");
    private static final int HEADER_LENGTH_MAX = 64 << 10;

    /**
     * Reads the header.
     *
     * @param header base64 for URLs of a JSON object; empty for none
     * @throws IOException when it is something else
     */
    public static Credentials parse(String header) throws IOException {
        if (header.isEmpty()) {
            return NONE;
        }
        if (header.length() > HEADER_LENGTH_MAX) {
            throw new IOException("invalid X-Registry-Auth header: it is too long");
        }
        byte[] text;
        try {
            text = Base64.getUrlDecoder().decode(header.replace('+', '-').replace('/', '_'));
        } catch (IllegalArgumentException e) {
            throw new IOException("invalid X-Registry-Auth header: " + e.getMessage(), e);
        }
        if (text.length == 0) {
            return NONE;
        }
        Json json = Json.parse(text);
        String username = json.text("username");
        String password = json.text("password");
        String both = json.text("auth");
        if (username.isEmpty() && !both.isEmpty()) {
            String decoded;
            try {
                decoded = new String(Base64.getDecoder().decode(both), StandardCharsets.UTF_8);
            } catch (IllegalArgumentException e) {
                throw new IOException("invalid X-Registry-Auth header: " + e.getMessage(), e);
            }
            int colon = decoded.indexOf(':');
            if (colon > 0) {
                username = decoded.substring(0, colon);
                password = decoded.substring(colon + 1);
            }
        }
        return new Credentials(username, password, json.text("identitytoken"), json.text("registrytoken"));
    }

    boolean hasPassword() {
        return !username.isEmpty();
    }

    String basic() {
        return "Basic "
                + Base64.getEncoder().encodeToString((username + ":" + password).getBytes(StandardCharsets.UTF_8));
    }

    /** Tells nothing, as it may come into a log. */
    @Override
    public String toString() {
        return "Credentials[…]";
    }
}
