package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Peer;
import io.skep.wire.WeightedPeer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class KnownManagersTest {
    private static final Peer A = peer("a", "10.0.0.1:2377");
    private static final Peer B = peer("b", "10.0.0.2:2377");
    private static final Peer C = peer("c", "10.0.0.3:2377");

    private final KnownManagers managers = new KnownManagers(new Random(7));

    @Test
    void nobodyIsKnownAtFirst() {
        assertThat(managers.pick()).isNull();
    }

    @Test
    void spreadsOverManagersThatDoWell() {
        managers.replace(List.of(listed(A), listed(B), listed(C)));
        assertThat(picks(3000).values())
                .hasSize(3)
                .allSatisfy(count -> assertThat(count).isBetween(850, 1150));
    }

    @Test
    void rarelyPicksOneThatFailed() {
        managers.replace(List.of(listed(A), listed(B)));
        managers.observe(A, KnownManagers.WEIGHT_BAD);
        assertThat(picks(1000).getOrDefault(A, 0)).isLessThan(10);
    }

    @Test
    void stillTriesWhenAllFailed() {
        managers.observe(A, KnownManagers.WEIGHT_BAD);
        managers.observe(B, KnownManagers.WEIGHT_BAD);
        assertThat(picks(100)).containsKeys(A, B);
    }

    @Test
    void forgetsManagersThatAreNoLongerListed() {
        managers.replace(List.of(listed(A), listed(B)));
        managers.replace(List.of(listed(B), listed(peer("c", ""))));
        assertThat(managers.all()).containsExactly(B);
    }

    @Test
    void keepsWhatItKnowsWhenNobodyIsListed() {
        managers.replace(List.of(listed(A)));
        managers.replace(List.of());
        assertThat(managers.all()).containsExactly(A);
    }

    @Test
    void takesAManagerThatMovedForAnother() {
        managers.replace(List.of(listed(A)));
        Peer moved = peer("a", "10.0.0.9:2377");
        managers.replace(List.of(listed(moved)));
        assertThat(managers.all()).containsExactly(moved);
    }

    private Map<Peer, Integer> picks(int times) {
        Map<Peer, Integer> counts = new HashMap<>();
        for (int i = 0; i < times; i++) {
            Peer picked = managers.pick();
            if (picked != null) {
                counts.merge(picked, 1, Integer::sum);
            }
        }
        return counts;
    }

    private static Peer peer(String id, String address) {
        return Peer.newBuilder().setNodeId(id).setAddr(address).build();
    }

    private static WeightedPeer listed(Peer peer) {
        return WeightedPeer.newBuilder().setPeer(peer).setWeight(10).build();
    }
}
