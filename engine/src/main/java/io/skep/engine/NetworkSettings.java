package io.skep.engine;

import io.skep.network.Subnet;
import java.util.List;

/**
 * What the engine's networks are like where a network or container does not say.
 *
 * @param pools from which subnets are taken; empty for the usual ones
 * @param bridgeAddress address of the default bridge with its prefix, or empty
 * @param fixedRange part of the default bridge's subnet that containers get addresses from, or empty
 * @param mtu of the default bridge, 0 for the usual one
 * @param communication whether containers at the default bridge reach each other
 * @param masquerade whether what leaves the default bridge has the host's address
 * @param forward whether the engine lets the host pass packets on
 * @param bindAddress of the host, for ports that are published without one; empty for all
 * @param dns servers that containers ask, empty for those of the host
 */
public record NetworkSettings(
        List<Pool> pools,
        String bridgeAddress,
        String fixedRange,
        int mtu,
        boolean communication,
        boolean masquerade,
        boolean forward,
        String bindAddress,
        List<String> dns,
        List<String> dnsSearch,
        List<String> dnsOptions) {
    /** What there is without any configuration. */
    public static final NetworkSettings USUAL = ofPools(List.of());

    public NetworkSettings {
        pools = List.copyOf(pools);
        dns = List.copyOf(dns);
        dnsSearch = List.copyOf(dnsSearch);
        dnsOptions = List.copyOf(dnsOptions);
    }

    /**
     * Subnets of one size.
     *
     * @param length of the prefix of each
     */
    public record Pool(Subnet base, int length) {
        /** Returns the subnets of a size in a larger one, such as 10.0.0.0/8. */
        public static Pool of(String base, int length) {
            return new Pool(Subnet.parse(base), length);
        }
    }

    /** Returns the usual settings with other subnets. */
    public static NetworkSettings ofPools(List<Pool> pools) {
        return new NetworkSettings(pools, "", "", 0, true, true, true, "", List.of(), List.of(), List.of());
    }
}
