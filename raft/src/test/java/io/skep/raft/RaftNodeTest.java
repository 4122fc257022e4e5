package io.skep.raft;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.raft.RaftNode.Leadership;
import io.skep.raft.RaftNode.Member;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Managers with real threads and files in one process. */
@Timeout(60)
final class RaftNodeTest {
    private static final RaftLimits SMALL = new RaftLimits(50, 64 << 10, 10, 16 << 10, 1 << 20, 32 << 10);

    @TempDir
    private Path directory;

    private final MemoryTransport.Net net = new MemoryTransport.Net();
    private final Map<String, RaftNode> nodes = new TreeMap<>();
    private final Map<String, MemoryTransport> transports = new TreeMap<>();
    private final Map<String, ListState> states = new TreeMap<>();
    private final Map<String, TestKeys> keys = new TreeMap<>();

    @AfterEach
    void closeAll() {
        new ArrayList<>(nodes.keySet()).forEach(this::kill);
    }

    @Test
    void oneManagerAcceptsEntriesAndHasThemAfterARestart() throws Exception {
        start("a", "a:1", RaftNode::bootstrap);
        propose("x");
        propose("y");
        node("a").close();
        start("a", "a:1", RaftNode::open);
        node("a").readBarrier().get(5, TimeUnit.SECONDS);
        assertThat(state("a").entries()).containsExactly(bytes("x"), bytes("y"));
    }

    @Test
    void threeManagersGoOnWithoutTheirLeader() throws Exception {
        three();
        for (int i = 0; i < 200; i++) {
            propose("before " + i);
        }
        String leader = leader();
        kill(leader);
        propose("after");
        assertThat(leader()).isNotEqualTo(leader);
        start(leader, leader + ":1", RaftNode::open);
        await(() -> state(leader).contains("after"));
        for (ListState state : states.values()) {
            await(() -> state.entries().size() == 201);
        }
        assertThat(state("a").entries())
                .isEqualTo(state("b").entries())
                .isEqualTo(state("c").entries());
    }

    @Test
    void aManagerThatIsStartedAgainReadsAlthoughNothingIsWritten() throws Exception {
        three();
        propose("last");
        String leader = leader();
        for (String id : List.of("a", "b", "c")) {
            if (!id.equals(leader)) {
                await(() -> state(id).contains("last"));
                kill(id);
                start(id, id + ":1", RaftNode::open);
                node(id).readBarrier().get(10, TimeUnit.SECONDS);
                assertThat(state(id).contains("last")).isTrue();
            }
        }
    }

    @Test
    void aLeaderThatIsCutOffIsReplacedAndStepsDown() throws Exception {
        three();
        String old = leader();
        transport(old).cut(true);
        await(() -> nodes.entrySet().stream()
                .anyMatch(node -> !node.getKey().equals(old)
                        && node.getValue().leadership().ready()));
        await(() -> !node(old).leadership().ready());
        CompletableFuture<Void> read = node(old).readBarrier();
        assertThatThrownBy(() -> read.get(10, TimeUnit.SECONDS))
                .hasCauseInstanceOf(RaftException.class)
                .hasMessageContaining("no leader confirmed");
        transport(old).cut(false);
        propose("healed");
        await(() -> state(old).contains("healed"));
    }

    @Test
    void readsOnAnyManagerSeeWhatWasAcknowledged() throws Exception {
        three();
        for (int i = 0; i < 50; i++) {
            String text = "read " + i;
            propose(text);
            for (Map.Entry<String, RaftNode> node : nodes.entrySet()) {
                node.getValue().readBarrier().get(5, TimeUnit.SECONDS);
                assertThat(state(node.getKey()).contains(text)).isTrue();
            }
        }
    }

    @Test
    void membersThatAreFarBehindGetASnapshot() throws Exception {
        three();
        String behind = nodes.keySet().stream()
                .filter(id -> !id.equals(leader()))
                .findFirst()
                .orElseThrow();
        kill(behind);
        for (int i = 0; i < 500; i++) {
            propose("entry " + i + " " + "x".repeat(2000));
        }
        start(behind, behind + ":1", RaftNode::open);
        await(() -> state(behind).entries().size() == 500);
        add("d");
        await(() -> state("d").entries().size() == 500);
        assertThat(state("d").entries()).isEqualTo(state(leader()).entries());
        await(() -> node("d").members().stream().filter(Member::voter).count() == 4);
    }

