package io.skep.network;

import java.math.BigInteger;
import java.net.InetAddress;
import java.util.Collection;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * The addresses of one network: which are in use, and the next free one, the lowest first.
 *
 * <p>Threads: any. The addresses in use are bounded by the containers of the host; a search goes over those only.
 */
public final class AddressPool {
    private final Subnet subnet;
    private final Subnet range;
    private final Set<InetAddress> used = new HashSet<>();

    /**
     * @param range the part of the subnet from which addresses are given out unasked
     * @param reserved addresses that nobody gets
     */
    public AddressPool(Subnet subnet, Subnet range, Collection<InetAddress> reserved) {
        this.subnet = subnet.network();
        this.range = range.network();
        used.addAll(reserved);
        if (this.subnet.size().compareTo(BigInteger.TWO) > 0) {
            used.add(this.subnet.at(0));
            if (subnet.isIpv4()) {
                used.add(this.subnet.last());
            }
        }
    }

    public Subnet subnet() {
        return subnet;
    }

    /** Takes the lowest free address, or none when all are in use. */
    public synchronized Optional<InetAddress> take() {
        for (BigInteger place = BigInteger.ZERO; place.compareTo(range.size()) < 0; place = place.add(BigInteger.ONE)) {
            InetAddress candidate = range.at(place);
            if (used.add(candidate)) {
                return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    /** Takes an address; false when it is in use or not of this subnet. */
    public synchronized boolean take(InetAddress address) {
        return subnet.contains(address) && used.add(address);
    }

    public synchronized void release(InetAddress address) {
        used.remove(address);
    }
}
