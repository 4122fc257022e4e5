package io.skep.network;

import java.math.BigInteger;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;

/**
 * An address and how many of its leading bits name the network it is in. As a network the other bits are zero.
 *
 * @param address IPv4 or IPv6
 * @param length in bits
 */
public record Subnet(InetAddress address, int length) {
    public Subnet {
        if (length < 0 || length > 8 * address.getAddress().length) {
            throw new IllegalArgumentException("no prefix of " + address.getHostAddress() + " has " + length + " bits");
        }
    }

    /**
     * Reads such as 10.0.0.0/24.
     *
     * @throws IllegalArgumentException with a text for the user
     */
    public static Subnet parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0) {
            throw new IllegalArgumentException("invalid CIDR address: " + text);
        }
        try {
            return new Subnet(address(text.substring(0, slash)), Integer.parseInt(text.substring(slash + 1)));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("invalid CIDR address: " + text, e);
        }
    }

    /**
     * Reads an address, never a name.
     *
     * @throws IllegalArgumentException with a text for the user
     */
    public static InetAddress address(String text) {
        return InetAddress.ofLiteral(text);
    }

    public boolean isIpv4() {
        return address instanceof Inet4Address;
    }

    /** Returns the network this address is in. */
    public Subnet network() {
        byte[] bytes = address.getAddress();
        for (int bit = length; bit < 8 * bytes.length; bit++) {
            bytes[bit / 8] &= (byte) ~(0x80 >> (bit % 8));
        }
        return new Subnet(ofBytes(bytes), length);
    }

    public boolean contains(InetAddress other) {
        return other.getAddress().length == address.getAddress().length
                && new Subnet(other, length).network().equals(network());
    }

    public boolean contains(Subnet other) {
        return other.length >= length && contains(other.address);
    }

    public boolean overlaps(Subnet other) {
        return contains(other) || other.contains(this);
    }

    /** How many addresses it has, network and broadcast address among them. */
    public BigInteger size() {
        return BigInteger.ONE.shiftLeft(8 * address.getAddress().length - length);
    }

    /** Returns the address that many places after the first one of this network. */
    public InetAddress at(BigInteger place) {
        byte[] first = network().address.getAddress();
        byte[] sum = new BigInteger(1, first).add(place).toByteArray();
        byte[] bytes = new byte[first.length];
        int copied = Math.min(sum.length, bytes.length);
        System.arraycopy(sum, sum.length - copied, bytes, bytes.length - copied, copied);
        return ofBytes(bytes);
    }

    public InetAddress at(long place) {
        return at(BigInteger.valueOf(place));
    }

    public InetAddress last() {
        return at(size().subtract(BigInteger.ONE));
    }

    private static InetAddress ofBytes(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalStateException(Arrays.toString(bytes), e);
        }
    }

    /** Returns the shortest usual text of an address. */
    public static String text(InetAddress address) {
        byte[] bytes = address.getAddress();
        if (bytes.length == 4) {
            return address.getHostAddress();
        }
        int[] groups = new int[8];
        for (int i = 0; i < 8; i++) {
            groups[i] = (bytes[2 * i] & 0xff) << 8 | (bytes[2 * i + 1] & 0xff);
        }
        int bestStart = -1;
        int bestLength = 1;
        for (int start = 0; start < 8; start++) {
            int end = start;
            while (end < 8 && groups[end] == 0) {
                end++;
            }
            if (end - start > bestLength) {
                bestStart = start;
                bestLength = end - start;
            }
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 8; i++) {
            if (i == bestStart) {
                text.append("::");
                i += bestLength - 1;
                continue;
            }
            if (!text.isEmpty() && text.charAt(text.length() - 1) != ':') {
                text.append(':');
            }
            text.append(Integer.toHexString(groups[i]));
        }
        return text.toString();
    }

    @Override
    public String toString() {
        return text(address) + "/" + length;
    }
}
