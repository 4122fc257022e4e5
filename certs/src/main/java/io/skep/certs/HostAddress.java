package io.skep.certs;

import java.net.Inet6Address;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * A DNS name or IP address under which a machine is reached, as it stands in a server certificate.
 *
 * @param text in small letters; an IPv6 address without brackets
 * @param isIp whether it is an IP address
 */
public record HostAddress(String text, boolean isIp) {
    private static final Pattern IPV4 = Pattern.compile("(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})");
    private static final String LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
    private static final Pattern NAME = Pattern.compile("(\\*\\.)?" + LABEL + "(\\." + LABEL + ")*");
    private static final Pattern NUMERIC_END = Pattern.compile("(.*\\.)?[0-9]+");

    /** Reads one address; the failure's message names it and says what to write instead. */
    public static HostAddress parse(String written) throws CredentialException {
        String text = written.toLowerCase(Locale.ROOT);
        if (text.contains("://")) {
            throw refused(written, "write it without the protocol");
        }
        if (text.startsWith("[") && text.endsWith("]")) {
            text = text.substring(1, text.length() - 1);
        }
        if (text.chars().filter(c -> c == ':').count() > 1) {
            return ipv6(written, text);
        }
        if (text.contains(":")) {
            throw refused(written, "write it without the port");
        }
        var ipv4 = IPV4.matcher(text);
        if (ipv4.matches()) {
            StringBuilder plain = new StringBuilder();
            for (int group = 1; group <= 4; group++) {
                int part = Integer.parseInt(ipv4.group(group));
                if (part > 255) {
                    throw refused(written, "the parts of an IPv4 address go up to 255");
                }
                plain.append(group == 1 ? "" : ".").append(part);
            }
            return new HostAddress(plain.toString(), true);
        }
        if (text.length() > 253
                || !NAME.matcher(text).matches()
                || NUMERIC_END.matcher(text).matches()) {
            throw refused(written, "write a DNS name or an IP address");
        }
        return new HostAddress(text, false);
    }

    private static HostAddress ipv6(String written, String text) throws CredentialException {
        if (text.contains("%")) {
            throw refused(written, "an address with an interface is of no use to other machines");
        }
        try {
            return new HostAddress(shorten(Inet6Address.ofLiteral(text).getHostAddress()), true);
        } catch (IllegalArgumentException e) {
            throw refused(written, "it is no IPv6 address");
        }
    }

    /** Replaces the longest run of zeros, as RFC 5952 writes addresses. */
    private static String shorten(String full) {
        String[] parts = full.split(":", -1);
        int start = -1;
        int length = 1;
        for (int i = 0; i < parts.length; i++) {
            int end = i;
            while (end < parts.length && parts[end].equals("0")) {
                end++;
            }
            if (end - i > length) {
                start = i;
                length = end - i;
            }
        }
        if (start < 0) {
            return full;
        }
        return String.join(":", Arrays.copyOfRange(parts, 0, start))
                + "::"
                + String.join(":", Arrays.copyOfRange(parts, start + length, parts.length));
    }

    private static CredentialException refused(String written, String advice) {
        return new CredentialException("\"" + written + "\" cannot stand in a certificate: " + advice);
    }

    /** As the host part of a URL. */
    String inUrl() {
        return text.contains(":") ? "[" + text + "]" : text;
    }
}
