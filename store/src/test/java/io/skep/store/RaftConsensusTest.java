package io.skep.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.skep.raft.KeyRing;
import io.skep.raft.RaftSettings;
import io.skep.raft.RaftTransport;
import io.skep.store.Consensus.Leadership;
import io.skep.wire.LogEntry;
import io.skep.wire.Node;
import io.skep.wire.RaftMessage;
import java.nio.file.Path;
import java.time.Instant;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A store that is kept by a log of one manager. */
@Timeout(30)
final class RaftConsensusTest {
    @TempDir
    private Path directory;

    @Test
    void theStateIsThereAgainAfterARestart() throws Exception {
        Store store = new Store();
        try (RaftConsensus consensus = RaftConsensus.bootstrap(settings(), new NoPeers(), store)) {
            long term = ready(consensus).get(10, TimeUnit.SECONDS).term();
            for (int i = 0; i < 20; i++) {
                consensus.propose(term, entry(store.state(), "node-" + i)).get(10, TimeUnit.SECONDS);
                assertThat(store.state().nodes().get("node-" + i)).isNotNull();
            }
            assertThatThrownBy(
                            () -> consensus.propose(term + 1, ByteString.EMPTY).get(10, TimeUnit.SECONDS))
                    .hasCauseInstanceOf(Consensus.NotLeaderException.class);
            assertThatThrownBy(() -> consensus.removeMember("self").get(10, TimeUnit.SECONDS))
                    .hasCauseInstanceOf(Consensus.RefusedException.class);
            assertThat(consensus.members())
                    .singleElement()
                    .satisfies(member -> assertThat(member.leader() && member.voter() && member.reachable())
                            .isTrue());
        }
        Store again = new Store();
        try (RaftConsensus consensus = RaftConsensus.open(settings(), new NoPeers(), again)) {
            consensus.readBarrier().get(10, TimeUnit.SECONDS);
            assertThat(again.state().version()).isEqualTo(20);
            assertThat(again.state().nodes().size()).isEqualTo(20);
        }
    }

    @Test
    void anEntryThatCannotBeAppliedEndsThisManagersPart() throws Exception {
        try (RaftConsensus consensus = RaftConsensus.bootstrap(settings(), new NoPeers(), new Store())) {
            long term = ready(consensus).get(10, TimeUnit.SECONDS).term();
            CompletableFuture<Long> broken = consensus.propose(
                    term, LogEntry.newBuilder().setBaseVersion(99).build().toByteString());
            assertThatThrownBy(() -> broken.get(10, TimeUnit.SECONDS))
                    .hasCauseInstanceOf(Consensus.OutcomeUnknownException.class);
            assertThatThrownBy(() -> consensus.stopped().get(10, TimeUnit.SECONDS))
                    .hasRootCauseMessage("entry 3 of the log was decided on version 99, but the state is at 0");
        }
    }

    private static CompletableFuture<Leadership> ready(RaftConsensus consensus) {
        CompletableFuture<Leadership> ready = new CompletableFuture<>();
        consensus.onLeadership(leadership -> {
            if (leadership.ready()) {
                ready.complete(leadership);
            }
        });
        return ready;
    }

    private static ByteString entry(ClusterState state, String id) {
        Transaction transaction = new Transaction(state, Instant.EPOCH);
        transaction.put(Kind.NODE, Node.newBuilder().setId(id).build());
        return LogEntry.newBuilder()
                .setBaseVersion(state.version())
                .addTransactions(transaction.toLog())
                .build()
                .toByteString();
    }

    private RaftSettings settings() {
        KeyRing.DataKey key = new KeyRing.DataKey("key", ByteString.copyFrom(new byte[KeyRing.KEY_BYTES]));
        return new RaftSettings("self", "127.0.0.1:1", directory, new KeyRing() {
            @Override
            public DataKey current() {
                return key;
            }

            @Override
            public @Nullable DataKey find(String id) {
                return id.equals("key") ? key : null;
            }
        });
    }

    /** The transport of a manager that has no peers. */
    private static final class NoPeers implements RaftTransport {
        @Override
        public void start(Receiver receiver) {}

        @Override
        public void send(String nodeId, String address, RaftMessage message) {}

        @Override
        public void stop() {}
    }
}
