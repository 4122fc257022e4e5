package io.skep.network;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The question of a DNS message (RFC 1035) from a container, and the answers to it that are known here. A message that
 * is more than one plain question is none of these: it is for others to answer.
 */
final class DnsQuestion {
    static final int TYPE_A = 1;
    static final int TYPE_PTR = 12;
    static final int TYPE_MX = 15;
    static final int TYPE_AAAA = 28;
    static final int NO_ERROR = 0;
    static final int SERVER_FAILURE = 2;
    static final int REFUSED = 5;

    private static final int TYPE_OPTIONS = 41;
    private static final int CLASS_INTERNET = 1;
    private static final int HEADER_BYTES = 12;
    private static final int DATAGRAM_BYTES = 512;
    private static final int DATAGRAM_BYTES_MAX = 4096;
    private static final int NAME_BYTES_MAX = 255;
    private static final int LABEL_BYTES_MAX = 63;
    private static final int TTL_SECONDS = 600;
    private static final int NAME_OF_QUESTION = 0xc000 | HEADER_BYTES;

    private final byte[] message;
    private final String name;
    private final int type;
    private final int end;
    private final int bytesMax;

    /**
     * @param end where the question ends in the message
     * @param bytesMax how long an answer may be that is one datagram
     */
    private DnsQuestion(byte[] message, String name, int type, int end, int bytesMax) {
        this.message = message;
        this.name = name;
        this.type = type;
        this.end = end;
        this.bytesMax = bytesMax;
    }

    byte[] message() {
        return message.clone();
    }

    /** Returns what is asked for, in lower case and without the last dot. */
    String name() {
        return name;
    }

    int type() {
        return type;
    }

    /** Reads a message; nothing when it is no plain question. */
    static Optional<DnsQuestion> parse(byte[] message) {
        if (message.length < HEADER_BYTES + 5 || (message[2] & 0xf8) != 0 || number(message, 4) != 1) {
            return Optional.empty();
        }
        StringBuilder name = new StringBuilder();
        int at = HEADER_BYTES;
        while (message[at] != 0) {
            int length = message[at] & 0xff;
            if (length > LABEL_BYTES_MAX
                    || at + 1 + length >= message.length
                    || at + length - HEADER_BYTES > NAME_BYTES_MAX) {
                return Optional.empty();
            }
            if (!name.isEmpty()) {
                name.append('.');
            }
            name.append(new String(message, at + 1, length, StandardCharsets.ISO_8859_1));
            at += 1 + length;
        }
        at++;
        if (at + 4 > message.length || number(message, at + 2) != CLASS_INTERNET) {
            return Optional.empty();
        }
        int bytesMax = DATAGRAM_BYTES;
        int after = at + 4;
        // EDNS: the first additional record, whose class is how much the client takes at once.
        if (number(message, 10) > 0
                && number(message, 6) == 0
                && number(message, 8) == 0
                && after + 11 <= message.length
                && message[after] == 0
                && number(message, after + 1) == TYPE_OPTIONS) {
            bytesMax = Math.clamp(number(message, after + 3), DATAGRAM_BYTES, DATAGRAM_BYTES_MAX);
        }
        return Optional.of(new DnsQuestion(
                message, name.toString().toLowerCase(Locale.ROOT), number(message, at), after, bytesMax));
    }

    static int number(byte[] bytes, int at) {
        return (bytes[at] & 0xff) << 8 | (bytes[at + 1] & 0xff);
    }

    /** Returns the address that is asked for by its name below in-addr.arpa or ip6.arpa. */
    Optional<InetAddress> reverse() {
        List<String> labels = Arrays.asList(name.split("\\.", -1)).reversed();
        try {
            if (name.endsWith(".in-addr.arpa") && labels.size() == 6) {
                return Optional.of(InetAddress.ofLiteral(String.join(".", labels.subList(2, 6))));
            }
            if (name.endsWith(".ip6.arpa") && labels.size() == 34) {
                return Optional.of(
                        InetAddress.getByAddress(HexFormat.of().parseHex(String.join("", labels.subList(2, 34)))));
            }
            return Optional.empty();
        } catch (IllegalArgumentException | UnknownHostException e) {
            return Optional.empty();
        }
    }

    /** Returns the answer with these addresses; those of another kind than was asked for are left out. */
    byte[] addresses(List<InetAddress> addresses, boolean datagram) {
        int bytes = type == TYPE_A ? 4 : 16;
        List<byte[]> values = addresses.stream()
                .map(InetAddress::getAddress)
                .filter(each -> each.length == bytes)
                .toList();
        return answer(values, datagram);
    }

    /** Returns the answer with a name. */
    byte[] pointer(String target, boolean datagram) {
        ByteArrayOutputStream encoded = new ByteArrayOutputStream();
        for (String label : target.split("\\.", -1)) {
            byte[] bytes = label.getBytes(StandardCharsets.UTF_8);
            int length = Math.min(bytes.length, LABEL_BYTES_MAX);
            encoded.write(length);
            encoded.write(bytes, 0, length);
        }
        encoded.write(0);
        return answer(List.of(encoded.toByteArray()), datagram);
    }

    private byte[] answer(List<byte[]> values, boolean datagram) {
        byte[] whole = write(values, false);
        return datagram && whole.length > bytesMax ? write(List.of(), true) : whole;
    }

    private byte[] write(List<byte[]> values, boolean truncated) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(header(NO_ERROR, truncated, values.size()));
        out.write(message, HEADER_BYTES, end - HEADER_BYTES);
        for (byte[] value : values) {
            put(out, NAME_OF_QUESTION);
            put(out, type);
            put(out, CLASS_INTERNET);
            put(out, 0);
            put(out, TTL_SECONDS);
            put(out, value.length);
            out.writeBytes(value);
        }
        return out.toByteArray();
    }

    /** Returns an answer that only says how it went. */
    byte[] code(int code) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(header(code, false, 0));
        out.write(message, HEADER_BYTES, end - HEADER_BYTES);
        return out.toByteArray();
    }

    private byte[] header(int code, boolean truncated, int answers) {
        byte[] header = new byte[HEADER_BYTES];
        header[0] = message[0];
        header[1] = message[1];
        // A response; that recursion is desired is said back.
        header[2] = (byte) (0x80 | (message[2] & 1) | (truncated ? 2 : 0));
        header[3] = (byte) (0x80 | code);
        header[5] = 1;
        header[6] = (byte) (answers >> 8);
        header[7] = (byte) answers;
        return header;
    }

    private static void put(ByteArrayOutputStream out, int number) {
        out.write(number >> 8);
        out.write(number);
    }
}
