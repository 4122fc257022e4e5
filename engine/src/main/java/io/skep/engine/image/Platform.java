package io.skep.engine.image;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an image runs on (OCI image index, platform).
 *
 * <p>The usual spellings are made one: {@code aarch64} is {@code arm64}, whose variant {@code v8} is implied;
 * {@code arm} without variant is {@code v7}; {@code amd64} without variant is {@code v1}.
 *
 * @param version of the operating system, empty for any
 */
public record Platform(String os, String architecture, String variant, String version, List<String> features) {
    private static final Pattern COMPONENT = Pattern.compile("[A-Za-z0-9_.-]+");
    private static final Pattern WITH_VERSION = Pattern.compile("([A-Za-z0-9_.-]+)\\(([A-Za-z0-9_.-]*)\\)");
    private static final Set<String> SYSTEMS = Set.of(
            "linux",
            "windows",
            "darwin",
            "freebsd",
            "openbsd",
            "netbsd",
            "dragonfly",
            "solaris",
            "illumos",
            "plan9",
            "aix",
            "android",
            "js");
    private static final Set<String> ARCHITECTURES = Set.of(
            "386",
            "amd64",
            "arm",
            "arm64",
            "ppc64",
            "ppc64le",
            "mips",
            "mipsle",
            "mips64",
            "mips64le",
            "riscv64",
            "s390x",
            "loong64",
            "wasm");
    private static final int WINDOWS_BUILD_PARTS = 3;

    /** How close another platform is to this one when it cannot be used. */
    public static final int UNUSABLE = Integer.MAX_VALUE;

    public Platform {
        os = os.toLowerCase(Locale.ROOT);
        if (os.equals("macos")) {
            os = "darwin";
        }
        String[] normal = normalize(architecture.toLowerCase(Locale.ROOT), variant.toLowerCase(Locale.ROOT));
        architecture = normal[0];
        variant = normal[1];
        features = List.copyOf(features);
    }

    public Platform(String os, String architecture, String variant) {
        this(os, architecture, variant, "", List.of());
    }

    private static String[] normalize(String architecture, String variant) {
        return switch (architecture) {
            case "x86_64", "x86-64", "amd64" -> new String[] {"amd64", variant.equals("v1") ? "" : variant};
            case "i386", "i486", "i586", "i686", "386" -> new String[] {"386", ""};
            case "aarch64", "arm64" ->
                new String[] {"arm64", variant.equals("8") || variant.equals("v8") ? "" : variant};
            case "armhf" -> new String[] {"arm", "v7"};
            case "armel" -> new String[] {"arm", "v6"};
            case "arm" -> new String[] {"arm", armVariant(variant)};
            default -> new String[] {architecture, variant};
        };
    }

    private static String armVariant(String variant) {
        if (variant.isEmpty()) {
            return "v7";
        }
        return variant.startsWith("v") ? variant : "v" + variant;
    }

    /** Returns the platform of this machine. */
    public static Platform host() {
        return new Platform("linux", System.getProperty("os.arch", "amd64"), "");
    }

    /**
     * Reads a platform as people write it: {@code os[(version)]/architecture/variant}, or only system or architecture.
     *
     * @throws IllegalArgumentException when it is none
     */
    public static Platform parse(String text) {
        String[] parts = text.split("/", -1);
        String version = "";
        Matcher versioned = WITH_VERSION.matcher(parts[0]);
        if (versioned.matches()) {
            parts[0] = versioned.group(1);
            version = versioned.group(2);
        }
        for (String part : parts) {
            if (!COMPONENT.matcher(part).matches()) {
                throw new IllegalArgumentException("\"" + part + "\" is an invalid component of \"" + text
                        + "\": platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument");
            }
        }
        return switch (parts.length) {
            case 1 -> alone(parts[0].toLowerCase(Locale.ROOT), version, text);
            case 2 -> new Platform(parts[0], parts[1], "", version, List.of());
            case 3 -> new Platform(parts[0], parts[1], parts[2], version, List.of());
            default ->
                throw new IllegalArgumentException(
                        "\"" + text + "\": cannot parse platform specifier: invalid argument");
        };
    }

    private static Platform alone(String part, String version, String text) {
        Platform host = host();
        Platform asSystem = new Platform(part, host.architecture, host.variant, version, List.of());
        if (SYSTEMS.contains(asSystem.os)) {
            return asSystem;
        }
        Platform asArchitecture = new Platform(host.os, part, "");
        if (ARCHITECTURES.contains(asArchitecture.architecture)) {
            return asArchitecture;
        }
        throw new IllegalArgumentException(
                "\"" + text + "\": unknown operating system or architecture: invalid argument");
    }

    static Platform of(Json json) throws IOException {
        return new Platform(
                json.text("os"),
                json.text("architecture"),
                json.text("variant"),
                json.text("os.version"),
                json.texts("os.features"));
    }

    /**
     * Says how well an image for another platform runs on this one: 0 is best, {@link #UNUSABLE} is not at all.
     *
     * @param emulate whether the older architecture of the same family will do as well, such as 386 on amd64
     */
    public int distance(Platform image, boolean emulate) {
        if (!os.equals(image.os) || !versionMatches(image.version) || !featuresMatch(image.features)) {
            return UNUSABLE;
        }
        List<String> usable = usable(emulate);
        int place = usable.indexOf(image.architecture + "/" + image.variant);
        return place < 0 ? UNUSABLE : place;
    }

    private boolean versionMatches(String other) {
        if (version.isEmpty() || other.isEmpty()) {
            return true;
        }
        if (!os.equals("windows")) {
            return version.equals(other);
        }
        // Windows runs what was made for its own build; the last part is only a patch.
        return build(version).equals(build(other));
    }

    private static List<String> build(String version) {
        return List.of(version.split("\\.", -1)).stream()
                .limit(WINDOWS_BUILD_PARTS)
                .toList();
    }

    private boolean featuresMatch(List<String> needed) {
        return features.isEmpty() || features.containsAll(needed);
    }

    /** Returns architectures with their variants, the best first. */
    private List<String> usable(boolean emulate) {
        List<String> all = new ArrayList<>();
        switch (architecture) {
            case "amd64" -> {
                for (int level = number(variant, 1); level > 1; level--) {
                    all.add("amd64/v" + level);
                }
                all.add("amd64/");
                if (emulate) {
                    all.add("386/");
                }
            }
            case "arm64" -> {
                if (!variant.isEmpty()) {
                    all.add("arm64/" + variant);
                }
                all.add("arm64/");
                if (emulate) {
                    addArm(all, 8);
                }
            }
            case "arm" -> addArm(all, number(variant, 7));
            default -> {
                all.add(architecture + "/" + variant);
                if (!variant.isEmpty()) {
                    all.add(architecture + "/");
                }
            }
        }
        return all;
    }

    private static void addArm(List<String> all, int newest) {
        for (int level = newest; level >= 5; level--) {
            all.add("arm/v" + level);
        }
    }

    private static int number(String variant, int absent) {
        try {
            return variant.startsWith("v") ? Math.min(Integer.parseInt(variant.substring(1)), 9) : absent;
        } catch (NumberFormatException e) {
            return absent;
        }
    }

    /** Returns the platform as people write it. */
    @Override
    public String toString() {
        return os + (version.isEmpty() ? "" : "(" + version + ")") + "/" + architecture
                + (variant.isEmpty() ? "" : "/" + variant);
    }
}
