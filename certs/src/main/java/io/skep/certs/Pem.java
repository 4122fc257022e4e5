package io.skep.certs;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * One block of a PEM text (RFC 7468, with the headers of RFC 1421): its type, headers and binary content.
 *
 * <p>Text around the blocks is ignored, as openssl writes it there. Inside a block everything is strict: a character
 * that is not base64, a block without an end or with another's end is an error.
 */
record Pem(String type, Map<String, String> headers, ByteString content) {
    static final String CERTIFICATE = "CERTIFICATE";
    static final String PRIVATE_KEY = "PRIVATE KEY";
    static final String ENCRYPTED_PRIVATE_KEY = "ENCRYPTED PRIVATE KEY";
    static final String CERTIFICATE_REQUEST = "CERTIFICATE REQUEST";

    /** Longest text that {@link #parse} looks at, in bytes: hundreds of certificates. */
    static final int MAXIMUM_SIZE = 1 << 20;

    private static final String BEGIN = "-----BEGIN ";
    private static final String END = "-----END ";
    private static final String DASHES = "-----";
    private static final Pattern HEADER_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9-]*");
    private static final Base64.Encoder LINES = Base64.getMimeEncoder(64, new byte[] {'\n'});

    Pem {
        headers = Map.copyOf(headers);
        for (Map.Entry<String, String> header : headers.entrySet()) {
            if (!HEADER_NAME.matcher(header.getKey()).matches()
                    || header.getValue().chars().anyMatch(c -> c < ' ' || c > '~')
                    || !header.getValue().equals(header.getValue().strip())) {
                throw new IllegalArgumentException("not a PEM header: " + header.getKey());
            }
        }
    }

    Pem(String type, byte[] content) {
        this(type, Map.of(), ByteString.copyFrom(content));
    }

    /**
     * The blocks of a text in their order.
     *
     * @param what names the text in errors, for instance its file
     * @return never empty
     */
    static List<Pem> parse(ByteString text, String what) throws CredentialException {
        if (text.size() > MAXIMUM_SIZE) {
            throw new CredentialException(what + " is longer than " + MAXIMUM_SIZE + " bytes, so it is no PEM file");
        }
        List<Pem> blocks = new ArrayList<>();
        Block open = null;
        int number = 0;
        for (String raw : text.toString(StandardCharsets.ISO_8859_1).split("\r?\n|\r", -1)) {
            number++;
            String line = raw.strip();
            if (open == null) {
                if (line.startsWith(BEGIN) && line.endsWith(DASHES) && line.length() > BEGIN.length() + 5) {
                    open = new Block(line.substring(BEGIN.length(), line.length() - DASHES.length()), number);
                }
            } else if (line.startsWith(END)) {
                if (!line.equals(END + open.type + DASHES)) {
                    throw new CredentialException(what + ", line " + number + ": the block \"" + open.type
                            + "\" of line " + open.line + " is ended by another's end");
                }
                blocks.add(open.close(what));
                open = null;
            } else {
                open.add(line, what, number);
            }
        }
        if (open != null) {
            throw new CredentialException(
                    what + ": the block \"" + open.type + "\" of line " + open.line + " has no end; the file is cut");
        }
        if (blocks.isEmpty()) {
            throw new CredentialException(what + " holds no PEM block (-----BEGIN …-----)");
        }
        return blocks;
    }

    /** The text of this block, ending in a newline. Headers are sorted by name. */
    String encode() {
        StringBuilder text = new StringBuilder();
        text.append(BEGIN).append(type).append(DASHES).append('\n');
        if (!headers.isEmpty()) {
            text.append(encodeHeaders()).append('\n');
        }
        if (!content.isEmpty()) {
            text.append(LINES.encodeToString(content.toByteArray())).append('\n');
        }
        return text.append(END).append(type).append(DASHES).append('\n').toString();
    }

    /** The header lines alone, sorted by name, each with its newline. */
    String encodeHeaders() {
        StringBuilder text = new StringBuilder();
        new TreeMap<>(headers)
                .forEach((name, value) ->
                        text.append(name).append(": ").append(value).append('\n'));
        return text.toString();
    }

    /** A block whose end has not been read. */
    private static final class Block {
        private final String type;
        private final int line;
        private final Map<String, String> headers = new TreeMap<>();
        private final StringBuilder base64 = new StringBuilder();
        private boolean inContent;

        private Block(String type, int line) {
            this.type = type;
            this.line = line;
        }

        private void add(String text, String what, int number) throws CredentialException {
            int colon = text.indexOf(':');
            if (!inContent && colon > 0) {
                String name = text.substring(0, colon);
                String value = text.substring(colon + 1).strip();
                if (!HEADER_NAME.matcher(name).matches() || value.chars().anyMatch(c -> c < ' ' || c > '~')) {
                    throw new CredentialException(what + ", line " + number + ": not a PEM header");
                }
                if (headers.put(name, value) != null) {
                    throw new CredentialException(what + ", line " + number + ": the header " + name + " stands twice");
                }
            } else if (text.isEmpty()) {
                inContent = inContent || !headers.isEmpty();
            } else {
                inContent = true;
                base64.append(text);
            }
        }

        private Pem close(String what) throws CredentialException {
            try {
                return new Pem(
                        type, headers, ByteString.copyFrom(Base64.getDecoder().decode(base64.toString())));
            } catch (IllegalArgumentException e) {
                throw new CredentialException(
                        what + ": the block \"" + type + "\" of line " + line + " is not base64; the file is damaged",
                        e);
            }
        }
    }
}
