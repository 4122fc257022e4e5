package io.skep.daemon.config;

/** A mistake in what the user wrote, told in one line that names the place, the reason and the way out. */
public final class ConfigurationException extends RuntimeException {
    private final boolean usage;

    private ConfigurationException(String message, boolean usage) {
        super(printable(message));
        this.usage = usage;
    }

    /** Keeps a quoted value from breaking the line or playing with the terminal. */
    private static String printable(String message) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < message.length(); i++) {
            char c = message.charAt(i);
            line.append(Character.isISOControl(c) ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return line.toString();
    }

    static ConfigurationException value(String message) {
        return new ConfigurationException(message, false);
    }

    static ConfigurationException usage(String message) {
        return new ConfigurationException(message, true);
    }

    /** Whether the command line itself is at fault, rather than a value: the exit code tells them apart. */
    public boolean isUsage() {
        return usage;
    }
}
