package io.skep.certs;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The list of a fleet's machines: one per line, its name and then its addresses, with spaces between. What follows a
 * {@code #} is a comment; empty lines are passed over.
 */
public final class HostsFile {
    /**
     * One machine of the fleet.
     *
     * @param addresses at least one; clients use the first
     */
    public record Machine(String name, List<HostAddress> addresses) {
        public Machine {
            addresses = List.copyOf(addresses);
        }
    }

    private static final int MAXIMUM_SIZE = 1 << 20;
    private static final Pattern SPACE = Pattern.compile("\\s+");
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?");

    private HostsFile() {}

    /** Reads a file; the failure names the file, the line and what is wrong there. */
    public static List<Machine> read(Path file) throws CredentialException {
        try {
            if (Files.size(file) > MAXIMUM_SIZE) {
                throw new CredentialException(file + " is too long to be a list of machines");
            }
            return parse(Files.readString(file), file.toString());
        } catch (NoSuchFileException e) {
            throw new CredentialException(
                    file + " does not exist; write it with one line per machine: NAME ADDRESS…", e);
        } catch (CharacterCodingException e) {
            throw new CredentialException(file + " is not UTF-8 text", e);
        } catch (IOException e) {
            throw new CredentialException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    static List<Machine> parse(String text, String what) throws CredentialException {
        List<Machine> machines = new ArrayList<>();
        Map<String, Integer> lines = new HashMap<>();
        int number = 0;
        for (String raw : text.replace("\uFEFF", "").split("\r?\n|\r", -1)) {
            number++;
            int comment = raw.indexOf('#');
            String line = (comment < 0 ? raw : raw.substring(0, comment)).strip();
            if (line.isEmpty()) {
                continue;
            }
            String where = what + ", line " + number + ": ";
            String[] words = SPACE.split(line, -1);
            String name = words[0];
            try {
                requireName(name);
                List<HostAddress> addresses = new ArrayList<>();
                for (int i = 1; i < words.length; i++) {
                    addresses.add(HostAddress.parse(words[i]));
                }
                if (addresses.isEmpty()) {
                    throw new CredentialException(name + " has no address; write: NAME ADDRESS [ADDRESS…]");
                }
                machines.add(new Machine(name, addresses));
            } catch (CredentialException e) {
                throw new CredentialException(where + e.getMessage(), e);
            }
            Integer earlier = lines.put(name.toLowerCase(Locale.ROOT), number);
            if (earlier != null) {
                throw new CredentialException(
                        where + name + " stands already in line " + earlier + "; put all its addresses on one line");
            }
        }
        if (machines.isEmpty()) {
            throw new CredentialException(what + " names no machine; write one line per machine: NAME ADDRESS…");
        }
        return List.copyOf(machines);
    }

    /**
     * Fails unless the text can be the name of a machine or a client: it becomes a folder and part of a certificate.
     */
    static void requireName(String name) throws CredentialException {
        if (name.equalsIgnoreCase(CertificateFolder.AUTHORITY_NAME)) {
            throw new CredentialException("\"" + name + "\" names the authority itself; choose another name");
        }
        if (!NAME.matcher(name).matches()) {
            throw new CredentialException("\"" + name + "\" is no name for a machine or client:"
                    + " use letters, digits, dots and hyphens, at most 63 of them");
        }
    }
}
