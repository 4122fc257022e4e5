package io.skep.cli;

import io.skep.certs.CredentialException;
import java.io.Console;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.Map;

/**
 * What surrounds a command: its streams, environment and clock.
 *
 * @param secrets asks the user without echo
 */
record Terminal(
        PrintWriter out, PrintWriter err, Map<String, String> environment, InstantSource clock, SecretPrompt secrets) {
    /** Asks a person for a secret. */
    @FunctionalInterface
    interface SecretPrompt {
        /**
         * Asks once.
         *
         * @throws CredentialException when nobody sits there who could answer
         */
        char[] ask(String question) throws CredentialException;
    }

    static Terminal system() {
        return new Terminal(
                new PrintWriter(System.out, true, StandardCharsets.UTF_8),
                new PrintWriter(System.err, true, StandardCharsets.UTF_8),
                System.getenv(),
                InstantSource.system(),
                Terminal::askConsole);
    }

    // Whether there is a console object where nobody sits has changed twice: not before JDK 22, not since JDK 25.
    @SuppressWarnings("SystemConsoleNull")
    private static char[] askConsole(String question) throws CredentialException {
        Console console = System.console();
        if (console == null || !console.isTerminal()) {
            throw new CredentialException("a passphrase is needed, and there is no terminal to ask at;"
                    + " give --passphrase-file FILE or set SKEP_CA_PASSPHRASE");
        }
        char[] answer = console.readPassword("%s: ", question);
        if (answer == null) {
            throw new CredentialException("no passphrase was given");
        }
        return answer;
    }
}
