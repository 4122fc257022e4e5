package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.wire.Annotations;

/** The rules for names that users give (swarm-wire 8.5). */
final class Names {
    private static final int NAME_LENGTH_MAX = 63;
    private static final int SECRET_NAME_LENGTH_MAX = 64;

    private Names() {}

    /**
     * Checks the name of a service or network.
     *
     * @throws CommandException INVALID_ARGUMENT that says what is wrong with it
     */
    static void requireName(Annotations annotations) {
        String name = annotations.getName();
        if (name.isEmpty()) {
            throw invalid("meta: name must be provided");
        }
        if (!isWord(name, "-_")) {
            throw invalid("name must be valid as a DNS name component");
        }
        if (name.length() > NAME_LENGTH_MAX) {
            throw invalid("name must be " + NAME_LENGTH_MAX + " characters or fewer");
        }
    }

    /**
     * Checks the name of a secret or config.
     *
     * @throws CommandException INVALID_ARGUMENT that says what is wrong with it
     */
    static void requireDataName(Annotations annotations) {
        String name = annotations.getName();
        if (name.isEmpty()) {
            throw invalid("name must be provided");
        }
        if (name.length() > SECRET_NAME_LENGTH_MAX || !isWord(name, "-_.")) {
            throw invalid("invalid name, only 64 [a-zA-Z0-9-_.] characters allowed,"
                    + " and the start and end character must be [a-zA-Z0-9]");
        }
    }

    private static CommandException invalid(String text) {
        return new CommandException(Code.INVALID_ARGUMENT, text);
    }

    private static boolean isWord(String text, String inside) {
        int last = text.length() - 1;
        for (int i = 0; i <= last; i++) {
            char c = text.charAt(i);
            boolean alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            if (!alphanumeric && (i == 0 || i == last || inside.indexOf(c) < 0)) {
                return false;
            }
        }
        return true;
    }
}
