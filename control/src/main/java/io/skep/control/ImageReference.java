package io.skep.control;

import java.util.Locale;
import java.util.regex.Pattern;

/**
 * The grammar of image names, such as {@code registry:5000/team/app:1.2@sha256:…}.
 *
 * <p>The patterns see bounded text only, part by part, so that no name makes them slow.
 */
final class ImageReference {
    private static final int NAME_LENGTH_MAX = 255;
    private static final int DIGEST_LENGTH_MAX = 512;
    private static final Pattern DOMAIN = Pattern.compile("(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
            + "(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::[0-9]+)?"
            + "|\\[[a-fA-F0-9:]+](?::[0-9]+)?");
    private static final Pattern PATH_PART = Pattern.compile("[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*");
    private static final Pattern TAG = Pattern.compile("[\\w][\\w.-]{0,127}");
    private static final Pattern DIGEST =
            Pattern.compile("[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}");
    private static final Pattern BARE_ID = Pattern.compile("[a-f0-9]{64}");

    private ImageReference() {}

    /** Returns whether the text names an image, with or without registry, tag and digest. */
    static boolean isValid(String text) {
        String rest = text;
        int at = rest.indexOf('@');
        if (at >= 0) {
            String digest = rest.substring(at + 1);
            if (digest.length() > DIGEST_LENGTH_MAX || !DIGEST.matcher(digest).matches()) {
                return false;
            }
            rest = rest.substring(0, at);
        }
        int colon = rest.lastIndexOf(':');
        if (colon > rest.lastIndexOf('/')) {
            if (!TAG.matcher(rest.substring(colon + 1)).matches()) {
                return false;
            }
            rest = rest.substring(0, colon);
        }
        return rest.length() <= NAME_LENGTH_MAX && isName(rest);
    }

    private static boolean isName(String name) {
        if (BARE_ID.matcher(name).matches()) {
            return false;
        }
        int slash = name.indexOf('/');
        String path = name;
        if (slash >= 0 && isDomain(name.substring(0, slash))) {
            if (!DOMAIN.matcher(name.substring(0, slash)).matches()) {
                return false;
            }
            path = name.substring(slash + 1);
        }
        for (String part : path.split("/", -1)) {
            if (!PATH_PART.matcher(part).matches()) {
                return false;
            }
        }
        return true;
    }

    private static boolean isDomain(String part) {
        return part.indexOf('.') >= 0
                || part.indexOf(':') >= 0
                || part.equals("localhost")
                || !part.equals(part.toLowerCase(Locale.ROOT));
    }
}
