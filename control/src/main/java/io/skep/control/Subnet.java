package io.skep.control;

import java.math.BigInteger;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;

/**
 * A block of IP addresses, such as 10.0.1.0/24; its addresses are named by their distance from the first one.
 *
 * @param first the first address, as a number
 * @param prefix how many leading bits all addresses share
 * @param bits 32 for IPv4, 128 for IPv6
 */
record Subnet(BigInteger first, int prefix, int bits) {
    static final int IPV4_BITS = 32;
    static final int IPV6_BITS = 128;

    /** Larger blocks are used in their first part only, so that a distance fits a long. */
    private static final int HOST_BITS_USED_MAX = 62;

    /**
     * Reads an address with its prefix length; bits after the prefix are ignored.
     *
     * @throws IllegalArgumentException if the text is no such thing
     */
    static Subnet parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0) {
            throw new IllegalArgumentException("'" + text + "' has no prefix length");
        }
        byte[] address = parseAddress(text.substring(0, slash));
        int bits = address.length * Byte.SIZE;
        int prefix = parsePrefix(text, text.substring(slash + 1), bits);
        BigInteger number = new BigInteger(1, address);
        BigInteger first = number.shiftRight(bits - prefix).shiftLeft(bits - prefix);
        return new Subnet(first, prefix, bits);
    }

    /**
     * Reads an address, with or without a prefix length.
     *
     * @throws IllegalArgumentException if the text is no address
     */
    static byte[] parseAddress(String text) {
        int slash = text.indexOf('/');
        String host = slash < 0 ? text : text.substring(0, slash);
        boolean fourParts = host.chars().filter(c -> c == '.').count() == 3;
        if (host.isEmpty() || host.indexOf('%') >= 0 || (host.indexOf(':') < 0 && !fourParts)) {
            throw new IllegalArgumentException("'" + host + "' is no IP address");
        }
        return InetAddress.ofLiteral(host).getAddress();
    }

    private static int parsePrefix(String text, String digits, int bits) {
        int prefix;
        try {
            prefix = Integer.parseInt(digits);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("'" + text + "' has no prefix length", e);
        }
        if (prefix < 0 || prefix > bits) {
            throw new IllegalArgumentException("'" + text + "' has a prefix length out of range");
        }
        return prefix;
    }

    boolean isIpv4() {
        return bits == IPV4_BITS;
    }

    /** Returns how many addresses can be named, at most 2^62. */
    long size() {
        return 1L << Math.min(bits - prefix, HOST_BITS_USED_MAX);
    }

    /** Returns the first address after this block, as a number. */
    BigInteger end() {
        return first.add(BigInteger.ONE.shiftLeft(bits - prefix));
    }

    boolean overlaps(Subnet other) {
        return bits == other.bits && first.compareTo(other.end()) < 0 && other.first.compareTo(end()) < 0;
    }

    boolean contains(Subnet other) {
        return bits == other.bits
                && first.compareTo(other.first) <= 0
                && other.end().compareTo(end()) <= 0;
    }

    /** Returns the distance of an address from the first one, or -1 for one outside. */
    long offset(byte[] address) {
        if (address.length * Byte.SIZE != bits) {
            return -1;
        }
        BigInteger distance = new BigInteger(1, address).subtract(first);
        if (distance.signum() < 0 || distance.compareTo(BigInteger.valueOf(size())) >= 0) {
            return -1;
        }
        return distance.longValueExact();
    }

    /** Returns the address at a distance from the first one, without prefix length. */
    String address(long offset) {
        byte[] number = first.add(BigInteger.valueOf(offset)).toByteArray();
        byte[] address = new byte[bits / Byte.SIZE];
        byte[] tail = number.length > address.length
                ? Arrays.copyOfRange(number, number.length - address.length, number.length)
                : number;
        System.arraycopy(tail, 0, address, address.length - tail.length, tail.length);
        return text(address);
    }

    /** Returns the address at a distance from the first one, with the prefix length. */
    String cidr(long offset) {
        return address(offset) + "/" + prefix;
    }

    @Override
    public String toString() {
        return cidr(0);
    }

    /** Returns the usual text of an address; for IPv6 the one with the longest run of zeros left out (RFC 5952). */
    static String text(byte[] address) {
        try {
            InetAddress parsed = InetAddress.getByAddress(address);
            return parsed instanceof Inet4Address ? parsed.getHostAddress() : compressed(address);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException("an address has 4 or 16 bytes, not " + address.length, e);
        }
    }

    private static String compressed(byte[] address) {
        int[] groups = new int[address.length / 2];
        for (int i = 0; i < groups.length; i++) {
            groups[i] = ((address[2 * i] & 0xff) << Byte.SIZE) | (address[2 * i + 1] & 0xff);
        }
        int runStart = -1;
        int runLength = 1;
        for (int i = 0; i < groups.length; i++) {
            int length = 0;
            while (i + length < groups.length && groups[i + length] == 0) {
                length++;
            }
            if (length > runLength) {
                runStart = i;
                runLength = length;
            }
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < groups.length; i++) {
            if (i == runStart) {
                text.append("::");
                i += runLength - 1;
            } else {
                if (!text.isEmpty() && text.charAt(text.length() - 1) != ':') {
                    text.append(':');
                }
                text.append(Integer.toHexString(groups[i]));
            }
        }
        return text.toString();
    }
}
