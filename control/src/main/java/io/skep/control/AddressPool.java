package io.skep.control;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The addresses of one subnet and who owns them.
 *
 * <p>Free ones are handed out serially: the next after the last, beginning again at the end. So an address is not used
 * again soon, while other nodes still remember who had it.
 */
final class AddressPool {
    private static final String RESERVED = "reserved";

    private final Subnet subnet;
    private final long rangeFirst;
    private final long rangeLast;
    private final Map<Long, String> owners = new HashMap<>();
    private long ownedInRange;
    private long next;

    /**
     * Makes a pool without owners.
     *
     * @param range the part of the subnet that free addresses are taken from
     */
    AddressPool(Subnet subnet, Subnet range) {
        this.subnet = subnet;
        this.rangeFirst = range.first().subtract(subnet.first()).longValueExact();
        this.rangeLast = rangeFirst + range.size() - 1;
        this.next = rangeFirst;
        if (subnet.size() > 2) {
            own(0, RESERVED);
            if (subnet.isIpv4()) {
                own(subnet.size() - 1, RESERVED);
            }
        }
    }

    Subnet subnet() {
        return subnet;
    }

    /** Keeps an address from being handed out; one outside the subnet is no error. */
    void reserve(byte[] address) {
        long offset = subnet.offset(address);
        if (offset >= 0) {
            own(offset, RESERVED);
        }
    }

    /** Returns whether the address belongs to this subnet, whoever owns it. */
    boolean contains(byte[] address) {
        return subnet.offset(address) >= 0;
    }

    /**
     * Gives an address to an owner.
     *
     * @return whether the owner has it now, or had it already
     */
    boolean claim(byte[] address, String owner) {
        long offset = subnet.offset(address);
        if (offset < 0) {
            return false;
        }
        String current = owners.get(offset);
        if (current != null) {
            return current.equals(owner);
        }
        own(offset, owner);
        if (isInRange(offset) && offset >= next) {
            next = offset == rangeLast ? rangeFirst : offset + 1;
        }
        return true;
    }

    /** Takes the next free address, with prefix length, or null when there is none. */
    @Nullable
    String take(String owner) {
        if (ownedInRange >= rangeLast - rangeFirst + 1) {
            return null;
        }
        long offset = next;
        while (owners.containsKey(offset)) {
            offset = offset == rangeLast ? rangeFirst : offset + 1;
        }
        own(offset, owner);
        next = offset == rangeLast ? rangeFirst : offset + 1;
        return subnet.cidr(offset);
    }

    /** Returns whether the owner had the address, which is free now. */
    boolean release(byte[] address, String owner) {
        long offset = subnet.offset(address);
        if (offset < 0 || !owners.remove(offset, owner)) {
            return false;
        }
        if (isInRange(offset)) {
            ownedInRange--;
        }
        return true;
    }

    private void own(long offset, String owner) {
        if (owners.put(offset, owner) == null && isInRange(offset)) {
            ownedInRange++;
        }
    }

    private boolean isInRange(long offset) {
        return offset >= rangeFirst && offset <= rangeLast;
    }
}
