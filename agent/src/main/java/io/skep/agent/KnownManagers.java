package io.skep.agent;

import io.skep.wire.Peer;
import io.skep.wire.WeightedPeer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The managers that a node may call, each with a weight that follows how calls to it went.
 *
 * <p>The weight is a moving average of observations (swarm-wire 3.1); a manager is picked at random in proportion to
 * its weight, so a healthy cluster spreads its workers and a dead manager is tried rarely. A peer is the pair of node
 * id and address: a manager that moved is another peer. Safe for use by many threads.
 */
public final class KnownManagers {
    /** What a manager named by a manager, or one that answered, is worth. */
    public static final long WEIGHT_GOOD = 10;

    /** What a failed call or a closed session is worth. */
    public static final long WEIGHT_BAD = -10;

    private static final double SMOOTHING = 0.5;
    private static final double WEIGHT_LIMIT = 256;
    private static final double BIAS = 0.001;

    private final RandomGenerator random;
    private final Map<Peer, Double> weights = new LinkedHashMap<>();

    public KnownManagers(RandomGenerator random) {
        this.random = random;
    }

    /** Notes how a manager did; one without address is left out. */
    public synchronized void observe(Peer peer, long weight) {
        if (peer.getAddr().isEmpty()) {
            return;
        }
        double before = weights.getOrDefault(peer, 0.0);
        double clipped = Math.clamp((double) weight, -WEIGHT_LIMIT, WEIGHT_LIMIT);
        weights.put(peer, weights.containsKey(peer) ? before + SMOOTHING * (clipped - before) : clipped);
    }

    /** Takes over the list of a session message. An empty one changes nothing: it would leave the node with nobody. */
    public synchronized void replace(Collection<WeightedPeer> listed) {
        List<Peer> named = new ArrayList<>();
        for (WeightedPeer each : listed) {
            if (!each.getPeer().getAddr().isEmpty()) {
                observe(each.getPeer(), each.getWeight());
                named.add(each.getPeer());
            }
        }
        if (!named.isEmpty()) {
            weights.keySet().retainAll(named);
        }
    }

    /**
     * Takes in managers that somebody has heard of: those who are new are tried as rarely as those who do not answer.
     */
    public synchronized void hearOf(Collection<Peer> peers) {
        for (Peer peer : peers) {
            if (!peer.getAddr().isEmpty()) {
                weights.putIfAbsent(peer, 0.0);
            }
        }
    }

    /** Picks a manager, or null when none is known. */
    public synchronized @Nullable Peer pick() {
        double sum = 0;
        for (double weight : weights.values()) {
            sum += chance(weight);
        }
        double point = random.nextDouble() * sum;
        Peer last = null;
        for (Map.Entry<Peer, Double> each : weights.entrySet()) {
            last = each.getKey();
            point -= chance(each.getValue());
            if (point < 0) {
                break;
            }
        }
        return last;
    }

    /** Returns all known managers, the longest known first. */
    public synchronized List<Peer> all() {
        return List.copyOf(weights.keySet());
    }

    private static double chance(double weight) {
        return Math.max(0, weight) + BIAS;
    }
}
