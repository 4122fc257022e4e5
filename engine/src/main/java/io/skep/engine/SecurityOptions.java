package io.skep.engine;

import io.skep.engine.record.HostConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What {@code --security-opt} asks for.
 *
 * @param seccomp a profile in Docker's form, {@code unconfined}, or empty for the default
 * @param apparmor name of a profile, or empty
 * @param noNewPrivileges whether no process gets more rights by what it executes
 * @param systemPaths whether all of /proc and /sys is to be seen
 */
record SecurityOptions(String seccomp, String apparmor, boolean noNewPrivileges, boolean systemPaths) {
    static final String UNCONFINED = "unconfined";
    private static final Path APPARMOR = Path.of("/sys/module/apparmor/parameters/enabled");
    private static final Path SELINUX = Path.of("/sys/fs/selinux/enforce");

    /**
     * Reads the options.
     *
     * @throws EngineException INVALID when one is not known or this machine has not what it needs
     */
    static SecurityOptions of(HostConfig host) {
        String seccomp = "";
        String apparmor = "";
        boolean noNewPrivileges = false;
        boolean systemPaths = false;
        for (String option : host.getSecurityOptList()) {
            int end = end(option);
            String name = end < 0 ? option : option.substring(0, end);
            String value = end < 0 ? "" : option.substring(end + 1);
            switch (name) {
                case "no-new-privileges" ->
                    noNewPrivileges = switch (value) {
                        case "", "true" -> true;
                        case "false" -> false;
                        default -> throw EngineException.invalid("invalid --security-opt 2: \"" + option + "\"");
                    };
                case "seccomp" -> seccomp = value.equals("builtin") ? "" : value;
                case "apparmor" -> apparmor = apparmor(value);
                case "systempaths" -> {
                    if (!value.equals(UNCONFINED)) {
                        throw EngineException.invalid("invalid --security-opt 2: \"" + option + "\"");
                    }
                    systemPaths = true;
                }
                case "label" -> {
                    if (!value.equals("disable") || Files.exists(SELINUX)) {
                        throw EngineException.invalid(
                                "--security-opt " + option + " is not supported: this engine sets no SELinux labels");
                    }
                }
                default -> throw EngineException.invalid("invalid --security-opt 2: \"" + option + "\"");
            }
        }
        return new SecurityOptions(seccomp, apparmor, noNewPrivileges, systemPaths);
    }

    private static int end(String option) {
        int equals = option.indexOf('=');
        int colon = option.indexOf(':');
        return equals < 0 ? colon : colon < 0 ? equals : Math.min(equals, colon);
    }

    private static String apparmor(String profile) {
        if (hasAppArmor()) {
            return profile;
        }
        if (profile.equals(UNCONFINED)) {
            return "";
        }
        throw EngineException.invalid(
                "AppArmor is not enabled on this machine: the profile \"" + profile + "\" cannot be used");
    }

    private static boolean hasAppArmor() {
        try {
            return Files.exists(APPARMOR) && Files.readString(APPARMOR).startsWith("Y");
        } catch (IOException e) {
            return false;
        }
    }
}