    @Test
    void everyManagerKnowsWhoCannotBeReached() throws Exception {
        three();
        String gone = nodes.keySet().stream()
                .filter(id -> !id.equals(leader()))
                .findFirst()
                .orElseThrow();
        kill(gone);
        for (RaftNode node : nodes.values()) {
            await(() -> node.members().size() == 3
                    && node.members().stream()
                            .allMatch(member ->
                                    member.reachable() != member.nodeId().equals(gone))
                    && node.members().stream().filter(Member::leader).count() == 1);
        }
        start(gone, gone + ":1", RaftNode::open);
        for (RaftNode node : nodes.values()) {
            await(() -> node.members().stream().allMatch(Member::reachable));
        }
    }

    @Test
    void leadershipIsHandedOverAtTheEnd() throws Exception {
        three();
        String old = leader();
        long term = node(old).leadership().term();
        RaftNode closing = node(old);
        nodes.remove(old);
        closing.close();
        // Handed over: an election after a timeout would have ended in the same term, but not at once.
        await(() -> nodes.values().stream().anyMatch(node -> node.leadership().ready()));
        assertThat(node(leader()).leadership().term()).isEqualTo(term + 1);
        propose("next");
    }

    @Test
    void membersLeave() throws Exception {
        three();
        String leader = leader();
        String other = nodes.keySet().stream()
                .filter(id -> !id.equals(leader))
                .findFirst()
                .orElseThrow();
        node(leader).removeMember(other).get(5, TimeUnit.SECONDS);
        await(() -> node(other).members().stream()
                .noneMatch(member -> member.nodeId().equals(other)));
        kill(other);
        CompletableFuture<Void> leaving = node(leader).removeMember(leader);
        assertThatThrownBy(() -> leaving.get(5, TimeUnit.SECONDS))
                .cause()
                .isInstanceOfSatisfying(
                        RaftException.class, e -> assertThat(e.kind()).isEqualTo(RaftException.Kind.NOT_LEADER));
        await(() -> !leader().equals(leader));
        node(leader()).removeMember(leader).get(5, TimeUnit.SECONDS);
        propose("alone");
        CompletableFuture<Void> last = node(leader()).removeMember(leader());
        assertThatThrownBy(() -> last.get(5, TimeUnit.SECONDS)).hasMessageContaining("only manager");
    }

    @Test
    void removingAManagerThatWouldCostTheMajorityIsRefused() throws Exception {
        three();
        String leader = leader();
        List<String> others =
                nodes.keySet().stream().filter(id -> !id.equals(leader)).toList();
        kill(others.get(0));
        await(() -> node(leader).members().stream().anyMatch(member -> !member.reachable()));
        CompletableFuture<Void> removal = node(leader).removeMember(others.get(1));
        assertThatThrownBy(() -> removal.get(5, TimeUnit.SECONDS)).hasMessageContaining("loss of quorum");
    }

    @Test
    void allManagersMayMoveAtOnce() throws Exception {
        three();
        propose("before");
        for (String id : List.copyOf(nodes.keySet())) {
            kill(id);
        }
        for (String id : List.of("a", "b", "c")) {
            start(id, id + ":2", RaftNode::open);
        }
        nodes.values().forEach(node -> List.of("a", "b", "c").forEach(id -> node.learnAddress(id, id + ":2")));
        propose("after");
        for (RaftNode node : nodes.values()) {
            await(() ->
                    node.members().stream().allMatch(member -> member.address().equals(member.nodeId() + ":2")));
        }
    }

    @Test
    void aManagerThatLostItsDirectoryGetsItsVoteBackOnlyWithTheLog() throws Exception {
        three();
        for (int i = 0; i < 20; i++) {
            propose("entry " + i);
        }
        String wiped = nodes.keySet().stream()
                .filter(id -> !id.equals(leader()))
                .findFirst()
                .orElseThrow();
        kill(wiped);
        try (var files = Files.list(directory.resolve(wiped))) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        start(wiped, wiped + ":1", RaftNode::join);
        await(() -> state(wiped).entries().size() == 20);
        await(() -> node(wiped).members().stream().filter(Member::voter).count() == 3);
        String leader = leader();
        nodes.keySet().stream()
                .filter(id -> !id.equals(wiped) && !id.equals(leader))
                .toList()
                .forEach(this::kill);
        propose("with the vote of the one that came back");
    }

    @Test
    void oneOfThreeGoesOnAloneWhenForcedTo() throws Exception {
        three();
        propose("kept");
        List.copyOf(nodes.keySet()).forEach(this::kill);
        start("b", "b:1", RaftNode::forceNew);
        propose("alone");
        assertThat(state("b").entries()).containsExactly(bytes("kept"), bytes("alone"));
        assertThat(node("b").members()).hasSize(1);
        // What is left of the old cluster has no say.
        start("a", "a:1", RaftNode::open);
        start("c", "c:1", RaftNode::open);
        propose("still alone", "b");
        assertThat(node("b").members()).hasSize(1);
        assertThat(state("b").contains("still alone")).isTrue();
    }

