package io.skep.engine.image;

import java.util.regex.Pattern;

/**
 * The name of an image: where it is kept, what it is called there, and which one is meant.
 *
 * @param domain host and port of the registry
 * @param path of the repository in it
 * @param tag empty when none is given
 * @param digest such as {@code sha256:…}; empty when none is given
 */
public record Reference(String domain, String path, String tag, String digest) {
    /** Names without a domain belong to Docker's own registry. */
    public static final String DEFAULT_DOMAIN = "docker.io";

    private static final String OFFICIAL = "library/";
    private static final String DEFAULT_TAG = "latest";
    private static final int NAME_LENGTH_MAX = 255;
    private static final Pattern DOMAIN = Pattern.compile(
            "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?");
    private static final Pattern COMPONENT = Pattern.compile("[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*");
    private static final Pattern TAG = Pattern.compile("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}");
    private static final Pattern DIGEST = Pattern.compile("sha256:[a-f0-9]{64}");
    private static final Pattern HEXADECIMAL_ID = Pattern.compile("[a-f0-9]{64}");

    /**
     * Reads a name as people write it.
     *
     * @throws IllegalArgumentException with Docker's words when it is none
     */
    public static Reference parse(String text) {
        if (HEXADECIMAL_ID.matcher(text).matches()) {
            throw new IllegalArgumentException(
                    "invalid repository name (" + text + "), cannot specify 64-byte hexadecimal strings");
        }
        String rest = text;
        String digest = "";
        int at = rest.indexOf('@');
        if (at >= 0) {
            digest = rest.substring(at + 1);
            rest = rest.substring(0, at);
            if (!isDigest(digest)) {
                throw new IllegalArgumentException("invalid reference format");
            }
        }
        String tag = "";
        int colon = rest.lastIndexOf(':');
        if (colon > rest.lastIndexOf('/')) {
            tag = rest.substring(colon + 1);
            rest = rest.substring(0, colon);
            if (!TAG.matcher(tag).matches()) {
                throw new IllegalArgumentException("invalid reference format");
            }
        }
        String domain = DEFAULT_DOMAIN;
        String path = rest;
        int slash = rest.indexOf('/');
        if (slash > 0 && isDomain(rest.substring(0, slash))) {
            domain = rest.substring(0, slash);
            path = rest.substring(slash + 1);
            if (domain.equals("index.docker.io")) {
                domain = DEFAULT_DOMAIN;
            }
        }
        if (domain.equals(DEFAULT_DOMAIN) && path.indexOf('/') < 0) {
            path = OFFICIAL + path;
        }
        check(domain, path);
        return new Reference(domain, path, tag, digest);
    }

    private static boolean isDomain(String part) {
        return part.indexOf('.') >= 0
                || part.indexOf(':') >= 0
                || part.equals("localhost")
                || part.chars().anyMatch(Character::isUpperCase);
    }

    private static void check(String domain, String path) {
        if (!DOMAIN.matcher(domain).matches()) {
            throw new IllegalArgumentException("invalid reference format");
        }
        for (String component : path.split("/", -1)) {
            if (!COMPONENT.matcher(component).matches()) {
                throw new IllegalArgumentException(
                        path.chars().anyMatch(Character::isUpperCase)
                                ? "invalid reference format: repository name ("
                                        + (path.startsWith(OFFICIAL) ? path : domain + "/" + path)
                                        + ") must be lowercase"
                                : "invalid reference format");
            }
        }
        if (domain.length() + path.length() >= NAME_LENGTH_MAX) {
            throw new IllegalArgumentException("repository name must not be more than 255 characters");
        }
    }

    /** Whether a text is a digest of the kind that is used here. */
    public static boolean isDigest(String text) {
        return DIGEST.matcher(text).matches();
    }

    /** Returns this name, with the tag {@code latest} if it says neither tag nor digest. */
    public Reference orLatest() {
        return tag.isEmpty() && digest.isEmpty() ? withTag(DEFAULT_TAG) : this;
    }

    public Reference withTag(String other) {
        if (!TAG.matcher(other).matches()) {
            throw new IllegalArgumentException("invalid reference format");
        }
        return new Reference(domain, path, other, "");
    }

    public Reference withDigest(String other) {
        return new Reference(domain, path, "", other);
    }

    /** Returns the repository with its domain. */
    public String repository() {
        return domain + "/" + path;
    }

    /** Returns the repository as people write it. */
    public String familiarRepository() {
        if (!domain.equals(DEFAULT_DOMAIN)) {
            return repository();
        }
        return path.startsWith(OFFICIAL) && path.indexOf('/', OFFICIAL.length()) < 0
                ? path.substring(OFFICIAL.length())
                : path;
    }

    /** Returns the whole name, which tells apart all that are not the same; a digest outweighs a tag. */
    public String canonical() {
        return repository() + suffix();
    }

    /** Returns the name as people write it. */
    public String familiar() {
        return familiarRepository() + suffix();
    }

    private String suffix() {
        if (!digest.isEmpty()) {
            return "@" + digest;
        }
        return tag.isEmpty() ? "" : ":" + tag;
    }

    /** Returns what registries call it in their paths: the digest, or else the tag. */
    public String version() {
        return digest.isEmpty() ? tag : digest;
    }
}
