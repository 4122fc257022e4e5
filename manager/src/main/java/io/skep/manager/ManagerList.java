package io.skep.manager;

import io.skep.store.Consensus.Member;
import io.skep.wire.Peer;
import io.skep.wire.WeightedPeer;
import java.util.ArrayList;
import java.util.List;

/**
 * The managers that nodes are told about: at once when one came, went or moved, since a node that loses its session
 * finds another manager only by what it was told before.
 */
final class ManagerList {
    private static final int WEIGHT = 10;

    private final ManagerPorts ports;
    private final String address;
    private final Runnable onChange;
    private List<WeightedPeer> told = List.of();

    /**
     * Makes the list.
     *
     * @param address host:port of this manager
     * @param onChange called when the list is another one than before
     */
    ManagerList(ManagerPorts ports, String address, Runnable onChange) {
        this.ports = ports;
        this.address = address;
        this.onChange = onChange;
    }

    /** Returns the list as it is now; it is never empty. */
    List<WeightedPeer> current() {
        List<WeightedPeer> now = new ArrayList<>();
        for (Member member : ports.consensus().members()) {
            if (!member.address().isEmpty()) {
                now.add(weighted(member.nodeId(), member.address()));
            }
        }
        if (now.isEmpty()) {
            // A list without any would leave nodes without a manager for good (swarm-wire 3.1).
            now.add(weighted(ports.consensus().selfId(), address));
        }
        synchronized (this) {
            // Each session keeps what it was told last: let it be the same list.
            return now.equals(told) ? told : now;
        }
    }

    /** Called by the consensus when the members may be others than before. */
    void check() {
        List<WeightedPeer> now = current();
        synchronized (this) {
            if (now.equals(told)) {
                return;
            }
            told = now;
        }
        onChange.run();
    }

    private static WeightedPeer weighted(String nodeId, String address) {
        return WeightedPeer.newBuilder()
                .setPeer(Peer.newBuilder().setNodeId(nodeId).setAddr(address))
                .setWeight(WEIGHT)
                .build();
    }
}