    @Test
    void filesAreWrittenAnewWithAnotherKey() throws Exception {
        start("a", "a:1", RaftNode::bootstrap);
        for (int i = 0; i < 120; i++) {
            propose("entry " + i);
        }
        keys("a").rotate("second", 2);
        node("a").rewriteWithCurrentKey().get(5, TimeUnit.SECONDS);
        propose("last");
        kill("a");
        keys("a").forget("first");
        start("a", "a:1", RaftNode::open);
        node("a").readBarrier().get(5, TimeUnit.SECONDS);
        assertThat(state("a").entries()).hasSize(121);
    }

    @Test
    void aDirectoryIsUsedOnce() throws Exception {
        start("a", "a:1", RaftNode::bootstrap);
        RaftSettings settings = settings("a", "a:1");
        assertThatThrownBy(() -> RaftNode.open(settings, new MemoryTransport(net, "a", "x"), new ListState()))
                .isInstanceOfSatisfying(
                        RaftStorageException.class,
                        e -> assertThat(e.reason()).isEqualTo(RaftStorageException.Reason.IN_USE));
    }

    @Test
    void tooManyBytesOfProposalsEndTheTerm() throws Exception {
        start("a", "a:1", RaftNode::bootstrap);
        await(() -> node("a").leadership().ready());
        long term = node("a").leadership().term();
        List<CompletableFuture<Long>> futures = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            futures.add(node("a").propose(term, ByteString.copyFrom(new byte[200_000])));
        }
        boolean failed = false;
        for (CompletableFuture<Long> future : futures) {
            try {
                future.get(5, TimeUnit.SECONDS);
                assertThat(failed)
                        .as("an entry was applied after one that was refused")
                        .isFalse();
            } catch (ExecutionException e) {
                failed = true;
            }
        }
        assertThat(failed).isTrue();
        propose("next term");
    }

    private RaftNode node(String id) {
        return Objects.requireNonNull(nodes.get(id));
    }

    private ListState state(String id) {
        return Objects.requireNonNull(states.get(id));
    }

    private MemoryTransport transport(String id) {
        return Objects.requireNonNull(transports.get(id));
    }

    private TestKeys keys(String id) {
        return keys.computeIfAbsent(id, _ -> new TestKeys());
    }

    private void three() throws Exception {
        start("a", "a:1", RaftNode::bootstrap);
        await(() -> node("a").leadership().ready());
        add("b");
        add("c");
        await(() -> nodes.values().stream()
                .allMatch(node -> node.members().stream().filter(Member::voter).count() == 3));
    }

    private void add(String id) throws Exception {
        start(id, id + ":1", RaftNode::join);
        node(leader()).putMember(id, id + ":1").get(10, TimeUnit.SECONDS);
    }

    @FunctionalInterface
    private interface Start {
        RaftNode start(RaftSettings settings, RaftTransport transport, ReplicatedState state) throws IOException;
    }

    private void start(String id, String address, Start how) throws IOException {
        MemoryTransport transport = new MemoryTransport(net, id, address);
        ListState state = new ListState();
        states.put(id, state);
        transports.put(id, transport);
        nodes.put(id, how.start(settings(id, address), transport, state));
    }

    private RaftSettings settings(String id, String address) {
        return new RaftSettings(id, address, directory.resolve(id), keys(id), RaftTiming.DEFAULT, SMALL);
    }

    /** Ends a manager without letting it hand over, and lets its peers notice. */
    private void kill(String id) {
        net.kill(transport(id));
        RaftNode node = node(id);
        nodes.remove(id);
        node.stop();
        node.close();
    }

    private String leader() {
        await(() -> nodes.values().stream().anyMatch(node -> node.leadership().ready()));
        return nodes.values().stream()
                .filter(node -> node.leadership().ready())
                .max((one, other) ->
                        Long.compare(one.leadership().term(), other.leadership().term()))
                .map(RaftNode::selfId)
                .orElseGet(this::leader);
    }

    private void propose(String text) throws Exception {
        propose(text, null);
    }

    /** Proposes until it is accepted once. */
    private void propose(String text, @Nullable String on) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (true) {
            RaftNode node = node(on == null ? leader() : on);
            Leadership leadership = node.leadership();
            try {
                node.propose(leadership.term(), bytes(text)).get(5, TimeUnit.SECONDS);
                return;
            } catch (ExecutionException e) {
                if (System.nanoTime() > end) {
                    throw e;
                }
            } catch (TimeoutException e) {
                throw new AssertionError("not committed: " + text, e);
            }
        }
    }

    private static ByteString bytes(String text) {
        return ByteString.copyFromUtf8(text);
    }

    private static void await(BooleanSupplier condition) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("waited too long").isLessThan(end);
            LockSupport.parkNanos(2_000_000);
        }
    }
}
