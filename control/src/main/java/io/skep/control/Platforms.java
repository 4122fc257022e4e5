package io.skep.control;

import io.skep.wire.Platform;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The rules by which an image's platform fits a node's, however either is spelled.
 *
 * <p>Kernels call themselves {@code x86_64} or {@code armv7l}, images {@code amd64} or {@code arm/v7}. A 32-bit ARM
 * node runs images of its own and of older variants; an image for {@code arm} without variant, and a node that does not
 * tell its own, is taken to fit.
 */
final class Platforms {
    private static final int VARIANT_UNKNOWN = -1;
    private static final Set<String> OPERATING_SYSTEMS = Set.of("linux", "windows", "darwin", "freebsd");

    /**
     * A platform in one spelling.
     *
     * @param os lower case; empty if unknown
     * @param architecture as images name it; empty if unknown
     * @param variant of 32-bit ARM: 5 to 7
     */
    private record Normal(String os, String architecture, int variant) {}

    private Platforms() {}

    /** Returns whether a node fits one of the wanted platforms, or none is wanted. */
    static boolean match(List<Platform> wanted, Platform node) {
        if (wanted.isEmpty()) {
            return true;
        }
        Normal actual = normal(node);
        for (Platform platform : wanted) {
            if (fits(normal(platform), actual)) {
                return true;
            }
        }
        return false;
    }

    private static boolean fits(Normal wanted, Normal actual) {
        boolean osFits = wanted.os().isEmpty() || wanted.os().equals(actual.os());
        boolean architectureFits =
                wanted.architecture().isEmpty() || wanted.architecture().equals(actual.architecture());
        return osFits && architectureFits && variantFits(wanted.variant(), actual.variant());
    }

    private static boolean variantFits(int wanted, int actual) {
        return wanted == VARIANT_UNKNOWN || actual == VARIANT_UNKNOWN || wanted <= actual;
    }

    private static Normal normal(Platform platform) {
        String os = platform.getOs().toLowerCase(Locale.ROOT);
        String architecture = platform.getArchitecture().toLowerCase(Locale.ROOT);
        int slash = architecture.indexOf('/');
        if (slash > 0 && OPERATING_SYSTEMS.contains(architecture.substring(0, slash))) {
            os = os.isEmpty() ? architecture.substring(0, slash) : os;
            architecture = architecture.substring(slash + 1);
        }
        return switch (architecture) {
            case "x86_64", "x86-64", "amd64" -> new Normal(os, "amd64", VARIANT_UNKNOWN);
            case "aarch64", "arm64", "arm64/v8", "armv8l", "armv8b" -> new Normal(os, "arm64", VARIANT_UNKNOWN);
            case "i386", "i486", "i586", "i686", "x86", "386" -> new Normal(os, "386", VARIANT_UNKNOWN);
            case "armhf" -> new Normal(os, "arm", 7);
            case "armel" -> new Normal(os, "arm", 5);
            default -> architecture.startsWith("arm") ? arm(os, architecture) : plain(os, architecture);
        };
    }

    private static Normal plain(String os, String architecture) {
        return new Normal(os, architecture, VARIANT_UNKNOWN);
    }

    /** Reads {@code arm}, {@code arm/v7}, {@code armv7}, {@code armv7l}, {@code armv6hf} and the like. */
    private static Normal arm(String os, String architecture) {
        int at = architecture.indexOf('v');
        int variant = at < 0 || at + 1 >= architecture.length()
                ? VARIANT_UNKNOWN
                : Character.digit(architecture.charAt(at + 1), 10);
        return new Normal(os, "arm", variant);
    }
}
